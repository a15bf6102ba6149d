package aaa

// evictionRing orders entries for eviction by second chance: a hand goes round
// and takes the first entry that was not used since it last passed. A hit
// therefore writes one flag and takes no exclusive lock. All methods need the
// shard's lock.
type evictionRing[V any] struct {
	hand       *cacheEntry[V] // the next to be looked at; nil when empty
	count      int
	bytes      int64
	maxEntries int
	maxBytes   int64
}

// push puts an entry where the hand comes last.
func (r *evictionRing[V]) push(e *cacheEntry[V]) {
	if r.hand == nil {
		e.next, e.prev = e, e
		r.hand = e
	} else {
		e.next, e.prev = r.hand, r.hand.prev
		e.prev.next, e.next.prev = e, e
	}
	r.count++
	r.bytes += e.size
}

// victim moves the hand to the first entry without a second chance. It ends: a
// full round takes all chances away.
func (r *evictionRing[V]) victim() *cacheEntry[V] {
	for r.hand.used.Swap(false) {
		r.hand = r.hand.next
	}
	return r.hand
}

func (r *evictionRing[V]) remove(e *cacheEntry[V]) {
	if e.next == e {
		r.hand = nil
	} else {
		e.prev.next, e.next.prev = e.next, e.prev
		if r.hand == e {
			r.hand = e.next
		}
	}
	e.next, e.prev = nil, nil
	r.count--
	r.bytes -= e.size
}

func (r *evictionRing[V]) reset() {
	r.hand, r.count, r.bytes = nil, 0, 0
}
