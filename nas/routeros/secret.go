package routeros

import (
	"cmp"
	"net/netip"
	"slices"

	"radial/nas"
)

// vpnServices are the services of PPP that are tunnels.
var vpnServices = []string{"l2tp", "ovpn", "pptp", "sstp"}

var secretFields = []string{"password", "profile", "caller-id", "local-address", "remote-address", "remote-ipv6-prefix", "routes",
	"limit-bytes-in", "limit-bytes-out", "disabled"}

// Secret is a PPP secret: a subscriber whom the router itself knows. One of
// service l2tp, ovpn, pptp or sstp is a VPN account.
type Secret struct {
	Name             string     `json:"name"`
	Service          string     `json:"service"` // any, async, pppoe, l2tp, ovpn, pptp, sstp; "" is any
	Password         nas.Secret `json:"-"`       // "" leaves the one that is there
	Profile          string     `json:"profile"` // of the router; "" is default
	CallerID         string     `json:"caller_id"`
	LocalAddress     netip.Addr `json:"local_address"`
	RemoteAddress    netip.Addr `json:"remote_address"`
	RemoteIPv6Prefix string     `json:"remote_ipv6_prefix"`
	Routes           string     `json:"routes"`
	LimitIn          uint64     `json:"limit_bytes_in"`  // octets from the subscriber; 0 is none
	LimitOut         uint64     `json:"limit_bytes_out"` // octets to him
	Disabled         bool       `json:"disabled"`
}

// Kind is KindVPN for tunnels.
func (s Secret) Kind() Kind {
	if slices.Contains(vpnServices, s.Service) {
		return KindVPN
	}
	return KindSecret
}

// Identity is name and service: a name may stand once for each.
func (s Secret) Identity() (name, scope string) {
	return s.Name, cmp.Or(s.Service, "any")
}

// Row has the fields of /ppp/secret.
func (s Secret) Row() (Row, error) {
	e := newEncoder()
	e.name(s.Name)
	e.oneOf("service", s.Service, "any", slices.Concat([]string{"any", "async", "pppoe"}, vpnServices)...)
	e.secret("password", s.Password)
	e.text("profile", cmp.Or(s.Profile, "default"))
	e.text("caller-id", s.CallerID)
	e.address("local-address", s.LocalAddress)
	e.address("remote-address", s.RemoteAddress)
	if s.RemoteIPv6Prefix != "" {
		if p, err := netip.ParsePrefix(s.RemoteIPv6Prefix); err != nil || !p.Addr().Is6() {
			e.wrong("remote-ipv6-prefix", s.RemoteIPv6Prefix, "an IPv6 prefix, as in 2001:db8:1::/64")
		}
	}
	e.row["remote-ipv6-prefix"] = s.RemoteIPv6Prefix
	e.text("routes", s.Routes)
	e.count("limit-bytes-in", s.LimitIn)
	e.count("limit-bytes-out", s.LimitOut)
	e.flag("disabled", s.Disabled)
	row, err := e.done("secret " + s.Name)
	delete(row, "service") // of its identity
	return row, err
}

// SecretOf reads a secret or a VPN account.
func SecretOf(i Item) (Secret, error) {
	if err := wrongKind(i, KindSecret, KindVPN); err != nil {
		return Secret{}, err
	}
	d := decoder{row: i.Fields}
	s := Secret{
		Name: i.Name, Service: i.Scope, Password: i.Hidden, Profile: d.text("profile"), CallerID: d.text("caller-id"),
		LocalAddress: d.address("local-address"), RemoteAddress: d.address("remote-address"), RemoteIPv6Prefix: d.text("remote-ipv6-prefix"),
		Routes: d.text("routes"), LimitIn: d.count("limit-bytes-in"), LimitOut: d.count("limit-bytes-out"), Disabled: d.flag("disabled"),
	}
	return s, d.done("secret " + i.Name)
}
