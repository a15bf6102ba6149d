package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// archiveColumns are FreeRADIUS's columns of radacct, which the archive has too.
const archiveColumns = `radacctid, acctsessionid, acctuniqueid, username, realm, nasipaddress, nasportid, nasporttype, acctstarttime, acctupdatetime,
    acctstoptime, acctinterval, acctsessiontime, acctauthentic, connectinfo_start, connectinfo_stop, acctinputoctets, acctoutputoctets,
    calledstationid, callingstationid, acctterminatecause, servicetype, framedprotocol, framedipaddress, framedipv6address, framedipv6prefix,
    framedinterfaceid, delegatedipv6prefix, class`

const (
	// Closed sessions that may go, by the index on their start, and locked: $1 begun
	// from when on, $2 over before when, $3 how many at most. One that someone holds
	// is being written, and waits; so does one that an address is still bound to.
	sqlArchiveDue = `
SELECT r.radacctid, r.acctstarttime FROM radacct r
WHERE r.acctstarttime >= $1::timestamptz AND r.acctstarttime < $2::timestamptz AND r.acctstoptime < $2 AND r.acctstoptime > '-infinity'
  AND NOT EXISTS (SELECT FROM radial.addresses a WHERE a.radacctid = r.radacctid OFFSET 0)
ORDER BY r.acctstarttime LIMIT $3::int FOR UPDATE OF r SKIP LOCKED`

	// Moves them: $1 radacctid, $2 whether radacct has columns of somebody else.
	sqlArchiveMove = `
WITH gone AS (
    DELETE FROM radacct r WHERE r.radacctid = ANY ($1::bigint[])
    RETURNING ` + archiveColumns + `, CASE WHEN $2::bool THEN nullif(jsonb_strip_nulls(to_jsonb(r) - string_to_array(regexp_replace('` + archiveColumns + `', '\s', '', 'g'), ',')), '{}') END AS extra
), put AS (
    INSERT INTO radial.radacct_archive (` + archiveColumns + `, extra)
    SELECT ` + archiveColumns + `, extra FROM gone ORDER BY acctstarttime, radacctid
    RETURNING acctstarttime, acctstoptime
)
INSERT INTO radial.archive_ends AS m (month, newest)
SELECT date_trunc('month', acctstarttime, 'UTC') AS month, max(acctstoptime) FROM put GROUP BY 1 ORDER BY 1
ON CONFLICT (month) DO UPDATE SET newest = greatest(m.newest, excluded.newest)`

	// Columns of radacct that are not FreeRADIUS's.
	sqlArchiveForeign = `
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'radacct'::regclass AND attnum > 0 AND NOT attisdropped
               AND attname::text <> ALL (string_to_array(regexp_replace('` + archiveColumns + `', '\s', '', 'g'), ',')))`

	// Who would stand there without his session, or lose his own rows with it.
	sqlArchiveBound = `
SELECT format('%s of %s', conname, conrelid::regclass) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'radacct'::regclass ORDER BY 1`

	sqlArchiveMake  = `SELECT radial.make_archive_partition($1::timestamptz)`
	sqlArchiveThere = `SELECT first FROM radial.archive_months`
)

// ErrArchiveWaits tells that nothing is archived yet: the usage of sessions from
// before the ledger of usage is still being folded, from their rows in radacct.
var ErrArchiveWaits = errors.New("the usage of old sessions is not folded yet")

// Archiving moves closed sessions out of radacct, from the oldest start on. It
// keeps its place between batches: make one for each run.
type Archiving struct {
	db     *DB
	before time.Time
	from   time.Time
	extra  bool
	months map[time.Time]bool
}

// NewArchiving begins to move the sessions that were over before a time into
// radial.radacct_archive. aaa.ErrInvalid where foreign keys point to radacct:
// their rows would be lost or in the way. ErrArchiveWaits: not yet.
func (db *DB) NewArchiving(ctx context.Context, before time.Time) (*Archiving, error) {
	const op = "archive"
	a := &Archiving{db: db, before: before.UTC(), from: time.Unix(0, 0).UTC().AddDate(-70, 0, 0), months: map[time.Time]bool{}}
	bound, err := db.lines(ctx, sqlArchiveBound)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	if len(bound) > 0 {
		return nil, fmt.Errorf("%s: %w: foreign keys point to radacct, whose rows may not go then: %s", op, aaa.ErrInvalid, strings.Join(bound, ", "))
	}
	folding, err := db.UsageBackfill(ctx)
	if err != nil {
		return nil, err
	}
	if folding.Upto > 0 {
		return nil, fmt.Errorf("%s: %w: servers do it a part each minute, and are at radacctid %d of %d, downwards", op, ErrArchiveWaits, folding.Upto, folding.Bound)
	}
	if err := db.pool.QueryRow(ctx, sqlArchiveForeign).Scan(&a.extra); err != nil {
		return nil, wrapErr(op, err)
	}
	rows, err := db.pool.Query(ctx, sqlArchiveThere)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	var month time.Time
	_, err = pgx.ForEachRow(rows, []any{&month}, func() error { a.months[month.UTC()] = true; return nil })
	return a, wrapErr(op, err)
}

// Move moves up to limit sessions in one transaction, the next ones each time,
// and says how many. Fewer than limit: that was all.
func (a *Archiving) Move(ctx context.Context, limit int) (n int, err error) {
	var last time.Time
	err = a.db.inTx(ctx, func(tx pgx.Tx) error {
		var ids []int64
		var id int64
		months := map[time.Time]bool{}
		rows, err := tx.Query(ctx, sqlArchiveDue, a.from, a.before, limit)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&id, &last}, func() error {
			ids = append(ids, id)
			if m := monthOf(last); !a.months[m] {
				months[m] = true
			}
			return nil
		})
		if n = len(ids); err != nil || n == 0 {
			return err
		}
		for m := range months {
			if _, err := tx.Exec(ctx, sqlArchiveMake, m); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, sqlArchiveMove, ids, a.extra)
		return err
	})
	if err != nil {
		return 0, wrapErr("archive sessions over before "+a.before.Format(time.RFC3339), err)
	}
	if n > 0 {
		a.from = last
	}
	return n, nil
}

// monthOf is the beginning of the month, in UTC, that a time lies in.
func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}
