package store

import (
	"context"
	"net/netip"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// freedPool is a pool of which addresses were freed.
type freedPool struct {
	id  int64
	vrf int32
}

// freedRows are addresses of one pool, and where their rows are.
type freedRows struct {
	addresses []netip.Addr
	at        []pgtype.TID
}

// TellFreed has tell hear which addresses this server frees by the clock, whose
// offers have run out or whose time of cooling is over (DB.ExpireOffers,
// DB.EndCooling), once that is committed: the pool's id and IPv4 addresses of it.
// What tell returns of them it will propose. It is set before anything is freed.
func (l *Leases) TellFreed(tell func(pool int64, addresses []netip.Addr) (kept []netip.Addr)) {
	l.db.freed = func(pools map[freedPool]*freedRows) {
		for pool, rows := range pools {
			at := make(map[netip.Addr]pgtype.TID, len(rows.at))
			for i, a := range rows.addresses {
				at[a] = rows.at[i]
			}
			kept := tell(pool.id, rows.addresses)
			places := make([]pgtype.TID, len(kept))
			for i, a := range kept {
				places[i] = at[a]
			}
			l.places.learn(pool.vrf, kept, places)
		}
	}
}

// freeByClock runs sqlExpireOffers or its like, and says how many rows it freed.
func (db *DB) freeByClock(ctx context.Context, query string, limit int) (n int, err error) {
	rows, err := db.pool.Query(ctx, query, limit)
	if err != nil {
		return 0, err
	}
	freed := make(map[freedPool]*freedRows)
	var pool freedPool
	var lease netip.Prefix
	var at pgtype.TID
	tag, err := pgx.ForEachRow(rows, []any{&pool.id, &pool.vrf, &lease, &at}, func() error {
		if !lease.Addr().Is4() {
			return nil // a prefix is found by its number
		}
		of := freed[pool]
		if of == nil {
			of = &freedRows{}
			freed[pool] = of
		}
		of.addresses, of.at = append(of.addresses, lease.Addr()), append(of.at, at)
		return nil
	})
	if err != nil {
		return 0, err
	}
	if db.freed != nil {
		db.freed(freed)
	}
	return int(tag.RowsAffected()), nil
}
