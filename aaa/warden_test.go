package aaa

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// orders is a Control that remembers.
type orders struct {
	mu  sync.Mutex
	all []string
}

func (o *orders) Order(_ context.Context, one Order) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := one.User + ": " + string(one.Want)
	if one.Want == WantRate {
		text += " " + one.Rate.String()
	}
	o.all = append(o.all, text)
	return nil
}

func (o *orders) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.all = nil }()
	return fmt.Sprint(o.all)
}

// A border that a running session crosses is noticed by the record that crosses
// it, and by no other.
func TestWardenNoticesBorders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newWorkbench(t)
		day, use := DayOf(b.clock, time.UTC), dailyUse{}
		b.config.Meter = use
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Limits: UserLimits{Quotas: []Quota{monthly(1000), fup(500, 10e6, 2e6)}}})
		e, control := NewEngine(b.config), &orders{}
		failed := 0
		w := NewWarden(e, control, func(string, error) { failed++ })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		report := func(session string, status Status, input, output int64) string {
			use[day] = Usage{Input: use[day].Input, Output: uint64(output)}
			w.Seen(&Record{Status: status, UniqueID: session, User: "alice", Login: "alice", NAS: netip.MustParseAddr("10.0.0.1"), Input: &input, Output: &output})
			synctest.Wait()
			return control.take()
		}
		if got := report("early", StatusInterim, 0, 9999); got != "[]" {
			t.Errorf("a user whom nobody has let in: %s", got)
		}
		use[day] = Usage{}
		if d, err := e.Authorize(ctx, b.request(t, "User-Name", "alice", "User-Password", "wrong")); err != nil || d.Verdict == Accept || w.users.len() != 0 {
			t.Errorf("a wrong password is watched: %v %v", d, err)
		}
		if d, err := e.Authorize(ctx, b.request(t, "User-Name", "alice", "User-Password", "p1")); err != nil || d.Verdict != Accept {
			t.Fatal(d, err)
		}
		for _, step := range []struct {
			status Status
			output int64
			want   string
		}{
			{StatusStart, 0, "[]"},
			{StatusInterim, 499, "[]"},
			{StatusInterim, 499, "[]"}, // again
			{StatusInterim, 500, "[alice: rate 2M/10M]"},
			{StatusInterim, 600, "[]"},
			{StatusInterim, 400, "[]"}, // late
			{StatusInterim, 999, "[]"},
			{StatusInterim, 1200, "[alice: disconnect]"},
			{StatusInterim, 1300, "[]"},
			{StatusStop, 1300, "[]"},
		} {
			if got := report("s1", step.status, 0, step.output); got != step.want {
				t.Errorf("at %d: %s, want %s", step.output, got, step.want)
			}
		}
		if w.users.len() != 0 || failed != 0 {
			t.Errorf("%d users are watched still, %d looks failed", w.users.len(), failed)
		}
		// what nobody counted along is found by a look at the open session
		if err := w.LookAll(ctx, []OpenLogin{{User: "alice", NAS: "10.0.0.1", Port: "7", ServiceType: "no such"}}); err != nil || control.take() != "[alice: disconnect]" {
			t.Error(err)
		}
		use[day] = Usage{}
		if err := w.LookAll(ctx, []OpenLogin{{User: "alice"}}); err != nil || control.take() != "[alice: ]" {
			t.Error(err)
		}
		// rows that are away, or that cannot be read, may be about to be written anew: what was wanted stands
		for name, without := range map[string]UserRows{"away": {}, "unreadable": {Check: rows("Session-Timeout", ":=", "soon")}} {
			b.tables.set("alice", without)
			b.cache.InvalidateAll()
			if err := w.LookAll(ctx, []OpenLogin{{User: "alice"}}); err != nil {
				t.Error(name, err)
			}
			if got := control.take(); got != "[]" {
				t.Errorf("rows %s: %s", name, got)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Sessions whose Stop has gone to another server, and users of whom nothing more comes, are
// forgotten in time; who is heard of is counted along as ever.
func TestWardenForgets(t *testing.T) {
	b := newWorkbench(t)
	e := NewEngine(b.config)
	w := NewWarden(e, &orders{}, func(string, error) {})
	left := []Balance{{Quota: monthly(1000), Left: 1000}}
	seen := func(user, session string, status Status, output int64) bool {
		return w.count(&Record{Status: status, UniqueID: session, User: user, Output: &output})
	}
	w.expect("alice", left)
	w.expect("gone", left)
	seen("alice", "lives", StatusStart, 0)
	for i := range 300 { // of each the Stop goes elsewhere
		b.clock = b.clock.Add(time.Hour)
		seen("alice", fmt.Sprint("s", i), StatusStart, 0)
		seen("alice", "lives", StatusInterim, int64(i))
	}
	alice, ok := w.users.get("alice")
	if !ok {
		t.Fatal("alice is not watched any more")
	}
	if n := alice.sessions.len(); n > 2*int(wardenForgets/time.Hour)+3 {
		t.Errorf("%d sessions are remembered", n)
	}
	if _, is := w.users.get("gone"); is || w.users.len() != 1 {
		t.Errorf("%d users are watched", w.users.len())
	}
	if seen("alice", "lives", StatusInterim, 999) || !seen("alice", "lives", StatusInterim, 1000) {
		t.Errorf("%d octets are left", alice.total)
	}
	b.clock = b.clock.Add(100 * time.Hour)
	if seen("alice", "lives", StatusInterim, 5000); w.users.len() != 0 {
		t.Errorf("%d users are watched after days of silence", w.users.len())
	}
}

// tellingMeter calls what is set before it tells what was used.
type tellingMeter struct {
	dailyUse
	used   func() // after the look has read
	called int
}

func (m *tellingMeter) Used(ctx context.Context, user string, spans []Span) ([]Usage, error) {
	all, err := m.dailyUse.Used(ctx, user, spans)
	if m.called++; m.used != nil {
		m.used()
	}
	return all, err
}

// What is stored while a user is looked at, and what a session moves of which this server has
// not heard yet, are not left to the job of every minute; nor is a user who has a quota from
// now on, once his sessions have been seen to.
func TestWardenMissesNothingBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newWorkbench(t)
		day, meter := DayOf(b.clock, time.UTC), &tellingMeter{dailyUse: dailyUse{}}
		b.config.Meter = meter
		rows := UserRows{Check: rows("Cleartext-Password", ":=", "p1")}
		b.tables.set("alice", rows)
		e, control := NewEngine(b.config), &orders{}
		w := NewWarden(e, control, func(_ string, err error) { t.Error(err) })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		stored := func(session string, output int64) {
			meter.dailyUse[day] = Usage{Output: uint64(output)}
			w.Seen(&Record{Status: StatusInterim, UniqueID: session, User: "alice", Login: "alice", NAS: netip.MustParseAddr("10.0.0.1"), Output: &output})
		}
		wants := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := control.take(); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		login := OpenLogin{User: "alice", NAS: "10.0.0.1"}
		due := func() {
			t.Helper()
			if _, err := e.Due(ctx, &LiveSession{Login: login, NAS: netip.MustParseAddr("10.0.0.1")}); err != nil {
				t.Fatal(err)
			}
		}

		if due(); w.users.len() != 0 {
			t.Error("a user without a quota is watched")
		}
		rows.Limits.Quotas = []Quota{monthly(1000)}
		b.tables.set("alice", rows)
		meter.used = func() { meter.used = nil; stored("s1", 1200) }
		due()
		wants("beyond his new quota while he was looked at", "[alice: disconnect]")

		meter.dailyUse[day] = Usage{}
		w.users.del("alice") // as after his last Stop
		due()
		stored("s2", 1100)
		wants("a session that was not heard of before", "[alice: disconnect]")

		meter.dailyUse[day] = Usage{}
		meter.used = func() { meter.used = nil; stored("s2", 1300) }
		if err := w.LookAll(ctx, []OpenLogin{login}); err != nil {
			t.Error(err)
		}
		wants("beyond it while a look was under way", "[alice:  alice: disconnect]")
		before := meter.called
		stored("s2", 1301)
		wants("a record more", "[]")
		if meter.called != before || len(w.looks) != 0 {
			t.Errorf("%d looks more; under way still: %d", meter.called-before, len(w.looks))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
