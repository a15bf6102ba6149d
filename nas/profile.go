package nas

import (
	"strings"

	"radial/dictionaries"
)

// vendor is the profile of a device type (nas.type).
type vendor struct {
	name string
	// ids are the vendors whose attributes the device understands.
	ids []uint32
	// rates is how it is told a rate. Nil: its own way is not certain from
	// public documents, and replies go out as they stand.
	rates rates
	// volume is how it is told how much a session may transfer. Nil: it has no way
	// of its own, or none that is certain; then accounting alone ends the session.
	volume volumes
	// changes is what it changes by CoA (change.go). Nil: it takes Disconnect alone.
	changes traits
	// certain is true where public documents say so; else a CoA is an attempt.
	certain bool
	// byAddress is true where a CoA or Disconnect names the session's address too.
	byAddress bool
}

// Private enterprise numbers (IANA).
const (
	idCisco      = 9
	idMotorola   = 161
	idMicrosoft  = 311
	idHuawei     = 2011
	idADSLForum  = 3561
	idNokia      = 6527
	idWISPr      = 14122
	idChilliSpot = 14559
	idCambium    = 17713
	idRuckus     = 25053
	idH3C        = 25506
)

// wispr is how access points of several vendors are told rates: bits per second
// (Wi-Fi Alliance, "Best Current Practices for WISP Roaming" 1.0, appendix A).
var wispr = numbers{up: "WISPr-Bandwidth-Max-Up", down: "WISPr-Bandwidth-Max-Down", unit: 1}

// chilliSpot has an octet attribute and one of gigawords for each direction.
var chilliSpot = octetPairs{
	total: [2]string{"ChilliSpot-Max-Total-Octets", "ChilliSpot-Max-Total-Gigawords"},
	up:    [2]string{"ChilliSpot-Max-Input-Octets", "ChilliSpot-Max-Input-Gigawords"},
	down:  [2]string{"ChilliSpot-Max-Output-Octets", "ChilliSpot-Max-Output-Gigawords"},
}

// vendors is the list of device types. To add one: a line here, its dictionary,
// and goldens in testdata/NAME. Where rates is nil, say so in the comment.
var vendors = []vendor{
	// Everything as it stands: Mikrotik-Rate-Limit is its own. Its hotspot finds a session by the address alone.
	{name: "mikrotik", changes: routerOS, certain: true, byAddress: true},
	// Everything as it stands.
	{name: "other", changes: rfc5176},
	// Cisco, "ISG: Configuring Policies for Regulating Network Access": VSA 26,9,250 in a user profile.
	{name: "cisco", ids: []uint32{idCisco}, rates: policing{attr: "Cisco-Account-Info"}, changes: rfc5176},
	// Huawei NetEngine 8000 RADIUS attributes: 26-2 and 26-5, committed information rate up and down, bit/s.
	// The same list: 26-15, remaining traffic in KB; 0 ends the session, 0xFFFFFFFF is no limit.
	{name: "huawei", ids: []uint32{idHuawei}, rates: numbers{up: "Huawei-Input-Average-Rate", down: "Huawei-Output-Average-Rate", unit: 1},
		volume: kibioctets{attr: "Huawei-Remanent-Volume"}, changes: rfc5176},
	// H3C RADIUS sub-attributes 2 and 5: average rate from and to the user, bps.
	{name: "h3c", ids: []uint32{idH3C}, rates: numbers{up: "H3C-Input-Average-Rate", down: "H3C-Output-Average-Rate", unit: 1}, changes: rfc5176},
	// Nokia 7750 SR RADIUS Attributes Reference Guide: 26.6527.126.
	{name: "nokia", ids: []uint32{idNokia}, rates: overrides{attr: "Alc-Subscriber-QoS-Override"}, changes: rfc5176},
	// Cambium PMP 450 user guide, "RADIUS attributes": sustained data rates 26.161.6 and .8, kbps.
	{name: "canopy", ids: []uint32{idMotorola}, rates: numbers{up: "Motorola-Canopy-ULBR", down: "Motorola-Canopy-DLBR", unit: 1000}, changes: rfc5176},
	// Cambium's cnPilot and ePMP access points honour WISPr's rates in an Access-Accept (Cambium community, "How do I rate-limit my wireless client traffic?").
	{name: "cambium", ids: []uint32{idCambium, idMotorola, idWISPr}, rates: wispr, changes: rfc5176},
	// Ruckus ZoneDirector user guide, "RADIUS attributes": WISPr's rates in an Access-Accept.
	{name: "ruckus", ids: []uint32{idRuckus, idWISPr}, rates: wispr, changes: rfc5176},
	// CoovaChilli, chilli-radius(5): WISPr's rates, and octets of the session of its own.
	{name: "chillispot", ids: []uint32{idChilliSpot, idWISPr}, rates: wispr, volume: chilliSpot, changes: rfc5176},
	// Junos takes names of services and profiles that each operator defines: no rate can be told without them.
	{name: "juniper", changes: rfc5176},
	// The unit of ZTE-Rate-Ctrl-SCR-Up and -Down is in no public document that we have seen.
	{name: "zte", changes: rfc5176},
	// SmartEdge: names of policies, or dynamic parameters of a policy that must be there.
	{name: "redback", changes: rfc5176},
	{name: "ericsson", changes: rfc5176},
	// UniFi and airOS differ from version to version in what they honour.
	{name: "ubiquiti", changes: rfc5176},
	// Rates belong to a role on the controller.
	{name: "aruba", changes: rfc5176},
}

