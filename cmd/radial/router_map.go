package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
)

func newRouterMapCmd(a *app) *cobra.Command {
	return nounOf("map", "Which PPP profile a package is on a router", newMapListCmd(a), newMapSetCmd(a), newMapDelCmd(a))
}

func newMapListCmd(a *app) *cobra.Command {
	var pkg string
	cmd := &cobra.Command{
		Use:   "list [ROUTER]",
		Short: "List packages and their profiles",
		Args:  atMostNamed("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			var id int64
			if len(args) == 1 {
				r, err := db.Router(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				id = r.ID
			}
			all, err := db.RouterPackages(cmd.Context(), id, pkg)
			if err != nil {
				return err
			}
			return a.print(orEmpty(all), func() string {
				g := grid{titles: []string{"router", "package", "profile", "speed by"}}
				for _, m := range all {
					g.add(m.Router, m.Package, m.Profile, m.Speed)
				}
				return g.String()
			})
		},
	}
	cmd.Flags().StringVar(&pkg, "package", "", "of the package of that `name`")
	return cmd
}

func newMapSetCmd(a *app) *cobra.Command {
	var m store.RouterPackage
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "set ROUTER PACKAGE",
		Short: "Say which profile a package is on a router; the profile must be there",
		Example: `  radial router profile add pop1 gold --rate-limit 20M/100M --remote-address clients
  radial router map set pop1 gold --profile gold --speed router`,
		Args: named("ROUTER", "PACKAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Package = args[1]
			if m.Profile == "" {
				return usagef("radial router map set: say --profile NAME; map del takes a mapping away")
			}
			if m.Speed != store.SpeedByRouter && m.Speed != store.SpeedByRADIUS {
				return usagef("--speed %q: want router or radius", m.Speed)
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				profiles, err := d.items(cmd.Context(), args[0], routeros.KindProfile)
				if err != nil {
					return err
				}
				if found, err := namedItem(profiles, m.Profile, "", ""); err != nil || found == nil {
					return errors.Join(err, fmt.Errorf("router %s has no PPP profile %q: radial router profile add %s %s makes one: %w", args[0], m.Profile, args[0], m.Profile, aaa.ErrNotFound))
				}
				return d.mapPackage(cmd.Context(), args[0], m, "router.map.set", "changed", dryRun)
			})
		},
	}
	cmd.Flags().StringVar(&m.Profile, "profile", "", "`name` of the PPP profile")
	cmd.Flags().StringVar(&m.Speed, "speed", store.SpeedByRouter, "who sets the speed: `router` (the profile of a secret) or radius (the login's reply, and CoA)")
	choices(cmd, "speed", store.SpeedByRouter, store.SpeedByRADIUS)
	dryRunFlag(cmd, &dryRun)
	return cmd
}

func newMapDelCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "del ROUTER PACKAGE",
		Short: "Take a mapping away; the profile stays on the router",
		Args:  named("ROUTER", "PACKAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				return d.mapPackage(cmd.Context(), args[0], store.RouterPackage{Package: args[1]}, "router.map.del", "deleted", dryRun)
			})
		},
	}
	dryRunFlag(cmd, &dryRun)
	return cmd
}

func (d *routerDesk) mapPackage(ctx context.Context, router string, m store.RouterPackage, action, did string, dryRun bool) error {
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return err
	}
	audit, err := d.db.MapPackage(ctx, d.by(action, dryRun), r, m)
	if err != nil {
		return err
	}
	return d.did("package", m.Package, did, dryRun, audit)
}

