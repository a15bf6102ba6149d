package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// The kinds of AddressConflict.
const (
	ConflictLease  = "lease"  // a session reported an address that another one holds
	ConflictDouble = "double" // two open sessions have one address, by radacct
	ConflictStatic = "static" // a user's static address is somebody else's now
	ConflictTwice  = "twice"  // two users have one static address
	ConflictPrefix = "prefix" // a static prefix holds many leases of a pool, and cannot be reserved
)

const conflictColumns = `
       c.vrf_id, c.address, c.first_at, c.last_at, c.times, coalesce(c.username, ''), coalesce(c.mac, ''), c.nas, coalesce(c.session_id, ''), c.radacctid,
       c.state, coalesce(c.holder_username, ''), coalesce(c.holder_mac, ''), c.holder_nas, coalesce(c.holder_session_id, ''), coalesce(c.holder_radacctid, 0)`

const (
	// Recorded ones, the newest first. One is over when its session is, or when the
	// session has got the address since. $1 also those, $2 VRF or 0, $3 how many.
	sqlConflictsRecorded = `
SELECT o.open,` + conflictColumns + `
FROM radial.address_conflicts c
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM radacct r WHERE r.radacctid = c.radacctid AND r.acctstoptime IS NULL)
    AND NOT EXISTS (SELECT FROM radial.addresses a WHERE a.vrf_id = c.vrf_id AND a.address = c.address AND a.radacctid = c.radacctid) AS open) o
WHERE ($1::boolean OR o.open) AND ($2::int = 0 OR c.vrf_id = $2)
ORDER BY c.last_at DESC LIMIT $3::int`

	// Open sessions with the address of an older one of somebody else; links of one
	// line (RFC 1990) are one user's at one NAS. $1 VRF or 0, $2 how many.
	sqlConflictsDouble = `
WITH o AS MATERIALIZED (
    SELECT r.radacctid, r.username, r.callingstationid AS mac, host(r.nasipaddress)::inet AS nas, r.acctsessionid, r.acctstarttime, r.acctupdatetime, a.address
    FROM radacct r CROSS JOIN LATERAL (VALUES (r.framedipaddress), (r.framedipv6address), (r.framedipv6prefix), (r.delegatedipv6prefix)) a (address)
    WHERE r.acctstoptime IS NULL AND a.address IS NOT NULL
), n AS MATERIALIZED (
    SELECT d.nas, coalesce((SELECT s.vrf_id FROM nas x JOIN radial.nas_settings s ON s.nas_id = x.id WHERE x.nasname = host(d.nas) ORDER BY x.id LIMIT 1), 1) AS vrf_id
    FROM (SELECT DISTINCT nas FROM o) d
), c AS (
    SELECT n.vrf_id, o.address, o.acctstarttime AS first_at, coalesce(o.acctupdatetime, o.acctstarttime) AS last_at, 1::bigint AS times,
           o.username, o.mac, o.nas, o.acctsessionid AS session_id, o.radacctid, 'open' AS state,
           lag(o.username) OVER w AS holder_username, lag(o.mac) OVER w AS holder_mac, lag(o.nas) OVER w AS holder_nas,
           lag(o.acctsessionid) OVER w AS holder_session_id, lag(o.radacctid) OVER w AS holder_radacctid
    FROM o JOIN n ON n.nas = o.nas WINDOW w AS (PARTITION BY n.vrf_id, o.address ORDER BY o.radacctid)
)
SELECT true,` + conflictColumns + `
FROM c
WHERE c.holder_radacctid IS NOT NULL AND ($1::int = 0 OR c.vrf_id = $1)
  AND (c.username IS DISTINCT FROM c.holder_username OR c.nas <> c.holder_nas AND c.mac IS DISTINCT FROM c.holder_mac)
ORDER BY c.vrf_id, c.address LIMIT $2::int`

	// Static addresses that pools could not be kept from: held by somebody else, or
	// reserved for him by an operator.
	sqlConflictsStatic = `
SELECT true,` + conflictColumns + `
FROM (
    SELECT a.vrf_id, s.address, a.since AS first_at, now() AS last_at, 1::bigint AS times, s.username, '' AS mac, NULL::inet AS nas, '' AS session_id, 0::bigint AS radacctid,
           a.state, a.username AS holder_username, a.mac AS holder_mac, a.nas AS holder_nas, a.session_id AS holder_session_id, a.radacctid AS holder_radacctid
    FROM radial.static_rows(array(SELECT address FROM radial.static_addresses)) r
    JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
    JOIN radial.static_addresses s ON s.address BETWEEN a.address AND radial.last_of(a.address)
    WHERE s.username IS DISTINCT FROM a.username
      AND (a.state = 'bound' OR a.state = 'offered' AND a.until > now() OR a.state = 'reserved' AND a.reason IS DISTINCT FROM 'static')) c
WHERE $1::int = 0 OR c.vrf_id = $1
ORDER BY c.vrf_id, c.address LIMIT $2::int`
	sqlConflictsTwice = `
SELECT true,` + conflictColumns + `
FROM (
    SELECT 0 AS vrf_id, s.address, NULL::timestamptz AS first_at, now() AS last_at, 1::bigint AS times, s.username, '' AS mac, NULL::inet AS nas, '' AS session_id, 0::bigint AS radacctid,
           'static' AS state, o.username AS holder_username, '' AS holder_mac, NULL::inet AS holder_nas, '' AS holder_session_id, 0::bigint AS holder_radacctid
    FROM radial.static_addresses s JOIN radial.static_addresses o ON o.address && s.address AND o.username <> s.username AND o.reply_id < s.reply_id) c
WHERE $1::int = 0
ORDER BY c.address LIMIT $2::int`
	sqlConflictsPrefix = `
SELECT true,` + conflictColumns + `
FROM (
    SELECT n.vrf_id, s.address, NULL::timestamptz AS first_at, now() AS last_at, 1::bigint AS times, s.username, '' AS mac, NULL::inet AS nas, '' AS session_id, 0::bigint AS radacctid,
           'pool ' || p.name AS state, '' AS holder_username, '' AS holder_mac, NULL::inet AS holder_nas, '' AS holder_session_id, 0::bigint AS holder_radacctid
    FROM radial.static_addresses s JOIN radial.subnets n ON n.network && s.address JOIN radial.pools p ON p.id = n.pool_id AND p.prefix_length > masklen(s.address)
    WHERE NOT EXISTS (SELECT FROM radial.exclusions x WHERE x.subnet_id = n.id AND x.first <= s.address AND x.last >= host(broadcast(s.address))::inet)) c
WHERE $1::int = 0 OR c.vrf_id = $1
ORDER BY c.vrf_id, c.address LIMIT $2::int`
)

