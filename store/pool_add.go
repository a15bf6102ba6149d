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
	"github.com/jackc/pgx/v5/pgconn"

	"radial/aaa"
	"radial/ipam"
)

const (
	sqlPoolInsert = `
INSERT INTO radial.pools (vrf_id, name, kind, prefix_length, description, status, type, dns, vlan, sticky, interface_id, offer_time, lease_time, cooling_time, fallback)
VALUES ($1::int, $2::text, $3::text, $4::smallint, $5::text, $6::text, $7::text, $8::inet[], nullif($9::int, 0), $10::text, $11::text,
        $12::interval, $13::interval, $14::interval, $15::text[]) RETURNING id`

	sqlSubnetInsert = `
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last, gateway, vlan, description, status, overlap)
SELECT p.id, p.vrf_id, $2::cidr, $3::inet, $4::inet, $5::inet, nullif($6::int, 0), $7::text, $8::text, $9::bool
FROM radial.pools p WHERE p.id = $1::bigint RETURNING id`

	// $2 firsts, $3 lasts, $4 reasons.
	sqlExclusionsInsert = `
INSERT INTO radial.exclusions (subnet_id, first, last, reason)
SELECT $1::bigint, x.first, x.last, x.reason FROM unnest($2::inet[], $3::inet[], $4::text[]) AS x (first, last, reason)`

	// Subnets of a VRF with addresses of a run: $1 VRF, $2 first, $3 last, $4 but not this one.
	sqlSubnetOverlaps = `
SELECT s.network, s.first, s.last, p.name
FROM radial.subnets s JOIN radial.pools p ON p.id = s.pool_id
WHERE s.vrf_id = $1::int AND s.first <= $3::inet AND s.last >= $2::inet AND s.id <> $4::bigint
ORDER BY s.network, s.first`

	// Pools of a VRF by name, for fallback lists: $2 names.
	sqlPoolKinds = `SELECT p.name, p.kind FROM radial.pools p WHERE p.vrf_id = $1::int AND p.name = ANY ($2::text[])`
)

// CreatePool is AddPool by the server itself.
func (db *DB) CreatePool(ctx context.Context, spec PoolSpec) error {
	_, err := db.AddPool(ctx, Change{Actor: "radial", Action: "pool.add"}, spec)
	return err
}

// AddPool makes a pool. Pool, subnets and audit are one transaction. The rows
// of IPv4 addresses come after it in chunks, each usable at once, so that a call
// that is cut short leaves a smaller pool; the same call again finishes it. The
// addresses of open sessions are bound and subscribers' own are reserved before
// any of them is given. Errors: aaa.ErrInvalid naming what would be right;
// aaa.ErrConflict for a name that is taken by a pool with other networks, or
// networks that overlap, naming which.
func (db *DB) AddPool(ctx context.Context, c Change, spec PoolSpec) (Made, error) {
	op := fmt.Sprintf("create pool %q", spec.Name)
	spec, total, err := spec.checked()
	if err == nil && !spec.anyName {
		err = checkNewPoolName(spec.Name)
	}
	if err != nil {
		return Made{}, fmt.Errorf("pool %q: %w: %w", spec.Name, aaa.ErrInvalid, err)
	}
	made := Made{Addresses: total}
	o, err := db.adopter(ctx)
	if err != nil {
		return Made{}, wrapErr(op, err)
	}
	var id int64
	err = db.change(ctx, c, spec.Name, func(tx pgx.Tx) (w written, err error) {
		id, w, err = o.insertPool(ctx, tx, &spec, &made)
		return w, err
	})
	if err != nil {
		return Made{}, wrapErr(op, db.namedOverlap(ctx, err, spec.VRF, spec.Subnets, 0))
	}
	if c.DryRun || spec.Kind.Sparse() {
		return made, nil
	}
	subnets, err := db.subnetsOf(ctx, id)
	if err != nil {
		return made, wrapErr(op, err)
	}
	made.LeftOut, err = db.fill(ctx, subnets, spec.Progress)
	return made, wrapErr(op, err)
}

