package radius

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// delays holds rejects back until they are due, which makes guessing
// passwords slow. It holds no goroutine and no place in flight for them.
type delays struct {
	max  int
	send func(*exchange)
	now  func() time.Time

	mu     sync.Mutex
	queue  dueQueue
	closed bool
	sooner chan struct{} // told when the first of the queue has changed
}

func newDelays(max int, send func(*exchange), now func() time.Time) *delays {
	return &delays{max: max, send: send, now: now, sooner: make(chan struct{}, 1)}
}

// hold takes a reply until x.due; it is false when it must be sent at once,
// because there are too many or the server is ending.
func (d *delays) hold(x *exchange) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.queue) >= d.max {
		return false
	}
	heap.Push(&d.queue, x)
	if d.queue[0] == x {
		select {
		case d.sooner <- struct{}{}:
		default: // already told
		}
	}
	return true
}

// run sends what is due until ctx ends, then everything at once.
func (d *delays) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, wait := d.due(false)
		for _, x := range due {
			d.send(x)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-d.sooner:
		case <-ctx.Done():
			rest, _ := d.due(true)
			for _, x := range rest {
				d.send(x)
			}
			return
		}
	}
}

// due takes out what is due, or everything for good, and tells how long to
// wait for the next.
func (d *delays) due(all bool) (due []*exchange, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = d.closed || all
	now := d.now()
	for len(d.queue) > 0 && (all || !d.queue[0].due.After(now)) {
		due = append(due, heap.Pop(&d.queue).(*exchange))
	}
	if len(d.queue) == 0 {
		return due, time.Hour
	}
	return due, d.queue[0].due.Sub(now)
}

// dueQueue is a heap of exchanges, the first due first.
type dueQueue []*exchange

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q dueQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(x any)        { *q = append(*q, x.(*exchange)) }
func (q *dueQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return x
}
