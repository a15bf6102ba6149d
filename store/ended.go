package store

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// Bound addresses whose session is over, though no record told us: another
// server (FreeRADIUS on the same rows) wrote its Stop, or an operator closed the
// row. A row that is gone tells nothing, so there the lease must have run out as
// well. Those that are bound are found by their sessions, and each session's row by a
// look-up of its own (OFFSET 0): a join of the planner's choice may read all of
// radacct, each minute. In no order, so that it ends with the
// last that is wanted; settleLeases locks them in theirs. $1 how many at most.
const sqlEndedLeases = `
SELECT * FROM (
    SELECT a.vrf_id, a.address, a.radacctid, coalesce(r.acctsessionid, ''), coalesce(r.acctstoptime, a.until), r.radacctid IS NOT NULL, coalesce(r.acctterminatecause, '')
    FROM radial.addresses a
    LEFT JOIN LATERAL (SELECT c.radacctid, c.acctsessionid, c.acctstoptime, c.acctterminatecause FROM radacct c WHERE c.radacctid = a.radacctid OFFSET 0) r ON true
    WHERE a.radacctid IS NOT NULL AND a.state = 'bound' AND (r.acctstoptime IS NOT NULL OR r.radacctid IS NULL AND a.until <= now())
    UNION ALL
    SELECT a.vrf_id, a.address, 0, '', a.until, false, ''
    FROM radial.addresses a WHERE a.state = 'bound' AND a.radacctid IS NULL AND a.until <= now()
) e
LIMIT $1::int`

// ReleaseEnded frees addresses that are bound to sessions whose row in radacct
// is closed, up to limit of them, and says how many it found. A closed row
// never opens again, so nothing can be taken from a living session.
func (db *DB) ReleaseEnded(ctx context.Context, limit int) (n int, err error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, wrapErr("release ended sessions", err)
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlEndedLeases, limit)
		n, err = db.settleRows(ctx, tx, rows, err, func(row pgx.CollectableRow) (leaseEvent, error) {
			ev := leaseEvent{kind: leaseRelease} // of what kind the address is makes no difference to a release
			var closed bool
			var cause string
			err := row.Scan(&ev.vrf, &ev.addresses[ipam.IPv4], &ev.radacctid, &ev.sessionID, &ev.at, &closed, &cause)
			ev.sessionID, ev.reason = esc.Unescape(ev.sessionID), "the lease has run out, and radacct has no such session"
			if closed {
				ev.reason = "closed in radacct (" + cmp.Or(esc.Unescape(cause), "no cause told") + ")"
			}
			return ev, err
		})
		return err
	})
	return n, wrapErr("release ended sessions", err)
}

// settleRows settles the lease events that the rows of a query are, and says how
// many there were. queried is the query's error.
func (db *DB) settleRows(ctx context.Context, tx pgx.Tx, rows pgx.Rows, queried error, event pgx.RowToFunc[leaseEvent]) (int, error) {
	if queried != nil {
		return 0, queried
	}
	events, err := pgx.CollectRows(rows, event)
	if err != nil {
		return 0, err
	}
	_, err = settleLeases(ctx, tx, db.now(), events)
	return len(events), err
}
