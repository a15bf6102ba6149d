package nas

import (
	"maps"
	"slices"
	"strings"

	"radial/dictionaries"
)

// Changeable is what a device can change in a session that runs.
type Changeable struct {
	// CoA is false for a device that takes Disconnect alone: its sessions follow
	// by a new login.
	CoA bool
	// Certain is true where the vendor's public documents say what a CoA may
	// change. Else it is tried, and a refusal (Error-Cause 401, 405 and the like)
	// means that the session has to log in anew.
	Certain bool
}

// ChangeableBy tells what a device can change. Nil is a device of which nothing
// is known.
func ChangeableBy(dev *Device) Changeable {
	v := vendorOf(dev)
	return Changeable{CoA: v.changes != nil, Certain: v.certain}
}

// Split parts a reply, as ShapeReply has made it for a device, into what the
// device can change by CoA, and what needs a new login. What is in neither is no
// reason to touch a session: it differs at each login (time and volume left,
// leased addresses, keys), or says nothing of the service. The lists are new;
// their values are shared with reply.
func Split(dev *Device, reply dictionaries.Pairs) (soft, hard dictionaries.Pairs) {
	v := vendorOf(dev)
	for _, p := range reply {
		switch nature, _ := v.nature(p.Attr); nature {
		case isSoft:
			soft = append(soft, p)
		case isHard:
			hard = append(hard, p)
		}
	}
	return soft, hard
}

// closeMark puts the kinds of what is in soft into it.
func closeMark(soft, hard uint64, there kind) (uint64, uint64) {
	soft = soft&^0xff | uint64(there)
	return max(soft, 1<<8), max(hard, 1)
}

// Lost tells of two soft marks whether what was granted before had something
// that is to be no more: a rate, an address list, a filter. A CoA says what is,
// and cannot take anything away; that needs a new login.
func Lost(before, now uint64) bool {
	return before&^now&uint64(ofRate|ofAddressList|ofFilter|ofProfile|ofService) != 0
}

// Limits are the attributes of a reply, as ShapeReply has made it for a device,
// that limit how long a session lasts and what it transfers, as far as the device
// takes them by CoA. All of them count from the session's beginning.
func Limits(dev *Device, reply dictionaries.Pairs) (limits dictionaries.Pairs) {
	v := vendorOf(dev)
	for _, p := range reply {
		if slices.Contains(v.limits, p.Attr.Name) {
			limits = append(limits, p)
		}
	}
	return limits
}

// routerOSLimits are what RouterOS's manual says that a CoA changes (Session-Timeout,
// Recv and Xmit), and Total-Limit, which it does not name: that is tried.
var routerOSLimits = []string{
	"Session-Timeout", "Mikrotik-Recv-Limit", "Mikrotik-Recv-Limit-Gigawords", "Mikrotik-Xmit-Limit", "Mikrotik-Xmit-Limit-Gigawords",
	"Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords",
}

// nature is what a change of an attribute means for a session that runs.
type nature uint8

const (
	isHard    nature = iota // it needs a new login
	isSoft                  // the device changes it by CoA
	isNeutral               // nothing is done for it alone
)

// kind is what an attribute that a CoA changes is about. The numbers are in the
// marks of sessions that run: they stay as they are.
type kind uint8

const (
	ofRate kind = 1 << iota
	ofAddressList
	ofFilter
	ofProfile // a group or profile that the device knows by name
	ofTime
	ofService      // services that the device knows by name
	ofOther   kind = 1 << 7
)

// trait is what is known of an attribute.
type trait struct {
	nature nature
	of     kind
}

// traits are attributes by name.
type traits map[string]trait

// nature is what an attribute means on a device of this kind.
func (v *vendor) nature(a *dictionaries.Attribute) (nature, kind) {
	if a.Internal {
		return isNeutral, 0
	}
	for _, known := range []traits{v.changes, needsLogin, neutral} {
		if t, is := known[a.Name]; is {
			return t.nature, t.of
		}
	}
	if ofNoVendor(a) || strings.Contains(strings.ToLower(a.Name), "dns") {
		return isNeutral, 0
	}
	return isHard, 0
}

// needsLogin are the standard attributes for which a session is ended that was
// granted others: where it is in the network, and how it gets there. All other
// ones wait for the next login, as do name servers in any vendor's words: nobody
// is thrown out because interims are to come every ten minutes from now on.
// Attributes of vendors are the service itself, as far as nothing else is known
// of them.
var needsLogin = being(isHard,
	"Framed-Pool", "Framed-IPv6-Pool", "Delegated-IPv6-Prefix-Pool", "Stateful-IPv6-Address-Pool", "Framed-Route", "Framed-IPv6-Route",
	"Tunnel-Type", "Tunnel-Private-Group-Id", "Egress-VLANID", "Egress-VLAN-Name", "Filter-Id", "NAS-Filter-Rule", "Login-Service", "Callback-Number",
)

// changing makes the traits of a device: what it changes by CoA, beside what is
// neutral everywhere.
func changing(groups ...traits) traits {
	all := traits{}
	for _, g := range groups {
		maps.Copy(all, g)
	}
	return all
}

// softly are attributes of a kind that a CoA changes.
func softly(of kind, names ...string) traits {
	t := traits{}
	for _, n := range names {
		t[n] = trait{isSoft, of}
	}
	return t
}

// being are attributes of one nature.
func being(of nature, names ...string) traits {
	t := traits{}
	for _, n := range names {
		t[n] = trait{nature: of}
	}
	return t
}

