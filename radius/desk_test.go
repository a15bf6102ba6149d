package radius

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"radial/aaa"
)

// TestDeskHands: as many requests as there are hands are handed over at a time, each
// once and in order, whether the ledger is done with them at once, later, or never
// begins; close waits for all.
func TestDeskHands(t *testing.T) {
	var mu sync.Mutex
	var posted []*exchange
	atWork, most := 0, 0
	var d *desk
	turn := 0
	d = newDesk(func(xs []*exchange) (over int) {
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, xs...)
		turn++
		switch turn % 3 {
		case 0: // nobody waits for them
			return len(xs)
		case 1: // turned away at once
			mu.Unlock()
			d.end(len(xs))
			mu.Lock()
		default:
			atWork += len(xs)
			most = max(most, atWork)
		}
		return 0
	})
	d.turns.hands = func() int { return 7 }
	all := exchanges(1000)
	for i := range all {
		d.add(all[i : i+1])
		if i%5 == 0 {
			mu.Lock()
			n := atWork
			atWork = 0
			mu.Unlock()
			if n > 0 {
				d.end(n)
			}
		}
	}
	closed := make(chan struct{})
	go func() { d.close(); close(closed) }()
	eventually(t, "all handed over, and done with", func() bool {
		mu.Lock()
		n := atWork
		atWork = 0
		mu.Unlock()
		if n > 0 {
			d.end(n)
		}
		select {
		case <-closed:
			return true
		default:
			return false
		}
	})
	if len(posted) != len(all) || most > 7 || most < 2 {
		t.Errorf("%d of %d posted, %d at a time", len(posted), len(all), most)
	}
	for i, x := range posted {
		if x != all[i] {
			t.Fatalf("posted out of turn at %d", i)
		}
	}
}

// TestAccountingDrain: what the ledger has when the server ends is answered once it
// is stored; while it is in flight it takes room, a retransmission of it is silence, and
// nothing else is held up for good.
func TestAccountingDrain(t *testing.T) {
	release := make(chan struct{})
	r := start(t, plan{options: Options{MaxInFlight: 40, Sockets: 1, AcctListen: []string{"127.0.0.1:0"}}, acct: accountant(func(context.Context, *aaa.Request) error {
		<-release
		return nil
	})})
	c := r.dial(r.acctAddr())
	for id := range byte(50) {
		c.send(startPacket(id))
	}
	eventually(t, "ten refused", func() bool { return r.count("refused_total", "acct", "overload") == 10 })
	c.send(startPacket(3))
	eventually(t, "seen in flight", func() bool { return r.count("duplicates_total", "in_flight") == 1 })
	ended := make(chan error)
	go func() { ended <- r.stop() }()
	if c.receive(20*time.Millisecond) != nil {
		t.Error("answered before it was stored")
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if c.receive(time.Second) == nil {
			t.Fatalf("%d of 40 answered", i)
		}
	}
	if n := r.count("in_flight_requests", "acct"); n != 0 {
		t.Errorf("%v in flight at the end", n)
	}
}

// TestAccountingDrainEnds: a ledger that is never done with a request does not keep the
// server from ending.
func TestAccountingDrainEnds(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	r := start(t, plan{options: Options{DrainTimeout: 20 * time.Millisecond, AcctListen: []string{"127.0.0.1:0"}}, acct: accountant(func(context.Context, *aaa.Request) error {
		close(entered)
		<-release
		return nil
	})})
	r.dial(r.acctAddr()).send(startPacket(1))
	<-entered
	err := r.stop()
	r.stop = func() error { return nil }
	if err == nil {
		t.Error("Run ended as if nothing had been left unanswered")
	}
	close(release)
	eventually(t, "it is done with after all", func() bool { return r.count("in_flight_requests", "acct") == 0 })
}

// batchLedger tells of all that it has in one batch, as a shard does.
type batchLedger struct {
	accountant
	mu     sync.Mutex
	queue  []*aaa.Posting
	stored func(*aaa.Record)
}

func (b *batchLedger) Post(ps []*aaa.Posting) {
	b.mu.Lock()
	b.queue = append(b.queue, ps...)
	b.mu.Unlock()
}

func (b *batchLedger) Stored(r *aaa.Record) { b.stored(r) }

// TestPostedPanics: of a batch that is stored, a panic costs its own request's answer and no
// other; what has failed is silence.
func TestPostedPanics(t *testing.T) {
	b := &batchLedger{}
	var n int
	b.stored = func(*aaa.Record) {
		if n++; n == 3 {
			panic("third")
		}
	}
	r := start(t, plan{level: zapcore.InfoLevel, acct: b})
	clients := []*client{r.dial(r.acctAddr()), r.dial(r.acctAddr()), r.dial(r.acctAddr())} // of several sockets
	for i, c := range clients {
		for id := range byte(10) {
			c.send(startPacket(id + byte(10*i)))
		}
	}
	eventually(t, "all posted", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.queue) == 30
	})
	b.queue[7].Err = errors.New("no room")
	aaa.TellPosted(b.queue)
	answered := 0
	for _, c := range clients {
		for c.receive(200*time.Millisecond) != nil {
			answered++
		}
	}
	if answered != 28 || r.count("panics_total") != 1 || r.count("silent_total", "panic") != 1 || r.count("silent_total", "account_error") != 1 {
		t.Errorf("%d of 30 answered, %v panics, %v errors", answered, r.count("panics_total"), r.count("silent_total", "account_error"))
	}
	eventually(t, "out of flight", func() bool { return r.count("in_flight_requests") == 0 })
}
