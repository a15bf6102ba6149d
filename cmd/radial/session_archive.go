package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/config"
	"radial/store"
)

const archiveHelp = `Moves sessions that ended before --before (else: as sessions.archive_after says, as servers do by themselves each hour) out of radacct into
radial.radacct_archive, in batches of which each is done or not: it may be broken off at any time. Radial's commands look into both, and so does the
view radial.radacct_all; what reads radacct alone (FreeRADIUS, panels) does not see them any more, so 31 days always stay. A session that an
address is still bound to stays until that is free. The oldest months of the archive are dropped as sessions.archive_retention says, by servers alone.`

func newSessionArchiveCmd(a *app) *cobra.Command {
	var before string
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "archive",
		Short:   "Move sessions of long ago out of radacct",
		Long:    archiveHelp,
		Example: "  radial session archive --before 400d --dry-run\n  radial session archive --before 2025-01-01",
		Args:    named(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return archiveSessions(cmd.Context(), a, before, dryRun) },
	}
	cmd.Flags().StringVar(&before, "before", "", "over before that `time`: a date, or 400d for so long ago")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count, and move nothing (reads all that would be moved)")
	return cmd
}

// archiveView is what was moved, or would be, and what the archive has.
type archiveView struct {
	Before time.Time            `json:"before"`
	Moved  int64                `json:"moved"`
	DryRun bool                 `json:"dry_run"`
	Months []store.ArchiveMonth `json:"months"` // with --dry-run what would be moved, else what the archive has
}

func archiveSessions(ctx context.Context, a *app, before string, dryRun bool) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	at, err := moment("before", before, zone, a.now())
	switch {
	case err != nil:
		return err
	case before == "" && c.Jobs.Archive.After <= 0:
		return usagef("sessions.archive_after is 0, so that nothing is archived: say --before, such as 400d")
	case before == "":
		at = a.now().Add(-c.Jobs.Archive.After)
	case at.After(a.now().Add(-config.LeastKept)): // what adds up a month of a user (FreeRADIUS's counters, panels' bills) reads radacct
		return usagef("--before %s: what ended in the last 31 days stays: want %s or earlier", before, stamp(a.now().Add(-config.LeastKept), zone))
	}
	v := archiveView{Before: at, DryRun: dryRun}
	if dryRun {
		v.Months, err = db.Archivable(ctx, at)
		for _, m := range v.Months {
			v.Moved += m.Sessions
		}
	} else if v.Moved, err = moveSessions(ctx, a, db, at); err == nil {
		v.Months, err = db.ArchiveMonths(ctx)
	}
	if err != nil {
		return err
	}
	v.Months = orEmpty(v.Months)
	return a.print(v, func() string { return archiveText(v, zone) })
}

// moveSessions says also how far it came when it is broken off.
func moveSessions(ctx context.Context, a *app, db *store.DB, before time.Time) (moved int64, err error) {
	bar := a.progress("sessions")
	err = db.Archive(ctx, before, 5000, func(n int) error {
		moved += int64(n)
		bar.set(int(moved))
		return nil
	})
	bar.done()
	if moved == 0 {
		return 0, err
	}
	if err != nil {
		a.note("%d sessions were moved before that", moved)
	}
	note := db.NoteChange(context.WithoutCancel(ctx), a.by("session.archive", false), "radacct", aaa.Audit{"before": timeText(before), "moved": moved})
	if err == nil {
		err = note
	}
	return moved, err
}

func archiveText(v archiveView, zone *time.Location) string {
	g := grid{titles: []string{"month of start (UTC)", "sessions", "last stop", "size"}}
	for _, m := range v.Months {
		last, size, count := "-", "-", strconv.FormatInt(m.Sessions, 10)
		if m.Newest != nil {
			last = stamp(*m.Newest, zone)
		}
		if m.Bytes > 0 {
			size, count = octets(m.Bytes), "about "+count
		}
		g.add(m.Month.Format("2006-01"), count, last, size)
	}
	moved := strconv.FormatInt(v.Moved, 10) + " sessions that were over before " + stamp(v.Before, zone)
	if v.DryRun {
		return g.String() + "dry run: " + moved + " would be moved\n"
	}
	return g.String() + "moved " + moved + "\n"
}
