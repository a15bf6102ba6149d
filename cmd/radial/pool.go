package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/ipam"
	"radial/store"
)

func newPoolCmd(a *app) *cobra.Command {
	return nounOf("pool", "Pools: the addresses that subscribers get",
		newPoolAddCmd(a), newPoolSetCmd(a), newPoolShowCmd(a), newPoolListCmd(a), newPoolDelCmd(a),
		newPoolStatusCmd(a, "drain", "Give no new leases of a pool; those who have one keep it", "drained", store.StatusDraining),
		newPoolStatusCmd(a, "enable", "Give leases of a pool (again)", "enabled", store.StatusActive),
		newPoolStatusCmd(a, "disable", "Give no leases of a pool at all; running sessions go on", "disabled", store.StatusInactive))
}

// poolFlags are the flags of pool add and pool set.
type poolFlags struct {
	vrf, name, description, kind, vlan string
	poolType, sticky, interfaceID      string
	dns, fallback                      string
	prefixLength                       int
	offer, lease, cooling              time.Duration
	dryRun                             bool
}

func (f *poolFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.description, "description", "", "a `text` for people")
	fl.StringVar(&f.poolType, "type", "private", "public or private addresses, for people")
	fl.StringVar(&f.dns, "dns", "", "`addresses` of name servers for its subscribers, with commas between; none takes them away")
	fl.StringVar(&f.vlan, "vlan", "", "`number` from 1 to 4094, for people; none takes it away")
	fl.StringVar(&f.sticky, "sticky", "user_mac", "who gets the address again that he had: user_mac, user, mac (in the last 100 days) or none")
	fl.StringVar(&f.interfaceID, "interface-id", "none", "Framed-Interface-Id beside an IPv6 prefix: none, eui64 or stable")
	fl.DurationVar(&f.offer, "offer-time", 2*time.Minute, "life of an offer that no session follows")
	fl.DurationVar(&f.lease, "lease-time", time.Hour, "life of a lease without accounting updates")
	fl.DurationVar(&f.cooling, "cooling-time", 0, "after a release, before another subscriber gets the address")
	fl.StringVar(&f.fallback, "fallback", "", "`names` of pools that are asked when this one is full, with commas between; none takes them away")
	dryRunFlag(cmd, &f.dryRun)
	choices(cmd, "type", "public", "private")
	choices(cmd, "sticky", "user_mac", "user", "mac", "none")
	choices(cmd, "interface-id", "none", "eui64", "stable")
}

// change reads the flags that were given.
func (f *poolFlags) change(cmd *cobra.Command) (c store.PoolChange, err error) {
	sticky := strings.ReplaceAll(f.sticky, "-", "_")
	c.Description, c.Type, c.Sticky = given(cmd, "description", f.description), given(cmd, "type", f.poolType), given(cmd, "sticky", sticky)
	c.InterfaceID = given(cmd, "interface-id", f.interfaceID)
	c.OfferTime, c.LeaseTime, c.CoolingTime = given(cmd, "offer-time", f.offer), given(cmd, "lease-time", f.lease), given(cmd, "cooling-time", f.cooling)
	for _, flag := range []struct {
		name string
		d    *time.Duration
	}{{"offer-time", c.OfferTime}, {"lease-time", c.LeaseTime}} {
		if flag.d != nil && *flag.d <= 0 {
			return c, usagef("--%s %s: want more than zero, like 2m", flag.name, *flag.d)
		}
	}
	if cmd.Flags().Changed("fallback") {
		names := commaList(f.fallback)
		c.Fallback = &names
	}
	if cmd.Flags().Changed("dns") {
		servers, err := nameServers(f.dns)
		if err != nil {
			return c, err
		}
		c.DNS = &servers
	}
	if cmd.Flags().Changed("vlan") {
		n, err := vlanOf(f.vlan)
		if err != nil {
			return c, err
		}
		c.VLAN = &n
	}
	return c, nil
}

// commaList reads names with commas between; none and nothing are none.
func commaList(text string) []string {
	names := []string{}
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 1 && names[0] == "none" {
		return []string{}
	}
	return names
}

// nameServers reads --dns: addresses with commas between; none and nothing are
// none.
func nameServers(text string) ([]netip.Addr, error) {
	all := []netip.Addr{}
	for _, t := range commaList(strings.ReplaceAll(text, " ", ",")) {
		addr, err := netip.ParseAddr(t)
		if err != nil {
			return nil, usagef("--dns %q: want addresses with commas between, like 192.0.2.53,2001:db8::53", t)
		}
		all = append(all, addr.Unmap())
	}
	return all, nil
}

