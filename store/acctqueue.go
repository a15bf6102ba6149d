package store

import "sync"

// entryQueue is what waits for a shard of the ledger.
type entryQueue struct {
	max int

	mu      sync.Mutex
	more    sync.Cond
	waiting []*entry
	closed  bool
}

func newEntryQueue(max int) *entryQueue {
	q := &entryQueue{max: max}
	q.more.L = &q.mu
	return q
}

// put queues an entry; false: the queue is full.
func (q *entryQueue) put(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.max {
		return false
	}
	q.waiting = append(q.waiting, e)
	if len(q.waiting) == 1 {
		q.more.Signal()
	}
	return true
}

// take waits for entries and returns the first ones, n at most; none once the queue
// is closed and empty. They are the caller's until its next call, with which it gives
// their memory back as spare.
func (q *entryQueue) take(spare []*entry, n int) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.more.Wait()
	}
	if len(q.waiting) <= n {
		all := q.waiting
		q.waiting = spare[:0]
		return all
	}
	first := append(spare[:0], q.waiting[:n]...)
	left := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[left:])
	q.waiting = q.waiting[:left]
	q.more.Signal() // somebody else may take of them
	return first
}

// close lets those who take finish what waits, and end.
func (q *entryQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Broadcast()
}
