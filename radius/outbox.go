package radius

import (
	"runtime"
	"sync"
)

// outbox gathers the replies of a socket while its writer sends the ones
// before.
type outbox struct {
	max int

	mu     sync.Mutex
	more   sync.Cond
	queue  []*exchange
	closed bool
}

func newOutbox(max int) *outbox {
	o := &outbox{max: max}
	o.more.L = &o.mu
	return o
}

// put queues replies, and tells how many: fewer when the outbox is full.
func (o *outbox) put(xs []*exchange) int {
	o.mu.Lock()
	first := len(o.queue) == 0
	n := min(len(xs), max(o.max-len(o.queue), 0))
	o.queue = append(o.queue, xs[:n]...)
	o.mu.Unlock()
	if first && n > 0 {
		o.more.Signal()
	}
	return n
}

// take waits for replies and returns all of them; their memory is the
// caller's until its next call, with which it gives it back as spare. Nothing
// is returned once the outbox is closed and empty.
func (o *outbox) take(spare []*exchange) []*exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed {
		o.more.Wait()
		// Who is about to put a reply does so first: logins whose leases have been committed
		// together. Where nobody is, this is nothing.
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
	}
	full := o.queue
	o.queue = spare[:0]
	return full
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.more.Broadcast()
}
