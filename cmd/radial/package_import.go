package main

import (
	"context"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

const packageImportHelp = `Take packages of a CSV or JSON file (or of stdin: -) over, as radial user import does subscribers: a header, or a list of objects; an empty
field says nothing, - takes a value away; everything that is wrong is told by line, and a file is taken over as a whole or not at all. The fields:
%s
Only name is needed. Rates are written as 100M or 512k, times as seconds or 12h.`

func newPackageImportCmd(a *app) *cobra.Command {
	return a.fieldsImport(fieldsImport{
		short: "Take packages over from a CSV or JSON file, all of them or none", long: packageImportHelp, fields: aaa.PackageFields(),
		example: "  radial package import packages.csv --dry-run\n  radial package export --format json | ssh other radial package import - --update",
		update:  "change those that are there already; without it they are an error",
		do:      (*desk).importPackages,
	})
}

func (d *desk) importPackages(ctx context.Context, f *fieldsFile, update, dryRun bool) error {
	lines := make([]store.PackageLine, 0, len(f.records))
	for _, r := range f.records {
		im, errs := d.rules.ReadPackage(r.fields)
		for _, err := range errs {
			f.note(r.line, err)
		}
		if len(errs) == 0 {
			lines = append(lines, store.PackageLine{Line: r.line, Name: im.Name, Rule: d.rules.ImportPackage(im, update)})
		}
	}
	change := d.by("package.import", dryRun || len(f.wrong) > 0) // then the rest is tried, to tell all
	bar := d.progress("lines done")
	count, wrong, err := d.db.ImportPackages(ctx, change, lines, bar.set)
	bar.done()
	if err != nil {
		return err
	}
	if f.wrong = append(f.wrong, wrong...); len(f.wrong) > 0 {
		return f.refused()
	}
	if !dryRun {
		if err := d.tendGardens(ctx); err != nil {
			return err
		}
	}
	return d.imported("packages", count, dryRun)
}

func newPackageExportCmd(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write packages to stdout, as package import reads them",
		Example: "  radial package export > packages.csv",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error { return d.exportPackages(cmd.Context(), format) })
		},
	}
	exportFormat(cmd, &format)
	return cmd
}

func (d *desk) exportPackages(ctx context.Context, format string) error {
	all, err := d.db.Packages(ctx)
	if err != nil {
		return err
	}
	return writeFields(d.stdout, format, aaa.PackageFields(), func(yield func(aaa.Fields, error) bool) {
		for i := range all {
			if !yield(aaa.WritePackage(&all[i]), nil) {
				return
			}
		}
	})
}
