package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// seedPackages are the packages of a provider who begins; rates in bits per
// second.
func seedPackages() []aaa.PackageImport {
	var all []aaa.PackageImport
	for _, p := range []struct {
		name, price, description string
		down, up                 int64
	}{
		{"Basic", "25.00", "Basic 5Mbps", 5_120_000, 1_024_000},
		{"Standard", "45.00", "Standard 10Mbps", 10_240_000, 2_048_000},
		{"Premium", "75.00", "Premium 20Mbps", 20_480_000, 5_120_000},
		{"Business", "150.00", "Business 50Mbps", 51_200_000, 10_240_000},
	} {
		cycle := aaa.BillingCycle("monthly")
		all = append(all, aaa.PackageImport{Name: p.name, Change: aaa.PackageChange{
			Description: &p.description, RateDown: &p.down, RateUp: &p.up, Price: &p.price, BillingCycle: &cycle,
		}})
	}
	return all
}

// seedPools are his pools. 203.0.113.0/24 is a documentation network (RFC 5737):
// it stands for the one that he has.
func seedPools() []store.PoolSpec {
	subnet := func(network, gateway string, vlan int32) store.SubnetSpec {
		return store.SubnetSpec{Network: netip.MustParsePrefix(network), Gateway: netip.MustParseAddr(gateway), VLAN: vlan}
	}
	return []store.PoolSpec{
		{Name: "Public Pool 1", PoolSettings: store.PoolSettings{Type: "public", Description: "an example: put your own network in its place"},
			Subnets: []store.SubnetSpec{subnet("203.0.113.0/24", "203.0.113.1", 100)}},
		{Name: "Private Pool 1", PoolSettings: store.PoolSettings{Type: "private", Description: "an example: put your own networks in its place"},
			Subnets: []store.SubnetSpec{subnet("192.168.100.0/24", "192.168.100.1", 200), subnet("192.168.101.0/24", "192.168.101.1", 201)}},
	}
}

// seeded is what became of one thing.
type seeded struct {
	Kind   string `json:"kind"` // package or pool
	Name   string `json:"name"`
	Action string `json:"action"` // added, there already, or left out: then it is left as it is
}

func newSeedCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Make packages and pools to begin with; what is there already is left as it is",
		Long: `Make packages (Basic, Standard, Premium, Business) and pools (Public Pool 1,
Private Pool 1, with their subnets) to begin with. What has one of these names
already, or overlaps, is left as it is, so that it can be said again.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				all, err := d.seed(cmd.Context(), dryRun)
				if err != nil {
					return err
				}
				return d.print(all, func() string {
					g := grid{titles: []string{"kind", "name", "action"}}
					for _, s := range all {
						g.add(s.Kind, s.Name, s.Action)
					}
					if dryRun {
						return g.String() + "dry run: nothing was written\n"
					}
					return g.String()
				})
			})
		},
	}
	dryRunFlag(cmd, &dryRun)
	return cmd
}

func (d *desk) seed(ctx context.Context, dryRun bool) (all []seeded, err error) {
	once := func(kind, name string, find, add func() error) error {
		err := find()
		switch {
		case err == nil:
			all = append(all, seeded{kind, name, "there already"})
			return nil
		case !errors.Is(err, aaa.ErrNotFound):
			return err
		}
		switch err := add(); {
		case errors.Is(err, aaa.ErrConflict): // a group of that name, a network that overlaps
			d.note("%v", err)
			all = append(all, seeded{kind, name, "left out"})
		case err != nil:
			return fmt.Errorf("%s %q: %w", kind, name, err)
		default:
			all = append(all, seeded{kind, name, "added"})
		}
		return nil
	}
	for _, p := range seedPackages() {
		find := func() error { _, err := d.db.Package(ctx, p.Name); return err }
		err := once("package", p.Name, find, func() error {
			_, err := d.db.ChangePackage(ctx, d.by("package.add", dryRun), p.Name, d.rules.ImportPackage(p, false))
			return err
		})
		if err != nil {
			return all, err
		}
	}
	for _, spec := range seedPools() {
		find := func() error { _, err := d.db.PoolByName(ctx, spec.Name); return err }
		err := once("pool", spec.Name, find, func() error {
			_, err := d.db.AddPool(ctx, d.by("pool.add", dryRun), spec)
			return err
		})
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
