package store_test

import (
	"fmt"
	"os"
	"testing"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkUsage measures what accounting costs PostgreSQL in CPU, usage
// included, in batches of a hundred: Starts, interims of the same day, the first
// interims of a new day, and Stops of sessions of one day and of two. Without
// usage: the same file at the commit before it.
func BenchmarkUsage(b *testing.B) {
	const size, users = 100, 50_000
	day := int64(86400)
	for _, k := range []struct {
		name  string
		steps []func(s string, n int64) *aaa.Record // the last is measured
	}{
		{"start", []func(string, int64) *aaa.Record{usageStart}},
		{"interim", []func(string, int64) *aaa.Record{usageStart, usageInterim(300)}},
		{"interim-new-day", []func(string, int64) *aaa.Record{usageStart, usageInterim(300), usageInterim(300 + day)}},
		{"stop", []func(string, int64) *aaa.Record{usageStart, usageInterim(300), usageStop(600)}},
		{"stop-next-day", []func(string, int64) *aaa.Record{usageStart, usageInterim(300), usageInterim(300 + day), usageStop(600 + day)}},
	} {
		b.Run(k.name, func(b *testing.B) {
			db := storetest.New(b)
			l, _ := newLedger(b, db, store.LedgerOptions{})
			n, cpu := int64(0), int64(0)
			for b.Loop() {
				b.StopTimer()
				var before int64
				batch := make([]*aaa.Record, size)
				for i, step := range k.steps {
					for j := range batch {
						batch[j] = step(fmt.Sprintf("u%08d", n+int64(j)), (n+int64(j))%users)
					}
					if i == len(k.steps)-1 {
						before = backendCPU(b, db)
						b.StartTimer()
					}
					for _, err := range l.Apply(b.Context(), batch...) {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
				b.StopTimer()
				cpu += backendCPU(b, db) - before
				n += size
				b.StartTimer()
			}
			b.ReportMetric(float64(cpu)/float64(n)/1000, "postgres-µs/record")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/record")
		})
	}
}

// backendCPU is what the backends of a database have run, in nanoseconds.
func backendCPU(b *testing.B, db *storetest.DB) (sum int64) {
	for _, row := range db.Rows(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`) {
		text, err := os.ReadFile("/proc/" + row[0] + "/schedstat")
		if err != nil {
			b.Skip("no /proc/PID/schedstat: ", err)
		}
		var ran int64
		if _, err := fmt.Sscan(string(text), &ran); err != nil {
			b.Fatal(err)
		}
		sum += ran
	}
	return sum
}

func usageStart(s string, n int64) *aaa.Record {
	r := bareRecord(s, aaa.StatusStart, 0, -1, -1)
	r.User, r.Login = fmt.Sprintf("user%d", n), fmt.Sprintf("user%d", n)
	return r
}

func usageInterim(at int64) func(string, int64) *aaa.Record {
	return func(s string, n int64) *aaa.Record {
		r := usageStart(s, n)
		r.Status, r.At, r.Received, r.SessionTime, r.Input, r.Output = aaa.StatusInterim, acctAt(at), acctAt(at), &at, &at, &at
		return r
	}
}

func usageStop(at int64) func(string, int64) *aaa.Record {
	return func(s string, n int64) *aaa.Record {
		r := usageInterim(at)(s, n)
		r.Status, r.TerminateCause = aaa.StatusStop, "User-Request"
		return r
	}
}
