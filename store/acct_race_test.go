package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// life is the events of one session in order of their times.
func life(rng *rand.Rand, s string, interims int, stops bool) []*aaa.Record {
	events := []*aaa.Record{acctRecord(s, aaa.StatusStart, 0, -1, -1)}
	now, octets := int64(0), int64(0)
	for range interims {
		now += 1 + rng.Int64N(300)
		octets += rng.Int64N(1 << 32)
		events = append(events, acctRecord(s, aaa.StatusInterim, now, now, octets))
	}
	if stops {
		now += 1 + rng.Int64N(300)
		octets += rng.Int64N(1 << 32)
		events = append(events, acctRecord(s, aaa.StatusStop, now, now, octets))
	}
	return events
}

// ideal is the row that a session's events make in order.
func ideal(s string, events []*aaa.Record) map[string]string {
	var row *aaa.Session
	for _, ev := range events {
		t := aaa.Next(row, ev)
		row = &t.Row
	}
	changes := []string{
		fmt.Sprintf("update=%d", row.Update.Unix()-acctZero), fmt.Sprintf("lived=%d", *row.SessionTime),
		fmt.Sprintf("in=%d", *row.Input), fmt.Sprintf("out=%d", *row.Output),
		"stop=" + stopOf(row), "cause=" + causeOf(row),
	}
	return acctRow(s, changes...)
}

func stopOf(s *aaa.Session) string {
	if s.Open() {
		return "NULL"
	}
	return fmt.Sprint(s.Stop.Unix() - acctZero)
}

func causeOf(s *aaa.Session) string {
	if s.TerminateCause == nil {
		return "NULL"
	}
	return *s.TerminateCause
}

// eventually polls until ok or ten seconds are over.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		<-time.After(time.Millisecond)
	}
}

