package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Whoever changes rows that are still to come waits for us, and whoever comes after
	// him behind us: not for long. $1 how long we wait for a lock, $2 usageLock.
	sqlBackfillWait = `SELECT set_config('lock_timeout', $1::text, true)`
	sqlBackfillLock = `SELECT pg_advisory_xact_lock($1::bigint)`
	sqlBackfillUpto = `SELECT upto FROM radial.usage_backfill`

	// Rows of the time before the ledger, the newest first, with what has been folded of
	// them all the same: $1 up to which radacctid, $2 how many.
	sqlBackfillRows = `
SELECT r.radacctid, coalesce(r.username, ''), CASE WHEN isfinite(r.acctstarttime) THEN r.acctstarttime END, r.acctstoptime IS NOT NULL,
       CASE WHEN isfinite(r.acctstoptime) THEN r.acctstoptime END, coalesce(r.acctsessiontime, 0), coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0),
       s.radacctid IS NOT NULL, coalesce(s.pending, false), s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), coalesce(s.seconds, 0), coalesce(s.input, 0), coalesce(s.output, 0)
FROM (SELECT o.* FROM radacct o WHERE o.radacctid <= $1::bigint ORDER BY o.radacctid DESC LIMIT $2::int) r
LEFT JOIN LATERAL (SELECT x.* FROM radial.usage_session x WHERE x.radacctid = r.radacctid OFFSET 0) s ON true
ORDER BY r.radacctid DESC`

	// $1 up to which radacctid rows are left, $2 how many sessions have been folded now.
	sqlBackfillMove = `UPDATE radial.usage_backfill SET upto = $1::bigint, folded = folded + $2::bigint, touched = now()`

	sqlBackfillStatus = `SELECT bound, upto, folded FROM radial.usage_backfill`
)

const (
	backfillWait = "200ms" // for those who change rows that are to come
	backfillHold = "10s"   // for rows of usage_daily, which nobody holds for long
)

// Backfill is how far the sessions from before the ledger of usage have been folded
// into it, the newest first.
type Backfill struct {
	Bound  int64 // radacctid of the newest of them
	Upto   int64 // of the newest that is left; 0: none is
	Folded int64 // sessions
}

// UsageBackfill returns how far it is.
func (db *DB) UsageBackfill(ctx context.Context) (b Backfill, err error) {
	err = db.pool.QueryRow(ctx, sqlBackfillStatus).Scan(&b.Bound, &b.Upto, &b.Folded)
	return b, wrapErr("backfill of usage", err)
}

// BackfillUsage folds up to limit sessions that were closed before there was a
// ledger of usage, and says whether any are left. Where accounting keeps it from
// it, for a moment, it does nothing.
func (db *DB) BackfillUsage(ctx context.Context, limit int) (left bool, err error) {
	left = true
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var upto int64
		if err := tx.QueryRow(ctx, sqlBackfillUpto).Scan(&upto); err != nil || upto == 0 {
			left = false
			return err
		}
		if _, err := tx.Exec(ctx, sqlBackfillWait, backfillWait); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlBackfillLock, usageLock); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlBackfillWait, backfillHold); err != nil {
			return err
		}
		left, err = db.backfill(ctx, tx, limit)
		return err
	})
	if isCode(err, codeLockNotAvailable) {
		return true, nil
	}
	return left, wrapErr("backfill of usage", err)
}

func (db *DB) backfill(ctx context.Context, tx pgx.Tx, limit int) (left bool, err error) {
	var upto, n int64
	if err := tx.QueryRow(ctx, sqlBackfillUpto).Scan(&upto); err != nil || upto == 0 {
		return false, err
	}
	days, err := db.reckon(ctx)
	if err != nil {
		return true, err
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return true, err
	}
	rows, err := tx.Query(ctx, sqlBackfillRows, upto, max(limit, 1))
	if err != nil {
		return true, err
	}
	book := usageBook{zone: days.zone}
	var id, last int64
	var s usageSession
	var base folded
	var start, stop *time.Time
	var kept, pending bool
	var day int32
	_, err = pgx.ForEachRow(rows, []any{
		&id, &s.user, &start, &s.closed, &stop, &s.seconds, &s.input, &s.output,
		&kept, &pending, &base.any, &day, &base.seconds, &base.input, &base.output,
	}, func() error {
		n, last = n+1, id
		if !s.closed || pending { // what is open is folded as it goes on, what is pending by FoldUsage
			return nil
		}
		s.start, s.until, base.day = timeOf(start), timeOf(stop), aaa.Day(day)
		book.addSession(usageName(esc, s.user), s, base, true)
		if kept {
			book.drop = append(book.drop, id)
		}
		return nil
	})
	if err != nil {
		return true, err
	}
	upto = last - 1
	if n < int64(limit) {
		upto = 0
	}
	var write pgx.Batch
	book.queue(&write)
	write.Queue(sqlBackfillMove, max(upto, 0), n)
	return upto > 0, tx.SendBatch(ctx, &write).Close()
}
