package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

func newUserCmd(a *app) *cobra.Command {
	return nounOf("user", "Subscribers: who may log in, and what they get",
		newUserAddCmd(a), newUserSetCmd(a), newUserShowCmd(a), newUserListCmd(a), newUserDelCmd(a), newUserExplainCmd(a), newUserSyncCmd(a),
		newUserRenewCmd(a), newUserTopUpCmd(a),
		newUserImportCmd(a), newUserExportCmd(a))
}

// userFlags are the flags of user add and user set.
type userFlags struct {
	password, hash         string
	passwordStdin          bool
	pkg, status, service   string
	ip, expires            string
	email, comment         string
	groups, checks         []string
	replies                []string
	delGroups, delChecks   []string
	delReplies             []string
	noPackage, noIP, noExp bool
	dryRun                 bool
	quotas                 quotaFlags
	billingDay             int
	macs                   []string
	noMAC, noPassword      bool
}

// hashKinds names the ways to store a password.
func hashKinds() []string {
	kinds := make([]string, len(aaa.PasswordKindList))
	for i, k := range aaa.PasswordKindList {
		kinds[i] = k.Name
	}
	return kinds
}

func (f *userFlags) register(cmd *cobra.Command, set bool) {
	fl := cmd.Flags()
	fl.StringVar(&f.password, "password", "", "the `password`; visible in the list of processes, see --password-stdin")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from the first line of stdin")
	fl.StringVar(&f.hash, "hash", "cleartext", "how to store it, a `kind` of: "+strings.Join(hashKinds(), ", ")+
		" (CHAP needs cleartext, MS-CHAP cleartext or nt)")
	fl.StringVar(&f.pkg, "package", "", "the package's `name`")
	fl.StringVar(&f.status, "status", "active", "active, inactive, suspended or expired")
	fl.StringVar(&f.service, "service-type", "pppoe", "pppoe, hotspot, static or dhcp")
	fl.BoolVar(&f.noPassword, "no-password", false, "no password: the device's MAC address is enough, that of NAME or of --mac (DHCP, hotspots)")
	fl.StringSliceVar(&f.macs, "mac", nil, "the only `devices` that he may use, MAC addresses with commas between; in place of all before")
	choices(cmd, "hash", hashKinds()...)
	choices(cmd, "status", "active", "inactive", "suspended", "expired")
	choices(cmd, "service-type", wordsOf(aaa.ServiceTypes)...)
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin", "no-password")
	fl.StringVar(&f.ip, "ip", "", "static `address`, IPv4 or IPv6")
	fl.StringVar(&f.expires, "expires", "", "last moment, `when`: 2026-11-30, 2026-11-30T23:00 or \"30 Nov 2026 23:00\"")
	fl.StringVar(&f.email, "email", "", "e-mail `address`")
	fl.StringVar(&f.comment, "comment", "", "a `text` for people")
	f.quotas.register(cmd, set)
	fl.IntVar(&f.billingDay, "billing-day", 0, "`day` of the month on which his months begin, 1 to 31 (the last one of shorter months); 0: as counters.month_day says")
	fl.StringArrayVar(&f.groups, "group", nil, "further `GROUP[:priority]` (priority 200; the package has 100); may be repeated")
	fl.StringArrayVar(&f.checks, "check", nil, "further check item, `'Attr op value'`; may be repeated")
	fl.StringArrayVar(&f.replies, "reply", nil, "further reply item, `'Attr op value'`; may be repeated")
	dryRunFlag(cmd, &f.dryRun)
	if !set {
		return
	}
	fl.BoolVar(&f.noPackage, "no-package", false, "take the package away")
	fl.BoolVar(&f.noIP, "no-ip", false, "take the static address away")
	fl.BoolVar(&f.noExp, "no-expires", false, "take the expiry away")
	fl.BoolVar(&f.noMAC, "no-mac", false, "any device may be used")
	cmd.MarkFlagsMutuallyExclusive("mac", "no-mac")
	fl.StringArrayVar(&f.delGroups, "del-group", nil, "take a `group` away; may be repeated")
	fl.StringArrayVar(&f.delChecks, "del-check", nil, "take all check items of an `attribute` away; may be repeated")
	fl.StringArrayVar(&f.delReplies, "del-reply", nil, "take all reply items of an `attribute` away; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("package", "no-package")
	cmd.MarkFlagsMutuallyExclusive("ip", "no-ip")
	cmd.MarkFlagsMutuallyExclusive("expires", "no-expires")
}

// change reads the flags that were given.
func (f *userFlags) change(d *desk, cmd *cobra.Command) (c aaa.SubscriberChange, err error) {
	if err := f.passwordChange(d, cmd, &c); err != nil {
		return c, err
	}
	c.Package = given(cmd, "package", f.pkg)
	if f.noPackage {
		c.Package = new(string)
	}
	c.Status = given(cmd, "status", aaa.SubscriberStatus(f.status))
	if f.service == "static_ip" { // the other spelling that panels use
		f.service = "static"
	}
	c.ServiceType = given(cmd, "service-type", aaa.ServiceType(f.service))
	c.Email, c.Comment = given(cmd, "email", f.email), given(cmd, "comment", f.comment)
	if cmd.Flags().Changed("ip") || f.noIP {
		c.StaticIP = new(netip.Addr)
		if !f.noIP {
			if *c.StaticIP, err = netip.ParseAddr(f.ip); err != nil {
				return c, usagef("--ip %q: want an IPv4 or IPv6 address", f.ip)
			}
			*c.StaticIP = c.StaticIP.Unmap()
		}
	}
	if cmd.Flags().Changed("expires") || f.noExp {
		c.Expires = new(time.Time)
		if !f.noExp {
			if *c.Expires, err = aaa.ParseISOOrFreeRADIUS(f.expires, d.zone); err != nil {
				return c, usagef("--expires: %w", err)
			}
		}
	}
	c.BillingDay = given(cmd, "billing-day", f.billingDay)
	c.NoPassword = f.noPassword
	if f.noMAC {
		c.MACs = []string{}
	}
	for _, text := range f.macs {
		mac, err := aaa.NormalMAC(text)
		if err != nil {
			return c, usagef("--mac: %w", err)
		}
		c.MACs = append(c.MACs, mac)
	}
	if c.Quotas, err = f.quotas.change(cmd); err != nil {
		return c, err
	}
	for _, text := range f.groups {
		g, err := aaa.ParseGroup(text)
		if err != nil {
			return c, usagef("--group: %w", err)
		}
		c.AddGroups = append(c.AddGroups, g)
	}
	c.DelGroups, c.DelChecks, c.DelReplies = f.delGroups, f.delChecks, f.delReplies
	if c.AddChecks, err = items("check", f.checks); err != nil {
		return c, err
	}
	c.AddReplies, err = items("reply", f.replies)
	return c, err
}

func (f *userFlags) passwordChange(d *desk, cmd *cobra.Command, c *aaa.SubscriberChange) error {
	password, err := d.secretInput("password", f.password, f.passwordStdin)
	if err != nil {
		return err
	}
	if password == "" && !cmd.Flags().Changed("password") {
		if cmd.Flags().Changed("hash") {
			return usagef("--hash needs the password too: a stored one cannot be turned into another kind")
		}
		return nil
	}
	if _, known := aaa.PasswordKindOf(f.hash); !known {
		return usagef("--hash %q: want one of %s", f.hash, strings.Join(hashKinds(), ", "))
	}
	c.PasswordType, c.Plain = f.hash, nas.Secret(password)
	c.Password, err = aaa.PasswordItem(f.hash, password)
	return err
}

// packageNamed returns the package that a change names, or nil.
func (d *desk) packageNamed(cmd *cobra.Command, name *string) (*aaa.Package, error) {
	if name == nil || *name == "" {
		return nil, nil
	}
	p, err := d.db.Package(cmd.Context(), *name)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func newUserAddCmd(a *app) *cobra.Command {
	var f userFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a new subscriber",
		Example: `  radial user add bob --password 'p w' --package gold
  radial user add shop7 --password-stdin --hash nt --ip 100.64.9.7 --reply 'Framed-Route += 192.0.2.0/28' < secret
  radial user add 4C:5E:0C:01:02:03 --no-password --service-type dhcp --package home`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(a, cmd, args[0], "added", func(d *desk, c aaa.SubscriberChange, pkg *aaa.Package) func(aaa.Account) (aaa.AccountDelta, error) {
				return d.rules.AddSubscriber(c, pkg)
			})
		},
	}
	f.register(cmd, false)
	return cmd
}

