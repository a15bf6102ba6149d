package main

import (
	"context"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

const userImportHelp = `Take subscribers of a CSV or JSON file (or of stdin: -) over. CSV has a header, its columns in any order; comma, semicolon or tab, with a
byte order mark or without. JSON is a list of objects, or one object after the other. The fields:
%s
Only username is needed, and for new subscribers a password or a credential (or password_type none). A field that is empty, or not there, says
nothing: with --update what such a subscriber has stays; - takes a value away. Lists have a line for each entry in a cell, in JSON they are lists;
other cells of CSV have one line.

All lines are checked before anything is written, and all that is wrong is told by line. Then everything is one transaction: what cannot be
written as a whole is not written at all. An import that is said again changes nothing.`

func newUserImportCmd(a *app) *cobra.Command {
	return a.fieldsImport(fieldsImport{
		short: "Take subscribers over from a CSV or JSON file, all of them or none", long: userImportHelp, fields: aaa.SubscriberFields(),
		example: "  radial user import customers.csv --dry-run\n  radial user export --passwords --format json | ssh other radial user import - --update",
		update:  "change those who are there already; without it they are an error",
		do:      (*desk).importUsers,
	})
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
	exportFormat(cmd, &format)
	fl.StringVar(&status, "status", "", "only those with this `status`")
	fl.StringVar(&f.Package, "package", "", "only those with this `package`")
	fl.BoolVar(&passwords, "passwords", false, "write their credentials too")
	choices(cmd, "status", wordsOf(aaa.SubscriberStatuses)...)
	return cmd
}

func (d *desk) exportUsers(ctx context.Context, f store.SubscriberFilter, format string, passwords bool) error {
	return writeFields(d.stdout, format, aaa.SubscriberFields(), func(yield func(aaa.Fields, error) bool) {
		for more := true; more; {
			page, after, err := d.usersAsFields(ctx, f, passwords)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			f.After, more = after, after != ""
		}
	})
}

// usersAsFields is a page of subscribers; after is the last name where there is
// another page.
func (d *desk) usersAsFields(ctx context.Context, f store.SubscriberFilter, passwords bool) (page []aaa.Fields, after string, err error) {
	subs, more, err := d.db.Subscribers(ctx, f)
	if err != nil {
		return nil, "", err
	}
	names := make([]string, len(subs))
	for i := range subs {
		names[i] = subs[i].Name
	}
	accs := make([]aaa.Account, len(subs))
	if passwords {
		if accs, err = d.db.Accounts(ctx, names); err != nil {
			return nil, "", err
		}
	}
	for i := range subs {
		page = append(page, d.rules.WriteSubscriber(&subs[i], accs[i].Rows))
	}
	if more {
		after = names[len(names)-1]
	}
	return page, after, nil
}
