package store_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// looks counts the looks for free addresses.
type looks struct {
	*store.Leases
	n int
}

func (l *looks) FreeAddresses(ctx context.Context, pool ipam.PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	l.n++
	return l.Leases.FreeAddresses(ctx, pool, after, limit)
}

// What this server's clock frees it leases again without a look, and knows where
// the rows are.
func TestFreedByTheClockIsProposed(t *testing.T) {
	for _, c := range []struct {
		name, ended string // how an address comes to its end
		free        func(db *storetest.DB, ctx context.Context) (int, error)
	}{
		{"offer", "UPDATE radial.addresses SET until = now() - interval '1 second' WHERE address IN ('192.0.2.2', '192.0.2.5')", func(db *storetest.DB, ctx context.Context) (int, error) { return db.ExpireOffers(ctx, 100) }},
		{"cooling", "UPDATE radial.addresses SET state = 'cooling', until = now() - interval '1 second' WHERE address IN ('192.0.2.2', '192.0.2.5')", func(db *storetest.DB, ctx context.Context) (int, error) { return db.EndCooling(ctx, 100) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", "192.0.2.0/29")
			rows := &looks{Leases: store.NewLeases(db.DB)}
			a := ipam.NewAllocator(rows, ipam.AllocatorOptions{}, nil)
			rows.TellFreed(a.Freed)
			for n := range 6 {
				if _, err := leaseOne(t.Context(), a, want(n, "")); err != nil {
					t.Fatal(err)
				}
			}
			db.Exec(c.ended)
			before := rows.n
			if n, err := c.free(db, t.Context()); n != 2 || err != nil {
				t.Fatalf("%d freed, %v", n, err)
			}
			for _, address := range []string{"192.0.2.2", "192.0.2.5"} {
				is := db.Rows("SELECT ctid FROM radial.addresses WHERE address = $1::inet", address)[0][0]
				if known := rows.Place(1, netip.MustParseAddr(address)); known != is {
					t.Errorf("%s is known to be at %s, and is at %s", address, known, is)
				}
			}
			had := map[netip.Addr]bool{}
			for n := range 2 {
				l, err := leaseOne(t.Context(), a, want(100+n, ""))
				if err != nil {
					t.Fatal(err)
				}
				had[l.Address()] = true
			}
			if len(had) != 2 || rows.n != before {
				t.Errorf("leased %v with %d looks, want 192.0.2.2 and 192.0.2.5 with none", had, rows.n-before)
			}
			if _, err := leaseOne(t.Context(), a, want(200, "")); !errors.Is(err, ipam.ErrPoolFull) {
				t.Errorf("no address is left: %v", err)
			}
		})
	}
}
