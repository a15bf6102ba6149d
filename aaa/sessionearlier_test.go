package aaa

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEarlier(t *testing.T) {
	stop := func(at, session, octets int64) *Record {
		return with(event(StatusStop, at, session, octets), func(r *Record) { r.TerminateCause = "User-Request" })
	}
	came := func(r *Record, at int64) *Record {
		r.Received = sec(at)
		return r
	}
	now, _, _ := fold(event(StatusStart, 1000, -1, -1))
	counted, _, _ := fold(event(StatusStart, 1000, -1, -1), event(StatusInterim, 1060, 60, 5))
	row := func(events ...*Record) *Session {
		r, _, _ := fold(events...)
		if r.Open() {
			r.end(r.Update, CauseNASReboot)
		}
		r.UniqueID = RetiredID(r)
		return r
	}
	whole := row(event(StatusStart, 100, -1, -1), stop(200, 100, 7))
	silent := row(event(StatusStart, 300, -1, -1), event(StatusInterim, 360, 60, 9))
	tests := map[string]struct {
		row     *Session
		before  []*Session
		ev      *Record
		of      int
		outcome Outcome
		start   int64 // of the row after it
		octets  int64
	}{
		"nobody has a row":                          {now, nil, stop(900, 60, 5), -1, Closed, 840, 5},
		"of a session between two":                  {now, []*Session{whole, silent}, stop(290, 60, 5), -1, Closed, 230, 5},
		"of the last one, which was never closed":   {now, []*Session{whole, silent}, stop(420, 120, 12), 1, Corrected, 300, 12},
		"in whatever order":                         {now, []*Session{silent, whole}, stop(420, 120, 12), 0, Corrected, 300, 12},
		"after the last one":                        {now, []*Session{whole, silent}, stop(420, 30, 12), -1, Closed, 390, 12},
		"again":                                     {now, []*Session{whole, silent}, stop(200, 100, 7), 0, Duplicate, 100, 7},
		"again, and less":                           {now, []*Session{whole}, stop(190, 90, 6), 0, Duplicate, 100, 7},
		"of the first second":                       {now, []*Session{whole}, stop(250, 0, 0), -1, Closed, 250, 0},
		"no session time, may be the last one's":    {now, []*Session{whole, silent}, stop(420, -1, 12), 1, Corrected, 300, 12},
		"no session time, and less than the last":   {now, []*Session{whole, silent}, stop(420, -1, 2), -1, Closed, 420, 2},
		"less than the row has":                     {counted, nil, stop(900, 50, 4), -1, Closed, 850, 4},
		"may be the row's own":                      {counted, nil, stop(900, 70, 6), -1, Stale, 1000, 5},
		"may be by its counters, but it came first": {counted, nil, came(stop(900, 70, 6), 901), -1, Closed, 830, 6},
		"may be, but has a row":                     {counted, []*Session{silent}, stop(420, 120, 12), 0, Corrected, 300, 12},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			of, tr := Earlier(test.row, test.before, test.ev)
			if of != test.of || tr.Outcome != test.outcome || !tr.Row.Start.Equal(sec(test.start)) || deref(tr.Row.Input) != test.octets {
				t.Errorf("%d, %v, %+v", of, tr.Outcome, tr.Row)
			}
			before := test.before
			switch {
			case of >= 0:
				before[of] = &tr.Row
			case tr.Outcome == Closed:
				before = append(before, &tr.Row)
			default:
				return
			}
			again, t2 := Earlier(test.row, before, test.ev)
			if d := cmp.Diff(tr.Row, t2.Row, rowOpts()); again < 0 || t2.Outcome != Duplicate || d != "" {
				t.Errorf("once more: %d, %v\n%s", again, t2.Outcome, d)
			}
		})
	}
}
