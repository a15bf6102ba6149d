package store

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// madeRow is a row that this transaction has made.
type madeRow struct {
	leaseKey
	pool int64
}

// make makes the rows of the offers that have none, and tells whether there were
// any: then all is to be decided again, by what is there now. Rows that others
// made at the same moment are waited for, and theirs.
func (c *claim) make(ctx context.Context, conn *pgx.Conn) (any bool, err error) {
	var a callers
	for _, o := range c.offers {
		if _, ok := c.missing[o.row.leaseKey]; ok {
			a.vrfs, a.pools, a.addrs = append(a.vrfs, o.row.vrf), append(a.pools, o.row.pool), append(a.addrs, o.row.address)
		}
	}
	if len(a.vrfs) == 0 {
		return false, nil
	}
	c.missing = nil
	var made, allowed map[leaseKey]int64
	b := &pgx.Batch{}
	b.Queue(sqlSparseInsert, a.vrfs, a.pools, a.addrs).Query(func(rows pgx.Rows) (err error) {
		made, err = collectKeys(rows)
		return err
	})
	b.Queue(sqlSparseAllowed, a.vrfs, a.addrs).Query(func(rows pgx.Rows) (err error) {
		allowed, err = collectKeys(rows)
		return err
	})
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return false, err
	}
	for key, pool := range made {
		c.made = append(c.made, madeRow{key, pool})
		if _, ok := allowed[key]; ok {
			c.free[key] = &leaseRow{leaseKey: key, pool: pool}
		}
	}
	return true, nil
}

// ownerGone tells that a row's pool or subnet was deleted before the row was
// made: the next time it is not found.
func ownerGone(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == codeForeignKey
}

// queueUnmake removes the rows that were made and are not leased after all: by
// pool, whose row tells of what has gone.
func (c *claim) queueUnmake(b *pgx.Batch) {
	made := slices.DeleteFunc(slices.Clone(c.made), func(m madeRow) bool { return c.taken[m.leaseKey] })
	slices.SortFunc(made, func(a, b madeRow) int {
		return cmp.Or(cmp.Compare(a.pool, b.pool), cmp.Compare(a.vrf, b.vrf), a.address.Addr().Compare(b.address.Addr()))
	})
	if len(made) > 0 {
		b.Queue(sqlSparseUnmake, column(made, func(m madeRow) int32 { return m.vrf }), column(made, func(m madeRow) netip.Prefix { return m.address }))
	}
}

// collectKeys reads VRF, pool and address: the pools by key.
func collectKeys(rows pgx.Rows) (map[leaseKey]int64, error) {
	found := map[leaseKey]int64{}
	var key leaseKey
	var pool int64
	_, err := pgx.ForEachRow(rows, []any{&key.vrf, &pool, &key.address}, func() error {
		found[key] = pool
		return nil
	})
	return found, err
}
