package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"radial/aaa"
)

// commitTries is how often a transaction runs that lost against another.
const commitTries = 10

// errInsertLost tells that another server made a session's row between our look and
// our insert: the same batch finds it when it runs again.
var errInsertLost = errors.New("another server inserted the session first")

// What only a look at the single record can settle, like a refusal of PostgreSQL.
var (
	// errPanicked is a mistake of ours that a record has brought out.
	errPanicked = errors.New("panic")
	// errRenamed is a trigger that stores a session where nobody will find it.
	errRenamed = errors.New("radacct changed the acctuniqueid of a new row")
)

// commit stores a batch and answers each of its records: in the database, or
// in the journal while the ledger journals.
func (l *Ledger) commit(ctx context.Context, batch []*entry) {
	if l.journalled(batch) {
		return
	}
	patient, cancel := l.patient(ctx, l.opts.Timeout)
	defer cancel()
	if batch = l.applyKnown(patient, batch); len(batch) == 0 {
		return
	}
	n, err := l.write(patient, batch, l.opts.Timeout)
	l.finish(batch[:n], nil)
	if err != nil {
		l.known.clear()
		l.divert(batch[n:], err)
	}
}

// write stores a batch in the database, each transaction within limit. A
// record that PostgreSQL refuses goes into quarantine. An error is trouble: then only the first
// stored records are.
func (l *Ledger) write(ctx context.Context, batch []*entry, limit time.Duration) (stored int, err error) {
	err = l.retrying(ctx, limit, func(ctx context.Context) error { return l.apply(ctx, batch) })
	switch {
	case err == nil:
		return len(batch), nil
	case !refused(err):
		return 0, wrapErr("accounting", err)
	case len(batch) > 1:
		half := len(batch) / 2
		if stored, err = l.write(ctx, batch[:half], limit); err != nil {
			return stored, err
		}
		stored, err = l.write(ctx, batch[half:], limit)
		return half + stored, err
	}
	if err := l.quarantine(ctx, batch[0].raw, err); err != nil {
		return 0, err
	}
	batch[0].outcome = aaa.Ignored
	return 1, nil
}

// retrying runs a transaction, each time for no longer than limit, again where
// it lost against another.
func (l *Ledger) retrying(ctx context.Context, limit time.Duration, run func(context.Context) error) error {
	var err error
	for range commitTries {
		began := time.Now()
		err = once(ctx, limit, run)
		l.metrics.commit.Observe(time.Since(began).Seconds())
		switch {
		case errors.Is(err, errInsertLost):
			l.metrics.retries.WithLabelValues("raced").Inc()
		case retryable(err):
			l.metrics.retries.WithLabelValues("deadlock").Inc()
		default:
			return err
		}
	}
	return err
}

// once runs a transaction. A panic is an error of it: it must end neither the
// shard, whose other sessions would wait for ever, nor the process.
func once(ctx context.Context, limit time.Duration, run func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack())
		}
	}()
	return run(ctx)
}

// refused tells that PostgreSQL (or pgx on its behalf) will not take a batch
// for what is in it: class 22 data exception, 23 integrity constraint, 54
// program limit, P0 an exception of a trigger; or that a session's row holds
// what cannot be read (infinity is no time of Go's). Trouble of any other kind
// is not the records' fault.
func refused(err error) bool {
	if errors.Is(err, errInsertLost) || errors.Is(err, aaa.ErrUnavailable) {
		return false
	}
	if errors.Is(err, errPanicked) || errors.Is(err, errRenamed) {
		return true
	}
	if _, ok := errors.AsType[pgx.ScanArgError](err); ok {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return strings.Contains(err.Error(), "unable to encode")
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54", "P0":
		return true
	}
	return false
}

const sqlQuarantineInsert = `
INSERT INTO radial.quarantine (kind, payload, error) VALUES ($1::text, $2::bytea, $3::text)`

// quarantine stores a record that radacct refused, whole: then it is on stable
// storage and may be answered.
func (l *Ledger) quarantine(ctx context.Context, r *aaa.Record, cause error) error {
	payload, err := encodeRecord(r)
	if err == nil {
		err = l.isolate(ctx, payload, cause)
	}
	if err != nil {
		return wrapErr("quarantine session "+r.UniqueID, err)
	}
	l.log.Error("accounting record refused by the database: kept in radial.quarantine",
		zap.String("acctuniqueid", r.UniqueID), zap.Stringer("nas", r.NAS), zap.Error(cause))
	return nil
}

// isolate writes an encoded record into radial.quarantine.
func (l *Ledger) isolate(ctx context.Context, payload []byte, cause error) error {
	why := NewEscaper(EscapingRaw).Escape(cause.Error())
	err := l.retrying(ctx, l.opts.Timeout, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, l.db.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlQuarantineInsert, "accounting", payload, why)
			return err
		})
	})
	if err == nil {
		l.metrics.quarantined.Inc()
	}
	return err
}