// Two servers get the events of the same sessions, each twice, in any order:
// every row is the fold of its events in their order.
func TestLedgerRace(t *testing.T) {
	db := storetest.New(t)
	one, reg1 := newLedger(t, db, store.LedgerOptions{Shards: 3, Batch: 20})
	two, reg2 := newLedger(t, db, store.LedgerOptions{Shards: 2, Batch: 50})
	rng := rand.New(rand.NewPCG(1, 2))
	const sessions = 60
	want := map[string]map[string]string{}
	var all []*aaa.Record
	for i := range sessions {
		s := fmt.Sprintf("race%03d", i)
		events := life(rng, s, rng.IntN(6), rng.IntN(3) > 0)
		want[s] = ideal(s, events)
		all = append(all, events...)
		all = append(all, events...)
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var g errgroup.Group
	g.SetLimit(64)
	for i, ev := range all {
		g.Go(func() error {
			if i%2 == 0 {
				return two.Record(t.Context(), ev)
			}
			return one.Record(t.Context(), ev)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	rows := acctRows(db)
	if len(rows) != sessions {
		t.Fatalf("%d rows of %d sessions", len(rows), sessions)
	}
	for _, got := range rows {
		w := want[got["session"]]
		// what tells the order in which they came: the last interval, and where
		// a Stop that came first leaves its Connect-Info
		for _, k := range []string{"interval", "info", "infostop"} {
			w[k] = got[k]
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("session %s (-want +got):\n%s", got["session"], d)
		}
	}
	const retries = "radial_accounting_retries_total"
	if n := counterOf(t, reg1, retries, "deadlock") + counterOf(t, reg2, retries, "deadlock"); n != 0 {
		t.Errorf("%v deadlocks, want none", n)
	}
	t.Logf("%v batches ran again because the other server was quicker", counterOf(t, reg1, retries)+counterOf(t, reg2, retries))
}

// Callers give up in the middle of batches and send again: whatever was
// acknowledged is there, and the last word counts.
func TestLedgerCallersGiveUp(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{Shards: 2, Batch: 8})
	const sessions = 40
	events := func(i int) []*aaa.Record {
		return life(rand.New(rand.NewPCG(3, uint64(i))), fmt.Sprintf("gone%03d", i), 4, true)
	}
	var g errgroup.Group
	for i := range sessions {
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(4, uint64(i)))
			for _, ev := range events(i) {
				for tries := 1; ; tries++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(tries*rng.IntN(3000))*time.Microsecond)
					err := l.Record(ctx, ev)
					cancel()
					if err == nil {
						break
					}
					if !errors.Is(err, context.DeadlineExceeded) {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	rows := acctRows(db)
	if len(rows) != sessions {
		t.Errorf("%d rows of %d sessions", len(rows), sessions)
	}
	for _, got := range rows {
		var i int
		if _, err := fmt.Sscanf(got["session"], "gone%03d", &i); err != nil {
			t.Fatal(err)
		}
		w := ideal(got["session"], events(i))
		w["infostop"], w["interval"] = "down", got["interval"]
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("session %s (-want +got):\n%s", got["session"], d)
		}
	}
}

// The statement for Accounting-On and Off does to each row what aaa.Next does.
func TestLedgerDownIsNext(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	rng := rand.New(rand.NewPCG(5, 6))
	var want []map[string]string
	down := acctRecord("", aaa.StatusOff, 1000, -1, -1)
	down.TerminateCause = "Admin-Reboot"
	var g errgroup.Group
	for i := range 200 {
		s := fmt.Sprintf("down%03d", i)
		events := []*aaa.Record{acctRecord(s, aaa.StatusStart, rng.Int64N(1300), -1, -1)}
		if rng.IntN(2) > 0 {
			n := events[0].At.Unix() - acctZero + rng.Int64N(700)
			events = append(events, acctRecord(s, aaa.StatusInterim, n, rng.Int64N(900), 5))
		}
		g.Go(func() error {
			for _, ev := range events {
				if err := l.Record(t.Context(), ev); err != nil {
					return err
				}
			}
			return nil
		})
		var row *aaa.Session
		for _, ev := range append(events, down) {
			n := aaa.Next(row, ev)
			row = &n.Row
		}
		want = append(want, map[string]string{
			"session": s, "update": fmt.Sprint(row.Update.Unix() - acctZero), "stop": stopOf(row),
			"lived": fmt.Sprint(*row.SessionTime), "cause": causeOf(row),
		})
	}
	other := acctRecord("other", aaa.StatusStart, 0, -1, -1)
	other.NAS = netip.MustParseAddr("10.0.0.10")
	want = append(want, map[string]string{"session": "other", "update": "0", "stop": "NULL", "lived": "0", "cause": "NULL"})
	if err := errors.Join(g.Wait(), l.Record(t.Context(), other), l.Record(t.Context(), down)); err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	for _, r := range acctRows(db) {
		got = append(got, map[string]string{"session": r["session"], "update": r["update"], "stop": r["stop"], "lived": r["lived"], "cause": r["cause"]})
	}
	slices.SortFunc(got, func(a, b map[string]string) int { return strings.Compare(a["session"], b["session"]) })
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rows (-Next +SQL):\n%s", d)
	}
}

// An Accounting-On waits for the Starts that came before it, in whatever shard
// they are, and those that come after wait for it.
func TestLedgerBarrier(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{Shards: 8, Batch: 2})
	on := bareRecord("", aaa.StatusOn, 100, -1, -1)
	ctx := t.Context()
	tx, err := db.Pool().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range 40 {
		g.Go(func() error { return l.Record(ctx, acctRecord(fmt.Sprintf("b%02d", i), aaa.StatusStart, 0, -1, -1)) })
	}
	eventually(t, "40 Starts under way", func() bool { n, _ := l.UnderWay(on.NAS); return n == 40 })
	g.Go(func() error { return l.Record(ctx, on) })
	eventually(t, "the barrier", func() bool { _, up := l.UnderWay(on.NAS); return up })
	late := make(chan error, 1)
	go func() { late <- l.Record(ctx, acctRecord("late", aaa.StatusStart, 50, -1, -1)) }()
	elsewhere := acctRecord("elsewhere", aaa.StatusStart, 0, -1, -1)
	elsewhere.NAS = netip.MustParseAddr("10.0.0.10")
	g.Go(func() error { return l.Record(ctx, elsewhere) })
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Wait(), <-late); err != nil {
		t.Fatal(err)
	}
	for _, r := range acctRows(db) {
		want := "100"
		if r["session"] == "late" || r["session"] == "elsewhere" {
			want = "NULL"
		}
		if r["stop"] != want {
			t.Errorf("session %s: stop %s, want %s", r["session"], r["stop"], want)
		}
	}
	if n, up := l.UnderWay(on.NAS); n != 0 || up {
		t.Errorf("%d records under way, barrier %v, after all", n, up)
	}
}

