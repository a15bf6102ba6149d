package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// Subnets with their exclusions, and the gateways of other subnets that lie in
	// their runs. $1 pools (NULL: all), $2 a subnet (0: all).
	sqlSubnets = `
SELECT s.id, s.pool_id, p.name, s.vrf_id, p.kind, p.prefix_length, s.network, s.first, s.last, s.gateway, coalesce(s.vlan, 0), s.description, s.status,
       s.overlap, s.created_at, s.updated_at,
       array(SELECT x.first FROM radial.exclusions x WHERE x.subnet_id = s.id ORDER BY x.first, x.id),
       array(SELECT x.last FROM radial.exclusions x WHERE x.subnet_id = s.id ORDER BY x.first, x.id),
       array(SELECT x.reason FROM radial.exclusions x WHERE x.subnet_id = s.id ORDER BY x.first, x.id),
       array(SELECT o.gateway FROM radial.subnets o WHERE o.vrf_id = s.vrf_id AND o.id <> s.id AND o.gateway BETWEEN s.first AND s.last)
FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
WHERE ($1::bigint[] IS NULL OR s.pool_id = ANY ($1::bigint[])) AND ($2::bigint = 0 OR s.id = $2::bigint)
ORDER BY s.vrf_id, s.network, s.first`

	// Rows of subnets by state. Of prefixes, the first is lower than its own first
	// address: set_masklen.
	sqlSubnetUse = `
SELECT s.id, c.*
FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.state = 'free' OR a.state IN ('offered', 'cooling') AND a.until <= now()) AS free,
           count(*) FILTER (WHERE a.state = 'offered' AND a.until > now()) AS offered,
           count(*) FILTER (WHERE a.state = 'bound') AS bound,
           count(*) FILTER (WHERE a.state = 'reserved') AS reserved,
           count(*) FILTER (WHERE a.state = 'cooling' AND (a.until > now() OR a.until IS NULL)) AS cooling
    FROM radial.addresses a
    WHERE a.vrf_id = s.vrf_id AND a.subnet_id = s.id AND a.address >= set_masklen(s.first, p.prefix_length) AND a.address <= s.last) c
WHERE s.id = ANY ($1::bigint[])`

	sqlGatewayAt = `
SELECT p.name, n.network FROM radial.subnets n JOIN radial.pools p ON p.id = n.pool_id WHERE n.gateway = $1::inet ORDER BY n.vrf_id, n.id LIMIT 1`
)

// Subnets lists the subnets of a pool, or of all pools for 0, with the use of
// their addresses, by VRF and network.
func (db *DB) Subnets(ctx context.Context, pool int64) ([]Subnet, error) {
	var pools []int64
	if pool != 0 {
		pools = []int64{pool}
	}
	all, err := readSubnets(ctx, db.pool, pools, 0)
	if err == nil {
		err = countUse(ctx, db.pool, all)
	}
	return all, wrapErr("subnets", err)
}

// SubnetUse returns a subnet with the use of its addresses.
func (db *DB) SubnetUse(ctx context.Context, s Subnet) (Subnet, error) {
	all := []Subnet{s}
	err := countUse(ctx, db.pool, all)
	return all[0], wrapErr("subnet "+s.Network.String(), err)
}

// subnetsOf lists the subnets of a pool without counting.
func (db *DB) subnetsOf(ctx context.Context, pool int64) ([]Subnet, error) {
	return readSubnets(ctx, db.pool, []int64{pool}, 0)
}

// FindSubnet returns the subnet that a text names, without counting its
// addresses: a network, or its range like 10.0.0.10-10.0.0.200. VRF 0 and pool ""
// mean any. None is aaa.ErrNotFound, several are aaa.ErrInvalid, with what tells
// them apart.
func (db *DB) FindSubnet(ctx context.Context, vrf int32, pool, text string) (Subnet, error) {
	want, err := ipam.ParseRange(text)
	if err != nil {
		return Subnet{}, fmt.Errorf("subnet %w: %w", err, aaa.ErrInvalid)
	}
	all, err := readSubnets(ctx, db.pool, nil, 0)
	if err != nil {
		return Subnet{}, wrapErr("subnet "+text, err)
	}
	var found []Subnet
	for _, s := range all {
		if (vrf == 0 || s.VRF == vrf) && (pool == "" || s.Pool == pool) && (s.Range == want || ipam.RangeOf(s.Network) == want) {
			found = append(found, s)
		}
	}
	if len(found) > 1 && strings.Contains(text, "-") { // a range that is all of a network, which has other parts
		found = slices.DeleteFunc(found, func(s Subnet) bool { return s.Range != want })
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if pool != "" {
			return Subnet{}, fmt.Errorf("subnet %s of pool %q: %w", text, pool, aaa.ErrNotFound)
		}
		return Subnet{}, fmt.Errorf("subnet %s: %w", text, aaa.ErrNotFound)
	}
	return Subnet{}, fmt.Errorf("subnet %s: %s: %w", text, apart(found), aaa.ErrInvalid)
}

