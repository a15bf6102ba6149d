package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// Leases of IPv6 are counted, not listed: the n-th prefix of a pool is its
// number among all that the pool's runs hold, in the order of the runs.

// Capacity is the number of leases that a pool of a sparse kind has; 2^64 and
// more are math.MaxUint64.
func (p *PoolInfo) Capacity() uint64 {
	var sum uint64
	for _, r := range p.Runs {
		sum = AddLeases(sum, r.Leases(p.PrefixLength))
	}
	return sum
}

// nth is the first address of the n-th lease of a pool, from 0; ok is false
// beyond the last.
func (p *PoolInfo) nth(n uint64) (a netip.Addr, ok bool) {
	for _, r := range p.Runs {
		size := r.Leases(p.PrefixLength)
		if n < size {
			return ahead(r.First, n, p.PrefixLength), true
		}
		n -= size
	}
	return netip.Addr{}, false
}

// index is nth's inverse; ok is false for what is no lease of the pool.
func (p *PoolInfo) index(a netip.Addr) (n uint64, ok bool) {
	var sum uint64
	for _, r := range p.Runs {
		if r.Contains(a) && netip.PrefixFrom(a, p.PrefixLength).Masked().Addr() == a {
			return AddLeases(sum, Range{r.First, a}.distance(p.PrefixLength)), true
		}
		sum = AddLeases(sum, r.Leases(p.PrefixLength))
	}
	return 0, false
}

// Gives tells whether a prefix is a lease that the pool may give.
func (p *PoolInfo) Gives(lease netip.Prefix) bool {
	if lease.Bits() != p.PrefixLength {
		return false
	}
	_, ok := p.index(lease.Addr())
	return ok
}

// Gaps returns the first addresses of up to limit leases of the pool that begin
// after an address (from the first lease when it is invalid) and up to through
// (to the last one when that is invalid), and are not among taken, which are
// the first addresses of prefixes in order.
func (p *PoolInfo) Gaps(after, through netip.Addr, taken []netip.Addr, limit int) []netip.Addr {
	var gaps []netip.Addr
	for _, r := range p.Runs {
		size := r.Leases(p.PrefixLength)
		for n := r.from(after, p.PrefixLength); n < size && len(gaps) < limit; n++ {
			a := ahead(r.First, n, p.PrefixLength)
			if through.IsValid() && through.Less(a) {
				return gaps
			}
			for len(taken) > 0 && taken[0].Less(a) {
				taken = taken[1:]
			}
			if len(taken) == 0 || taken[0] != a {
				gaps = append(gaps, a)
			}
		}
	}
	return gaps
}

// from is the number of the first lease of a run that begins after an address.
func (r Range) from(after netip.Addr, length int) uint64 {
	switch {
	case !after.IsValid() || after.Less(r.First):
		return 0
	case !after.Less(r.Last):
		return math.MaxUint64
	}
	return AddLeases(Range{r.First, after}.distance(length), 1)
}

// distance is how many leases lie between the beginnings of those that the ends
// of r are in.
func (r Range) distance(length int) uint64 { return r.Leases(length) - 1 }

// ahead is the address n leases of a length after an address of IPv6.
func ahead(a netip.Addr, n uint64, length int) netip.Addr {
	hi, lo := halves(a)
	switch shift := 128 - length; {
	case shift >= 64:
		hi += n << (shift - 64)
	default:
		var carry uint64
		lo, carry = bits.Add64(lo, n<<shift, 0)
		hi += carry
		if shift > 0 {
			hi += n >> (64 - shift)
		}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}

// usual returns up to n leases that a caller is given before all others, so
// that it tends to get the same one even when the rows have forgotten it. They
// are told by a hash of the pool and of the caller, as far as it counts for the
// pool's stickiness.
func (p *PoolInfo) usual(c Caller, n int) []netip.Addr {
	size := p.Capacity()
	var found []netip.Addr
	for i := range uint64(n) {
		at := callerHash(p, c, i)
		if size == 0 {
			break
		}
		if size != math.MaxUint64 {
			at, _ = bits.Mul64(at, size) // the upper half: evenly among size
		}
		if a, ok := p.nth(at); ok {
			found = append(found, a)
		}
	}
	return found
}

func callerHash(p *PoolInfo, c Caller, which uint64) uint64 {
	h := sha256.New()
	text := func(s string) { // with its length, so that no two callers are one text
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s)))) // a hash takes everything
		h.Write([]byte(s))
	}
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	number(uint64(p.ID))
	number(which)
	switch p.Sticky {
	case StickUserMAC:
		text(c.User)
		text(c.MAC)
	case StickUser:
		text(c.User)
	case StickMAC:
		text(c.MAC)
	case StickNone:
		text(c.User)
		text(c.MAC)
		text(c.Port)
		text(c.NAS.String())
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
