package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlVRFGet  = `SELECT id FROM radial.vrfs WHERE name = $1::text`
	sqlVRFMake = `
INSERT INTO radial.vrfs (name) VALUES ($1::text) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id`
	sqlVRFList = `SELECT id, name FROM radial.vrfs`
	// Devices without settings are in the default one.
	sqlVRFUse = `
SELECT v.name, (SELECT count(*)::int FROM radial.pools p WHERE p.vrf_id = v.id), (SELECT count(*)::int FROM radial.subnets s WHERE s.vrf_id = v.id),
       (SELECT count(*)::int FROM nas n LEFT JOIN radial.nas_settings s ON s.nas_id = n.id WHERE coalesce(s.vrf_id, 1) = v.id)
FROM radial.vrfs v ORDER BY v.id <> 1, v.name COLLATE "C"`
)

// VRF returns the id of an address space, or aaa.ErrNotFound.
func (db *DB) VRF(ctx context.Context, name string) (int32, error) {
	var id int32
	err := db.pool.QueryRow(ctx, sqlVRFGet, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("vrf %q: %w", name, aaa.ErrNotFound)
	}
	return id, wrapErr("vrf "+name, err)
}

// MakeVRF returns the id of an address space, which it makes if need be.
func (db *DB) MakeVRF(ctx context.Context, name string) (int32, error) {
	return makeVRF(ctx, db.pool, name)
}

func makeVRF(ctx context.Context, q querier, name string) (id int32, err error) {
	if checkPoolName(name) != nil {
		return 0, fmt.Errorf("vrf %q: want 1 to 100 printable characters without blanks around: %w", name, aaa.ErrInvalid)
	}
	err = q.QueryRow(ctx, sqlVRFGet, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = q.QueryRow(ctx, sqlVRFMake, name).Scan(&id)
	}
	return id, wrapErr("vrf "+name, err)
}

// VRFNames returns the names of all address spaces by id.
func (db *DB) VRFNames(ctx context.Context) (map[int32]string, error) {
	rows, err := db.pool.Query(ctx, sqlVRFList)
	if err != nil {
		return nil, wrapErr("vrfs", err)
	}
	names := map[int32]string{}
	var id int32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error { names[id] = name; return nil })
	return names, wrapErr("vrfs", err)
}

// VRF is an address space and how many things it has.
type VRF struct {
	Name                    string
	Pools, Subnets, Devices int
}

// VRFs returns all address spaces, the default one first, the others by name.
func (db *DB) VRFs(ctx context.Context) ([]VRF, error) {
	rows, err := db.pool.Query(ctx, sqlVRFUse)
	if err != nil {
		return nil, wrapErr("vrfs", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[VRF])
	return all, wrapErr("vrfs", err)
}
