package ipam

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
)

// Range is a run of IPv4 addresses, both ends included.
type Range struct{ First, Last netip.Addr }

// Size is the number of addresses in r.
func (r Range) Size() uint64 { return uint64(toUint(r.Last)) - uint64(toUint(r.First)) + 1 }

// Chunks cuts r into runs of at most size addresses, in order.
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

// Contains tells whether a lies in r.
func (r Range) Contains(a netip.Addr) bool {
	return a.Is4() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// Usable returns the addresses of an IPv4 network that hosts may have: all but
// the network's own and the broadcast address. A /31 has two (RFC 3021), a /32
// one. The gateway is not taken out here: see Runs.
func Usable(network netip.Prefix) (Range, error) {
	if !network.IsValid() {
		return Range{}, fmt.Errorf("network %v: not a CIDR; want one like 100.64.0.0/16", network)
	}
	if !network.Addr().Is4() {
		return Range{}, fmt.Errorf("network %s: IPv6 pools are not there yet; want an IPv4 CIDR like 100.64.0.0/16", network)
	}
	if network != network.Masked() {
		return Range{}, fmt.Errorf("network %s: has bits beyond its length; want %s", network, network.Masked())
	}
	first := toUint(network.Addr())
	last := first | uint32(uint64(1)<<(32-network.Bits())-1)
	if network.Bits() < 31 {
		first, last = first+1, last-1
	}
	return Range{First: toAddr(first), Last: toAddr(last)}, nil
}

// Runs returns the addresses of a network that a pool can give, as runs: the
// usable ones without the gateway, which may be invalid for none. A gateway
// outside of the network takes nothing out.
func Runs(network netip.Prefix, gateway netip.Addr) ([]Range, error) {
	all, err := Usable(network)
	if err != nil {
		return nil, err
	}
	gateway = gateway.Unmap()
	if !gateway.IsValid() || !all.Contains(gateway) {
		return []Range{all}, nil
	}
	var runs []Range
	if gateway != all.First {
		runs = append(runs, Range{First: all.First, Last: gateway.Prev()})
	}
	if gateway != all.Last {
		runs = append(runs, Range{First: gateway.Next(), Last: all.Last})
	}
	return runs, nil
}

// Capacity is the number of addresses that a pool can give of a network.
func Capacity(network netip.Prefix, gateway netip.Addr) (uint64, error) {
	runs, err := Runs(network, gateway)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, r := range runs {
		n += r.Size()
	}
	return n, nil
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
