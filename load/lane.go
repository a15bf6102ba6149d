package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// lane is one socket with its window. Its sessions
// are its own: every lanes-th of the run's numbers.
type lane struct {
	run        *run
	number     int
	of         int // lanes of the run
	source     netip.Addr
	codec      *codec
	socket     *socket
	auth, acct *endpoint     // nil on a connected socket
	wake       time.Duration // when its next turn is
	over       bool          // nothing is left to do
	budget     int           // what this turn may still send
	last       time.Duration // that the last answer took
	random     *rand.Rand

	share   int // sessions to give out; all: no end
	given   int
	prelude []*session // what the unmeasured part has started
	started []*session // what this part has, preparing
	spare   []*session // ended ones, to be used again
	ready   []*session // of an open loop: to go on at the next arrivals
	arrival time.Duration
	in      stormCounts

	mu      sync.Mutex // of what follows, which Progress reads
	window  *window
	latency [steps]histogram
	counts  Counts
	dials   dialQueue // of a storm: users that are to dial
}

const all = -1

func (r *run) newLane(number, of, size int) (*lane, error) {
	l := &lane{run: r, number: number, of: of, window: newWindow(size), share: all,
		random: rand.New(rand.NewPCG(r.opts.Seed, uint64(number)+1<<32))}
	var seed [32]byte
	seed[0], seed[1] = byte(number), byte(number>>8)
	for i := range 8 {
		seed[8+i] = byte(r.opts.Seed >> (8 * i))
	}
	l.codec = newCodec(r.opts.Secret.Reveal(), seed)
	var to netip.AddrPort
	o := r.opts
	if o.Source.IsValid() {
		l.source = nth(o.Source, number)
	}
	if one, ok := r.destination(); ok {
		to = one
	} else {
		l.auth, l.acct = newEndpoint(o.Auth), newEndpoint(o.Acct)
	}
	var err error
	if l.socket, err = openSocket(o.Auth.Addr().Is6(), l.source, to); err != nil {
		return nil, fmt.Errorf("load: socket: %w", err)
	}
	return l, nil
}

// nth is the nth address of a prefix, from its first usable one on; after its
// last it begins anew.
func nth(p netip.Prefix, n int) netip.Addr {
	first := p.Masked().Addr()
	if p.Addr().BitLen()-p.Bits() > 1 {
		first = first.Next()
	}
	a := first
	for range n {
		if a = a.Next(); !p.Contains(a) {
			a = first
		}
	}
	return a
}

// turnSends is what a lane sends at most before the others have their turn and
// answers are read.
const turnSends = 64

