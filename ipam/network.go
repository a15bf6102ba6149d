package ipam

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Range is a run of addresses of one family, both ends included. The zero
// Range is none.
type Range struct{ First, Last netip.Addr }

// RangeOf returns all addresses of a network.
func RangeOf(p netip.Prefix) Range {
	p = p.Masked()
	return Range{First: p.Addr(), Last: lastOf(p)}
}

// ParseRange reads an address, a CIDR, or two addresses with a dash between.
func ParseRange(text string) (Range, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		return checkedRange(text, Range{a, a})
	}
	if strings.Contains(text, "/") {
		p, err := ParseNetwork(text)
		if err != nil {
			return Range{}, err
		}
		return RangeOf(p), nil
	}
	first, last, _ := strings.Cut(text, "-")
	a, err1 := netip.ParseAddr(strings.TrimSpace(first))
	b, err2 := netip.ParseAddr(strings.TrimSpace(last))
	if err1 != nil || err2 != nil {
		return Range{}, fmt.Errorf("%q: want an address, a CIDR, or a range like 10.0.0.10-10.0.0.200", text)
	}
	return checkedRange(text, Range{a, b})
}

func checkedRange(text string, r Range) (Range, error) {
	r = Range{r.First.Unmap(), r.Last.Unmap()}
	switch {
	case r.First.Zone() != "" || r.Last.Zone() != "":
		return Range{}, fmt.Errorf("%q: an address with a zone is of one link alone; want one without", text)
	case r.First.Is4() != r.Last.Is4():
		return Range{}, fmt.Errorf("%q: IPv4 and IPv6 mixed; want both ends of one family", text)
	case r.Last.Less(r.First):
		return Range{}, fmt.Errorf("%q: begins after its end; want %s-%s", text, r.Last, r.First)
	}
	return r, nil
}

// ParseNetwork reads a CIDR without host bits.
func ParseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(strings.TrimSpace(text))
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q: want a network like 100.64.0.0/16 or 2001:db8::/40", text)
	}
	return p, checkNetwork(p)
}

func checkNetwork(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return fmt.Errorf("network %v: not a CIDR; want one like 100.64.0.0/16", p)
	case p.Addr().Is4In6():
		return fmt.Errorf("network %s: IPv4 written as IPv6; want it as IPv4", p)
	case p != p.Masked():
		return fmt.Errorf("network %s: host bits are set; want %s", p, p.Masked())
	}
	return nil
}

// IsValid tells whether r is any range.
func (r Range) IsValid() bool { return r.First.IsValid() }

// String returns the range as it is read: "a", or "a-b".
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Size is the number of addresses in r; 2^64 and more are math.MaxUint64.
func (r Range) Size() uint64 { return r.Leases(r.First.BitLen()) }

// Leases is the number of prefixes of a length in r, whose ends are where such
// prefixes begin and end; 2^64 and more are math.MaxUint64.
func (r Range) Leases(length int) uint64 {
	if !r.IsValid() {
		return 0
	}
	firstHi, firstLo := halves(r.First)
	lastHi, lastLo := halves(r.Last)
	lo, borrow := bits.Sub64(lastLo, firstLo, 0)
	hi, _ := bits.Sub64(lastHi, firstHi, borrow)
	shift := r.First.BitLen() - length
	switch {
	case shift >= 64:
		lo, hi = hi>>(shift-64), 0
	case shift > 0:
		lo, hi = lo>>shift|hi<<(64-shift), hi>>shift
	}
	if hi != 0 || lo == math.MaxUint64 {
		return math.MaxUint64
	}
	return lo + 1
}

// Contains tells whether a lies in r.
func (r Range) Contains(a netip.Addr) bool {
	return r.IsValid() && a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Covers tells whether all of o lies in r.
func (r Range) Covers(o Range) bool { return r.Contains(o.First) && r.Contains(o.Last) }

// Overlaps tells whether r and o have an address in common.
func (r Range) Overlaps(o Range) bool {
	return r.Contains(o.First) || o.Contains(r.First)
}

// Chunks cuts a range of IPv4 into runs of at most size addresses, in order.
func (r Range) Chunks(size uint64) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		first, last := uint64(toUint(r.First)), uint64(toUint(r.Last))
		for ; first <= last; first += size {
			end := min(first+size-1, last)
			if !yield(Range{First: toAddr(uint32(first)), Last: toAddr(uint32(end))}) {
				return
			}
		}
	}
}

// Subtract returns what of the runs from lies in none of take; both are in
// order, and their own runs do not overlap.
func Subtract(from, take []Range) []Range {
	var left []Range
	for _, r := range from {
		rest := r
		for _, t := range take {
			if !rest.Overlaps(t) {
				continue
			}
			if rest.First.Less(t.First) {
				left = append(left, Range{rest.First, t.First.Prev()})
			}
			if t.Last.Compare(rest.Last) >= 0 {
				rest = Range{}
				break
			}
			rest.First = t.Last.Next()
		}
		if rest.IsValid() {
			left = append(left, rest)
		}
	}
	return left
}

// merged puts ranges in order and joins those that overlap.
func merged(all []Range) []Range {
	slices.SortFunc(all, func(a, b Range) int { return a.First.Compare(b.First) })
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].Contains(r.First) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		if keep := p.Bits() - 8*i; keep < 8 {
			b[i] |= 0xff >> max(keep, 0)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func halves(a netip.Addr) (hi, lo uint64) {
	if a.Is4() {
		return 0, uint64(toUint(a))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

func toUint(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func toAddr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
