package dictionaries

// Pair is one attribute of a packet or of a policy list: what FreeRADIUS calls
// a value pair, without an operator.
//
// Value is the canonical wire form: no header, no tag byte, no encryption, no
// padding. An integer is 4 bytes big-endian (byte 1, short 2, integer64 8), an
// ipaddr 4 bytes, an ipv6addr 16, a date 4 bytes of Unix seconds, a string its
// raw bytes. Two Pairs are equal when Attr, Tag and Value are.
//
// Values that came from a packet alias the packet's buffer: whoever keeps one
// longer than the packet copies it.
type Pair struct {
	Attr  *Attribute
	Tag   uint8 // RFC 2868 §3: 1 to 31, or 0 for none
	Value []byte
}

// Pairs is an ordered list of attributes; order matters on the wire.
type Pairs []Pair

// First returns the first instance of a, or nil.
func (ps Pairs) First(a *Attribute) *Pair {
	for i := range ps {
		if ps[i].Attr == a {
			return &ps[i]
		}
	}
	return nil
}

// Value returns the value of the first instance of a; ok is false when there
// is none.
func (ps Pairs) Value(a *Attribute) (v []byte, ok bool) {
	if p := ps.First(a); p != nil {
		return p.Value, true
	}
	return nil, false
}

// Has tells whether the list holds an instance of a.
func (ps Pairs) Has(a *Attribute) bool { return ps.First(a) != nil }
