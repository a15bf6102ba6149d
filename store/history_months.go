package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlHistoryMake = `SELECT radial.make_history_partition($1::timestamptz)`

	// Months whose rows went into the default partition, for want of one of their
	// own, in such numbers that each question about any time would read them. $1 how many are too many.
	sqlHistoryAstray = `
SELECT date_trunc('month', at, 'UTC') FROM radial.address_history_default GROUP BY 1 HAVING count(*) >= $1::int ORDER BY 1`

	sqlHistoryDrop = `SELECT coalesce(radial.drop_history_partition($1::timestamptz), '')`

	// Old rows that no month has: $1 before when, $2 how many at most.
	sqlHistoryForget = `
DELETE FROM radial.address_history_default
WHERE ctid = ANY (ARRAY(SELECT ctid FROM radial.address_history_default WHERE at < $1::timestamptz LIMIT $2::int))`
)

const (
	monthsAhead = 2      // partitions that are there before they are needed
	astray      = 10_000 // rows of a month in the default partition
	dropTries   = 5      // each holds inserts up for 200 ms at most
)

// MakeHistoryMonths makes the partitions of the history for this month and the
// next two, and for any other of which the default partition has many rows.
// Months are those of UTC. Where one cannot be made now (a backup reads the
// history), that is an error and no harm: the default partition takes its rows.
func (db *DB) MakeHistoryMonths(ctx context.Context) error {
	now := db.now().UTC()
	for n := range monthsAhead + 1 {
		month := time.Date(now.Year(), now.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		if err := db.MakeHistoryMonth(ctx, month); err != nil {
			return err
		}
	}
	rows, err := db.pool.Query(ctx, sqlHistoryAstray, astray)
	if err != nil {
		return wrapErr("history months", err)
	}
	months, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return wrapErr("history months", err)
	}
	for _, month := range months {
		if err := db.MakeHistoryMonth(ctx, month); err != nil {
			return err
		}
	}
	return nil
}

// MakeHistoryMonth makes the partition of the month, in UTC, that a time lies
// in, unless it is there, and moves that month's rows into it.
func (db *DB) MakeHistoryMonth(ctx context.Context, month time.Time) error {
	_, err := db.pool.Exec(ctx, sqlHistoryMake, month)
	return wrapErr("history of "+month.UTC().Format("2006-01"), err)
}

// DropHistoryMonth drops the oldest month of the history that was over by a
// time, audits that, and returns its name; empty: there is none. Whoever reads
// or writes the history is never kept waiting for more than a moment: while it
// is in use all the time (a backup), that is an error.
func (db *DB) DropHistoryMonth(ctx context.Context, before time.Time, by Change) (month string, err error) {
	return db.dropMonth(ctx, "history", before, by, sqlHistoryDrop, "")
}

// dropMonth drops a month by the statement drop, which tells its name, and cleans
// up by the statement after, if there is one, in one transaction with the audit.
func (db *DB) dropMonth(ctx context.Context, of string, before time.Time, by Change, drop, after string) (month string, err error) {
	for try := range dropTries {
		if try > 0 {
			if err := sleep(ctx, time.Second); err != nil {
				return "", err
			}
		}
		err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, drop, before).Scan(&month); err != nil || month == "" {
				return err
			}
			if after != "" {
				if _, err := tx.Exec(ctx, after, before); err != nil {
					return err
				}
			}
			return writeAudit(ctx, tx, by, month, aaa.Audit{"before": before.UTC().Format(time.RFC3339)})
		})
		if !isCode(err, codeLockNotAvailable) {
			return month, wrapErr(of+": drop a month", err)
		}
	}
	return "", fmt.Errorf("%s: drop a month: the table is in use: %w", of, err)
}

// ForgetHistory deletes rows from before a time that no month has, up to limit
// of them, and says how many.
func (db *DB) ForgetHistory(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := db.pool.Exec(ctx, sqlHistoryForget, before, limit)
	return int(tag.RowsAffected()), wrapErr("forget history", err)
}
