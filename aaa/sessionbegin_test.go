package aaa

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The Stop of a session and the Start of the next one with its id are lost, as
// when a router loses its power: what the next one tells is its own.
func TestNextBeganAnew(t *testing.T) {
	interim := func(at, session, octets int64) *Record { return event(StatusInterim, at, session, octets) }
	stop := func(at, session, octets int64) *Record { return event(StatusStop, at, session, octets) }
	tests := []struct {
		name   string
		events []*Record
		octets []int64 // of each row
		open   bool    // the last
	}{
		{"interims and a Stop", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1300, 100, 100), interim(1600, 400, 400), stop(1900, 700, 700)}, []int64{900, 700}, false},
		{"a Stop alone", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), stop(1900, 700, 700)}, []int64{900, 700}, false},
		{"both Starts lost", []*Record{interim(900, 900, 900), interim(1900, 700, 700)}, []int64{900, 700}, true},
		{"longer than the one before", []*Record{event(StatusStart, 0, -1, -1), interim(60, 60, 900), interim(1300, 300, 100)}, []int64{900, 100}, true},
		{"more octets than the one before", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 100), interim(1300, 100, 900)}, []int64{100, 900}, true},
		{"again and again", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1300, 100, 100), interim(1600, 90, 90), interim(1900, 80, 80)}, []int64{900, 100, 90, 80}, true},
		// what is no proof
		{"the row has told its Start alone", []*Record{event(StatusStart, 0, -1, -1), interim(1300, 100, 100)}, []int64{100}, true},
		{"an interim was missed", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(2700, 2700, 2700)}, []int64{2700}, true},
		{"without a session time", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1300, -1, 100)}, []int64{900}, true},
		{"a session time of 0", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1300, 0, 100)}, []int64{900}, true},
		{"counters of octets that began anew", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1200, 1200, 100)}, []int64{900}, true},
		{"within what clocks make", []*Record{event(StatusStart, 0, -1, -1), interim(900, 900, 900), interim(1005, 100, 100)}, []int64{900}, true},
		{"of the row's first minute", []*Record{event(StatusStart, 0, -1, -1), interim(30, 30, 900), interim(80, 20, 100)}, []int64{900}, true},
		{"a clock that was set forward", []*Record{event(StatusStart, 0, -1, -1), interim(300, 300, 300), interim(8000, 600, 600)}, []int64{600}, true},
		{"late, by less than the session's age", []*Record{event(StatusStart, 0, -1, -1), interim(600, 600, 600), interim(700, 300, 300)}, []int64{600}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			row, retired, _ := fold(tt.events...)
			rows := append(retired, *row)
			var octets []int64
			for _, r := range rows {
				octets = append(octets, deref(r.Input))
			}
			if !slices.Equal(octets, tt.octets) || row.Open() != tt.open {
				t.Errorf("octets %v, open %v, want %v and %v", octets, row.Open(), tt.octets, tt.open)
			}
			for _, r := range retired {
				if r.Open() || r.cause() != CauseNASReboot || !r.Stop.Equal(r.Update) {
					t.Errorf("retired: %+v", r)
				}
			}
			again, retiredAgain, _ := fold(slices.Concat(tt.events, tt.events)...)
			if d := cmp.Diff(rows, append(retiredAgain, *again), rowOpts()); d != "" {
				t.Errorf("once more changed:\n%s", d)
			}
		})
	}
}

// drawReboots draws sessions with one id of a device that loses its power again and
// again: each is heard of, some lose their Start and some their Stop.
func drawReboots(t *rapid.T) (gens []generation, events []*Record) {
	at := int64(1_700_000_000)
	for i := range rapid.IntRange(1, 4).Draw(t, "sessions") {
		g := generation{start: at}
		interims := rapid.IntRange(2, 5).Draw(t, "interims")
		every := rapid.Int64Range(60, 900).Draw(t, "interval")
		if i > 0 { // heard of first when it is younger than the one before was
			every = min(every, gens[i-1].last-gens[i-1].start-1)
		}
		if i == 0 || rapid.Bool().Draw(t, "started") {
			g.events = append(g.events, event(StatusStart, at, -1, -1))
		}
		for range interims {
			at += every
			g.octets += rapid.Int64Range(0, 1<<33).Draw(t, "octets")
			g.events = append(g.events, event(StatusInterim, at, at-g.start, g.octets))
		}
		if rapid.Bool().Draw(t, "stops") {
			at += rapid.Int64Range(1, every).Draw(t, "tail")
			g.octets += rapid.Int64Range(0, 1<<33).Draw(t, "octets")
			g.events = append(g.events, event(StatusStop, at, at-g.start, g.octets))
			g.end = at
		}
		g.last = at
		gens, events = append(gens, g), append(events, g.events...)
		at += rapid.Int64Range(6, 600).Draw(t, "dark") // jitter and more
	}
	return gens, events
}

// Whatever was acknowledged of sessions that a device has begun anew under one
// id stands in their rows; and any part of it told once more changes none of them.
func TestNextReboots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gens, events := drawReboots(t)
		row, retired, _ := fold(events...)
		rows := append(retired, *row)
		if len(rows) != len(gens) {
			t.Fatalf("%d rows of %d sessions: %+v", len(rows), len(gens), rows)
		}
		for i, g := range gens {
			r := rows[i]
			if !r.Start.Equal(sec(g.start)) || !r.Update.Equal(sec(g.last)) || deref(r.Input) != g.octets || deref(r.SessionTime) != g.last-g.start {
				t.Fatalf("session %d: %+v, want %+v", i, r, g)
			}
		}
		done := rapid.IntRange(1, len(events)).Draw(t, "done")
		row, retired, _ = fold(events[:done]...)
		before := append(slices.Clone(retired), *row)
		again := slices.Concat(events[:done], rapid.Permutation(events[:done]).Draw(t, "order"))
		for _, ev := range again {
			tr := Next(row, ev)
			if tr.Retired != nil {
				t.Fatalf("%v of %v once more retired a row", ev.Status, ev.At)
			}
			unmoved(t, row, retired, ev, tr)
			row = &tr.Row
		}
		if d := cmp.Diff(before, append(slices.Clone(retired), *row), rowOpts()); d != "" {
			t.Fatalf("told once more, %d of %d changed:\n%s", done, len(events), d)
		}
	})
}

// A device whose session time stands still, runs slowly, or is any number, and
// whose octets go on: the first two stay one session. The last one may be mistaken,
// but never twice in a row, and seldom.
func TestNextOddSessionTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"still", "slow", "any"}).Draw(t, "session time")
		still, slow := rapid.Int64Range(1, 1000).Draw(t, "still"), rapid.Int64Range(2, 1000).Draw(t, "slow")
		every := rapid.Int64Range(10, 900).Draw(t, "interval")
		row, _, _ := fold(event(StatusStart, 1_700_000_000, -1, -1))
		before := Updated
		for i := range rapid.Int64Range(1, 40).Draw(t, "interims") + 1 {
			lived := still
			switch kind {
			case "slow":
				lived = i * every / slow
			case "any":
				lived = rapid.Int64Range(1, every).Draw(t, "lived")
			}
			tr := Next(row, event(StatusInterim, 1_700_000_000+(i+1)*every, lived, 1000*i))
			if tr.Outcome == Reused && (kind != "any" || before == Reused) {
				t.Fatalf("interim %d, session time %d: a new row after %+v", i, lived, row)
			}
			row, before = &tr.Row, tr.Outcome
		}
	})
}
