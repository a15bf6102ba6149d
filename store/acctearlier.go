package store

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// sqlAcctEarlier finds what rows there are of sessions before others with the
// same Acct-Session-Id, in radacct and in the archive: $1 user names, $2 Acct-Session-Ids, $3 NAS,
// $4 acctuniqueids of the ones that have these ids now, $5 from when, $6 until when, $7 the ones that the
// earlier ones would get.
const sqlAcctEarlier = `
SELECT e.n, r.acctstarttime, r.acctupdatetime, r.acctstoptime, r.acctsessiontime, r.acctinputoctets, r.acctoutputoctets
FROM unnest($1::text[], $2::text[], $3::inet[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[])
         WITH ORDINALITY AS e (username, session_id, nas, uniqueid, begins, ends, retired, n)
CROSS JOIN LATERAL (
    SELECT r.acctstarttime, r.acctupdatetime, r.acctstoptime, r.acctsessiontime, r.acctinputoctets, r.acctoutputoctets FROM radial.radacct_all r
    WHERE r.username = e.username AND r.acctstarttime <= e.ends
      AND r.acctsessionid = e.session_id AND r.nasipaddress = e.nas AND r.acctuniqueid <> e.uniqueid
      AND coalesce(r.acctstoptime, r.acctupdatetime, r.acctstarttime) >= e.begins
    UNION ALL
    SELECT e.begins, e.ends, e.ends, NULL, NULL, NULL FROM radacct r WHERE r.acctuniqueid = e.retired) r`

// earlierStop is a Stop that has found the row of a later session with its id: see
// aaa.Transition.
type earlierStop struct {
	by  *entry
	row *aaa.Session
}

// earlierWithin is by how much a row may be off that is the same session.
const earlierWithin = time.Minute

// findEarlier makes rows of the Stops of earlier sessions that nobody has a row
// of. Rarely there is any, and only then it takes a trip. The row of the later session is
// locked, so that nobody else makes them meanwhile.
func (f *fold) findEarlier(ctx context.Context, conn *pgx.Conn) error {
	if len(f.stops) == 0 {
		return nil
	}
	there := make([][]*aaa.Session, len(f.stops))
	rows, err := conn.Query(ctx, sqlAcctEarlier,
		column(f.stops, func(s earlierStop) string { return s.by.rec.User }),
		column(f.stops, func(s earlierStop) string { return s.by.rec.SessionID }),
		column(f.stops, func(s earlierStop) netip.Addr { return s.by.rec.NAS }),
		column(f.stops, func(s earlierStop) string { return s.by.rec.UniqueID }),
		column(f.stops, func(s earlierStop) time.Time { return s.row.Start.Add(-earlierWithin) }),
		column(f.stops, func(s earlierStop) time.Time { return s.row.Stop.Add(earlierWithin) }),
		column(f.stops, func(s earlierStop) string { return s.row.UniqueID }))
	if err != nil {
		return err
	}
	var n int64
	var start, update, stop *time.Time
	var o aaa.Session
	_, err = pgx.ForEachRow(rows, []any{&n, &start, &update, &stop, &o.SessionTime, &o.Input, &o.Output}, func() error {
		r := o
		r.Start, r.Update, r.Stop = timeOf(start), timeOf(update), timeOf(stop)
		there[n-1] = append(there[n-1], &r)
		return nil
	})
	if err != nil {
		return err
	}
	for i, s := range f.stops {
		for _, r := range slices.Concat(f.retired, f.earlier) {
			if r.by.rec.UniqueID == s.by.rec.UniqueID {
				there[i] = append(there[i], &r.Session)
			}
		}
		if !slices.ContainsFunc(there[i], s.row.SameLife) {
			f.earlier = append(f.earlier, &acctRow{Session: *s.row, by: s.by})
			s.by.outcome = aaa.Closed
		}
	}
	return nil
}
