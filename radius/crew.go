package radius

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxParked bounds the workers of a crew that wait for work; more of them end.
	maxParked = 256
	// maxHands is how many requests of a socket are at work before the rest of
	// them queue: some batches of leases. More would wait in the queues of the
	// database, with a goroutine each, and be no sooner answered.
	maxHands = 512
	// stalledAfter is how long a crew has its hands full, and none of them
	// finishes anything, until it gets as many more, up to maxExtra: what blocks
	// them may be a database that not every request needs.
	stalledAfter = 100 * time.Millisecond
	maxExtra     = 3 * maxHands
	// inTurn is by how much the queue's first may be older than its last, in a
	// crew that keeps up.
	inTurn = 50 * time.Millisecond
	// newest is how many of a queue's last ones are looked at for one of another
	// device than the one taken before.
	newest = 32
)

// crew works on requests, each in a goroutine that may block. One worker takes
// request after request while the answers come at once; before it begins one,
// it makes sure that another worker is on its way to the rest of the queue. So
// fast answers cost no switch between goroutines, and slow ones hold nobody up:
// there are as many workers as requests that wait for something, up to the
// crew's hands.
//
// A crew that keeps up takes requests in their order. In one that does not, the
// order would make all answers come too late: whoever has asked first has
// waited for the longest, and may be gone. There the newest goes first, and of
// the newest few one of another device than the last time, so that a device that
// floods does not take all turns.
type crew struct {
	handle func(*exchange)
	hands  func() int // how many requests are at work at a time, maxHands at most

	mu     sync.Mutex
	more   sync.Cond // signalled once for each waking worker
	queue  []*exchange
	head   int  // queue[:head] has been taken
	busy   int  // requests at work
	waking bool // a worker has been woken and has not yet looked
	parked int
	closed bool
	alive  sync.WaitGroup
	last   netip.Addr // source of the last one taken out of turn

	finished bool      // something has been, since the last look
	still    time.Time // the last look that found so
	extra    int       // hands, see stalledAfter
}

func newCrew(handle func(*exchange)) *crew {
	c := &crew{handle: handle, hands: func() int { return maxHands }}
	c.more.L = &c.mu
	return c
}

// add queues requests, which have just been received.
func (c *crew) add(xs []*exchange) {
	c.mu.Lock()
	if c.head > 0 && len(c.queue)+len(xs) > cap(c.queue) { // reuse what has been taken
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
	c.queue = append(c.queue, xs...)
	c.look(xs[0].received)
	c.wake()
	c.mu.Unlock()
}

// look gives a crew more hands where nothing has been finished lately. The lock
// is held.
func (c *crew) look(now time.Time) {
	hands := c.hands()
	if c.busy < hands {
		c.extra = 0
	}
	stalled := !c.finished && c.busy >= hands+c.extra
	if stalled && now.Sub(c.still) < stalledAfter {
		return
	}
	if stalled {
		c.extra = min(c.extra+hands, maxExtra)
	}
	c.finished, c.still = false, now
}

// close lets the workers finish the queue and end; wait for alive.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	c.wake()
	c.more.Broadcast()
	c.mu.Unlock()
}

// ready tells that something can be taken. The lock is held.
func (c *crew) ready() bool {
	return c.head < len(c.queue) && (c.busy == 0 || c.closed || c.busy < c.hands()+c.extra)
}

// wake sees to it that some worker is about to look at a queue that has
// something left. The lock is held.
func (c *crew) wake() {
	if c.waking || !c.ready() {
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
		for !c.ready() {
			if c.closed || c.parked >= maxParked {
				return
			}
			c.parked++
			c.more.Wait()
			c.parked--
			c.waking = false
		}
		x := c.take()
		c.busy++
		c.wake()
		c.mu.Unlock()
		c.handle(x)
		c.mu.Lock()
		c.busy--
		c.finished = true
	}
}

// take returns the first of the queue, or the last where the first has waited
// for too long. The lock is held.
func (c *crew) take() *exchange {
	end := len(c.queue) - 1
	if c.queue[end].received.Sub(c.queue[c.head].received) <= inTurn {
		return c.first()
	}
	at := end
	for i := end; i >= c.head && i > end-newest; i-- {
		if c.queue[i].source.Addr() != c.last {
			at = i
			break
		}
	}
	x := c.queue[at]
	c.last = x.source.Addr()
	copy(c.queue[at:], c.queue[at+1:])
	c.queue[end] = nil
	c.queue = c.queue[:end]
	c.settle()
	return x
}

// first takes the first of the queue. The lock is held.
func (c *crew) first() *exchange {
	x := c.queue[c.head]
	c.queue[c.head] = nil
	c.head++
	c.settle()
	return x
}

// settle begins anew with an empty queue. The lock is held.
func (c *crew) settle() {
	if c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
	}
}

// oldest takes the first of the queue, to make room; nil: nothing waits.
func (c *crew) oldest() *exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head == len(c.queue) {
		return nil
	}
	return c.first()
}
