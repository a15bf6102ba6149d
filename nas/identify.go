package nas

import (
	"net/netip"

	"radial/dictionaries"
)

// Live is what tells a session that runs from all others of its device: as
// accounting has told it, in raw text. What is not known is "".
type Live struct {
	User           string
	SessionID      string // Acct-Session-Id, as the device wrote it
	CallingStation string
	Address        netip.Addr
}

// foundBy is what a device finds a session by, beside its Acct-Session-Id.
type foundBy struct{ user, address bool }

// Identify gives what a CoA or Disconnect names a session by: what the device
// needs and nothing that could keep it from finding the session, as all must fit
// (RFC 5176 §3). NAS-IP-Address is never among them: a device behind NAT, or with
// several addresses, refuses one that is not its own (Error-Cause 403).
func Identify(dev *Device, l Live, d *dictionaries.Dictionary) dictionaries.Pairs {
	v := vendorOf(dev)
	var ps dictionaries.Pairs
	add := func(name string, value []byte) {
		if a := d.Find(name); a != nil && len(value) > 0 && len(value) <= 253 {
			ps = append(ps, dictionaries.Pair{Attr: a, Value: value})
		}
	}
	nameless := l.SessionID == ""
	if v.foundBy.user || nameless {
		add("User-Name", []byte(l.User))
	}
	add("Acct-Session-Id", []byte(l.SessionID))
	if address := l.Address.Unmap(); address.Is4() && !address.IsUnspecified() && (v.foundBy.address || nameless) {
		add("Framed-IP-Address", address.AsSlice())
	}
	if nameless {
		add("Calling-Station-Id", []byte(l.CallingStation))
	}
	return ps
}
