package load

import "time"

// paced tells that requests go by a clock instead of after answers.
func (l *lane) paced() bool { return l.run.opts.Rate > 0 && !l.run.preparing() }

// fill sends what may be sent now; false: nothing more will come of itself.
func (l *lane) fill(now time.Duration) (more bool, err error) {
	switch {
	case l.paced():
		return l.fillArrivals(now)
	case l.run.storming() && !l.run.preparing():
		return l.fillDials(now)
	}
	for !l.window.full() && l.budget > 0 {
		s := l.next(now)
		if s == nil {
			return false, nil
		}
		if err := l.send(s, now, now); err != nil {
			return false, err
		}
	}
	return true, nil
}

// nextSend is when a new request is due without an answer; 0: never.
func (l *lane) nextSend() time.Duration {
	switch {
	case l.paced() && int64(l.arrival) < l.run.end.Load():
		return l.arrival
	case len(l.dials) > 0:
		return l.dials[0].at
	}
	return 0
}

// fillArrivals sends for every arrival up to now. Where no identifier is free
// arrivals wait, and their latency counts from when they came: a server that
// stalls cannot hide by being asked less.
func (l *lane) fillArrivals(now time.Duration) (more bool, err error) {
	end := time.Duration(l.run.end.Load())
	for l.arrival <= now && l.arrival < end {
		if now > end+l.run.patience() {
			for ; l.arrival < end; l.nextArrival() {
				l.counts.Unsent++
			}
			return false, nil
		}
		if l.window.full() || l.budget <= 0 {
			return true, nil
		}
		s := l.pop()
		if s == nil {
			s = l.next(now)
		}
		if s == nil {
			if l.window.active == 0 {
				return false, nil
			}
			l.nextArrival() // the count is given out; those under way need the clock no more
			continue
		}
		if err := l.send(s, now, l.arrival); err != nil {
			return false, err
		}
		l.nextArrival()
	}
	return l.arrival < end, nil
}

// nextArrival draws when the next request comes: a Poisson stream, whose share
// of the rate each lane has.
func (l *lane) nextArrival() {
	gap := l.random.ExpFloat64() * float64(l.of) / l.run.opts.Rate
	l.arrival += time.Duration(gap * float64(time.Second))
}

// pop takes the session that waits the longest for its next request.
func (l *lane) pop() *session {
	if len(l.ready) == 0 {
		return nil
	}
	s := l.ready[0]
	l.ready = l.ready[1:]
	return s
}

// patience is how long a request is tried.
func (r *run) patience() time.Duration { return r.opts.Timeout * time.Duration(r.opts.Tries) }

// next gives out a session, or nil when there are no more.
func (l *lane) next(now time.Duration) *session {
	r := l.run
	if r.stopping(now) && !l.paced() || l.share != all && l.given >= l.share {
		return nil
	}
	n := l.given
	l.given++
	s := l.fresh()
	if l.prelude != nil {
		*s = *l.prelude[n%len(l.prelude)] // a copy: in mode interim two requests of it may be outstanding
		s.step = r.first
		if s.step != stepStart {
			round := uint32(n/len(l.prelude)) + 1
			s.seconds, s.in, s.out = 60*round, 1_000_003*uint64(round), 10_000_019*uint64(round)
		}
		return s
	}
	number := l.number + n*l.of
	*s = session{number: number, user: int(r.order[number%r.opts.Users]), step: r.first, leases: madeUp(number)}
	return s
}

// fresh is memory for a session.
func (l *lane) fresh() *session {
	if n := len(l.spare); n > 0 {
		s := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return s
	}
	return new(session)
}
