package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

func newIPCmd(a *app) *cobra.Command {
	return nounOf("ip", "Single addresses: who has which, what is kept back, what is free",
		newIPListCmd(a), newIPShowCmd(a), newIPReserveCmd(a), newIPReleaseCmd(a), newIPConflictsCmd(a), newIPNextCmd(a), newIPAvailableCmd(a), newIPImportCmd(a), newIPExportCmd(a), newIPCleanupCmd(a),
		newIPWhoHadCmd(a), newIPHistoryCmd(a), newIPMirrorCmd(a), newIPImportRadippoolCmd(a))
}

// addressView is an address in JSON.
type addressView struct {
	Address   string     `json:"address"` // an address, or an IPv6 prefix
	VRF       string     `json:"vrf"`
	Pool      string     `json:"pool"`
	Subnet    string     `json:"subnet"`
	State     string     `json:"state"`
	User      string     `json:"username"`
	MAC       string     `json:"mac"`
	NAS       string     `json:"nas"`
	Port      string     `json:"port"`
	Session   string     `json:"session_id"`
	RadacctID int64      `json:"radacctid,omitempty"`
	Until     *time.Time `json:"until"`
	Since     *time.Time `json:"since"`
	Reason    string     `json:"reason"`
}

func addressViewOf(r store.Address, vrfs map[int32]string) addressView {
	v := addressView{
		Address: addressText(r.Address), VRF: vrfs[r.VRF], Pool: r.Pool, Subnet: r.Subnet.String(), State: r.State, User: r.User, MAC: r.MAC,
		Port: r.Port, Session: r.Session, RadacctID: r.RadacctID, Until: r.Until, Since: r.Since, Reason: r.Reason,
	}
	if r.NAS.IsValid() {
		v.NAS = r.NAS.String()
	}
	return v
}

// addressText is an address without its length, or a prefix with it.
func addressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ipSelection is what the flags of a listing say.
type ipSelection struct {
	vrf, within, mac, nas, after string
	filter                       store.AddressFilter
	limit                        int
}

func (s *ipSelection) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&s.filter.Pool, "pool", "", "of the pool of that `name`")
	fl.StringVar(&s.vrf, "vrf", "", "in the address space of that `name`; all of them if it is not given")
	fl.StringVar(&s.within, "subnet", "", "in a `network`")
	fl.StringSliceVar(&s.filter.States, "state", nil, "free, offered, bound, reserved or cooling; may be repeated")
	fl.StringVar(&s.filter.User, "user", "", "held by a `name`, or free and held by it last")
	fl.StringVar(&s.mac, "mac", "", "the same for a `MAC`")
	fl.StringVar(&s.nas, "nas", "", "leased by the NAS of that `address`")
	fl.StringVar(&s.filter.Session, "session", "", "of the session with that Acct-Session-Id")
	fl.StringVar(&s.filter.Reason, "reason", "", "reserved for that reason: static, or the operator's words")
	choices(cmd, "state", addressStates()...)
}

func addressStates() []string { return []string{"free", "offered", "bound", "reserved", "cooling"} }

// read checks the texts and looks up the VRF.
func (s *ipSelection) read(ctx context.Context, db *store.DB) error {
	for _, state := range s.filter.States {
		if !slices.Contains(addressStates(), state) {
			return usagef("--state %q: want one of %s", state, strings.Join(addressStates(), ", "))
		}
	}
	var err error
	if s.within != "" {
		if s.filter.Within, err = parseWhere(s.within); err != nil {
			return usagef("--subnet: %w", err)
		}
	}
	if s.nas != "" {
		if s.filter.NAS, err = netip.ParseAddr(s.nas); err != nil {
			return usagef("--nas %q: want an address", s.nas)
		}
	}
	s.filter.MAC = ipam.NormaliseMAC(s.mac)
	if s.vrf != "" {
		if s.filter.VRF, err = db.VRF(ctx, s.vrf); err != nil {
			return err
		}
	}
	if s.filter.Pool != "" { // of a name in several VRFs all are meant
		if _, err := db.FindPool(ctx, s.filter.VRF, s.filter.Pool); errors.Is(err, aaa.ErrNotFound) {
			return err
		}
	}
	return nil
}

