package load

import "time"

// none is the id of no request.
const none = -1

// request is one that is outstanding, or idle when session is nil. It stands
// at its identifier.
type request struct {
	session  *session
	packet   []byte
	before   [16]byte // authenticator of the request that had the identifier before
	tries    int
	intended time.Duration // when it was due to be sent, from the run's start on
	due      time.Duration // when it is sent again or given up
	prev     int16         // neighbours in the order of due
	next     int16
}

// window is the requests that one socket has outstanding, by identifier, and
// in the order in which they are due: the time-out is the same for all, so that
// what was sent last is due last.
type window struct {
	requests [256]request
	size     int       // most outstanding
	active   int       // outstanding
	idle     [256]byte // identifiers that are free, the one that is free for the longest first
	from     byte
	head     int16
	tail     int16
}

func newWindow(size int) *window {
	w := &window{size: size, head: none, tail: none}
	for i := range w.idle {
		w.idle[i] = byte(i)
		w.requests[i].prev, w.requests[i].next = none, none
	}
	return w
}

// full tells that no further request can be sent.
func (w *window) full() bool { return w.active >= w.size }

// take gives out an identifier for a session's request. The window is not
// full.
func (w *window) take(s *session) byte {
	id := w.idle[w.from]
	w.from++
	w.active++
	r := &w.requests[id]
	if len(r.packet) >= 20 {
		copy(r.before[:], r.packet[4:20])
	}
	r.session = s
	return id
}

// free ends a request; its identifier is given out again last.
func (w *window) free(id byte) {
	w.unlink(id)
	w.requests[id].session = nil
	w.idle[w.from+byte(256-w.active)] = id
	w.active--
}

// renew gives an outstanding request another identifier. It keeps its own if
// no other is free.
func (w *window) renew(id byte) byte {
	if w.active > 255 {
		return id
	}
	old := &w.requests[id]
	s, intended, tries := old.session, old.intended, old.tries
	fresh := w.take(s)
	r := &w.requests[fresh]
	r.intended, r.tries = intended, tries
	r.packet = append(r.packet[:0], old.packet...)
	w.free(id)
	return fresh
}

// last puts a request at the end of the order of due.
func (w *window) last(id byte, due time.Duration) {
	r := &w.requests[id]
	r.due, r.prev, r.next = due, w.tail, none
	if w.tail == none {
		w.head = int16(id)
	} else {
		w.requests[w.tail].next = int16(id)
	}
	w.tail = int16(id)
}

// unlink takes a request out of the order of due, if it is in it.
func (w *window) unlink(id byte) {
	r := &w.requests[id]
	if w.head != int16(id) && r.prev == none {
		return
	}
	if r.prev == none {
		w.head = r.next
	} else {
		w.requests[r.prev].next = r.next
	}
	if r.next == none {
		w.tail = r.prev
	} else {
		w.requests[r.next].prev = r.prev
	}
	r.prev, r.next = none, none
}
