package radius

import (
	"net/netip"
	"time"
)

const (
	// maxHands is how many requests of a socket are at work before the rest of
	// them queue: some batches of leases, or of records. More would wait in the
	// queues of the database, and be no sooner answered.
	maxHands = 512
	// stalledAfter is how long all hands are full, and none of them
	// finishes anything, until there are as many more, up to maxExtra: what blocks
	// them may be a database that not every request needs.
	stalledAfter = 100 * time.Millisecond
	maxExtra     = 3 * maxHands
	// inTurn is by how much the queue's first may be older than its last, where
	// the work keeps up.
	inTurn = 50 * time.Millisecond
	// newest is how many of a queue's last ones are looked at for one of another
	// device than the one taken before.
	newest = 32
)

// turns are the requests of a socket that wait for theirs. Work that keeps up
// takes them in their order. Where it does not, the
// order would make all answers come too late: whoever has asked first has
// waited for the longest, and may be gone. There the newest goes first, and of
// the newest few one of another device than the last time, so that a device that
// floods does not take all turns. It belongs to a crew or a desk, under its lock.
type turns struct {
	hands func() int // how many requests are at work at a time, maxHands at most

	queue  []*exchange
	head   int        // queue[:head] has been taken
	busy   int        // requests at work
	closed bool       // none comes any more: the hands do not count
	last   netip.Addr // source of the last one taken out of turn

	finished bool      // something has been, since the last look
	still    time.Time // the last look that found so
	extra    int       // hands, see stalledAfter
}

func newTurns() turns { return turns{hands: func() int { return maxHands }} }

// add queues requests, which have just been received.
func (t *turns) add(xs []*exchange) {
	if t.head > 0 && len(t.queue)+len(xs) > cap(t.queue) { // reuse what has been taken
		n := copy(t.queue, t.queue[t.head:])
		clear(t.queue[n:])
		t.queue, t.head = t.queue[:n], 0
	}
	t.queue = append(t.queue, xs...)
	t.look(xs[0].received)
}

// look gives more hands where nothing has been finished lately.
func (t *turns) look(now time.Time) {
	hands := t.hands()
	if t.busy < hands {
		t.extra = 0
	}
	stalled := !t.finished && t.busy >= hands+t.extra
	if stalled && now.Sub(t.still) < stalledAfter {
		return
	}
	if stalled {
		t.extra = min(t.extra+hands, maxExtra)
	}
	t.finished, t.still = false, now
}

// ready tells that something can be taken.
func (t *turns) ready() bool {
	return t.head < len(t.queue) && (t.busy == 0 || t.closed || t.busy < t.hands()+t.extra)
}

// begin takes the first of the queue, or the last where the first has waited
// for too long, to be worked on.
func (t *turns) begin() *exchange {
	t.busy++
	end := len(t.queue) - 1
	if t.queue[end].received.Sub(t.queue[t.head].received) <= inTurn {
		return t.first()
	}
	at := end
	for i := end; i >= t.head && i > end-newest; i-- {
		if t.queue[i].source.Addr() != t.last {
			at = i
			break
		}
	}
	x := t.queue[at]
	t.last = x.source.Addr()
	copy(t.queue[at:], t.queue[at+1:])
	t.queue[end] = nil
	t.queue = t.queue[:end]
	t.settle()
	return x
}

// end is the end of begin, for n of them.
func (t *turns) end(n int) {
	t.busy -= n
	t.finished = true
}

// first takes the first of the queue.
func (t *turns) first() *exchange {
	x := t.queue[t.head]
	t.queue[t.head] = nil
	t.head++
	t.settle()
	return x
}

// settle begins anew with an empty queue.
func (t *turns) settle() {
	if t.head == len(t.queue) {
		t.queue, t.head = t.queue[:0], 0
	}
}

// oldest takes the first of the queue, to make room; nil: nothing waits.
func (t *turns) oldest() *exchange {
	if t.head == len(t.queue) {
		return nil
	}
	return t.first()
}
