package jobs

import (
	"net/netip"
	"testing"
	"time"
)

// A device that does not answer is asked by one request at a time, now and
// then; one answer, and all is as before.
func TestQuietDevices(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := newQuietDevices(func() time.Time { return now })
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range quietAfter {
		if wait := q.ask(a); wait != 0 {
			t.Fatalf("request %d waits for %s", i, wait)
		}
		q.heard(a, false)
	}
	if wait := q.ask(a); wait != quietFor || q.count() != 1 {
		t.Errorf("quiet: %s, %d devices", wait, q.count())
	}
	if wait := q.ask(b); wait != 0 {
		t.Errorf("another device waits for %s", wait)
	}
	now = now.Add(quietFor)
	if first, second := q.ask(a), q.ask(a); first != 0 || second != quietFor {
		t.Errorf("after a while: %s, then %s", first, second)
	}
	q.heard(a, false)
	if wait := q.ask(a); wait != quietFor {
		t.Errorf("still quiet: %s", wait)
	}
	q.heard(a, true)
	if wait := q.ask(a); wait != 0 || q.count() != 0 {
		t.Errorf("it is back: %s, %d quiet", wait, q.count())
	}
}
