package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newPackageCmd(a *app) *cobra.Command {
	return nounOf("package", "Packages: what subscribers buy",
		newPackageAddCmd(a), newPackageSetCmd(a), newPackageShowCmd(a), newPackageListCmd(a), newPackageDelCmd(a),
		newPackageImportCmd(a), newPackageExportCmd(a))
}

// packageFlags are the flags of package add and package set.
type packageFlags struct {
	description, down, up       string
	pools                       aaa.PackagePools
	sessionTimeout, idleTimeout string
	interim, simultaneous       string
	price, cycle, status        string
	validity                    int64
	checks, replies             []string
	delChecks, delReplies       []string
	adopt, dryRun, noRate       bool
	quotas                      quotaFlags
	service                     serviceFlags
	walled                      walledFlags
}

func (f *packageFlags) register(cmd *cobra.Command, set bool) {
	fl := cmd.Flags()
	fl.StringVar(&f.down, "down", "", "`rate` to the subscriber in bits per second, as 100M or 512k; with --up")
	fl.StringVar(&f.up, "up", "", "`rate` from the subscriber; with --down")
	fl.StringVar(&f.pools.Pool, "pool", "", "`name` of the pool that addresses come from; none takes it away, as with the pools that follow")
	fl.StringVar(&f.pools.FramedPool, "framed-pool", "", "`name` of a pool on the device, sent as Framed-Pool; nothing is leased then")
	fl.StringVar(&f.pools.IPv6PrefixPool, "ipv6-pool", "", "`name` of the pool that prefixes of the line come from (Framed-IPv6-Prefix)")
	fl.StringVar(&f.pools.DelegatedPool, "delegated-pool", "", "`name` of the pool that delegated prefixes come from (Delegated-IPv6-Prefix)")
	fl.StringVar(&f.pools.IPv6AddressPool, "ipv6-address-pool", "", "`name` of the pool that IPv6 addresses come from (Framed-IPv6-Address)")
	fl.StringVar(&f.sessionTimeout, "session-timeout", "", "longest session, `seconds` or 12h")
	fl.StringVar(&f.idleTimeout, "idle-timeout", "", "longest silence, `seconds` or 10m")
	fl.StringVar(&f.interim, "interim-interval", "", "`seconds` between two accounting updates, 60 and more")
	fl.StringVar(&f.simultaneous, "simultaneous-use", "", "sessions at a time, a `number` or none")
	f.service.register(cmd)
	fl.StringVar(&f.price, "price", "", "`price` of a cycle, as 19.90")
	fl.StringVar(&f.cycle, "cycle", "monthly", "once, daily, monthly, quarterly or yearly")
	fl.Int64Var(&f.validity, "validity-days", 0, "new subscribers expire after so many `days`")
	fl.StringVar(&f.description, "description", "", "a `text` for people")
	fl.StringVar(&f.status, "status", "active", "active, or inactive: nobody new gets it")
	f.quotas.register(cmd, set)
	f.walled.register(cmd, set)
	fl.StringArrayVar(&f.checks, "check", nil, "further check item of its group, `'Attr op value'`; may be repeated")
	fl.StringArrayVar(&f.replies, "reply", nil, "further reply item of its group, `'Attr op value'`; may be repeated")
	dryRunFlag(cmd, &f.dryRun)
	if !set {
		fl.BoolVar(&f.adopt, "adopt", false, "take over the group of that name that FreeRADIUS's tables have already")
		return
	}
	fl.BoolVar(&f.noRate, "no-rate", false, "take the rates away")
	fl.StringArrayVar(&f.delChecks, "del-check", nil, "take all check items of an `attribute` away; may be repeated")
	fl.StringArrayVar(&f.delReplies, "del-reply", nil, "take all reply items of an `attribute` away; may be repeated")
}

