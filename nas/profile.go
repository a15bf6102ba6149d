package nas

import (
	"slices"
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
	// renames are what it calls otherwise than the standard.
	renames []rename
	// poolOrAddress is true where a reply must not have both.
	poolOrAddress bool
	// changes is what it changes by CoA (change.go). Nil: nothing that is certain
	// from public documents, and a CoA that is acknowledged and changes nothing is
	// worse than a new login.
	changes traits
	// limits are the limits of time and volume that it takes by CoA. Nil: none, or
	// nobody knows from when it would count them.
	limits []string
	// certain is true where public documents say so; else a CoA is an attempt.
	certain bool
	// foundBy is what a CoA or Disconnect names a session by.
	foundBy foundBy
}

// Private enterprise numbers (IANA).
const (
	idCisco      = 9
	idMotorola   = 161
	idEricsson   = 193
	idMicrosoft  = 311
	idAscend     = 529
	idHuawei     = 2011
	idRedback    = 2352
	idJuniper    = 2636
	idADSLForum  = 3561
	idZTE        = 3902
	idUnisphere  = 4874
	idNokia      = 6527
	idWISPr      = 14122
	idAruba      = 14823
	idMikrotik   = 14988
	idChilliSpot = 14559
	idCambium    = 17713
	idRuckus     = 25053
	idH3C        = 25506
	idUbiquiti   = 41112
)

// wispr is how access points of several vendors are told rates: bits per second
// (Wi-Fi Alliance, "Best Current Practices for WISP Roaming" 1.0, appendix A).
var wispr = guaranteed{
	numbers: numbers{up: "WISPr-Bandwidth-Max-Up", down: "WISPr-Bandwidth-Max-Down", unit: 1},
	minUp:   "WISPr-Bandwidth-Min-Up", minDown: "WISPr-Bandwidth-Min-Down",
}

// chilliSpot has an octet attribute and one of gigawords for each direction.
var chilliSpot = octetPairs{
	total: [2]string{"ChilliSpot-Max-Total-Octets", "ChilliSpot-Max-Total-Gigawords"},
	up:    [2]string{"ChilliSpot-Max-Input-Octets", "ChilliSpot-Max-Input-Gigawords"},
	down:  [2]string{"ChilliSpot-Max-Output-Octets", "ChilliSpot-Max-Output-Gigawords"},
}

