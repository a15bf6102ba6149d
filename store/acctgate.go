package store

import (
	"net/netip"
	"sync"

	"radial/aaa"
)

// gates keep Accounting-On and Off in order with the records of their NAS,
// which are spread over the shards: an On waits until every record that came
// before it is finished, and every record that comes after it waits for it.
// Nobody waits in a goroutine: what may go on is put into its queue by whoever has
// set it free.
type gates struct {
	max     int
	forward func(*entry) (taken bool) // into the queue of a shard, or of Ons and Offs

	mu      sync.Mutex
	of      map[netip.Addr]*gate
	all     int // under way or waiting
	waiting int
	closed  bool
	empty   chan struct{} // closed with the last one, after close
}

// gate is there while its NAS has a record or a barrier under way.
type gate struct {
	users   int      // records under way
	barrier *entry   // an On or Off under way, or waiting for the last user; nil: none
	queue   []*entry // what has come since, in order
}

func newGates(max int, forward func(*entry) bool) gates {
	return gates{max: max, forward: forward, of: map[netip.Addr]*gate{}, empty: make(chan struct{})}
}

// enter lets records in, in their order; leave must follow for each that is not
// among the refused, whose err is set.
func (g *gates) enter(batch []*entry) (refused []*entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range batch {
		if g.closed {
			e.err = errStopped
			refused = append(refused, e)
			continue
		}
		t := g.of[e.raw.NAS]
		if t == nil {
			t = &gate{}
			g.of[e.raw.NAS] = t
		}
		if t.barrier != nil {
			if g.waiting >= g.max {
				e.err = errQueueFull
				refused = append(refused, e)
				continue
			}
			t.queue = append(t.queue, e)
			g.waiting++
			g.all++
			continue
		}
		g.all++
		refused = g.admit(t, e, refused)
	}
	return refused
}

// admit lets one in that nothing is before. The lock is held.
func (g *gates) admit(t *gate, e *entry, refused []*entry) []*entry {
	if e.down() {
		t.barrier = e
		if t.users == 0 && !g.forward(e) {
			t.barrier = nil
			refused = g.refuse(t, e, refused)
		}
		return refused
	}
	t.users++
	if !g.forward(e) {
		t.users--
		refused = g.refuse(t, e, refused)
	}
	return refused
}

func (g *gates) refuse(t *gate, e *entry, refused []*entry) []*entry {
	e.err = errQueueFull
	g.gone(t, e.raw.NAS)
	return append(refused, e)
}

// leave tells that records are finished. What they have kept waiting goes on, but
// for the refused.
func (g *gates) leave(batch []*entry) (refused []*entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range batch {
		t := g.of[e.raw.NAS]
		if e.down() {
			t.barrier = nil
		} else {
			t.users--
		}
		g.gone(t, e.raw.NAS)
		refused = g.next(t, e.raw.NAS, refused)
	}
	return refused
}

// next lets on what waits for a NAS and need not any more. The lock is held.
func (g *gates) next(t *gate, nas netip.Addr, refused []*entry) []*entry {
	if t.barrier != nil {
		if t.users > 0 || g.forward(t.barrier) {
			return refused
		}
		e := t.barrier
		t.barrier = nil
		refused = g.refuse(t, e, refused)
	}
	for len(t.queue) > 0 && t.barrier == nil {
		e := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		g.waiting--
		refused = g.admit(t, e, refused)
	}
	return refused
}

// gone takes one off the books. The lock is held.
func (g *gates) gone(t *gate, nas netip.Addr) {
	if t.users == 0 && t.barrier == nil && len(t.queue) == 0 {
		delete(g.of, nas)
	}
	if g.all--; g.all == 0 && g.closed {
		close(g.empty)
	}
}

// close refuses whatever comes from now on, and waits until nothing is under way.
func (g *gates) close() {
	g.mu.Lock()
	g.closed = true
	if g.all == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
}

// down tells that an entry is a barrier.
func (e *entry) down() bool {
	return e.raw.Status == aaa.StatusOn || e.raw.Status == aaa.StatusOff
}
