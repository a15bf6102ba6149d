package dictionaries

import (
	"encoding/binary"
	"slices"
)

// member appends a member of a TLV: into the TLV that the pair before left
// open, as deep as the two agree, or into a new one.
func (e *encoder) member(dst []byte, a *Attribute, value []byte) ([]byte, error) {
	e.chain = e.chain[:0]
	for up := a; ; up = up.Parent {
		e.chain = append(e.chain, up)
		if up.Parent == nil || up.Parent.Type != TypeTLV {
			break
		}
	}
	slices.Reverse(e.chain)
	if depth := e.shared(dst, len(value)); depth > 0 {
		e.open = e.open[:depth]
		before := len(dst)
		dst = e.nest(dst, len(dst), e.chain[depth:], value)
		e.grow(dst, len(dst)-before)
		return dst, nil
	}

	e.open = append(e.open[:0], level{tlv: e.chain[0]})
	inner := e.nest(e.nested[:0], 0, e.chain[1:], value)
	e.nested = inner
	if n := 2*(len(e.chain)-1) + len(value); n > 255 {
		return dst, tooLong(value, 255-2*(len(e.chain)-1))
	}
	before := len(dst)
	dst, err := e.top(dst, e.chain[0], inner)
	if err != nil {
		return dst, err
	}
	if len(dst)-before > 255 {
		e.open = e.open[:0] // split over attributes: nothing can be added to it
		return dst, nil
	}
	for i := range e.open[1:] {
		e.open[1+i].length += len(dst) - len(inner)
	}
	return dst, nil
}

// shared returns how many of the open TLVs the chain has in common, counting
// only as far as size more octets, with their headers, fit into every length
// field around them; 0 when a new attribute is needed.
func (e *encoder) shared(dst []byte, size int) int {
	depth := 0
	for depth < len(e.open) && depth < len(e.chain)-1 && e.open[depth].tlv == e.chain[depth] {
		depth++
	}
	for ; depth > 0; depth-- {
		need, fits := 2*(len(e.chain)-depth)+size, true
		for _, l := range e.open[1:depth] {
			fits = fits && int(dst[l.length])+need <= 255
		}
		for _, f := range e.lengths[:e.fields] {
			limit := 255
			if f.octets == 2 {
				limit = 1<<16 - 1
			}
			fits = fits && int(number(dst[f.at:f.at+f.octets]))+need <= limit
		}
		if fits && size <= 253 {
			return depth
		}
	}
	return 0
}

// nest appends the headers of the chain's TLVs, the last one's member and its
// value, and notes the TLVs as open; at is where b's end will stand.
func (e *encoder) nest(b []byte, at int, chain []*Attribute, value []byte) []byte {
	for i, a := range chain {
		if i < len(chain)-1 {
			e.open = append(e.open, level{tlv: a, length: at + 2*i + 1})
		}
		b = append(b, byte(a.Number), byte(2*(len(chain)-i)+len(value)))
	}
	return append(b, value...)
}

// grow adds to the length fields around what was appended.
func (e *encoder) grow(dst []byte, size int) {
	for i := 1; i < len(e.open); i++ {
		if l := e.open[i].length; l < len(dst)-size {
			dst[l] += byte(size)
		}
	}
	for _, f := range e.lengths[:e.fields] {
		if f.octets == 2 {
			binary.BigEndian.PutUint16(dst[f.at:], binary.BigEndian.Uint16(dst[f.at:])+uint16(size))
		} else {
			dst[f.at] += byte(size)
		}
	}
}
