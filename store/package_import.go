package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// PackageLine is one record of a file.
type PackageLine struct {
	Line int
	Name string
	Rule func(aaa.PackageState) (aaa.PackageDelta, error)
}

// ImportPackages runs the rule of each line, all in one transaction: either
// everything is written, or, where a line cannot be, nothing, and all such lines
// are told. done hears how many lines are done.
func (db *DB) ImportPackages(ctx context.Context, c Change, lines []PackageLine, done func(n int)) (count Imports, wrong []LineError, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		count, wrong = Imports{}, nil
		if err := lockPackages(ctx, tx, lines); err != nil {
			return err
		}
		first := map[string]int{}
		for i, l := range lines {
			refuse := func(err error) { wrong = append(wrong, LineError{l.Line, err}) }
			if before, twice := first[l.Name]; twice {
				refuse(fmt.Errorf("name %q: line %d has it already: %w", l.Name, before, aaa.ErrConflict))
				continue
			}
			first[l.Name] = l.Line
			var d aaa.PackageDelta
			var there bool
			err := pgx.BeginFunc(ctx, tx, func(line pgx.Tx) (err error) { // what a line has broken is no trouble of the next
				d, there, err = db.importPackage(ctx, line, c, l)
				return err
			})
			switch {
			case errors.Is(err, aaa.ErrConflict), errors.Is(err, aaa.ErrInvalid), errors.Is(err, aaa.ErrNotFound):
				refuse(err)
			case err != nil:
				return fmt.Errorf("line %d: %w", l.Line, err)
			case d.Audit == nil:
				count.Unchanged++
			case there:
				count.Changed++
			default:
				count.Added++
			}
			done(i + 1)
		}
		if len(wrong) > 0 {
			return errRefused
		}
		if c.DryRun {
			return errDryRun
		}
		return nil
	})
	switch {
	case errors.Is(err, errRefused):
		return Imports{}, wrong, nil
	case errors.Is(err, errDryRun) || err == nil:
		return count, nil, nil
	}
	return Imports{}, nil, wrapPlain("import packages", err)
}

// lockPackages locks the packages of a file as changes of each would, by name: of two
// who lock several none waits for the other in a circle.
func lockPackages(ctx context.Context, tx pgx.Tx, lines []PackageLine) error {
	names := make([]string, len(lines))
	for i, l := range lines {
		names[i] = l.Name
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, err := tx.Exec(ctx, sqlLockKey, "package:"+name); err != nil {
			return wrapErr("package "+name, err)
		}
	}
	return nil
}

// importPackage writes one line; there tells that the package was there before.
func (db *DB) importPackage(ctx context.Context, tx pgx.Tx, c Change, l PackageLine) (d aaa.PackageDelta, there bool, err error) {
	state, err := packageState(ctx, tx, l.Name)
	if err != nil {
		return d, false, err
	}
	if d, err = l.Rule(state); err != nil || d.Audit == nil {
		return d, false, err
	}
	if err := writePackage(ctx, tx, state, &d); err != nil {
		return d, false, wrapErr("package "+l.Name, err)
	}
	if err := applyRows(ctx, tx, groupRows(l.Name), &d.Rows); err != nil {
		return d, false, err
	}
	if err := writeAudit(ctx, tx, c, l.Name, d.Audit); err != nil || onPaper(&d) {
		return d, state.Package != nil, err
	}
	return d, state.Package != nil, db.follow(ctx, tx, c, l.Name, d.Audit)
}
