package store

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"radial/ipam"
)

// What a row gives is decided by its pool and its subnet; both lists are short
// and read once for a statement.
const (
	claimColumns = leaseColumns + `,
       CASE WHEN a.subnet_id IN (SELECT s.id FROM radial.subnets s WHERE s.status = 'inactive') THEN 'inactive'
            ELSE coalesce((SELECT p.status FROM radial.pools p WHERE p.id = a.pool_id), 'inactive') END`
	givesLeases = `l.pool_id NOT IN (SELECT p.id FROM radial.pools p WHERE p.status <> 'active')
      AND l.subnet_id NOT IN (SELECT s.id FROM radial.subnets s WHERE s.status = 'inactive')`
	// The rows l that a login may be given: one that its caller had last, and any.
	forLastHolder = `(l.state IN ('free', 'cooling') OR l.state = 'offered' AND l.until <= now() AND ` + startsKnown + `)
      AND ` + givesLeases
	forAnybody = `(l.state = 'free' OR l.state IN ('offered', 'cooling') AND l.until <= now() AND (l.state = 'cooling' OR ` + startsKnown + `))
      AND ` + givesLeases
	// The rows a whose offer or cooling is over.
	ranOut = `a.state IN ('offered', 'cooling') AND a.until <= now() AND (a.state = 'cooling' OR ` + startsKnown + `)`
)

