package aaa

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// generation is one session as it truly was: what an ideal ledger would hold.
type generation struct {
	start, end int64 // end 0: never stopped
	events     []*Record
	octets     int64
	last       int64
}

// drawSession draws a life: a Start, interims whose counters grow, perhaps a Stop.
func drawSession(t *rapid.T, from int64) generation {
	g := generation{start: from + rapid.Int64Range(20, 100).Draw(t, "gap")}
	ip := netip.AddrFrom4([4]byte{100, 64, 0, byte(rapid.IntRange(1, 3).Draw(t, "ip"))})
	add := func(st Status, at, session, octets int64) {
		g.events = append(g.events, with(event(st, at, session, octets), func(r *Record) { r.FramedIP = ip }))
		g.last = at
	}
	add(StatusStart, g.start, -1, -1)
	now := g.start
	for range rapid.IntRange(0, 5).Draw(t, "interims") {
		now += rapid.Int64Range(1, 300).Draw(t, "interval")
		g.octets += rapid.Int64Range(0, 1<<33).Draw(t, "octets")
		add(StatusInterim, now, now-g.start, g.octets)
	}
	if rapid.Bool().Draw(t, "stops") {
		now += rapid.Int64Range(1, 300).Draw(t, "tail")
		g.octets += rapid.Int64Range(0, 1<<33).Draw(t, "octets")
		g.end = now
		add(StatusStop, now, now-g.start, g.octets)
	}
	return g
}

func rowOpts(ignore ...string) cmp.Options {
	return cmp.Options{cmpopts.IgnoreFields(Session{}, append(ignore, "First")...), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
}

// In order, the row is what an ideal ledger would hold.
func TestNextIsIdeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var gens []generation
		var events []*Record
		from := int64(1_700_000_000)
		for range rapid.IntRange(1, 3).Draw(t, "sessions") {
			g := drawSession(t, from)
			gens = append(gens, g)
			events = append(events, g.events...)
			from = g.last
		}
		row, retired, _ := fold(events...)
		rows := append(retired, *row)
		// A session of a Start alone that is started again is one session with a new time.
		for i := 0; i < len(gens)-1; {
			if len(gens[i].events) == 1 {
				gens = slices.Delete(gens, i, i+1)
				continue
			}
			i++
		}
		if len(rows) != len(gens) {
			t.Fatalf("%d rows of %d sessions", len(rows), len(gens))
		}
		for i, g := range gens {
			r := rows[i]
			end := g.end
			if i < len(gens)-1 && end == 0 {
				end = g.last
			}
			if !r.Start.Equal(sec(g.start)) || deref(r.Input) != g.octets || r.Open() != (end == 0) || end != 0 && !r.Stop.Equal(sec(end)) {
				t.Fatalf("session %d: row %+v, truth %+v", i, r, g)
			}
			if want := g.last - g.start; deref(r.SessionTime) != want {
				t.Fatalf("session %d: session time %d, want %d", i, deref(r.SessionTime), want)
			}
		}
	})
}

// Any prefix applied again changes nothing.
func TestNextReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []*Record
		from := int64(1_700_000_000)
		for range rapid.IntRange(1, 3).Draw(t, "sessions") {
			g := drawSession(t, from)
			events, from = append(events, g.events...), g.last
		}
		done := rapid.IntRange(1, len(events)).Draw(t, "done")
		row, retired, _ := fold(events[:done]...)
		from2 := rapid.IntRange(0, done-1).Draw(t, "from")
		to2 := rapid.IntRange(from2, done).Draw(t, "to")
		again := row
		for _, ev := range events[from2:to2] {
			tr := Next(again, ev)
			if tr.Retired != nil {
				t.Fatalf("replay of %+v retired a row", ev)
			}
			unmoved(t, again, retired, ev, tr)
			again = &tr.Row
		}
		if d := cmp.Diff(*row, *again, rowOpts()); d != "" {
			t.Fatalf("replay of events %d to %d of %d changed the row (retired before: %d):\n%s", from2, to2, done, len(retired), d)
		}
	})
}

// The same where Starts are lost or come after their Stop, and where silence
// closes rows: an old Start passes for none of a row that has had no Start, or
// that no Stop has closed.
func TestNextReplayOfTheLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var row *Session
		var retired []Session
		var done []*Record
		from := int64(1_700_000_000)
		for range rapid.IntRange(1, 4).Draw(t, "sessions") {
			g := drawSession(t, from)
			from = g.last + int64(slack/time.Second)
			events := g.events
			switch n := len(events); rapid.IntRange(0, 3).Draw(t, "how") {
			case 0: // its Start is lost
				events = events[1:]
			case 1: // its last comes first
				events = append([]*Record{events[n-1]}, events[:n-1]...)
			}
			for _, ev := range events {
				tr := Next(row, ev)
				if tr.Retired != nil {
					retired = append(retired, *tr.Retired)
				}
				if tr.Earlier {
					retired, _ = foldEarlier(row, retired, ev)
				}
				if row != nil || tr.Row.UniqueID != "" {
					row = &tr.Row
				}
				done = append(done, ev)
				if row.Open() && rapid.IntRange(0, 3).Draw(t, "silence") == 0 {
					row.end(later(row.Start, row.Update), CauseLostCarrier)
					row.reckon()
				}
			}
		}
		if row == nil {
			return
		}
		again := row
		for _, ev := range append(slices.Clone(done), rapid.Permutation(done).Draw(t, "order")...) {
			tr := Next(again, ev)
			if tr.Retired != nil {
				t.Fatalf("%+v once more retired a row", ev)
			}
			unmoved(t, again, retired, ev, tr)
			again = &tr.Row
			if d := cmp.Diff(*row, *again, rowOpts()); d != "" {
				t.Fatalf("%v of %v once more changed the row:\n%s", ev.Status, ev.At, d)
			}
		}
	})
}

