package dictionaries

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

// Dictionary is a set of definitions. It does not change once it is loaded and
// is safe for concurrent use.
type Dictionary struct {
	// Location is the zone in which dates are read and printed (FreeRADIUS
	// uses the server's). Set it before use; nil means time.Local.
	Location *time.Location

	names   map[string]*Attribute // by name, as written and in lower case
	top     space                 // the standard space, internal attributes included
	vendors map[uint32]*Vendor
	vnames  map[string]*Vendor // in lower case
	order   []*Attribute       // in order of definition
	vorder  []*Vendor
	unknown unknowns
}

func newDictionary() *Dictionary {
	d := &Dictionary{
		names:   make(map[string]*Attribute),
		vendors: make(map[uint32]*Vendor),
		vnames:  make(map[string]*Vendor),
	}
	d.unknown.known = make(map[unknownKey]*Attribute)
	return d
}

// Find returns the attribute of a name, or nil. Case does not matter.
func (d *Dictionary) Find(name string) *Attribute {
	if a := d.names[name]; a != nil {
		return a
	}
	return d.names[fold(name)]
}

// Must is Find for names that code relies on: it panics when the dictionary
// lacks the name, which only a broken build can cause.
func (d *Dictionary) Must(name string) *Attribute {
	a := d.Find(name)
	if a == nil {
		panic("dictionaries: no attribute named " + name)
	}
	return a
}

// Vendor returns the vendor of a name (case does not matter), or nil.
func (d *Dictionary) Vendor(name string) *Vendor { return d.vnames[fold(name)] }

// Vendors returns every vendor in order of definition.
func (d *Dictionary) Vendors() []*Vendor { return append([]*Vendor(nil), d.vorder...) }

// All yields every attribute in order of definition.
func (d *Dictionary) All() iter.Seq[*Attribute] {
	return func(yield func(*Attribute) bool) {
		for _, a := range d.order {
			if !yield(a) {
				return
			}
		}
	}
}

// OfVendor yields a vendor's attributes in order of definition; nil stands for
// the standard space.
func (d *Dictionary) OfVendor(v *Vendor) iter.Seq[*Attribute] {
	return func(yield func(*Attribute) bool) {
		for _, a := range d.order {
			if a.Vendor == v && !yield(a) {
				return
			}
		}
	}
}

// Ref reads an attribute reference: a name, `Name:tag` (tag 1 to 31, only
// where the attribute has tags), or a number as FreeRADIUS writes it:
// `Attr-231`, `Attr-26.9.250`, `Vendor-9-Attr-250` (also `Attr-241.5`), whose
// values are raw octets.
func (d *Dictionary) Ref(text string) (a *Attribute, tag uint8, err error) {
	name, tagText, tagged := strings.Cut(text, ":")
	if a = d.Find(name); a == nil {
		if a, err = d.unknownRef(name); err != nil {
			return nil, 0, err
		}
	}
	if !tagged {
		return a, 0, nil
	}
	if !a.HasTag {
		return nil, 0, fmt.Errorf("attribute %q: %s has no tags; write it without :%s", text, a.Name, tagText)
	}
	n, err := parseUint(tagText, 31)
	if err != nil {
		return nil, 0, fmt.Errorf("attribute %q: tag %q is not a number from 1 to 31", text, tagText)
	}
	return a, uint8(n), nil
}

// Pair reads an attribute reference (see Ref) and a value (see Parse). A number
// that has a definition is that attribute, as in FreeRADIUS, when it can hold
// the octets: `Attr-26.9.250 = 0x01` is Cisco-Account-Info.
func (d *Dictionary) Pair(ref, text string) (Pair, error) {
	a, tag, err := d.Ref(ref)
	if err != nil {
		return Pair{}, err
	}
	v, err := a.Parse(text)
	if err != nil {
		return Pair{}, err
	}
	if a.Unknown {
		known := d.childAt(a.Vendor, a.Parent, a.Number)
		if known != nil && !known.Type.structural() && !known.HasTag && known.Encrypt == EncryptNone {
			if c, ok := canonical(known, v); ok {
				return Pair{Attr: known, Value: c}, nil
			}
		}
	}
	return Pair{Attr: a, Tag: tag, Value: v}, nil
}

// fold is the form of a name in which case does not matter.
func fold(name string) string { return strings.ToLower(name) }
