package store

import (
	"context"
	"net/netip"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

const (
	// Runs of rows that a login may be given among the next so many of a subnet: $1
	// pool, $2 subnet, $3 after which address, $4 up to which, $5 how many rows. What
	// has run out is found by its time: there is little of it, it is free by the next minute.
	sqlFreeRuns = `
SELECT host(min(f.address))::inet, host(max(f.address))::inet, count(*)
FROM (SELECT a.address, row_number() OVER (ORDER BY a.address) AS n
      FROM ((SELECT a.address FROM radial.addresses a
             WHERE a.pool_id = $1::bigint AND a.state = 'free' AND a.address > $3::inet AND a.address <= $4::inet AND a.subnet_id = $2::bigint
             ORDER BY a.address LIMIT $5::int)
            UNION ALL
            (SELECT a.address FROM radial.addresses a
             WHERE ` + ranOut + ` AND a.pool_id = $1 AND a.address > $3 AND a.address <= $4 AND a.subnet_id = $2
             ORDER BY a.address LIMIT $5)
            ORDER BY address LIMIT $5) a) f
GROUP BY f.address - f.n ORDER BY 1`

	// The leases of a run that are not free, of IPv6, where a lease that has no row
	// is: $1 VRF, $2 first (with the length of a lease), $3 last, $4 how many rows.
	sqlTakenLeases = `
SELECT a.address FROM radial.addresses a
WHERE a.vrf_id = $1::int AND a.address >= $2::inet AND a.address <= $3::inet AND masklen(a.address) = masklen($2::inet)
  AND NOT (a.state = 'free' OR ` + ranOut + `)
ORDER BY a.vrf_id, a.address LIMIT $4::int`
)

// FreeRun is leases of a pool that are next to each other and free.
type FreeRun struct {
	Subnet netip.Prefix
	Range  ipam.Range // of prefixes: the first address of the first, the last of the last one
	Leases uint64     // 2^64 and more are math.MaxUint64
}

// FreeRuns returns what a login may be given of a pool, as runs in order of subnet and
// address: at most limit of them, after an address (invalid: from the first
// on). However large the pool, it holds no more than that in memory. Asked for
// one, it does not look where that ends. A pool that is not active has runs all
// the same; its inactive subnets have none.
func (db *DB) FreeRuns(ctx context.Context, pool Pool, after netip.Addr, limit int) ([]FreeRun, error) {
	subnets, err := db.subnetsOf(ctx, pool.ID)
	if err != nil {
		return nil, wrapErr("free addresses", err)
	}
	f := freeSearch{db: db, limit: limit, after: after}
	for _, s := range subnets {
		if s.Status != StatusActive || after.IsValid() && s.Range.Last.Compare(after) <= 0 {
			continue
		}
		if s.Kind.Sparse() {
			err = f.sparse(ctx, s)
		} else {
			err = f.rows(ctx, s)
		}
		if err != nil {
			return nil, wrapErr("free addresses", err)
		}
		if len(f.runs) >= limit {
			break
		}
	}
	return f.runs[:min(len(f.runs), limit)], nil
}

// freeSearch gathers runs.
type freeSearch struct {
	db    *DB
	limit int
	after netip.Addr
	runs  []FreeRun
}

// add appends a run, or makes the last one longer.
func (f *freeSearch) add(s Subnet, r ipam.Range) {
	leases := r.Leases(s.PrefixLength)
	if n := len(f.runs); n > 0 && f.runs[n-1].Subnet == s.Network && f.runs[n-1].Range.Last.Next() == r.First {
		last := &f.runs[n-1]
		last.Range.Last, last.Leases = r.Last, ipam.AddLeases(last.Leases, leases)
		return
	}
	f.runs = append(f.runs, FreeRun{Subnet: s.Network, Range: r, Leases: leases})
}

// rows looks at the free rows of a subnet, more of them at a time as it goes
// on. It stops when there is one run more than wanted: the last one may go on.
func (f *freeSearch) rows(ctx context.Context, s Subnet) error {
	const most = 262_144
	from := s.Range.First.Prev() // of 0.0.0.0 it is invalid: NULL
	if f.after.IsValid() && from.Compare(f.after) < 0 {
		from = f.after
	}
	if !from.IsValid() {
		from = s.Range.First // 0.0.0.0 itself is never given
	}
	for window := int64(min(max(4*f.limit, 1024), most)); ; window = min(4*window, most) {
		rows, err := f.db.pool.Query(ctx, sqlFreeRuns, s.PoolID, s.ID, from, s.Range.Last, window)
		if err != nil {
			return err
		}
		var r ipam.Range
		var n, seen int64
		_, err = pgx.ForEachRow(rows, []any{&r.First, &r.Last, &n}, func() error {
			if seen += n; len(f.runs) <= f.limit {
				f.add(s, r)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if seen < window || len(f.runs) > f.limit || f.limit == 1 && len(f.runs) == 1 {
			return nil
		}
		from = r.Last
	}
}

// sparse looks for gaps between the leases of a subnet that somebody has.
func (f *freeSearch) sparse(ctx context.Context, s Subnet) error {
	for _, run := range s.runs() {
		if f.after.IsValid() {
			if run.Last.Compare(f.after) <= 0 {
				continue
			}
			if run.First.Compare(f.after) <= 0 {
				run.First = ipam.RangeOf(netip.PrefixFrom(f.after, s.PrefixLength).Masked()).Last.Next()
			}
		}
		more, err := f.db.eachGap(ctx, s, run, func(gap ipam.Range) { f.add(s, gap) }, func(int) bool { return len(f.runs) < f.limit })
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// eachGap tells the gaps of a run between the leases that somebody has, in
// order. After each look at the rows goOn hears how many they were and says
// whether there is to be another one; more tells whether it always was.
func (db *DB) eachGap(ctx context.Context, s Subnet, run ipam.Range, gap func(ipam.Range), goOn func(rows int) bool) (more bool, err error) {
	const window = 10_000
	for run.IsValid() && run.First.Compare(run.Last) <= 0 {
		rows, err := db.pool.Query(ctx, sqlTakenLeases, s.VRF, netip.PrefixFrom(run.First, s.PrefixLength), run.Last, window)
		if err != nil {
			return false, err
		}
		taken, err := pgx.CollectRows(rows, pgx.RowTo[netip.Prefix])
		if err != nil {
			return false, err
		}
		for _, p := range taken {
			if run.First.Less(p.Addr()) {
				gap(ipam.Range{First: run.First, Last: p.Addr().Prev()})
			}
			run.First = ipam.RangeOf(p).Last.Next()
		}
		if !goOn(len(taken)) {
			return false, nil
		}
		if len(taken) < window {
			if run.First.IsValid() && run.First.Compare(run.Last) <= 0 {
				gap(run)
			}
			return true, nil
		}
	}
	return true, nil
}
