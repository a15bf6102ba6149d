package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkMirror measures what the mirror in radippool costs logins and
// sessions: the same leases, Starts and Stops by 64 callers, without and with
// it, on a database that syncs to disk.
func BenchmarkMirror(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("mirror=%t", on), func(b *testing.B) {
			db := storetest.New(b, storetest.Durable)
			makePool(b, db, "main", "10.0.0.0/16")
			if on {
				mirrorOn(b, db, store.PoolKeyStation)
			}
			db.Exec(`VACUUM ANALYZE`)
			alloc := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
			ledger, _ := newLedger(b, db, store.LedgerOptions{})
			n := min(b.N, 60_000)
			addrs := make([]netip.Addr, n)
			record := func(i int, status aaa.Status, at int64) error {
				w := want(i, fmt.Sprint("s", i))
				r := acctRecord(w.SessionID, status, at, at, at)
				r.User, r.Login, r.Realm, r.CallingStation, r.NAS, r.PortID, r.FramedIP = w.Caller.User, w.Caller.User, nil, w.Caller.MAC, w.Caller.NAS, &w.Caller.Port, addrs[i]
				r.FramedIPv6, r.FramedIPv6Pfx, r.DelegatedPrefix = netip.Addr{}, netip.Prefix{}, netip.Prefix{}
				return ledger.Record(b.Context(), r)
			}
			b.ResetTimer()
			for _, phase := range []struct {
				name string
				do   func(ctx context.Context, i int) error
			}{
				{"leases/s", func(ctx context.Context, i int) error {
					l, err := leaseOne(ctx, alloc, want(i, fmt.Sprint("s", i)))
					addrs[i] = l.Address()
					return err
				}},
				{"starts/s", func(_ context.Context, i int) error { return record(i, aaa.StatusStart, 0) }},
				{"stops/s", func(_ context.Context, i int) error { return record(i, aaa.StatusStop, 1<<20) }},
			} {
				before := b.Elapsed()
				var next atomic.Int64
				var g errgroup.Group
				for range 64 {
					g.Go(func() error {
						for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
							if err := phase.do(b.Context(), int(i)); err != nil {
								return err
							}
						}
						return nil
					})
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(n)/(b.Elapsed()-before).Seconds(), phase.name)
			}
		})
	}
}
