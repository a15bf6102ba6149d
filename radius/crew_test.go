package radius

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func exchanges(n int) []*exchange {
	xs := make([]*exchange, n)
	for i := range xs {
		xs[i] = &exchange{}
	}
	return xs
}

// TestCrewBlocked: when all hands of a crew block, what does not is answered
// all the same, after a moment.
func TestCrewBlocked(t *testing.T) {
	var blocked, done atomic.Int32
	release := make(chan struct{})
	c := newCrew(func(x *exchange) {
		if x.size == 1 {
			blocked.Add(1)
			<-release
		}
		done.Add(1)
	})
	now := time.Time{}
	add := func(n, size int) {
		xs := exchanges(n)
		for _, x := range xs {
			x.size, x.received = size, now
		}
		c.add(xs)
	}
	for range 3 {
		add(maxHands, 1)
	}
	eventually(t, "all hands full", func() bool { return blocked.Load() == maxHands })
	for range 10 {
		add(64, 0)
	}
	now = now.Add(stalledAfter)
	for range 10 {
		add(64, 0)
	}
	eventually(t, "the others done", func() bool {
		now = now.Add(stalledAfter)
		add(1, 0)
		return done.Load() >= 20*64
	})
	if n := blocked.Load(); n > 3*maxHands {
		t.Errorf("%d began, of %d", n, 3*maxHands)
	}
	close(release)
	c.close()
	if n := done.Load(); n < 3*maxHands+20*64 {
		t.Errorf("%d done, want all", n)
	}
}

// TestCrewHands: no more are at work than the crew has hands, as long as
// something is finished.
func TestCrewHands(t *testing.T) {
	var most, at atomic.Int32
	step := make(chan struct{})
	c := newCrew(func(*exchange) {
		if n := at.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-step
		at.Add(-1)
	})
	c.turns.hands = func() int { return 7 }
	c.add(exchanges(30))
	eventually(t, "all hands full", func() bool { return at.Load() == 7 })
	for range 100 {
		c.add(exchanges(3)) // all at the same moment: nothing stalls
		step <- struct{}{}
	}
	n := most.Load()
	close(step)
	c.close()
	if n != 7 {
		t.Errorf("%d at work at once, want 7", n)
	}
}

// TestTurns: in turn as long as the first has not waited for long, then the
// newest first.
func TestTurns(t *testing.T) {
	begin := time.Now()
	order := func(waited time.Duration) (order []int) {
		c := newTurns()
		for i := range 4 {
			c.queue = append(c.queue, &exchange{size: i, received: begin.Add(time.Duration(i) * waited / 3)})
		}
		for c.ready() {
			order = append(order, c.begin().size)
		}
		return order
	}
	if got := order(inTurn); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("work that keeps up takes %v", got)
	}
	if got := order(3 * inTurn); !slices.Equal(got, []int{3, 2, 0, 1}) { // what is left is no older than inTurn
		t.Errorf("work that does not keep up takes %v", got)
	}
}

// TestCrewFast: work that does not block needs few workers, and close waits
// for all of it.
func TestCrewFast(t *testing.T) {
	var mu sync.Mutex
	done := map[*exchange]int{}
	c := newCrew(func(x *exchange) {
		mu.Lock()
		defer mu.Unlock()
		done[x]++
	})
	var producers sync.WaitGroup
	for range 4 {
		producers.Go(func() {
			for range 200 {
				c.add(exchanges(16))
			}
		})
	}
	producers.Wait()
	c.close()
	for _, n := range done {
		if n != 1 {
			t.Fatalf("a request was handled %d times", n)
		}
	}
	if len(done) != 4*200*16 {
		t.Errorf("%d handled, want %d", len(done), 4*200*16)
	}
}

// TestCrewParks: a crew that has nothing to do keeps a bounded number of
// workers.
func TestCrewParks(t *testing.T) {
	release := make(chan struct{})
	var entered atomic.Int32
	c := newCrew(func(*exchange) { entered.Add(1); <-release })
	c.add(exchanges(2 * maxParked))
	eventually(t, "all at work", func() bool { return entered.Load() == 2*maxParked })
	close(release)
	eventually(t, "parked", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.parked == maxParked && !c.turns.ready()
	})
	c.close()
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []int
		began := time.Now()
		d := newDelays(4, func(x *exchange) {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, x.size)
			if x.size < 100 && time.Since(began) != time.Duration(x.size)*time.Second {
				t.Errorf("reply due after %ds was sent after %s", x.size, time.Since(began))
			}
		}, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.run(ctx); close(ended) }()
		hold := func(seconds int) bool {
			return d.hold(&exchange{size: seconds, due: began.Add(time.Duration(seconds) * time.Second)})
		}
		for _, s := range []int{3, 1, 2, 7200} {
			if !hold(s) {
				t.Fatalf("not held: %d", s)
			}
		}
		if hold(1) {
			t.Error("more held than the bound allows")
		}
		time.Sleep(4 * time.Second)
		mu.Lock()
		if !slices.Equal(sent, []int{1, 2, 3}) {
			t.Errorf("sent %v", sent)
		}
		mu.Unlock()
		cancel()
		<-ended
		if !slices.Equal(sent, []int{1, 2, 3, 7200}) {
			t.Errorf("sent %v: the rest goes out at the end", sent)
		}
		if hold(9) {
			t.Error("held after the end")
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, end := context.WithCancel(t.Context())
		d := &deadlines{base: base, timeout: time.Second}
		one := d.context(time.Now())
		time.Sleep(deadlineSlice - 1)
		if d.context(time.Now()) != one {
			t.Error("the same slice has two contexts")
		}
		time.Sleep(time.Nanosecond)
		two := d.context(time.Now())
		if two == one {
			t.Error("two slices share a context")
		}
		time.Sleep(time.Second - 1)
		if one.Err() != nil {
			t.Error("a context ended before its timeout")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !errors.Is(one.Err(), context.DeadlineExceeded) || two.Err() != nil {
			t.Errorf("after the timeout: %v, %v", one.Err(), two.Err())
		}
		end()
		if two.Err() == nil {
			t.Error("the end of all does not end a context")
		}
	})
}
