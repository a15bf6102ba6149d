package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Bound addresses whose session is over, though no record told us: another
// server (FreeRADIUS on the same rows) wrote its Stop, or an operator closed the
// row. A row that is gone tells nothing, so there the lease must have run out as
// well. OFFSET 0 keeps it a look-up for each bound address: a join of its own
// choice may read all of radacct, each minute. $1 how many at most.
const sqlEndedLeases = `
SELECT a.vrf_id, a.address, coalesce(a.radacctid, 0), coalesce(r.acctsessionid, ''), coalesce(r.acctstoptime, a.until)
FROM radial.addresses a
LEFT JOIN LATERAL (SELECT c.radacctid, c.acctsessionid, c.acctstoptime FROM radacct c WHERE c.radacctid = a.radacctid OFFSET 0) r ON true
WHERE a.state = 'bound' AND (r.acctstoptime IS NOT NULL OR r.radacctid IS NULL AND a.until <= now())
ORDER BY a.vrf_id, a.address LIMIT $1::int`

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
		if err != nil {
			return err
		}
		events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (leaseEvent, error) {
			ev := leaseEvent{kind: leaseRelease}
			err := row.Scan(&ev.vrf, &ev.address, &ev.radacctid, &ev.sessionID, &ev.at)
			ev.sessionID = esc.Unescape(ev.sessionID)
			return ev, err
		})
		if err != nil {
			return err
		}
		n = len(events)
		return settleLeases(ctx, tx, db.now(), events)
	})
	return n, wrapErr("release ended sessions", err)
}
