package store

import (
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

const (
	// Rows that events are about, locked in order of (vrf, address): by the
	// addresses that the records carry, and by the sessions for what they hold and
	// their records do not carry.
	sqlSettleLock = `WITH target AS (` + settleByAddress + ` UNION ` + settleBySession + `)` + settleTarget

	// The same and by the holders, for what logins were offered or took over and
	// their Starts do not carry. A statement of its own, so that who has no such
	// Starts does not pay for it.
	sqlSettleLockMore = `WITH target AS (` + settleByAddress + ` UNION ` + settleBySession + ` UNION ` + settleByHolder + `)` + settleTarget

	// $1 kinds (0 bind, 1 renew, 2 release), $2 VRFs, $3 addresses, $4 radacctids.
	// A renewal of a binding with more than half of its time left is not even locked.
	settleByAddress = `
    SELECT a.vrf_id, a.address
    FROM unnest($1::int[], $2::int[], $3::inet[], $4::bigint[]) AS e (kind, vrf_id, address, radacctid)
    JOIN radial.addresses a ON a.vrf_id = e.vrf_id AND a.address = e.address
    JOIN radial.pools p ON p.id = a.pool_id
    WHERE e.kind <> 1 OR a.state <> 'bound' OR a.radacctid IS DISTINCT FROM e.radacctid
       OR a.until IS NULL OR a.until < now() + p.lease_time / 2`

	// $5 radacctids, $6 whether rows with more than half of their time left count.
	// OFFSET 0: see sqlClaimKnown.
	settleBySession = `
    SELECT l.vrf_id, l.address
    FROM unnest($5::bigint[], $6::bool[]) AS e (radacctid, whole)
    CROSS JOIN LATERAL (
        SELECT a.vrf_id, a.address FROM radial.addresses a
        WHERE a.radacctid = e.radacctid
          AND (e.whole OR a.until IS NULL OR a.until < now() + (SELECT p.lease_time / 2 FROM radial.pools p WHERE p.id = a.pool_id))
        OFFSET 0) l`

	// $7 VRFs, $8 user names, $9 MACs, $10 NAS.
	settleByHolder = `
    SELECT l.vrf_id, l.address
    FROM unnest($7::int[], $8::text[], $9::text[], $10::inet[]) AS e (vrf_id, username, mac, nas)
    CROSS JOIN LATERAL (
        SELECT a.vrf_id, a.address FROM radial.addresses a
        WHERE a.username COLLATE "C" = e.username AND a.mac COLLATE "C" = e.mac AND a.vrf_id = e.vrf_id
          AND a.state IN ('offered', 'bound') AND a.nas IS NOT DISTINCT FROM e.nas
        OFFSET 0) l`

	settleTarget = settleFound + `FOR UPDATE) a`

	// Both of them for who has rows of addresses already, and must not wait for others.
	sqlSettleLockNow     = `WITH target AS (` + settleByAddress + ` UNION ` + settleBySession + `)` + settleNow
	sqlSettleLockMoreNow = `WITH target AS (` + settleByAddress + ` UNION ` + settleBySession + ` UNION ` + settleByHolder + `)` + settleNow
	settleNow            = settleFound + `FOR UPDATE NOWAIT) a`

	// sqlSettleLock for who has rows of addresses already: what somebody else
	// holds is left alone.
	sqlSettleLockFree = `WITH target AS (` + settleByAddress + ` UNION ` + settleBySession + `)` + settleFound + `FOR UPDATE SKIP LOCKED) a`

	settleColumns = leaseColumns + `, a.since, CASE a.state WHEN 'offered' THEN greatest(a.answered, a.since) ELSE a.answered END, CASE WHEN family(a.address) = 6 THEN (SELECT p.kind FROM radial.pools p WHERE p.id = a.pool_id) END`
	settleFound   = `
SELECT ` + settleColumns + `
FROM (SELECT vrf_id, address FROM target ORDER BY vrf_id, address OFFSET 0) t
CROSS JOIN LATERAL (SELECT * FROM radial.addresses l WHERE l.vrf_id = t.vrf_id AND l.address = t.address `

	// The pools and subnets of sqlSettleMake's rows, which these will hold: before
	// any address is locked, as who takes addresses out of a subnet does it.
	sqlSettleHold = `
SELECT FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
WHERE p.kind <> 'ipv4' AND s.id IN (
    SELECT n.id FROM unnest($1::int[], $2::inet[]) AS e (vrf_id, address)
    CROSS JOIN LATERAL (SELECT n.id FROM radial.subnets n WHERE n.vrf_id = e.vrf_id AND n.network >>= e.address OFFSET 0) n
    WHERE (SELECT a.pool_id FROM radial.addresses a WHERE a.vrf_id = e.vrf_id AND a.address = e.address) IS NULL)
ORDER BY p.id, s.id FOR KEY SHARE OF p, s`

	// Rows for prefixes that sessions report and that an IPv6 pool could give: free,
	// until they are bound below. Otherwise the pool would give them to others. Like
	// everybody's new rows they come after those that are locked, so that nobody has
	// made rows yet who waits for a lock. $1 VRFs, $2 prefixes.
	sqlSettleMake = `
INSERT INTO radial.addresses AS a (vrf_id, address, pool_id, subnet_id)
SELECT DISTINCT e.vrf_id, e.address, s.pool_id, s.id
FROM unnest($1::int[], $2::inet[]) AS e (vrf_id, address)
CROSS JOIN LATERAL (SELECT set_masklen(e.address, 128) AS first, set_masklen(broadcast(e.address), 128) AS last OFFSET 0) r
CROSS JOIN LATERAL (
    SELECT s.id, s.pool_id FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
    WHERE s.vrf_id = e.vrf_id AND s.network >>= e.address AND p.kind <> 'ipv4' AND p.prefix_length = masklen(e.address)
      AND r.first >= s.first AND r.last <= s.last AND (s.gateway IS NULL OR s.gateway < r.first OR s.gateway > r.last)
      AND NOT (p.prefix_length = 128 AND masklen(s.network) < 127 AND r.first = set_masklen(s.network::inet, 128))
      AND NOT EXISTS (SELECT FROM radial.exclusions x WHERE x.subnet_id = s.id AND x.first <= r.last AND x.last >= r.first)
    LIMIT 1) s
WHERE (SELECT a.pool_id FROM radial.addresses a WHERE a.vrf_id = e.vrf_id AND a.address = e.address) IS NULL
ORDER BY e.vrf_id, e.address
ON CONFLICT (vrf_id, address) DO NOTHING
RETURNING ` + settleColumns

	// Whether there is any pool whose leases a Start may fail to report, and whether
	// there may be logins that Simultaneous-Use has let in and that have not started:
	// the table's size tells that whatever came and went in it; the shortest lease time, in seconds; and the transaction. What follows in the transaction is not planned each time: see sqlClaimUsers; and not for
	// tables that are small now: the order of locks would be that of a scan.
	sqlSparsePools = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true), EXISTS (SELECT FROM radial.pools WHERE kind <> 'ipv4'),
       pg_relation_size('radial.admissions'::regclass) > 0, (SELECT max(newest) FROM radial.archive_ends),
       coalesce((SELECT extract(epoch FROM p.lease_time)::bigint FROM radial.pools p ORDER BY p.lease_time LIMIT 1), 3600), pg_current_xact_id()::xid`
)

// lookups are the arguments of sqlSettleLockMore.
type lookups struct {
	kinds, vrfs []int32
	addresses   []netip.Prefix
	radacctids  []int64

	sessions []int64
	whole    []bool

	madeVRFs []int32 // of prefixes that may have no row yet
	made     []netip.Prefix

	holderVRFs  []int32
	users, macs []string
	nass        []*netip.Addr
}

// queueLock adds the look at the rows that events are about. An event whose
// session has no radacctid yet will do. Where there are no sparse pools, what a
// session's record does not carry is looked for only when it has no IPv4 address.
func (s *settlement) queueLock(b *pgx.Batch, events []leaseEvent, sparse bool) {
	var l lookups
	for i := range events {
		l.add(&events[i], sparse)
	}
	s.ordered = nil
	collect := func(found pgx.Rows) error {
		rows, err := pgx.CollectRows(found, scanSettleRow)
		s.ordered = append(s.ordered, rows...)
		return err
	}
	if len(l.made) > 0 {
		b.Queue(sqlSettleHold, l.madeVRFs, l.made)
	}
	lock, more := sqlSettleLock, sqlSettleLockMore
	if s.hurries {
		lock, more = sqlSettleLockNow, sqlSettleLockMoreNow
	}
	statement, args := lock, []any{l.kinds, l.vrfs, prefixes(l.addresses), l.radacctids, l.sessions, l.whole}
	switch s.adopts = len(l.users) > 0; {
	case s.adopts:
		statement, args = more, append(args, l.holderVRFs, texts(l.users), texts(l.macs), hosts(l.nass))
	case s.skips:
		statement = sqlSettleLockFree
	}
	b.Queue(statement, args...).Query(collect)
	if len(l.made) > 0 {
		b.Queue(sqlSettleMake, l.madeVRFs, l.made).Query(collect)
	}
}

func (l *lookups) add(ev *leaseEvent, sparse bool) {
	for kind, a := range ev.addresses {
		if !a.IsValid() || ipam.Kind(kind).Sparse() && !sparse {
			continue
		}
		l.kinds, l.vrfs = append(l.kinds, int32(ev.kind)), append(l.vrfs, ev.vrf)
		l.addresses, l.radacctids = append(l.addresses, a), append(l.radacctids, ev.radacctid)
		if ipam.Kind(kind).Sparse() && ev.kind != leaseRelease {
			l.madeVRFs, l.made = append(l.madeVRFs, ev.vrf), append(l.made, a)
		}
	}
	more := sparse || !ev.addresses[ipam.IPv4].IsValid()
	if ev.radacctid != 0 && (ev.kind == leaseRelease || ev.kind == leaseBind || more) {
		l.sessions, l.whole = append(l.sessions, ev.radacctid), append(l.whole, ev.kind != leaseRenew)
	}
	if ev.kind == leaseBind && more {
		c := storable(ev.caller)
		l.holderVRFs, l.users, l.macs = append(l.holderVRFs, ev.vrf), append(l.users, c.User), append(l.macs, c.MAC)
		l.nass = append(l.nass, orNull(c.NAS))
	}
}

// scanSettleRow reads a row of sqlSettleLock.
func scanSettleRow(rows pgx.CollectableRow) (*leaseRow, error) {
	var kind *string
	var since, answered *time.Time
	r, err := scanLeaseAnd(rows, &since, &answered, &kind)
	if err == nil {
		r.Since, r.Answered = timeOf(since), timeOf(answered)
	}
	if err == nil && kind != nil {
		r.kind, _ = ipam.ParseKind(*kind) // the column's CHECK allows nothing else
	}
	return r, err
}
