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

// freeBlockRows bounds how many leases of IPv6 are read for one FreeBlock.
const freeBlockRows = 500_000

// FreeBlock is the room that a subnet has in one piece; the zero FreeBlock is
// none.
type FreeBlock struct {
	Run     ipam.Range   // the longest run of free addresses; of IPv6, of free leases
	Leases  uint64       // in Run; 2^64 and more are math.MaxUint64
	Prefix  netip.Prefix // the largest network of free addresses alone
	AtLeast bool         // more of IPv6 is leased than was read: there may be larger ones
}

// FreeBlock finds the largest pieces of free addresses of subnets. The free
// leases of IPv6 have no rows: they are the gaps between those that somebody
// has, of which it reads half a million at most.
func (db *DB) FreeBlock(ctx context.Context, subnets ...Subnet) (FreeBlock, error) {
	var best FreeBlock
	left := freeBlockRows
	for _, s := range subnets {
		var err error
		if s.Kind.Sparse() {
			err = db.sparseBlock(ctx, s, &best, &left)
		} else {
			err = db.rowsBlock(ctx, s, &best)
		}
		if err != nil {
			return FreeBlock{}, wrapErr(fmt.Sprintf("free block of subnet %s", s.Network), err)
		}
	}
	return best, nil
}

// rowsBlock looks at the rows of a subnet of IPv4.
func (db *DB) rowsBlock(ctx context.Context, s Subnet, best *FreeBlock) error {
	var run ipam.Range
	var at netip.Addr
	var length int
	err := db.pool.QueryRow(ctx, sqlFreeBlock, s.VRF, s.ID, s.Range.First, s.Range.Last).Scan(&run.First, &run.Last, &at, &length)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		best.consider(run, netip.PrefixFrom(at, length), run.Size())
	}
	return err
}

// sparseBlock looks at the gaps of a subnet of IPv6, as long as rows are left
// to be read.
func (db *DB) sparseBlock(ctx context.Context, s Subnet, best *FreeBlock, left *int) error {
	for _, run := range s.runs() {
		_, err := db.eachGap(ctx, s, run,
			func(gap ipam.Range) { best.consider(gap, gap.LargestPrefix(), gap.Leases(s.PrefixLength)) },
			func(rows int) bool {
				*left -= rows
				best.AtLeast = best.AtLeast || *left <= 0
				return *left > 0
			})
		if err != nil || best.AtLeast {
			return err
		}
	}
	return nil
}

// consider keeps what is larger than what there is.
func (b *FreeBlock) consider(run ipam.Range, prefix netip.Prefix, leases uint64) {
	if leases > b.Leases {
		b.Run, b.Leases = run, leases
	}
	if !b.Prefix.IsValid() || prefix.Bits() < b.Prefix.Bits() {
		b.Prefix = prefix
	}
}
