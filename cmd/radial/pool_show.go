package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// useView is how leases are used, in JSON. IPv6 has room for numbers beyond
// 2^53.
type useView struct {
	Total    uint64  `json:"total"`
	Free     uint64  `json:"free"`
	Offered  uint64  `json:"offered"`
	Bound    uint64  `json:"bound"`
	Reserved uint64  `json:"reserved"`
	Cooling  uint64  `json:"cooling"`
	Percent  float64 `json:"used_percent"`
	Unmade   uint64  `json:"unmade,omitempty"` // addresses without a row yet
}

func useViewOf(u store.Use) useView {
	return useView{u.Total, u.Free, u.Offered, u.Bound, u.Reserved, u.Cooling, math.Round(u.Percent()*100) / 100, 0}
}

// used is the share of leases that cannot be given now, in percent.
func (v useView) used() string {
	if v.Total == 0 {
		return "-"
	}
	return strconv.FormatFloat(v.Percent, 'f', 2, 64) + "%"
}

func (v useView) text() string {
	text := fmt.Sprintf("%d: %d free, %d offered, %d bound, %d reserved, %d cooling (%s used)", v.Total, v.Free, v.Offered, v.Bound, v.Reserved, v.Cooling, v.used())
	if v.Unmade > 0 {
		text += fmt.Sprintf("; %d more are not made yet: if their command was cut short, say it again", v.Unmade)
	}
	return text
}

// cells are the columns of a list: useTitles.
func (v useView) cells() []string {
	texts := make([]string, 0, 7)
	for _, n := range []uint64{v.Total, v.Free, v.Offered, v.Bound, v.Reserved, v.Cooling} {
		texts = append(texts, strconv.FormatUint(n, 10))
	}
	return append(texts, v.used())
}

func useTitles() []string {
	return []string{"total", "free", "offered", "bound", "reserved", "cooling", "used"}
}

// freeView is the largest piece of free addresses, in JSON.
type freeView struct {
	Run     string `json:"largest_free_range"`
	Size    uint64 `json:"largest_free_size"` // addresses, of IPv6 leases
	Prefix  string `json:"largest_free_prefix"`
	AtLeast bool   `json:"largest_free_at_least,omitempty"` // not all was looked at

	what string
}

// freeViewOf tells what is free of leases of a length; a run of prefixes by
// its first and its last one.
func freeViewOf(b store.FreeBlock, length int) *freeView {
	v := &freeView{AtLeast: b.AtLeast, what: "addresses"}
	if !b.Run.IsValid() {
		return v
	}
	v.Run, v.Size, v.Prefix = b.Run.String(), b.Leases, b.Prefix.String()
	if length < b.Run.First.BitLen() {
		first, last := netip.PrefixFrom(b.Run.First, length), netip.PrefixFrom(b.Run.Last, length).Masked()
		if v.Run, v.what = first.String(), "prefixes"; first != last {
			v.Run += "-" + last.String()
		}
	}
	return v
}

func (v *freeView) text() string {
	if v == nil || v.Size == 0 {
		return "-"
	}
	text := fmt.Sprintf("%s: %d %s; largest network %s", v.Run, v.Size, v.what, v.Prefix)
	if v.AtLeast {
		text += " (so much of it is leased that not all was looked at: there may be larger ones)"
	}
	return text
}

// poolView is a pool in JSON.
type poolView struct {
	Name         string         `json:"name"`
	VRF          string         `json:"vrf"`
	Kind         string         `json:"kind"`
	PrefixLength int            `json:"prefix_length"`
	Type         string         `json:"type"`
	Description  string         `json:"description"`
	Status       string         `json:"status"`
	Networks     []netip.Prefix `json:"networks"`
	DNS          []netip.Addr   `json:"dns"`
	VLAN         *int32         `json:"vlan"`
	Sticky       string         `json:"sticky"`
	InterfaceID  string         `json:"interface_id"`
	Fallback     []string       `json:"fallback"`
	OfferTime    int64          `json:"offer_time"`   // seconds
	LeaseTime    int64          `json:"lease_time"`   // seconds
	CoolingTime  int64          `json:"cooling_time"` // seconds
	useView
	*freeView
	Subnets []subnetView `json:"subnets"`
	Created time.Time    `json:"created_at"`
	Updated time.Time    `json:"updated_at"`
}

