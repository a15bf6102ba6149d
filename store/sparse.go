package store

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// IPv6 pools have no rows but for what has been leased: a prefix without a row
// is free. Its row is made when it is leased, free at first, and then judged
// and leased like any other, in the same transaction.

const (
	// What an IPv6 pool gives of its active subnets, in the order of addresses: one
	// network may give several ranges, and lie in another.
	sqlSparseSubnets = `
SELECT s.network, s.first, s.last, s.gateway,
       array(SELECT x.first FROM radial.exclusions x WHERE x.subnet_id = s.id ORDER BY x.id) || w.firsts,
       array(SELECT x.last FROM radial.exclusions x WHERE x.subnet_id = s.id ORDER BY x.id) || w.lasts
FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
CROSS JOIN LATERAL ( -- static prefixes that are wider than a lease
    SELECT coalesce(array_agg(set_masklen(d.address, 128) ORDER BY d.reply_id), '{}') AS firsts,
           coalesce(array_agg(radial.last_of(d.address) ORDER BY d.reply_id), '{}') AS lasts
    FROM radial.static_addresses d WHERE d.address <<= s.network AND masklen(d.address) < p.prefix_length) w
WHERE s.pool_id = $1::bigint AND s.status = 'active' ORDER BY s.first`

	// Candidates that have no row: $1 VRFs, $2 pools, $3 prefixes.
	sqlSparseMissing = `
SELECT c.vrf_id, c.pool_id, c.address FROM unnest($1::int[], $2::bigint[], $3::inet[]) AS c (vrf_id, pool_id, address)
WHERE (SELECT a.pool_id FROM radial.addresses a WHERE a.vrf_id = c.vrf_id AND a.address = c.address) IS NULL`

	// Making rows holds their pools and subnets; who takes addresses out of these
	// has them before the addresses. $1 pools.
	sqlSparseHold = `
SELECT FROM radial.pools p JOIN radial.subnets s ON s.pool_id = p.id WHERE p.id = ANY ($1::bigint[])
ORDER BY p.id, s.id FOR KEY SHARE OF p, s`

	// $1 VRFs, $2 pools, $3 prefixes.
	sqlSparseInsert = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
SELECT c.vrf_id, c.address, c.pool_id, s.id
FROM unnest($1::int[], $2::bigint[], $3::inet[]) AS c (vrf_id, pool_id, address)
CROSS JOIN LATERAL (
    SELECT s.id FROM radial.subnets s
    WHERE s.pool_id = c.pool_id AND s.vrf_id = c.vrf_id AND c.address <<= s.network AND s.status = 'active'
      AND set_masklen(c.address, 128) BETWEEN s.first AND s.last OFFSET 0) s
ORDER BY c.vrf_id, c.address
ON CONFLICT (vrf_id, address) DO NOTHING
RETURNING vrf_id, pool_id, address`

	// Which rows that were just made lie where their subnet gives: by now the
	// foreign keys hold the subnets as they are. $1 VRFs, $2 prefixes.
	sqlSparseAllowed = `
SELECT c.vrf_id, a.pool_id, c.address
FROM unnest($1::int[], $2::inet[]) AS c (vrf_id, address)
CROSS JOIN LATERAL (SELECT * FROM radial.addresses l WHERE l.vrf_id = c.vrf_id AND l.address = c.address OFFSET 0) a
JOIN radial.pools p ON p.id = a.pool_id
JOIN radial.subnets s ON s.id = a.subnet_id
CROSS JOIN LATERAL (SELECT set_masklen(a.address, 128) AS first, set_masklen(broadcast(a.address), 128) AS last) r
WHERE p.status = 'active' AND s.status = 'active' AND masklen(a.address) = p.prefix_length
  AND r.first >= s.first AND r.last <= s.last AND (s.gateway IS NULL OR s.gateway < r.first OR s.gateway > r.last)
  AND NOT (p.prefix_length = 128 AND masklen(s.network) < 127 AND r.first = set_masklen(s.network::inet, 128))
  AND (SELECT count(*) FROM radial.exclusions x WHERE x.subnet_id = s.id AND x.first <= r.last AND x.last >= r.first) = 0
  AND (SELECT count(*) FROM radial.static_addresses d WHERE d.address >> c.address) = 0`

	// Rows that were made for nothing. $1 VRFs, $2 prefixes.
	sqlSparseUnmake = `
DELETE FROM radial.addresses a USING unnest($1::int[], $2::inet[]) AS c (vrf_id, address)
WHERE a.vrf_id = c.vrf_id AND a.address = c.address`

	sqlSparseGone = `SELECT p.rows_gone::text FROM radial.pools p WHERE p.id = $1::bigint`

	// The rows of a network from a prefix on: $1 VRF, $2 and $3 the first and last prefix, $4 how many, $5 the pool.
	sqlSparseTaken = `
SELECT a.address, a.pool_id = $5::bigint FROM radial.addresses a
WHERE a.vrf_id = $1::int AND a.address >= $2::inet AND a.address <= $3::inet
ORDER BY a.vrf_id, a.address LIMIT $4::int`

	// Free rows of IPv6 pools that nobody has had for long: $1 since when, $2 how
	// many at most. The look into history is one look-up for each.
	sqlDropIdlePrefixes = `
WITH idle AS (
    SELECT a.vrf_id, a.address
    FROM (SELECT p.id, l.vrf_id, l.address FROM radial.pools p
          CROSS JOIN LATERAL (
              SELECT f.vrf_id, f.address FROM radial.addresses f
              WHERE f.pool_id = p.id AND f.state = 'free' AND (f.since IS NULL OR f.since < now() - $1::interval)
                AND (SELECT h.at FROM radial.address_history h
                     WHERE h.address = f.address AND h.vrf_id = f.vrf_id AND h.at >= now() - $1::interval LIMIT 1) IS NULL
              ORDER BY f.address LIMIT $2::int) l
          WHERE p.kind <> 'ipv4'
          ORDER BY p.id, l.vrf_id, l.address LIMIT $2::int) l -- by pool, whose row tells of what has gone
    CROSS JOIN LATERAL (
        SELECT f.vrf_id, f.address FROM radial.addresses f
        WHERE f.pool_id = l.id AND f.vrf_id = l.vrf_id AND f.address = l.address AND f.state = 'free' FOR UPDATE SKIP LOCKED) a
)
DELETE FROM radial.addresses a USING idle WHERE a.vrf_id = idle.vrf_id AND a.address = idle.address`
)

// sparseChunk is how many rows of a pool are read at a time for its gaps.
const sparseChunk = 4096

// DropIdlePrefixes removes the rows of IPv6 leases that have been free for so
// long, up to limit of them, and says how many: their prefixes stay free, and
// nobody is remembered who may have them first.
func (db *DB) DropIdlePrefixes(ctx context.Context, olderThan time.Duration, limit int) (n int, err error) {
	tag, err := db.pool.Exec(ctx, sqlDropIdlePrefixes, olderThan, limit)
	return int(tag.RowsAffected()), wrapErr("drop idle prefixes", err)
}

// readRuns fills in what an IPv6 pool gives.
func (l *Leases) readRuns(ctx context.Context, p *ipam.PoolInfo) error {
	rows, err := l.db.pool.Query(ctx, sqlSparseSubnets, p.ID)
	if err != nil {
		return err
	}
	var s ipam.Subnet
	var gateway *netip.Addr
	var firsts, lasts []netip.Addr
	p.Networks, p.Runs = nil, nil
	_, err = pgx.ForEachRow(rows, []any{&s.Network, &s.Range.First, &s.Range.Last, &gateway, &firsts, &lasts}, func() error {
		s.Gateway, s.Excluded = netip.Addr{}, nil
		if gateway != nil {
			s.Gateway = *gateway
		}
		for i := range firsts {
			s.Excluded = append(s.Excluded, ipam.Range{First: firsts[i], Last: lasts[i]})
		}
		p.Networks, p.Runs = append(p.Networks, s.Network), append(p.Runs, s.Runs(p.PrefixLength)...)
		return nil
	})
	return err
}

// gapless remembers IPv6 pools in which every prefix had a row, so that a full
// one is not read through for each login. What it knows is worth nothing once
// rows have gone or the pool gives of other networks.
type gapless struct {
	mu    sync.Mutex
	pools map[int64]gaplessPool // by id
}

type gaplessPool struct {
	gone string
	runs []ipam.Range
}

func (g *gapless) holds(pool *ipam.PoolInfo, gone string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.pools[pool.ID]
	return ok && known.gone == gone && slices.Equal(known.runs, pool.Runs)
}

func (g *gapless) set(pool *ipam.PoolInfo, gone string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pools == nil {
		g.pools = make(map[int64]gaplessPool)
	}
	g.pools[pool.ID] = gaplessPool{gone: gone, runs: pool.Runs}
}

// gaps returns up to limit prefixes of an IPv6 pool that have no row, after an
// address.
func (l *Leases) gaps(ctx context.Context, pool *ipam.PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	gone, err := l.rowsGone(ctx, pool.ID)
	if err != nil || l.gapless.holds(pool, gone) {
		return nil, err
	}
	var found []netip.Addr
	pure, from := true, after
	for _, network := range pool.Networks {
		last := ipam.RangeOf(network).Last
		if from.IsValid() && !from.Less(last) {
			continue
		}
		got, own, err := l.networkGaps(ctx, pool, network, from, limit-len(found))
		if err != nil {
			return nil, err
		}
		found, pure, from = append(found, got...), pure && own, last
		if len(found) == limit {
			return found, nil
		}
	}
	if len(found) > 0 || after.IsValid() || !pure {
		return found, nil
	}
	now, err := l.rowsGone(ctx, pool.ID)
	if err == nil && now == gone {
		l.gapless.set(pool, gone)
	}
	return nil, err
}

// networkGaps is gaps within a network; own tells that all its rows are of the pool.
func (l *Leases) networkGaps(ctx context.Context, pool *ipam.PoolInfo, network netip.Prefix, after netip.Addr, limit int) (found []netip.Addr, own bool, err error) {
	all := ipam.RangeOf(network)
	if !after.IsValid() || after.Less(all.First) {
		after = all.First.Prev()
	}
	last := netip.PrefixFrom(all.Last, pool.PrefixLength).Masked()
	own = true
	for {
		// rows are in order of prefixes: one that begins at after is before this
		from := netip.PrefixFrom(after.Next(), pool.PrefixLength)
		rows, err := l.db.pool.Query(ctx, sqlSparseTaken, pool.VRF, from, last, sparseChunk, pool.ID)
		if err != nil {
			return nil, false, err
		}
		var taken []netip.Addr
		var lease netip.Prefix
		var ours bool
		_, err = pgx.ForEachRow(rows, []any{&lease, &ours}, func() error {
			taken, own = append(taken, lease.Addr()), own && ours
			return nil
		})
		if err != nil {
			return nil, false, err
		}
		through := all.Last
		if len(taken) == sparseChunk {
			through = taken[len(taken)-1]
		}
		found = append(found, pool.Gaps(after, through, taken, limit-len(found))...)
		if len(found) == limit || through == all.Last {
			return found, own, nil
		}
		after = through
	}
}

func (l *Leases) rowsGone(ctx context.Context, pool int64) (gone string, err error) {
	err = l.db.pool.QueryRow(ctx, sqlSparseGone, pool).Scan(&gone)
	return gone, err
}
