package radius

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestNotices: storms make one line a minute and source, forged sources one for
// all, and nothing goes untold.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.WarnLevel)
		n := newNotices(zap.New(core), time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { n.run(ctx); close(ended) }()
		tell := func(source string) {
			a := netip.MustParseAddr(source)
			n.tell("dropped", a, func() []zap.Field { return []zap.Field{zap.Stringer("source", a)} })
		}
		expect := func(what string, want ...int64) {
			t.Helper()
			synctest.Wait()
			var got []int64
			for _, l := range logs.TakeAll() {
				got = append(got, l.ContextMap()["packets"].(int64))
			}
			if len(got) != len(want) {
				t.Fatalf("%s: lines with %v packets, want %v", what, got, want)
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%s: lines with %v packets, want %v", what, got, want)
				}
			}
		}
		tell("192.0.2.1")
		expect("the first at once", 1)
		for range 1000 {
			tell("192.0.2.1")
		}
		expect("the storm not yet")
		tell("192.0.2.2")
		expect("another source at once", 1)
		time.Sleep(time.Minute + time.Second)
		expect("the storm after a minute", 1000)
		time.Sleep(3 * time.Minute)
		expect("no more")
		if len(n.seen) != 0 {
			t.Errorf("%d sources remembered after the storm", len(n.seen))
		}
		a := netip.MustParseAddr("10.0.0.0")
		for range noticeSources {
			a = a.Next()
			tell(a.String())
		}
		logs.TakeAll()
		for range 500 {
			a = a.Next()
			tell(a.String())
		}
		expect("sources without end share a line", 1)
		if len(n.seen) > noticeSources+1 {
			t.Errorf("%d sources remembered, want at most %d", len(n.seen), noticeSources+1)
		}
		cancel()
		<-ended
		expect("the rest at the end", 499)
	})
}
