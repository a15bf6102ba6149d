package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

const userImportHelp = `Take subscribers of a CSV or JSON file (or of stdin: -) over. CSV has a header, its columns in any order; comma, semicolon or tab, with a
byte order mark or without. JSON is a list of objects, or one object after the other. The fields:
%s
Only username is needed, and for new subscribers a password or a credential (or password_type none). A field that is empty, or not there, says
nothing: with --update what such a subscriber has stays; - takes a value away. Lists have a line for each entry in a cell, in JSON they are lists.

All lines are checked before anything is written, and all that is wrong is told by line. Then everything is one transaction: what cannot be
written as a whole is not written at all. An import that is said again changes nothing.`

func newUserImportCmd(a *app) *cobra.Command {
	var format string
	var ignore []string
	var update, dryRun bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take subscribers over from a CSV or JSON file, all of them or none",
		Long:  fmt.Sprintf(userImportHelp, fieldHelp(aaa.SubscriberFields())),
		Example: `  radial user import customers.csv --dry-run
  radial user export --passwords --format json | ssh other radial user import - --update`,
		Args: named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.readFields(args[0], format, aaa.SubscriberFields(), ignore)
			if err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk) error { return d.importUsers(cmd.Context(), f, update, dryRun) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&format, "format", "", "csv or json (default: as the file looks)")
	fl.StringSliceVar(&ignore, "ignore", nil, "`columns` that are of no interest")
	fl.BoolVar(&update, "update", false, "change those who are there already; without it they are an error")
	dryRunFlag(cmd, &dryRun)
	choices(cmd, "format", "csv", "json")
	return cmd
}

// fieldHelp lists fields for people.
func fieldHelp(fields []aaa.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "  %-14s %s\n", f.Name, f.Help)
	}
	return b.String()
}

func (d *desk) importUsers(ctx context.Context, f *fieldsFile, update, dryRun bool) error {
	packages, err := d.packagesByName(ctx)
	if err != nil {
		return err
	}
	lines := make([]store.SubscriberLine, 0, len(f.records))
	for _, r := range f.records {
		im, errs := d.rules.ReadSubscriber(r.fields, packages)
		for _, err := range errs {
			f.note(r.line, err)
		}
		if len(errs) > 0 {
			continue
		}
		lines = append(lines, store.SubscriberLine{Line: r.line, Name: im.Name, Rule: d.rules.ImportSubscriber(im, update)})
	}
	change := d.by("user.import", dryRun || len(f.wrong) > 0) // then the rest is tried, to tell all
	bar, what := d.progress("lines checked"), "lines checked"
	count, wrong, err := d.db.ImportSubscribers(ctx, change, lines, func(now string, n int) {
		if now != what {
			bar.done()
			bar, what = d.progress(now), now
		}
		if n%100 == 0 || n == len(lines) {
			bar.set(n)
		}
	})
	bar.done()
	if err != nil {
		return err
	}
	if f.wrong = append(f.wrong, wrong...); len(f.wrong) > 0 {
		return f.refused()
	}
	return d.imported("users", count, dryRun)
}

// imported tells what an import did.
func (d *desk) imported(what string, count store.Imports, dryRun bool) error {
	note := ""
	if dryRun {
		note = " (dry run: nothing was written)"
	}
	v := struct {
		store.Imports
		DryRun bool `json:"dry_run"`
	}{count, dryRun}
	return d.say(v, "%s: %d added, %d changed, %d unchanged%s", what, v.Added, v.Changed, v.Unchanged, note)
}

func (d *desk) packagesByName(ctx context.Context) (map[string]*aaa.Package, error) {
	all, err := d.db.Packages(ctx)
	if err != nil {
		return nil, err
	}
	named := make(map[string]*aaa.Package, len(all))
	for i := range all {
		named[all[i].Name] = &all[i]
	}
	return named, nil
}

func newUserExportCmd(a *app) *cobra.Command {
	var format, status string
	var f store.SubscriberFilter
	var passwords bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write subscribers to stdout, as user import reads them",
		Long: `Write subscribers to stdout, as user import reads them. Those whom FreeRADIUS's
tables alone know are left out. Passwords are written with --passwords
alone, as their rows stand, and secrets among the items in any case: keep the
file as you would keep the database.`,
		Example: "  radial user export > customers.csv\n  radial user export --package gold --format json --passwords",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.Status, f.Limit, f.Ours = aaa.SubscriberStatus(status), 1000, true
			return a.withDesk(cmd.Context(), func(d *desk) error { return d.exportUsers(cmd.Context(), f, format, passwords) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&format, "format", "csv", "csv or json")
	fl.StringVar(&status, "status", "", "only those with this `status`")
	fl.StringVar(&f.Package, "package", "", "only those with this `package`")
	fl.BoolVar(&passwords, "passwords", false, "write their credentials too")
	choices(cmd, "format", "csv", "json")
	choices(cmd, "status", wordsOf(aaa.SubscriberStatuses)...)
	return cmd
}

func (d *desk) exportUsers(ctx context.Context, f store.SubscriberFilter, format string, passwords bool) error {
	w, err := writeFields(d.stdout, format, aaa.SubscriberFields())
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for more := true; more; {
		var subs []aaa.Subscriber
		if subs, more, err = d.db.Subscribers(ctx, f); err != nil {
			return err
		}
		names := make([]string, len(subs))
		for i := range subs {
			f.After, names[i] = subs[i].Name, subs[i].Name
		}
		accs := make([]aaa.Account, len(subs))
		if passwords {
			if accs, err = d.db.Accounts(ctx, names); err != nil {
				return err
			}
		}
		for i := range subs {
			rows := accs[i].Rows
			if err := w.write(d.rules.WriteSubscriber(&subs[i], rows)); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
	}
	if err := w.end(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
