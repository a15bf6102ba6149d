package dictionaries

import "encoding/binary"

// more is the flag of a value that goes on in the next attribute, in the flags
// octet of long extended attributes (RFC 6929 §2.2) and of WiMAX's.
const more = 0x80

// extended decodes an attribute of RFC 6929. ok is false, and nothing is added,
// when its header is not complete.
func (dec *decoder) extended(parent *Attribute, value []byte) (ok bool) {
	if parent.Type == TypeExtended {
		if len(value) < 2 {
			return false
		}
		return dec.member(parent, value[0], value[1:])
	}
	if len(value) < 3 {
		return false
	}
	whole := parent.kids.get(uint32(value[0]))
	if whole == nil {
		whole = dec.d.raw(nil, parent, uint32(value[0]))
	}
	joined, state := dec.piece(whole, dec.d.rawOf(parent), value, 2, value[1]&more != 0)
	if state == pieceWaits {
		return true
	}
	if joined == nil {
		return dec.member(parent, value[0], value[2:])
	}
	at := dec.pieces.first
	kept := dec.dst
	dec.dst = dec.dst[:at]
	if !dec.member(parent, value[0], joined) {
		dec.dst = kept // the joined value cannot be read: the pieces stay as they came
		return false
	}
	return true
}

// member decodes a member of an extended attribute.
func (dec *decoder) member(parent *Attribute, number byte, value []byte) (ok bool) {
	a := parent.kids.get(uint32(number))
	switch {
	case a == nil:
		dec.add(dec.d.raw(nil, parent, uint32(number)), 0, value)
	case a.Type == TypeEVS:
		// RFC 6929 §2.4: vendor id, vendor type, value.
		if len(value) < 6 || value[0] != 0 {
			return false
		}
		id, n := binary.BigEndian.Uint32(value), uint32(value[4])
		if leaf := a.evs[id].get(n); leaf != nil {
			dec.value(leaf, value[5:])
		} else {
			dec.add(dec.d.rawAt(unknownKey{parent: a, vendor: id, number: n, inside: true}), 0, value[5:])
		}
	default:
		dec.value(a, value)
	}
	return true
}

// continued decodes the attribute of a vendor with format=1,1,c: after type
// and length stands an octet whose high bit says that the next Vendor-Specific
// goes on with the same attribute.
func (dec *decoder) continued(v *Vendor, value []byte) (ok bool) {
	inner := value[4:]
	if int(inner[1]) != len(inner) || len(inner) < 4 {
		return false // one attribute in each Vendor-Specific, with at least an octet of value
	}
	a := v.attrs.get(uint32(inner[0]))
	if a == nil {
		a = dec.d.raw(v, nil, uint32(inner[0]))
	}
	joined, state := dec.piece(a, dec.d.raw(nil, nil, vendorSpecific), value, 7, inner[2]&more != 0)
	switch {
	case state == pieceWaits:
		return true
	case joined != nil:
		dec.dst = dec.dst[:dec.pieces.first]
		dec.value(a, joined)
	default:
		dec.value(a, inner[3:])
	}
	return true
}

// pieceState says what became of a piece.
type pieceState uint8

const (
	pieceWaits pieceState = iota // kept as raw until the rest comes
	pieceLast                    // the value is complete
)

// piece takes one piece of a value that may span attributes; skip is the
// length of the header in each. Pieces join only when nothing stands between
// them. With pieceLast, joined is the whole value, or nil if this piece is
// all of it; the raw pieces still stand at dst[pieces.first:].
func (dec *decoder) piece(whole, raw *Attribute, value []byte, skip int, goesOn bool) (joined []byte, state pieceState) {
	p := &dec.pieces
	waiting := p.count > 0 && p.whole == whole && p.first+p.count == len(dec.dst)
	if goesOn {
		if !waiting {
			p.whole, p.first, p.count, p.skip = whole, len(dec.dst), 0, skip
		}
		p.count++
		dec.add(raw, 0, value)
		return nil, pieceWaits
	}
	if !waiting {
		return nil, pieceLast
	}
	for _, pair := range dec.dst[p.first:] {
		joined = append(joined, pair.Value[skip:]...)
	}
	p.count = 0
	return append(joined, value[skip:]...), pieceLast
}