// AddressConflict is an address that two have, or claim.
type AddressConflict struct {
	Kind    string // lease, double, static, twice or prefix
	Open    bool   // it goes on
	VRF     int32  // 0: none in particular
	Address netip.Prefix
	First   *time.Time // since when, if it is known
	Last    time.Time  // the last news of it
	Times   int64      // how often it was reported
	By      Claimant   // the session that reports it, or the user whose static address it is
	State   string     // of the address then: offered, bound or reserved; "open": a session of radacct
	Holder  Claimant   // who has it
}

// Claimant is a side of a conflict; what is not known is empty.
type Claimant struct {
	User      string
	MAC       string
	NAS       netip.Addr
	Session   string // Acct-Session-Id
	RadacctID int64
}

// AddressConflicts lists conflicts of one VRF or of all (0), at most limit of
// each kind: those that go on, and with all those of the past that are
// recorded. It reads all open sessions of radacct once.
func (db *DB) AddressConflicts(ctx context.Context, vrf int32, all bool, limit int) ([]AddressConflict, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	var found []AddressConflict
	for _, q := range []struct {
		kind, sql string
		args      []any
	}{
		{ConflictLease, sqlConflictsRecorded, []any{all, vrf, limit}},
		{ConflictDouble, sqlConflictsDouble, []any{vrf, limit}},
		{ConflictStatic, sqlConflictsStatic, []any{vrf, limit}},
		{ConflictTwice, sqlConflictsTwice, []any{vrf, limit}},
		{ConflictPrefix, sqlConflictsPrefix, []any{vrf, limit}},
	} {
		rows, err := db.pool.Query(ctx, q.sql, q.args...)
		if err != nil {
			return nil, wrapErr("conflicts", err)
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (AddressConflict, error) {
			c, err := scanConflict(row)
			c.Kind = q.kind
			if q.kind == ConflictDouble { // as FreeRADIUS's tables have them
				for _, side := range []*Claimant{&c.By, &c.Holder} {
					side.User, side.MAC, side.Session = esc.UnescapeUser(side.User), esc.Unescape(side.MAC), esc.Unescape(side.Session)
				}
			}
			return c, err
		})
		if err != nil {
			return nil, wrapErr("conflicts", err)
		}
		found = append(found, list...)
	}
	return found, nil
}

func scanConflict(row pgx.CollectableRow) (AddressConflict, error) {
	var c AddressConflict
	var last *time.Time
	var nas, holderNAS *netip.Addr
	err := row.Scan(&c.Open, &c.VRF, &c.Address, &c.First, &last, &c.Times, &c.By.User, &c.By.MAC, &nas, &c.By.Session, &c.By.RadacctID,
		&c.State, &c.Holder.User, &c.Holder.MAC, &holderNAS, &c.Holder.Session, &c.Holder.RadacctID)
	if last != nil {
		c.Last = *last
	}
	if nas != nil {
		c.By.NAS = *nas
	}
	if holderNAS != nil {
		c.Holder.NAS = *holderNAS
	}
	return c, err
}
