package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"radial/load"
	"radial/store"
)

func TestLoadVerified(t *testing.T) {
	want := load.SessionState{User: "u", SessionID: "s", Stopped: true, Input: 10, Output: 20, SentInput: 15, SentOutput: 25, SentStop: true}
	full := store.StoredSession{SessionID: "s", Started: true, Stopped: true, Input: 10, Output: 25}
	acknowledged, stored := loadTotals{1, 1, 30}, loadTotals{1, 1, 35}
	for name, c := range map[string]struct {
		rows []store.StoredSession
		want loadVerified
	}{
		"right":       {[]store.StoredSession{full}, loadVerified{Stored: stored}},
		"missing":     {nil, loadVerified{Missing: 1}},
		"two rows":    {[]store.StoredSession{full, full}, loadVerified{Stored: stored, Double: 1}},
		"no stop":     {[]store.StoredSession{{Input: 10, Output: 20}}, loadVerified{Stored: loadTotals{1, 0, 30}, MissingStops: 1}},
		"less octets": {[]store.StoredSession{{Stopped: true, Input: 10, Output: 19}}, loadVerified{Stored: loadTotals{1, 1, 29}, LessOctets: 1}},
		"more octets": {[]store.StoredSession{{Stopped: true, Input: 20, Output: 25}}, loadVerified{Stored: loadTotals{1, 1, 45}, MoreOctets: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got loadVerified
			got.compare(want, c.rows)
			c.want.Acknowledged = acknowledged
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(loadVerified{})); diff != "" {
				t.Error(diff)
			}
			if got.failed() != (name != "right") || len(got.examples) == 0 && got.failed() {
				t.Errorf("failed %v, examples %v", got.failed(), got.examples)
			}
		})
	}
}

func TestLoadLine(t *testing.T) {
	last := load.Sample{Elapsed: time.Second, Counts: load.Counts{Answered: 1000}}
	now := load.Sample{Elapsed: 3 * time.Second, Outstanding: 7, Waiting: 2, Latency: load.Latency{P50: time.Millisecond, P99: 12340 * time.Microsecond},
		Counts: load.Counts{Answered: 4000, Accepted: 5, Retransmitted: 3, GivenUp: 1, Rejected: 9, DoubleAddress: 1}}
	want := "    3 s     1500/s  outstanding     7  p50 1.00 ms  p99 12.34 ms  sent again 3  given up 1  rejects 9  in 5  to dial again 2  WRONG ANSWERS 1"
	if got := loadLine(last, now); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestShare(t *testing.T) {
	for text, want := range map[string]float64{"2%": .02, "0.02": .02, "100%": 1, "0": 0, "2": -1, "101%": -1, "-1%": -1, "x": -1, "": -1, "NaN": -1} {
		got, err := share("--f", text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
