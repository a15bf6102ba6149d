package radius

import "sync"

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

// put queues a reply; it is false when the outbox is full.
func (o *outbox) put(x *exchange) bool {
	o.mu.Lock()
	if len(o.queue) >= o.max {
		o.mu.Unlock()
		return false
	}
	o.queue = append(o.queue, x)
	first := len(o.queue) == 1
	o.mu.Unlock()
	if first {
		o.more.Signal()
	}
	return true
}

// take waits for replies and returns all of them; their memory is the
// caller's until its next call, with which it gives it back as spare. Nothing
// is returned once the outbox is closed and empty.
func (o *outbox) take(spare []*exchange) []*exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closed {
		o.more.Wait()
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
