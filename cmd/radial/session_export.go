package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/store"
)

const exportSessionsHelp = `Writes the sessions of a period as CSV, by their start, whether they stand in radacct or in the archive: for billing, and for who is entitled to ask.
Those that began in the period; with --online those that were on at any time of it, of which such are found that began at most --days before, or are still
open. Times have their distance from UTC; input is what came from the subscriber, output what went to him. For one address at one time: radial ip whohad.`

func newSessionExportCmd(a *app) *cobra.Command {
	var q store.SessionExport
	var since, until, nas, address string
	var online bool
	var days int
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the sessions of a period as CSV",
		Long:  exportSessionsHelp,
		Example: `  radial session export --since 2026-10-01 --until 2026-11-01 > october.csv
  radial session export --user alice --online --since "2026-11-03 02:00" --until "2026-11-03 03:00"`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since == "" {
				return usagef("--since is missing: want a time or a date")
			}
			if days < 0 || days > 36500 {
				return usagef("--days %d: want 0 to 36500", days)
			}
			if address != "" {
				var err error
				if q.Address, err = parseWhere(address); err != nil {
					return usagef("--address: %w", err)
				}
			}
			return exportSessions(cmd.Context(), a, q, exportPeriod{since, until, nas, online, days})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&since, "since", "", "begun at that `time` or later: \"2026-11-03 02:14 +01\", a date, or 30d")
	fl.StringVar(&until, "until", "", "begun before that `time` (now)")
	fl.StringVar(&q.User, "user", "", "of the user of that `name`, as radacct has it")
	fl.StringVar(&nas, "nas", "", "of a device: its `NAME`, address or network")
	fl.StringVar(&address, "address", "", "with that `address`, or one in that network")
	fl.BoolVar(&online, "online", false, "those that were on in the period, also when they began before it")
	fl.IntVar(&days, "days", 62, "with --online: how long before it they may have begun")
	return cmd
}

type exportPeriod struct {
	since, until, nas string
	online            bool
	days              int
}

func exportSessions(ctx context.Context, a *app, q store.SessionExport, p exportPeriod) error {
	if a.format == formatJSON {
		return usagef("-o json: an export is CSV; radial session history -o json has the sessions of a user")
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if q.Since, q.Until, err = period(p.since, p.until, zone, a.now()); err != nil {
		return err
	}
	if q.Until.IsZero() {
		q.Until = a.now()
	}
	if p.online {
		q.OnlineSince, q.Since = q.Since, q.Since.AddDate(0, 0, -p.days)
	}
	if p.nas != "" {
		if q.NAS, err = networksOf(ctx, db, p.nas); err != nil {
			return err
		}
	}
	out := csv.NewWriter(a.stdout)
	if err := out.Write(exportColumns()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	bar := a.progress("sessions")
	defer bar.done()
	err = db.ExportSessions(ctx, q, func(s store.Session) error {
		bar.step()
		return out.Write(exportCells(s, zone))
	})
	if out.Flush(); err == nil && out.Error() != nil {
		err = fmt.Errorf("print: %w", out.Error())
	}
	return err
}

func exportColumns() []string {
	return []string{"radacctid", "acctuniqueid", "session_id", "username", "realm", "nas", "nas_name", "port", "mac", "called", "addresses",
		"start", "stop", "updated", "seconds", "input_octets", "output_octets", "cause"}
}

func exportCells(s store.Session, zone *time.Location) []string {
	addresses := make([]string, len(s.Addresses))
	for i, p := range s.Addresses {
		addresses[i] = addressText(p)
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(zone).Format(time.RFC3339)
	}
	return []string{idText(s.RadacctID), s.UniqueID, s.Session, s.User, s.Realm, s.NAS.String(), s.NASName, s.Port, s.MAC, s.Called, strings.Join(addresses, " "),
		at(s.Start), at(s.Stop), at(s.Updated), strconv.FormatInt(int64(lived(s)/time.Second), 10), strconv.FormatInt(s.Input, 10), strconv.FormatInt(s.Output, 10), s.Cause}
}
