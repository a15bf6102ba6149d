package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sqlCleanupCounts = `
SELECT (SELECT count(*) FROM radial.addresses WHERE state = 'offered' AND until <= now()),
       (SELECT count(*) FROM radial.addresses WHERE state = 'cooling' AND until <= now()),
       (SELECT count(*) FROM radial.address_conflicts WHERE last_at < $1::timestamptz),
       (SELECT count(*) FROM radial.address_history_default WHERE at < $2::timestamptz)`
	sqlCleanupEnded  = `SELECT count(*) FROM (` + sqlEndedLeases + `) e`
	sqlCleanupMonths = `SELECT name FROM radial.history_months WHERE next <= $1::timestamptz ORDER BY first`
)

// Cleanup counts what the clock has made superfluous.
type Cleanup struct {
	Offers    int      `json:"offers"`    // run out, and no Start came
	Cooling   int      `json:"cooling"`   // long enough
	Ended     int      `json:"ended"`     // addresses of sessions that are over
	Static    int      `json:"static"`    // rows that do not agree with users' static addresses
	Conflicts int      `json:"conflicts"` // forgotten
	Months    []string `json:"months"`    // of the history
	History   int      `json:"history"`   // rows of the history that are in no month
}

// Cleanable counts what a clean-up would find: of history and conflicts what
// is from before these times, of which the zero one is none.
func (db *DB) Cleanable(ctx context.Context, history, conflicts time.Time) (Cleanup, error) {
	var c Cleanup
	if err := db.pool.QueryRow(ctx, sqlCleanupCounts, conflicts, history).Scan(&c.Offers, &c.Cooling, &c.Conflicts, &c.History); err != nil {
		return c, wrapErr("cleanup", err)
	}
	if err := db.pool.QueryRow(ctx, sqlCleanupEnded, 1<<30).Scan(&c.Ended); err != nil {
		return c, wrapErr("cleanup", err)
	}
	rows, err := db.pool.Query(ctx, sqlCleanupMonths, history)
	if err != nil {
		return c, wrapErr("cleanup", err)
	}
	if c.Months, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return c, wrapErr("cleanup", err)
	}
	rows, err = db.pool.Query(ctx, sqlStaticUnsettled)
	if err != nil {
		return c, wrapErr("cleanup", err)
	}
	_, err = pgx.ForEachRow(rows, nil, func() error { c.Static++; return nil })
	return c, wrapErr("cleanup", err)
}