// neutral attributes never make a difference between what a session has and what
// it should have.
var neutral = being(isNeutral,
	// of this login alone: keys, answers, the conversation
	"Reply-Message", "State", "Class", "Proxy-State", "EAP-Message", "Message-Authenticator", "Event-Timestamp", "Error-Cause", "User-Name",
	"MS-CHAP2-Success", "MS-CHAP-Error", "MS-CHAP-MPPE-Keys", "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types",
	"EAP-Key-Name", "WISPr-Session-Terminate-Time",
	// what is left of time and volume: accounting and the reconciler see to the end
	"Session-Timeout", "Termination-Action", "Acct-Interim-Interval",
	"Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords", "Mikrotik-Recv-Limit", "Mikrotik-Recv-Limit-Gigawords", "Mikrotik-Xmit-Limit", "Mikrotik-Xmit-Limit-Gigawords",
	"Huawei-Remanent-Volume",
	"ChilliSpot-Max-Total-Octets", "ChilliSpot-Max-Total-Gigawords", "ChilliSpot-Max-Input-Octets", "ChilliSpot-Max-Input-Gigawords",
	"ChilliSpot-Max-Output-Octets", "ChilliSpot-Max-Output-Gigawords",
	// leased addresses: a session that should have another is found by its address
	"Framed-IP-Address", "Framed-IP-Netmask", "Framed-IPv6-Address", "Framed-IPv6-Prefix", "Framed-Interface-Id", "Delegated-IPv6-Prefix",
	// what a link is, the same for all
	"Service-Type", "Framed-Protocol", "Framed-Compression", "Framed-MTU", "Framed-Routing",
)

// rfc5176 is what a device of no known vendor is asked to change: what the table
// of RFC 5176 §3.6 allows in a CoA-Request, and rates, for which there is no
// standard attribute: those of every vendor are tried.
var rfc5176 = changing(
	softly(ofRate, "Mikrotik-Rate-Limit", "Ascend-Data-Rate", "Ascend-Xmit-Rate",
		"WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down", "WISPr-Bandwidth-Min-Up", "WISPr-Bandwidth-Min-Down",
		"Huawei-Input-Average-Rate", "Huawei-Output-Average-Rate", "H3C-Input-Average-Rate", "H3C-Output-Average-Rate",
		"Cisco-Account-Info", "Alc-Subscriber-QoS-Override", "Motorola-Canopy-ULBR", "Motorola-Canopy-DLBR"),
	softly(ofAddressList, "Mikrotik-Address-List"),
	softly(ofFilter, "Filter-Id", "NAS-Filter-Rule"),
	softly(ofTime, "Idle-Timeout"),
)

// routerOS is what RouterOS's manual ("RADIUS", Change of Authorization) says
// that a CoA changes; neither address, pool nor routes. It does not name
// Mikrotik-Address-List and WISPr's rates.
var routerOS = changing(
	softly(ofRate, "Mikrotik-Rate-Limit", "Ascend-Data-Rate", "Ascend-Xmit-Rate",
		"WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down", "WISPr-Bandwidth-Min-Up", "WISPr-Bandwidth-Min-Down"),
	softly(ofAddressList, "Mikrotik-Address-List"),
	softly(ofFilter, "Filter-Id", "Mikrotik-Mark-Id"),
	softly(ofProfile, "Mikrotik-Group"),
	softly(ofTime, "Idle-Timeout"),
	softly(ofOther, "Mikrotik-Advertise-URL", "Mikrotik-Advertise-Interval", "Port-Limit"),
)

// huaweiCoA is what NetEngine's command reference names for CoA ("radius-server
// authorization error-reply"), and the rates that it reads in an Access-Accept.
var huaweiCoA = changing(
	softly(ofRate, "Huawei-Input-Average-Rate", "Huawei-Output-Average-Rate"),
	softly(ofFilter, "Filter-Id"),
	softly(ofProfile, "Huawei-Qos-Profile-Name", "Huawei-Down-QOS-Profile-Name"),
	softly(ofTime, "Idle-Timeout"),
)

// FNV-1a of 64 bits.
const (
	markBasis = 14695981039346656037
	markPrime = 1099511628211
)

// HashOf hashes what a pair is on the wire: numbers, vendor, tag and value, as
// marks do, and for what else is to be a part of one. The hashes of a list are
// added up, so that its order says nothing; they are mixed before, as sums of
// plain FNV keep its patterns.
func HashOf(p *dictionaries.Pair) uint64 { return hashValue(hashAttribute(p.Attr), p) }

func hashAttribute(of *dictionaries.Attribute) uint64 {
	h := uint64(markBasis)
	for a := of; a != nil; a = a.Parent {
		h = hashNumber(h, a.Number)
	}
	if of.Vendor != nil {
		h = hashNumber(h, of.Vendor.ID)
	}
	return h
}

func hashValue(h uint64, p *dictionaries.Pair) uint64 {
	h = (h ^ uint64(p.Tag)) * markPrime
	for _, b := range p.Value {
		h = (h ^ uint64(b)) * markPrime
	}
	h ^= h >> 33 // the finalizer of MurmurHash3
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func hashNumber(h uint64, n uint32) uint64 {
	for shift := 24; shift >= 0; shift -= 8 {
		h = (h ^ uint64(byte(n>>shift))) * markPrime
	}
	return h
}

// vendorOf is a device's profile; one that is not known is treated as other.
func vendorOf(dev *Device) *vendor {
	if dev != nil {
		if v := profileOf(dev.Type); v != nil {
			return v
		}
	}
	return profileOf("other")
}
