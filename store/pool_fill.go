package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// The pool before its subnets, as all who hold them do.
	sqlPoolShare = `SELECT p.id FROM radial.pools p WHERE p.id = $1::bigint FOR KEY SHARE`

	// A subnet's version, held while rows are made: who takes addresses out of it
	// comes before or after.
	sqlSubnetVersion = `SELECT s.updated_at FROM radial.subnets s WHERE s.id = $1::bigint FOR SHARE`

	// How many rows of a run are there, and how many of them are another
	// subnet's: $1 VRF, $2 subnet, $3 first, $4 last.
	sqlAddressesThere = `
SELECT count(*), count(*) FILTER (WHERE a.subnet_id <> $2::bigint)
FROM radial.addresses a WHERE a.vrf_id = $1::int AND a.address BETWEEN $3::inet AND $4::inet`

	// A run of rows: $4 the first address, $5 how many.
	sqlAddressesInsert = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
SELECT $1::int, $4::inet + g, $2::bigint, $3::bigint FROM generate_series(0, $5::bigint - 1) AS g
ON CONFLICT (vrf_id, address) DO NOTHING`
)

// addressChunk is how many rows one transaction makes.
const addressChunk = 65_536

// fill makes the address rows that subnets are to have and have not, chunk by
// chunk, and says how many are another subnet's that overlaps. Each chunk is one
// transaction with the binding of its open sessions and the reserving of
// subscribers' own addresses, so that none of them is ever seen as free.
func (db *DB) fill(ctx context.Context, subnets []Subnet, progress func(done, total uint64)) (leftOut uint64, err error) {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	o, err := db.adopter(ctx)
	if err != nil {
		return 0, err
	}
	var done, total uint64
	for _, s := range subnets {
		for _, run := range s.runs() {
			total += run.Size()
		}
	}
	for _, s := range subnets {
		for _, run := range s.runs() {
			for chunk := range run.Chunks(addressChunk) {
				n, err := db.fillChunk(ctx, o, s, chunk)
				if err != nil {
					return leftOut, err
				}
				leftOut, done = leftOut+n, done+chunk.Size()
				progress(done, total)
			}
		}
	}
	if total == 0 {
		return 0, nil
	}
	// A session may have started between a chunk's look at radacct and its commit.
	_, err = db.bindSubnets(ctx, subnets)
	return leftOut, err
}

func (db *DB) fillChunk(ctx context.Context, o adopter, s Subnet, chunk ipam.Range) (leftOut uint64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPoolShare, s.PoolID); err != nil {
			return err
		}
		var version time.Time
		err := tx.QueryRow(ctx, sqlSubnetVersion, s.ID).Scan(&version)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if !version.Equal(s.UpdatedAt) {
			return fmt.Errorf("subnet %s was changed meanwhile; say it again: %w", s.text(), aaa.ErrConflict)
		}
		var there uint64
		if err := tx.QueryRow(ctx, sqlAddressesThere, s.VRF, s.ID, chunk.First, chunk.Last).Scan(&there, &leftOut); err != nil {
			return err
		}
		if there == chunk.Size() {
			return nil
		}
		if _, err := tx.Exec(ctx, sqlAddressesInsert, s.VRF, s.PoolID, s.ID, chunk.First, chunk.Size()); err != nil {
			return err
		}
		return o.adopt(ctx, tx, s, chunk)
	})
	return leftOut, err
}