// Types lists the device types that nas.type may name, for messages and
// completion. Any other text counts as other.
func Types() []string {
	names := make([]string, len(vendors))
	for i, v := range vendors {
		names[i] = v.name
	}
	return names
}

// KnownType tells whether a device type has a profile. Case does not matter.
func KnownType(name string) bool { return profileOf(name) != nil }

func profileOf(name string) *vendor {
	for i := range vendors {
		if vendors[i].name == name || strings.EqualFold(vendors[i].name, name) {
			return &vendors[i]
		}
	}
	return nil
}

// ShapeReply makes a merged reply fit a device (design §8, "One truth for what is
// granted"). For the types other and mikrotik, and those whose own encoding is
// not certain, it goes out as it stands. Else items of vendors that the device
// does not understand are dropped, and its own rate attributes are encoded from
// the Grant, unless one of them is there already. ps is not changed; the result
// may be ps itself.
func ShapeReply(dev *Device, ps dictionaries.Pairs, d *dictionaries.Dictionary) dictionaries.Pairs {
	v := profileOf(dev.Type)
	if v == nil || v.rates == nil {
		return ps
	}
	out := make(dictionaries.Pairs, 0, len(ps)+2)
	for _, p := range ps {
		if v.understands(p.Attr) {
			out = append(out, p)
		}
	}
	if v.volume != nil {
		if volume := ParseVolume(ps, d); volume != (Volume{}) {
			out = v.volume.encode(out, volume, d)
		}
	}
	if v.rates.present(out, d) {
		return out
	}
	if g, ok := ParseGrant(ps, d); ok {
		out = v.rates.encode(out, g.Rate, d)
	}
	return out
}

// understands keeps the standard attributes, the device's own, and two vendors'
// that are no vendor's any more: Microsoft's carry the keys and answers of
// MS-CHAP (RFC 2548), ADSL-Forum's describe lines (RFC 4679).
func (v *vendor) understands(a *dictionaries.Attribute) bool {
	if a.Vendor == nil || a.Vendor.ID == idMicrosoft || a.Vendor.ID == idADSLForum {
		return true
	}
	for _, id := range v.ids {
		if a.Vendor.ID == id {
			return true
		}
	}
	return false
}