// insertPool makes the rows of the pool and its subnets, or finds those of a
// call that was cut short; then nothing is written.
func (o adopter) insertPool(ctx context.Context, tx pgx.Tx, spec *PoolSpec, made *Made) (id int64, w written, err error) {
	if spec.VRFName != "" {
		err := tx.QueryRow(ctx, sqlVRFGet, spec.VRFName).Scan(&spec.VRF)
		if made.NewVRF = errors.Is(err, pgx.ErrNoRows); err != nil && !made.NewVRF {
			return 0, w, err
		}
		if spec.VRF, err = makeVRF(ctx, tx, spec.VRFName); err != nil {
			return 0, w, err
		}
	}
	if id, err = samePool(ctx, tx, *spec); id != 0 || err != nil {
		return id, w, err
	}
	if made.Missing, err = missingFallback(ctx, tx, spec.VRF, spec.Kind, spec.Fallback); err != nil {
		return 0, w, err
	}
	err = tx.QueryRow(ctx, sqlPoolInsert, spec.VRF, spec.Name, spec.Kind.String(), spec.PrefixLength, spec.Description, spec.Status, spec.Type,
		spec.DNS, spec.VLAN, spec.Sticky, spec.InterfaceID, spec.OfferTime, spec.LeaseTime, spec.CoolingTime, spec.Fallback).Scan(&id)
	if err != nil {
		return 0, w, err
	}
	nets, gateways, excluded := make([]string, len(spec.Subnets)), []string{}, []string{}
	for i, s := range spec.Subnets {
		at := Pool{PoolSettings: spec.PoolSettings, ID: id, VRF: spec.VRF, Kind: spec.Kind}
		if _, err := o.insertSubnet(ctx, tx, at, s, spec.AllowOverlap); err != nil {
			return 0, w, err
		}
		nets[i] = s.text()
		if s.Gateway.IsValid() {
			gateways = append(gateways, s.Gateway.String())
		}
		if len(s.Exclusions) > 0 {
			excluded = append(excluded, s.excluded())
		}
	}
	made.Audit = changedFields(nil, spec.PoolSettings.fields())
	made.Audit["kind"], made.Audit["networks"], made.Audit["vrf"] = spec.Kind.String(), nets, spec.VRF
	if len(gateways) > 0 {
		made.Audit["gateway"] = strings.Join(gateways, ", ")
	}
	if len(excluded) > 0 {
		made.Audit["exclusions"] = strings.Join(excluded, ", ")
	}
	if spec.VRFName != "" {
		made.Audit["vrf"] = spec.VRFName
	}
	return id, written{audit: made.Audit}, nil
}

// insertSubnet makes the row of a subnet and its exclusions.
func (o adopter) insertSubnet(ctx context.Context, tx pgx.Tx, p Pool, s SubnetSpec, allowOverlap bool) (id int64, err error) {
	overlap, err := mayOverlap(ctx, tx, p.VRF, p.Kind, s, 0, allowOverlap)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, sqlSubnetInsert, p.ID, s.Network, s.Range.First, s.Range.Last, orNull(s.Gateway), s.VLAN, s.Description, s.Status, overlap).Scan(&id)
	if err != nil {
		return 0, err
	}
	if err := insertExclusions(ctx, tx, id, s.Exclusions); err != nil {
		return 0, err
	}
	if p.Kind.Sparse() { // others have no rows yet
		at := Subnet{SubnetSpec: s, ID: id, VRF: p.VRF, Kind: p.Kind, PrefixLength: p.PrefixLength}
		if err := o.adopt(ctx, tx, at, s.Range); err != nil {
			return 0, err
		}
	}
	return id, clearGateway(ctx, tx, p.VRF, id, s.Gateway)
}

func insertExclusions(ctx context.Context, tx pgx.Tx, subnet int64, all []Exclusion) error {
	if len(all) == 0 {
		return nil
	}
	firsts, lasts, reasons := make([]netip.Addr, len(all)), make([]netip.Addr, len(all)), make([]string, len(all))
	for i, x := range all {
		firsts[i], lasts[i], reasons[i] = x.Range.First, x.Range.Last, x.Reason
	}
	_, err := tx.Exec(ctx, sqlExclusionsInsert, subnet, firsts, lasts, reasons)
	return err
}