func newRouterSpeedCmd(a *app) *cobra.Command {
	var f speedFlags
	cmd := &cobra.Command{
		Use:   "speed ROUTER USER",
		Short: "Apply the speed of a user's package on a router",
		Long: `Gives the user's PPP secret the profile that his package is mapped to (radial router map), and ends his session there, so that the next one has it:
no password is sent. With --method radius nothing is configured on the router: his open sessions are compared with what a login would be given now, and
changed by CoA, or ended.`,
		Example: `  radial router speed pop1 alice
  radial router speed pop1 alice --method radius`,
		Args: named("ROUTER", "USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.speed(cmd.Context(), args[0], args[1], f) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.method, "method", "", "`router` or radius; as the package's mapping says unless told")
	choices(cmd, "method", store.SpeedByRouter, store.SpeedByRADIUS)
	fl.StringVar(&f.service, "service", "", "`service` of his secret, where he has several")
	fl.BoolVar(&f.keep, "keep-session", false, "leave his session as it is: it gets the profile at its next login")
	fl.BoolVar(&f.dryRun, "dry-run", false, "ask the router and change nothing")
	return cmd
}

type speedFlags struct {
	method, service string
	keep, dryRun    bool
}

// speedDone is what speed did, in JSON.
type speedDone struct {
	User    string `json:"user"`
	Method  string `json:"method"`
	Package string `json:"package"`
	Profile string `json:"profile,omitempty"`
	Action  string `json:"action"`
	Ended   int    `json:"sessions_ended"`
	DryRun  bool   `json:"dry_run"`
}

func (d *routerDesk) speed(ctx context.Context, router, user string, f speedFlags) error {
	if f.method != "" && f.method != store.SpeedByRouter && f.method != store.SpeedByRADIUS {
		return usagef("--method %q: want router or radius", f.method)
	}
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return err
	}
	m, err := d.mappingOf(ctx, r, user, f.method)
	if err != nil {
		return err
	}
	if f.method == "" {
		f.method = m.Speed
	}
	v := speedDone{User: user, Method: f.method, Package: m.Package, DryRun: f.dryRun}
	if f.method == store.SpeedByRADIUS {
		if !f.dryRun {
			if err := d.db.FollowUser(ctx, d.by("router.speed", false), user, aaa.Audit{"router": router, "method": f.method}); err != nil {
				return err
			}
		}
		v.Action = "queued"
		return d.say(v, "speed of %s: his sessions are compared with package %s and changed by a server; radial job list tells", printable(user), printable(m.Package))
	}
	v.Profile = m.Profile
	done, scope, err := d.giveProfile(ctx, router, user, m.Profile, f)
	if err != nil {
		return err
	}
	v.Action = string(done.Action)
	if done.Action == routeros.Changed && !f.keep && !f.dryRun {
		if v.Ended, err = d.endSessions(ctx, router, user, scope); err != nil {
			return err
		}
	}
	return d.say(v, "speed of %s: profile %s %s, %d sessions ended", printable(user), printable(m.Profile), v.Action, v.Ended)
}

// mappingOf is the mapping of a user's package on a router. By RADIUS none is
// needed.
func (d *routerDesk) mappingOf(ctx context.Context, r aaa.Router, user, method string) (store.RouterPackage, error) {
	packages, err := d.db.PackagesOfUser(ctx, user)
	if err != nil {
		return store.RouterPackage{}, err
	}
	if len(packages) == 0 {
		return store.RouterPackage{}, fmt.Errorf("user %q has no package: %w", user, aaa.ErrNotFound)
	}
	all, err := d.db.RouterPackages(ctx, r.ID, "")
	if err != nil {
		return store.RouterPackage{}, err
	}
	for _, p := range packages {
		if i := slices.IndexFunc(all, func(m store.RouterPackage) bool { return m.Package == p }); i >= 0 {
			return all[i], nil
		}
	}
	if method == store.SpeedByRADIUS {
		return store.RouterPackage{Package: packages[0], Speed: method}, nil
	}
	return store.RouterPackage{}, fmt.Errorf("package %q of %s has no profile on router %s: radial router map set %s %s --profile NAME says which: %w",
		packages[0], user, r.Name, r.Name, packages[0], aaa.ErrNotFound)
}

// giveProfile changes the profile of a user's secret and nothing else. A secret
// that is not ours stays as it is.
func (d *routerDesk) giveProfile(ctx context.Context, router, user, profile string, f speedFlags) (done routeros.Change, service string, err error) {
	items, err := d.items(ctx, router, routeros.KindSecret)
	if err != nil {
		return done, "", err
	}
	found, err := namedItem(items, user, f.service, "service")
	if err != nil {
		return done, "", err
	}
	if found == nil {
		return done, "", fmt.Errorf("router %s has no secret of %q: he logs in by RADIUS, so --method radius is for him: %w", router, user, aaa.ErrNotFound)
	}
	secret, err := routeros.SecretOf(*found)
	if err != nil {
		return done, "", err
	}
	secret.Profile, secret.Password = profile, nas.Secret("")
	done, err = d.wish(ctx, router, secret, &objectHow{dryRun: f.dryRun}, d.by("router.speed", f.dryRun))
	return done, secret.Service, err
}

// endSessions ends the sessions of a user that came by a secret of that service.
func (d *routerDesk) endSessions(ctx context.Context, router, user, service string) (n int, err error) {
	err = d.write(ctx, router, func(c *routeros.Conn) error {
		all, err := routeros.Sessions(ctx, c)
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.User != user || s.Menu != "ppp" || s.Radius || service != "any" && s.Service != service {
				continue
			}
			if err := routeros.EndOne(ctx, c, s); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
