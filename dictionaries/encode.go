package dictionaries

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Append appends pairs to a packet's attributes, in order. Internal attributes
// and empty values are left out (RFC 2865 §5 forbids empty ones; hidden values
// and Chargeable-User-Identity may be empty). Long values are split where the
// attribute allows it, and members of the same TLV that follow one another
// share it. k hides passwords; Keys.Authenticator is the Request
// Authenticator, for replies too. An error names the attribute that cannot be
// sent: its value too long for it, of a length its type does not have, or
// hidden without keys. dst is then as it was.
func (d *Dictionary) Append(dst []byte, ps Pairs, k Keys) ([]byte, error) {
	e := encoder{keys: k}
	before := len(dst)
	for i := range ps {
		var err error
		if dst, err = e.pair(dst, &ps[i]); err != nil {
			return dst[:before], fmt.Errorf("append attribute %s: %w", ps[i].Attr.Name, err)
		}
	}
	return dst, nil
}

// encoder is the state of one Append.
type encoder struct {
	keys   Keys
	salt   uint16
	salted bool

	open    []level        // TLVs that the next pair may join, outermost first
	lengths [2]lengthField // the length fields around the outermost of them
	fields  int            // how many of them there are
	chain   []*Attribute
	nested  []byte
	scratch [256]byte
}

// level is an open TLV and the index of its length octet in dst; the outermost
// one has its length in encoder.lengths.
type level struct {
	tlv    *Attribute
	length int
}

// lengthField is a length in dst of one or two octets.
type lengthField struct{ at, octets int }

// field notes a length field of what is appended.
func (e *encoder) field(at, octets int) {
	e.lengths[e.fields] = lengthField{at, octets}
	e.fields++
}

// pair appends one pair.
func (e *encoder) pair(dst []byte, p *Pair) ([]byte, error) {
	a := p.Attr
	if a.Internal || len(p.Value) == 0 && a.Encrypt == EncryptNone && !keepsEmpty(a) {
		return dst, nil
	}
	if a.Type.structural() {
		return dst, fmt.Errorf("type %s has no value of its own; its members are sent", a.Type)
	}
	if size := int(typeSizes[a.Type]); size > 0 && len(p.Value) != size {
		return dst, fmt.Errorf("%d octets; type %s has %d", len(p.Value), a.Type, size)
	}
	value, err := e.dress(p)
	if err != nil {
		return dst, err
	}
	if a.Parent == nil || a.Parent.Type != TypeTLV {
		e.open = e.open[:0]
		return e.top(dst, a, value)
	}
	return e.member(dst, a, value)
}

// dress returns the value as it is sent: tagged (RFC 2868 §3) and hidden.
func (e *encoder) dress(p *Pair) ([]byte, error) {
	a := p.Attr
	if !a.HasTag && a.Encrypt == EncryptNone {
		return p.Value, nil
	}
	b := e.scratch[:0]
	tag := p.Tag
	if tag > 0x1f {
		return nil, fmt.Errorf("tag %d; 0 to 31 would be right", tag)
	}
	if a.HasTag && a.Type == TypeInteger && a.Encrypt == EncryptNone {
		if p.Value[0] != 0 {
			return nil, fmt.Errorf("value %s; a tagged integer has 24 bits (RFC 2868 §3.1)", a.Text(p.Value))
		}
		return append(append(b, tag), p.Value[1:]...), nil
	}
	// A string without a tag needs a zero one only where its own first octet
	// would be taken for a tag.
	if a.HasTag && (tag != 0 || a.Encrypt == EncryptTunnel || len(p.Value) > 0 && p.Value[0] <= 0x1f) {
		b = append(b, tag)
	}
	if a.Encrypt != EncryptNone {
		return e.hide(b, a, p.Value)
	}
	return append(b, p.Value...), nil
}