// The events of one session in any order, some of them twice, make the same
// row; only acctinterval, and the texts of a Stop that came first, tell.
func TestNextOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawSession(t, 1_700_000_000)
		want, _, _ := fold(g.events...)
		mixed := rapid.Permutation(append(slices.Clone(g.events), g.events[rapid.IntRange(0, len(g.events)-1).Draw(t, "twice")])).Draw(t, "order")
		got, retired, _ := fold(mixed...)
		if len(retired) != 0 {
			t.Fatalf("order made %d retired rows", len(retired))
		}
		ignore := []string{"Interval"}
		if g.end != 0 {
			ignore = append(ignore, "ConnectInfoStop") // NULL where the Stop came first
		}
		if d := cmp.Diff(*want, *got, rowOpts(ignore...)); d != "" {
			t.Fatalf("order matters (-in order +mixed):\n%s", d)
		}
	})
}

// unmoved wants an event that has been applied before to change none of the
// retired rows.
func unmoved(t *rapid.T, row *Session, retired []Session, ev *Record, tr Transition) {
	if !tr.Earlier {
		return
	}
	now, _ := foldEarlier(row, retired, ev)
	if d := cmp.Diff(retired, now, rowOpts()); d != "" {
		t.Fatalf("%v of %v once more changed the rows of earlier sessions:\n%s", ev.Status, ev.At, d)
	}
}

// Sessions with one id whose Stops are told after the next one's Start, all of
// them twice and in any order: each has a row, once, and with all that it came to. And
// any of them once more changes nothing.
func TestNextLateStops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var gens []generation
		var events, late []*Record
		from := int64(1_700_000_000)
		for range rapid.IntRange(2, 5).Draw(t, "sessions") {
			g := drawSession(t, from)
			gens, from = append(gens, g), g.last
			if n := len(g.events); g.end != 0 && rapid.Bool().Draw(t, "late") {
				events, late = append(events, g.events[:n-1]...), append(late, g.events[n-1])
			} else {
				events = append(events, g.events...)
			}
		}
		next := drawSession(t, from) // with which all others are over
		early := rapid.IntRange(1, len(next.events)).Draw(t, "early")
		if next.end != 0 { // it may be over as well
			early = rapid.SampledFrom([]int{1, len(next.events)}).Draw(t, "early")
		}
		events = append(events, next.events[:early]...)
		for _, ev := range late {
			ev.Received = ev.At // by a server that was cut off
		}
		late = rapid.Permutation(slices.Concat(late, late)).Draw(t, "order")
		row, retired, _ := fold(slices.Concat(events, late)...)
		if !row.Start.Equal(sec(next.start)) {
			t.Fatalf("the session of now: %+v", row)
		}
		for _, g := range gens {
			told := slices.ContainsFunc(late, func(ev *Record) bool { return ev.At.Equal(sec(g.end)) }) ||
				slices.ContainsFunc(events, func(ev *Record) bool { return g.end != 0 && ev.At.Equal(sec(g.end)) })
			if !told {
				continue
			}
			n := 0
			for _, r := range retired {
				if r.Start.Equal(sec(g.start)) && r.Stop.Equal(sec(g.end)) && deref(r.Input) == g.octets && deref(r.SessionTime) == g.end-g.start {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("%d rows of the session %+v: %+v", n, g, retired)
			}
		}
		if len(retired) > len(gens) {
			t.Fatalf("%d rows of %d earlier sessions: %+v", len(retired), len(gens), retired)
		}
		again := slices.Concat(events, late)
		for _, ev := range again[rapid.IntRange(0, len(again)-1).Draw(t, "from"):] {
			tr := Next(row, ev)
			if tr.Retired != nil || cmp.Diff(*row, tr.Row, rowOpts()) != "" {
				t.Fatalf("%v of %v once more changed the row", ev.Status, ev.At)
			}
			unmoved(t, row, retired, ev, tr)
		}
	})
}

// Whatever comes, counters never shrink, times go on, and what is closed stays
// so until the id is reused.
func TestNextMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var row *Session
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			ev := event(rapid.SampledFrom([]Status{StatusOther, StatusStart, StatusInterim, StatusStop, StatusOn, StatusOff}).Draw(t, "status"),
				rapid.Int64Range(1_700_000_000, 1_700_000_400).Draw(t, "at"),
				rapid.Int64Range(-1, 200).Draw(t, "session"), rapid.Int64Range(-1, 50).Draw(t, "octets"))
			tr := Next(row, ev)
			if row == nil {
				if tr.Row.UniqueID != "" {
					row = &tr.Row
				}
				continue
			}
			old, now := row, &tr.Row
			if tr.Outcome == Reused {
				old = tr.Retired
				if old.Open() || old.UniqueID == testID || now.UniqueID != testID || old.Stop.After(ev.At) {
					t.Fatalf("reuse by %+v: retired %+v, row %+v", ev, old, now)
				}
				now = old
				old = row
			}
			if deref(now.Input) < deref(old.Input) || deref(now.Output) < deref(old.Output) || deref(now.SessionTime) < deref(old.SessionTime) {
				t.Fatalf("counters shrank: %+v after %+v", now, old)
			}
			if now.Update.Before(old.Update) || now.Stop.Before(old.Stop) || !old.Open() && now.Open() {
				t.Fatalf("went back: %+v after %+v", now, old)
			}
			if tr.Outcome == Duplicate || tr.Outcome == Stale || tr.Outcome == Ignored {
				if d := cmp.Diff(*row, tr.Row, rowOpts()); d != "" {
					t.Fatalf("outcome %v changed the row:\n%s", tr.Outcome, d)
				}
			}
			row = &tr.Row
		}
	})
}
