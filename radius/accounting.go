package radius

import (
	wire "layeh.com/radius"

	"radial/aaa"
)

// post hands accounting requests over to be stored, but for those whose answer
// nobody waits for any more: it returns how many these are.
func (s *Server) post(xs []*exchange) (over int) {
	ps := make([]*aaa.Posting, 0, len(xs))
	for _, x := range xs {
		if s.outwaited(x) {
			s.giveUp(x, SilentWaited, errWaited)
			over++
			continue
		}
		ps = append(ps, &x.posting)
	}
	if len(ps) > 0 {
		s.acct.Post(ps)
	}
	return over
}

// Posted answers Accounting-Requests that are stored (RFC 2866 §2: the
// response tells the device that it may forget the record).
func (s *Server) Posted(ps []*aaa.Posting) {
	var room [8]packed
	bags := room[:0]
	for _, p := range ps {
		x := p.Owner.(*exchange)
		b := bagOf(&bags, x.socket, len(ps))
		b.done++
		switch s.acknowledge(x) {
		case toSend:
			b.replies = append(b.replies, x)
		case toDrop:
			s.free(x)
		}
	}
	for i := range bags {
		s.send(bags[i].socket, bags[i].replies...)
	}
	for i := range bags {
		bags[i].socket.work.(*desk).end(bags[i].done)
	}
}

// packed is what a batch of postings brings to a socket.
type packed struct {
	socket  *socket
	replies []*exchange
	done    int
}

// bagOf finds a socket's, which may get as many replies.
func bagOf(bags *[]packed, k *socket, most int) *packed {
	for i := range *bags {
		if (*bags)[i].socket == k {
			return &(*bags)[i]
		}
	}
	*bags = append(*bags, packed{socket: k, replies: make([]*exchange, 0, most)})
	return &(*bags)[len(*bags)-1]
}

// acknowledge makes the answer to a request that the ledger is done with.
func (s *Server) acknowledge(x *exchange) (do todo) {
	defer s.survive(x, &do)
	defer s.leave(acctPort)
	if err := x.posting.Err; err != nil {
		return s.silence(x, SilentAccount, err)
	}
	s.acct.Stored(x.posting.Record)
	const code = wire.CodeAccountingResponse
	if err := s.encode(x, code, nil); err != nil {
		return s.silence(x, SilentEncode, err)
	}
	x.due = x.received
	s.packetLine("sending", x, code, nil)
	return s.finish(x, code)
}
