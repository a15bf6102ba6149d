package store

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// Open sessions with an address in a run, by radacctid; the VRF is that of
// their NAS, as far as its row names the address. $1 VRF, $2 first, $3 last,
// $4 under which radacctid, $5 how many: the newest first.
const sqlOpenSessions = `
SELECT r.radacctid, r.acctsessionid, coalesce(r.username, ''), coalesce(r.callingstationid, ''), host(r.nasipaddress)::inet, coalesce(r.nasportid, ''),
       host(r.framedipaddress)::inet, coalesce(r.acctstarttime, now())
FROM radacct r
WHERE r.acctstoptime IS NULL AND r.framedipaddress BETWEEN $2::inet AND $3::inet AND r.radacctid < $4::bigint
  AND $1::int = coalesce((SELECT s.vrf_id FROM nas n JOIN radial.nas_settings s ON s.nas_id = n.id
                          WHERE n.nasname = host(r.nasipaddress) ORDER BY n.id LIMIT 1), 1)
ORDER BY r.radacctid DESC LIMIT $5::int`

// BindOpenSessions binds the addresses of all open sessions in radacct that lie
// in pools, and says how many it found: sessions that another server, or we,
// began before there was a row for their address.
func (db *DB) BindOpenSessions(ctx context.Context) (n int, err error) {
	subnets, err := readSubnets(ctx, db.pool, nil, 0)
	if err != nil {
		return 0, wrapErr("bind open sessions", err)
	}
	return db.bindSubnets(ctx, subnets)
}

func (db *DB) bindSubnets(ctx context.Context, subnets []Subnet) (n int, err error) {
	escaper, err := db.Escaper(ctx)
	if err != nil {
		return 0, fmt.Errorf("bind open sessions: %w", err)
	}
	for _, s := range subnets {
		if s.Kind.Sparse() {
			continue
		}
		err := db.inTx(ctx, func(tx pgx.Tx) error {
			found, err := bindOpen(ctx, tx, escaper, db.now(), s.VRF, s.Range)
			n += found
			return err
		})
		if err != nil {
			return n, wrapErr(fmt.Sprintf("bind open sessions of pool %q", s.Pool), err)
		}
	}
	return n, nil
}

// bindOpen binds the addresses of a run that open sessions have. Of several
// sessions with one address the newest gets it, unless it is bound already.
func bindOpen(ctx context.Context, tx pgx.Tx, escaper Escaper, now time.Time, vrf int32, run ipam.Range) (int, error) {
	const page = 2000
	n := 0
	for under := int64(math.MaxInt64); ; {
		rows, err := tx.Query(ctx, sqlOpenSessions, vrf, run.First, run.Last, under, page)
		if err != nil {
			return n, err
		}
		events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (leaseEvent, error) {
			return scanOpenSession(row, escaper, vrf)
		})
		if err != nil {
			return n, err
		}
		if len(events) == 0 {
			return n, nil
		}
		under = events[len(events)-1].radacctid
		if _, err := settleLeases(ctx, tx, now, events); err != nil {
			return n, err
		}
		n += len(events)
	}
}

func scanOpenSession(row pgx.CollectableRow, escaper Escaper, vrf int32) (leaseEvent, error) {
	ev := leaseEvent{kind: leaseRenew, vrf: vrf}
	var user, mac, port string
	var nas netip.Addr
	if err := row.Scan(&ev.radacctid, &ev.sessionID, &user, &mac, &nas, &port, &ev.addresses[ipam.IPv4], &ev.at); err != nil {
		return leaseEvent{}, err
	}
	ev.sessionID = escaper.Unescape(ev.sessionID)
	ev.caller = ipam.Caller{
		User: escaper.UnescapeUser(user), MAC: ipam.NormaliseMAC(escaper.Unescape(mac)),
		NAS: nas, Port: escaper.UnescapeTwice(port),
	}
	return ev, nil
}
