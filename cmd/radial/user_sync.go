package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newUserSyncCmd(a *app) *cobra.Command {
	var all, force, dryRun bool
	cmd := &cobra.Command{
		Use:   "sync [NAME | --all]",
		Short: "Repair what FreeRADIUS's tables have of subscribers and packages",
		Long: `Repair what FreeRADIUS's tables have of one subscriber, or with --all of
every package and subscriber: rows that were never written are added, rows of
ours that nothing asks for any more are removed. What others changed or removed
is told and left alone; --force takes it back. Rows that others wrote always
stay.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || all == (len(args) == 1) {
				return usagef("%s: say one NAME, or --all", cmd.CommandPath())
			}
			return a.withDesk(cmd.Context(), func(d *desk) error {
				s := syncing{desk: d, force: force, dryRun: dryRun, report: syncReport{DryRun: dryRun, Items: []syncedItem{}}}
				var err error
				if all {
					err = s.everything(cmd.Context())
				} else {
					err = s.user(cmd.Context(), args[0])
				}
				if err != nil {
					return err
				}
				return s.print()
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every package and subscriber")
	cmd.Flags().BoolVar(&force, "force", false, "take back what others changed or removed")
	dryRunFlag(cmd, &dryRun)
	return cmd
}

// syncReport is the JSON of user sync: only what had something to do.
type syncReport struct {
	Checked int          `json:"checked"`
	Changed int          `json:"changed"`
	Drifted int          `json:"drifted"`
	DryRun  bool         `json:"dry_run"`
	Items   []syncedItem `json:"items"`
}

type syncedItem struct {
	Kind     string      `json:"kind"` // user or package
	Name     string      `json:"name"`
	Inserted int         `json:"inserted"`
	Updated  int         `json:"updated"`
	Deleted  int         `json:"deleted"`
	Drift    []driftView `json:"drift"`
}

type driftView struct {
	Kind  aaa.DriftKind `json:"kind"` // changed or removed
	Table aaa.Table     `json:"table"`
	Want  string        `json:"want"`
	Have  string        `json:"have"`
}

type syncing struct {
	*desk
	force, dryRun bool
	report        syncReport
}

// everything syncs packages first, as subscribers are members of them.
func (s *syncing) everything(ctx context.Context) error {
	packages, err := s.db.Packages(ctx)
	if err != nil {
		return err
	}
	for _, p := range packages {
		delta, err := s.db.ChangePackage(ctx, s.by("package.sync", s.dryRun), p.Name, s.rules.SyncPackage(s.force))
		if err != nil {
			return err
		}
		s.add("package", p.Name, delta.Rows)
	}
	bar := s.progress("subscribers")
	defer bar.done()
	_, err = s.db.SyncSubscribers(ctx, s.by("user.sync", s.dryRun), 500, s.rules.SyncSubscriber(s.force), func(name string, d aaa.AccountDelta) {
		s.add("user", name, d.Rows)
		bar.step()
	})
	return err
}

func (s *syncing) user(ctx context.Context, name string) error {
	delta, err := s.db.ChangeSubscriber(ctx, s.by("user.sync", s.dryRun), name, s.rules.SyncSubscriber(s.force))
	if err != nil {
		return err
	}
	s.add("user", name, delta.Rows)
	return nil
}

func (s *syncing) add(kind, name string, d aaa.RowDelta) {
	s.report.Checked++
	if d.Empty() && len(d.Drift) == 0 {
		return
	}
	item := syncedItem{Kind: kind, Name: name, Inserted: len(d.Insert), Updated: len(d.Update), Deleted: len(d.Delete), Drift: []driftView{}}
	for _, one := range d.Drift {
		v := driftView{Kind: one.Kind}
		if one.Want != nil {
			v.Table, v.Want = one.Want.Table, rowText(*one.Want)
		}
		if one.Have != nil {
			v.Table, v.Have = one.Have.Table, rowText(one.Have.ProjectedRow)
		}
		item.Drift = append(item.Drift, v)
	}
	if !d.Empty() {
		s.report.Changed++
	}
	if len(item.Drift) > 0 {
		s.report.Drifted++
	}
	s.report.Items = append(s.report.Items, item)
}

func (s *syncing) print() error {
	return s.desk.print(s.report, func() string {
		g := grid{titles: []string{"kind", "name", "added", "changed", "removed", "drift"}}
		drift := ""
		for _, it := range s.report.Items {
			g.add(it.Kind, it.Name, fmt.Sprint(it.Inserted), fmt.Sprint(it.Updated), fmt.Sprint(it.Deleted), fmt.Sprint(len(it.Drift)))
			for _, d := range it.Drift {
				drift += fmt.Sprintf("drift: %s %s: %s %s: projected %q, stands %q\n", it.Kind, printable(it.Name), d.Table, d.Kind, d.Want, d.Have)
			}
		}
		out := ""
		if len(g.rows) > 0 {
			out = g.String() + drift + "\n"
		}
		out += fmt.Sprintf("%d checked, %d repaired, %d with drift", s.report.Checked, s.report.Changed, s.report.Drifted)
		if s.dryRun {
			out += " (dry run: nothing was written)"
		}
		return out + "\n"
	})
}