func poolViewOf(p store.Pool, vrfs map[int32]string) poolView {
	v := poolView{
		Name: p.Name, VRF: vrfs[p.VRF], Kind: p.Kind.String(), PrefixLength: p.PrefixLength, Type: p.Type, Description: p.Description,
		Status: p.Status, Networks: orEmpty(p.Networks), DNS: orEmpty(p.DNS), VLAN: orNil(p.VLAN), Sticky: p.Sticky, InterfaceID: p.InterfaceID,
		Fallback: orEmpty(p.Fallback), OfferTime: int64(p.OfferTime / time.Second), LeaseTime: int64(p.LeaseTime / time.Second),
		CoolingTime: int64(p.CoolingTime / time.Second), useView: useViewOf(p.Use), Created: p.CreatedAt, Updated: p.UpdatedAt,
		Subnets: []subnetView{},
	}
	for _, s := range p.Subnets {
		v.Subnets = append(v.Subnets, subnetViewOf(s, vrfs))
		v.Unmade += s.Unmade()
	}
	return v
}

// orNil is nil for 0.
func orNil(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

// textsOf lists things with blanks between.
func textsOf[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = v.String()
	}
	return strings.Join(texts, " ")
}

// withPools hands all pools to f, or those of a name and VRF ("": all).
func (a *app) withPools(ctx context.Context, name, vrf string, f func(*store.DB, []store.Pool, map[int32]string) error) error {
	db, id, done, err := a.dbInVRF(ctx, vrf)
	if err != nil {
		return err
	}
	defer done()
	all, err := db.Pools(ctx)
	if err != nil {
		return err
	}
	vrfs, err := db.VRFNames(ctx)
	if err != nil {
		return err
	}
	var pools []store.Pool
	for _, p := range all {
		if (name == "" || p.Name == name) && (id == 0 || p.VRF == id) {
			pools = append(pools, p)
		}
	}
	if name != "" && len(pools) == 0 {
		return fmt.Errorf("pool %q: %w", name, aaa.ErrNotFound)
	}
	return f(db, pools, vrfs)
}

func newPoolListCmd(a *app) *cobra.Command {
	var vrf string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List pools and how full they are",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPools(cmd.Context(), "", vrf, func(_ *store.DB, pools []store.Pool, vrfs map[int32]string) error {
				views := make([]poolView, len(pools))
				for i, p := range pools {
					views[i] = poolViewOf(p, vrfs)
				}
				return a.print(views, func() string {
					g := grid{titles: append([]string{"pool", "vrf", "kind", "status", "networks"}, useTitles()...)}
					for _, v := range views {
						g.add(append([]string{v.Name, v.VRF, v.Kind, v.Status, textsOf(v.Networks)}, v.cells()...)...)
					}
					return g.String()
				})
			})
		},
	}
	cmd.Flags().StringVar(&vrf, "vrf", "", "those of one address space alone, by its `name`")
	return cmd
}

func newPoolShowCmd(a *app) *cobra.Command {
	var vrf string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a pool, its subnets and the room that it has",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withPools(cmd.Context(), args[0], vrf, func(db *store.DB, pools []store.Pool, vrfs map[int32]string) error {
				views := make([]poolView, len(pools))
				for i, p := range pools {
					views[i] = poolViewOf(p, vrfs)
					block, err := db.FreeBlock(cmd.Context(), p.Subnets...)
					if err != nil {
						return err
					}
					views[i].freeView = freeViewOf(block, p.PrefixLength)
				}
				return a.print(views, func() string {
					texts := make([]string, len(views))
					for i, v := range views {
						texts[i] = v.table()
					}
					return strings.Join(texts, "\n")
				})
			})
		},
	}
	vrfFlag(cmd, &vrf)
	return cmd
}

func (v poolView) table() string {
	duration := func(s int64) string { return (time.Duration(s) * time.Second).String() }
	kind := v.Kind
	if v.Kind != "ipv4" {
		kind += fmt.Sprintf(", leases of /%d", v.PrefixLength)
	}
	g := grid{}
	g.add("pool", v.Name)
	g.add("vrf", v.VRF)
	g.add("kind", kind)
	g.add("type", v.Type)
	g.add("status", v.Status)
	g.add("networks", textsOf(v.Networks))
	g.add("addresses", v.useView.text())
	g.add("largest free", v.freeView.text())
	g.add("offer time", duration(v.OfferTime))
	g.add("lease time", duration(v.LeaseTime))
	g.add("cooling time", duration(v.CoolingTime))
	g.add("sticky", v.Sticky)
	g.add("interface id", v.InterfaceID)
	g.add("dns", orDash(textsOf(v.DNS)))
	g.add("vlan", vlanText(v.VLAN))
	g.add("fallback", orDash(strings.Join(v.Fallback, ", ")))
	g.add("description", orDash(v.Description))
	return g.String() + "\n" + subnetGrid(v.Subnets, false)
}

func vlanText(n *int32) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(int(*n))
}
