package store

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"radial/aaa"
	"radial/ipam"
)

// Bounds, and the states of pools and subnets.
const (
	// LargePool is the number of addresses above which a pool must be asked for
	// as a large one.
	LargePool = 1 << 20
	// What an address row costs, with its indexes, and how many are made in a
	// second: measured on two cores, for what people are told before they begin.
	addressRowBytes   = 190
	addressRowsPerSec = 50_000

	StatusActive   = "active"
	StatusDraining = "draining" // those who have a lease keep it, nobody gets a new one
	StatusInactive = "inactive"
)

// PoolSettings is what a pool says beyond its addresses. Empty texts and zero
// times mean the defaults that are named.
type PoolSettings struct {
	Description  string
	Status       string        // active
	Type         string        // private, or public
	DNS          []netip.Addr  // servers for its subscribers, in order
	VLAN         int32         // 1 to 4094; 0: none
	Sticky       string        // user_mac, user, mac or none: who gets back what he had
	InterfaceID  string        // none, eui64 or stable: Framed-Interface-Id beside an IPv6 prefix
	OfferTime    time.Duration // 2 minutes: life of an offer that no Start follows
	LeaseTime    time.Duration // 1 hour: life of a binding without interims
	CoolingTime  time.Duration // 0: after a release, before another caller gets the address
	Fallback     []string      // pools of the same VRF that are asked when this one is full, in order
	PrefixLength int           // of a lease; 32 for IPv4 and 128 for IPv6 addresses, 64 for IPv6 prefixes, 56 for delegated ones
}

// PoolSpec describes a pool to be made.
type PoolSpec struct {
	PoolSettings
	Name    string
	VRF     int32     // 0: the default VRF, or VRFName
	VRFName string    // made if it is not there; "": VRF
	Kind    ipam.Kind // what a lease is
	// CIDRs are networks of which everything is given, but the Gateway, which
	// lies in one of them or is invalid for none. Subnets say more.
	CIDRs   []netip.Prefix
	Gateway netip.Addr
	Subnets []SubnetSpec
	Making

	anyName bool // of a FreeRADIUS that has the pool
}

// PoolOptions are the settings of those who make pools and subnets.
type PoolOptions struct {
	AllowOverlap bool // of IPv4 subnets in a VRF; their common addresses stay the first one's
}

// Making is how rows of addresses are to be made.
type Making struct {
	Large        bool // more than LargePool addresses are meant
	AllowOverlap bool // the setting ipam.allow_overlap
	// Progress hears how many rows are made of how many. May be nil.
	Progress func(done, total uint64)
}

// Made tells what came of a change.
type Made struct {
	Addresses uint64    // leases that can be given of what was made
	LeftOut   uint64    // addresses that stay another subnet's, which overlaps
	Missing   []string  // pools of a fallback list that are not there (yet)
	NewVRF    bool      // its VRF was not there before
	Audit     aaa.Audit // what was changed; nil: nothing
}

// checked sets defaults and finds what is wrong; Subnets then has all networks.
func (spec PoolSpec) checked() (PoolSpec, uint64, error) {
	if spec.VRF == 0 {
		spec.VRF = 1
	}
	if spec.Progress == nil {
		spec.Progress = func(uint64, uint64) {}
	}
	if err := checkPoolName(spec.Name); err != nil {
		return spec, 0, err
	}
	var err error
	if spec.PoolSettings, err = spec.PoolSettings.checked(spec.Name, spec.Kind); err != nil {
		return spec, 0, err
	}
	if spec.Subnets, err = spec.allSubnets(); err != nil {
		return spec, 0, err
	}
	var total uint64
	for i, s := range spec.Subnets {
		if s, err = s.checked(spec.Kind, spec.PrefixLength); err != nil {
			return spec, 0, err
		}
		if err := ipam.CheckGateway(s.Network, s.Gateway); err != nil {
			return spec, 0, err
		}
		for _, other := range spec.Subnets[:i] {
			if s.Range.Overlaps(other.Range) {
				return spec, 0, fmt.Errorf("networks %s and %s overlap", other.text(), s.text())
			}
		}
		spec.Subnets[i], total = s, ipam.AddLeases(total, s.plan().Capacity(spec.PrefixLength))
	}
	if total == 0 {
		return spec, 0, errors.New("the networks hold no address that could be given")
	}
	return spec, total, spec.checkSize(spec.Kind, total)
}

// allSubnets joins Subnets and what CIDRs and Gateway say shortly.
func (spec PoolSpec) allSubnets() ([]SubnetSpec, error) {
	all := slices.Clone(spec.Subnets)
	gateway := spec.Gateway.Unmap()
	held := !gateway.IsValid()
	for _, c := range spec.CIDRs {
		s := SubnetSpec{Network: c}
		if c.Contains(gateway) {
			s.Gateway, held = gateway, true
		}
		all = append(all, s)
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("no network; want at least one CIDR like 100.64.0.0/16")
	case !held:
		return nil, fmt.Errorf("gateway %s lies in none of the networks", gateway)
	}
	return all, nil
}

