package store

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"radial/ipam"
)

// Exclusion is addresses of a subnet that are never given.
type Exclusion struct {
	Range  ipam.Range
	Reason string
}

// SubnetSpec is a network and what a pool gives of it.
type SubnetSpec struct {
	Network     netip.Prefix
	Range       ipam.Range // the part of the network that is given; none: all of it
	Gateway     netip.Addr // never given; invalid: none
	VLAN        int32      // 1 to 4094; 0: none
	Description string
	Status      string // active (the default) or inactive
	Exclusions  []Exclusion
}

// Subnet is a subnet of a pool and how its addresses are used at the moment.
type Subnet struct {
	SubnetSpec
	ID           int64
	PoolID       int64
	Pool         string
	VRF          int32
	Kind         ipam.Kind
	PrefixLength int  // of a lease
	Overlap      bool // made while ipam.allow_overlap was on, over others
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Use

	others []netip.Addr // gateways of other subnets in its run
}

// Use counts leases by state. Of IPv4 Total is the number of addresses; of IPv6
// the number of leases that there is room for, 2^64 and more as
// math.MaxUint64, and Free what the others leave of it. Offers and cooling
// times that have run out count as free.
type Use struct {
	Total, Free, Offered, Bound, Reserved, Cooling uint64
}

// Held is the number of leases that cannot be given to anybody.
func (u Use) Held() uint64 { return u.Offered + u.Bound + u.Reserved + u.Cooling }

// Percent is the share of leases that cannot be given now; 0 of nothing.
func (u Use) Percent() float64 {
	if u.Total == 0 {
		return 0
	}
	return 100 * float64(u.Held()) / float64(u.Total)
}

func (u Use) plus(o Use) Use {
	return Use{
		Total: ipam.AddLeases(u.Total, o.Total), Free: ipam.AddLeases(u.Free, o.Free), Offered: u.Offered + o.Offered,
		Bound: u.Bound + o.Bound, Reserved: u.Reserved + o.Reserved, Cooling: u.Cooling + o.Cooling,
	}
}

// plan is the arithmetic of the subnet; the runs of others are excluded too.
func (s SubnetSpec) plan(others ...netip.Addr) ipam.Subnet {
	p := ipam.Subnet{Network: s.Network, Range: s.Range, Gateway: s.Gateway}
	for _, x := range s.Exclusions {
		p.Excluded = append(p.Excluded, x.Range)
	}
	for _, a := range others {
		p.Excluded = append(p.Excluded, ipam.Range{First: a, Last: a})
	}
	return p
}

// text names the subnet: its network, and its range where that is a part of it.
func (s SubnetSpec) text() string {
	if !s.Range.IsValid() || s.Range == ipam.RangeOf(s.Network) {
		return s.Network.String()
	}
	return s.Range.String() + " of " + s.Network.String()
}

// checked sets defaults and finds what is wrong.
func (s SubnetSpec) checked(kind ipam.Kind, length int) (SubnetSpec, error) {
	if s.Network.IsValid() && s.Network.Addr().Is4() == kind.Sparse() {
		want := "an IPv4 CIDR like 100.64.0.0/16 (or a pool of another kind)"
		if kind.Sparse() {
			want = "an IPv6 CIDR like 2001:db8::/40"
		}
		return s, fmt.Errorf("network %s: the pool is of kind %s; want %s", s.Network, kind, want)
	}
	plan, err := s.plan().Checked(length)
	if err == nil {
		err = ipam.CheckHosts(plan.Network)
	}
	if err != nil {
		return s, err
	}
	s.Range, s.Gateway = plan.Range, plan.Gateway
	s.Status = orText(s.Status, StatusActive)
	if s.Status != StatusActive && s.Status != StatusInactive {
		return s, fmt.Errorf("status %q of subnet %s: want active or inactive", s.Status, s.Network)
	}
	if storableText(s.Description) != s.Description {
		return s, fmt.Errorf("description %q: want text without NUL", s.Description)
	}
	s.Exclusions = slices.Clone(s.Exclusions)
	slices.SortFunc(s.Exclusions, func(a, b Exclusion) int { return a.Range.First.Compare(b.Range.First) })
	for i, x := range s.Exclusions {
		if storableText(x.Reason) != x.Reason {
			return s, fmt.Errorf("reason %q: want text without NUL", x.Reason)
		}
		if i > 0 && s.Exclusions[i-1].Range.Overlaps(x.Range) {
			return s, fmt.Errorf("exclusions %s and %s overlap", s.Exclusions[i-1].Range, x.Range)
		}
	}
	return s, checkVLAN(s.VLAN)
}
