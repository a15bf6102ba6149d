package routeros

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Options are the settings for all routers.
type Options struct {
	Timeout time.Duration // for connecting with login, and for each command
	// Servers are the RADIUS servers that routers are configured to ask, in their
	// order; each as address, or address:auth-port:acct-port. Empty: the address
	// from which the router was configured.
	Servers []string
}

// DefaultOptions are those with nothing set.
func DefaultOptions() Options { return Options{Timeout: defaultTimeout} }

// ParseServer reads a RADIUS server: 192.0.2.1, or 192.0.2.1:1812:1813 with its
// ports, an IPv6 address in brackets then. auth and acct are the ports where none
// is said.
func ParseServer(text string, auth, acct uint16) (Server, error) {
	s := Server{AuthPort: auth, AcctPort: acct}
	var err error
	if s.Address, err = netip.ParseAddr(strings.Trim(text, "[]")); err == nil && s.Address.Zone() == "" {
		s.Address = s.Address.Unmap()
		return s, nil
	}
	wrong := fmt.Errorf("server %q: want an address such as 192.0.2.1, or with its ports 192.0.2.1:1812:1813", text)
	rest, last, ok := cutLast(text)
	address, first, ok2 := cutLast(rest)
	if !ok || !ok2 {
		return s, wrong
	}
	if s.Address, err = netip.ParseAddr(strings.Trim(address, "[]")); err != nil || s.Address.Zone() != "" {
		return s, wrong
	}
	s.Address = s.Address.Unmap()
	for to, text := range map[*uint16]string{&s.AuthPort: first, &s.AcctPort: last} {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return s, wrong
		}
		*to = uint16(n)
	}
	return s, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
