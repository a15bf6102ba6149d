package nas

import (
	"fmt"
	"net/netip"
	"strings"
)

// NameKind tells the three forms of nas.nasname apart.
type NameKind uint8

// The forms of a name.
const (
	NameAddress NameKind = iota + 1 // one address, IPv4 or IPv6
	NameCIDR                        // a network, IPv4 or IPv6
	NameHost                        // a host name, to be resolved
)

// Name is a parsed nas.nasname. Prefix is set for addresses (as /32 or /128)
// and networks, Host for host names.
type Name struct {
	Kind   NameKind
	Prefix netip.Prefix
	Host   string
}

// ParseName reads what stands in nas.nasname. Blanks around it are forgiven,
// bits of a network beyond its length are cleared (FreeRADIUS does the same),
// and an IPv4 address in IPv6 form becomes IPv4. The error names the value and
// what would be right.
func ParseName(nasname string) (Name, error) {
	s := strings.TrimSpace(nasname)
	if s == "" {
		return Name{}, fmt.Errorf("nas name %q: empty; want an address, a CIDR or a host name", nasname)
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return Name{}, fmt.Errorf("nas name %q: not a CIDR; want one like 10.0.0.0/24 or 2001:db8::/48", nasname)
		}
		return Name{Kind: NameCIDR, Prefix: unmapPrefix(p).Masked()}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return Name{}, fmt.Errorf("nas name %q: an address with a zone; leave %q away", nasname, "%"+a.Zone())
		}
		a = a.Unmap()
		return Name{Kind: NameAddress, Prefix: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if why := badHost(s); why != "" {
		return Name{}, fmt.Errorf("nas name %q: %s; want an address, a CIDR or a host name", nasname, why)
	}
	return Name{Kind: NameHost, Host: strings.ToLower(strings.TrimSuffix(s, "."))}, nil
}

// String gives the name in the form to be stored.
func (n Name) String() string {
	switch n.Kind {
	case NameAddress:
		return n.Prefix.Addr().String()
	case NameCIDR:
		return n.Prefix.String()
	default:
		return n.Host
	}
}

// unmapPrefix turns ::ffff:a.b.c.d/96+n into a.b.c.d/n; a packet's source is
// unmapped too, so that both meet.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// badHost says why s cannot be a host name, or "". A text of digits and dots is
// a mistyped address, never asked of DNS.
func badHost(s string) string {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return "longer than 253 characters"
	}
	letter := false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return "a part between dots is empty or longer than 63 characters"
		}
		for _, c := range label {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
				letter = true
			case '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return fmt.Sprintf("%q cannot stand in a host name", c)
			}
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return "a part begins or ends with a hyphen"
		}
	}
	if !letter {
		return "a mistyped address"
	}
	return ""
}
