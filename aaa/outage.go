package aaa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// What a login gets while the database is away (Options.Outage).
const (
	OutageSilence = "silence" // no answer, so that the NAS asks another server
	OutageCached  = "cached"  // accepted by the rows in memory, where that needs no database
)

const (
	// outagePatience bounds a read of rows that memory has too, while the
	// listening connection is down: RouterOS asks again after 300 ms.
	outagePatience = 200 * time.Millisecond
	// outageProbe is how often the database is tried with such a read, once it has
	// failed.
	outageProbe = time.Second
)

// OutageNews tells of a time in which logins were answered from memory.
type OutageNews struct {
	Over     bool      // it has ended; else it begins
	Heard    time.Time // when the rows in memory were last known to be the tables'
	Accepted uint64    // logins, when it has ended
	Silent   uint64    // logins that memory could not accept, likewise
}

// outage is what a Cache needs to serve rows that it last knew while the
// listening connection is down and the database does not answer. Once the
// connection is back nothing of them is left (InvalidateAll).
type outage struct {
	maxAge time.Duration // how old the last echo may be; 0: nothing is ever served
	told   func(OutageNews)
	now    func() time.Time

	heard    atomic.Int64 // Unix nanoseconds of the last echo; never reset
	failed   atomic.Int64 // of the last read that failed, or that tries again; 0: none has
	began    atomic.Bool
	accepted atomic.Uint64
	silent   atomic.Uint64
}

// serves tells whether rows from memory may be served at all now.
func (o *outage) serves() bool {
	if o.maxAge <= 0 {
		return false
	}
	heard := o.heard.Load()
	age := o.now().UnixNano() - heard
	// an echo from the future means that the clock was set back: nobody knows its age
	return heard != 0 && age < int64(o.maxAge) && age > -int64(EchoLife)
}

// away tells whether the database has just not answered, so that it need not be
// asked again yet. Who gets false asks it.
func (o *outage) away() bool {
	last := o.failed.Load()
	if last == 0 {
		return false
	}
	now := o.now().UnixNano()
	if age := now - last; age >= 0 && age < int64(outageProbe) {
		return true
	}
	return !o.failed.CompareAndSwap(last, now) // one of them tries, the others do not wait for it
}

// serving notes that rows come from memory.
func (o *outage) serving() {
	if !o.began.Load() && !o.began.Swap(true) && o.told != nil {
		o.told(OutageNews{Heard: time.Unix(0, o.heard.Load())})
	}
}

// over ends the outage: memory is empty.
func (o *outage) over() {
	o.failed.Store(0)
	if !o.began.Swap(false) {
		return
	}
	news := OutageNews{Over: true, Heard: time.Unix(0, o.heard.Load()), Accepted: o.accepted.Swap(0), Silent: o.silent.Swap(0)}
	if o.told != nil {
		o.told(news)
	}
}

// through reads a name while the cache is not live. Where the database does not
// answer and memory still has the name, kept is true and the rows are those last
// known.
func (t *cacheTable[V]) through(ctx context.Context, s *cacheShard[V], name string) (v V, kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	s.misses.Add(1)
	entry := t.lastKnown(s, name)
	if entry == nil {
		c, err := t.read(ctx, name)
		return c.value, false, err
	}
	if !t.outage.away() {
		brief, cancel := context.WithTimeout(ctx, outagePatience)
		c, err := t.read(brief, name)
		late := brief.Err() != nil
		cancel()
		switch {
		case err == nil:
			t.outage.failed.Store(0)
			t.drop(name) // it is older than what has been seen
			return c.value, false, nil
		case ctx.Err() != nil || !late && !errors.Is(err, ErrUnavailable):
			return v, false, err
		}
		t.outage.failed.Store(t.outage.now().UnixNano())
		if entry = t.lastKnown(s, name); entry == nil { // the connection has come back meanwhile
			return v, false, err
		}
	}
	t.outage.serving()
	return entry.value, true, nil
}

// lastKnown is what memory has of a name from before an outage, or nil. A user
// whom the tables did not know then may be there by now.
func (t *cacheTable[V]) lastKnown(s *cacheShard[V], name string) *cacheEntry[V] {
	if !t.outage.serves() {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if entry := s.entries[name]; entry != nil && entry.ring == &s.rings[0] {
		return entry
	}
	return nil
}

// errFromMemory is the trouble of a login that memory cannot accept.
var errFromMemory = fmt.Errorf("%w: the database is away, and rows from memory do not do", ErrUnavailable)

// needsDatabase says that the answer needs the database, and fails where there
// is none. what is for people: "an address of a pool".
func (l *authorization) needsDatabase(what string) error {
	if l.dry {
		l.needs = append(l.needs, what)
	}
	if l.kept {
		return fmt.Errorf("%w: %s", errFromMemory, what)
	}
	return nil
}

// fromMemory ends a login that was decided by rows from memory. They may be
// older than what the operator has changed since, so that they do to let a
// subscriber in, and never to log one out: a refusal is silence.
func (l *authorization) fromMemory(d Decision, err error) (Decision, error) {
	o := &l.e.policies.outage
	if err == nil && d.Verdict != Accept {
		err = fmt.Errorf("%w: they would refuse (%s)", errFromMemory, d.Reason)
	}
	l.e.metrics.fromMemory(err == nil)
	if err != nil {
		o.silent.Add(1)
		return Decision{}, err
	}
	o.accepted.Add(1)
	d.Detail = "by the rows in memory: the database was away"
	return d, nil
}

// noteOutage tells in an explanation what the login would get without the
// database, where that is not simply nothing.
func (l *authorization) noteOutage(d *Decision) {
	if l.e.opts.Outage != OutageCached {
		return
	}
	l.stage("without the database")
	switch {
	case d.Verdict != Accept:
		l.note(StepInfo, "not answered: refusals are not sent by rows from memory")
	case len(l.needs) > 0:
		l.note(StepInfo, "not answered: it needs "+strings.Join(l.needs, " and "))
	default:
		l.note(StepInfo, fmt.Sprintf("accepted by a server that has these rows in memory, for %s (policy.outage: cached)", l.e.opts.OutageMaxAge))
	}
}
