package dictionaries

import (
	"encoding/binary"
	"fmt"
)

// Keys are what hidden attributes are hidden with.
type Keys struct {
	Secret []byte
	// Authenticator is the Request Authenticator, for replies too. Nil means
	// that nothing can be hidden or shown.
	Authenticator *[16]byte
}

// vendorSpecific is the number of Vendor-Specific (RFC 2865 §5.26).
const vendorSpecific = 26

// Decode appends the attributes of a packet to dst. attrs is what follows the
// packet's 20-octet header. The only error is an attribute whose length is
// below 2 or runs beyond attrs (RFC 2865 §5): such a packet is malformed as a
// whole. All else that does not fit its definition becomes a raw attribute
// (see the package comment). Values alias attrs unless they were decrypted,
// joined or normalised.
func (d *Dictionary) Decode(dst Pairs, attrs []byte, k Keys) (Pairs, error) {
	dec := decoder{d: d, dst: dst, base: len(dst), keys: k}
	for at := 0; at < len(attrs); {
		rest := attrs[at:]
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return dec.dst, fmt.Errorf("decode attributes: attribute %d at octet %d: length does not fit; 2 to %d would be right",
				rest[0], at, len(rest))
		}
		size := int(rest[1])
		dec.attribute(rest[0], rest[2:size:size])
		at += size
	}
	return dec.dst, nil
}

// decoder is the state of one Decode.
type decoder struct {
	d    *Dictionary
	dst  Pairs
	base int // what dst held before
	keys Keys
	// Pieces of a value that goes on in the next attribute (RFC 6929 §2.2,
	// WiMAX). They stand in dst as raw attributes from index first on, and stay
	// there when the value is never completed.
	pieces struct {
		whole       *Attribute // what the joined value is
		first, skip int        // index in dst of the first piece; octets of header in each
		count       int
	}
}

// attribute decodes a top-level attribute.
func (dec *decoder) attribute(number byte, value []byte) {
	a := dec.d.top.get(uint32(number))
	if len(value) == 0 && !keepsEmpty(a) {
		return // RFC 2865 §5: must not be sent; FreeRADIUS ignores it as well
	}
	switch {
	case a == nil:
		dec.add(dec.d.raw(nil, nil, uint32(number)), 0, value)
	case a.Type == TypeVSA:
		if !dec.vendorSpecific(value) {
			dec.add(dec.d.rawOf(a), 0, value)
		}
	case a.Type == TypeExtended || a.Type == TypeLongExtended:
		if !dec.extended(a, value) {
			dec.add(dec.d.rawOf(a), 0, value)
		}
	default:
		dec.value(a, value)
	}
}

// keepsEmpty tells the one attribute that has a meaning without a value: RFC
// 4372 §2.2 asks for the Chargeable User Identity with it.
func keepsEmpty(a *Attribute) bool {
	return a != nil && a.Number == 89 && a.Vendor == nil && a.Parent == nil && !a.Unknown
}

func (dec *decoder) add(a *Attribute, tag uint8, value []byte) {
	dec.dst = append(dec.dst, Pair{Attr: a, Tag: tag, Value: value})
}

// value decodes what a leaf or a TLV holds; what does not fit becomes raw.
func (dec *decoder) value(a *Attribute, value []byte) {
	if len(value) == 0 && !keepsEmpty(a) {
		return
	}
	if a.Type == TypeTLV {
		if !dec.tlv(a, value) {
			dec.add(dec.d.rawOf(a), 0, value)
		}
		return
	}
	if a.Concat {
		if n := len(dec.dst); n > dec.base && dec.dst[n-1].Attr == a {
			last := &dec.dst[n-1]
			last.Value = append(last.Value, value...) // no room behind an aliasing value: this copies
			return
		}
		dec.add(a, 0, value)
		return
	}
	if a.Array && a.Encrypt == EncryptNone && !a.HasTag {
		dec.array(a, value)
		return
	}
	tag, plain, ok := dec.plain(a, value)
	if !ok {
		dec.add(dec.d.rawOf(a), 0, value)
		return
	}
	dec.add(a, tag, plain)
}

// array decodes several values of a fixed size that stand in one attribute.
func (dec *decoder) array(a *Attribute, value []byte) {
	size := int(typeSizes[a.Type])
	if size == 0 || len(value)%size != 0 {
		size = len(value)
	}
	for len(value) > 0 {
		if v, ok := canonical(a, value[:size:size]); ok {
			dec.add(a, 0, v)
		} else {
			dec.add(dec.d.rawOf(a), 0, value[:size:size])
		}
		value = value[size:]
	}
}

