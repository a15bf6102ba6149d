package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

const cleanupHelp = `Do at once what servers do by themselves each minute: free addresses of offers that ran out and of sessions that are over, end cooling,
reserve users' static addresses that became free (all of radreply is read for them); and let go of history and conflicts older than ipam.history_retention and
ipam.conflict_retention, or than --older-than. History goes by whole months of UTC.`

func newIPCleanupCmd(a *app) *cobra.Command {
	var dryRun bool
	var olderThan string
	cmd := &cobra.Command{
		Use:     "cleanup",
		Short:   "Free what nobody uses any more, and let go of old history",
		Long:    cleanupHelp,
		Example: "  radial ip cleanup --dry-run\n  radial ip cleanup --older-than 400d",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			history, conflicts := c.Jobs.HistoryRetention, c.Jobs.ConflictRetention
			if olderThan != "" {
				if history, err = daysOr(olderThan); err != nil {
					return err
				}
				conflicts = history
			}
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error {
				cl := cleaning{ipDesk: d, history: before(a.now(), history), conflicts: before(a.now(), conflicts)}
				return cl.run(cmd.Context(), dryRun)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count, and change nothing")
	cmd.Flags().StringVar(&olderThan, "older-than", "", "a `time` for history and conflicts in place of the settings, like 400d or 720h")
	return cmd
}

// daysOr reads a number of days like 400d, or a duration.
func daysOr(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return d, nil
	}
	return 0, usagef("--older-than %q: want days like 400d, or a duration like 720h", text)
}

// before is the time that long ago; for 0 the zero one, before all.
func before(now time.Time, keep time.Duration) time.Time {
	if keep <= 0 {
		return time.Time{}
	}
	return now.Add(-keep)
}

// cleaning is a clean-up under way.
type cleaning struct {
	*ipDesk
	history, conflicts time.Time // what is older goes; zero: nothing
	done               store.Cleanup
}

func (cl *cleaning) run(ctx context.Context, dryRun bool) (err error) {
	if dryRun {
		cl.done, err = cl.db.Cleanable(ctx, cl.history, cl.conflicts)
	} else {
		err = cl.clean(ctx)
	}
	if err != nil {
		return err
	}
	cl.done.Months = orEmpty(cl.done.Months)
	v := struct {
		store.Cleanup
		DryRun bool `json:"dry_run"`
	}{cl.done, dryRun}
	return cl.print(v, func() string {
		g := grid{}
		g.add("offers that ran out", strconv.Itoa(v.Offers))
		g.add("addresses of sessions that are over", strconv.Itoa(v.Ended))
		g.add("cooling that has ended", strconv.Itoa(v.Cooling))
		g.add("static addresses put right", strconv.Itoa(v.Static))
		g.add("old conflicts", strconv.Itoa(v.Conflicts))
		g.add("months of history", orDash(strings.Join(v.Months, " ")))
		g.add("rows of history besides", strconv.Itoa(v.History))
		text := g.String()
		if dryRun {
			text += "dry run: nothing was written\n"
		}
		return text
	})
}

// clean does it by batches, each of which is done when the next one fails.
func (cl *cleaning) clean(ctx context.Context) error {
	bar := cl.progress("rows")
	defer bar.done()
	total := 0
	for _, step := range []struct {
		count *int
		do    func(context.Context, int) (int, error)
	}{
		{&cl.done.Offers, cl.db.ExpireOffers},
		{&cl.done.Ended, cl.db.ReleaseEnded},
		{&cl.done.Cooling, cl.db.EndCooling},
		{&cl.done.Conflicts, func(ctx context.Context, n int) (int, error) { return cl.db.DropConflicts(ctx, cl.conflicts, n) }},
		{&cl.done.History, func(ctx context.Context, n int) (int, error) { return cl.db.ForgetHistory(ctx, cl.history, n) }},
	} {
		const batch = 5000
		for n := batch; n == batch; {
			var err error
			if n, err = step.do(ctx, batch); err != nil {
				return err
			}
			*step.count += n
			total += n
			bar.set(total)
		}
	}
	n, err := cl.db.RefreshStaticIPs(ctx)
	if err != nil {
		return err
	}
	cl.done.Static = int(n)
	by := cl.by("ip.cleanup", false)
	for !cl.history.IsZero() {
		month, err := cl.db.DropHistoryMonth(ctx, cl.history, by)
		if err != nil {
			return err
		}
		if month == "" {
			break
		}
		cl.done.Months = append(cl.done.Months, month)
	}
	left, err := cl.db.Cleanable(ctx, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	if left.Offers > 0 {
		cl.note("%d offers that ran out wait: no server has reached the database for a while, or one has accounting that is not in it yet", left.Offers)
	}
	if c := cl.done; c.Offers+c.Ended+c.Cooling+c.Static+c.Conflicts+c.History == 0 {
		return nil // months have their own
	}
	return cl.db.NoteChange(ctx, by, "addresses", aaa.Audit{"counts": cl.done, "history before": timeText(cl.history)})
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
