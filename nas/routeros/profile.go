package routeros

import (
	"net/netip"
	"strings"

	"radial/nas"
)

// Profile is a PPP profile.
type Profile struct {
	Name          string `json:"name"`
	LocalAddress  string `json:"local_address"` // an address or the name of a pool of the router
	RemoteAddress string `json:"remote_address"`
	// RateLimit is in RouterOS's grammar, the subscriber's upload first:
	// "20M/100M 40M/200M 15M/75M 10/10 8 5M/25M"; "" is none.
	RateLimit      string       `json:"rate_limit"`
	SessionTimeout Span         `json:"session_timeout"` // 0 is none
	IdleTimeout    Span         `json:"idle_timeout"`
	OnlyOne        string       `json:"only_one"` // yes, no, default
	DNS            []netip.Addr `json:"dns_server"`
	AddressList    string       `json:"address_list"`
	ParentQueue    string       `json:"parent_queue"`
}

// Kind is KindProfile.
func (p Profile) Kind() Kind { return KindProfile }

// Identity is the name.
func (p Profile) Identity() (name, scope string) { return p.Name, "" }

// Row has the fields of /ppp/profile.
func (p Profile) Row() (Row, error) {
	e := newEncoder()
	e.name(p.Name)
	e.addressOrPool("local-address", p.LocalAddress)
	e.addressOrPool("remote-address", p.RemoteAddress)
	if p.RateLimit != "" {
		if _, err := nas.ParseRateLimit(p.RateLimit); err != nil {
			e.wrong("rate-limit", p.RateLimit, "upload/download and what may follow, as in 20M/100M")
		}
	}
	e.row["rate-limit"] = p.RateLimit
	e.duration("session-timeout", p.SessionTimeout)
	e.duration("idle-timeout", p.IdleTimeout)
	e.oneOf("only-one", p.OnlyOne, "default", "yes", "no", "default")
	servers := make([]string, len(p.DNS))
	for i, a := range p.DNS {
		servers[i] = a.String()
	}
	e.text("dns-server", strings.Join(servers, ","))
	e.text("address-list", p.AddressList)
	e.text("parent-queue", p.ParentQueue)
	return e.done("profile " + p.Name)
}

// ProfileOf reads a profile.
func ProfileOf(i Item) (Profile, error) {
	if err := wrongKind(i, KindProfile); err != nil {
		return Profile{}, err
	}
	d := decoder{row: i.Fields}
	p := Profile{
		Name: i.Name, LocalAddress: d.text("local-address"), RemoteAddress: d.text("remote-address"), RateLimit: d.text("rate-limit"),
		SessionTimeout: d.duration("session-timeout"), IdleTimeout: d.duration("idle-timeout"), OnlyOne: d.text("only-one"),
		AddressList: d.text("address-list"), ParentQueue: d.text("parent-queue"),
	}
	for _, text := range d.words("dns-server") {
		a, err := netip.ParseAddr(text)
		d.failed("dns-server", err)
		p.DNS = append(p.DNS, a)
	}
	return p, d.done("profile " + i.Name)
}
