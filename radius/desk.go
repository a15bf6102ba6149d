package radius

import "sync"

// desk is where the accounting requests of a socket are handed over to the
// ledger, which keeps them until they are stored: no goroutine waits for them. It
// hands as many over at a time as it has hands; the rest wait for their turn.
type desk struct {
	post func([]*exchange) (over int)

	mu      sync.Mutex
	turns   turns
	posting bool      // somebody does, and goes on until nothing is ready
	idle    sync.Cond // told when nothing is left of a closed one
}

// newDesk makes a desk. post hands requests over, and returns how many of them
// are done with already; end must be told of the others.
func newDesk(post func([]*exchange) (over int)) *desk {
	d := &desk{post: post, turns: newTurns()}
	d.idle.L = &d.mu
	return d
}

// add queues requests, which have just been received.
func (d *desk) add(xs []*exchange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns.add(xs)
	d.handOver()
}

// end tells that requests are done with.
func (d *desk) end(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns.end(n)
	d.handOver()
}

// handOver posts what is ready. The lock is held, but not while it posts: the
// ledger may call end from there.
func (d *desk) handOver() {
	if d.posting {
		return
	}
	d.posting = true
	for d.turns.ready() {
		var xs []*exchange
		for d.turns.ready() {
			xs = append(xs, d.turns.begin())
		}
		d.mu.Unlock()
		over := d.post(xs)
		d.mu.Lock()
		if over > 0 {
			d.turns.end(over)
		}
	}
	d.posting = false
	if d.turns.closed && d.turns.busy == 0 {
		d.idle.Broadcast()
	}
}

// close hands over all that waits, and waits until it is done with.
func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns.closed = true
	d.handOver()
	for d.turns.busy > 0 || d.posting {
		d.idle.Wait()
	}
}

// oldest takes the first of the queue, to make room; nil: nothing waits.
func (d *desk) oldest() *exchange {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.turns.oldest()
}