// change reads the flags that were given.
func (f *packageFlags) change(cmd *cobra.Command) (c aaa.PackageChange, err error) {
	c.Description, c.Price = given(cmd, "description", f.description), given(cmd, "price", f.price)
	noneIsEmpty(&f.pools.Pool, &f.pools.FramedPool, &f.pools.IPv6PrefixPool, &f.pools.DelegatedPool, &f.pools.IPv6AddressPool)
	c.Pool, c.FramedPool = given(cmd, "pool", f.pools.Pool), given(cmd, "framed-pool", f.pools.FramedPool)
	c.IPv6PrefixPool, c.DelegatedPool = given(cmd, "ipv6-pool", f.pools.IPv6PrefixPool), given(cmd, "delegated-pool", f.pools.DelegatedPool)
	c.IPv6AddressPool = given(cmd, "ipv6-address-pool", f.pools.IPv6AddressPool)
	c.BillingCycle = given(cmd, "cycle", aaa.BillingCycle(f.cycle))
	c.ValidityDays = given(cmd, "validity-days", f.validity)
	c.Status = given(cmd, "status", aaa.PackageStatus(f.status))
	for _, rate := range []struct {
		flag, text string
		to         **int64
	}{{"down", f.down, &c.RateDown}, {"up", f.up, &c.RateUp}} {
		if f.noRate {
			*rate.to = new(int64)
			continue
		}
		if *rate.to, err = givenRate(cmd, rate.flag, rate.text); err != nil {
			return c, err
		}
		if *rate.to != nil && **rate.to == 0 {
			return c, usagef("--%s %q: want bits per second with k, M or G, as in 20M", rate.flag, rate.text)
		}
	}
	if err := f.service.change(cmd, &c); err != nil {
		return c, err
	}
	if c.Walled, err = f.walled.change(cmd); err != nil {
		return c, err
	}
	for _, timeout := range []struct {
		flag, text string
		to         **int64
	}{
		{"session-timeout", f.sessionTimeout, &c.SessionTimeout},
		{"idle-timeout", f.idleTimeout, &c.IdleTimeout},
		{"interim-interval", f.interim, &c.InterimInterval},
	} {
		if *timeout.to, err = givenSeconds(cmd, timeout.flag, timeout.text); err != nil {
			return c, err
		}
	}
	if cmd.Flags().Changed("simultaneous-use") {
		n, err := strconv.ParseInt(f.simultaneous, 10, 32)
		if f.simultaneous == "none" {
			n = -1
		} else if err != nil || n < 0 {
			return c, usagef("--simultaneous-use %q: want a number, or none", f.simultaneous)
		}
		c.SimultaneousUse = &n
	}
	if c.Quotas, err = f.quotas.change(cmd); err != nil {
		return c, err
	}
	c.DelChecks, c.DelReplies = f.delChecks, f.delReplies
	if c.AddChecks, err = items("check", f.checks); err != nil {
		return c, err
	}
	c.AddReplies, err = items("reply", f.replies)
	return c, err
}

func newPackageAddCmd(a *app) *cobra.Command {
	var f packageFlags
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Make a new package",
		Example: "  radial package add gold --down 100M --up 20M --pool main --price 29.90",
		Args:    named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(a, cmd, args[0], "added", func(d *desk, c aaa.PackageChange) func(aaa.PackageState) (aaa.PackageDelta, error) {
				return d.rules.AddPackage(c, f.adopt)
			})
		},
	}
	f.register(cmd, false)
	return cmd
}

func newPackageSetCmd(a *app) *cobra.Command {
	var f packageFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change what is named of a package, and nothing else; 0 and \"\" take a value away",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(a, cmd, args[0], "changed", func(d *desk, c aaa.PackageChange) func(aaa.PackageState) (aaa.PackageDelta, error) {
				return d.rules.SetPackage(c)
			})
		},
	}
	f.register(cmd, true)
	return cmd
}

// run is what add and set have in common.
func (f *packageFlags) run(a *app, cmd *cobra.Command, name, did string,
	rule func(*desk, aaa.PackageChange) func(aaa.PackageState) (aaa.PackageDelta, error),
) error {
	c, err := f.change(cmd)
	if err != nil {
		return err
	}
	return a.withDesk(cmd.Context(), func(d *desk) error {
		delta, err := d.db.ChangePackage(cmd.Context(), a.by("package."+cmd.Name(), f.dryRun), name, rule(d, c))
		if err != nil {
			return err
		}
		a.noteDrift("package", name, delta.Rows.Drift)
		if delta.Save != nil && (c.Quotas.Quotas != nil || c.Quotas.Steps != nil) {
			a.noteSteps(delta.Save.Quotas)
		}
		if err := errors.Join(d.notePools(cmd.Context(), f.pools), d.noteItems(cmd.Context(), c.AddChecks, c.AddReplies)); err != nil {
			return err
		}
		if p := delta.Save; (delta.Audit["walled"] != nil || delta.Audit["address_list"] != nil) && p != nil && p.Walled != nil && p.Walled.AddressList != "" && p.AddressList == "" {
			a.note("package %s has no --address-list of its own: a MikroTik ends sessions on their way out of the walled garden, since no CoA takes an address list away", name)
		}
		if delta.Audit["walled"] != nil && !f.dryRun {
			if err := d.tendGardens(cmd.Context()); err != nil {
				return err
			}
		}
		return a.did("package", name, did, f.dryRun, delta.Audit)
	})
}

func newPackageDelCmd(a *app) *cobra.Command {
	return a.deletion(deletion{
		use: "del NAME", of: "NAME",
		short:    "Delete a package that nobody has any more",
		question: "Delete package %s?",
		do: func(ctx context.Context, name string, dryRun bool) error {
			return a.withDesk(ctx, func(d *desk) error {
				delta, err := d.db.ChangePackage(ctx, a.by("package.del", dryRun), name, d.rules.DeletePackage)
				if err != nil {
					return err
				}
				a.noteDrift("package", name, delta.Rows.Drift)
				return a.did("package", name, "deleted", dryRun, delta.Audit)
			})
		},
	})
}
