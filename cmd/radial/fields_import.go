package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// fieldsImport is what the import verbs of subscribers and packages differ in.
type fieldsImport struct {
	short, long, example string      // long with %s for the fields
	fields               []aaa.Field // that a file may have
	update               string      // help of --update
	do                   func(d *desk, ctx context.Context, f *fieldsFile, update, dryRun bool) error
}

// fieldsImport makes an import verb.
func (a *app) fieldsImport(i fieldsImport) *cobra.Command {
	var format string
	var ignore []string
	var update, dryRun bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: i.short, Long: fmt.Sprintf(i.long, fieldHelp(i.fields)), Example: i.example, Args: named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.readFields(args[0], format, i.fields, ignore)
			if err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk) error { return i.do(d, cmd.Context(), f, update, dryRun) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&format, "format", "", "csv or json (default: as the file looks)")
	fl.StringSliceVar(&ignore, "ignore", nil, "`columns` that are of no interest")
	fl.BoolVar(&update, "update", false, i.update)
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
