package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkLedger measures accounting without packets: callers that each wait
// for their commit, on a database that syncs to disk.
func BenchmarkLedger(b *testing.B) {
	kinds := []struct {
		name   string
		record func(session string, n int64) *aaa.Record
	}{
		{"start", func(s string, _ int64) *aaa.Record { return acctRecord(s, aaa.StatusStart, 0, -1, -1) }},
		{"interim", func(s string, n int64) *aaa.Record { return acctRecord(s, aaa.StatusInterim, 60+n/200, 60+n/200, n) }},
		{"stop", func(s string, n int64) *aaa.Record { return acctRecord(s, aaa.StatusStop, 6000, 6000, n) }},
	}
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := storetest.New(b, storetest.Durable)
			l, _ := newLedger(b, db, store.LedgerOptions{})
			started := 0 // sessions begun by the benchmark of starts
			for _, k := range kinds {
				b.Run(k.name, func(b *testing.B) {
					var next atomic.Int64
					sessions := b.N
					if k.name != "start" {
						sessions = max(min(started, b.N), 1)
					}
					var g errgroup.Group
					for range callers {
						g.Go(func() error {
							for {
								n := next.Add(1)
								if n > int64(b.N) {
									return nil
								}
								if err := l.Record(b.Context(), k.record(fmt.Sprintf("b%08d", n%int64(sessions)), n)); err != nil {
									return err
								}
							}
						})
					}
					if err := g.Wait(); err != nil {
						b.Fatal(err)
					}
					if k.name == "start" {
						started = max(started, b.N)
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				})
			}
		})
	}
}
