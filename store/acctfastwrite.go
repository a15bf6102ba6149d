package store

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// Records of sessions that are remembered: an interim changes columns that no
	// index has (HOT), a Stop the others. Rows that somebody else has written since
	// are left alone. $1 radacctids in order of acctuniqueid, $2 the transactions that wrote
	// them, $8 stop times (NULL: it goes on), $9 causes and $10 connectinfo_stop of those.
	// sqlSettlePlain is told of how many there were.
	sqlAcctKnown = `
WITH done AS (
    UPDATE radacct r` + acctSetCounters + `
    FROM unnest($1::bigint[], $2::xid[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
             AS e (id, xid, updated, spell, lived, input, output)
    WHERE r.radacctid = e.id AND r.xmin = e.xid AND ` + usageKept + `
    RETURNING r.radacctid
)
SELECT pg_current_xact_id()::xid, array_agg(radacctid), set_config('radial.updated', count(*)::text, true) FROM done`

	sqlAcctKnownStop = `
WITH done AS (
    UPDATE radacct r` + acctSetCounters + `,
        acctstoptime = e.stopped, acctterminatecause = e.cause, connectinfo_stop = e.info
    FROM unnest($1::bigint[], $2::xid[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[], $10::text[])
             AS e (id, xid, updated, spell, lived, input, output, stopped, cause, info)
    WHERE r.radacctid = e.id AND r.xmin = e.xid AND ` + usageKept + `
    RETURNING r.radacctid, coalesce(r.username, '')::text AS username
)
SELECT pg_current_xact_id()::xid, array_agg(radacctid), array_agg(username), set_config('radial.updated', count(*)::text, true) FROM done`

	// sqlAcctInsert, which tells sqlSettlePlain the radacctids that the rows have got, in their order.
	sqlAcctMake = `WITH made AS (` + sqlAcctInsert + `)
SELECT array_agg(radacctid), array_agg(acctuniqueid), set_config('radial.made', coalesce(array_agg(radacctid)::text, ''), true) FROM made`
)

func (s *swift) queueUpdates(b *pgx.Batch) {
	if len(s.updates) == 0 {
		return
	}
	statement, into, args := sqlAcctKnown, []any{&s.xid, &s.done, nil}, []any{
		column(s.updates, func(r *acctRow) int64 { return r.ID }),
		column(s.updates, func(r *acctRow) uint32 { return r.xid }),
		times(column(s.updates, func(r *acctRow) *time.Time { return nullTime(r.Update) })),
		wholes(column(s.updates, func(r *acctRow) *int64 { return r.Interval })),
		wholes(column(s.updates, func(r *acctRow) *int64 { return r.SessionTime })),
		wholes(column(s.updates, func(r *acctRow) *int64 { return r.Input })),
		wholes(column(s.updates, func(r *acctRow) *int64 { return r.Output })),
	}
	if s.stops {
		statement, into, args = sqlAcctKnownStop, []any{&s.xid, &s.done, &s.user, nil}, append(args,
			times(column(s.updates, func(r *acctRow) *time.Time { return nullTime(r.Stop) })),
			words(column(s.updates, func(r *acctRow) *string { return r.TerminateCause })),
			words(column(s.updates, func(r *acctRow) *string { return r.ConnectInfoStop })))
	}
	b.Queue(statement, args...).QueryRow(func(row pgx.Row) error { return row.Scan(into...) })
}

func (s *swift) queueInserts(b *pgx.Batch) {
	if len(s.inserts) == 0 {
		return
	}
	b.Queue(sqlAcctMake, append(sessionColumns(s.inserts), recordColumns(s.inserts)...)...).QueryRow(func(row pgx.Row) error {
		var ids []int64
		var uniques []string
		if err := row.Scan(&ids, &uniques, nil); err != nil {
			return err
		}
		made := 0
		for _, r := range s.inserts { // what was there already is missing among them
			if made < len(ids) && uniques[made] == r.UniqueID {
				r.ID = ids[made]
				made++
			}
		}
		if made < len(ids) {
			return fmt.Errorf("%w: %q", errRenamed, uniques[made])
		}
		return nil
	})
}