// What waits for a barrier, barriers among it, is stored in its turn, whether
// somebody still waits for it or not.
func TestLedgerBarriersInTurn(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{Shards: 1})
	on := bareRecord("", aaa.StatusOn, 100, -1, -1)
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- l.Record(t.Context(), acctRecord("one", aaa.StatusStart, 0, -1, -1)) }()
	eventually(t, "a Start under way", func() bool { n, _ := l.UnderWay(on.NAS); return n == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return l.Record(ctx, on) })
	eventually(t, "the barrier", func() bool { _, up := l.UnderWay(on.NAS); return up })
	again := bareRecord("", aaa.StatusOn, 300, -1, -1)
	for i, r := range []*aaa.Record{acctRecord("two", aaa.StatusStart, 200, -1, -1), again, on, acctRecord("three", aaa.StatusStart, 350, -1, -1)} {
		g.Go(func() error { return l.Record(ctx, r) })
		eventually(t, "it is queued", func() bool { return l.BehindBarrier(on.NAS) == i+1 })
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	if n, up := l.UnderWay(on.NAS); n != 1 || !up {
		t.Errorf("%d records under way, barrier %v; want the first, and the barrier", n, up)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	eventually(t, "nothing under way", func() bool { n, up := l.UnderWay(on.NAS); return n == 0 && !up })
	for _, r := range acctRows(db) {
		if want := map[string]string{"one": "100", "two": "300", "three": "NULL"}[r["session"]]; r["stop"] != want {
			t.Errorf("session %s: stop %s, want %s", r["session"], r["stop"], want)
		}
	}
}

// Another server inserts a session between our look and our insert: our event
// goes into its row.
func TestLedgerInsertLost(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := acctRecord("s", aaa.StatusStop, 90, 90, 5)
	if _, err := tx.Exec(t.Context(), `INSERT INTO radacct (acctsessionid, acctuniqueid, nasipaddress, acctstarttime, acctupdatetime, connectinfo_start)
		VALUES ('theirs', $1, '10.0.0.9', to_timestamp(1790000000), to_timestamp(1790000000), 'theirs')`, stop.UniqueID); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Record(t.Context(), stop) }()
	eventually(t, "our insert waits", func() bool {
		return db.Rows(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)[0][0] == "1"
	})
	if err := errors.Join(tx.Commit(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	rows := acctRows(db)
	if len(rows) != 1 || rows[0]["session"] != "theirs" || rows[0]["stop"] != "90" || rows[0]["infostop"] != "down" {
		t.Errorf("rows %v, want theirs, closed by our Stop", rows)
	}
	if n := counterOf(t, reg, "radial_accounting_retries_total", "raced"); n != 1 {
		t.Errorf("ran again %v times, want once", n)
	}
}

// Events of a session that share a batch go in the order of their own times.
func TestLedgerBatchOrder(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	if err := errors.Join(l.Apply(t.Context(), acctRecord("s", aaa.StatusInterim, 160, 160, 9), acctRecord("s", aaa.StatusStart, 0, -1, -1),
		acctRecord("s", aaa.StatusInterim, 60, 60, 5))...); err != nil {
		t.Fatal(err)
	}
	want := acctRow("s", "update=160", "interval=100", "lived=160", "in=9", "out=18")
	if d := cmp.Diff([]map[string]string{want}, acctRows(db)); d != "" {
		t.Errorf("row (-want +got):\n%s", d)
	}
}
