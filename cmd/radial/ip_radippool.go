package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/store"
)

func newIPImportRadippoolCmd(a *app) *cobra.Command {
	var pools []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import-radippool",
		Short: "Take pools and leases over from sqlippool's table radippool",
		Long: `Makes the pools that radippool has and Radial lacks (in the default VRF), and takes over all leases: one with an open session
in radacct is bound to it; one without is kept for its caller until it expires; the last holder of a free address stays its
last holder. Rows that are odd are told all at once, and nothing is done. A pool gives nothing before all its leases are in,
so a server may be at work. Said again, it goes on where it was cut short, and takes over what FreeRADIUS has changed since.`,
		Example: "  radial ip import-radippool --dry-run\n  radial ip import-radippool --pool main=100.64.0.0/22",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			networks, err := poolNetworks(pools)
			if err != nil {
				return err
			}
			return importRadippool(cmd.Context(), a, networks, dryRun)
		},
	}
	cmd.Flags().StringArrayVar(&pools, "pool", nil, "the networks of a pool, as `NAME=CIDR`[,CIDR]; may be repeated. Without it a pool gets a subnet for each run of addresses")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "look only")
	return cmd
}

// poolNetworks reads the flags --pool.
func poolNetworks(texts []string) (map[string][]netip.Prefix, error) {
	networks := map[string][]netip.Prefix{}
	for _, text := range texts {
		at := strings.LastIndex(text, "=")
		if at <= 0 {
			return nil, usagef("--pool %q: want NAME=CIDR, like main=100.64.0.0/22", text)
		}
		for cidr := range strings.SplitSeq(text[at+1:], ",") {
			p, err := netip.ParsePrefix(cidr)
			if err != nil || !p.Addr().Is4() || p != p.Masked() {
				return nil, usagef("--pool %q: %q is no IPv4 network: want one like 100.64.0.0/22", text, cidr)
			}
			networks[text[:at]] = append(networks[text[:at]], p)
		}
	}
	return networks, nil
}

// radippoolView is an import in JSON.
type radippoolView struct {
	*store.RadippoolPlan
	Taken  *store.Taken `json:"taken,omitempty"`
	DryRun bool         `json:"dry_run"`
}

func importRadippool(ctx context.Context, a *app, networks map[string][]netip.Prefix, dryRun bool) error {
	db, done, err := a.db(ctx)
	if err != nil {
		return err
	}
	defer done()
	plan, err := db.LookRadippool(ctx, networks)
	if err != nil {
		return err
	}
	if len(plan.IPv6) > 0 {
		a.note("left out, for they are of IPv6: %s (see radial pool add --kind)", strings.Join(plan.IPv6, ", "))
	}
	v := radippoolView{RadippoolPlan: plan, DryRun: dryRun}
	if !dryRun {
		var bar *progress
		was := ""
		taken, err := db.ImportRadippool(ctx, a.by("ip.import-radippool", false), plan, func(what string, n uint64) {
			if what != was {
				if bar != nil {
					bar.done()
				}
				bar, was = a.progress(what), what
			}
			bar.set(int(n))
		})
		if bar != nil {
			bar.done()
		}
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w; the same command again goes on: until then the new pools give nothing", err)
		}
		if err != nil {
			return err
		}
		v.Taken = &taken
	}
	return a.print(v, v.text)
}

func (v radippoolView) text() string {
	if len(v.Pools) == 0 {
		return "radippool is empty\n"
	}
	g := grid{titles: []string{"pool", "rows", "leased", "last holders", "bound", "kept", "networks"}}
	for _, p := range v.Pools {
		networks := strings.Join(p.Networks, ", ")
		if p.There && networks == "" {
			networks = "(is there)"
		}
		if len(p.Networks) > 6 {
			networks = strings.Join(p.Networks[:5], ", ") + fmt.Sprintf(" and %d more", len(p.Networks)-5)
		}
		g.add(p.Name, strconv.FormatInt(p.Rows, 10), strconv.FormatInt(p.Leased, 10), strconv.FormatInt(p.Holders, 10),
			strconv.FormatUint(p.Bound, 10), strconv.FormatUint(p.Kept, 10), networks)
	}
	if v.DryRun {
		return g.String() + "dry run: nothing was written\n"
	}
	return g.String() + takenText(*v.Taken, false) + "\n"
}
