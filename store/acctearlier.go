package store

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Stops that come when the next session with their id has its row. aaa.Earlier
// says which row they are of, or that they make one; the rows that had the id before
// are in radacct under the ids of retired ones, or in the archive.
const (
	// The closed rows of a session id that began by the time of a Stop, the last
	// ones, in radacct and in the archive; and whatever has the acctuniqueid that a row of
	// the Stop's own would get. $1 user names, $2 Acct-Session-Ids, $3 NAS, $4 ports, $5 until
	// when, $6 those acctuniqueids.
	sqlAcctEarlier = `
SELECT r.*, e.n
FROM unnest($1::text[], $2::text[], $3::inet[], $4::text[], $5::timestamptz[], $6::text[])
         WITH ORDINALITY AS e (username, session_id, nas, port, until, retired, n)
CROSS JOIN LATERAL (
    (` + acctSession + `, false AS archived FROM radacct r` + acctBefore + `)
    UNION ALL (` + acctSession + `, true FROM radial.radacct_archive r` + acctBefore + `)
    UNION ALL ` + acctSession + `, false FROM radacct r WHERE r.acctuniqueid = e.retired AND r.acctstoptime IS NOT NULL) r`

	acctBefore = `
     WHERE r.username = e.username AND r.acctstarttime <= e.until AND r.acctsessionid = e.session_id
       AND r.nasipaddress = e.nas AND r.nasportid IS NOT DISTINCT FROM e.port AND r.acctstoptime IS NOT NULL
     ORDER BY r.acctstarttime DESC LIMIT 8`

	// Those that are to be changed, so that they are not moved into the archive meanwhile:
	// $1 radacctids.
	sqlAcctEarlierHold = `
SELECT count(*) FROM (SELECT FROM radacct WHERE radacctid = ANY ($1::bigint[]) ORDER BY acctuniqueid FOR UPDATE) r`
)

// earlierStop is a Stop that has found the row of a later session with its id.
type earlierStop struct {
	by      *entry
	row     *acctRow
	session aaa.Session // as it was then
}

// earlierWithin is by how much the start of a row may be after a Stop of its session.
const earlierWithin = 10 * time.Second

// settleEarlier applies the Stops of earlier sessions. There is hardly ever any, and
// only then it takes a trip or two. The row of the later session is locked, so that nobody else
// does the same meanwhile.
func (f *fold) settleEarlier(ctx context.Context, conn *pgx.Conn) error {
	if len(f.stops) == 0 {
		return nil
	}
	found, err := f.findEarlier(ctx, conn)
	if err != nil {
		return err
	}
	for i, s := range f.stops {
		rows := found[i]
		for _, r := range slices.Concat(f.retired, f.earlier) {
			if r.by.rec.UniqueID == s.by.rec.UniqueID && r != s.row && !slices.Contains(rows, r) {
				rows = append(rows, r)
			}
		}
		of, t := aaa.Earlier(&s.session, column(rows, func(r *acctRow) *aaa.Session { return &r.Session }), &s.by.rec)
		switch {
		case of < 0 && t.Outcome == aaa.Closed:
			f.earlier = append(f.earlier, &acctRow{Session: t.Row, by: s.by})
		case of >= 0 && rows[of].Session != t.Row:
			r := rows[of]
			if f.isOther(r) {
				f.earlier = append(f.earlier, r)
			}
			r.Session, r.by = t.Row, s.by
		}
		s.by.outcome = t.Outcome
	}
	return f.holdEarlier(ctx, conn)
}

// isOther tells that a row is not one that the batch has anyway.
func (f *fold) isOther(r *acctRow) bool {
	return !slices.Contains(f.retired, r) && !slices.Contains(f.earlier, r) && f.current[r.UniqueID] != r
}

// findEarlier reads what rows there may be of each of the stops; of one that
// the batch has, as the batch has left it.
func (f *fold) findEarlier(ctx context.Context, conn *pgx.Conn) ([][]*acctRow, error) {
	type key struct {
		archived  bool
		id, start int64 // an earlier session may have had the radacctid, when radacct was made anew
	}
	keyOf := func(r *acctRow) key { return key{r.archived, r.ID, r.before.Start.Unix()} }
	known := make(map[key]*acctRow)
	for _, r := range f.all() {
		if !r.isNew() {
			known[keyOf(r)] = r
		}
	}
	found := make([][]*acctRow, len(f.stops))
	rows, err := conn.Query(ctx, sqlAcctEarlier,
		column(f.stops, func(s earlierStop) string { return s.by.rec.User }),
		column(f.stops, func(s earlierStop) string { return s.by.rec.SessionID }),
		column(f.stops, func(s earlierStop) netip.Addr { return s.by.rec.NAS }),
		column(f.stops, func(s earlierStop) *string { return s.by.rec.PortID }),
		column(f.stops, func(s earlierStop) time.Time { return s.by.rec.At.Add(earlierWithin) }),
		column(f.stops, func(s earlierStop) string {
			own := aaa.Next(nil, &s.by.rec).Row
			return aaa.RetiredID(&own)
		}))
	if err != nil {
		return nil, err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
		var archived bool
		var n int64
		r, err := scanSessionAnd(row, &archived, &n)
		if err != nil {
			return none, err
		}
		r.archived = archived
		if k := known[keyOf(r)]; k != nil {
			r = k
		}
		known[keyOf(r)] = r
		if of := &found[n-1]; r != f.stops[n-1].row && !slices.Contains(*of, r) {
			*of = append(*of, r)
		}
		return none, nil
	})
	return found, err
}

func (f *fold) holdEarlier(ctx context.Context, conn *pgx.Conn) error {
	var ids []int64
	for _, r := range f.earlier {
		if !r.isNew() && !r.archived {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var n int
	if err := conn.QueryRow(ctx, sqlAcctEarlierHold, ids).Scan(&n); err != nil {
		return err
	}
	if n < len(ids) { // archived since: the batch finds it there when it runs again
		return errInsertLost
	}
	return nil
}
