package store

import (
	"context"
	"errors"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

const (
	// $1 keys of users, in order: who logs in twice at once, here or at another
	// server, is served one after the other.
	sqlClaimUsers = `SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS u (k)`

	// The callers' own leases. $1 VRFs, $2 pools, $3 user names, $4 MACs, $5 NAS, $6 ports.
	// OFFSET 0 keeps the look-ups apart: joined, they are a scan of all leases as
	// long as the statistics know of none.
	sqlClaimOwn = `
WITH own AS MATERIALIZED (
    SELECT l.vrf_id, l.address, w.username, w.mac, w.nas, w.port
    FROM (SELECT DISTINCT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::inet[], $6::text[])
              AS w (vrf_id, pool_id, username, mac, nas, port)) w
    CROSS JOIN LATERAL (
        SELECT l.vrf_id, l.address FROM radial.addresses l
        WHERE l.username = w.username AND l.mac = w.mac AND l.vrf_id = w.vrf_id AND l.pool_id = w.pool_id
          AND l.state IN ('offered', 'bound') AND l.port = w.port AND l.nas IS NOT DISTINCT FROM w.nas
        OFFSET 0) l
)
SELECT ` + leaseColumns + `
FROM own o JOIN radial.addresses a ON a.vrf_id = o.vrf_id AND a.address = o.address
WHERE a.state IN ('offered', 'bound') AND a.username = o.username AND a.mac = o.mac AND a.port = o.port AND a.nas IS NOT DISTINCT FROM o.nas
ORDER BY a.vrf_id, a.address
FOR UPDATE OF a`

	// The address that each caller had last, if it is free: $1 to $4 as above.
	sqlClaimLast = `
SELECT ` + leaseColumns + `
FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[]) AS w (vrf_id, pool_id, username, mac)
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses l
    WHERE l.username = w.username AND l.mac = w.mac AND l.vrf_id = w.vrf_id AND l.pool_id = w.pool_id
      AND (l.state = 'free' OR l.state = 'offered' AND l.until <= now())
      AND l.pool_id IN (SELECT p.id FROM radial.pools p WHERE p.status = 'active')
    ORDER BY l.since DESC NULLS LAST LIMIT 1
    FOR UPDATE SKIP LOCKED) a`

	// Which candidates are free: $1 VRFs, $2 pools, $3 addresses.
	sqlClaimFree = `
SELECT ` + leaseColumns + `
FROM unnest($1::int[], $2::bigint[], $3::inet[]) AS c (vrf_id, pool_id, address)
JOIN radial.addresses a ON a.vrf_id = c.vrf_id AND a.address = c.address AND a.pool_id = c.pool_id
WHERE (a.state = 'free' OR a.state = 'offered' AND a.until <= now())
  AND a.pool_id IN (SELECT p.id FROM radial.pools p WHERE p.status = 'active')
FOR UPDATE OF a SKIP LOCKED`

	// Offers. A bound row that its caller takes over stays bound until the new
	// session's Start. $1 VRFs, $2 addresses, $3 user names, $4 MACs, $5 NAS,
	// $6 ports, $7 session ids, $8 whether the offer is a new one.
	sqlClaimOffer = `
UPDATE radial.addresses a
SET state = CASE a.state WHEN 'bound' THEN 'bound' ELSE 'offered' END,
    until = CASE a.state WHEN 'bound' THEN a.until ELSE now() + p.offer_time END,
    since = CASE WHEN e.anew THEN now() ELSE a.since END,
    username = e.username, mac = e.mac, nas = e.nas, port = e.port,
    session_id = CASE WHEN e.session_id = '' AND NOT e.anew THEN a.session_id ELSE e.session_id END
FROM unnest($1::int[], $2::inet[], $3::text[], $4::text[], $5::inet[], $6::text[], $7::text[], $8::bool[])
         AS e (vrf_id, address, username, mac, nas, port, session_id, anew),
     radial.pools p
WHERE a.vrf_id = e.vrf_id AND a.address = e.address AND p.id = a.pool_id
RETURNING a.vrf_id, a.address, a.until`

	sqlFreeAddresses = `
SELECT a.address FROM radial.addresses a
WHERE a.pool_id = $1::bigint AND a.state = 'free' AND a.address > coalesce($2::inet, '0.0.0.0'::inet)
  AND EXISTS (SELECT FROM radial.pools p WHERE p.id = $1::bigint AND p.status = 'active')
ORDER BY a.address LIMIT $3::int`

	sqlRunOutAddresses = `
SELECT a.address FROM radial.addresses a
WHERE a.pool_id = $1::bigint AND a.state = 'offered' AND a.until <= now()
  AND EXISTS (SELECT FROM radial.pools p WHERE p.id = $1::bigint AND p.status = 'active')
ORDER BY a.until LIMIT $2::int`

	sqlPoolNamed = `
SELECT p.id, p.name, p.vrf_id, p.offer_time, p.lease_time,
       array(SELECT s.network FROM radial.subnets s WHERE s.pool_id = p.id ORDER BY s.network)
FROM radial.pools p WHERE p.vrf_id = $1::int AND p.name = $2::text`

	// Offers that no Start followed: $1 how many at most.
	sqlExpireOffers = `
UPDATE radial.addresses a
SET state = 'free', until = NULL, session_id = NULL
FROM (SELECT vrf_id, address FROM radial.addresses
      WHERE state = 'offered' AND until <= now()
      ORDER BY vrf_id, address LIMIT $1::int FOR UPDATE SKIP LOCKED) e
WHERE a.vrf_id = e.vrf_id AND a.address = e.address`
)

// maxClaims bounds the tries of one transaction.
const maxClaims = 256

// Leases are the rows that judge over addresses (ipam.Rows). Safe for
// concurrent use.
type Leases struct {
	db    *DB
	group *Group[ipam.Try, ipam.Claimed]
}

// NewLeases returns the address rows of the database.
func NewLeases(db *DB) *Leases {
	l := &Leases{db: db}
	l.group = NewGroup(maxClaims, l.claim)
	return l
}

// Claim leases, in one committed transaction with whatever other callers want
// at that moment, one address for each try: see ipam.Rows.
func (l *Leases) Claim(ctx context.Context, tries []ipam.Try) ([]ipam.Claimed, error) {
	if len(tries) == 1 { // nearly always
		c, err := l.group.Do(ctx, tries[0])
		return []ipam.Claimed{c}, wrapErr("claim addresses", err)
	}
	var all []ipam.Claimed
	for chunk := range slices.Chunk(tries, maxClaims) {
		got, err := l.claim(ctx, chunk)
		if err != nil {
			return nil, wrapErr("claim addresses", err)
		}
		all = append(all, got...)
	}
	return all, nil
}

// FreeAddresses lists addresses of a pool that are free now, or whose offer has
// run out: see ipam.Rows.
func (l *Leases) FreeAddresses(ctx context.Context, pool ipam.PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	rows, err := l.db.pool.Query(ctx, sqlFreeAddresses, pool.ID, orNull(after), limit)
	if err != nil {
		return nil, wrapErr("free addresses", err)
	}
	free, err := pgx.CollectRows(rows, pgx.RowTo[netip.Addr])
	if err != nil || after.IsValid() || len(free) == limit {
		return free, wrapErr("free addresses", err)
	}
	rows, err = l.db.pool.Query(ctx, sqlRunOutAddresses, pool.ID, limit-len(free))
	if err != nil {
		return nil, wrapErr("free addresses", err)
	}
	ranOut, err := pgx.CollectRows(rows, pgx.RowTo[netip.Addr])
	return append(free, ranOut...), wrapErr("free addresses", err)
}

// PoolNamed returns a pool, or ipam.ErrPoolUnknown.
func (l *Leases) PoolNamed(ctx context.Context, vrf int32, name string) (ipam.PoolInfo, error) {
	var p ipam.PoolInfo
	err := l.db.pool.QueryRow(ctx, sqlPoolNamed, vrf, storableText(name)).
		Scan(&p.ID, &p.Name, &p.VRF, &p.OfferTime, &p.LeaseTime, &p.Networks)
	if errors.Is(err, pgx.ErrNoRows) {
		return ipam.PoolInfo{}, ipam.ErrPoolUnknown
	}
	return p, wrapErr("pool", err)
}

// ExpireOffers frees offers that have run out, up to limit of them, and says
// how many. Rows that are in use at the moment wait for the next time.
func (db *DB) ExpireOffers(ctx context.Context, limit int) (n int, err error) {
	tag, err := db.pool.Exec(ctx, sqlExpireOffers, limit)
	return int(tag.RowsAffected()), wrapErr("expire offers", err)
}

// claim is one transaction for a batch of tries; a deadlock (none is expected)
// runs it again.
func (l *Leases) claim(ctx context.Context, tries []ipam.Try) (out []ipam.Claimed, err error) {
	c := newClaim(tries)
	for range 3 {
		err = l.db.inTrips(ctx, func(conn *pgx.Conn) error { return c.run(ctx, conn) })
		if !retryable(err) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return c.out, nil
}

// claim is a batch of tries on its way through a transaction.
type claim struct {
	tries []ipam.Try
	users []int64 // keys of their names, in order
	out   []ipam.Claimed

	own, last, free []*leaseRow
	offers          []offer
	taken           map[leaseKey]bool // by a try of this batch
}

type offer struct {
	try  int
	key  leaseKey
	anew bool // another holder than before
}

func newClaim(tries []ipam.Try) *claim {
	c := &claim{tries: slices.Clone(tries)}
	for i := range c.tries {
		w := &c.tries[i].Want
		w.Caller, w.SessionID = storable(w.Caller), storableText(w.SessionID)
		c.users = append(c.users, userLock(w.Caller.User))
	}
	slices.Sort(c.users)
	c.users = slices.Compact(c.users)
	return c
}

// userLock is the key of the advisory lock of a user: the first in the order of
// locks (users, radacct, usage, addresses).
func userLock(user string) int64 {
	h := fnv.New64a()
	h.Write([]byte(user)) // a hash takes everything
	return int64(h.Sum64())
}

// run makes two trips: begin, lock and read; write and commit.
func (c *claim) run(ctx context.Context, conn *pgx.Conn) error {
	c.out = make([]ipam.Claimed, len(c.tries))
	c.own, c.last, c.free, c.offers = nil, nil, nil, nil
	c.taken = make(map[leaseKey]bool, len(c.tries))
	if err := c.read(ctx, conn); err != nil {
		return err
	}
	c.decide()
	return c.write(ctx, conn)
}

func (c *claim) read(ctx context.Context, conn *pgx.Conn) error {
	n := len(c.tries)
	vrfs, pools := make([]int32, n), make([]int64, n)
	users, macs, nass, ports := make([]string, n), make([]string, n), make([]*netip.Addr, n), make([]string, n)
	var candidateVRFs []int32
	var candidatePools []int64
	var candidates []netip.Addr
	for i, t := range c.tries {
		caller := t.Want.Caller
		vrfs[i], pools[i] = t.Pool.VRF, t.Pool.ID
		users[i], macs[i], nass[i], ports[i] = caller.User, caller.MAC, orNull(caller.NAS), caller.Port
		for _, a := range t.Candidates {
			candidateVRFs, candidatePools, candidates = append(candidateVRFs, t.Pool.VRF), append(candidatePools, t.Pool.ID), append(candidates, a.Unmap())
		}
	}
	collect := func(into *[]*leaseRow) func(pgx.Rows) error {
		return func(rows pgx.Rows) (err error) {
			*into, err = pgx.CollectRows(rows, scanLease)
			return err
		}
	}
	b := &pgx.Batch{}
	b.Queue(tripBegin)
	b.Queue(sqlClaimUsers, c.users)
	b.Queue(sqlClaimOwn, vrfs, pools, users, macs, nass, ports).Query(collect(&c.own))
	b.Queue(sqlClaimLast, vrfs, pools, users, macs).Query(collect(&c.last))
	b.Queue(sqlClaimFree, candidateVRFs, candidatePools, candidates).Query(collect(&c.free))
	return conn.SendBatch(ctx, b).Close()
}

// decide gives each try what the rules say: its caller's own lease, its last
// address, else the first of its candidates that is free.
func (c *claim) decide() {
	free := make(map[leaseKey]bool, len(c.free))
	for _, r := range c.free {
		free[r.leaseKey] = true
	}
	given := make(map[callerKey]int) // tries of this batch that were given something
	for i, t := range c.tries {
		who := callerKey{pool: t.Pool.ID, caller: t.Want.Caller}
		if first, ok := given[who]; ok {
			// A caller asks twice at once: the second is the first, seen again.
			c.offers = append(c.offers, offer{try: i, key: c.offers[first].key})
			continue
		}
		if c.ownOrLast(i, t, free) || c.candidate(i, t, free) {
			given[who] = len(c.offers) - 1
		}
	}
}

// callerKey tells the callers of a pool apart.
type callerKey struct {
	pool   int64
	caller ipam.Caller
}

func (c *claim) ownOrLast(try int, t ipam.Try, free map[leaseKey]bool) bool {
	best, verdict := (*leaseRow)(nil), ipam.Pass
	for _, rows := range [][]*leaseRow{c.own, c.last} {
		for _, r := range rows {
			if r.pool != t.Pool.ID {
				continue
			}
			v := ipam.Judge(r.Holding, t.Want)
			if !c.taken[r.leaseKey] && v > verdict {
				best, verdict = r, v
			}
		}
	}
	if best == nil {
		return false
	}
	delete(free, best.leaseKey)
	c.give(try, best.leaseKey, verdict == ipam.Sticky)
	return true
}

func (c *claim) candidate(try int, t ipam.Try, free map[leaseKey]bool) bool {
	for _, a := range t.Candidates {
		key := leaseKey{t.Pool.VRF, a.Unmap()}
		if free[key] {
			delete(free, key)
			c.give(try, key, true)
			return true
		}
	}
	return false
}

func (c *claim) give(try int, key leaseKey, anew bool) {
	c.taken[key] = true
	c.offers = append(c.offers, offer{try: try, key: key, anew: anew})
}

// write stores the offers and commits. Of several tries of one caller the last
// one's session is kept.
func (c *claim) write(ctx context.Context, conn *pgx.Conn) error {
	at := make(map[leaseKey]int, len(c.offers))
	var vrfs []int32
	var addrs []netip.Addr
	var users, macs, ports, sessions []string
	var nass []*netip.Addr
	var anew []bool
	for _, o := range c.offers {
		w := c.tries[o.try].Want
		if i, ok := at[o.key]; ok {
			sessions[i] = w.SessionID
			continue
		}
		at[o.key] = len(vrfs)
		vrfs, addrs, anew = append(vrfs, o.key.vrf), append(addrs, o.key.address), append(anew, o.anew)
		users, macs, ports = append(users, w.Caller.User), append(macs, w.Caller.MAC), append(ports, w.Caller.Port)
		nass, sessions = append(nass, orNull(w.Caller.NAS)), append(sessions, w.SessionID)
	}
	until := make(map[leaseKey]time.Time, len(vrfs))
	b := &pgx.Batch{}
	if len(vrfs) > 0 {
		b.Queue(sqlClaimOffer, vrfs, addrs, users, macs, nass, ports, sessions, anew).Query(func(rows pgx.Rows) error {
			var key leaseKey
			var end *time.Time
			_, err := pgx.ForEachRow(rows, []any{&key.vrf, &key.address, &end}, func() error {
				if end != nil {
					until[key] = *end
				} else {
					until[key] = time.Time{}
				}
				return nil
			})
			return err
		})
	}
	b.Queue(tripCommit)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	for _, o := range c.offers {
		end, ok := until[o.key]
		if !ok {
			return errors.New("an offered row has gone")
		}
		c.out[o.try] = ipam.Claimed{Address: o.key.address, Until: end}
	}
	return nil
}
