package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Changes of single subscribers share a lock that an import has alone: it would
	// need one for each name otherwise, and PostgreSQL has not room for so many.
	sqlShareSubscribers = `SELECT pg_advisory_xact_lock_shared(hashtextextended('radial.subscribers', 0))`
	sqlTakeSubscribers  = `SELECT pg_advisory_xact_lock(hashtextextended('radial.subscribers', 0))`
)

// SubscriberLine is one record of a file.
type SubscriberLine struct {
	Line int
	Name string
	Rule SubscriberRule
}

// Imports counts what an import does.
type Imports struct {
	Added     int `json:"added"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// importing is an import of subscribers under way, in its transaction.
type importing struct {
	tx     pgx.Tx
	esc    Escaper
	change Change
	lines  []SubscriberLine
	accs   []aaa.Account
	deltas []aaa.AccountDelta
	wrong  []LineError
	count  Imports
}

// errRefused rolls an import back that has lines which cannot be.
var errRefused = errors.New("lines are wrong")

// ImportSubscribers runs the rule of each line, all in one transaction: either
// everything is written, or, where a line cannot be, nothing, and all such lines
// are told. Meanwhile nobody else changes subscribers through Radial. done hears
// how many lines were looked at, and then how many were written.
func (db *DB) ImportSubscribers(ctx context.Context, c Change, lines []SubscriberLine, done func(what string, n int)) (Imports, []LineError, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return Imports{}, nil, err
	}
	var im *importing
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		im = &importing{tx: tx, esc: esc, change: c, lines: lines}
		if _, err := tx.Exec(ctx, sqlTakeSubscribers); err != nil {
			return wrapErr("import users", err)
		}
		if _, err := tx.Exec(ctx, sqlActor, storableText(c.Actor)); err != nil {
			return wrapErr("import users", err)
		}
		if err := im.judge(ctx, done); err != nil {
			return err
		}
		if err := im.write(ctx, done); err != nil {
			return err
		}
		if err := db.followUsers(ctx, tx, c, im.changed()); err != nil {
			return err
		}
		if c.DryRun {
			return errDryRun
		}
		return nil
	})
	switch {
	case errors.Is(err, errRefused):
		return Imports{}, im.wrong, nil
	case errors.Is(err, errDryRun) || err == nil:
		return im.count, nil, nil
	}
	return Imports{}, nil, wrapPlain("import users", err)
}

// judge decides all lines; one that cannot be does not keep the others from being
// looked at.
func (im *importing) judge(ctx context.Context, done func(string, int)) error {
	im.accs, im.deltas = make([]aaa.Account, len(im.lines)), make([]aaa.AccountDelta, len(im.lines))
	first := make(map[string]int, len(im.lines))
	const batch = 500 // looked up at a time
	var found []aaa.Account
	for i, l := range im.lines {
		if i%batch == 0 {
			var names []string
			for _, one := range im.lines[i:min(i+batch, len(im.lines))] {
				names = append(names, one.Name)
			}
			var err error
			if found, err = accounts(ctx, im.tx, im.esc, names); err != nil {
				return err
			}
		}
		if before, twice := first[l.Name]; twice {
			im.refuse(i, fmt.Errorf("username %q: line %d has him already: %w", l.Name, before, aaa.ErrConflict))
			continue
		}
		first[l.Name] = l.Line
		acc := found[i%batch]
		d, err := l.Rule(acc)
		if err != nil {
			im.refuse(i, err)
			continue
		}
		im.accs[i], im.deltas[i] = acc, d
		switch {
		case d.Audit == nil:
			im.count.Unchanged++
		case acc.Exists():
			im.count.Changed++
		default:
			im.count.Added++
		}
		done("lines checked", i+1)
	}
	return nil
}

// changed are the audits of what was written, by user.
func (im *importing) changed() map[string]aaa.Audit {
	all := map[string]aaa.Audit{}
	for i, l := range im.lines {
		if audit := im.deltas[i].Audit; audit != nil {
			all[l.Name] = audit
		}
	}
	return all
}

func (im *importing) refuse(i int, err error) {
	im.wrong = append(im.wrong, LineError{im.lines[i].Line, err})
}

// write writes what was decided. Static addresses are judged first: by the file
// itself, and by who has them.
func (im *importing) write(ctx context.Context, done func(string, int)) error {
	all := make([]statics, len(im.lines))
	wants := map[netip.Prefix]int{}
	for i := range im.lines {
		if im.deltas[i].Audit == nil {
			continue
		}
		s, err := staticsOf(ctx, im.tx, im.accs[i], &im.deltas[i])
		if err != nil {
			return err
		}
		s.alone = true
		for _, p := range s.come {
			if before, twice := wants[p]; twice {
				im.refuse(i, fmt.Errorf("address %s: line %d has it already: %w", addressText(p), before, aaa.ErrConflict))
			}
			wants[p] = im.lines[i].Line
		}
		switch err := s.check(ctx, im.tx); {
		case errors.Is(err, aaa.ErrConflict):
			im.refuse(i, err)
		case err != nil:
			return err
		}
		all[i] = s
	}
	if len(im.wrong) > 0 {
		return errRefused
	}
	if err := gardensStand(ctx, im.tx, im.deltas...); err != nil {
		return err
	}
	for i, l := range im.lines {
		d := &im.deltas[i]
		if d.Audit == nil {
			continue
		}
		if err := writeSubscriber(ctx, im.tx, im.accs[i], d); err != nil {
			return fmt.Errorf("line %d: %w", l.Line, err)
		}
		if err := applyRows(ctx, im.tx, userRows(im.esc, l.Name), &d.Rows); err != nil {
			return fmt.Errorf("line %d: %w", l.Line, err)
		}
		if err := writeAudit(ctx, im.tx, im.change, l.Name, d.Audit); err != nil {
			return err
		}
		done("lines written", i+1)
	}
	if err := settleAll(ctx, im.tx, all...); err != nil { // rows of addresses are locked after all others
		return err
	}
	for i := range im.lines {
		switch err := all[i].held(ctx, im.tx); {
		case errors.Is(err, aaa.ErrConflict):
			im.refuse(i, err)
		case err != nil:
			return err
		}
	}
	if len(im.wrong) > 0 {
		return errRefused
	}
	return nil
}
