package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	sqlImportThere = `SELECT to_regclass('radippool') IS NOT NULL`
	// What is odd about rows of radippool: kind, how many addresses, and the first of them.
	sqlImportOdd = `
WITH r AS MATERIALIZED (
    SELECT pool_name::text AS pool, host(framedipaddress)::inet AS address, framedipaddress AS stored FROM radippool WHERE family(framedipaddress) = 4
), odd AS (
    SELECT 'stand twice in pool ' || quote_ident(pool) AS what, address FROM r GROUP BY pool, address HAVING count(*) > 1
    UNION ALL
    SELECT 'stand in several pools (' || string_agg(DISTINCT pool, ', ') || ')', address FROM r GROUP BY address HAVING count(DISTINCT pool) > 1
    UNION ALL
    SELECT 'are networks, or no address of a host, in pool ' || quote_ident(pool), stored FROM r
    WHERE masklen(stored) < 32 OR address <<= '0.0.0.0/8' OR address >= '224.0.0.0'
    UNION ALL
    SELECT 'have a pool_name that is empty, too long, or has blanks around: ' || quote_literal(left(pool, 40)), address FROM r
    WHERE pool = '' OR btrim(pool) <> pool OR length(pool) > 100
)
SELECT what, count(*), (array_agg(text(address) ORDER BY address))[1:3] FROM odd GROUP BY what ORDER BY what LIMIT 50`

	// Runs of addresses that follow each other: $1 the zone. IPv4 alone.
	sqlImportRuns = `
SELECT pool, host(min(address))::inet, host(max(address))::inet, count(*), count(*) FILTER (WHERE live), count(*) FILTER (WHERE NOT live AND holder)
FROM (SELECT pool_name::text AS pool, framedipaddress AS address, expiry_time > now() AT TIME ZONE $1::text AS live, coalesce(username, '') <> '' OR coalesce(callingstationid, '') <> '' AS holder,
             (framedipaddress - '0.0.0.0'::inet) - row_number() OVER (PARTITION BY pool_name ORDER BY framedipaddress) AS run
      FROM radippool WHERE family(framedipaddress) = 4) r
GROUP BY pool, run ORDER BY pool, min(address)`
	sqlImportIPv6 = `SELECT pool_name::text, count(*) FROM radippool WHERE family(framedipaddress) = 6 GROUP BY 1 ORDER BY 1`

	// Runs of radippool that meet subnets of other pools of ours: $1 pools, $2 first, $3 last.
	sqlImportOverlaps = `
SELECT n.pool, n.first, n.last, p.name, s.network
FROM unnest($1::text[], $2::inet[], $3::inet[]) AS n (pool, first, last)
JOIN radial.subnets s ON s.vrf_id = 1 AND radial.inetrange(s.first, s.last, '[]') && radial.inetrange(n.first, n.last, '[]')
JOIN radial.pools p ON p.id = s.pool_id AND (p.name <> n.pool OR p.kind <> 'ipv4')
ORDER BY n.pool, n.first LIMIT 20`
	// Pools of these names: $1.
	sqlImportPools = `SELECT p.name, p.id, p.kind, p.description FROM radial.pools p WHERE p.vrf_id = 1 AND p.name = ANY ($1::text[])`
	// Rows of radippool for which a pool of ours of that name has no address: $1 pools.
	sqlImportOutside = `
SELECT r.pool_name::text, count(*), (array_agg(host(r.framedipaddress) ORDER BY r.framedipaddress))[1:3]
FROM radippool r
WHERE r.pool_name = ANY ($1::text[]) AND family(r.framedipaddress) = 4 AND NOT EXISTS (
    SELECT FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.vrf_id = 1 AND a.address = r.framedipaddress AND p.name = r.pool_name)
GROUP BY 1 ORDER BY 1`
)

// What the pools that an import makes are called, until all their leases are in
// (they give nothing before), and then.
const (
	importingPool = "being imported from radippool"
	importedPool  = "from radippool"
)

// maxImportSubnets bounds the runs of a pool that become subnets, or exclusions of
// one: a table with more holes is not what anybody wants to look at.
const maxImportSubnets = 500

