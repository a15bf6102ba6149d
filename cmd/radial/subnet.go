package main

import (
	"context"
	"net/netip"

	"github.com/spf13/cobra"

	"radial/ipam"
	"radial/store"
)

func newSubnetCmd(a *app) *cobra.Command {
	return nounOf("subnet", "Subnets: the networks that pools give of",
		newSubnetAddCmd(a), newSubnetSetCmd(a), newSubnetShowCmd(a), newSubnetListCmd(a), newSubnetDelCmd(a))
}

// subnetFlags are the flags of subnet add and subnet set.
type subnetFlags struct {
	give, gateway, vlan, description, status, vrf string
	excludes, includes                            []string
	large, dryRun                                 bool
}

func (f *subnetFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.give, "range", "", "the `part` of it that is given, like 10.0.0.10-10.0.0.200; all: all of it")
	fl.StringVar(&f.gateway, "gateway", "", "an `address` in it that is never given; none takes it away")
	fl.StringArrayVar(&f.excludes, "exclude", nil, "`addresses` that are never given, as address, range or CIDR, and after a blank the reason; may be repeated")
	fl.StringVar(&f.vlan, "vlan", "", "`number` from 1 to 4094, for people; none takes it away")
	fl.StringVar(&f.description, "description", "", "a `text` for people")
	fl.StringVar(&f.status, "status", store.StatusActive, "active, or inactive: nothing of it is given")
	fl.BoolVar(&f.large, "large", false, "more than a million addresses are meant")
	dryRunFlag(cmd, &f.dryRun)
	vrfFlag(cmd, &f.vrf)
	choices(cmd, "status", store.StatusActive, store.StatusInactive)
}

// change reads the flags that were given.
func (f *subnetFlags) change(cmd *cobra.Command) (c store.SubnetChange, err error) {
	c.Description, c.Status = given(cmd, "description", f.description), given(cmd, "status", f.status)
	if cmd.Flags().Changed("range") {
		c.Range = new(ipam.Range)
		if f.give != "all" {
			if *c.Range, err = ipam.ParseRange(f.give); err != nil {
				return c, usagef("--range %w", err)
			}
		}
	}
	if cmd.Flags().Changed("gateway") {
		c.Gateway = new(netip.Addr)
		if f.gateway != "none" {
			if *c.Gateway, err = netip.ParseAddr(f.gateway); err != nil {
				return c, usagef("--gateway %q: want an address, or none", f.gateway)
			}
		}
	}
	if cmd.Flags().Changed("vlan") {
		n, err := vlanOf(f.vlan)
		if err != nil {
			return c, err
		}
		c.VLAN = &n
	}
	for _, text := range f.excludes {
		x, err := exclusionOf(text)
		if err != nil {
			return c, err
		}
		c.Exclude = append(c.Exclude, x)
	}
	for _, text := range f.includes {
		r, err := ipam.ParseRange(text)
		if err != nil {
			return c, usagef("--include %w", err)
		}
		c.Include = append(c.Include, r)
	}
	return c, nil
}

func newSubnetAddCmd(a *app) *cobra.Command {
	var f subnetFlags
	var pool string
	cmd := &cobra.Command{
		Use:     "add NETWORK",
		Short:   "Add a network to a pool; its addresses can be given as soon as their rows are there",
		Example: "  radial subnet add 100.65.0.0/20 --pool main --gateway 100.65.0.1 --exclude '100.65.0.2-100.65.0.9 servers'",
		Args:    named("NETWORK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if pool == "" {
				return usagef("--pool is missing: want the name of the pool that the network is for")
			}
			network, err := networkOf("", args[0])
			if err != nil {
				return err
			}
			change, err := f.change(cmd)
			if err != nil {
				return err
			}
			spec := change.Spec(network)
			return a.makeSubnet(cmd, &f, func(ctx context.Context, db *store.DB, vrf int32, m store.Making) error {
				made, err := db.AddSubnet(ctx, a.by("subnet.add", f.dryRun), vrf, pool, spec, m)
				if err != nil {
					return err
				}
				a.noteMade(made)
				did := "added"
				if made.Audit == nil {
					did = "completed"
				}
				return a.did("subnet", network.String(), did, f.dryRun, made.Audit)
			})
		},
	}
	cmd.Flags().StringVar(&pool, "pool", "", "`name` of the pool that it is for")
	f.register(cmd)
	return cmd
}

// makeSubnet runs what makes rows of a subnet.
func (a *app) makeSubnet(cmd *cobra.Command, f *subnetFlags, do func(context.Context, *store.DB, int32, store.Making) error) error {
	ctx := cmd.Context()
	db, vrf, done, err := a.dbInVRF(ctx, f.vrf)
	if err != nil {
		return err
	}
	defer done()
	m, barDone, err := a.making(f.large)
	if err != nil {
		return err
	}
	defer barDone()
	return cutShort(do(ctx, db, vrf, m), "radial subnet del")
}

// ofPoolFlag tells apart what pools have in common, where they may overlap.
func ofPoolFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "pool", "", "the `name` of its pool, where several pools have the network")
}

func newSubnetSetCmd(a *app) *cobra.Command {
	var f subnetFlags
	var pool string
	cmd := &cobra.Command{
		Use:   "set NETWORK|RANGE",
		Short: "Change what is named of a subnet, and nothing else; it shrinks only where nobody has an address",
		Example: `  radial subnet set 100.64.0.0/16 --gateway 100.64.0.254
  radial subnet set 100.64.0.0/16 --range 100.64.0.10-100.64.200.255 --include 100.64.0.53`,
		Args: named("NETWORK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.change(cmd)
			if err != nil {
				return err
			}
			return a.makeSubnet(cmd, &f, func(ctx context.Context, db *store.DB, vrf int32, m store.Making) error {
				s, err := db.FindSubnet(ctx, vrf, pool, args[0])
				if err != nil {
					return err
				}
				made, err := db.SetSubnet(ctx, a.by("subnet.set", f.dryRun), s.ID, change, m)
				if err != nil {
					return err
				}
				a.noteMade(made)
				return a.did("subnet", s.Network.String(), "changed", f.dryRun, made.Audit)
			})
		},
	}
	f.register(cmd)
	ofPoolFlag(cmd, &pool)
	cmd.Flags().StringArrayVar(&f.includes, "include", nil, "`addresses` that are not to be excluded any more; may be repeated")
	return cmd
}

func newSubnetDelCmd(a *app) *cobra.Command {
	var vrf, pool string
	cmd := a.deletion(deletion{
		use: "del NETWORK|RANGE", of: "NETWORK",
		short:    "Take a subnet that nobody has an address of out of its pool; the history stays",
		question: "Delete subnet %s?",
		do: func(ctx context.Context, network string, dryRun bool) error {
			db, id, done, err := a.dbInVRF(ctx, vrf)
			if err != nil {
				return err
			}
			defer done()
			s, err := db.FindSubnet(ctx, id, pool, network)
			if err != nil {
				return err
			}
			if err := db.DeleteSubnet(ctx, a.by("subnet.del", dryRun), s.ID); err != nil {
				return err
			}
			return a.did("subnet", s.Network.String(), "deleted", dryRun, nil)
		},
	})
	ofPoolFlag(cmd, &pool)
	vrfFlag(cmd, &vrf)
	return cmd
}