// checkSize refuses a number of rows that nobody may have meant.
func (m Making) checkSize(kind ipam.Kind, rows uint64) error {
	if kind.Sparse() || rows <= LargePool || m.Large {
		return nil
	}
	return fmt.Errorf("%d addresses would take about %s and %d MB; say --large if that is meant, or choose a smaller CIDR",
		rows, (time.Duration(rows/addressRowsPerSec) * time.Second).String(), rows*addressRowBytes>>20)
}

// checkNewPoolName refuses names that go on working where a pool has them, and
// that nobody can say in all places.
func checkNewPoolName(name string) error {
	switch {
	case name == "none":
		return errors.New("that is the word for no pool (--pool none): want another name")
	case strings.Contains(name, ","):
		return errors.New("lists of pools have commas between them (--fallback a,b): want a name without")
	}
	return nil
}

func checkPoolName(name string) error {
	if name == "" || len([]rune(name)) > 100 || name != strings.TrimSpace(name) || storableText(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("want a name of 1 to 100 printable characters without blanks around")
	}
	return nil
}

// checked sets defaults and finds what is wrong; name is the pool's own.
func (p PoolSettings) checked(name string, kind ipam.Kind) (PoolSettings, error) {
	p.Status, p.Type = orText(p.Status, StatusActive), orText(p.Type, "private")
	p.Sticky, p.InterfaceID = orText(p.Sticky, "user_mac"), orText(p.InterfaceID, "none")
	p.OfferTime, p.LeaseTime = orTime(p.OfferTime, 2*time.Minute), orTime(p.LeaseTime, time.Hour)
	p.DNS, p.Fallback = orEmpty(p.DNS), orEmpty(p.Fallback)
	for _, c := range []struct {
		what, text string
		of         []string
	}{
		{"status", p.Status, []string{StatusActive, StatusDraining, StatusInactive}},
		{"type", p.Type, []string{"public", "private"}},
		{"sticky", p.Sticky, []string{"user_mac", "user", "mac", "none"}},
		{"interface id", p.InterfaceID, []string{"none", "eui64", "stable"}},
	} {
		if !slices.Contains(c.of, c.text) {
			return p, fmt.Errorf("%s %q: want one of %s", c.what, c.text, strings.Join(c.of, ", "))
		}
	}
	switch {
	case p.OfferTime < time.Second || p.LeaseTime < time.Second:
		return p, fmt.Errorf("offer time %s, lease time %s: want both a second or more", p.OfferTime, p.LeaseTime)
	case p.CoolingTime < 0:
		return p, fmt.Errorf("cooling time %s: want 0 or more", p.CoolingTime)
	case max(p.OfferTime, p.LeaseTime, p.CoolingTime) > 10*365*24*time.Hour:
		return p, fmt.Errorf("offer time %s, lease time %s, cooling time %s: want at most ten years", p.OfferTime, p.LeaseTime, p.CoolingTime)
	case p.InterfaceID != "none" && kind != ipam.IPv6Prefix:
		return p, fmt.Errorf("interface id %q: goes with leases of kind %s, not of %s", p.InterfaceID, ipam.IPv6Prefix, kind)
	case storableText(p.Description) != p.Description:
		return p, fmt.Errorf("description %q: want text without NUL", p.Description)
	}
	for _, a := range p.DNS {
		if !a.IsValid() || a.IsUnspecified() || a.Zone() != "" {
			return p, fmt.Errorf("DNS server %s: want an address", a)
		}
	}
	if err := checkFallback(name, p.Fallback); err != nil {
		return p, err
	}
	var err error
	if p.PrefixLength, err = leaseLength(kind, p.PrefixLength); err != nil {
		return p, err
	}
	return p, checkVLAN(p.VLAN)
}

func checkFallback(name string, fallback []string) error {
	for i, f := range fallback {
		switch {
		case f == name:
			return fmt.Errorf("fallback %q: is the pool itself", f)
		case slices.Contains(fallback[:i], f):
			return fmt.Errorf("fallback %q: stands there twice", f)
		}
		if err := checkPoolName(f); err != nil {
			return fmt.Errorf("fallback %q: %w", f, err)
		}
	}
	return nil
}

func checkVLAN(n int32) error {
	if n < 0 || n > 4094 {
		return fmt.Errorf("VLAN %d: want 1 to 4094", n)
	}
	return nil
}

// leaseLength is the length of a pool's leases; 0 asks for the kind's usual one.
func leaseLength(kind ipam.Kind, n int) (int, error) {
	fixed := map[ipam.Kind]int{ipam.IPv4: 32, ipam.IPv6Address: 128}[kind]
	switch {
	case fixed != 0 && n != 0 && n != fixed:
		return 0, fmt.Errorf("prefix length %d: leases of kind %s are /%d", n, kind, fixed)
	case fixed != 0:
		return fixed, nil
	case n == 0 && kind == ipam.IPv6Prefix:
		return 64, nil
	case n == 0:
		return 56, nil
	case n < 1 || n > 127:
		return 0, fmt.Errorf("prefix length %d: want 1 to 127 for kind %s", n, kind)
	}
	return n, nil
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orTime(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// joinTexts lists things with commas between.
func joinTexts[T fmt.Stringer](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}
