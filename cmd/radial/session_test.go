package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"radial/store"
	"radial/store/storetest"
)

func TestOctets(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		20_000_000_000: "20.0 GB", 1 << 62: "4.6 EB",
	} {
		if got := octets(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m0s", 3*time.Hour + 5*time.Minute + time.Second: "3h5m", 51*time.Hour + time.Minute: "2d3h",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// screen is a terminal whose reader presses Ctrl-C after the first picture.
type screen struct {
	strings.Builder
	quit func()
}

func (s *screen) Write(p []byte) (int, error) {
	defer s.quit()
	return s.Builder.Write(p)
}

func TestWatchDrawsUntilTheEnd(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ('s', 'u', 'alice', '10.0.0.1', now())`)
	ctx, cancel := context.WithCancel(t.Context())
	out := &screen{quit: cancel}
	a := newApp()
	a.stdout = out
	if err := watchSessions(ctx, a, db.DB, store.SessionQuery{Limit: 1}, time.UTC); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "\x1b[H\x1b[2J") || !strings.Contains(got, ": 1 sessions (--limit)") || strings.Count(got, "alice") != 1 {
		t.Errorf("%q", got)
	}
	if err := watchSessions(ctx, a, db.DB, store.SessionQuery{}, time.UTC); err != nil {
		t.Error("a question that Ctrl-C cuts is no error: ", err)
	}
}
