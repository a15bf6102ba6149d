package nas

import (
	"slices"
	"strings"
	"sync"

	"radial/dictionaries"
)

// Marker makes marks of what the rows of a login grant, before ShapeReply: what
// a profile makes of it may differ from version to version, and a mark must not.
// It knows by heart what each attribute of the dictionary is to each type of
// device. It is safe for concurrent use.
type Marker struct {
	types            map[string]*marking
	mikrotik, others *marking
}

// marking has what attributes are to a device, at their Index; worked out at the
// first reply for one.
type marking struct {
	once  sync.Once
	make  func() []markPart
	parts []markPart
}

type markPart struct {
	nature nature
	of     kind
	seed   uint64 // hash of the attribute's numbers
}

// NewMarker makes a Marker of the attributes of d.
func NewMarker(d *dictionaries.Dictionary) *Marker {
	m := &Marker{types: make(map[string]*marking, len(vendors))}
	for i := range vendors {
		m.types[vendors[i].name] = &marking{make: func() []markPart { return markPartsOf(&vendors[i], d) }}
	}
	m.mikrotik, m.others = m.types["mikrotik"], m.types["other"]
	return m
}

func markPartsOf(v *vendor, d *dictionaries.Dictionary) []markPart {
	all := []markPart{{nature: isNeutral}} // of unknown ones
	for a := range d.All() {
		for a.Index >= len(all) {
			all = append(all, markPart{nature: isNeutral})
		}
		p := &all[a.Index]
		p.seed = hashAttribute(a)
		if p.nature, p.of = v.granted(a); ownAddresses[a.Name] {
			p.nature = isHard
		}
	}
	return all
}

// ownAddresses need a new login where they are the rows', and not leased.
var ownAddresses = map[string]bool{
	"Framed-IP-Address": true, "Framed-IPv6-Address": true, "Framed-IPv6-Prefix": true, "Delegated-IPv6-Prefix": true,
}

// granted is what an attribute of a reply means to a device before its vendor's
// own encoding takes its place. Of what ShapeReply drops, MikroTik's and WISPr's
// attributes are what is granted, in words that every profile reads.
func (v *vendor) granted(a *dictionaries.Attribute) (nature, kind) {
	if v.rates == nil || v.understands(a) {
		return v.nature(a)
	}
	said, of := profileOf("mikrotik").nature(a)
	switch {
	case said != isSoft:
		return isNeutral, 0
	case v.changesKind(of):
		return isSoft, of
	case of == ofRate:
		return isHard, 0
	}
	return isNeutral, 0
}

// changesKind tells whether a CoA changes anything of that kind.
func (v *vendor) changesKind(of kind) bool {
	for _, t := range v.changes {
		if t.nature == isSoft && t.of == of {
			return true
		}
	}
	return false
}

// Mark returns the mark of what rows grant on a device of a type: two numbers,
// of what the device can change by CoA and of what needs a new login, that are
// the same on all servers and in all versions for the same attributes, in
// whatever order. They travel in Class as the mark of what a session was granted.
// Neither is ever 0. The lowest eight bits of soft tell which kinds of attributes
// are there (Lost). Of a reply that goes out as it stands it is what Split parts,
// but for the addresses that rows name: these are in hard. skip names attributes
// that are left out. It does not allocate.
func (m *Marker) Mark(deviceType string, rows dictionaries.Pairs, skip []*dictionaries.Attribute) (soft, hard uint64) {
	known := m.of(deviceType)
	known.once.Do(func() { known.parts = known.make() })
	parts := known.parts
	soft, hard = markBasis, markBasis
	var there kind
	for i := range rows {
		p := &rows[i]
		part := &parts[p.Attr.Index]
		if part.nature == isNeutral || len(p.Value) == 0 || len(skip) > 0 && slices.Contains(skip, p.Attr) {
			continue
		}
		h := hashValue(part.seed, p)
		if part.nature == isHard {
			hard += h
			continue
		}
		soft += h
		there |= part.of
	}
	return closeMark(soft, hard, there)
}

func (m *Marker) of(deviceType string) *marking {
	switch deviceType {
	case "mikrotik":
		return m.mikrotik
	case "other":
		return m.others
	}
	base, _ := baseType(deviceType)
	if parts, ok := m.types[strings.ToLower(base)]; ok {
		return parts
	}
	return m.others
}

// SameGrants tells whether two marks are of the same attributes, though they may
// stand in the other half of one: the device's type was changed, or another
// version knows more of what it can change.
func SameGrants(soft1, hard1, soft2, hard2 uint64) bool {
	// the lowest bits of soft are its kinds, so that the sums are known to 255
	less := soft1&^0xff + hard1 - (soft2&^0xff + hard2)
	return less <= 0xff || -less <= 0xff
}
