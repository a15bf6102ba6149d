package store

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// $1 a name or "" for all, $2 a VRF or 0 for all.
const sqlPools = `
SELECT p.id, p.name, p.vrf_id, p.kind, p.prefix_length, p.description, p.status, p.type, p.dns, coalesce(p.vlan, 0), p.sticky, p.interface_id,
       p.offer_time, p.lease_time, p.cooling_time, p.fallback, p.created_at, p.updated_at
FROM radial.pools p WHERE ($1::text = '' OR p.name = $1::text) AND ($2::int = 0 OR p.vrf_id = $2::int)
ORDER BY p.name, p.vrf_id`

// Pool is a pool with its subnets, and how its addresses are used at the
// moment.
type Pool struct {
	PoolSettings
	ID        int64
	Name      string
	VRF       int32
	Kind      ipam.Kind
	CreatedAt time.Time
	UpdatedAt time.Time
	Networks  []netip.Prefix // of its subnets, each once
	Subnets   []Subnet
	Use
}

// networks lists the pool's subnets for people.
func (p Pool) networks() string {
	texts := make([]string, len(p.Subnets))
	for i, s := range p.Subnets {
		texts[i] = s.text()
	}
	return strings.Join(texts, ", ")
}

// Pools lists all pools with the use of their addresses, by name.
func (db *DB) Pools(ctx context.Context) ([]Pool, error) {
	pools, err := readPools(ctx, db.pool, "", 0)
	if err == nil {
		err = attachSubnets(ctx, db.pool, pools, true)
	}
	return pools, wrapErr("pools", err)
}

// PoolByName returns the pool of that name, or aaa.ErrNotFound; where several VRFs
// have one, that of the lowest VRF (the default VRF is 1).
func (db *DB) PoolByName(ctx context.Context, name string) (Pool, error) {
	pools, err := readPools(ctx, db.pool, storableText(name), 0)
	if err == nil && len(pools) == 0 || name == "" {
		err = aaa.ErrNotFound
	}
	if err == nil {
		pools = pools[:1]
		err = attachSubnets(ctx, db.pool, pools, true)
	}
	if err != nil {
		return Pool{}, wrapErr(fmt.Sprintf("pool %q", name), err)
	}
	return pools[0], nil
}

// FindPool returns the pool of that name in a VRF, without counting its
// addresses. VRF 0 is for the only pool of the name: one that several VRFs have
// is aaa.ErrInvalid. None is aaa.ErrNotFound.
func (db *DB) FindPool(ctx context.Context, vrf int32, name string) (Pool, error) {
	p, err := findPool(ctx, db.pool, vrf, name)
	return p, wrapErr(fmt.Sprintf("pool %q", name), err)
}

func findPool(ctx context.Context, q querier, vrf int32, name string) (Pool, error) {
	if name == "" {
		return Pool{}, aaa.ErrNotFound
	}
	pools, err := readPools(ctx, q, storableText(name), vrf)
	switch {
	case err != nil:
		return Pool{}, err
	case len(pools) == 0:
		return Pool{}, aaa.ErrNotFound
	case len(pools) > 1:
		return Pool{}, fmt.Errorf("several VRFs have a pool of that name; say which with --vrf: %w", aaa.ErrInvalid)
	}
	if err := attachSubnets(ctx, q, pools, false); err != nil {
		return Pool{}, err
	}
	return pools[0], nil
}

// PoolUse counts a pool's leases and those that are free now, for
// aaa.PoolReader; what no number of 63 bits holds is the highest that it does.
func (db *DB) PoolUse(ctx context.Context, vrf int32, name string) (total, free int64, err error) {
	pools, err := readPools(ctx, db.pool, storableText(name), vrf)
	if err == nil && len(pools) == 0 || name == "" {
		return 0, 0, ipam.ErrPoolUnknown
	}
	if err == nil {
		err = attachSubnets(ctx, db.pool, pools, true)
	}
	if err != nil {
		return 0, 0, wrapErr("pool use", err)
	}
	return int64(min(pools[0].Total, math.MaxInt64)), int64(min(pools[0].Free, math.MaxInt64)), nil
}

// readPools reads pools without their subnets.
func readPools(ctx context.Context, q querier, name string, vrf int32) ([]Pool, error) {
	rows, err := q.Query(ctx, sqlPools, name, vrf)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPool)
}

func scanPool(row pgx.CollectableRow) (Pool, error) {
	var p Pool
	var kind string
	err := row.Scan(&p.ID, &p.Name, &p.VRF, &kind, &p.PrefixLength, &p.Description, &p.Status, &p.Type, &p.DNS, &p.VLAN, &p.Sticky, &p.InterfaceID,
		&p.OfferTime, &p.LeaseTime, &p.CoolingTime, &p.Fallback, &p.CreatedAt, &p.UpdatedAt)
	p.Kind, _ = ipam.ParseKind(kind) // the column's CHECK allows nothing else
	return p, err
}

// attachSubnets reads the subnets of pools, and counts their addresses if asked.
func attachSubnets(ctx context.Context, q querier, pools []Pool, count bool) error {
	ids, at := make([]int64, len(pools)), make(map[int64]*Pool, len(pools))
	for i := range pools {
		ids[i], at[pools[i].ID] = pools[i].ID, &pools[i]
	}
	all, err := readSubnets(ctx, q, ids, 0)
	if err == nil && count {
		err = countUse(ctx, q, all)
	}
	if err != nil {
		return err
	}
	for _, s := range all {
		p := at[s.PoolID]
		p.Subnets, p.Use = append(p.Subnets, s), p.plus(s.Use)
		if n := len(p.Networks); n == 0 || p.Networks[n-1] != s.Network {
			p.Networks = append(p.Networks, s.Network)
		}
	}
	return nil
}