func newUserSetCmd(a *app) *cobra.Command {
	var f userFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change what is named of a subscriber, and nothing else",
		Long: `Change what is named of a subscriber, and nothing else. What is named is
written over, also where others wrote it in FreeRADIUS's tables; every other
row of theirs stays.`,
		Example: `  radial user set bob --status suspended
  radial user set bob --package silver --no-expires --del-reply Framed-Route`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(a, cmd, args[0], "changed", func(d *desk, c aaa.SubscriberChange, pkg *aaa.Package) func(aaa.Account) (aaa.AccountDelta, error) {
				return d.rules.SetSubscriber(c, pkg)
			})
		},
	}
	f.register(cmd, true)
	return cmd
}

// run is what add and set have in common.
func (f *userFlags) run(a *app, cmd *cobra.Command, name, did string,
	rule func(*desk, aaa.SubscriberChange, *aaa.Package) func(aaa.Account) (aaa.AccountDelta, error),
) error {
	return a.withDesk(cmd.Context(), func(d *desk) error {
		c, err := f.change(d, cmd)
		if err != nil {
			return err
		}
		pkg, err := d.packageNamed(cmd, c.Package)
		if err != nil {
			return err
		}
		delta, err := d.db.ChangeSubscriber(cmd.Context(), a.by("user."+cmd.Name(), f.dryRun), name, rule(d, c, pkg))
		if err != nil {
			return err
		}
		a.noteDrift("user", name, delta.Rows.Drift)
		if delta.Save != nil && (c.Quotas.Quotas != nil || c.Quotas.Steps != nil) {
			a.noteSteps(delta.Save.Quotas)
		}
		if err := errors.Join(d.noteStaticIP(cmd.Context(), c.StaticIP), d.noteHeld(cmd.Context(), name, c.StaticIP), d.noteItems(cmd.Context(), c.AddChecks, c.AddReplies)); err != nil {
			return err
		}
		return a.did("user", name, did, f.dryRun, delta.Audit)
	})
}