// mayOverlap tells whether a subnet overlaps others and may. Those who make
// subnets of one VRF do so one after another: the table's exclusion constraint,
// which refuses what psql would write, puts rows there before it looks, so that
// many at once wait for each other in a ring. IPv6 never may: its leases have no
// rows beforehand, and prefixes of several lengths are different rows.
func mayOverlap(ctx context.Context, tx pgx.Tx, vrf int32, kind ipam.Kind, s SubnetSpec, but int64, allowed bool) (bool, error) {
	if _, err := tx.Exec(ctx, sqlLockKey, "subnets of VRF "+strconv.Itoa(int(vrf))); err != nil {
		return false, err
	}
	err := overlapOf(ctx, tx, vrf, s, but)
	if err == nil {
		return false, nil
	}
	if errors.Is(err, aaa.ErrConflict) && allowed && !kind.Sparse() {
		return true, nil
	}
	return false, err
}

// overlapOf is aaa.ErrConflict that names the subnets that s overlaps, or nil.
func overlapOf(ctx context.Context, q querier, vrf int32, s SubnetSpec, but int64) error {
	rows, err := q.Query(ctx, sqlSubnetOverlaps, vrf, s.Range.First, s.Range.Last, but)
	if err != nil {
		return err
	}
	there, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var o SubnetSpec
		var owner string
		err := row.Scan(&o.Network, &o.Range.First, &o.Range.Last, &owner)
		return fmt.Sprintf("%s of pool %q", o.text(), owner), err
	})
	if err != nil || len(there) == 0 {
		return err
	}
	return fmt.Errorf("%w: network %s overlaps %s", aaa.ErrConflict, s.text(), someOf(there))
}

// namedOverlap turns the refusal of the exclusion constraint into the name of
// what is overlapped.
func (db *DB) namedOverlap(ctx context.Context, err error, vrf int32, subnets []SubnetSpec, but int64) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23P01" {
		return err
	}
	for _, s := range subnets {
		if named := overlapOf(ctx, db.pool, vrf, s, but); named != nil {
			return named
		}
	}
	return fmt.Errorf("%w: overlaps a subnet that was made at the same moment and is gone again; try again", aaa.ErrConflict)
}

// samePool returns the id of a pool of that name whose rows are not all there
// and whose networks are the same; 0 when the name is free.
func samePool(ctx context.Context, tx pgx.Tx, spec PoolSpec) (int64, error) {
	pools, err := readPools(ctx, tx, spec.Name, spec.VRF)
	if err != nil || len(pools) == 0 {
		return 0, err
	}
	if err := attachSubnets(ctx, tx, pools, true); err != nil {
		return 0, err
	}
	p := pools[0]
	var want uint64
	same := len(p.Subnets) == len(spec.Subnets) && p.Kind == spec.Kind && !p.Kind.Sparse()
	for _, s := range spec.Subnets {
		want = ipam.AddLeases(want, s.plan().Capacity(p.PrefixLength))
		same = same && slices.ContainsFunc(p.Subnets, func(o Subnet) bool { return o.same(s) })
	}
	if !same || p.Total >= want {
		return 0, fmt.Errorf("%w: there is a pool of that name, with %s", aaa.ErrConflict, p.networks())
	}
	return p.ID, nil
}

// same tells whether two subnets give the same addresses.
func (s SubnetSpec) same(o SubnetSpec) bool {
	return s.Network == o.Network && s.Range == o.Range && s.Gateway == o.Gateway &&
		slices.EqualFunc(s.Exclusions, o.Exclusions, func(a, b Exclusion) bool { return a.Range == b.Range })
}

// missingFallback lists the pools of a fallback list that are not there. One of
// another kind cannot stand in.
func missingFallback(ctx context.Context, tx pgx.Tx, vrf int32, kind ipam.Kind, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, sqlPoolKinds, vrf, names)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	var name, its string
	if _, err := pgx.ForEachRow(rows, []any{&name, &its}, func() error { kinds[name] = its; return nil }); err != nil {
		return nil, err
	}
	var missing []string
	for _, n := range names {
		switch its, ok := kinds[n]; {
		case !ok:
			missing = append(missing, n)
		case its != kind.String():
			return nil, fmt.Errorf("fallback %q: is a pool of kind %s; want one of %s: %w", n, its, kind, aaa.ErrInvalid)
		}
	}
	return missing, nil
}
