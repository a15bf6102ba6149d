package main

import (
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"radial/ipam"
	"radial/store"
)

// exclusionView is addresses that are never given, in JSON.
type exclusionView struct {
	Range  string `json:"range"`
	Reason string `json:"reason"`
}

// subnetView is a subnet in JSON.
type subnetView struct {
	Network     netip.Prefix    `json:"network"`
	Pool        string          `json:"pool"`
	VRF         string          `json:"vrf"`
	Kind        string          `json:"kind"`
	First       netip.Addr      `json:"first"`
	Last        netip.Addr      `json:"last"`
	Gateway     *netip.Addr     `json:"gateway"`
	VLAN        *int32          `json:"vlan"`
	Status      string          `json:"status"`
	Description string          `json:"description"`
	Overlap     bool            `json:"overlap"`
	Exclusions  []exclusionView `json:"exclusions"`
	useView
	*freeView
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

func subnetViewOf(s store.Subnet, vrfs map[int32]string) subnetView {
	v := subnetView{
		Network: s.Network, Pool: s.Pool, VRF: vrfs[s.VRF], Kind: s.Kind.String(), First: s.Range.First, Last: s.Range.Last, VLAN: orNil(s.VLAN),
		Status: s.Status, Description: s.Description, Overlap: s.Overlap, Exclusions: []exclusionView{}, useView: useViewOf(s.Use),
		Created: s.CreatedAt, Updated: s.UpdatedAt,
	}
	v.Unmade = s.Unmade()
	if s.Gateway.IsValid() {
		v.Gateway = &s.Gateway
	}
	for _, x := range s.Exclusions {
		v.Exclusions = append(v.Exclusions, exclusionView{x.Range.String(), x.Reason})
	}
	return v
}

// part is the range that is given, or "all".
func (v subnetView) part() string {
	r := ipam.Range{First: v.First, Last: v.Last}
	if r == ipam.RangeOf(v.Network) {
		return "all"
	}
	return r.String()
}

func (v subnetView) gateway() string {
	if v.Gateway == nil {
		return "-"
	}
	return v.Gateway.String()
}

// subnetGrid lists subnets; of several pools, with their names.
func subnetGrid(views []subnetView, pools bool) string {
	titles := []string{"subnet", "range", "gateway", "vlan", "status"}
	if pools {
		titles = append([]string{"pool", "vrf"}, titles...)
	}
	g := grid{titles: append(titles, useTitles()...)}
	for _, v := range views {
		cells := []string{v.Network.String(), v.part(), v.gateway(), vlanText(v.VLAN), v.Status}
		if pools {
			cells = append([]string{v.Pool, v.VRF}, cells...)
		}
		g.add(append(cells, v.cells()...)...)
	}
	return g.String()
}

func newSubnetListCmd(a *app) *cobra.Command {
	var pool, vrf string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List subnets and how full they are",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPools(cmd.Context(), pool, vrf, func(_ *store.DB, pools []store.Pool, vrfs map[int32]string) error {
				views := []subnetView{}
				for _, p := range pools {
					for _, s := range p.Subnets {
						views = append(views, subnetViewOf(s, vrfs))
					}
				}
				return a.print(views, func() string { return subnetGrid(views, true) })
			})
		},
	}
	cmd.Flags().StringVar(&pool, "pool", "", "those of one pool alone, by its `name`")
	cmd.Flags().StringVar(&vrf, "vrf", "", "those of one address space alone, by its `name`")
	return cmd
}

func newSubnetShowCmd(a *app) *cobra.Command {
	var vrf, pool string
	cmd := &cobra.Command{
		Use:   "show NETWORK|RANGE",
		Short: "Show a subnet and the room that it has",
		Args:  named("NETWORK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			db, id, done, err := a.dbInVRF(ctx, vrf)
			if err != nil {
				return err
			}
			defer done()
			s, err := db.FindSubnet(ctx, id, pool, args[0])
			if err != nil {
				return err
			}
			if s, err = db.SubnetUse(ctx, s); err != nil {
				return err
			}
			block, err := db.FreeBlock(ctx, s)
			if err != nil {
				return err
			}
			vrfs, err := db.VRFNames(ctx)
			if err != nil {
				return err
			}
			v := subnetViewOf(s, vrfs)
			v.freeView = freeViewOf(block, s.PrefixLength)
			return a.print(v, v.table)
		},
	}
	ofPoolFlag(cmd, &pool)
	vrfFlag(cmd, &vrf)
	return cmd
}

func (v subnetView) table() string {
	g := grid{}
	g.add("subnet", v.Network.String())
	g.add("pool", v.Pool)
	g.add("vrf", v.VRF)
	g.add("range", v.part())
	g.add("gateway", v.gateway())
	g.add("vlan", vlanText(v.VLAN))
	g.add("status", v.Status)
	g.add("addresses", v.useView.text())
	g.add("largest free", v.freeView.text())
	if v.Overlap {
		g.add("overlap", "with others (ipam.allow_overlap)")
	}
	g.add("description", orDash(v.Description))
	for _, x := range v.Exclusions {
		g.add("excluded", x.Range+" "+x.Reason)
	}
	return g.String()
}