func newUserDelCmd(a *app) *cobra.Command {
	return a.deletion(deletion{
		use: "del NAME", of: "NAME",
		short: "Delete a subscriber with every row of FreeRADIUS's tables",
		long: `Delete a subscriber with every row that radcheck, radreply and radusergroup
have of him, whoever wrote it: a row that stayed could still let him in.
His accounting stays.`,
		question: "Delete user %s and all of his rows?",
		do: func(ctx context.Context, name string, dryRun bool) error {
			return a.withDesk(ctx, func(d *desk) error {
				delta, err := d.db.ChangeSubscriber(ctx, a.by("user.del", dryRun), name, d.rules.DeleteSubscriber)
				if err != nil {
					return err
				}
				return a.did("user", name, "deleted", dryRun, delta.Audit)
			})
		},
	})
}

func newUserListCmd(a *app) *cobra.Command {
	var f store.SubscriberFilter
	var status, service string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List subscribers, also those whom FreeRADIUS's tables alone know",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Status, f.Service = aaa.SubscriberStatus(status), aaa.ServiceType(service)
			switch {
			case status != "" && !slices.Contains(aaa.SubscriberStatuses, f.Status):
				return usagef("--status %q: active, inactive, suspended or expired", status)
			case service != "" && !slices.Contains(aaa.ServiceTypes, f.Service):
				return usagef("--service-type %q: %s", service, strings.Join(wordsOf(aaa.ServiceTypes), ", "))
			case f.Limit < 1 || f.Limit > 100_000:
				return usagef("--limit %d: want 1 to 100000", f.Limit)
			}
			return a.withDesk(cmd.Context(), func(d *desk) error { return listUsers(cmd, d, f) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&status, "status", "", "only those with this `status`")
	fl.StringVar(&service, "service-type", "", "only those with this `type`")
	fl.StringVar(&f.Package, "package", "", "only those with this `package`")
	fl.StringVar(&f.Search, "search", "", "only those with this `text` in name, e-mail or comment")
	fl.StringVar(&f.After, "after", "", "begin after this `name`: the next page")
	fl.IntVar(&f.Limit, "limit", 100, "at most so many")
	return cmd
}

func listUsers(cmd *cobra.Command, d *desk, f store.SubscriberFilter) error {
	subs, more, err := d.db.Subscribers(cmd.Context(), f)
	if err != nil {
		return err
	}
	page := struct {
		Users []userView `json:"users"`
		Next  string     `json:"next_after"` // "" on the last page
	}{Users: make([]userView, len(subs))}
	for i := range subs {
		page.Users[i] = viewOf(subs[i])
	}
	if more {
		page.Next = subs[len(subs)-1].Name
	}
	return d.print(page, func() string {
		g := grid{titles: []string{"user", "status", "package", "service", "ip", "expires", "known by"}}
		for i, u := range page.Users {
			if subs[i].ID == 0 {
				g.add(u.Username, "-", "-", "-", "-", "-", u.Source)
				continue
			}
			g.add(u.Username, string(subs[i].Status), orDash(u.Package), u.ServiceType, orDash(u.StaticIP), d.timeOr(u.Expires), u.Source)
		}
		out := g.String()
		if more {
			out += "\nmore: --after " + printable(page.Next) + "\n"
		}
		return out
	})
}