// RadippoolPool is a pool of radippool.
type RadippoolPool struct {
	Name    string `json:"name"`
	There   bool   `json:"there"` // a pool of ours has the name: its leases are taken, it stays as it is
	Rows    int64  `json:"rows"`
	Leased  int64  `json:"leased"`
	Holders int64  `json:"holders"` // free, with a last holder

	Networks []string `json:"networks"` // to be made, in words

	// Of the pool after the import: to open sessions, and for the callers of leases
	// without one.
	Bound uint64 `json:"bound"`
	Kept  uint64 `json:"kept"`

	id      int64
	going   bool // an import of it was cut short
	subnets []SubnetSpec
	runs    []ipam.Range
}

// RadippoolPlan is what an import will do.
type RadippoolPlan struct {
	Pools []*RadippoolPool `json:"pools"`
	IPv6  []string         `json:"ipv6_pools"` // left out
	zone  string
}

// LookRadippool reads radippool and says what an import would make of it.
// networks are CIDRs of pools by their names: a pool then becomes one subnet for
// each, and what radippool lacks of it is excluded; other pools get a subnet for
// each run of addresses. All that is odd about the rows is one aaa.ErrInvalid.
func (db *DB) LookRadippool(ctx context.Context, networks map[string][]netip.Prefix) (*RadippoolPlan, error) {
	var there bool
	if err := db.pool.QueryRow(ctx, sqlImportThere).Scan(&there); err != nil {
		return nil, wrapErr("radippool", err)
	}
	if !there {
		return nil, fmt.Errorf("radippool: %w: there is no such table in this database", aaa.ErrNotFound)
	}
	if m, err := db.mirrorSettings(ctx); err != nil {
		return nil, wrapErr("radippool", err)
	} else if m.On {
		return nil, fmt.Errorf("radippool: %w: it is the mirror of Radial's own leases; what FreeRADIUS has done with it is taken by radial ip mirror take-back", aaa.ErrConflict)
	}
	p := &RadippoolPlan{Pools: []*RadippoolPool{}, IPv6: []string{}}
	odd, err := db.importOdd(ctx)
	if err != nil {
		return nil, wrapErr("radippool", err)
	}
	if len(odd) == 0 {
		if odd, err = db.importRuns(ctx, p, networks); err != nil {
			return nil, wrapErr("radippool", err)
		}
	}
	if len(odd) > 0 {
		return nil, fmt.Errorf("radippool: %w; nothing was done. Put right:\n%s", aaa.ErrInvalid, strings.Join(odd, "\n"))
	}
	return p, nil
}

// importOdd lists what is odd about single rows.
func (db *DB) importOdd(ctx context.Context) ([]string, error) {
	rows, err := db.pool.Query(ctx, sqlImportOdd)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var what string
		var n int64
		var examples []string
		err := row.Scan(&what, &n, &examples)
		return oddText(n, what, examples), err
	})
}

func oddText(n int64, what string, examples []string) string {
	text := strings.Join(examples, ", ")
	if n > int64(len(examples)) {
		text += ", …"
	}
	return fmt.Sprintf("  %d addresses %s: %s", n, what, text)
}

// importRuns fills the plan, and lists what does not fit with our pools.
func (db *DB) importRuns(ctx context.Context, p *RadippoolPlan, networks map[string][]netip.Prefix) (odd []string, err error) {
	if err := db.pool.QueryRow(ctx, sqlDatabaseZone).Scan(&p.zone); err != nil {
		return nil, err
	}
	rows, err := db.pool.Query(ctx, sqlImportRuns, p.zone)
	if err != nil {
		return nil, err
	}
	byName := map[string]*RadippoolPool{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var name string
		var run ipam.Range
		var n, live, holders int64
		if err := row.Scan(&name, &run.First, &run.Last, &n, &live, &holders); err != nil {
			return struct{}{}, err
		}
		pool := byName[name]
		if pool == nil {
			pool = &RadippoolPool{Name: name, Networks: []string{}}
			byName[name], p.Pools = pool, append(p.Pools, pool)
		}
		pool.Rows, pool.Leased, pool.Holders = pool.Rows+n, pool.Leased+live, pool.Holders+holders
		pool.runs = append(pool.runs, run)
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	if odd, err = db.importThere(ctx, byName); err != nil {
		return nil, err
	}
	for name := range networks {
		if byName[name] == nil {
			odd = append(odd, fmt.Sprintf("  radippool has no pool %q (of --pool)", name))
		}
	}
	for _, pool := range p.Pools {
		if pool.There && !pool.going {
			continue
		}
		if err := pool.plan(networks[pool.Name]); err != nil {
			odd = append(odd, "  "+err.Error())
		}
	}
	slices.Sort(odd)
	rows, err = db.pool.Query(ctx, sqlImportIPv6)
	if err != nil {
		return nil, err
	}
	p.IPv6, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (name string, err error) {
		var n int64
		return name, row.Scan(&name, &n)
	})
	return odd, err
}

