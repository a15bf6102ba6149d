package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// The database drops every connection again and again; callers send again what
// was not acknowledged, as a NAS does. Nothing is lost, nothing counts twice.
func TestLedgerConnectionsLost(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{Shards: 3, Batch: 10})
	const sessions = 60
	events := func(i int) []*aaa.Record {
		return life(rand.New(rand.NewPCG(7, uint64(i))), fmt.Sprintf("lost%03d", i), 5, true)
	}
	var acked, failed atomic.Int64
	var g errgroup.Group
	for i := range sessions {
		g.Go(func() error {
			for _, ev := range events(i) {
				for {
					err := l.Record(t.Context(), ev)
					if err == nil {
						acked.Add(1)
						break
					}
					if failed.Add(1); !errors.Is(err, aaa.ErrUnavailable) {
						return err
					}
				}
			}
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	for cuts := 0; ; cuts++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		default:
			if cuts < 200 {
				db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%radacct%' AND random() < 0.5`)
			}
			continue
		}
		break
	}
	t.Logf("%d acknowledged, %d had to be sent again", acked.Load(), failed.Load())
	rows := acctRows(db)
	if len(rows) != sessions {
		t.Errorf("%d rows of %d sessions", len(rows), sessions)
	}
	for _, got := range rows {
		var i int
		if _, err := fmt.Sscanf(got["session"], "lost%03d", &i); err != nil {
			t.Fatal(err)
		}
		w := ideal(got["session"], events(i))
		w["infostop"], w["interval"] = "down", got["interval"]
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("session %s (-want +got):\n%s", got["session"], d)
		}
	}
}

// Behind a pooler in transaction mode the statements are the same.
func TestLedgerThroughPooler(t *testing.T) {
	db := storetest.New(t, storetest.WithOptions(store.Options{Pooler: store.PoolerTransaction}))
	l, _ := newLedger(t, db, store.LedgerOptions{})
	for _, ev := range []*aaa.Record{
		acctRecord("s", aaa.StatusStart, 0, -1, -1), acctRecord("s", aaa.StatusInterim, 60, 60, 5),
		acctRecord("s", aaa.StatusStop, 90, 90, 9), acctRecord("s", aaa.StatusStart, 100, -1, -1), bareRecord("", aaa.StatusOff, 200, -1, -1),
	} {
		if err := l.Record(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	want := []map[string]string{
		acctRow("s", "unique="+retiredID("s", 0, 90), "update=90", "stop=90", "interval=60", "lived=90", "in=9", "out=18", "infostop=down", "cause=User-Request"),
		acctRow("s", "start=100", "update=200", "stop=200", "lived=100", "cause=NAS-Reboot"),
	}
	if d := cmp.Diff(want, acctRows(db)); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}
