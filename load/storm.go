package load

import (
	"container/heap"
	"time"
)

// dial is a user's next try to connect.
type dial struct {
	at      time.Duration
	session *session
}

// dialQueue is a heap by time.
type dialQueue []dial

func (q dialQueue) Len() int           { return len(q) }
func (q dialQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q dialQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push and Pop are for package heap.
func (q *dialQueue) Push(x any) { *q = append(*q, x.(dial)) }

// Pop takes the last one.
func (q *dialQueue) Pop() any {
	old := *q
	d := old[len(old)-1]
	*q = old[:len(old)-1]
	return d
}

// storming tells that users dial until they are in.
func (r *run) storming() bool { return r.opts.Mode == Storm }

// gather lets all of a lane's users dial at once.
func (l *lane) gather() {
	for s := l.next(0); s != nil; s = l.next(0) {
		l.dials = append(l.dials, dial{l.run.begin, s}) // the same time for all: in order already
	}
}

// fillDials begins the connections that are due.
func (l *lane) fillDials(now time.Duration) (more bool, err error) {
	if l.run.stopping(now) {
		l.dials = nil
	}
	for len(l.dials) > 0 && l.dials[0].at <= now && !l.window.full() && l.budget > 0 {
		d, ok := heap.Pop(&l.dials).(dial)
		if !ok {
			break
		}
		d.session.dials++
		if err := l.send(d.session, now, d.at); err != nil {
			return false, err
		}
	}
	return len(l.dials) > 0, nil
}

// redial lets a user whose tries are over dial again after a pause, which no
// two have alike: from half to one and a half of Options.Redial.
func (l *lane) redial(s *session, now time.Duration) {
	l.in.note(s)
	pause := time.Duration((0.5 + l.random.Float64()) * float64(l.run.opts.Redial))
	heap.Push(&l.dials, dial{now + pause, s})
}

// stormCounts tell how a lane's users got in.
type stormCounts struct {
	in, refused        int
	last               time.Duration
	toIn               histogram
	dials, tries       int // of those that are in
	dialsMax, triesMax int // of all
}

// arrive notes a user that is in, after a time.
func (c *stormCounts) arrive(s *session, after time.Duration) {
	c.in++
	c.last = max(c.last, after)
	c.toIn.add(int64(after))
	c.dials += s.dials
	c.tries += s.tries
	c.note(s)
}

func (c *stormCounts) note(s *session) {
	c.dialsMax, c.triesMax = max(c.dialsMax, s.dials), max(c.triesMax, s.tries)
}

func (c *stormCounts) merge(o *stormCounts) {
	c.in += o.in
	c.refused += o.refused
	c.last = max(c.last, o.last)
	c.toIn.merge(&o.toIn)
	c.dials += o.dials
	c.tries += o.tries
	c.dialsMax, c.triesMax = max(c.dialsMax, o.dialsMax), max(c.triesMax, o.triesMax)
}

func (c *stormCounts) result(users int) *StormResult {
	n := float64(max(c.in, 1))
	return &StormResult{
		Users: users, In: c.in, Refused: c.refused, Out: users - c.in - c.refused, AllIn: c.last, ToIn: c.toIn.latency(),
		DialsMean: float64(c.dials) / n, DialsMax: c.dialsMax, TriesMean: float64(c.tries) / n, TriesMax: c.triesMax,
	}
}
