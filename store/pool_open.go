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

const (
	// Open sessions with an address in a run, by radacctid; the VRF is that of
	// their NAS, as far as its row names the address. $1 VRF, $2 first, $3 last,
	// $4 under which radacctid, $5 how many: the newest first.
	sqlOpenSessions = openSessions + `host(r.framedipaddress)::inet FROM radacct r
WHERE r.acctstoptime IS NULL AND r.framedipaddress BETWEEN $2::inet AND $3::inet` + openSessionsEnd

	// The same of IPv6: $6 the kind of lease, $7 its length.
	sqlOpenIPv6 = openSessions + `network(c.address)::inet
FROM radacct r CROSS JOIN LATERAL (
    SELECT CASE $6::text WHEN 'ipv6_prefix' THEN r.framedipv6prefix WHEN 'delegated_prefix' THEN r.delegatedipv6prefix ELSE r.framedipv6address END AS address) c
WHERE r.acctstoptime IS NULL AND masklen(c.address) = $7::int AND host(c.address)::inet BETWEEN $2::inet AND $3::inet` + openSessionsEnd

	openSessions = `
SELECT r.radacctid, r.acctsessionid, coalesce(r.username, ''), coalesce(r.callingstationid, ''), host(r.nasipaddress)::inet, coalesce(r.nasportid, ''),
       coalesce(r.acctstarttime, now()), `
	openSessionsEnd = ` AND r.radacctid < $4::bigint
  AND $1::int = coalesce((SELECT s.vrf_id FROM nas n JOIN radial.nas_settings s ON s.nas_id = n.id
                          WHERE n.nasname = host(r.nasipaddress) ORDER BY n.id LIMIT 1), 1)
ORDER BY r.radacctid DESC LIMIT $5::int`

	// Subscribers' own addresses in a run, or the leases that they lie in, are
	// reserved: $1 first, $2 last, $3 the length of a lease.
	sqlStaticSettleRun = `
SELECT reserved FROM radial.settle_static(array(
    SELECT DISTINCT s.address FROM radial.static_addresses s WHERE s.address BETWEEN set_masklen($1::inet, $3::int) AND $2::inet), false)`
)

// adopter takes what is somebody's already out of what a pool is about to give:
// the addresses of open sessions are bound, subscribers' own are reserved.
type adopter struct {
	escaper Escaper
	now     time.Time
}

func (db *DB) adopter(ctx context.Context) (adopter, error) {
	escaper, err := db.Escaper(ctx)
	return adopter{escaper: escaper, now: db.now()}, err
}

// adopt does so in a run of a subnet, whose row and rows are there. The rows that
// the transaction has made are what matters. It locks others more than once, in
// whatever order, so it waits for none: what somebody holds is left to
// bindSubnets and DB.ReserveStaticIPs.
func (o adopter) adopt(ctx context.Context, tx pgx.Tx, s Subnet, run ipam.Range) error {
	for under := int64(math.MaxInt64); ; {
		events, err := o.sessions(ctx, tx, s, run, under)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		under = events[len(events)-1].radacctid
		st := newSettlement()
		st.skips = true
		if _, err := st.run(ctx, tx, o.now, events); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, sqlStaticSettleRun, run.First, run.Last, s.PrefixLength)
	return err
}

// sessions are the open sessions with addresses of a run, under a radacctid, a
// page of them: the newest first. Of several with one address that one gets it,
// unless it is bound already.
func (o adopter) sessions(ctx context.Context, q querier, s Subnet, run ipam.Range, under int64) ([]leaseEvent, error) {
	const page = 2000
	sql, args := sqlOpenSessions, []any{s.VRF, run.First, run.Last, under, page}
	if s.Kind.Sparse() {
		sql, args = sqlOpenIPv6, append(args, s.Kind.String(), s.PrefixLength)
	}
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (leaseEvent, error) {
		return scanOpenSession(row, o.escaper, s)
	})
}

func scanOpenSession(row pgx.CollectableRow, escaper Escaper, s Subnet) (leaseEvent, error) {
	ev := leaseEvent{kind: leaseRenew, vrf: s.VRF}
	var user, mac, port string
	var nas netip.Addr
	if err := row.Scan(&ev.radacctid, &ev.sessionID, &user, &mac, &nas, &port, &ev.at, &ev.addresses[s.Kind]); err != nil {
		return leaseEvent{}, err
	}
	ev.sessionID = escaper.Unescape(ev.sessionID)
	ev.caller = ipam.Caller{
		User: escaper.UnescapeUser(user), MAC: ipam.NormaliseMAC(escaper.Unescape(mac)),
		NAS: nas, Port: escaper.UnescapeTwice(port),
	}
	return ev, nil
}

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
	o, err := db.adopter(ctx)
	if err != nil {
		return 0, fmt.Errorf("bind open sessions: %w", err)
	}
	for _, s := range subnets {
		for under := int64(math.MaxInt64); ; {
			var events []leaseEvent
			err := db.inTx(ctx, func(tx pgx.Tx) error { // a page each: rows are locked in order once
				if events, err = o.sessions(ctx, tx, s, s.Range, under); err != nil {
					return err
				}
				_, err := settleLeases(ctx, tx, o.now, events)
				return err
			})
			if err != nil {
				return n, wrapErr(fmt.Sprintf("bind open sessions of pool %q", s.Pool), err)
			}
			if len(events) == 0 {
				break
			}
			n, under = n+len(events), events[len(events)-1].radacctid
		}
	}
	return n, nil
}
