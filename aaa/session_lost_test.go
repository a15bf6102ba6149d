package aaa

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A session that is closed for its silence at any time, and reports all the
// same, in any order and some of it twice: it stays closed, and what it came to
// is what it would have come to.
func TestNextLostSession(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawSession(t, 1_700_000_000)
		want, _, _ := fold(g.events...)
		n := rapid.IntRange(1, len(g.events)).Draw(t, "heard")
		row, _, _ := fold(g.events[:n]...)
		if row.Open() {
			row.end(later(row.Start, row.Update), CauseLostCarrier)
			row.reckon()
		}
		rest := slices.Clone(g.events[n:])
		rest = append(rest, g.events[rapid.IntRange(0, len(g.events)-1).Draw(t, "twice")])
		for _, ev := range rapid.Permutation(rest).Draw(t, "order") {
			tr := Next(row, ev)
			if tr.Row.Open() || tr.Retired != nil {
				t.Fatalf("%+v made %+v", ev, tr)
			}
			again := Next(&tr.Row, ev)
			if d := cmp.Diff(tr.Row, again.Row, rowOpts()); d != "" {
				t.Fatalf("once more changed:\n%s", d)
			}
			row = &tr.Row
		}
		if deref(row.Input) != deref(want.Input) || deref(row.Output) != deref(want.Output) || deref(row.SessionTime) != deref(want.SessionTime) || !row.Stop.Equal(want.Update) {
			t.Fatalf("came to %+v, want %+v", row, want)
		}
	})
}

// A Start alone, closed for its silence, knows when it began: an older Start,
// of an earlier session with its id, does not move that.
func TestNextOldStartOfLostSession(t *testing.T) {
	row, _, _ := fold(event(StatusStart, 1000, -1, -1))
	row.end(row.Start, CauseLostCarrier)
	row.reckon()
	for _, late := range []*Record{nil, event(StatusInterim, 1000, -1, 5), event(StatusInterim, 1060, -1, 5)} {
		want := row
		if late != nil {
			tr := Next(row, late)
			want = &tr.Row
		}
		for _, at := range []int64{100, 990, 999} {
			if tr := Next(want, event(StatusStart, at, -1, -1)); tr.Outcome != Duplicate && tr.Outcome != Stale || tr.Row != *want {
				t.Errorf("after %+v, a Start of %d: %v, %+v", late, at, tr.Outcome, tr.Row)
			}
		}
	}
}
