package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// What would be moved, by months: $1 over before when.
	sqlArchiveCount = `
SELECT date_trunc('month', r.acctstarttime, 'UTC'), count(*), max(r.acctstoptime) FROM radacct r
WHERE r.acctstarttime < $1::timestamptz AND r.acctstarttime > '-infinity' AND r.acctstoptime < $1 AND r.acctstoptime > '-infinity'
  AND NOT EXISTS (SELECT FROM radial.addresses a WHERE a.radacctid = r.radacctid OFFSET 0)
GROUP BY 1 ORDER BY 1`

	// The months that there are; how many rows is about so many. Of a month that
	// PostgreSQL has not looked at yet, as after a move, so many are counted, and the
	// pages that they did not fill reckoned by those that they did.
	sqlArchiveMonths = `
SELECT m.first, CASE WHEN c.reltuples >= 1 THEN c.reltuples::bigint ELSE (
    SELECT CASE WHEN s.n < 100000 THEN s.n ELSE (s.n * (pg_relation_size(c.oid) / current_setting('block_size')::numeric) / s.pages::numeric)::bigint END
    FROM (SELECT count(*) AS n, max((r.ctid::text::point)[0]) + 1 AS pages
          FROM (SELECT a.ctid FROM radial.radacct_archive a WHERE a.acctstarttime >= m.first AND a.acctstarttime < m.next LIMIT 100000) r) s) END,
    e.newest, pg_total_relation_size(c.oid)
FROM radial.archive_months m JOIN pg_class c ON c.relname = m.name JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'radial'
LEFT JOIN radial.archive_ends e ON e.month = m.first
ORDER BY m.first`

	sqlArchiveDrop = `SELECT coalesce(radial.drop_archive_partition($1::timestamptz), '')`

	sqlArchiveForgetEnds = `
DELETE FROM radial.archive_ends e
WHERE e.month <= $1::timestamptz AND e.month >= '2000-01-01 00:00Z' AND NOT EXISTS (SELECT FROM radial.archive_months m WHERE m.first = e.month)`

	// Of NASes without a clock, which all stand in one partition: $1 over before
	// when, $2 how many at most.
	sqlArchiveForget = `
DELETE FROM radial.radacct_archive
WHERE acctstarttime < '2000-01-01 00:00Z'
  AND ctid = ANY (ARRAY(SELECT ctid FROM radial.radacct_archive WHERE acctstarttime < '2000-01-01 00:00Z' AND acctstoptime < $1::timestamptz LIMIT $2::int))`
)

// ArchiveMonth is a month of the archive, by the start of its sessions, or of
// what would be moved there.
type ArchiveMonth struct {
	Month    time.Time  `json:"month"`    // its beginning, in UTC
	Sessions int64      `json:"sessions"` // of what is there: about so many
	Newest   *time.Time `json:"newest"`   // when the last of them ended
	Bytes    int64      `json:"bytes"`    // on disk, with indexes; 0: not there yet
}

// Archivable counts, by months, the sessions that Archiving would move. It
// reads all of them.
func (db *DB) Archivable(ctx context.Context, before time.Time) ([]ArchiveMonth, error) {
	all, err := db.archiveMonths(ctx, func(row pgx.CollectableRow) (m ArchiveMonth, err error) {
		return m, row.Scan(&m.Month, &m.Sessions, &m.Newest)
	}, sqlArchiveCount, before)
	return all, wrapErr("archive", err)
}

// ArchiveMonths are the months that the archive has, the oldest first.
func (db *DB) ArchiveMonths(ctx context.Context) ([]ArchiveMonth, error) {
	all, err := db.archiveMonths(ctx, func(row pgx.CollectableRow) (m ArchiveMonth, err error) {
		return m, row.Scan(&m.Month, &m.Sessions, &m.Newest, &m.Bytes)
	}, sqlArchiveMonths)
	return all, wrapErr("archive", err)
}

func (db *DB) archiveMonths(ctx context.Context, scan func(pgx.CollectableRow) (ArchiveMonth, error), sql string, args ...any) ([]ArchiveMonth, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ArchiveMonth, error) {
		m, err := scan(row)
		m.Month = m.Month.UTC()
		return m, err
	})
}

// DropArchiveMonth drops the oldest month of the archive whose sessions were
// all over by a time, audits that, and returns its name; empty: there is none.
// Whoever reads the archive is never kept waiting for more than a moment: while
// it is in use all the time (a backup), that is an error.
func (db *DB) DropArchiveMonth(ctx context.Context, before time.Time, by Change) (month string, err error) {
	return db.dropMonth(ctx, "archive", before, by, sqlArchiveDrop, sqlArchiveForgetEnds)
}

// ForgetArchived deletes archived sessions of NASes without a clock that were
// over by a time, up to limit of them, and says how many.
func (db *DB) ForgetArchived(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := db.pool.Exec(ctx, sqlArchiveForget, before, limit)
	return int(tag.RowsAffected()), wrapErr("archive: forget", err)
}

// Archive moves all sessions that were over before a time, by batches, and
// tells step of each one; it ends where step fails.
func (db *DB) Archive(ctx context.Context, before time.Time, batch int, step func(moved int) error) error {
	a, err := db.NewArchiving(ctx, before)
	if err != nil {
		return err
	}
	for batch = max(batch, 1); ; {
		n, err := a.Move(ctx, batch)
		if err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), step(n)); err != nil || n < batch {
			return err
		}
	}
}