// top appends an attribute that stands in no TLV.
func (e *encoder) top(dst []byte, a *Attribute, value []byte) ([]byte, error) {
	e.fields = 0
	switch {
	case a.Parent != nil && a.Parent.Type == TypeEVS:
		head := binary.BigEndian.AppendUint32(make([]byte, 0, 5), a.Vendor.ID)
		return e.extended(dst, a.Parent, append(head, byte(a.Number)), value)
	case a.Parent != nil:
		return e.extended(dst, a, nil, value)
	case a.Vendor != nil:
		return e.vendorSpecific(dst, a, value)
	case a.Number > 255:
		return dst, fmt.Errorf("number %d cannot be sent; 1 to 255 would be right", a.Number)
	}
	for len(value) > 253 && (a.Concat || inPieces(a)) {
		n := 253
		for !a.Concat && n > 250 && !utf8.RuneStart(value[n]) {
			n-- // each piece is a text
		}
		dst = append(append(dst, byte(a.Number), byte(2+n)), value[:n]...)
		value = value[n:]
	}
	if len(value) > 253 {
		return dst, tooLong(value, 253)
	}
	e.field(len(dst)+1, 1)
	return append(append(dst, byte(a.Number), byte(2+len(value))), value...), nil
}

// inPieces tells the one text that a NAS puts together itself: several
// Reply-Message are shown in their order (RFC 2865 §5.18).
func inPieces(a *Attribute) bool {
	return a.Number == 18 && a.Vendor == nil && a.Parent == nil && !a.Unknown
}

func tooLong(value []byte, limit int) error {
	return fmt.Errorf("%d octets; at most %d can be sent", len(value), limit)
}

// vendorSpecific appends RFC 2865 §5.26 in the vendor's format, in several
// attributes where the format has a continuation octet.
func (e *encoder) vendorSpecific(dst []byte, a *Attribute, value []byte) ([]byte, error) {
	v := a.Vendor
	header := 6 + v.TypeLen + v.LengthLen
	if v.Continuation {
		header++
	}
	limit := 255 - header
	for len(value) > limit && (v.Continuation || a.Concat) {
		dst = appendVendorHeader(dst, a, limit, v.Continuation)
		dst = append(dst, value[:limit]...)
		value = value[limit:]
	}
	if len(value) > limit {
		return dst, tooLong(value, limit)
	}
	at := len(dst)
	e.field(at+1, 1)
	if v.LengthLen > 0 {
		e.field(at+6+v.TypeLen, v.LengthLen)
	}
	return append(appendVendorHeader(dst, a, len(value), false), value...), nil
}

// appendVendorHeader appends all that stands before size octets of value.
func appendVendorHeader(dst []byte, a *Attribute, size int, goesOn bool) []byte {
	v := a.Vendor
	inner := v.TypeLen + v.LengthLen + size
	if v.Continuation {
		inner++
	}
	dst = append(dst, vendorSpecific, byte(6+inner))
	dst = binary.BigEndian.AppendUint32(dst, v.ID)
	dst = appendUint(dst, a.Number, v.TypeLen)
	dst = appendUint(dst, uint32(inner), v.LengthLen)
	if v.Continuation {
		dst = append(dst, moreFlag(goesOn))
	}
	return dst
}

// extended appends a member of an extended attribute (RFC 6929 §2.1, §2.2); a
// is the member itself or the evs around it, head what stands before the value.
func (e *encoder) extended(dst []byte, a *Attribute, head, value []byte) ([]byte, error) {
	outer := byte(a.Parent.Number)
	if a.Parent.Type == TypeExtended {
		if limit := 252 - len(head); len(value) > limit {
			return dst, tooLong(value, limit)
		}
		e.field(len(dst)+1, 1)
		dst = append(dst, outer, byte(3+len(head)+len(value)), byte(a.Number))
		return append(append(dst, head...), value...), nil
	}
	const limit = 251
	for len(head)+len(value) > limit {
		n := limit - len(head)
		dst = append(append(dst, outer, 255, byte(a.Number), more), head...)
		dst = append(dst, value[:n]...)
		head, value = nil, value[n:]
	}
	e.field(len(dst)+1, 1)
	dst = append(dst, outer, byte(4+len(head)+len(value)), byte(a.Number), 0)
	return append(append(dst, head...), value...), nil
}

func moreFlag(goesOn bool) byte {
	if goesOn {
		return more
	}
	return 0
}

func appendUint(dst []byte, n uint32, octets int) []byte {
	for ; octets > 0; octets-- {
		dst = append(dst, byte(n>>(8*(octets-1))))
	}
	return dst
}
