package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"radial/ipam"
	"radial/store"
)

// networkFlags are the flags that say which addresses a pool or subnet gives.
type networkFlags struct {
	cidrs, ranges, gateways, excludes []string
	large                             bool
}

func (f *networkFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.ranges, "range", nil, "the `part` of a network that is given, like 10.0.0.10-10.0.0.200; may be repeated")
	fl.StringArrayVar(&f.gateways, "gateway", nil, "an `address` that is never given; one to a network")
	fl.StringArrayVar(&f.excludes, "exclude", nil, "`addresses` that are never given, as address, range or CIDR, and after a blank the reason; may be repeated")
	fl.BoolVar(&f.large, "large", false, "more than a million addresses are meant")
}

// subnets sorts ranges, gateways and exclusions to the networks in which they
// lie.
func (f *networkFlags) subnets() ([]store.SubnetSpec, error) {
	var all []store.SubnetSpec
	for _, text := range f.cidrs {
		p, err := networkOf("--cidr ", text)
		if err != nil {
			return nil, err
		}
		all = append(all, store.SubnetSpec{Network: p})
	}
	for _, text := range f.ranges {
		r, err := ipam.ParseRange(text)
		if err != nil {
			return nil, usagef("--range %w", err)
		}
		at := holding(all, r)
		switch {
		case at < 0:
			return nil, usagef("--range %q: lies in none of the networks %s", text, strings.Join(f.cidrs, ", "))
		case all[at].Range.IsValid(): // a second range of a network: a subnet of its own
			all = append(all, store.SubnetSpec{Network: all[at].Network, Range: r})
		default:
			all[at].Range = r
		}
	}
	if err := f.placeGateways(all); err != nil {
		return nil, err
	}
	return all, f.placeExclusions(all)
}

// networkOf reads a network; head is what an error begins with.
func networkOf(head, text string) (netip.Prefix, error) {
	p, err := ipam.ParseNetwork(text)
	if err != nil && p.IsValid() && p != p.Masked() {
		return p, usagef("%s%w (and --gateway %s, if that is meant)", head, err, p.Addr())
	}
	if err != nil {
		return p, usagef("%s%w", head, err)
	}
	return p, nil
}

func (f *networkFlags) placeGateways(all []store.SubnetSpec) error {
	for _, text := range f.gateways {
		gateway, err := netip.ParseAddr(text)
		if err != nil {
			return usagef("--gateway %q: want an address", text)
		}
		gateway = gateway.Unmap()
		at := holding(all, ipam.Range{First: gateway, Last: gateway})
		if at < 0 {
			return usagef("--gateway %q: lies in none of the networks %s", text, strings.Join(f.cidrs, ", "))
		}
		if all[at].Gateway.IsValid() {
			return usagef("--gateway %q: network %s has %s already; --exclude takes further addresses out", text, all[at].Network, all[at].Gateway)
		}
		for i := range all {
			if all[i].Network == all[at].Network {
				all[i].Gateway = gateway
			}
		}
	}
	return nil
}

func (f *networkFlags) placeExclusions(all []store.SubnetSpec) error {
	for _, text := range f.excludes {
		x, err := exclusionOf(text)
		if err != nil {
			return err
		}
		at := holding(all, x.Range)
		if at < 0 {
			return usagef("--exclude %q: lies in none of the networks %s", text, strings.Join(f.cidrs, ", "))
		}
		for i := range all {
			if all[i].Network == all[at].Network && (i == at || all[i].Range.Overlaps(x.Range)) {
				all[i].Exclusions = append(all[i].Exclusions, x)
			}
		}
	}
	return nil
}

// holding is the index of the first network that covers a range, or -1.
func holding(nets []store.SubnetSpec, r ipam.Range) int {
	for i, n := range nets {
		if ipam.RangeOf(n.Network).Covers(r) {
			return i
		}
	}
	return -1
}

// exclusionOf reads addresses, and after a blank the reason.
func exclusionOf(text string) (store.Exclusion, error) {
	addresses, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
	r, err := ipam.ParseRange(addresses)
	if err != nil {
		return store.Exclusion{}, usagef("--exclude %w", err)
	}
	return store.Exclusion{Range: r, Reason: strings.TrimSpace(reason)}, nil
}

func newPoolAddCmd(a *app) *cobra.Command {
	var f poolFlags
	var n networkFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a pool; its addresses can be given as soon as their rows are there",
		Example: `  radial pool add main --cidr 100.64.0.0/16 --gateway 100.64.0.1
  radial pool add office --cidr 192.0.2.0/24 --range 192.0.2.10-192.0.2.200 --exclude '192.0.2.53 name server'
  radial pool add homes --kind delegated-prefix --cidr 2001:db8::/40 --prefix-length 56`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(n.cidrs) == 0 {
				return usagef("--cidr is missing: want a network like 100.64.0.0/16")
			}
			spec := store.PoolSpec{Name: args[0], VRFName: f.vrf}
			var err error
			if spec.Kind, err = kindOf(f.kind); err != nil {
				return err
			}
			if spec.Subnets, err = n.subnets(); err != nil {
				return err
			}
			change, err := f.change(cmd)
			if err != nil {
				return err
			}
			spec.PoolSettings = change.Settings()
			spec.PrefixLength = f.prefixLength
			if f.vrf == "" {
				return usagef(`--vrf "": want a name, like default`)
			}
			return a.addPool(cmd, spec, n.large, f.dryRun)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&n.cidrs, "cidr", nil, "a `network`; may be repeated")
	fl.StringVar(&f.vrf, "vrf", "default", "`name` of the address space; made if need be")
	fl.StringVar(&f.kind, "kind", "ipv4", "what a lease is: ipv4, ipv6-prefix, delegated-prefix or ipv6-address")
	fl.IntVar(&f.prefixLength, "prefix-length", 0, "of a lease; usually 64 of ipv6-prefix, 56 of delegated-prefix")
	n.register(cmd)
	f.register(cmd)
	choices(cmd, "kind", "ipv4", "ipv6-prefix", "delegated-prefix", "ipv6-address")
	return cmd
}

func (a *app) addPool(cmd *cobra.Command, spec store.PoolSpec, large, dryRun bool) error {
	ctx := cmd.Context()
	db, done, err := a.db(ctx)
	if err != nil {
		return err
	}
	defer done()
	m, barDone, err := a.making(large)
	if err != nil {
		return err
	}
	spec.Making = m
	made, err := db.AddPool(ctx, a.by("pool.add", dryRun), spec)
	barDone()
	if err != nil {
		return cutShort(err, "radial pool del "+spec.Name)
	}
	a.noteMade(made)
	if made.NewVRF {
		a.note("VRF %q is new: devices get into it by radial nas set ADDRESS --vrf %s", spec.VRFName, spec.VRFName)
	}
	if made.Audit == nil { // begun before
		return a.did("pool", spec.Name, "completed", dryRun, nil)
	}
	return a.did("pool", spec.Name, "added", dryRun, made.Audit)
}
