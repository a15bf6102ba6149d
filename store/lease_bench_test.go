package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkLease measures committed leases of new callers from a pool of 65,534
// addresses, with so many callers at once: durable commits, as in production.
func BenchmarkLease(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(callers, "-callers"), func(b *testing.B) {
			db := storetest.New(b, storetest.Durable)
			makePool(b, db, "main", "10.64.0.0/16")
			a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
			lease(b, a, want(1<<20, "")) // connections, statements, hints
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if n == 65_000 { // the pool is about to be empty
							b.Log("more leases asked for than the pool holds: the last callers come back")
						}
						if _, err := a.Lease(b.Context(), want(int(n%65_000), "")); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leases/s")
		})
	}
}