// parseWhere reads an address or a network; host bits are no matter.
func parseWhere(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: want an address like 100.64.0.7 or a network like 100.64.0.0/24", text)
	}
	return p.Masked(), nil
}

// maxListed bounds a listing: what is more is paged, or exported.
const maxListed = 10000

func newIPListCmd(a *app) *cobra.Command {
	var s ipSelection
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List addresses of pools with their holders, page by page",
		Example: "  radial ip list --pool main --state bound\n  radial ip list --user alice\n  radial ip list --subnet 100.64.3.0/24 --after 100.64.3.99",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.limit < 1 || s.limit > maxListed {
				return usagef("--limit %d: want 1 to %d; radial ip export writes all", s.limit, maxListed)
			}
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error { return d.list(cmd.Context(), &s) })
		},
	}
	s.register(cmd)
	cmd.Flags().IntVar(&s.limit, "limit", 100, "how many at most")
	cmd.Flags().StringVar(&s.after, "after", "", "only what comes after an `address` (address@vrf outside of the default VRF)")
	return cmd
}

// ipDesk is what the verbs of ip work with.
type ipDesk struct {
	*app
	db   *store.DB
	vrfs map[int32]string // names by id
	zone *time.Location
}

func (a *app) withAddresses(ctx context.Context, f func(*ipDesk) error) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	vrfs, err := db.VRFNames(ctx)
	if err != nil {
		return err
	}
	return f(&ipDesk{a, db, vrfs, zone})
}

// after reads --after: address or address@vrf.
func (d *ipDesk) after(text string) (store.AddressKey, error) {
	if text == "" {
		return store.AddressKey{}, nil
	}
	addr, vrf, ok := strings.Cut(text, "@")
	if !ok {
		vrf = "default"
	}
	where, err := parseWhere(addr)
	if err != nil {
		return store.AddressKey{}, usagef("--after: %w", err)
	}
	for id, name := range d.vrfs {
		if name == vrf {
			return store.AddressKey{VRF: id, Address: where}, nil
		}
	}
	return store.AddressKey{}, usagef("--after %q: there is no VRF %q", text, vrf)
}

// key is after's inverse.
func (d *ipDesk) key(k store.AddressKey) string {
	if name := d.vrfs[k.VRF]; name != "default" {
		return addressText(k.Address) + "@" + name
	}
	return addressText(k.Address)
}

func (d *ipDesk) list(ctx context.Context, s *ipSelection) error {
	if err := s.read(ctx, d.db); err != nil {
		return err
	}
	after, err := d.after(s.after)
	if err != nil {
		return err
	}
	rows, err := d.db.Addresses(ctx, s.filter, after, s.limit+1)
	if err != nil {
		return err
	}
	if len(rows) > s.limit {
		rows = rows[:s.limit]
		defer d.note("there is more: --after %s", d.key(rows[len(rows)-1].Key()))
	}
	views := make([]addressView, len(rows))
	for i, r := range rows {
		views[i] = addressViewOf(r, d.vrfs)
	}
	return d.print(views, func() string { return d.addressGrid(views) })
}

func (d *ipDesk) addressGrid(views []addressView) string {
	g := grid{titles: []string{"address", "vrf", "pool", "state", "user", "mac", "nas", "until", "reason"}}
	for _, v := range views {
		g.add(v.Address, v.VRF, v.Pool, v.State, orDash(v.User), orDash(v.MAC), orDash(v.NAS), d.timeOr(v.Until), orDash(v.Reason))
	}
	return g.String()
}

// timeOr prints a time as ip history and ip whohad do, or a dash.
func (d *ipDesk) timeOr(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t, d.zone)
}
