package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/store"
)

// auditAsked are the flags of audit list.
type auditAsked struct {
	since, until string
	query        store.AuditQuery
}

func newAuditCmd(a *app) *cobra.Command {
	return nounOf("audit", "What operators and jobs have changed", newAuditListCmd(a))
}

func newAuditListCmd(a *app) *cobra.Command {
	var q auditAsked
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List changes, the newest first: who, when, what, and what it was before",
		Long: `Lists what was changed by this program, the newest first. A field that was changed is shown as old -> new; passwords and secrets are never
kept. What psql or a panel writes into the tables of FreeRADIUS is not here.`,
		Example: `  radial audit list --key alice
  radial audit list --action package. --since 7d
  radial audit list --actor cli:root --since 2026-11-01 --until 2026-11-08 -o json`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return listAudit(cmd, a, q) },
	}
	fl := cmd.Flags()
	fl.StringVar(&q.query.Key, "key", "", "of the `thing` of that name: a user, a package, a pool, a device, an address")
	fl.StringVar(&q.query.Action, "action", "", "whose action begins with that `text`: user. or user.set")
	fl.StringVar(&q.query.Actor, "actor", "", "by that `actor`, such as cli:root")
	fl.StringVar(&q.since, "since", "", "from that `time` on: \"2026-11-03 02:14 +01\", a date, or 7d for seven days ago")
	fl.StringVar(&q.until, "until", "", "before that `time`")
	fl.IntVar(&q.query.Limit, "limit", 100, "at most so many")
	fl.Int64Var(&q.query.After, "after", 0, "those that come after the change with that `id` in the list")
	return cmd
}

func listAudit(cmd *cobra.Command, a *app, q auditAsked) error {
	if err := checkPage(q.query.Limit, q.query.After); err != nil {
		return err
	}
	db, zone, done, err := a.dbInZone(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	if q.query.Since, q.query.Until, err = period(q.since, q.until, zone, a.now()); err != nil {
		return err
	}
	rows, err := db.Audit(cmd.Context(), q.query)
	if err != nil {
		return err
	}
	if len(rows) == q.query.Limit {
		a.note("there may be more than these %d: --after %d goes on, --limit shows more at once", len(rows), rows[len(rows)-1].ID)
	}
	g := grid{titles: []string{"id", "at", "actor", "action", "key", "what"}}
	for i, r := range rows {
		rows[i].At = r.At.In(zone)
		g.add(strconv.FormatInt(r.ID, 10), stamp(r.At, zone), printable(r.Actor), r.Action, printable(r.Key), changesText(r.Detail))
	}
	return a.print(rows, g.String)
}

// changesText shows a detail on one line: field: old -> new where both are
// there, field: value where only one is.
func changesText(detail json.RawMessage) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(detail, &fields); err != nil || len(fields) == 0 {
		return "-"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		var pair []json.RawMessage
		if err := json.Unmarshal(fields[name], &pair); err != nil || len(pair) != 2 {
			parts = append(parts, name+": "+valueText(fields[name]))
			continue
		}
		switch before, after := valueText(pair[0]), valueText(pair[1]); {
		case before != "":
			parts = append(parts, fmt.Sprintf("%s: %s -> %s", name, before, cmp.Or(after, "-")))
		case after != "":
			parts = append(parts, name+": "+after)
		}
	}
	return strings.Join(parts, "; ")
}

// valueText is a JSON value as people write it: what says nothing is nothing, a
// text has no quotes.
func valueText(v json.RawMessage) string {
	var text string
	switch string(v) {
	case "null", "0", "false", "[]", "{}":
		return ""
	}
	if json.Unmarshal(v, &text) == nil {
		return printable(text)
	}
	return string(v)
}
