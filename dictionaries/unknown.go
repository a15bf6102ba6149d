package dictionaries

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// maxUnknown bounds the attributes that are remembered for numbers without a
// definition. Strangers choose those numbers: once the table is full, further
// ones are made anew each time.
const maxUnknown = 4096

// unknowns makes and remembers raw attributes, so that the same number gives
// the same *Attribute.
type unknowns struct {
	mu    sync.RWMutex
	known map[unknownKey]*Attribute
}

// unknownKey is the place of an attribute: vendor (0 for none), parent, number.
type unknownKey struct {
	parent *Attribute
	vendor uint32
	number uint32
	inside bool // a vendor's attribute, even where the vendor's id is 0
}

// raw returns the raw octets attribute of a place.
func (d *Dictionary) raw(v *Vendor, parent *Attribute, number uint32) *Attribute {
	k := unknownKey{parent: parent, number: number}
	if v != nil {
		k.vendor, k.inside = v.ID, true
	}
	return d.rawAt(k)
}

func (d *Dictionary) rawAt(k unknownKey) *Attribute {
	d.unknown.mu.RLock()
	a := d.unknown.known[k]
	d.unknown.mu.RUnlock()
	if a != nil {
		return a
	}
	a = &Attribute{Parent: k.parent, Number: k.number, Type: TypeOctets, Unknown: true, dict: d}
	if k.inside {
		a.Vendor = d.vendorOf(k.vendor)
	}
	a.Name = "Attr-" + a.OID()
	d.unknown.mu.Lock()
	defer d.unknown.mu.Unlock()
	if b := d.unknown.known[k]; b != nil {
		return b
	}
	if len(d.unknown.known) < maxUnknown {
		d.unknown.known[k] = a
	}
	return a
}

// rawOf returns the raw form of a known attribute: the same place, any bytes.
func (d *Dictionary) rawOf(a *Attribute) *Attribute { return d.raw(a.Vendor, a.Parent, a.Number) }

// vendorOf returns the vendor of an id, made up as FreeRADIUS does (1,1) when
// the dictionary does not have it.
func (d *Dictionary) vendorOf(id uint32) *Vendor {
	if v := d.vendors[id]; v != nil {
		return v
	}
	return &Vendor{Name: "Vendor-" + strconv.FormatUint(uint64(id), 10), ID: id, TypeLen: 1, LengthLen: 1}
}

// unknownRef reads `Attr-…` and `Vendor-N-Attr-…`.
func (d *Dictionary) unknownRef(name string) (*Attribute, error) {
	low := fold(name)
	var oid string
	if rest, ok := strings.CutPrefix(low, "vendor-"); ok {
		id, n, ok := strings.Cut(rest, "-attr-")
		if !ok {
			return nil, errUnknownName(name)
		}
		oid = "26." + id + "." + n
	} else if rest, ok := strings.CutPrefix(low, "attr-"); ok {
		oid = rest
	} else {
		return nil, errUnknownName(name)
	}
	a, err := d.rawOID(oid)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", name, err)
	}
	return a, nil
}

func errUnknownName(name string) error {
	return fmt.Errorf("attribute %q: not in the dictionary; a name that is, Attr-N or Attr-26.VENDOR.N would be right", name)
}

// rawOID returns the raw attribute at a dotted number.
func (d *Dictionary) rawOID(oid string) (*Attribute, error) {
	parts := strings.Split(oid, ".")
	numbers := make([]uint32, len(parts))
	for i, p := range parts {
		n, err := parseUint(p, 1<<32-1)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number; dotted numbers such as 26.9.250 would be right", p)
		}
		numbers[i] = uint32(n)
	}
	if n := numbers[0]; n == 0 || n > 255 {
		return nil, fmt.Errorf("number %d cannot be sent; 1 to 255 would be right", n)
	}
	v, parent, number, err := d.place(nil, nil, numbers)
	if err != nil {
		return nil, err
	}
	if err := fits(v, parent, number); err != nil {
		return nil, err
	}
	return d.raw(v, parent, number), nil
}

// place walks a dotted number down from a vendor and parent (both nil for the
// standard space) and returns the place of its last part.
func (d *Dictionary) place(v *Vendor, parent *Attribute, numbers []uint32) (*Vendor, *Attribute, uint32, error) {
	for len(numbers) > 1 {
		n := numbers[0]
		if v == nil && parent == nil && n == 26 {
			if len(numbers) < 3 {
				return nil, nil, 0, fmt.Errorf("26.%d names a vendor only; 26.VENDOR.NUMBER would be right", numbers[1])
			}
			v, numbers = d.vendorOf(numbers[1]), numbers[2:]
			continue
		}
		a := d.childAt(v, parent, n)
		if a == nil || !a.Type.structural() {
			return nil, nil, 0, fmt.Errorf("number %d has no members; a number of type tlv or extended must stand before a dot", n)
		}
		parent, numbers = a, numbers[1:]
		if a.Type == TypeEVS {
			if len(numbers) < 2 {
				return nil, nil, 0, fmt.Errorf("%s.%d names a vendor only; a number must follow", a.OID(), numbers[0])
			}
			v, numbers = d.vendorOf(numbers[0]), numbers[1:]
		}
	}
	return v, parent, numbers[0], nil
}

// childAt returns the definition at a place, or nil.
func (d *Dictionary) childAt(v *Vendor, parent *Attribute, n uint32) *Attribute {
	switch {
	case parent != nil && parent.Type == TypeEVS:
		return parent.evs[v.ID].get(n)
	case parent != nil:
		return parent.kids.get(n)
	case v != nil:
		return v.attrs.get(n)
	}
	return d.top.get(n)
}

// spaceOf returns the space that a definition at this place belongs to.
func (d *Dictionary) spaceOf(v *Vendor, parent *Attribute) *space {
	switch {
	case parent != nil && parent.Type == TypeEVS:
		s := parent.evs[v.ID]
		if s == nil {
			if parent.evs == nil {
				parent.evs = make(map[uint32]*space)
			}
			s = new(space)
			parent.evs[v.ID] = s
		}
		return s
	case parent != nil:
		return &parent.kids
	case v != nil:
		return &v.attrs
	}
	return &d.top
}

// fits tells whether a number can be written in its place's type field.
func fits(v *Vendor, parent *Attribute, number uint32) error {
	limit, octets := uint64(255), 1
	if parent == nil && v != nil {
		octets = v.TypeLen
		limit = 1<<(8*octets) - 1
	}
	if uint64(number) > limit {
		return fmt.Errorf("number %d does not fit into a type field of %d octets; at most %d would be right", number, octets, limit)
	}
	return nil
}
