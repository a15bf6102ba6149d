package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Late records: a Stop that waited in a journal for weeks, an interim of a
// session that somebody had closed by hand. Where their session's row has been
// moved into the archive they must neither begin it anew nor count twice, so
// it is looked for there, and aaa.Next judges as ever. That look costs a probe
// of each month, so records that cannot be of an archived session are spared
// it: all that began after the newest end in the archive.
const (
	// $1 acctuniqueids. Where several have one (the NAS began its ids anew, and none
	// of the records that told was late), the row that was made last is the last.
	sqlAcctArchived = acctSession + `
FROM radial.radacct_archive WHERE acctuniqueid = ANY ($1::text[]) ORDER BY acctuniqueid, radacctid FOR UPDATE`

	// sqlAcctUpdate for rows of the archive. $2 is what acctstarttime was: an
	// earlier session may have had the radacctid, when radacct was made anew.
	sqlAcctArchivedUpdate = `
UPDATE radial.radacct_archive r` + acctSetAll + `
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::inet[], $15::inet[], $16::inet[], $17::text[], $18::inet[])
         AS e (id, began, uniqueid, started, updated, stopped, spell, lived, input, output, info_start, info_stop, cause, ip, ipv6, prefix, interface, delegated)
WHERE r.radacctid = e.id AND r.acctstarttime = e.began`

	// $1 starts, $2 stops.
	sqlAcctArchivedEnds = `
INSERT INTO radial.archive_ends AS m (month, newest)
SELECT date_trunc('month', e.start, 'UTC') AS month, max(e.stop) FROM unnest($1::timestamptz[], $2::timestamptz[]) AS e (start, stop) GROUP BY 1 ORDER BY 1
ON CONFLICT (month) DO UPDATE SET newest = greatest(m.newest, excluded.newest)`
)

// withArchived adds the rows that the batch's late records want of the
// archive, locked. newest is the newest end that the archive has; nil: it is empty.
func withArchived(ctx context.Context, conn *pgx.Conn, rows []*acctRow, batch []*entry, newest *time.Time) ([]*acctRow, error) {
	if newest == nil {
		return rows, nil
	}
	there := make(map[string]bool, len(rows))
	for _, r := range rows {
		there[r.UniqueID] = true
	}
	var ids []string
	for _, e := range batch {
		if !there[e.rec.UniqueID] && mayBeArchived(&e.rec, *newest) {
			ids = append(ids, e.rec.UniqueID)
			there[e.rec.UniqueID] = true
		}
	}
	if len(ids) == 0 {
		return rows, nil
	}
	found, err := conn.Query(ctx, sqlAcctArchived, ids)
	if err != nil {
		return nil, err
	}
	archived, err := pgx.CollectRows(found, scanSession)
	for _, r := range archived {
		r.archived = true
	}
	return append(rows, archived...), err
}

// mayBeArchived tells whether a record may be of a session that was over by a
// time. What tells no session time may be of any.
func mayBeArchived(r *aaa.Record, newest time.Time) bool {
	switch r.Status {
	case aaa.StatusStart:
		return !r.At.After(newest)
	case aaa.StatusInterim, aaa.StatusStop:
		return r.SessionTime == nil || *r.SessionTime <= 0 || !r.At.Add(-time.Duration(*r.SessionTime)*time.Second).After(newest)
	default:
		return false
	}
}

// queueArchived adds the write of what the batch has changed in the archive.
func queueArchived(b *pgx.Batch, f *fold) {
	var rows []*acctRow
	for _, r := range f.all() {
		if r.archived && r.Session != r.before {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return
	}
	for _, r := range rows {
		if m := monthOf(r.Start); !m.Equal(monthOf(r.before.Start)) {
			b.Queue(sqlArchiveMake, m)
		}
	}
	start := column(rows, func(r *acctRow) time.Time { return r.Start })
	args := []any{column(rows, func(r *acctRow) int64 { return r.ID }), column(rows, func(r *acctRow) time.Time { return r.before.Start })}
	b.Queue(sqlAcctArchivedUpdate, append(args, sessionColumns(rows)...)...)
	b.Queue(sqlAcctArchivedEnds, start, column(rows, func(r *acctRow) time.Time { return r.Stop }))
}
