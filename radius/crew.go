package radius

import "sync"

// maxParked bounds the workers of a crew that wait for work; more of them end.
const maxParked = 256

// crew works on requests, each in a goroutine that may block. One worker takes
// request after request while the answers come at once; before it begins one,
// it makes sure that another worker is on its way to the rest of the queue. So
// fast answers cost no switch between goroutines, and slow ones hold nobody up:
// there are as many workers as requests that wait for something, which
// Options.MaxInFlight bounds.
type crew struct {
	handle func(*exchange)

	mu     sync.Mutex
	more   sync.Cond // signalled once for each waking worker
	queue  []*exchange
	head   int  // queue[:head] has been taken
	waking bool // a worker has been woken and has not yet looked
	parked int
	closed bool
	alive  sync.WaitGroup
}

func newCrew(handle func(*exchange)) *crew {
	c := &crew{handle: handle}
	c.more.L = &c.mu
	return c
}

// add queues requests.
func (c *crew) add(xs []*exchange) {
	c.mu.Lock()
	if c.head > 0 && len(c.queue)+len(xs) > cap(c.queue) { // reuse what has been taken
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
	c.queue = append(c.queue, xs...)
	c.wake()
	c.mu.Unlock()
}

// close lets the workers finish the queue and end; wait for alive.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	c.more.Broadcast()
	c.mu.Unlock()
}

// wake sees to it that some worker is about to look at a queue that has
// something left. The lock is held.
func (c *crew) wake() {
	if c.waking || c.head == len(c.queue) {
		return
	}
	c.waking = true
	if c.parked > 0 {
		c.more.Signal()
		return
	}
	c.alive.Go(c.work)
}

func (c *crew) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waking = false
	for {
		for c.head == len(c.queue) {
			if c.closed || c.parked >= maxParked {
				return
			}
			c.parked++
			c.more.Wait()
			c.parked--
			c.waking = false
		}
		x := c.take()
		c.wake()
		c.mu.Unlock()
		c.handle(x)
		c.mu.Lock()
	}
}

// take returns the first of the queue. The lock is held.
func (c *crew) take() *exchange {
	x := c.queue[c.head]
	c.queue[c.head] = nil
	if c.head++; c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
	}
	return x
}
