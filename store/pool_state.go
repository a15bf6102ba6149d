package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// What a login would be told of a pool, but for its numbers. $1 a VRF, or 0: of
// several pools of that name the one of the lowest VRF.
const sqlPoolState = `
SELECT p.vrf_id, p.kind, CASE WHEN p.status = 'active' AND NOT EXISTS (SELECT FROM radial.subnets s WHERE s.pool_id = p.id AND s.status = 'active')
                              THEN 'inactive' ELSE p.status END, p.fallback
FROM radial.pools p WHERE ($1::int = 0 OR p.vrf_id = $1::int) AND p.name = $2::text ORDER BY p.vrf_id LIMIT 1`

// PoolState tells what a pool has now, for aaa.PoolReader.
func (db *DB) PoolState(ctx context.Context, vrf int32, name string) (aaa.PoolState, error) {
	s, err := db.PoolOffer(ctx, vrf, name)
	if err != nil {
		return s, err
	}
	s.Total, s.Free, err = db.PoolUse(ctx, vrf, name)
	return s, err
}

// PoolOffer is PoolState without counting. VRF 0 is for whichever has a pool of
// that name; none is ipam.ErrPoolUnknown.
func (db *DB) PoolOffer(ctx context.Context, vrf int32, name string) (aaa.PoolState, error) {
	var s aaa.PoolState
	var kind, status string
	op := fmt.Sprintf("state of pool %q", name)
	err := db.pool.QueryRow(ctx, sqlPoolState, vrf, storableText(name)).Scan(&s.VRF, &kind, &status, &s.Fallback)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, ipam.ErrPoolUnknown
	}
	if err != nil {
		return s, wrapErr(op, err)
	}
	var known bool
	if s.Kind, known = ipam.ParseKind(kind); !known {
		return s, fmt.Errorf("%s: kind %q", op, kind)
	}
	if s.Status, known = ipam.ParseStatus(status); !known {
		return s, fmt.Errorf("%s: status %q", op, status)
	}
	return s, nil
}
