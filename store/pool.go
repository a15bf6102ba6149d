package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// Makers of pools, one at a time: two could overlap without seeing each other.
	sqlPoolLock = `SELECT pg_advisory_xact_lock($1::bigint)`

	sqlPoolOverlaps = `
SELECT n.network, s.network, p.name
FROM unnest($2::cidr[]) AS n (network)
JOIN radial.subnets s ON s.network && n.network
JOIN radial.pools p ON p.id = s.pool_id
WHERE s.vrf_id = $1::int ORDER BY n.network, s.network LIMIT 1`

	sqlPoolInsert = `
INSERT INTO radial.pools (vrf_id, name, description, offer_time, lease_time)
VALUES ($1::int, $2::text, $3::text, $4::interval, $5::interval) RETURNING id`

	sqlSubnetInsert = `
INSERT INTO radial.subnets (pool_id, vrf_id, network, gateway, first, last)
VALUES ($1::bigint, $2::int, $3::cidr, $4::inet, host($3::cidr)::inet, host(broadcast($3::cidr))::inet) RETURNING id`

	// A run of rows: $4 the first address, $5 how many.
	sqlAddressesInsert = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
SELECT $1::int, $4::inet + g, $2::bigint, $3::bigint FROM generate_series(0, $5::bigint - 1) AS g
ON CONFLICT (vrf_id, address) DO NOTHING`

	// How far the making of a subnet's rows got.
	sqlPoolSubnets = `
SELECT s.id, s.network, s.gateway, (
    SELECT a.address FROM radial.addresses a
    WHERE a.vrf_id = s.vrf_id AND a.address BETWEEN host(s.network)::inet AND host(broadcast(s.network))::inet
    ORDER BY a.address DESC LIMIT 1)
FROM radial.subnets s WHERE s.pool_id = $1::bigint ORDER BY s.network`

	sqlPoolColumns = `
SELECT p.id, p.name, p.vrf_id, p.description, p.status, p.offer_time, p.lease_time, p.created_at,
       array(SELECT s.network FROM radial.subnets s WHERE s.pool_id = p.id ORDER BY s.network),
       coalesce(c.free, 0), coalesce(c.offered, 0), coalesce(c.bound, 0), coalesce(c.reserved, 0)
FROM radial.pools p
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.state = 'free' OR a.state = 'offered' AND a.until <= now()) AS free,
           count(*) FILTER (WHERE a.state = 'offered' AND a.until > now()) AS offered,
           count(*) FILTER (WHERE a.state = 'bound') AS bound,
           count(*) FILTER (WHERE a.state = 'reserved') AS reserved
    FROM radial.subnets s JOIN radial.addresses a ON a.vrf_id = s.vrf_id AND a.subnet_id = s.id
         AND a.address >= host(s.network)::inet AND a.address <= host(broadcast(s.network))::inet
    WHERE s.pool_id = p.id) c ON true`
	sqlPoolList = sqlPoolColumns + ` ORDER BY p.name, p.vrf_id`
	sqlPoolGet  = sqlPoolColumns + ` WHERE p.name = $1::text AND ($2::int = 0 OR p.vrf_id = $2::int) ORDER BY p.vrf_id`

	// Counted under locks: claims that are under way are waited for, new ones
	// skip what is locked.
	sqlPoolLeased = `
