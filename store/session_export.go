package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// $1 begun from when on, $2 begun before when, $3 user name (empty: any), $4
	// networks of NASes, $5 address or network, $6 not over by when (NULL: any).
	exportMatches = `
      ($3::text = '' OR r.username = $3) AND ($4::inet[] IS NULL OR r.nasipaddress <<= ANY ($4)) AND ($6::timestamptz IS NULL OR r.acctstoptime IS NULL OR r.acctstoptime > $6)
  AND ($5::inet IS NULL OR r.framedipaddress && $5 OR r.framedipv6address && $5 OR r.framedipv6prefix && $5 OR r.delegatedipv6prefix && $5)`
	exportBegun = `r.acctstarttime >= $1::timestamptz AND r.acctstarttime < $2::timestamptz AND`

	// By the indexes on the start, in their order: nothing is sorted but what began
	// in the same second, and the first line comes at once. Open sessions of before
	// have an index of their own.
	sqlSessionsExport = `
SELECT ` + sessionOwn + `, '', '{}'::text[]
FROM (` + ofRadacct + exportBegun + exportMatches + `
      UNION ALL ` + ofArchive + exportBegun + exportMatches + `
      UNION ALL ` + ofRadacct + `$6 IS NOT NULL AND r.acctstoptime IS NULL AND r.acctstarttime < $1 AND` + exportMatches + `) r
ORDER BY r.acctstarttime, r.radacctid`
)

// SessionExport selects sessions by their start; what is zero selects nothing.
type SessionExport struct {
	Since, Until time.Time      // begun from Since on, before Until
	OnlineSince  time.Time      // not over by then; of sessions from before Since those that are open
	User         string         // as radacct names him
	NAS          []netip.Prefix // networks that hold the NAS's address
	Address      netip.Prefix   // an address of the session, or a network that overlaps one
}

// ExportSessions calls each with the sessions that radacct and the archive have,
// the oldest first, as one state of the database has them; without Package and
// Pools. It ends where each fails.
func (db *DB) ExportSessions(ctx context.Context, q SessionExport, each func(Session) error) error {
	const op = "export of sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return wrapErr(op, err)
	}
	names, err := db.deviceNames(ctx)
	if err != nil {
		return err
	}
	if q.User != "" {
		q.User = esc.EscapeUser(q.User)
	}
	return db.askHistory(ctx, func(tx pgx.Tx) error { // planned with its values: which months and which index, depends on them
		if _, err := tx.Exec(ctx, sqlHistoryPlan); err != nil {
			return wrapErr(op, err)
		}
		rows, err := tx.Query(ctx, sqlSessionsExport, q.Since, q.Until, q.User, nullPrefixes(q.NAS), nullPrefix(q.Address), nullTime(q.OnlineSince))
		if err != nil {
			return wrapErr(op, err)
		}
		defer rows.Close()
		for rows.Next() {
			s, err := scanSessionOf(rows, esc)
			if err != nil {
				return wrapErr(op, fmt.Errorf("%w: %w", aaa.ErrInvalid, err))
			}
			s.NASName = names(s.NAS)
			if err := each(s); err != nil {
				return err
			}
		}
		return wrapErr(op, rows.Err())
	})
}