// turn sends again what is overdue, and what is new, and notes when the next
// thing is due without an answer, or that nothing is left to do.
func (l *lane) turn(now time.Duration) error {
	if w := l.window; w.head != none && w.requests[w.head].due <= now {
		for full := true; full; { // an answer that is here already is in time
			n, err := l.take()
			if err != nil {
				return err
			}
			full = n == batchSize
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budget = turnSends
	if err := l.expire(now); err != nil {
		return err
	}
	more, err := l.fill(now)
	if err = errors.Join(err, l.socket.flush()); err != nil {
		return err
	}
	w := l.window
	l.over = !more && w.active == 0
	l.wake = now + restless
	if w.head != none {
		l.wake = min(l.wake, w.requests[w.head].due)
	}
	if at := l.nextSend(); at > 0 && !w.full() {
		l.wake = min(l.wake, at)
	}
	if l.budget <= 0 {
		l.wake = 0
	}
	return nil
}

// send builds a session's request and queues it. The window is not full.
func (l *lane) send(s *session, now, intended time.Duration) error {
	r := l.run
	id := l.window.take(s)
	q := &l.window.requests[id]
	s.wrong = s.step == stepLogin && r.opts.WrongPasswords > 0 && l.random.Float64() < r.opts.WrongPasswords
	q.packet = l.build(q.packet, id, s, now-intended)
	q.intended, q.tries = intended, 1
	l.window.last(id, now+r.opts.Timeout)
	l.counts.Sent++
	l.budget--
	s.tries++
	if s.step == stepStop {
		r.release(s) // for its NAS the session is over, whenever the answer comes
	}
	if s.step != stepLogin {
		r.noteSent(l, s)
	}
	return l.socket.send(q.packet, l.endpoint(s))
}

func (l *lane) endpoint(s *session) *endpoint {
	if s.step == stepLogin {
		return l.auth
	}
	return l.acct
}

// expire sends again what is overdue, and gives up what has had its tries.
func (l *lane) expire(now time.Duration) error {
	w, o := l.window, &l.run.opts
	tries := o.Tries
	if l.run.preparing() {
		tries = max(tries, 20)
	}
	for w.head != none && w.requests[w.head].due <= now && l.budget > 0 {
		id := byte(w.head)
		q := &w.requests[id]
		if q.tries >= tries {
			l.counts.GivenUp++
			s := q.session
			w.free(id)
			l.giveUp(s, now)
			continue
		}
		if o.RenewAcct && q.session.step != stepLogin {
			id = w.renew(id)
			q = &w.requests[id]
			q.packet = l.build(q.packet, id, q.session, now-q.intended)
		}
		w.unlink(id)
		w.last(id, now+o.Timeout)
		q.tries++
		q.session.tries++
		l.counts.Retransmitted++
		l.budget--
		if err := l.socket.send(q.packet, l.endpoint(q.session)); err != nil {
			return err
		}
	}
	return nil
}

// giveUp ends a session whose server does not answer; a storm's user dials
// again.
func (l *lane) giveUp(s *session, now time.Duration) {
	if l.run.storming() && s.step == stepLogin {
		l.redial(s, now)
		return
	}
	l.end(s)
}

// end forgets a session.
func (l *lane) end(s *session) {
	l.run.release(s)
	l.spare = append(l.spare, s)
}

// take reads the datagrams that are there, and lets the next turn follow them.
func (l *lane) take() (int, error) {
	n, err := l.socket.receive()
	if err != nil || n == 0 {
		return 0, err
	}
	now := l.run.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		if err := l.receive(l.socket.datagram(i), now); err != nil {
			return n, err
		}
	}
	l.wake = 0
	return n, nil
}

func (l *lane) receive(reply []byte, now time.Duration) error {
	if len(reply) < 20 || l.window.requests[reply[1]].session == nil {
		l.counts.Stray++
		return nil
	}
	id := reply[1]
	q := &l.window.requests[id]
	s := q.session
	if !l.codec.verify(reply, q.packet[4:20]) {
		if l.codec.verify(reply, q.before[:]) {
			l.counts.Stray++ // to the request that had the identifier before
		} else {
			l.counts.BadAuthenticator++
		}
		return nil
	}
	if !answers(s.step, reply[0]) {
		l.counts.Stray++
		return nil
	}
	l.last = now - q.intended
	l.latency[s.step].add(int64(l.last))
	l.counts.Answered++
	alive := l.judge(q, reply, now)
	l.window.free(id)
	return l.proceed(s, alive, now)
}

// answers tells whether a reply's code answers a request of a kind.
func answers(kind step, code byte) bool {
	if kind == stepLogin {
		return code == codeAccessAccept || code == codeAccessReject
	}
	return code == codeAccountingResponse
}

// judge counts an answer and notes what it gives; false: the session is
// refused.
func (l *lane) judge(q *request, reply []byte, now time.Duration) (alive bool) {
	s, r := q.session, l.run
	switch reply[0] {
	case codeAccountingResponse:
		l.counts.Acknowledged++
		r.noteAcknowledged(s)
		return true
	case codeAccessReject:
		l.counts.Rejected++
		if s.wrong {
			l.counts.WrongPasswords++
		}
		if r.storming() {
			l.in.refused++
		}
		return false
	}
	l.counts.Accepted++
	if s.wrong {
		l.counts.WrongPasswords++
		l.counts.WrongAccepted++
	} else if r.method == MSCHAPv2 && !proven(q.packet, reply, r.names.user[s.user], r.names.hash[s.user]) {
		l.counts.BadProof++
	}
	r.hold(s, leasesOf(reply), &l.counts)
	if r.storming() {
		l.in.arrive(s, now-r.begin)
	}
	return true
}

// proceed sends what the session does next, or ends it.
func (l *lane) proceed(s *session, alive bool, now time.Duration) error {
	preparing := l.run.preparing()
	switch {
	case alive && s.advance(l.run.opts.Mode, preparing) && !l.run.stopping(now):
		if l.paced() {
			l.ready = append(l.ready, s)
			return nil
		}
		return l.send(s, now, now)
	case alive && preparing:
		l.started = append(l.started, s)
	default:
		l.end(s)
	}
	return nil
}
