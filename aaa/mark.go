package aaa

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"strconv"

	"radial/dictionaries"
	"radial/nas"
)

// What a session was granted travels in the Class of its Access-Accept, which the
// NAS echoes in accounting (RFC 2865 §5.25): classMark, then in base64 the halves
// of the Mark and the witness, 8 octets each. docs/decisions/0013-marks.md tells
// what is in them, and why.
const (
	classMark     = "r1:"
	classMarkSize = len(classMark) + 32
)

// classMarked is a Class of ours, read.
type classMarked struct {
	Mark
	witness witness
}

// witness tells of the login what a row of radacct has to tell of it too, so that
// what is read there can be believed: the name whose rows were looked up, and
// the device that it came from (the row of nas, which NAS-IP-Address may miss),
// what of the request check items can be about. They are hashes.
type witness struct {
	name    uint32 // of 24 bits
	device  uint8
	request uint32
}

// appendClass appends the text of a mark.
func (c *classMarked) appendClass(b []byte) []byte {
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[0:], c.Soft)
	binary.BigEndian.PutUint64(raw[8:], c.Hard)
	binary.BigEndian.PutUint32(raw[16:], c.witness.name<<8|uint32(c.witness.device))
	binary.BigEndian.PutUint32(raw[20:], c.witness.request)
	return base64.RawURLEncoding.AppendEncode(append(b, classMark...), raw[:])
}

// isClassMark tells whether a Class is one of ours, by its form.
func isClassMark(class []byte) bool {
	return len(class) == classMarkSize && bytes.HasPrefix(class, []byte(classMark))
}

// readClass reads radacct.class: our own text, or the hex in which FreeRADIUS
// prints a Class. ok is false where it is no mark of ours.
func readClass(class string) (c classMarked, ok bool) {
	text := []byte(class)
	if bytes.HasPrefix(text, []byte("0x")) {
		n, err := hex.Decode(text, text[2:])
		if err != nil {
			return c, false
		}
		text = text[:n]
	}
	var raw [24]byte
	if !isClassMark(text) {
		return c, false
	}
	if _, err := base64.RawURLEncoding.Decode(raw[:], text[len(classMark):]); err != nil {
		return c, false
	}
	c.Soft, c.Hard = binary.BigEndian.Uint64(raw[0:]), binary.BigEndian.Uint64(raw[8:])
	c.witness = witness{binary.BigEndian.Uint32(raw[16:]) >> 8, raw[19], binary.BigEndian.Uint32(raw[20:])}
	return c, c.Soft != 0 && c.Hard != 0
}

// MarkOfClass returns the mark in a row's class; the zero Mark where there is
// none.
func MarkOfClass(class string) Mark {
	c, ok := readClass(class)
	if !ok {
		return Mark{}
	}
	return c.Mark
}

// setClass makes the Class of an accepted login, if it is to have one: the reply
// has none of its own.
func (l *authorization) setClass() bool {
	if !l.e.opts.Mark || l.in.req.Device == nil || l.reply.Has(l.e.words.class) {
		return false
	}
	c := classMarked{Mark: l.mark(), witness: l.witness()}
	c.appendClass(l.class[:0])
	return true
}

// mark is what the login grants, without what differs from login to login: what
// was leased (all that stands behind l.own in the reply), what is left of times
// and volumes, what is made of the request. Addresses that the rows name, and
// the pools that they choose, are part of Hard.
func (l *authorization) mark() (m Mark) {
	own := l.reply[:min(l.own, len(l.reply))]
	m.Soft, m.Hard = l.e.marker.Mark(l.in.req.Device.Type, own, l.made)
	words := &l.e.words.address
	for i := range l.control {
		p := &l.control[i]
		if len(p.Value) == 0 {
			continue
		}
		for k := range words.kinds {
			if word := &words.kinds[k]; p.Attr == word.choose && givenIn(own, word) == nil && !l.isMade(p.Attr) {
				m.Hard += nas.HashOf(p)
			}
		}
	}
	m.Hard = max(m.Hard, 1)
	return m
}

// isMade tells whether a value of the attribute is made of the request, by an
// expansion: it is another one at each login.
func (l *authorization) isMade(a *dictionaries.Attribute) bool {
	for _, made := range l.made {
		if made == a {
			return true
		}
	}
	return false
}

// witness is made of what accounting will tell as well.
func (l *authorization) witness() witness {
	w, req := l.e.words, l.in.req
	h := mix(witnessBegin, uint64(req.Device.ID))
	device := uint8(half(h))
	addr := l.nasAddress().As16()
	h = mixBytes(h, addr[:])
	var values [6][]byte
	var number [10]byte
	for i := range l.in.pairs {
		p := &l.in.pairs[i]
		at := -1
		switch p.Attr {
		case w.nasPortID:
			at = 0
		case w.nasPort:
			if values[0] == nil && len(p.Value) == 4 && !l.in.pairs.Has(w.nasPortID) {
				values[0] = strconv.AppendUint(number[:0], uint64(uint32Value(p.Value)), 10)
			}
		case w.nasPortType:
			at = 1
		case w.callingStation:
			at = 2
		case w.calledStation:
			at = 3
		case w.serviceType:
			at = 4
		case w.framedProtocol:
			at = 5
		}
		if at >= 0 && values[at] == nil {
			values[at] = p.Value
		}
	}
	for i := range values {
		h = mixBytes(h, values[i])
	}
	return witness{name: l.nameWitness(), device: device, request: half(h)}
}

func (l *authorization) nameWitness() uint32 { return half(mixString(witnessBegin, l.user)) >> 8 }

// The witness is hashed eight octets at a time, as it is made at each login.
// These numbers stay what they are: hashes of sessions that run are made of them.
const (
	witnessBegin uint64 = 0x9e3779b97f4a7c15
	witnessOdd   uint64 = 0xd6e8feb86659fd93
)

func mix(h, word uint64) uint64 {
	high, low := bits.Mul64(h^word, witnessOdd)
	return bits.RotateLeft64(high^low, 29) + word
}

func mixBytes(h uint64, b []byte) uint64 {
	n := uint64(len(b))
	for len(b) >= 8 {
		h, b = mix(h, binary.LittleEndian.Uint64(b)), b[8:]
	}
	var tail uint64
	switch k := len(b); {
	case k >= 4: // the two halves overlap
		tail = uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[k-4:]))<<32
	case k > 0:
		tail = uint64(b[0]) | uint64(b[k/2])<<8 | uint64(b[k-1])<<16
	}
	return mix(h^n, tail)
}

func mixString(h uint64, s string) uint64 {
	var room [64]byte
	return mixBytes(h, append(room[:0], s...))
}

func half(h uint64) uint32 { return uint32(h>>32) ^ uint32(h) }
