package radius

import (
	"errors"
	"sync/atomic"
	"time"

	"radial/aaa"
)

// begin starts the work on an admitted login, unless nobody waits for its
// answer any more: then every moment spent on it would be taken from those who
// do wait. A device asks again while it waits, and each time counts as new.
func (s *Server) begin(x *exchange) {
	if !s.outwaited(x) {
		s.handle(x)
		return
	}
	s.giveUp(x, SilentWaited, errWaited)
}

// giveUp ends an admitted request that is not begun.
func (s *Server) giveUp(x *exchange, why Silence, err error) {
	s.leave(x.socket.listener.port)
	s.silence(x, why, err)
	s.free(x)
}

var (
	errWaited    = errors.New("not begun: it has waited for longer than radius.max_wait")
	errPushedOut = errors.New("not begun: more than radius.max_in_flight wait, and it has waited for the longest")
)

// outwaited tells that a request has not been heard of for longer than devices
// wait, or that its device has used the identifier for another one. One that has
// asked twice would have asked again after as long: where it has not, it has
// given up.
func (s *Server) outwaited(x *exchange) bool {
	now := s.now()
	if now.Sub(x.received) <= inTurn {
		return false
	}
	heard, gap, ok := s.duplicates.heard(x.ticket)
	patience := s.opts.MaxWait
	if gap > 0 {
		patience = min(patience, max(gap*3/2, inTurn))
	}
	return !ok || now.Sub(heard) > patience
}

// enter counts a request among those in flight; false: there are too many of
// its port. Each port has its own share, so that a storm of logins does not
// keep the accounting out of those that have been let in. Where requests wait,
// a new one takes the place of the one that has waited for the longest, which is
// the next to be given up anyway.
func (s *Server) enter(x *exchange) bool {
	p := x.socket.listener.port
	for s.inFlight[p].Add(1) > int64(s.opts.MaxInFlight) {
		s.inFlight[p].Add(-1)
		old := x.socket.work.oldest()
		if old == nil {
			return false
		}
		s.giveUp(old, SilentPushedOut, errPushedOut)
	}
	s.metrics.inFlight[p].Inc()
	return true
}

// leave is the end of enter.
func (s *Server) leave(p port) {
	s.inFlight[p].Add(-1)
	s.metrics.inFlight[p].Dec()
}

// lag is how long the requests of a port take from their receipt to their
// answer: a moving average of the last ones, in nanoseconds.
type lag struct{ ns atomic.Int64 }

// note adds one. Of two at the same moment one may be lost.
func (l *lag) note(took time.Duration) {
	old := l.ns.Load()
	l.ns.Store(old + (int64(took)-old)/16)
}

const (
	// easyLag of the accounting holds no login back; with every lagStep more, and
	// with every maxHands of it in flight, half as many are begun at a time, down to
	// leastHands.
	easyLag    = 100 * time.Millisecond
	lagStep    = 25 * time.Millisecond
	leastHands = 16
)

// loginHands is how many logins of a socket are at work at a time. Each that
// is let in sends a Start, whose lease runs out if it is not taken: where
// accounting lags behind, fewer are begun, until it has caught up.
func (s *Server) loginHands() int {
	late := (time.Duration(s.lags[acctPort].ns.Load()) - easyLag) / lagStep
	halvings := min(max(int64(late), s.inFlight[acctPort].Load()/maxHands, 0), 16)
	return max(maxHands>>halvings, leastHands)
}

// silenceOf is the cause of a silence: of requests that have waited in vain for
// the database's turn it is that, and a full pool is no error.
func silenceOf(cause Silence, err error) Silence {
	switch {
	case errors.Is(err, aaa.ErrWaited):
		return SilentWaited
	case errors.Is(err, aaa.ErrPoolFull):
		return SilentPoolFull
	}
	return cause
}