SELECT count(*) FILTER (WHERE l.state IN ('bound', 'reserved') OR l.state = 'offered' AND l.until > now())
FROM (SELECT a.state, a.until FROM radial.addresses a WHERE a.pool_id = $1::bigint ORDER BY a.vrf_id, a.address FOR UPDATE) l`

	sqlPoolDelete = `DELETE FROM radial.pools WHERE id = $1::bigint`
)

// poolLock is the key of the advisory lock of who makes or deletes a pool:
// "rad pool".
const poolLock int64 = 0x72616420706f6f6c

const (
	addressChunk = 65_536
	// LargePool is the number of addresses above which a pool must be asked for
	// as a large one.
	LargePool = 1 << 20
	// What an address row costs, with its indexes, and how many are made in a
	// second: measured on two cores, for what people are told before they begin.
	addressRowBytes   = 190
	addressRowsPerSec = 50_000
)

// PoolSpec describes a pool to be made. Zero times mean the defaults (2 minutes
// and 1 hour), VRF 0 the default VRF.
type PoolSpec struct {
	Name        string
	Description string
	VRF         int32
	CIDRs       []netip.Prefix // IPv4
	Gateway     netip.Addr     // never given; within one of CIDRs, or invalid for none
	OfferTime   time.Duration  // life of an offer that no Start follows
	LeaseTime   time.Duration  // life of a binding without interims
	Large       bool           // more than LargePool addresses are meant
	// Progress hears how many rows are made of how many. May be nil.
	Progress func(done, total uint64)
}

// Pool is a pool and how its addresses are used at the moment.
type Pool struct {
	ID          int64
	Name        string
	VRF         int32
	Description string
	Status      string // active, draining (no new leases) or inactive
	OfferTime   time.Duration
	LeaseTime   time.Duration
	CreatedAt   time.Time
	Networks    []netip.Prefix

	Free, Offered, Bound, Reserved int64
}

// Total is the number of addresses that the pool has.
func (p Pool) Total() int64 { return p.Free + p.Offered + p.Bound + p.Reserved }

// CreatePool makes a pool. Its rows come in chunks, each usable at once, so a
// call that is cut short leaves a smaller pool; the same call again finishes
// it. Before it gives any, the addresses of open sessions are bound
// (BindOpenSessions). Errors: aaa.ErrInvalid naming what would be right;
// aaa.ErrConflict for a name that is taken by a pool with other networks, or
// networks that overlap, naming which.
func (db *DB) CreatePool(ctx context.Context, spec PoolSpec) error {
	spec, total, err := checkPool(spec)
	if err != nil {
		return fmt.Errorf("pool %q: %w: %w", spec.Name, aaa.ErrInvalid, err)
	}
	op := fmt.Sprintf("create pool %q", spec.Name)
	id, err := db.insertPool(ctx, spec)
	if err != nil {
		return wrapErr(op, err)
	}
	if err := db.fillPool(ctx, spec, id, total); err != nil {
		return wrapErr(op, err)
	}
	// A session may have started between a chunk's look at radacct and its commit.
	_, err = db.BindOpenSessions(ctx)
	return wrapErr(op, err)
}

// checkPool sets defaults and finds what is wrong.
func checkPool(spec PoolSpec) (PoolSpec, uint64, error) {
	if spec.VRF == 0 {
		spec.VRF = 1
	}
	if spec.OfferTime == 0 {
		spec.OfferTime = 2 * time.Minute
	}
	if spec.LeaseTime == 0 {
		spec.LeaseTime = time.Hour
	}
	if spec.Progress == nil {
		spec.Progress = func(uint64, uint64) {}
	}
	spec.Gateway = spec.Gateway.Unmap()
	switch {
	case spec.Name == "" || len(spec.Name) > 100 || spec.Name != strings.TrimSpace(spec.Name) || storableText(spec.Name) != spec.Name:
		return spec, 0, errors.New("want a name of 1 to 100 characters without blanks around")
	case len(spec.CIDRs) == 0:
		return spec, 0, errors.New("no network; want at least one CIDR like 100.64.0.0/16")
	case spec.OfferTime < 0 || spec.LeaseTime < 0:
		return spec, 0, fmt.Errorf("offer time %s, lease time %s: want both over zero", spec.OfferTime, spec.LeaseTime)
	}
	var total uint64
	held := !spec.Gateway.IsValid()
	for i, c := range spec.CIDRs {
		for _, other := range spec.CIDRs[:i] {
			if c.Overlaps(other) {
				return spec, 0, fmt.Errorf("networks %s and %s overlap", other, c)
			}
		}
		if c.Addr().Is6() {
			return spec, 0, fmt.Errorf("network %s: want an IPv4 CIDR like 100.64.0.0/16; IPv6 is for pools of another kind", c)
		}
		s, err := ipam.Subnet{Network: c}.Checked(32)
		if err != nil {
			return spec, 0, err
		}
		s.Gateway = spec.Gateway
		total += s.Capacity(32)
		held = held || c.Contains(spec.Gateway)
	}
	if !held {
		return spec, 0, fmt.Errorf("gateway %s lies in none of the networks", spec.Gateway)
	}
	if total == 0 {
		return spec, 0, errors.New("the networks hold no address that could be given")
	}
	if total > LargePool && !spec.Large {
		return spec, 0, fmt.Errorf("%d addresses would take about %s and %d MB; say --large if that is meant, or choose a smaller CIDR",
			total, (time.Duration(total/addressRowsPerSec) * time.Second).String(), total*addressRowBytes>>20)
	}
	return spec, total, nil
}

// insertPool makes the rows of the pool and its subnets, or finds those of a
// call that was cut short.
func (db *DB) insertPool(ctx context.Context, spec PoolSpec) (id int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPoolLock, poolLock); err != nil {
			return err
		}
		if id, err = samePool(ctx, tx, spec); id != 0 || err != nil {
			return err
		}
		var asked, there netip.Prefix
		var owner string
		err := tx.QueryRow(ctx, sqlPoolOverlaps, spec.VRF, spec.CIDRs).Scan(&asked, &there, &owner)
		if err == nil {
			return fmt.Errorf("%w: network %s overlaps %s of pool %q", aaa.ErrConflict, asked, there, owner)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := tx.QueryRow(ctx, sqlPoolInsert, spec.VRF, spec.Name, spec.Description, spec.OfferTime, spec.LeaseTime).Scan(&id); err != nil {
			return err
		}
		for _, c := range spec.CIDRs {
			var subnet int64
			gateway := spec.Gateway
			if !c.Contains(gateway) {
				gateway = netip.Addr{}
			}
			if err := tx.QueryRow(ctx, sqlSubnetInsert, id, spec.VRF, c, orNull(gateway)).Scan(&subnet); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// samePool returns the id of a pool of that name whose rows are not all there
// and whose networks are the same; 0 when the name is free.
func samePool(ctx context.Context, tx pgx.Tx, spec PoolSpec) (int64, error) {
	rows, err := tx.Query(ctx, sqlPoolGet, spec.Name, spec.VRF)
	if err != nil {
		return 0, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanPool)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var want uint64
	same := len(p.Networks) == len(spec.CIDRs)
	for _, c := range spec.CIDRs {
		want += ipam.Subnet{Network: c, Gateway: spec.Gateway}.Capacity(32)
		same = same && containsPrefix(p.Networks, c)
	}
	if !same || uint64(p.Total()) >= want {
		return 0, fmt.Errorf("%w: there is a pool of that name, with %s", aaa.ErrConflict, joinPrefixes(p.Networks))
	}
	return p.ID, nil
}

func containsPrefix(list []netip.Prefix, p netip.Prefix) bool {
	for _, x := range list {
		if x == p {
			return true
		}
	}
	return false
}

func joinPrefixes(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

// fillPool makes the address rows, chunk by chunk. Each chunk is one
// transaction with the binding of its open sessions, so that no address of a
// living session is ever seen as free.
func (db *DB) fillPool(ctx context.Context, spec PoolSpec, id int64, total uint64) error {
	rows, err := db.pool.Query(ctx, sqlPoolSubnets, id)
	if err != nil {
		return err
	}
	type subnet struct {
		id      int64
		network netip.Prefix
		gateway *netip.Addr
		last    *netip.Addr // the last row that is there already
	}
	subnets, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s subnet, err error) {
		return s, row.Scan(&s.id, &s.network, &s.gateway, &s.last)
	})
	if err != nil {
		return err
	}
	escaper, err := db.Escaper(ctx)
	if err != nil {
		return err
	}
	var done uint64
	for _, s := range subnets {
		var gateway netip.Addr
		if s.gateway != nil {
			gateway = *s.gateway
		}
		for _, run := range (ipam.Subnet{Network: s.network, Gateway: gateway}).Runs(32) {
			for chunk := range run.Chunks(addressChunk) {
				if s.last == nil || s.last.Less(chunk.Last) {
					if err := db.fillChunk(ctx, escaper, spec.VRF, id, s.id, chunk); err != nil {
						return err
					}
				}
				done += chunk.Size()
				spec.Progress(done, total)
			}
		}
	}
	return nil
}

func (db *DB) fillChunk(ctx context.Context, escaper Escaper, vrf int32, pool, subnet int64, chunk ipam.Range) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlAddressesInsert, vrf, pool, subnet, chunk.First, chunk.Size()); err != nil {
			return err
		}
		_, err := bindOpen(ctx, tx, escaper, db.now(), vrf, chunk)
		return err
	})
}