// vendors is the list of device types. To add one: a line here, its dictionary,
// and goldens in testdata/NAME. Each line names its source; what no public
// document says is left out, and said to be.
//
// Bursts, thresholds and priorities are MikroTik's own: the peak rates of others
// (Huawei's and H3C's PIR) hold for ever, not for a while, and would sell more than
// the package has.
var vendors = []vendor{
	// Everything as it stands: Mikrotik-Rate-Limit is its own. CoA: routerOS. Its hotspot finds a session by its
	// address; a name that looks like a MAC address alone ends a wireless client's session instead (packetfence 7703).
	{name: "mikrotik", ids: []uint32{idMikrotik, idAscend, idWISPr}, changes: routerOS, limits: routerOSLimits, certain: true,
		foundBy: foundBy{user: true, address: true}},
	// Everything as it stands. CoA: an attempt, with what RFC 5176 §3.6 allows and everybody's rates.
	{name: "other", changes: rfc5176, limits: []string{"Session-Timeout"}, foundBy: foundBy{user: true}},
	// Cisco, "ISG: Configuring Policies for Regulating Network Access": VSA 26,9,250 in a user profile; "RADIUS-Based
	// Policing": a CoA changes the rates of a session. In which form depends on its policies, so it is an attempt.
	// IOS, "RADIUS Change of Authorization": sessions are found by Acct-Session-Id, Calling-Station-Id or addresses, all of
	// which must fit; User-Name is not among them.
	{name: "cisco", ids: []uint32{idCisco}, rates: policing{attr: "Cisco-Account-Info"}, changes: changing(
		softly(ofRate, "Cisco-Account-Info"), softly(ofTime, "Idle-Timeout"))},
	// Huawei NetEngine 8000 RADIUS attributes: 26-2 and 26-5, committed information rate up and down, bit/s.
	// The same list: 26-15, remaining traffic in KB; 0 ends the session, 0xFFFFFFFF is no limit. 26-135, -136, -154: name
	// servers; 26-191: pool of delegated prefixes. The command "radius-server authorization error-reply" tells what a
	// CoA is refused for, so what it may carry; rates are not named there.
	{name: "huawei", ids: []uint32{idHuawei}, rates: numbers{up: "Huawei-Input-Average-Rate", down: "Huawei-Output-Average-Rate", unit: 1},
		volume:  kibioctets{attr: "Huawei-Remanent-Volume"},
		renames: called("Huawei-Primary-DNS", "Huawei-Secondary-DNS", "Huawei-DNS-Server-IPv6-address", "", "Huawei-Delegated-IPv6-Prefix-Pool"),
		changes: huaweiCoA, foundBy: foundBy{user: true}},
	// H3C RADIUS sub-attributes 2 and 5: average rate from and to the user, bps.
	{name: "h3c", ids: []uint32{idH3C}, rates: numbers{up: "H3C-Input-Average-Rate", down: "H3C-Output-Average-Rate", unit: 1}, foundBy: foundBy{user: true}},
	// Nokia 7750 SR RADIUS Attributes Reference Guide: 26.6527.126; 9, 10, 105, 106: name servers; 131: pool of delegated
	// prefixes. Framed-Pool beside Framed-IP-Address is a failure of the host's set-up. CoA: 126, and the SLA and subscriber
	// profiles; a session is best named by one attribute alone, such as Acct-Session-Id. Triple Play Guide, "Subscriber session
	// timeout": Session-Timeout in a CoA counts from the session's beginning.
	{name: "nokia", ids: []uint32{idNokia}, rates: overrides{attr: "Alc-Subscriber-QoS-Override"}, poolOrAddress: true,
		renames: called("Alc-Primary-Dns", "Alc-Secondary-Dns", "Alc-Ipv6-Primary-Dns", "Alc-Ipv6-Secondary-Dns", "Alc-Delegated-IPv6-Pool"),
		limits:  []string{"Session-Timeout"},
		certain: true, changes: changing(softly(ofRate, "Alc-Subscriber-QoS-Override"), softly(ofProfile, "Alc-SLA-Prof-Str", "Alc-Subsc-Prof-Str"))},
	// accel-ppp's documentation, "[shaper]": Filter-Id=down/up in Kbit, unless its attr= says otherwise. CoA: the shaper
	// reads the same again, all else is acknowledged and passed over (accel-pppd/radius/dm_coa.c). Where it is told to read
	// MikroTik's rates instead (vendor=Mikrotik), the type is accel-ppp+mikrotik.
	{name: "accel-ppp", rates: slashed{attr: "Filter-Id"}, certain: true,
		changes: softly(ofRate, "Filter-Id", "Mikrotik-Rate-Limit"), foundBy: foundBy{user: true}},
	// Cambium PMP 450 user guide, "RADIUS attributes": sustained data rates 26.161.6 and .8, kbps.
	{name: "canopy", ids: []uint32{idMotorola}, rates: numbers{up: "Motorola-Canopy-ULBR", down: "Motorola-Canopy-DLBR", unit: 1000}, foundBy: foundBy{user: true}},
	// Cambium's cnPilot and ePMP access points honour WISPr's rates in an Access-Accept (Cambium community, "How do I rate-limit my wireless client traffic?").
	{name: "cambium", ids: []uint32{idCambium, idMotorola, idWISPr}, rates: wispr, foundBy: foundBy{user: true}},
	// Ruckus ZoneDirector user guide, "RADIUS attributes": WISPr's rates in an Access-Accept.
	{name: "ruckus", ids: []uint32{idRuckus, idWISPr}, rates: wispr, foundBy: foundBy{user: true}},
	// Any access point or gateway that goes by WISPr's attributes (Wi-Fi Alliance, "Best Current Practices for WISP Roaming"
	// 1.0, appendix A). CoA: an attempt, as of all devices that are not known.
	{name: "wispr", ids: []uint32{idWISPr}, rates: wispr, foundBy: foundBy{user: true}, changes: changing(
		softly(ofRate, "WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down", "WISPr-Bandwidth-Min-Up", "WISPr-Bandwidth-Min-Down"),
		softly(ofFilter, "Filter-Id"), softly(ofTime, "Idle-Timeout"))},
	// CoovaChilli, chilli-radius(5): WISPr's rates, and octets of the session of its own. CoA and Disconnect must have
	// User-Name, Acct-Session-Id makes it one session; a CoA is read as an Access-Accept is (src/chilli.c, cb_radius_coa_ind).
	{name: "chillispot", ids: []uint32{idChilliSpot, idWISPr}, rates: wispr, volume: chilliSpot, limits: chilliSpot.limits(), certain: true, foundBy: foundBy{user: true}, changes: changing(
		softly(ofRate, "WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down"), softly(ofFilter, "Filter-Id"), softly(ofTime, "Idle-Timeout"))},
	// Junos, "Configuring User-Defined CoS Variables": 26.4874.108 with tag 2 is what a dynamic profile knows as
	// $junos-cos-shaping-rate, in bits per second, to the subscriber; a rate from him has no such variable, and needs a
	// service or policy of the operator's. 26-4, -5, -47, -48: name servers; 26-161: pool of delegated prefixes. Which of these a CoA
	// changes depends on services that each operator defines, and Junos refuses third parties' attributes (401).
	// A session is named by Acct-Session-Id; User-Name counts only with its virtual router.
	{name: "juniper", ids: []uint32{idUnisphere, idJuniper}, rates: shaping{attr: "ERX-CoS-Shaping-Pmt-Type"},
		renames: called("ERX-Primary-Dns", "ERX-Secondary-Dns", "ERX-Ipv6-Primary-Dns", "ERX-Ipv6-Secondary-Dns", "ERX-IPv6-Delegated-Pool-Name")},
	// The unit of ZTE-Rate-Ctrl-SCR-Up and -Down is in no public document that we have seen: programs that send them do not agree.
	{name: "zte", ids: []uint32{idZTE}, foundBy: foundBy{user: true}},
	// SmartEdge: rates are names of policies, or dynamic parameters of a policy that must be there. Redback's dictionary
	// (26.2352.1, .2): name servers.
	{name: "redback", ids: []uint32{idRedback}, renames: called("Client-DNS-Pri", "Client-DNS-Sec", "", "", ""), foundBy: foundBy{user: true}},
	{name: "ericsson", ids: []uint32{idRedback, idEricsson}, renames: called("Client-DNS-Pri", "Client-DNS-Sec", "", "", ""), foundBy: foundBy{user: true}},
	// UniFi and airOS differ from version to version in what they honour.
	{name: "ubiquiti", ids: []uint32{idUbiquiti}, foundBy: foundBy{user: true}},
	// Rates belong to a role on the controller.
	{name: "aruba", ids: []uint32{idAruba}, foundBy: foundBy{user: true}},
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

// KnownType tells whether a device type has a profile. Case does not matter. Other
// types may follow, each behind a plus sign: what is theirs is sent as it stands
// to a device that would not be sent it otherwise, as in cisco+mikrotik.
func KnownType(name string) bool {
	for one := range strings.SplitSeq(name, "+") {
		if profileOf(one) == nil {
			return false
		}
	}
	return true
}

// baseType is a type without those behind plus signs, and these.
func baseType(name string) (base, also string) {
	base, also, _ = strings.Cut(name, "+")
	return base, also
}

func profileOf(name string) *vendor {
	base, _ := baseType(name)
	for i := range vendors {
		if vendors[i].name == base || strings.EqualFold(vendors[i].name, base) {
			return &vendors[i]
		}
	}
	return nil
}

// ShapeReply makes a merged reply fit a device (design §8, "One truth for what is
// granted"). For the types other and mikrotik, and those whose own encoding is
// not certain, it goes out as it stands. Else items of vendors that the device
// does not understand are dropped, and its own rate attributes are encoded from
// the Grant, unless one of them is there already; name servers and pools that it
// has own names for go out by these as well. Items of other vendors stay where
// the type names them, as cisco+mikrotik does. ps is not changed; the result may
// be ps itself.
func ShapeReply(dev *Device, ps dictionaries.Pairs, d *dictionaries.Dictionary) dictionaries.Pairs {
	v := profileOf(dev.Type)
	if v == nil || v.rates == nil && v.renames == nil {
		return ps
	}
	_, also := baseType(dev.Type)
	out := make(dictionaries.Pairs, 0, len(ps)+4)
	for _, p := range ps {
		if v.rates == nil || v.understands(p.Attr) || also != "" && theirs(also, p.Attr) {
			out = append(out, p)
		}
	}
	out = v.renamed(out, ps, d)
	if v.poolOrAddress {
		out = withoutPool(out, d)
	}
	if v.volume != nil {
		if volume := ParseVolume(ps, d); volume != (Volume{}) {
			out = v.volume.encode(out, volume, d)
		}
	}
	if v.rates == nil || v.rates.present(out, d) {
		return out
	}
	if g, ok := ParseGrant(ps, d); ok {
		out = v.rates.encode(out, g.Rate, d)
	}
	return out
}

// theirs tells whether an attribute is of one of several types, with plus signs
// between them.
func theirs(types string, a *dictionaries.Attribute) bool {
	for one := range strings.SplitSeq(types, "+") {
		if v := profileOf(one); v != nil && v.understands(a) {
			return true
		}
	}
	return false
}

// understands keeps the device's own attributes, and those of no vendor.
func (v *vendor) understands(a *dictionaries.Attribute) bool {
	return ofNoVendor(a) || slices.Contains(v.ids, a.Vendor.ID)
}

// ofNoVendor are the standard attributes, and two vendors' that are no vendor's
// any more: Microsoft's carry the keys and answers of MS-CHAP (RFC 2548),
// ADSL-Forum's describe lines (RFC 4679).
func ofNoVendor(a *dictionaries.Attribute) bool {
	return a.Vendor == nil || a.Vendor.ID == idMicrosoft || a.Vendor.ID == idADSLForum
}