const (
	// $1 keys of users, in order: who logs in twice at once, here or at another
	// server, is served one after the other. The statements of the transaction
	// that follow are not planned each time: for a lone login, PostgreSQL thinks
	// of its own accord, a plan made for it is worth that, and it takes longer
	// than all they do. No two of a batch look for the same, so that remembering
	// what was found is lost work.
	sqlClaimUsers = `
SELECT pg_advisory_xact_lock(k)
FROM (SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_memoize', 'off', true) OFFSET 0) g
CROSS JOIN unnest($1::bigint[]) AS u (k)`

	// The callers' own leases, in whatever pool, and the address of a pool that
	// each had last, if nobody has it. $1 VRFs, $2 pools (0: own ones alone), $3
	// user names, $4 MACs, $5 NAS, $6 ports. One look finds both, as nearly every
	// caller has neither; what is found is judged again once it is locked, own ones
	// in the order of addresses. OFFSET 0 keeps the look-ups apart: joined, they are
	// a scan of all leases as long as the statistics know of none. Names are compared as
	// the callers' index has them: otherwise it is read from end to end by whoever planned
	// while it was empty.
	sqlClaimKnown = `
WITH known AS MATERIALIZED (
    SELECT w.*, l.address, l.state IN ('offered', 'bound') AND l.port = w.port AND l.nas IS NOT DISTINCT FROM w.nas AS own, l.pool_id = w.pool AS usual
    FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::inet[], $6::text[]) AS w (vrf_id, pool, username, mac, nas, port)
    CROSS JOIN LATERAL (
        SELECT l.address, l.state, l.port, l.nas, l.pool_id FROM radial.addresses l
        WHERE l.username COLLATE "C" = w.username AND l.mac COLLATE "C" = w.mac AND l.vrf_id = w.vrf_id
        OFFSET 0) l
)
SELECT ` + claimColumns + `
FROM (SELECT DISTINCT k.vrf_id, k.address, k.username, k.mac, k.nas, k.port FROM known k WHERE k.own ORDER BY k.vrf_id, k.address OFFSET 0) o
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses l
    WHERE l.vrf_id = o.vrf_id AND l.address = o.address
      AND l.state IN ('offered', 'bound') AND l.username COLLATE "C" = o.username AND l.mac COLLATE "C" = o.mac AND l.port = o.port AND l.nas IS NOT DISTINCT FROM o.nas
    FOR UPDATE) a
UNION ALL
SELECT ` + claimColumns + `
FROM (SELECT DISTINCT k.vrf_id, k.pool, k.username, k.mac FROM known k WHERE k.usual) u
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses l
    WHERE l.username COLLATE "C" = u.username AND l.mac COLLATE "C" = u.mac AND l.vrf_id = u.vrf_id AND l.pool_id = u.pool
      AND ` + forLastHolder + `
    ORDER BY l.since DESC NULLS LAST LIMIT 1
    FOR UPDATE SKIP LOCKED) a`

	// The address of a pool that each caller had last, by user name alone: $1 VRFs,
	// $2 pools, $3 user names.
	sqlClaimLastOfUser = `
SELECT ` + claimColumns + `
FROM unnest($1::int[], $2::bigint[], $3::text[]) AS w (vrf_id, pool_id, username)
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses l
    WHERE l.username COLLATE "C" = w.username AND l.vrf_id = w.vrf_id AND l.pool_id = w.pool_id
      AND ` + forLastHolder + `
    ORDER BY l.since DESC NULLS LAST LIMIT 1
    FOR UPDATE SKIP LOCKED) a`

	// The same by MAC, which the rows have no index of: history tells where to
	// look, as far back as few of its months need opening. $1 VRFs, $2 pools, $3 MACs.
	sqlClaimLastOfMAC = `
SELECT ` + claimColumns + `
FROM unnest($1::int[], $2::bigint[], $3::text[]) AS w (vrf_id, pool_id, mac)
CROSS JOIN LATERAL (
    SELECT h.vrf_id, h.address FROM radial.address_history h
    WHERE h.mac = w.mac AND h.vrf_id = w.vrf_id AND h.pool_id = w.pool_id AND h.at > now() - interval '100 days'
    ORDER BY h.at DESC LIMIT 4) h
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses l
    WHERE l.vrf_id = h.vrf_id AND l.address = h.address AND l.pool_id = w.pool_id AND l.mac = w.mac
      AND ` + forLastHolder + `
    FOR UPDATE SKIP LOCKED) a`

	// Which candidates are free: $1 VRFs, $2 pools, $3 addresses. Who had them does
	// not matter.
	sqlClaimFree = `
SELECT a.vrf_id, a.address, a.pool_id
FROM unnest($1::int[], $2::bigint[], $3::inet[]) AS c (vrf_id, pool_id, address)
CROSS JOIN LATERAL (
    SELECT l.vrf_id, l.address, l.pool_id FROM radial.addresses l
    WHERE l.vrf_id = c.vrf_id AND l.address = c.address AND l.pool_id = c.pool_id
      AND ` + forAnybody + `
    FOR UPDATE SKIP LOCKED) a`

	// The same, and they are offered at once. $1 VRFs, $2 pools, $3 addresses, $4
	// user names, $5 MACs, $6 NAS, $7 ports, $8 session ids, $9 how long the offers
	// last, in microseconds: as the pool was when the allocator read it. A row that another
	// transaction is writing is waited for, and not given if that one commits:
	// PostgreSQL goes on with what that one wrote, wherever it stands, and xmin
	// tells that it is not what we saw.
	sqlClaimGive = claimGive + `OFFSET 0` + claimGiven

	// The same without waiting: a row that somebody holds is not given.
	sqlClaimGiveFree = claimGive + `FOR UPDATE SKIP LOCKED` + claimGiven

	claimGive = `
UPDATE radial.addresses a
SET state = 'offered', until = now() + e.offer * interval '1 microsecond', since = now(),
    username = e.username, mac = e.mac, nas = e.nas, port = e.port, session_id = e.session_id
FROM (SELECT e.*, l.row, l.made
      FROM unnest($1::int[], $2::bigint[], $3::inet[], $4::text[], $5::text[], $6::inet[], $7::text[], $8::text[], $9::bigint[])
          WITH ORDINALITY AS e (vrf_id, pool_id, address, username, mac, nas, port, session_id, offer, n)
      CROSS JOIN LATERAL (
          SELECT l.ctid AS row, l.xmin AS made FROM radial.addresses l
          WHERE l.vrf_id = e.vrf_id AND l.address = e.address AND l.pool_id = e.pool_id
            AND ` + forAnybody + `
          `
	claimGiven = `) l) e
WHERE a.ctid = e.row AND a.xmin = e.made
RETURNING e.n, a.until`

	// How long sqlClaimGive waits for a row. An operator's transaction may last.
	sqlClaimPatience = `SELECT set_config('lock_timeout', '50ms', true)`

	// Offers. A bound row that its caller takes over stays bound until the new
	// session's Start, and so does one that he keeps; that a login has been answered
	// with it tells its session id, which is not the old session's any more: when
	// that one's end is told, late, nobody else gets the address. The rows are locked, so they stay where they are found.
	// $1 VRFs, $2 addresses, $3 user names, $4 MACs, $5 NAS, $6 ports,
	// $7 session ids, $8 whether the offer is a new one.
	sqlClaimOffer = `
UPDATE radial.addresses a
SET state = CASE a.state WHEN 'bound' THEN 'bound' ELSE 'offered' END,
    until = CASE a.state WHEN 'bound' THEN a.until ELSE now() + (SELECT p.offer_time FROM radial.pools p WHERE p.id = a.pool_id) END,
    since = CASE WHEN e.anew THEN now() ELSE a.since END, answered = now(),
    username = e.username, mac = e.mac, nas = e.nas, port = e.port,
    session_id = CASE WHEN e.session_id <> '' OR e.anew THEN e.session_id WHEN a.state <> 'bound' THEN a.session_id END
FROM (SELECT e.*, l.row FROM unnest($1::int[], $2::inet[], $3::text[], $4::text[], $5::inet[], $6::text[], $7::text[], $8::bool[])
          WITH ORDINALITY AS e (vrf_id, address, username, mac, nas, port, session_id, anew, n)
      CROSS JOIN LATERAL (SELECT l.ctid AS row FROM radial.addresses l WHERE l.vrf_id = e.vrf_id AND l.address = e.address OFFSET 0) l) e
WHERE a.ctid = e.row
RETURNING e.n, a.until`

	sqlFreeAddresses = `
SELECT a.address, a.ctid FROM radial.addresses a
WHERE a.pool_id = $1::bigint AND a.state = 'free' AND a.address > coalesce($2::inet, '0.0.0.0'::inet)
  AND EXISTS (SELECT FROM radial.pools p WHERE p.id = $1::bigint AND p.status = 'active')
  AND a.subnet_id NOT IN (SELECT s.id FROM radial.subnets s WHERE s.status = 'inactive')
ORDER BY a.address LIMIT $3::int`

	sqlRunOutAddresses = `
SELECT a.address, a.ctid FROM radial.addresses a
WHERE a.pool_id = $1::bigint AND ` + ranOut + `
  AND EXISTS (SELECT FROM radial.pools p WHERE p.id = $1::bigint AND p.status = 'active')
  AND a.subnet_id NOT IN (SELECT s.id FROM radial.subnets s WHERE s.status = 'inactive')
ORDER BY a.until LIMIT $2::int`

	sqlPoolNamed = `
SELECT p.id, p.name, p.vrf_id, p.kind, p.prefix_length, p.sticky, p.offer_time, p.lease_time, p.cooling_time, p.fallback, p.dns, p.interface_id,
       CASE WHEN p.status = 'active' AND NOT EXISTS (SELECT FROM radial.subnets s WHERE s.pool_id = p.id AND s.status = 'active')
                 AND EXISTS (SELECT FROM radial.subnets s WHERE s.pool_id = p.id) THEN 'inactive' ELSE p.status END,
       array(SELECT s.network FROM radial.subnets s WHERE s.pool_id = p.id AND s.status = 'active' ORDER BY s.network)
FROM radial.pools p WHERE p.vrf_id = $1::int AND p.name = $2::text`
)

