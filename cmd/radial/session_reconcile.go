package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/jobs"
	"radial/nas/routeros"
)

func newSessionReconcileCmd(a *app) *cobra.Command {
	var router string
	var mend, yes bool
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare radacct with who is logged in on the routers",
		Long: `Asks routers (radial router) who is logged in by RADIUS, and lists what is on the router alone and what is open in radacct alone. What is less
than a minute old is missed on neither side. With --mend, sessions that their router does not have are closed in radacct, with the
time when they were last heard of; those that radacct does not have are ended on the router, so that they log in again and are accounted for. The setting
sessions.reconcile has the servers do that each quarter of an hour. Exit code 1 when a router could not be asked.`,
		Example: `  radial session reconcile
  radial session reconcile --router pop1 --mend`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mend {
				if err := a.confirm(yes, "Close what the routers do not have, and end what radacct does not have?"); err != nil {
					return err
				}
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.reconcile(cmd.Context(), router, mend) })
		},
	}
	cmd.Flags().StringVar(&router, "router", "", "only the router of that `name`; all that are linked to a device unless told")
	cmd.Flags().BoolVar(&mend, "mend", false, "close and end what differs")
	yesFlag(cmd, &yes)
	return cmd
}

// reconciled is what was found at a router, and done about it, in JSON.
type reconciled struct {
	jobs.Mismatch
	jobs.Mended
	Problem string `json:"problem"`
}

func (d *routerDesk) reconcile(ctx context.Context, router string, mend bool) error {
	all, err := d.chosenRouters(ctx, router)
	if err != nil {
		return err
	}
	devices, err := d.db.Devices(ctx)
	if err != nil {
		return err
	}
	rs := jobs.NewRouterSessions(d.db, d.fleet, d.now)
	views, failed := []reconciled{}, 0
	for _, r := range all {
		v := reconciled{}
		v.Mismatch, err = rs.Compare(ctx, r, devices)
		if router == "" && errors.Is(err, aaa.ErrInvalid) {
			d.note("%v", err)
			continue
		}
		if err == nil && mend {
			v.Mended, err = rs.Mend(ctx, d.by("session.reconcile", false), v.Mismatch)
		}
		if err != nil {
			failed++
			v.Router, v.Problem = r.Name, errorText(err)
		}
		views = append(views, v)
	}
	if err := d.print(views, func() string { return d.reconciledText(views, mend) }); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("session reconcile: %d of %d routers could not be compared or mended", failed, len(views))
	}
	return nil
}

func (d *routerDesk) reconciledText(views []reconciled, mend bool) string {
	summary := grid{titles: []string{"router", "the same", "of the router's own", "unknown to us", "not on the router", "problem"}}
	if mend {
		summary.titles = append(summary.titles, "ended", "closed")
	}
	list := grid{titles: []string{"router", "where", "user", "session id", "address", "mac", "since"}}
	for _, v := range views {
		row := []string{v.Router, count(v.Matched), count(v.Local), count(len(v.Unknown)), count(len(v.Lost)), orDash(oneLine(v.Problem))}
		if mend {
			row = append(row, count(v.Ended), count(v.Closed))
		}
		summary.add(row...)
		for _, a := range v.Unknown {
			list.add(v.Router, "router alone", a.User, orDash(a.SessionID), addrOrDash(a.Address), orDash(a.CallerID), routeros.FormatDuration(time.Duration(a.Uptime))+" ago")
		}
		for _, o := range v.Lost {
			list.add(v.Router, "radacct alone", o.User, o.SessionID, addrOrDash(o.Address), orDash(o.CallingStation), stamp(o.Began, d.zone))
		}
	}
	if len(list.rows) == 0 {
		return summary.String()
	}
	return summary.String() + "\n" + list.String()
}
