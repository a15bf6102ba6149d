package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Who has a static address already: a subscriber, or a reply row of others.
	sqlStaticIPHolder = `
SELECT username FROM radial.subscribers WHERE static_ip = $1::inet AND username <> $2::text
UNION ALL
SELECT username::text FROM radreply WHERE attribute = $3::text AND value = host($1::inet) AND username <> $4::text
LIMIT 1`

	// A static address that lies in a pool is taken out of its hands: free, or
	// the subscriber's own lease already.
	sqlStaticIPReserve = `
UPDATE radial.addresses SET state = 'reserved', username = $2::text, mac = NULL, nas = NULL, port = NULL, session_id = NULL,
    radacctid = NULL, until = NULL, since = now()
WHERE vrf_id = 1 AND address = $1::inet
  AND (state = 'free' OR state = 'offered' AND until <= now() OR state <> 'free' AND username = $2)
RETURNING pool_id`
	sqlStaticIPLeased = `
SELECT state, coalesce(username, '') FROM radial.addresses WHERE vrf_id = 1 AND address = $1::inet`
	sqlStaticIPRelease = `
UPDATE radial.addresses SET state = 'free', since = now()
WHERE vrf_id = 1 AND address = $1::inet AND state = 'reserved' AND username = $2::text
RETURNING pool_id`
	sqlStaticIPHistory = `
INSERT INTO radial.address_history (vrf_id, address, pool_id, action, username, reason)
VALUES (1, $1::inet, $2::bigint, $3::text, $4::text, 'static address')`
	sqlStaticIPReserveAll = `
WITH f AS ( -- locked in the order in which all lock addresses
    SELECT a.address, s.username FROM radial.addresses a JOIN radial.subscribers s ON s.static_ip = a.address
    WHERE a.vrf_id = 1 AND a.state = 'free' ORDER BY a.address FOR UPDATE OF a
), r AS (
    UPDATE radial.addresses a SET state = 'reserved', username = f.username, since = now()
    FROM f WHERE a.vrf_id = 1 AND a.address = f.address
    RETURNING a.address, a.pool_id, f.username
)
INSERT INTO radial.address_history (vrf_id, address, pool_id, action, username, reason)
SELECT 1, r.address, r.pool_id, 'reserved', r.username, 'static address' FROM r`
)

// moveStaticIP gives a subscriber's static address back to its pool and takes
// the new one out of its own; an invalid address is none. An address that
// somebody else has, as his own or by a lease, is aaa.ErrConflict. Static
// addresses live in the default VRF.
func moveStaticIP(ctx context.Context, tx pgx.Tx, esc Escaper, acc aaa.Account, to netip.Addr) error {
	var from netip.Addr
	if acc.Subscriber != nil {
		from = acc.Subscriber.StaticIP
	}
	if from == to {
		return nil
	}
	if from.IsValid() {
		if err := noteStaticIP(ctx, tx, sqlStaticIPRelease, "unreserved", from, acc.Name); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return wrapErr("static address "+from.String(), err)
		}
	}
	if !to.IsValid() {
		return nil
	}
	return takeStaticIP(ctx, tx, esc, acc.Name, to)
}

func takeStaticIP(ctx context.Context, tx pgx.Tx, esc Escaper, user string, ip netip.Addr) error {
	op := "static address " + ip.String()
	if _, err := tx.Exec(ctx, sqlLockKey, "ip:"+ip.String()); err != nil {
		return wrapErr(op, err)
	}
	attribute := "Framed-IP-Address"
	if ip.Is6() {
		attribute = "Framed-IPv6-Address"
	}
	var holder, state string
	err := tx.QueryRow(ctx, sqlStaticIPHolder, ip, user, attribute, esc.EscapeUser(user)).Scan(&holder)
	if err == nil {
		return fmt.Errorf("address %s is user %q's already: %w", ip, holder, aaa.ErrConflict)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return wrapErr(op, err)
	}
	err = noteStaticIP(ctx, tx, sqlStaticIPReserve, "reserved", ip, user)
	if err == nil || !errors.Is(err, pgx.ErrNoRows) {
		return wrapErr(op, err)
	}
	// No row that could be taken: either none at all, or somebody has it.
	err = tx.QueryRow(ctx, sqlStaticIPLeased, ip).Scan(&state, &holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return wrapErr(op, err)
	}
	return fmt.Errorf("address %s is %s for user %q now; end that session first: %w", ip, state, holder, aaa.ErrConflict)
}

// noteStaticIP changes the row of an address and writes its history;
// pgx.ErrNoRows says that there is no such row to change.
func noteStaticIP(ctx context.Context, tx pgx.Tx, change, action string, ip netip.Addr, user string) error {
	var pool int64
	if err := tx.QueryRow(ctx, change, ip, user).Scan(&pool); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sqlStaticIPHistory, ip, pool, action, user)
	return err
}

// ReserveStaticIPs takes the static addresses of subscribers out of a pool that
// was made over them, and says how many.
func (db *DB) ReserveStaticIPs(ctx context.Context) (int64, error) {
	tag, err := db.pool.Exec(ctx, sqlStaticIPReserveAll)
	return tag.RowsAffected(), wrapErr("reserve static addresses", err)
}
