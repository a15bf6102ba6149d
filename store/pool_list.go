package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// Who names a pool: logins of theirs would be refused without it. $1 the
// pool's name, $2 its id: where another VRF has a pool of that name, nobody is
// asked.
const sqlPoolNamedBy = `
SELECT who FROM (
  SELECT 'package ' || p.name AS who FROM radial.packages p
        WHERE $1::text IN (p.pool, p.ipv6_prefix_pool, p.delegated_prefix_pool, p.ipv6_address_pool)
  UNION SELECT 'nas ' || d.nasname FROM radial.nas_settings s JOIN nas d ON d.id = s.nas_id WHERE s.pool = $1::text
  UNION SELECT 'group ' || c.groupname FROM radgroupcheck c
        WHERE lower(c.attribute) IN ('pool-name', 'framed-ipv6-pool', 'delegated-ipv6-prefix-pool', 'stateful-ipv6-address-pool')
          AND c.value = $1::text AND c.groupname NOT IN (SELECT name FROM radial.packages)
  UNION SELECT 'user ' || c.username FROM radcheck c
        WHERE lower(c.attribute) IN ('pool-name', 'framed-ipv6-pool', 'delegated-ipv6-prefix-pool', 'stateful-ipv6-address-pool')
          AND c.value = $1::text) n
WHERE NOT EXISTS (SELECT FROM radial.pools o WHERE o.name = $1::text AND o.id <> $2::bigint)
ORDER BY who LIMIT 4`

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

// Pools lists all pools with the use of their addresses, by name.
func (db *DB) Pools(ctx context.Context) ([]Pool, error) {
	rows, err := db.pool.Query(ctx, sqlPoolList)
	if err != nil {
		return nil, wrapErr("pools", err)
	}
	pools, err := pgx.CollectRows(rows, scanPool)
	return pools, wrapErr("pools", err)
}

// PoolByName returns the pool of that name, or aaa.ErrNotFound; where several VRFs
// have one, that of the lowest VRF (the default VRF is 1).
func (db *DB) PoolByName(ctx context.Context, name string) (Pool, error) {
	rows, err := db.pool.Query(ctx, sqlPoolGet, storableText(name), 0)
	if err != nil {
		return Pool{}, wrapErr(fmt.Sprintf("pool %q", name), err)
	}
	p, err := pgx.CollectOneRow(rows, scanPool)
	return p, wrapErr(fmt.Sprintf("pool %q", name), err)
}

// PoolUse counts a pool's addresses and those that are free now, for
// aaa.PoolReader.
func (db *DB) PoolUse(ctx context.Context, vrf int32, name string) (total, free int64, err error) {
	rows, err := db.pool.Query(ctx, sqlPoolGet, storableText(name), vrf)
	if err != nil {
		return 0, 0, wrapErr("pool use", err)
	}
	p, err := pgx.CollectOneRow(rows, scanPool)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, ipam.ErrPoolUnknown
	}
	return p.Total(), p.Free, wrapErr("pool use", err)
}

func scanPool(row pgx.CollectableRow) (Pool, error) {
	var p Pool
	err := row.Scan(&p.ID, &p.Name, &p.VRF, &p.Description, &p.Status, &p.OfferTime, &p.LeaseTime, &p.CreatedAt,
		&p.Networks, &p.Free, &p.Offered, &p.Bound, &p.Reserved)
	return p, err
}

// DeletePool removes a pool and its address rows; the history stays. A pool
// with addresses that are offered, bound or reserved is aaa.ErrConflict, and so
// is one that a package, a group or a user names.
func (db *DB) DeletePool(ctx context.Context, name string) error {
	p, err := db.PoolByName(ctx, name)
	if errors.Is(err, aaa.ErrNotFound) {
		return fmt.Errorf("pool %q: %w", name, aaa.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("delete %w", err)
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPoolLock, poolLock); err != nil {
			return err
		}
		var leased int64
		if err := tx.QueryRow(ctx, sqlPoolLeased, p.ID).Scan(&leased); err != nil {
			return err
		}
		if leased > 0 {
			return fmt.Errorf("%w: %d of its addresses are leased or reserved; disconnect their sessions first", aaa.ErrConflict, leased)
		}
		rows, err := tx.Query(ctx, sqlPoolNamedBy, p.Name, p.ID)
		if err != nil {
			return err
		}
		users, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(users) > 3 {
			users[3] = "others"
		}
		if len(users) > 0 {
			return fmt.Errorf("%w: still named by %s: their logins would be refused; give them another pool first", aaa.ErrConflict, strings.Join(users, ", "))
		}
		_, err = tx.Exec(ctx, sqlPoolDelete, p.ID)
		return err
	})
	return wrapErr(fmt.Sprintf("delete pool %q", name), err)
}

// BindOpenSessions binds the addresses of all open sessions in radacct that lie
// in pools, and says how many it found: sessions that another server, or we,
// began before there was a row for their address.
func (db *DB) BindOpenSessions(ctx context.Context) (n int, err error) {
	pools, err := db.Pools(ctx)
	if err != nil {
		return 0, fmt.Errorf("bind open sessions: %w", err)
	}
	escaper, err := db.Escaper(ctx)
	if err != nil {
		return 0, fmt.Errorf("bind open sessions: %w", err)
	}
	for _, p := range pools {
		for _, network := range p.Networks {
			all := ipam.RangeOf(network)
			err := db.inTx(ctx, func(tx pgx.Tx) error {
				found, err := bindOpen(ctx, tx, escaper, db.now(), p.VRF, all)
				n += found
				return err
			})
			if err != nil {
				return n, wrapErr(fmt.Sprintf("bind open sessions of pool %q", p.Name), err)
			}
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
		if err := settleLeases(ctx, tx, now, events); err != nil {
			return n, err
		}
		n += len(events)
	}
}

func scanOpenSession(row pgx.CollectableRow, escaper Escaper, vrf int32) (leaseEvent, error) {
	ev := leaseEvent{kind: leaseRenew, vrf: vrf}
	var user, mac, port string
	var nas netip.Addr
	if err := row.Scan(&ev.radacctid, &ev.sessionID, &user, &mac, &nas, &port, &ev.address, &ev.at); err != nil {
		return leaseEvent{}, err
	}
	ev.sessionID = escaper.Unescape(ev.sessionID)
	ev.caller = ipam.Caller{
		User: escaper.UnescapeUser(user), MAC: ipam.NormaliseMAC(escaper.Unescape(mac)),
		NAS: nas, Port: escaper.UnescapeTwice(port),
	}
	return ev, nil
}
