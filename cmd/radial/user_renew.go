package main

import (
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newUserRenewCmd(a *app) *cobra.Command {
	var r aaa.Renewal
	var until string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "renew NAME",
		Short: "Give a subscriber more time: he has paid",
		Long: `Give a subscriber more time, from the end of what he has, or from now on where
that has passed: for as long as his package is valid, else for its billing
cycle. One who had expired is active again, and leaves the walled garden; one
who is suspended or inactive stays so.`,
		Example: `  radial user renew bob
  radial user renew bob --days 7
  radial user renew bob --until 2027-01-31`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				if cmd.Flags().Changed("days") && r.Days <= 0 {
					return usagef("--days %d: want 1 or more", r.Days)
				}
				if until != "" {
					var err error
					if r.Until, err = aaa.ParseISOOrFreeRADIUS(until, d.zone); err != nil {
						return usagef("--until: %w", err)
					}
				}
				delta, err := d.db.ChangeSubscriber(cmd.Context(), a.by("user.renew", dryRun), args[0], d.rules.RenewSubscriber(r))
				if err != nil {
					return err
				}
				a.noteDrift("user", args[0], delta.Rows.Drift)
				if delta.Save == nil || delta.Save.Expires == nil {
					return a.did("user", args[0], "changed", dryRun, delta.Audit)
				}
				v := renewed{Name: args[0], Status: delta.Save.Status, Expires: *delta.Save.Expires, DryRun: dryRun}
				note := ""
				if dryRun {
					note = " (dry run: nothing was written)"
				}
				return a.say(v, "user %s is %s until %s%s", printable(args[0]), v.Status, d.timeOr(&v.Expires), note)
			})
		},
	}
	cmd.Flags().Int64Var(&r.Days, "days", 0, "for so many `days`")
	cmd.Flags().StringVar(&until, "until", "", "until `when`: 2026-11-30, 2026-11-30T23:00 or \"30 Nov 2026 23:00\"")
	dryRunFlag(cmd, &dryRun)
	cmd.MarkFlagsMutuallyExclusive("days", "until")
	return cmd
}

// renewed is the JSON of user renew.
type renewed struct {
	Name    string               `json:"name"`
	Status  aaa.SubscriberStatus `json:"status"`
	Expires time.Time            `json:"expires_at"`
	DryRun  bool                 `json:"dry_run"`
}
