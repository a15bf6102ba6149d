package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"radial/store"
)

// totalView is a line of session totals in JSON.
type totalView struct {
	NAS      *string `json:"nas,omitempty"`
	NASName  *string `json:"nas_name,omitempty"`
	Package  *string `json:"package,omitempty"` // "": of users who have none
	Users    int64   `json:"users"`
	Sessions int64   `json:"sessions"`
	Open     int64   `json:"open"`
	Input    int64   `json:"input_octets"`  // from the subscribers
	Output   int64   `json:"output_octets"` // to the subscribers
}

func newSessionTotalsCmd(a *app) *cobra.Command {
	var by, since string
	cmd := &cobra.Command{
		Use:   "totals",
		Short: "Add up sessions by NAS or by package",
		Long: `Adds up the sessions that are open: how many, of how many users, and what their counters say (from their start on). With --since all
sessions that began then or later, open and closed, each whole. A package is the one that the user has now.`,
		Example: "  radial session totals --by nas\n  radial session totals --by package --since 2026-11-01",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if by != "nas" && by != "package" {
				return usagef("--by %q: want nas or package", by)
			}
			return sessionTotals(cmd.Context(), a, by, since)
		},
	}
	cmd.Flags().StringVar(&by, "by", "nas", "nas or package")
	choices(cmd, "by", "nas", "package")
	cmd.Flags().StringVar(&since, "since", "", "all that began at that `time` or later, in place of those that are open: a date, or 24h")
	return cmd
}

func sessionTotals(ctx context.Context, a *app, by, since string) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	from, err := moment("since", since, zone, a.now())
	if err != nil {
		return err
	}
	sum := db.TotalsByNAS
	if by == "package" {
		sum = db.TotalsByPackage
	}
	all, err := sum(ctx, from)
	if err != nil {
		return err
	}
	views := make([]totalView, len(all))
	for i, s := range all {
		views[i] = totalViewOf(s, by)
	}
	return a.print(views, func() string { return totalsTable(all, by) })
}

func totalViewOf(s store.SessionTotal, by string) totalView {
	v := totalView{Users: s.Users, Sessions: s.Sessions, Open: s.Open, Input: s.Input, Output: s.Output}
	if by == "package" {
		v.Package = &s.Package
		return v
	}
	nas := s.NAS.String()
	v.NAS, v.NASName = &nas, &s.NASName
	return v
}

func totalsTable(all []store.SessionTotal, by string) string {
	g := grid{titles: []string{by, "users", "sessions", "open", "up", "down"}}
	var sum store.SessionTotal
	for _, s := range all {
		name := orDash(s.Package)
		if by == "nas" {
			name = nasText(store.Session{SessionRecord: store.SessionRecord{NAS: s.NAS}, NASName: s.NASName})
		}
		g.add(name, strconv.FormatInt(s.Users, 10), strconv.FormatInt(s.Sessions, 10), strconv.FormatInt(s.Open, 10), octets(s.Input), octets(s.Output))
		sum.Sessions, sum.Open, sum.Input, sum.Output = sum.Sessions+s.Sessions, sum.Open+s.Open, sum.Input+s.Input, sum.Output+s.Output
	}
	g.add("all", "", strconv.FormatInt(sum.Sessions, 10), strconv.FormatInt(sum.Open, 10), octets(sum.Input), octets(sum.Output))
	return g.String()
}
