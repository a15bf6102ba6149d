package store_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkAdmissions measures what Simultaneous-Use costs: Starts while nobody
// waits for one, while another does, and Starts of those who do; and a login.
func BenchmarkAdmissions(b *testing.B) {
	crowd := func(b *testing.B, do func(n int64) error) {
		var next atomic.Int64
		var g errgroup.Group
		for range 256 {
			g.Go(func() error {
				for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
					if err := do(n); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "/s")
	}
	login := func(n int64) *aaa.Record {
		r := acctRecord(fmt.Sprintf("b%08d", n), aaa.StatusStart, 0, -1, -1)
		r.User, r.Login, r.FramedIP = fmt.Sprint("u", n), fmt.Sprint("u", n), netip.Addr{}
		return r
	}
	for _, c := range []struct {
		name    string
		waiting string // how many logins wait; %d is b.N
	}{{"start, nobody waits", ""}, {"start, another waits", "SELECT 'x', 'x' FROM generate_series(1, 1)"}, {"start, all wait", "SELECT 'u' || i, 'u' || i FROM generate_series(1, %d) i"}} {
		b.Run(c.name, func(b *testing.B) {
			db := storetest.New(b, storetest.Durable)
			l, _ := newLedger(b, db, store.LedgerOptions{})
			if c.waiting != "" {
				query := c.waiting
				if query[len(query)-1] == 'i' {
					query = fmt.Sprintf(query, b.N)
				}
				db.Exec(`INSERT INTO radial.admissions (username, login, nas, port, mac, session_id, replaces, made_at, until)
					SELECT x.a, x.b, '10.0.0.9', 'ether1', 'aa:bb:cc:dd:ee:ff', '', '{}', now(), now() + interval '1 hour' FROM (` + query + `) x (a, b)`)
			}
			b.ResetTimer()
			crowd(b, func(n int64) error { return l.Record(b.Context(), login(n)) })
		})
	}
	b.Run("login", func(b *testing.B) {
		a := store.NewAdmissions(storetest.New(b, storetest.Durable).DB)
		b.ResetTimer()
		crowd(b, func(n int64) error {
			w := admission(1, "ether1", bobsMAC, fmt.Sprint("s", n))
			w.User = fmt.Sprint("u", n)
			w.Caller.User = w.User
			return a.Admit(b.Context(), w)
		})
	})
}
