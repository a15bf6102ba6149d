package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
)

// Two servers account the sessions of two users over some midnights, each
// record at both of them, while the jobs fold what a hand closes: every day's row
// is written by all of them at once. Nothing is lost or counted twice, and
// nobody meets a deadlock.
func TestUsageRace(t *testing.T) {
	w := newUsageWorld(t)
	one, reg1 := newLedger(t, w.DB, store.LedgerOptions{Shards: 3, Batch: 20})
	two, reg2 := newLedger(t, w.DB, store.LedgerOptions{Shards: 2, Batch: 50})
	rng := rand.New(rand.NewPCG(7, 9))
	var sessions errgroup.Group
	sessions.SetLimit(48)
	for i := range 200 {
		user, s, n := fmt.Sprintf("race%d", i%2), fmt.Sprintf("r%d", i), 3+rng.IntN(5)
		sessions.Go(func() error {
			for k := range n {
				at := int64(k) * 30_000 // a new day each third time
				r := acctRecord(s, aaa.StatusInterim, at, at, at*1000)
				r.User, r.Login = user, user
				switch k {
				case 0:
					r.Status, r.SessionTime, r.Input, r.Output = aaa.StatusStart, nil, nil, nil
				case n - 1:
					r.Status = aaa.StatusStop
				}
				var both errgroup.Group
				both.Go(func() error { return one.Record(t.Context(), r) })
				both.Go(func() error { return two.Record(t.Context(), r) })
				if err := both.Wait(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var jobs errgroup.Group
	jobs.Go(func() error {
		for ctx.Err() == nil {
			w.Exec(`UPDATE radacct SET acctstoptime = acctupdatetime, acctterminatecause = 'Lost-Carrier' WHERE radacctid = (SELECT max(radacctid) FROM radacct WHERE acctstoptime IS NULL)`)
			if _, err := w.FoldUsage(t.Context(), 100); err != nil {
				return err
			}
			if _, err := w.RollUsage(t.Context(), 0, 100); err != nil {
				return err
			}
			<-time.After(5 * time.Millisecond)
		}
		return nil
	})
	if err := sessions.Wait(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := jobs.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.FoldUsage(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	w.Exec(`CREATE TABLE gone (LIKE radacct)`)
	users := []string{"race0", "race1"}
	if d := cmp.Diff(w.sums(users), w.ledgered(users)); d != "" {
		t.Errorf("-radacct +usage_daily:\n%s", d)
	}
	if open := w.Rows(`SELECT radacctid FROM radacct WHERE acctstoptime IS NULL`); len(open) > 0 {
		t.Errorf("open sessions are left: %v", open)
	}
	if left := w.Rows(`SELECT * FROM radial.usage_session`); len(left) > 0 {
		t.Errorf("all sessions are folded, and usage_session has %v", left)
	}
	if n := counterOf(t, reg1, "radial_accounting_retries_total", "deadlock") + counterOf(t, reg2, "radial_accounting_retries_total", "deadlock"); n > 0 {
		t.Errorf("%v deadlocks", n)
	}
}