// maxClaims bounds the logins of one transaction. With so many waiting as
// crowdOfClaims, another one begins while the first are at the database: one
// waits for the disk there, mostly.
const (
	maxClaims     = 256
	claimsAtOnce  = 3
	crowdOfClaims = 80
)

// Leases are the rows that judge over addresses (ipam.Rows). Safe for
// concurrent use.
type Leases struct {
	db    *DB
	group *Group[[]ipam.Try, []ipam.Claimed]

	gapless   gapless
	places    whereabouts
	newcomers atomic.Bool // who asks is nobody that the rows know, most likely
}

// NewLeases returns the address rows of the database.
func NewLeases(db *DB) *Leases {
	l := &Leases{db: db}
	l.group = NewGroup(maxClaims, l.claim)
	l.group.Runners, l.group.Crowd = claimsAtOnce, crowdOfClaims
	return l
}

// Claim leases, in one committed transaction with whatever other callers want
// at that moment, something for each of the tries of one login, or nothing: see
// ipam.Rows.
func (l *Leases) Claim(ctx context.Context, tries []ipam.Try) ([]ipam.Claimed, error) {
	c, err := l.group.Do(ctx, tries)
	return c, wrapErr("claim addresses", err)
}

// FreeAddresses lists addresses of a pool that are free now, or whose offer or
// cooling has run out: see ipam.Rows.
func (l *Leases) FreeAddresses(ctx context.Context, pool ipam.PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	free, last, more, err := l.freeRows(ctx, &pool, limit, sqlFreeAddresses, pool.ID, orNull(after), limit)
	for err == nil && more && len(free) < limit { // rows that the pool does not give any more
		var next []netip.Addr
		next, last, more, err = l.freeRows(ctx, &pool, limit-len(free), sqlFreeAddresses, pool.ID, last, limit-len(free))
		free = append(free, next...)
	}
	if err == nil && !after.IsValid() && len(free) < limit {
		var ranOut []netip.Addr
		ranOut, _, _, err = l.freeRows(ctx, &pool, limit, sqlRunOutAddresses, pool.ID, limit-len(free))
		free = append(free, ranOut...)
	}
	if err == nil && pool.Kind.Sparse() && len(free) < limit {
		var gaps []netip.Addr
		gaps, err = l.gaps(ctx, &pool, after, limit-len(free))
		free = append(free, gaps...)
		slices.SortFunc(free, netip.Addr.Compare) // the last one tells where the next look begins
	}
	return free, wrapErr("free addresses", err)
}