func vlanOf(text string) (int32, error) {
	if text == "none" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || n > 4094 {
		return 0, usagef("--vlan %q: want 1 to 4094, or none", text)
	}
	return int32(n), nil
}

func kindOf(text string) (ipam.Kind, error) {
	kind, ok := ipam.ParseKind(strings.ReplaceAll(text, "-", "_"))
	if !ok {
		return 0, usagef("--kind %q: want ipv4, ipv6-prefix, delegated-prefix or ipv6-address", text)
	}
	return kind, nil
}

func newPoolSetCmd(a *app) *cobra.Command {
	var f poolFlags
	cmd := &cobra.Command{
		Use:     "set NAME",
		Short:   "Change what is named of a pool, and nothing else; its networks are subnets: radial subnet",
		Example: "  radial pool set main --cooling-time 10m --fallback spare",
		Args:    named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := f.change(cmd)
			if err != nil {
				return err
			}
			change.Name = given(cmd, "name", f.name)
			return a.setPool(cmd, f.vrf, args[0], "set", "changed", change, f.dryRun)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.name, "name", "", "its `name` from now on; refused as long as something names it")
	vrfFlag(cmd, &f.vrf)
	return cmd
}

func newPoolStatusCmd(a *app, verb, short, did, status string) *cobra.Command {
	var vrf string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setPool(cmd, vrf, args[0], verb, did, store.PoolChange{Status: &status}, dryRun)
		},
	}
	vrfFlag(cmd, &vrf)
	dryRunFlag(cmd, &dryRun)
	return cmd
}

func (a *app) setPool(cmd *cobra.Command, vrf, name, verb, did string, change store.PoolChange, dryRun bool) error {
	ctx := cmd.Context()
	db, id, done, err := a.dbInVRF(ctx, vrf)
	if err != nil {
		return err
	}
	defer done()
	made, err := db.SetPool(ctx, a.by("pool."+verb, dryRun), id, name, change)
	if err != nil {
		return err
	}
	a.noteMade(made)
	if made.Audit == nil {
		did = "unchanged"
	}
	return a.did("pool", name, did, dryRun, made.Audit)
}

// noteMade tells what came of a change beside what was asked for.
func (a *app) noteMade(made store.Made) {
	for _, name := range made.Missing {
		a.note("fallback: there is no pool %q yet: it is passed over until there is one", name)
	}
	if made.LeftOut > 0 {
		a.note("%d addresses stay those of other subnets, which had them first (ipam.allow_overlap)", made.LeftOut)
	}
}

// vrfFlag is the flag of verbs that find something by its name.
func vrfFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "vrf", "", "`name` of its address space, where several have one of that name")
}

// vrfID is the id of an address space; 0 for "".
func vrfID(ctx context.Context, db *store.DB, name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	return db.VRF(ctx, name)
}

// making is how rows of addresses are made for a command: with a bar.
func (a *app) making(large bool) (store.Making, func(), error) {
	c, err := a.config()
	if err != nil {
		return store.Making{}, nil, err
	}
	bar := a.progress("addresses")
	m := store.Making{Large: large, AllowOverlap: c.Pools.AllowOverlap, Progress: func(made, _ uint64) { bar.set(int(made)) }}
	return m, bar.done, nil
}

// cutShort tells what to do when the making of rows was interrupted.
func cutShort(err error, del string) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; the addresses made so far can be given: the same command again makes the rest, %s takes them away", err, del)
	}
	return err
}

func newPoolDelCmd(a *app) *cobra.Command {
	var vrf string
	cmd := a.deletion(deletion{
		use: "del NAME", of: "NAME",
		short:    "Delete a pool that nobody has an address of; the history stays",
		question: "Delete pool %s?",
		do: func(ctx context.Context, name string, dryRun bool) error {
			db, id, done, err := a.dbInVRF(ctx, vrf)
			if err != nil {
				return err
			}
			defer done()
			if err := db.DeletePool(ctx, a.by("pool.del", dryRun), id, name); err != nil {
				return err
			}
			if c, err := a.config(); err == nil && slices.Contains(c.Policy.FallbackPools, name) {
				a.note("ipam.fallback_pools still names pool %q: it is passed over", name)
			}
			return a.did("pool", name, "deleted", dryRun, nil)
		},
	})
	vrfFlag(cmd, &vrf)
	return cmd
}
