package ipam

import (
	"fmt"
	"math/bits"
	"net/netip"
)

// Subnet is a network and what a pool gives of it.
type Subnet struct {
	Network  netip.Prefix
	Range    Range      // the part of the network that is given; none: all of it
	Gateway  netip.Addr // never given; invalid: none
	Excluded []Range    // never given either
}

// Checked returns the subnet with its defaults filled in, or what is wrong with
// it. length is that of a lease: 32 for IPv4, 128 for IPv6 addresses, else that
// of the prefixes that are leased. A range of prefixes may end with the first
// address of its last one.
func (s Subnet) Checked(length int) (Subnet, error) {
	if err := checkNetwork(s.Network); err != nil {
		return s, err
	}
	if err := checkLength(s.Network, length); err != nil {
		return s, err
	}
	all := RangeOf(s.Network)
	if !s.Range.IsValid() {
		s.Range = all
	}
	var err error
	if s.Range, err = checkedRange(s.Range.String(), s.Range); err != nil {
		return s, fmt.Errorf("range %w", err)
	}
	if !all.Covers(s.Range) {
		return s, fmt.Errorf("range %s: lies not in network %s; want one within %s", s.Range, s.Network, all)
	}
	if block := netip.PrefixFrom(s.Range.First, length).Masked(); block.Addr() != s.Range.First {
		return s, fmt.Errorf("range %s: begins within the prefix %s; want it to begin at %s", s.Range, block, block.Addr())
	}
	s.Range.Last = lastOf(netip.PrefixFrom(s.Range.Last, length))
	if s.Gateway = s.Gateway.Unmap(); s.Gateway.IsValid() && !all.Contains(s.Gateway) {
		return s, fmt.Errorf("gateway %s: lies not in network %s; want one of %s", s.Gateway, s.Network, all)
	}
	for _, x := range s.Excluded {
		if _, err := checkedRange(x.String(), x); err != nil {
			return s, fmt.Errorf("exclusion %w", err)
		}
		if !all.Covers(x) {
			return s, fmt.Errorf("exclusion %s: lies not in network %s", x, s.Network)
		}
	}
	return s, nil
}

// CheckGateway refuses a gateway that no device can have: an IPv4 network's own
// or its broadcast address (RFC 1122 section 3.2.1.3). A /31 and a /32 have none
// of these (RFC 3021). An invalid address is no gateway.
func CheckGateway(network netip.Prefix, gateway netip.Addr) error {
	all := RangeOf(network)
	if !gateway.Is4() || network.Bits() > 30 || gateway != all.First && gateway != all.Last {
		return nil
	}
	what := "own"
	if gateway == all.Last {
		what = "broadcast"
	}
	return fmt.Errorf("gateway %s: is the %s address of network %s; want one of %s", gateway, what, network, Range{all.First.Next(), all.Last.Prev()})
}

// notForHosts are networks with addresses that no subscriber can have.
var notForHosts = []struct{ network, what string }{
	{"0.0.0.0/8", `which are "this network" (RFC 6890)`},
	{"127.0.0.0/8", "a host's own (RFC 6890)"},
	{"224.0.0.0/4", "multicast (RFC 5771)"},
	{"255.255.255.254/31", "with which the device or the user chooses (RFC 2865 section 5.8)"},
	{"::/127", "a host's own (RFC 4291)"},
	{"fe80::/10", "of one link (RFC 4291)"},
	{"ff00::/8", "multicast (RFC 4291)"},
}

// CheckHosts refuses a network that is a mistake, whatever it was meant for: no
// subscriber can have all of its addresses.
func CheckHosts(network netip.Prefix) error {
	for _, not := range notForHosts {
		if p := netip.MustParsePrefix(not.network); p.Overlaps(network) {
			return fmt.Errorf("network %s: has addresses of %s, %s; want a network of hosts", network, p, not.what)
		}
	}
	return nil
}

// maxLeaseBits bounds the leases of a network to what a number holds.
const maxLeaseBits = 64

func checkLength(network netip.Prefix, length int) error {
	switch n := network.Addr().BitLen(); {
	case length < 1 || length > n || n == 32 && length != 32:
		return fmt.Errorf("network %s: has no leases of /%d; want 32 of IPv4, up to 128 of IPv6", network, length)
	case length < network.Bits():
		return fmt.Errorf("network %s: shorter than a lease of /%d; want a network of /%d or shorter, or longer leases", network, length, length)
	case length-network.Bits() > maxLeaseBits:
		return fmt.Errorf("network %s: has 2^%d prefixes of /%d; want a network of /%d or longer", network, length-network.Bits(), length, length-maxLeaseBits)
	}
	return nil
}

// Runs returns what the pool gives of the subnet, as runs in order that begin
// and end where leases of the length do. Never given are the gateway, what is
// excluded, an IPv4 network's own and its broadcast address (a /31 has two to
// give, RFC 3021, a /32 one) and, among IPv6 addresses, the anycast address of
// a network's routers (RFC 4291 section 2.6.1). The subnet is a Checked one.
func (s Subnet) Runs(length int) []Range {
	all := s.Range
	if !all.IsValid() {
		all = RangeOf(s.Network)
	}
	whole := RangeOf(s.Network)
	var holes []Range
	hole := func(r Range) {
		holes = append(holes, Range{netip.PrefixFrom(r.First, length).Masked().Addr(), lastOf(netip.PrefixFrom(r.Last, length))})
	}
	if n := s.Network.Addr().BitLen(); length == n && s.Network.Bits() < n-1 {
		hole(Range{whole.First, whole.First})
		if n == 32 {
			hole(Range{whole.Last, whole.Last})
		}
	}
	if s.Gateway.IsValid() && whole.Contains(s.Gateway) {
		hole(Range{s.Gateway, s.Gateway})
	}
	for _, x := range s.Excluded {
		hole(x)
	}
	return Subtract([]Range{all}, merged(holes))
}

// Capacity is the number of leases of the length that the pool can give of the
// subnet; 2^64 and more are math.MaxUint64.
func (s Subnet) Capacity(length int) uint64 {
	var sum uint64
	for _, r := range s.Runs(length) {
		sum = AddLeases(sum, r.Leases(length))
	}
	return sum
}

// AddLeases adds two numbers of leases; 2^64 and more are math.MaxUint64.
func AddLeases(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	return sum | -carry
}

// LargestPrefix returns the largest network, aligned as networks are, that lies
// within a range; of several the first.
func (r Range) LargestPrefix() netip.Prefix {
	n := r.First.BitLen()
	for bits := range n {
		p := netip.PrefixFrom(r.First, bits).Masked()
		if p.Addr() != r.First { // the next one
			p = netip.PrefixFrom(lastOf(p).Next(), bits)
		}
		if p.IsValid() && r.Covers(RangeOf(p)) {
			return p
		}
	}
	return netip.PrefixFrom(r.First, n)
}
