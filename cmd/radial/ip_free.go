package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// freeRunView is a run of free addresses in JSON.
type freeRunView struct {
	First  string `json:"first"` // an address, or an IPv6 prefix
	Last   string `json:"last"`
	Leases uint64 `json:"leases"`
	Subnet string `json:"subnet"`
}

func newIPNextCmd(a *app) *cobra.Command {
	var vrf string
	cmd := &cobra.Command{
		Use:   "next POOL",
		Short: "Tell the first free address of a pool; nothing is taken",
		Args:  named("POOL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error {
				pool, runs, err := d.freeRuns(cmd.Context(), vrf, args[0], netip.Addr{}, 1)
				if err != nil {
					return err
				}
				if len(runs) == 0 {
					return noneFree(pool)
				}
				first := freeRunViewOf(pool, runs[0]).First
				return d.say(map[string]string{"pool": pool.Name, "next": first}, "%s", first)
			})
		},
	}
	cmd.Flags().StringVar(&vrf, "vrf", "", "the `name` of the pool's address space, where several have one of that name")
	return cmd
}

// noneFree tells why a pool has nothing to give.
func noneFree(pool store.Pool) error {
	gives := func(s store.Subnet) bool { return s.Status == store.StatusActive }
	if len(pool.Subnets) > 0 && !slices.ContainsFunc(pool.Subnets, gives) {
		return fmt.Errorf("pool %q has no free address: %w; none of its subnets is active: radial subnet set %s --status active lets logins have it again",
			pool.Name, aaa.ErrNotFound, pool.Subnets[0].Network)
	}
	return fmt.Errorf("pool %q has no free address: %w; radial pool show %s tells its use", pool.Name, aaa.ErrNotFound, pool.Name)
}

func newIPAvailableCmd(a *app) *cobra.Command {
	var vrf, after string
	var limit int
	cmd := &cobra.Command{
		Use:     "available POOL",
		Short:   "List the free addresses of a pool, as runs, page by page",
		Example: "  radial ip available main\n  radial ip available main --after 100.64.3.255 --limit 20",
		Args:    named("POOL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPage(limit, 0); err != nil {
				return err
			}
			var from netip.Addr
			if after != "" {
				where, err := parseWhere(after)
				if err != nil {
					return usagef("--after: %w", err)
				}
				from = where.Addr()
			}
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error { return d.available(cmd.Context(), vrf, args[0], from, limit) })
		},
	}
	cmd.Flags().StringVar(&vrf, "vrf", "", "the `name` of the pool's address space, where several have one of that name")
	cmd.Flags().StringVar(&after, "after", "", "only what comes after an `address`")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many runs at most")
	return cmd
}

// freeRuns finds the pool and its first free runs after an address. What no
// login gets anyway is said.
func (d *ipDesk) freeRuns(ctx context.Context, vrf, name string, after netip.Addr, limit int) (store.Pool, []store.FreeRun, error) {
	id, err := d.vrfNamed(ctx, vrf)
	if err != nil {
		return store.Pool{}, nil, err
	}
	pool, err := d.db.FindPool(ctx, id, name)
	if err != nil {
		return pool, nil, err
	}
	if pool.Status != store.StatusActive {
		d.note("pool %s is %s: no login gets any of these", pool.Name, pool.Status)
	}
	runs, err := d.db.FreeRuns(ctx, pool, after, limit)
	return pool, runs, err
}

func freeRunViewOf(pool store.Pool, r store.FreeRun) freeRunView {
	lease := func(a netip.Addr) string { return addressText(netip.PrefixFrom(a, pool.PrefixLength).Masked()) }
	return freeRunView{First: lease(r.Range.First), Last: lease(r.Range.Last), Leases: r.Leases, Subnet: r.Subnet.String()}
}

func (d *ipDesk) available(ctx context.Context, vrf, name string, after netip.Addr, limit int) error {
	pool, runs, err := d.freeRuns(ctx, vrf, name, after, limit+1)
	if err != nil {
		return err
	}
	if len(runs) > limit {
		runs = runs[:limit]
		defer d.note("there is more: --after %s", runs[limit-1].Range.Last)
	}
	views := make([]freeRunView, len(runs))
	for i, r := range runs {
		views[i] = freeRunViewOf(pool, r)
	}
	return d.print(views, func() string {
		g := grid{titles: []string{"free", "leases", "subnet"}}
		for _, v := range views {
			text := v.First
			if v.Last != v.First {
				text += "-" + v.Last
			}
			g.add(text, strconv.FormatUint(v.Leases, 10), v.Subnet)
		}
		return g.String()
	})
}
