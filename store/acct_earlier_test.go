package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// TestStopAfterTheNextStart: a NAS begins its ids anew, and the Stop of a session
// that has told nothing but its Start comes when the next one has taken its row. It
// is stored, once, be it told at another server again, when the next one has ended, or
// in one batch with itself; and its usage counts.
func TestStopAfterTheNextStart(t *testing.T) {
	for _, way := range []string{"queue", "journal"} {
		t.Run(way, func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", "100.64.0.0/28")
			stop := func() *aaa.Record {
				r := lateRecord("s", aaa.StatusStop, 160)
				lived, octets := int64(60), int64(1000)
				r.SessionTime, r.Input, r.Output = &lived, &octets, &octets
				return r
			}
			tell(t, db, "queue", lateRecord("s", aaa.StatusStart, 100))
			tell(t, db, "queue", lateRecord("s", aaa.StatusStart, 200))
			tell(t, db, way, stop(), stop())
			want := "[[t 1790000200 NULL 0] [f 1790000100 1790000160 1000]]"
			rows := func() string {
				return fmt.Sprint(db.Rows(`SELECT acctstoptime IS NULL, extract(epoch FROM acctstarttime)::int, extract(epoch FROM acctstoptime)::int, acctinputoctets FROM radacct ORDER BY radacctid`))
			}
			if got := rows(); got != want {
				t.Errorf("after the Stop: %s, want %s", got, want)
			}
			holds(t, db, "s", map[string]bool{})
			last := lateRecord("s", aaa.StatusStop, 260)
			lived := int64(60)
			last.SessionTime = &lived
			tell(t, db, "queue", last)
			tell(t, db, way, stop())
			if got := len(db.Rows(`SELECT 1 FROM radacct`)); got != 2 {
				t.Errorf("%d rows: %s", got, rows())
			}
			if got := fmt.Sprint(db.Rows(`SELECT sum(input) FROM radial.usage_daily`)); got != "[[1001]]" {
				t.Errorf("octets of usage: %s", got)
			}
		})
	}
}

// Sessions with one id, some of whose Stops are told after the next one's Start:
// each has its row, with all that it came to. Any part of it told again, twice, with its sessions
// archived anywhere in between, yields the same rows and the same usage.
func TestReplayWhereSessionsAreArchived(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	meter := store.NewMeter(db.DB)
	const story = `SELECT extract(epoch FROM acctstarttime)::bigint - 1790000000, extract(epoch FROM acctstoptime)::bigint - 1790000000, acctinterval,
		acctsessiontime, acctinputoctets, acctterminatecause, connectinfo_stop FROM radial.radacct_all`
	archived, round, broken := 0, 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > 30 && !broken { // each round is many database trips
			return
		}
		was := broken
		broken = true // unless it comes to its end
		db.Exec(`TRUNCATE radacct; TRUNCATE radial.radacct_archive; TRUNCATE radial.archive_ends; TRUNCATE radial.usage_daily; TRUNCATE radial.usage_session; UPDATE radial.addresses SET state = 'free', radacctid = NULL`)
		var all, late []*aaa.Record
		truth, at := map[string]bool{}, int64(0)
		for range rapid.IntRange(2, 4).Draw(rt, "sessions") {
			at += rapid.Int64Range(20, 400).Draw(rt, "gap")
			begin, octets := at, int64(0)
			all = append(all, acctRecord("a", aaa.StatusStart, at, -1, -1))
			var before []*aaa.Record
			before, late = late, nil
			for range rapid.IntRange(0, 2).Draw(rt, "interims") {
				at += rapid.Int64Range(1, 300).Draw(rt, "interval")
				octets += rapid.Int64Range(0, 100).Draw(rt, "octets")
				all = append(all, acctRecord("a", aaa.StatusInterim, at, at-begin, octets))
			}
			at += rapid.Int64Range(1, 300).Draw(rt, "tail")
			octets += rapid.Int64Range(0, 100).Draw(rt, "octets")
			stop := acctRecord("a", aaa.StatusStop, at, at-begin, octets)
			truth[fmt.Sprint(begin, " ", at, " ", octets)] = true
			all = append(all, before...)
			if rapid.Bool().Draw(rt, "late") {
				late = append(late, stop)
			} else {
				all = append(all, stop)
			}
		}
		all = append(all, late...)
		tell := func(batch []*aaa.Record) {
			again := make([]*aaa.Record, len(batch))
			for i, r := range batch {
				c := *r
				again[i] = &c
			}
			if err := errors.Join(l.Apply(t.Context(), again...)...); err != nil {
				rt.Fatal(err)
			}
		}
		for _, r := range all {
			tell([]*aaa.Record{r})
		}
		want, used := archivedStory(db.Rows(story)), usageOf(t, db, meter)
		for _, r := range db.Rows(`SELECT extract(epoch FROM acctstarttime)::bigint - 1790000000, extract(epoch FROM acctstoptime)::bigint - 1790000000, acctinputoctets FROM radacct`) {
			delete(truth, fmt.Sprint(r[0], " ", r[1], " ", r[2]))
		}
		if len(truth) > 0 {
			rt.Fatalf("no rows of the sessions %v among %v", truth, want)
		}
		prefix := all[:rapid.IntRange(1, len(all)).Draw(rt, "prefix")]
		for range 2 {
			for rest := prefix; len(rest) > 0; {
				if rapid.IntRange(0, 2).Draw(rt, "archives") == 0 {
					archived += archive(t, db, acctAt(rapid.Int64Range(0, at+1).Draw(rt, "before")), 10)
				}
				n := rapid.IntRange(1, min(3, len(rest))).Draw(rt, "batch")
				tell(rest[:n])
				if diff := cmp.Diff(want, archivedStory(db.Rows(story))); diff != "" {
					rt.Fatalf("%v at %d told again:\n%s", rest[0].Status, rest[0].At.Unix()-acctZero, diff)
				}
				rest = rest[n:]
			}
		}
		if now := usageOf(t, db, meter); now != used {
			rt.Fatalf("used %s, and before %s", now, used)
		}
		broken = was
	})
	if archived == 0 {
		t.Error("nothing was archived: the test shows nothing")
	}
}
