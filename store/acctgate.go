package store

import (
	"context"
	"net/netip"
	"sync"
)

// gates keep Accounting-On and Off in order with the records of their NAS,
// which are spread over the shards: an On waits until every record that came
// before it is finished, and every record that comes after it waits for it.
type gates struct {
	mu sync.Mutex
	of map[netip.Addr]*gate
}

// gate is there while its NAS has a record or a barrier under way.
type gate struct {
	users   int           // records under way
	barrier chan struct{} // closed when the barrier is gone; nil: none
	idle    chan struct{} // closed when the last user leaves; nil: nobody waits
}

func (g *gates) get(nas netip.Addr) *gate {
	t := g.of[nas]
	if t == nil {
		t = &gate{}
		g.of[nas] = t
	}
	return t
}

// enter counts a record in; leave must follow.
func (g *gates) enter(ctx context.Context, nas netip.Addr) error {
	for {
		g.mu.Lock()
		t := g.get(nas)
		wait := t.barrier
		if wait == nil {
			t.users++
		}
		g.mu.Unlock()
		if wait == nil {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gates) leave(nas netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of[nas]
	if t.users--; t.users > 0 {
		return
	}
	if t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
	if t.barrier == nil {
		delete(g.of, nas)
	}
}

// block raises the barrier of a NAS and waits until its records are finished;
// unblock must follow unless it returns an error.
func (g *gates) block(ctx context.Context, nas netip.Addr) error {
	for {
		g.mu.Lock()
		t := g.get(nas)
		wait, mine := t.barrier, t.barrier == nil
		if mine {
			t.barrier = make(chan struct{})
			if t.users > 0 {
				t.idle = make(chan struct{})
			}
			wait = t.idle
		}
		g.mu.Unlock()
		if wait != nil {
			select {
			case <-wait:
			case <-ctx.Done():
				if mine {
					g.unblock(nas)
				}
				return ctx.Err()
			}
		}
		if mine {
			return nil
		}
	}
}

func (g *gates) unblock(nas netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of[nas]
	close(t.barrier)
	t.barrier, t.idle = nil, nil
	if t.users == 0 {
		delete(g.of, nas)
	}
}
