package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// The longest run of free addresses of a subnet, and the largest network that
// lies in one: of a run with 2^k addresses or more, one with 2^(k-1) does, and
// perhaps one with 2^k. Runs are groups of addresses whose distance from their
// rank is the same. $1 VRF, $2 subnet, $3 first, $4 last.
const sqlFreeBlock = `
WITH runs AS MATERIALIZED (
    SELECT min(f.address) AS first, max(f.address) AS last, count(*) AS n
    FROM (SELECT a.address, a.address - (row_number() OVER (ORDER BY a.address) - 1) AS distance
          FROM radial.addresses a
          WHERE a.vrf_id = $1::int AND a.subnet_id = $2::bigint AND a.address BETWEEN $3::inet AND $4::inet
            AND (a.state = 'free' OR a.state IN ('offered', 'cooling') AND a.until <= now())) f
    GROUP BY f.distance
), most AS (SELECT length(ltrim(max(n)::bit(40)::text, '0')) - 1 AS k FROM runs),
longest AS (SELECT first, last FROM runs ORDER BY n DESC, first LIMIT 1),
aligned AS (
    SELECT g.k, b.begin
    FROM most m CROSS JOIN LATERAL generate_series(greatest(m.k - 1, 0), m.k) AS g (k)
    JOIN runs r ON r.n >= 1::bigint << g.k
    CROSS JOIN LATERAL (SELECT ((r.first - '0.0.0.0'::inet + (1::bigint << g.k) - 1) >> g.k) << g.k AS begin) b
    WHERE b.begin + (1::bigint << g.k) - 1 <= r.last - '0.0.0.0'::inet
    ORDER BY g.k DESC, b.begin LIMIT 1)
SELECT l.first, l.last, '0.0.0.0'::inet + a.begin, 32 - a.k FROM longest l CROSS JOIN aligned a`

// FreeBlock is the room that a subnet has in one piece; the zero FreeBlock is
// none.
type FreeBlock struct {
	Run    ipam.Range   // the longest run of free addresses
	Prefix netip.Prefix // the largest network of free addresses alone
}

// FreeBlock finds the largest pieces of free addresses of subnets. IPv6 has
// none to tell: its free leases have no rows.
func (db *DB) FreeBlock(ctx context.Context, subnets ...Subnet) (FreeBlock, error) {
	var best FreeBlock
	for _, s := range subnets {
		if s.Kind.Sparse() {
			continue
		}
		var b FreeBlock
		var at netip.Addr
		var length int
		err := db.pool.QueryRow(ctx, sqlFreeBlock, s.VRF, s.ID, s.Range.First, s.Range.Last).Scan(&b.Run.First, &b.Run.Last, &at, &length)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return FreeBlock{}, wrapErr(fmt.Sprintf("free block of subnet %s", s.Network), err)
		}
		b.Prefix = netip.PrefixFrom(at, length)
		if b.Run.Size() > best.Run.Size() {
			best.Run = b.Run
		}
		if !best.Prefix.IsValid() || b.Prefix.Bits() < best.Prefix.Bits() {
			best.Prefix = b.Prefix
		}
	}
	return best, nil
}
