package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

func newPoolCmd(a *app) *cobra.Command {
	return nounOf("pool", "Pools: the addresses that subscribers get",
		newPoolAddCmd(a), newPoolShowCmd(a), newPoolListCmd(a), newPoolDelCmd(a))
}

func newPoolAddCmd(a *app) *cobra.Command {
	var spec store.PoolSpec
	var cidrs []string
	var vrf, gateway string
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Make a pool; its addresses can be given as soon as their rows are there",
		Example: "  radial pool add main --cidr 100.64.0.0/16 --gateway 100.64.0.1",
		Args:    named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Name = args[0]
			if len(cidrs) == 0 {
				return usagef("--cidr is missing: want a network like 100.64.0.0/16")
			}
			for _, text := range cidrs {
				p, err := netip.ParsePrefix(text)
				if err != nil {
					return usagef("--cidr %q: want a network like 100.64.0.0/16", text)
				}
				if p != p.Masked() {
					return usagef("--cidr %q: host bits are set: want %s (and --gateway %s, if that is meant)", text, p.Masked(), p.Addr())
				}
				spec.CIDRs = append(spec.CIDRs, p)
			}
			if gateway != "" {
				var err error
				if spec.Gateway, err = netip.ParseAddr(gateway); err != nil {
					return usagef("--gateway %q: want an address", gateway)
				}
			}
			return addPool(cmd, a, spec, vrf)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&cidrs, "cidr", nil, "a `network`; may be repeated")
	fl.StringVar(&vrf, "vrf", "default", "`name` of the address space; made if need be")
	fl.StringVar(&gateway, "gateway", "", "an `address` in it that is never given")
	fl.StringVar(&spec.Description, "description", "", "a `text` for people")
	fl.DurationVar(&spec.OfferTime, "offer-time", 2*time.Minute, "life of an offer that no session follows")
	fl.DurationVar(&spec.LeaseTime, "lease-time", time.Hour, "life of a lease without accounting updates")
	fl.BoolVar(&spec.Large, "large", false, "more than a million addresses are meant")
	return cmd
}

func addPool(cmd *cobra.Command, a *app, spec store.PoolSpec, vrf string) error {
	ctx := cmd.Context()
	db, closeDB, err := a.db(ctx)
	if err != nil {
		return err
	}
	defer closeDB()
	if spec.VRF, err = db.MakeVRF(ctx, vrf); err != nil {
		return err
	}
	bar := a.progress("addresses")
	spec.Progress = func(made, _ uint64) { bar.set(int(made)) }
	made, err := db.AddPool(ctx, a.by("pool.add", false), spec)
	bar.done()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; the addresses made so far can be given: the same command again makes the rest, radial pool del %s takes them away", err, spec.Name)
	}
	if err != nil {
		return err
	}
	return a.did("pool", spec.Name, "added", false, made.Audit)
}

// poolView is a pool in JSON.
type poolView struct {
	Name        string         `json:"name"`
	VRF         string         `json:"vrf"`
	Description string         `json:"description"`
	Status      string         `json:"status"`
	Networks    []netip.Prefix `json:"networks"`
	OfferTime   int64          `json:"offer_time"` // seconds
	LeaseTime   int64          `json:"lease_time"` // seconds
	Total       uint64         `json:"total"`
	Free        uint64         `json:"free"`
	Offered     uint64         `json:"offered"`
	Bound       uint64         `json:"bound"`
	Reserved    uint64         `json:"reserved"`
	Created     time.Time      `json:"created_at"`
}

func poolViewOf(p store.Pool, vrfs map[int32]string) poolView {
	return poolView{
		Name: p.Name, VRF: vrfs[p.VRF], Description: p.Description, Status: p.Status, Networks: orEmpty(p.Networks),
		OfferTime: int64(p.OfferTime / time.Second), LeaseTime: int64(p.LeaseTime / time.Second),
		Total: p.Total, Free: p.Free, Offered: p.Offered, Bound: p.Bound, Reserved: p.Reserved, Created: p.CreatedAt,
	}
}

func (v poolView) networks() string {
	texts := make([]string, len(v.Networks))
	for i, n := range v.Networks {
		texts[i] = n.String()
	}
	return strings.Join(texts, " ")
}

// used is the share of addresses that cannot be given now, in percent.
func (v poolView) used() string {
	if v.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(v.Total-v.Free)/float64(v.Total))
}

// poolsNamed returns the views of all pools, or of those with a name.
func poolsNamed(cmd *cobra.Command, a *app, name string) ([]poolView, error) {
	db, closeDB, err := a.db(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer closeDB()
	all, err := db.Pools(cmd.Context())
	if err != nil {
		return nil, err
	}
	vrfs, err := db.VRFNames(cmd.Context())
	if err != nil {
		return nil, err
	}
	views := []poolView{}
	for _, p := range all {
		if name == "" || p.Name == name {
			views = append(views, poolViewOf(p, vrfs))
		}
	}
	return views, nil
}

func newPoolListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List pools and how full they are",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			views, err := poolsNamed(cmd, a, "")
			if err != nil {
				return err
			}
			return a.print(views, func() string {
				g := grid{titles: []string{"pool", "vrf", "status", "networks", "total", "free", "offered", "bound", "reserved", "used"}}
				for _, v := range views {
					g.add(v.Name, v.VRF, v.Status, v.networks(), strconv.FormatUint(v.Total, 10), strconv.FormatUint(v.Free, 10),
						strconv.FormatUint(v.Offered, 10), strconv.FormatUint(v.Bound, 10), strconv.FormatUint(v.Reserved, 10), v.used())
				}
				return g.String()
			})
		},
	}
}

func newPoolShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a pool",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			views, err := poolsNamed(cmd, a, args[0])
			if err != nil {
				return err
			}
			if len(views) == 0 {
				return fmt.Errorf("pool %q: %w", args[0], aaa.ErrNotFound)
			}
			return a.print(views, func() string {
				texts := make([]string, len(views))
				for i, v := range views {
					g := grid{}
					g.add("pool", v.Name)
					g.add("vrf", v.VRF)
					g.add("status", v.Status)
					g.add("networks", v.networks())
					g.add("offer time", (time.Duration(v.OfferTime) * time.Second).String())
					g.add("lease time", (time.Duration(v.LeaseTime) * time.Second).String())
					g.add("addresses", fmt.Sprintf("%d: %d free, %d offered, %d bound, %d reserved (%s used)", v.Total, v.Free, v.Offered, v.Bound, v.Reserved, v.used()))
					g.add("description", orDash(v.Description))
					texts[i] = g.String()
				}
				return strings.Join(texts, "\n")
			})
		},
	}
}

func newPoolDelCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "del NAME",
		Short: "Delete a pool that nobody has an address of; the history stays",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes, "Delete pool "+printable(args[0])+"?"); err != nil {
				return err
			}
			db, closeDB, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer closeDB()
			if err := db.DeletePool(cmd.Context(), a.by("pool.del", false), 0, args[0]); err != nil {
				return err
			}
			return a.did("pool", args[0], "deleted", false, nil)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
