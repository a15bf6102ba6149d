package routeros

import (
	"cmp"
	"net"
	"net/netip"
	"strings"

	"radial/nas"
)

// HotspotUser is a user whom a router's hotspot knows by itself.
type HotspotUser struct {
	Name        string     `json:"name"`
	Server      string     `json:"server"` // the hotspot; "" is all
	Password    nas.Secret `json:"-"`      // "" leaves the one that is there
	Profile     string     `json:"profile"`
	MAC         string     `json:"mac_address"`
	Address     netip.Addr `json:"address"`
	LimitUptime Span       `json:"limit_uptime"` // 0 is none
	LimitIn     uint64     `json:"limit_bytes_in"`
	LimitOut    uint64     `json:"limit_bytes_out"`
	LimitTotal  uint64     `json:"limit_bytes_total"`
	Email       string     `json:"email"`
	Disabled    bool       `json:"disabled"`
}

// Kind is KindHotspot.
func (u HotspotUser) Kind() Kind { return KindHotspot }

// Identity is name and server.
func (u HotspotUser) Identity() (name, scope string) {
	return u.Name, cmp.Or(u.Server, "all")
}

// Row has the fields of /ip/hotspot/user.
func (u HotspotUser) Row() (Row, error) {
	e := newEncoder()
	e.name(u.Name)
	e.secret("password", u.Password)
	e.text("profile", cmp.Or(u.Profile, "default"))
	e.row["mac-address"] = ""
	if u.MAC != "" {
		m, err := net.ParseMAC(u.MAC)
		if err != nil || len(m) != 6 {
			e.wrong("mac-address", u.MAC, "a MAC address, as in 00:00:5E:00:53:01")
		}
		e.row["mac-address"] = strings.ToUpper(m.String())
	}
	e.address("address", u.Address)
	e.duration("limit-uptime", u.LimitUptime)
	e.count("limit-bytes-in", u.LimitIn)
	e.count("limit-bytes-out", u.LimitOut)
	e.count("limit-bytes-total", u.LimitTotal)
	e.text("email", u.Email)
	e.flag("disabled", u.Disabled)
	return e.done("hotspot user " + u.Name)
}

// HotspotUserOf reads a hotspot user.
func HotspotUserOf(i Item) (HotspotUser, error) {
	if err := wrongKind(i, KindHotspot); err != nil {
		return HotspotUser{}, err
	}
	d := decoder{row: i.Fields}
	u := HotspotUser{
		Name: i.Name, Server: i.Scope, Password: i.Hidden, Profile: d.text("profile"), MAC: d.text("mac-address"), Address: d.address("address"),
		LimitUptime: d.duration("limit-uptime"), LimitIn: d.count("limit-bytes-in"), LimitOut: d.count("limit-bytes-out"),
		LimitTotal: d.count("limit-bytes-total"), Email: d.text("email"), Disabled: d.flag("disabled"),
	}
	return u, d.done("hotspot user " + i.Name)
}