// plain takes off tag and encryption and returns the canonical value; ok is
// false when the octets cannot be a value of a.
func (dec *decoder) plain(a *Attribute, value []byte) (tag uint8, plain []byte, ok bool) {
	if a.HasTag {
		if tag, value, ok = untag(a, value); !ok {
			return 0, nil, false
		}
	}
	if a.Encrypt != EncryptNone {
		if value, ok = reveal(a, value, dec.keys); !ok {
			return 0, nil, false
		}
	}
	plain, ok = canonical(a, value)
	return tag, plain, ok
}

// untag takes the tag off (RFC 2868 §3). An integer always has room for one; a
// string's first octet is one when it is below 0x20; a hidden string always
// has one.
func untag(a *Attribute, value []byte) (tag uint8, rest []byte, ok bool) {
	if a.Type == TypeInteger && a.Encrypt == EncryptNone {
		if len(value) != 4 {
			return 0, nil, false
		}
		switch tag = value[0]; {
		case tag == 0:
			return 0, value, true
		case tag > 0x1f:
			tag = 0
		}
		return tag, []byte{0, value[1], value[2], value[3]}, true
	}
	switch tag = value[0]; {
	case len(value) == 1 && a.Encrypt == EncryptNone:
		return 0, value, true
	case tag <= 0x1f:
		return tag, value[1:], true
	case a.Encrypt == EncryptTunnel:
		return 0, value[1:], true
	}
	return 0, value, true
}

// canonical checks a value against the type and brings prefixes to their full
// length.
func canonical(a *Attribute, value []byte) ([]byte, bool) {
	size := int(typeSizes[a.Type])
	switch {
	case a.Type == TypeIPv6Prefix:
		return canonicalPrefix(value)
	case a.Type == TypeIPv4Prefix:
		return value, len(value) == size && value[1] <= 32
	case size > 0:
		return value, len(value) == size
	case a.Type == TypeComboIP:
		return value, len(value) == 4 || len(value) == 16
	case a.Length > 0:
		return value, len(value) == a.Length
	}
	return value, true
}

// canonicalPrefix fills a prefix up to 18 octets: RFC 3162 §2.3 lets the sender
// leave out the zeros at the end.
func canonicalPrefix(value []byte) ([]byte, bool) {
	if len(value) < 2 || len(value) > 18 || value[1] > 128 || int(value[1]) > 8*(len(value)-2) {
		return nil, false
	}
	if len(value) == 18 {
		return value, true
	}
	full := make([]byte, 18)
	copy(full, value)
	return full, true
}

// tlv decodes the members of a TLV: one octet of type, one of length (RFC 6929
// §2.3). ok is false, and nothing is added, when the lengths do not add up.
func (dec *decoder) tlv(parent *Attribute, value []byte) (ok bool) {
	if !wellFormed(value, 1, 1) {
		return false
	}
	for len(value) > 0 {
		size := int(value[1])
		if v := value[2:size:size]; len(v) > 0 {
			if a := parent.kids.get(uint32(value[0])); a != nil {
				dec.value(a, v)
			} else {
				dec.add(dec.d.raw(parent.Vendor, parent, uint32(value[0])), 0, v)
			}
		}
		value = value[size:]
	}
	return true
}

// wellFormed tells whether a value is a chain of type, length, value with so
// many octets of type and length.
func wellFormed(value []byte, typeLen, lengthLen int) bool {
	header := typeLen + lengthLen
	if len(value) < header {
		return false
	}
	if lengthLen == 0 {
		return true
	}
	for len(value) > 0 {
		if len(value) < header {
			return false
		}
		size := int(number(value[typeLen:header]))
		if size < header || size > len(value) {
			return false
		}
		value = value[size:]
	}
	return true
}

// vendorSpecific decodes Vendor-Specific (RFC 2865 §5.26) by the vendor's
// format. ok is false, and nothing is added, when it is malformed.
func (dec *decoder) vendorSpecific(value []byte) (ok bool) {
	if len(value) < 5 || value[0] != 0 {
		return false
	}
	id := binary.BigEndian.Uint32(value)
	v := dec.d.vendors[id]
	typeLen, lengthLen := 1, 1
	if v != nil {
		typeLen, lengthLen = v.TypeLen, v.LengthLen
	}
	rest := value[4:]
	if !wellFormed(rest, typeLen, lengthLen) {
		return false
	}
	if v != nil && v.Continuation {
		return dec.continued(v, value)
	}
	header := typeLen + lengthLen
	for len(rest) > 0 {
		size := len(rest)
		if lengthLen > 0 {
			size = int(number(rest[typeLen:header]))
		}
		n, inner := uint32(number(rest[:typeLen])), rest[header:size:size]
		rest = rest[size:]
		if len(inner) == 0 {
			continue
		}
		var a *Attribute
		if v != nil {
			a = v.attrs.get(n)
		}
		if a != nil {
			dec.value(a, inner)
		} else {
			dec.add(dec.d.rawAt(unknownKey{vendor: id, number: n, inside: true}), 0, inner)
		}
	}
	return true
}
