package radius

import "sync"

// maxParked bounds the workers of a crew that wait for work; more of them end.
const maxParked = 256

// crew works on requests, each in a goroutine that may block. One worker takes
// request after request while the answers come at once; before it begins one,
// it makes sure that another worker is on its way to the rest of the queue. So
// fast answers cost no switch between goroutines, and slow ones hold nobody up:
// there are as many workers as requests that wait for something, up to the
// crew's hands.
type crew struct {
	handle func(*exchange)

	mu     sync.Mutex
	more   sync.Cond // signalled once for each waking worker
	turns  turns
	waking bool // a worker has been woken and has not yet looked
	parked int
	alive  sync.WaitGroup
}

func newCrew(handle func(*exchange)) *crew {
	c := &crew{handle: handle, turns: newTurns()}
	c.more.L = &c.mu
	return c
}

// add queues requests, which have just been received.
func (c *crew) add(xs []*exchange) {
	c.mu.Lock()
	c.turns.add(xs)
	c.wake()
	c.mu.Unlock()
}

// close has the workers finish the queue, and waits for them.
func (c *crew) close() {
	c.mu.Lock()
	c.turns.closed = true
	c.wake()
	c.more.Broadcast()
	c.mu.Unlock()
	c.alive.Wait()
}

// wake sees to it that some worker is about to look at a queue that has
// something left. The lock is held.
func (c *crew) wake() {
	if c.waking || !c.turns.ready() {
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
		for !c.turns.ready() {
			if c.turns.closed || c.parked >= maxParked {
				return
			}
			c.parked++
			c.more.Wait()
			c.parked--
			c.waking = false
		}
		x := c.turns.begin()
		c.wake()
		c.mu.Unlock()
		c.handle(x)
		c.mu.Lock()
		c.turns.end(1)
	}
}

// oldest takes the first of the queue, to make room; nil: nothing waits.
func (c *crew) oldest() *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turns.oldest()
}