// freeRows returns those of a statement's rows that the pool gives; the last one
// of all, and whether there may be more after the limit of it.
func (l *Leases) freeRows(ctx context.Context, pool *ipam.PoolInfo, limit int, query string, args ...any) (free []netip.Addr, last *netip.Addr, more bool, err error) {
	rows, err := l.db.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, nil, false, err
	}
	var lease netip.Prefix
	var row pgtype.TID
	var at []pgtype.TID
	tag, err := pgx.ForEachRow(rows, []any{&lease, &row}, func() error {
		a := lease.Addr()
		last = &a
		if !pool.Kind.Sparse() || pool.Gives(lease) {
			free, at = append(free, a), append(at, row)
		}
		return nil
	})
	if !pool.Kind.Sparse() {
		l.places.learn(pool.VRF, free, at)
	}
	return free, last, tag.RowsAffected() == int64(limit), err
}

// PoolNamed returns a pool, or ipam.ErrPoolUnknown.
func (l *Leases) PoolNamed(ctx context.Context, vrf int32, name string) (ipam.PoolInfo, error) {
	var p ipam.PoolInfo
	var kind, sticky, interfaceID, status string
	err := l.db.pool.QueryRow(ctx, sqlPoolNamed, vrf, storableText(name)).
		Scan(&p.ID, &p.Name, &p.VRF, &kind, &p.PrefixLength, &sticky, &p.OfferTime, &p.LeaseTime, &p.CoolingTime, &p.Fallback, &p.DNS, &interfaceID,
			&status, &p.Networks)
	if errors.Is(err, pgx.ErrNoRows) {
		return ipam.PoolInfo{}, ipam.ErrPoolUnknown
	}
	// the columns' CHECKs allow nothing else
	p.Kind, _ = ipam.ParseKind(kind)
	p.Sticky, _ = ipam.ParseSticky(sticky)
	p.InterfaceID, _ = ipam.ParseInterfaceID(interfaceID)
	p.Status, _ = ipam.ParseStatus(status)
	if err == nil && p.Kind.Sparse() {
		err = l.readRuns(ctx, &p)
	}
	return p, wrapErr("pool", err)
}
