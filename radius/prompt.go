package radius

import (
	wire "layeh.com/radius"

	"radial/aaa"
)

// Prompt is an Authorizer that decides at once where its memory tells. Then a
// login is answered by the goroutine that has read it: at the rate at which
// such logins come, waking another one for each batch, and a third one to send
// the replies, costs as much as the decision.
type Prompt interface {
	// AuthorizeNow neither waits nor computes for long; ok is false where it
	// would have to. Then nothing has happened, and Authorize decides.
	AuthorizeNow(r *aaa.Request) (d aaa.Decision, ok bool)
}

// promptBatch is how many replies are sent at a time: those who asked first do
// not wait for the decision about those who asked last.
const promptBatch = 16

// hand is what a reader has at hand.
type hand struct {
	s  *Server
	k  *socket
	xs []*exchange // datagrams, and the memory of the next ones

	admitted []*exchange // for the work
	replies  []*exchange // to be sent
	room     aaa.Room    // for all that it decides: it stays in the processor's memory
}

// deal judges the first n of xs, and answers what it can.
func (h *hand) deal(n int) {
	s, now := h.s, h.s.now()
	for i, x := range h.xs[:n] {
		x.socket, x.received = h.k, now
		do := s.admit(x)
		if do == toAnswer {
			do = s.promptly(x, &h.room)
		}
		switch do {
		case toAnswer:
			h.admitted = append(h.admitted, x)
			h.xs[i] = s.exchange()
		case toSend:
			x.place = i
			h.replies = append(h.replies, x)
			if len(h.replies) == promptBatch {
				h.send()
			}
		case toLose:
			h.xs[i] = s.exchange()
		case toDrop: // its memory serves the next datagram
		}
	}
	if len(h.admitted) > 0 {
		h.k.work.add(h.admitted)
		clear(h.admitted)
		h.admitted = h.admitted[:0]
	}
	h.send()
}

// send sends the replies; those for which the kernel has no room now are the
// writer's.
func (h *hand) send() {
	if len(h.replies) == 0 {
		return
	}
	for _, x := range h.replies[h.k.prompt.trySend(h.replies, h.s.unsent):] {
		h.xs[x.place] = h.s.exchange()
		h.s.send(h.k, x)
	}
	clear(h.replies)
	h.replies = h.replies[:0]
}

// promptly answers an admitted login where that can be done at once, and reads
// an accounting request; toAnswer: a worker must answer, or the ledger.
func (s *Server) promptly(x *exchange, room *aaa.Room) (do todo) {
	accounting := x.packet.code() == wire.CodeAccountingRequest
	if !accounting && s.prompt == nil {
		return toAnswer
	}
	from := x.socket.listener.port // after a reject that is held back x may be another request
	defer func() {
		if do != toAnswer {
			s.leave(from)
		}
	}()
	defer s.survive(x, &do)
	if !s.decode(x) {
		return toDrop
	}
	if accounting {
		x.posting = aaa.Posting{Record: s.acct.Record(&x.request), To: s, Owner: x}
		return toAnswer
	}
	x.request.Room = room
	d, ok := s.prompt.AuthorizeNow(&x.request)
	if !ok {
		x.request.Room = &x.room
		return toAnswer
	}
	return s.decided(x, d)
}