// apart says what tells subnets apart: their VRFs, else their pools, else the
// ranges that they give.
func apart(found []Subnet) string {
	var pools, ranges []string
	for _, s := range found {
		if s.VRF != found[0].VRF {
			return "several VRFs have it; say which with --vrf"
		}
		if name := strconv.Quote(s.Pool); !slices.Contains(pools, name) {
			pools = append(pools, name)
		}
		ranges = append(ranges, s.Range.String())
	}
	if slices.Sort(pools); len(pools) > 1 {
		return "pools " + someOf(pools) + " have it; say which with --pool"
	}
	return "its parts are " + someOf(ranges) + "; say which range"
}

// someOf names the first five of some.
func someOf(names []string) string {
	const most = 5
	more := ""
	if n := len(names); n > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(names, ", ") + more
}

func readSubnets(ctx context.Context, q querier, pools []int64, id int64) ([]Subnet, error) {
	rows, err := q.Query(ctx, sqlSubnets, pools, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSubnet)
}

func scanSubnet(row pgx.CollectableRow) (Subnet, error) {
	var s Subnet
	var kind string
	var gateway *netip.Addr
	var firsts, lasts []netip.Addr
	var reasons []string
	err := row.Scan(&s.ID, &s.PoolID, &s.Pool, &s.VRF, &kind, &s.PrefixLength, &s.Network, &s.Range.First, &s.Range.Last, &gateway, &s.VLAN, &s.Description,
		&s.Status, &s.Overlap, &s.CreatedAt, &s.UpdatedAt, &firsts, &lasts, &reasons, &s.others)
	if err != nil {
		return s, err
	}
	s.Kind, _ = ipam.ParseKind(kind) // the column's CHECK allows nothing else
	if gateway != nil {
		s.Gateway = *gateway
	}
	for i := range firsts {
		s.Exclusions = append(s.Exclusions, Exclusion{Range: ipam.Range{First: firsts[i], Last: lasts[i]}, Reason: reasons[i]})
	}
	return s, nil
}

// GatewayAt names the pool and the network that an address is the gateway of, in
// whichever VRF; of none it is aaa.ErrNotFound.
func (db *DB) GatewayAt(ctx context.Context, addr netip.Addr) (pool string, network netip.Prefix, err error) {
	err = db.pool.QueryRow(ctx, sqlGatewayAt, addr).Scan(&pool, &network)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", network, fmt.Errorf("gateway %s: %w", addr, aaa.ErrNotFound)
	}
	return pool, network, wrapErr("gateway "+addr.String(), err)
}

// Unmade is how many addresses of the subnet have no row, and cannot be given,
// since the making of rows goes on or was cut short. The subnet's use must have
// been counted. 0 where there need not be a row: of IPv6, and where others overlap.
func (s Subnet) Unmade() uint64 {
	if s.Kind.Sparse() || s.Overlap {
		return 0
	}
	var size uint64
	for _, r := range s.runs() {
		size += r.Size()
	}
	return size - min(size, s.Use.Total)
}

// runs is what the pool gives of the subnet: a gateway is never given, whoever's
// it is.
func (s Subnet) runs() []ipam.Range { return s.plan(s.others...).Runs(s.PrefixLength) }

// countUse counts the rows of subnets.
func countUse(ctx context.Context, q querier, subnets []Subnet) error {
	ids, at := make([]int64, len(subnets)), make(map[int64]*Subnet, len(subnets))
	for i := range subnets {
		ids[i], at[subnets[i].ID] = subnets[i].ID, &subnets[i]
	}
	rows, err := q.Query(ctx, sqlSubnetUse, ids)
	if err != nil {
		return err
	}
	var id int64
	var u Use
	_, err = pgx.ForEachRow(rows, []any{&id, &u.Free, &u.Offered, &u.Bound, &u.Reserved, &u.Cooling}, func() error {
		s := at[id]
		if s.Use = u; !s.Kind.Sparse() {
			s.Total = u.Free + u.Held()
			return nil
		}
		s.Total = 0
		for _, r := range s.runs() {
			s.Total = ipam.AddLeases(s.Total, r.Leases(s.PrefixLength))
		}
		s.Free = s.Total - min(s.Total, u.Held())
		return nil
	})
	return err
}
