package store

import (
	"context"
	"errors"
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

// commit stores a batch and answers each of its records.
func (l *Ledger) commit(ctx context.Context, batch []*entry) {
	err := l.retrying(ctx, l.opts.Timeout, func(ctx context.Context) error { return l.apply(ctx, batch) })
	switch {
	case err == nil:
	case !refused(err):
		err = wrapErr("accounting", err)
	case len(batch) > 1:
		half := len(batch) / 2
		l.commit(ctx, batch[:half])
		l.commit(ctx, batch[half:])
		return
	default:
		err = l.quarantine(ctx, batch[0].raw, err)
		batch[0].outcome = aaa.Ignored
	}
	for _, e := range batch {
		l.finish(e, err)
	}
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

func once(ctx context.Context, limit time.Duration, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return run(ctx)
}

// refused tells that PostgreSQL (or pgx on its behalf) will not take a batch
// for what is in it: class 22 data exception, 23 integrity constraint, 54
// program limit, P0 an exception of a trigger. Trouble of any other kind is not
// the records' fault.
func refused(err error) bool {
	if errors.Is(err, errInsertLost) || errors.Is(err, aaa.ErrUnavailable) {
		return false
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
	if err != nil {
		return wrapErr("quarantine session "+r.UniqueID, err)
	}
	why := NewEscaper(EscapingRaw).Escape(cause.Error())
	err = l.retrying(ctx, l.opts.Timeout, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, l.db.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlQuarantineInsert, "accounting", payload, why)
			return err
		})
	})
	if err != nil {
		return wrapErr("quarantine session "+r.UniqueID, err)
	}
	l.metrics.quarantined.Inc()
	l.log.Error("accounting record refused by the database: kept in radial.quarantine",
		zap.String("acctuniqueid", r.UniqueID), zap.Stringer("nas", r.NAS), zap.Error(cause))
	return nil
}
