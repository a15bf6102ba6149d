package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Change says who changes something, and what the audit is to call it.
type Change struct {
	Actor  string // cli:root, api:token-name, job:name
	Action string // noun.verb: user.add, package.set, nas.del, …
	DryRun bool   // everything is computed and tried, and nothing is kept
}

// sqlLockKey takes a lock that lasts as long as the transaction: two changes
// of the same thing come one after the other, also where no row is there yet.
const sqlLockKey = `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))`

// sqlLockKeyAs is sqlLockKey for a change that somebody makes: he is named to what triggers
// write into the history of addresses (radial.actor). $1 key, $2 actor.
const sqlLockKeyAs = `SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0)), set_config('radial.actor', $2::text, true)`

// sqlActor does no more than that, where there is another lock. $1 actor.
const sqlActor = `SELECT set_config('radial.actor', $1::text, true)`

var (
	errDryRun = errors.New("dry run")
	// errRaced says that a row was changed under our hands by somebody who
	// does not take our locks, such as psql.
	errRaced = fmt.Errorf("somebody changed a row at the same moment; try again: %w", aaa.ErrConflict)
)

// written is what goes with the rows of a change: its audit row (nil: nothing
// changes) and the jobs that it asks for.
type written struct {
	audit aaa.Audit
	jobs  []aaa.Job
	paper bool // no session has anything to follow
}

// change runs one change as one transaction (design "One transaction for a
// change"): under the lock of the thing named by key, f reads what stands
// there, decides by a pure function, and writes; audit and jobs go with it.
func (db *DB) change(ctx context.Context, c Change, key string, f func(tx pgx.Tx) (written, error)) error {
	noun, _, _ := strings.Cut(c.Action, ".")
	var err error
	for range 3 {
		err = db.inTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sqlLockKeyAs, noun+":"+key, storableText(c.Actor)); err != nil {
				return wrapErr(c.Action+" "+key, err)
			}
			w, err := f(tx)
			if err != nil || w.audit == nil {
				return err
			}
			if err := writeAudit(ctx, tx, c, key, w.audit); err != nil {
				return err
			}
			if !w.paper {
				if err := db.follow(ctx, tx, c, key, w.audit); err != nil {
					return err
				}
			}
			if err := db.enqueue(ctx, tx, c, w.jobs); err != nil {
				return err
			}
			if c.DryRun {
				return errDryRun
			}
			return nil
		})
		if !errors.Is(err, errRaced) {
			break
		}
	}
	if errors.Is(err, errDryRun) {
		return nil
	}
	return wrapPlain(c.Action+" "+key, err)
}

// wrapPlain adds the operation to errors that carry no sentinel yet; the
// others say already what they are about.
func wrapPlain(op string, err error) error {
	for _, sentinel := range []error{aaa.ErrNotFound, aaa.ErrConflict, aaa.ErrInvalid, aaa.ErrUnavailable} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	return wrapErr(op, err)
}
