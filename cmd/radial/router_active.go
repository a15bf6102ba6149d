package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas/routeros"
)

func newRouterActiveCmd(a *app) *cobra.Command {
	return nounOf("active", "Who is logged in on a router, by RADIUS or by its own secrets", newActiveListCmd(a), newActiveDisconnectCmd(a))
}

func newActiveListCmd(a *app) *cobra.Command {
	var user, menu string
	cmd := &cobra.Command{
		Use:   "list ROUTER",
		Short: "List the PPP and hotspot sessions on a router",
		Long: `Asks the router who is logged in. Up and down are octets from and to the subscriber, since the session began. Sessions that came by RADIUS are
in radial session list as well; radial session reconcile tells of those that are in one of the two alone.`,
		Args: named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if menu != "" && menu != "ppp" && menu != "hotspot" {
				return usagef("--menu %q: want ppp or hotspot", menu)
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				all, err := asked(cmd.Context(), d, args[0], routeros.Sessions)
				if err != nil {
					return err
				}
				all = slices.DeleteFunc(all, func(s routeros.Active) bool { return user != "" && s.User != user || menu != "" && s.Menu != menu })
				return d.print(all, func() string { return activeTable(all) })
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "of the user of that `name`")
	cmd.Flags().StringVar(&menu, "menu", "", "`ppp` or hotspot alone")
	choices(cmd, "menu", "ppp", "hotspot")
	return cmd
}

func activeTable(all []routeros.Active) string {
	g := grid{titles: []string{"id", "user", "service", "caller id", "address", "uptime", "session id", "radius", "up", "down"}}
	for _, s := range all {
		g.add(s.ID, s.User, s.Service, orDash(s.CallerID), addrOrDash(s.Address), routeros.FormatDuration(time.Duration(s.Uptime)), orDash(s.SessionID), yesNo(s.Radius),
			countOrDash(s.Up), countOrDash(s.Down))
	}
	return g.String()
}

func countOrDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func count(n int) string { return strconv.Itoa(n) }

func newActiveDisconnectCmd(a *app) *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "disconnect ROUTER USER|ID",
		Short: "End the sessions of a user on a router, or the one with an .id, by its API",
		Long: `Ends sessions on the router itself, whether or not Radial knows of them: who may log in is back in a moment. radial session disconnect does
the same by RADIUS for all devices.`,
		Example: `  radial router active disconnect pop1 alice
  radial router active disconnect pop1 '*1A'`,
		Args: named("ROUTER", "USER|ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes || dryRun, fmt.Sprintf("End the sessions of %s on router %s?", printable(args[1]), printable(args[0]))); err != nil {
				return err
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.disconnect(cmd, args[0], args[1], dryRun) })
		},
	}
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show which sessions, and end none")
	return cmd
}

func (d *routerDesk) disconnect(cmd *cobra.Command, router, who string, dryRun bool) error {
	all, err := asked(cmd.Context(), d, router, routeros.Sessions)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s routeros.Active) bool {
		return s.User != who && (s.ID != who || !strings.HasPrefix(who, "*"))
	})
	if len(all) == 0 {
		return fmt.Errorf("no session of %q on router %s: %w", who, router, aaa.ErrNotFound)
	}
	if !dryRun {
		for _, s := range all {
			err := d.write(cmd.Context(), router, func(c *routeros.Conn) error { return routeros.EndOne(cmd.Context(), c, s) })
			detail := aaa.Audit{"user": s.User, "session": s.SessionID, "address": addrOrDash(s.Address)}
			if err != nil {
				detail["failed"] = err.Error()
			}
			noted := d.db.NoteChange(cmd.Context(), d.by("router.active.disconnect", false), router, detail)
			if err := errors.Join(err, noted); err != nil {
				return err
			}
		}
	}
	return d.print(all, func() string {
		text := fmt.Sprintf("%d sessions ended on router %s", len(all), router)
		if dryRun {
			text = fmt.Sprintf("%d sessions would be ended on router %s (dry run)", len(all), router)
		}
		return text + "\n" + activeTable(all)
	})
}

func newRouterInterfacesCmd(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "interfaces ROUTER",
		Short: "Show a router's interfaces with their counters",
		Args:  named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				found, err := asked(cmd.Context(), d, args[0], routeros.Interfaces)
				if err != nil {
					return err
				}
				if !all {
					found = slices.DeleteFunc(found, func(i routeros.Interface) bool { return i.Dynamic })
				}
				return d.print(found, func() string {
					g := grid{titles: []string{"interface", "type", "running", "rx octets", "tx octets", "rx errors", "tx errors", "rx drops", "tx drops", "comment"}}
					for _, i := range found {
						state := yesNo(i.Running)
						if i.Disabled {
							state = "disabled"
						}
						g.add(i.Name, i.Type, state, unsigned(i.RxByte), unsigned(i.TxByte), unsigned(i.RxError), unsigned(i.TxError), unsigned(i.RxDrop), unsigned(i.TxDrop), orDash(i.Comment))
					}
					return g.String()
				})
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that the router makes for sessions")
	return cmd
}

func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }
