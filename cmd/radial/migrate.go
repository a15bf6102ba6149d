package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"radial/store"
)

func newMigrateCmd(a *app) *cobra.Command {
	up := &cobra.Command{
		Use:   "up",
		Short: "Bring the database to this version's schema; adopts a FreeRADIUS database",
		Long: `Brings the database to this version's schema. An existing FreeRADIUS database is adopted: what is missing is added, no row is touched.

At the end the sessions of an adopted radacct are added to what their users have used (radial usage), the newest first. With many
millions of them that takes its time; broken off, it goes on at the next radial migrate up, or in a running server.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabase(cmd.Context(), func(d *database) error {
				report, err := d.Migrate(cmd.Context())
				if err != nil {
					return err
				}
				if err := a.addOldUsage(cmd.Context(), d.DB); err != nil {
					return err
				}
				return a.print(report, func() string { return migrateText(report) })
			})
		},
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "Tell which migrations the database has",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDatabase(cmd.Context(), func(d *database) error {
				list, err := d.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.print(list, func() string {
					g := grid{titles: []string{"version", "name", "applied"}}
					for _, m := range list {
						at := "no"
						if m.Applied {
							at = m.At.Format(time.DateTime)
						}
						g.add(fmt.Sprint(m.Version), m.Name, at)
					}
					return g.String()
				})
			})
		},
	}
	return nounOf("migrate", "The database's schema", up, status)
}

// addOldUsage adds the sessions of an adopted radacct to the usage of their users.
// A server does the same, so that who breaks it off loses nothing.
func (a *app) addOldUsage(ctx context.Context, db *store.DB) error {
	const batch = 1000
	count := a.progress("sessions of radacct added to the usage of their users")
	defer count.done()
	for left := true; left; {
		var err error
		if left, err = db.BackfillUsage(ctx, batch); err != nil {
			if ctx.Err() != nil {
				a.note("the schema is up to date; the usage of old sessions is added by a running server, or by radial migrate up")
				return nil
			}
			return err
		}
		b, err := db.UsageBackfill(ctx)
		if err != nil {
			return err
		}
		count.set(int(b.Folded))
	}
	return nil
}

// withDatabase opens the database as it is, without judging its schema.
func (a *app) withDatabase(ctx context.Context, do func(*database) error) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	d, err := openDatabase(ctx, c, zap.NewNop())
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.close(ctx))
}

func migrateText(r store.MigrateReport) string {
	var b strings.Builder
	if r.Adopted {
		b.WriteString("FreeRADIUS's tables were there and have been adopted; no row was touched\n")
	}
	for _, m := range r.Applied {
		fmt.Fprintf(&b, "applied %d %s\n", m.Version, m.Name)
	}
	if len(r.Applied) == 0 && len(r.River) == 0 {
		b.WriteString("nothing to do\n")
	}
	fmt.Fprintf(&b, "text in FreeRADIUS's tables: %s; time zone: %s\n", r.Escaping, r.TimeZone)
	return b.String()
}