// importThere finds the pools that are there already, and where others are in
// the way.
func (db *DB) importThere(ctx context.Context, byName map[string]*RadippoolPool) (odd []string, err error) {
	var names, owners []string
	var first, last []netip.Addr
	for name, p := range byName {
		names = append(names, name)
		for _, r := range p.runs {
			owners, first, last = append(owners, name), append(first, r.First), append(last, r.Last)
		}
	}
	rows, err := db.pool.Query(ctx, sqlImportPools, names)
	if err != nil {
		return nil, err
	}
	var name, kind, description string
	var id int64
	var whole []string
	_, err = pgx.ForEachRow(rows, []any{&name, &id, &kind, &description}, func() error {
		p := byName[name]
		p.There, p.id, p.going = true, id, description == importingPool
		if kind == ipam.IPv4.String() && !p.going {
			whole = append(whole, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err = db.pool.Query(ctx, sqlImportOverlaps, owners, first, last)
	if err != nil {
		return nil, err
	}
	var a, b netip.Addr
	var owner string
	var network netip.Prefix
	_, err = pgx.ForEachRow(rows, []any{&name, &a, &b, &owner, &network}, func() error {
		odd = append(odd, fmt.Sprintf("  %s of pool %q lies in %s of Radial's pool %q", ipam.Range{First: a, Last: b}, name, network, owner))
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err = db.pool.Query(ctx, sqlImportOutside, whole)
	if err != nil {
		return nil, err
	}
	var n int64
	var examples []string
	_, err = pgx.ForEachRow(rows, []any{&name, &n, &examples}, func() error {
		odd = append(odd, oddText(n, fmt.Sprintf("of pool %q are not in Radial's pool of that name", name), examples))
		return nil
	})
	return odd, err
}

// plan chooses the subnets of a pool.
func (p *RadippoolPool) plan(networks []netip.Prefix) error {
	if len(networks) == 0 {
		for _, r := range p.runs {
			p.subnets = append(p.subnets, subnetsOfRun(r)...)
		}
		if len(p.subnets) > maxImportSubnets {
			return fmt.Errorf("pool %q has %d runs of addresses: say --pool %s=CIDR, and what is lacking will be excluded", p.Name, len(p.subnets), p.Name)
		}
	}
	left := slices.Clone(p.runs)
	for _, n := range networks {
		left = ipam.Subtract(left, []ipam.Range{ipam.RangeOf(n)})
		s := SubnetSpec{Network: n}
		for _, hole := range ipam.Subtract([]ipam.Range{ipam.RangeOf(n)}, p.runs) {
			s.Exclusions = append(s.Exclusions, Exclusion{Range: hole, Reason: "not in radippool"})
		}
		if len(s.Exclusions) > maxImportSubnets {
			return fmt.Errorf("pool %q lacks %d runs of addresses of %s: choose smaller networks", p.Name, len(s.Exclusions), n)
		}
		p.subnets = append(p.subnets, s)
	}
	if len(networks) > 0 && len(left) > 0 {
		return fmt.Errorf("pool %q has addresses outside of its --pool networks: %s", p.Name, joinTexts(left[:min(len(left), 3)]))
	}
	var given uint64
	for i, s := range p.subnets {
		s, err := s.checked(ipam.IPv4, 32)
		if err != nil {
			return fmt.Errorf("pool %q: %w", p.Name, err)
		}
		p.subnets[i], given = s, given+s.plan().Capacity(32)
		p.Networks = append(p.Networks, s.text())
	}
	if given < uint64(p.Rows) {
		return fmt.Errorf("pool %q: network and broadcast addresses of its --pool networks are among its rows: Radial never gives these; choose other networks, or delete the rows", p.Name)
	}
	return nil
}

// subnetsOfRun is a run as a part of the smallest network around it. The
// network's own address and its broadcast address are never given: where
// radippool has them they are networks of their own.
func subnetsOfRun(r ipam.Range) (all []SubnetSpec) {
	bits := 32
	for !ipam.RangeOf(netip.PrefixFrom(r.First, bits)).Contains(r.Last) {
		bits--
	}
	network := netip.PrefixFrom(r.First, bits).Masked()
	if whole := ipam.RangeOf(network); bits < 31 {
		single := func(a netip.Addr) SubnetSpec { return SubnetSpec{Network: netip.PrefixFrom(a, 32)} }
		if r.First == whole.First {
			all, r.First = append(all, single(r.First)), r.First.Next()
		}
		if r.Last == whole.Last {
			all, r.Last = append(all, single(r.Last)), r.Last.Prev()
		}
	}
	return append(all, SubnetSpec{Network: network, Range: r})
}

// ImportRadippool makes the pools of the plan and takes over their leases, as
// judge has it. A new pool gives nothing until all its leases are in. Called
// again it goes on where it was cut short, and takes what has changed since.
// progress may be nil.
func (db *DB) ImportRadippool(ctx context.Context, c Change, p *RadippoolPlan, progress func(what string, done uint64)) (Taken, error) {
	if progress == nil {
		progress = func(string, uint64) {}
	}
	var ids []int64
	var names []string
	for _, pool := range p.Pools {
		if !pool.There || pool.going {
			if err := db.importPool(ctx, c, pool, progress); err != nil {
				return Taken{}, err
			}
		}
		ids, names = append(ids, pool.id), append(names, pool.Name)
	}
	t := &taking{db: db, zone: p.zone, reason: "radippool", actor: c.Actor}
	if err := t.run(ctx, ids, func(n uint64) { progress("leases", n) }); err != nil {
		return t.Taken, wrapErr("import radippool", err)
	}
	active, done := StatusActive, importedPool
	for _, pool := range p.Pools {
		if pool.going {
			if _, err := db.SetPool(ctx, Change{Actor: c.Actor, Action: "pool.set"}, 1, pool.Name, PoolChange{Status: &active, Description: &done}); err != nil {
				return t.Taken, wrapErr("import radippool", err)
			}
		}
		now, err := db.PoolByName(ctx, pool.Name)
		if err != nil {
			return t.Taken, wrapErr("import radippool", err)
		}
		pool.Bound, pool.Kept = now.Bound, now.Offered+now.Cooling
	}
	audit := t.audit()
	audit["pools"] = names
	return t.Taken, db.NoteChange(ctx, c, "radippool", audit)
}

// importPool makes a pool that gives nothing yet, or finishes it.
func (db *DB) importPool(ctx context.Context, c Change, pool *RadippoolPool, progress func(string, uint64)) error {
	spec := PoolSpec{Name: pool.Name, VRF: 1, Subnets: pool.subnets, PoolSettings: PoolSettings{Status: StatusInactive, Description: importingPool}}
	spec.anyName, spec.Large, spec.Progress = true, true, func(done, _ uint64) { progress("addresses of "+pool.Name, done) }
	_, err := db.AddPool(ctx, Change{Actor: c.Actor, Action: "pool.add"}, spec)
	if err != nil && !(pool.going && errors.Is(err, aaa.ErrConflict)) { // all its rows are there
		return err
	}
	made, err := db.FindPool(ctx, 1, pool.Name)
	if err != nil {
		return err
	}
	pool.id, pool.going = made.ID, true
	return nil
}
