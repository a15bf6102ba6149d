package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"radial/aaa"
)

// Group shares database trips (design §5). Callers of Do queue and wait;
// whoever is free takes all that is queued and makes one trip of it. There is
// no timer: a batch is what queued while the last one ran, so a lone caller
// waits for nobody, and the busier it is the bigger the batches are.
//
// Size: a batch that took longer than inTime was too big for a database as slow
// as this one: all that is in it would come too late. The next ones hold as much
// as can be done in that time, and twice as much whenever that was easy.
//
// Order: batches are taken in the order of the queue; with one runner a batch
// starts when the one before it has ended. Where more is queued than a batch
// holds, and the first has waited for longer than inTurn, the group does not keep
// up, and in that order all answers would come too late: there the newest go
// first, and who has waited for longer than maxWait gets aaa.ErrWaited.
type Group[Q, R any] struct {
	// Runners is how many batches may be under way at once. Set before the
	// first Do; NewGroup sets 1.
	Runners int
	// Crowd is how many must be queued before another batch starts beside one that
	// is under way, so that batches do not become small for it; NewGroup sets 1.
	Crowd int
	// Timeout ends a batch; NewGroup sets 5 s.
	Timeout time.Duration

	max int // queries of a batch, at most
	now func() time.Time
	do  func(ctx context.Context, qs []Q) ([]R, error)

	calls sync.Pool // of *call, that have been answered and heard

	mu      sync.Mutex
	queue   []*call[Q, R]
	running int
	size    int // queries of a batch, at most, with the database as it is; up to max
}

const (
	// inTime is how long a batch is to last at most: a login goes through two or
	// three of them, one after the other.
	inTime = 100 * time.Millisecond
	// leastSize is the smallest size: below it a batch costs as much as its trip.
	leastSize = 8
	// inTurn is how long the first of a queue waits in a group that keeps up.
	inTurn = 50 * time.Millisecond
	// maxWait is how long anybody waits for a login: RouterOS asks three times,
	// and waits for 300 ms each time.
	maxWait = time.Second
)

type call[Q, R any] struct {
	q     Q
	at    time.Time     // queued
	done  chan struct{} // told once, which nobody need hear
	taken atomic.Bool   // by a batch, or by the caller that went away
	r     R
	err   error
}

// ItemErrors is an error of do that gives each query of the batch its own
// outcome: nil where that query's result stands.
type ItemErrors []error

// Error joins the errors that are there.
func (e ItemErrors) Error() string {
	var parts []string
	for i, err := range e {
		if err != nil {
			parts = append(parts, fmt.Sprintf("query %d: %v", i, err))
		}
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the errors of the queries.
func (e ItemErrors) Unwrap() []error { return e }

// NewGroup makes a Group whose batches hold max queries at most. do answers a
// batch: one result for each query in the same order, or an error that all of
// them get, or ItemErrors. Its context is the batch's own, not a caller's.
func NewGroup[Q, R any](max int, do func(ctx context.Context, qs []Q) ([]R, error)) *Group[Q, R] {
	return &Group[Q, R]{Runners: 1, Crowd: 1, Timeout: 5 * time.Second, max: max, size: max, now: time.Now, do: do}
}

// Do queues q and waits for its answer. When ctx ends first, Do returns its
// error; q may then have been carried out or not, and nobody else is touched.
func (g *Group[Q, R]) Do(ctx context.Context, q Q) (R, error) {
	c, again := g.calls.Get().(*call[Q, R])
	if !again {
		c = &call[Q, R]{done: make(chan struct{}, 1)}
	}
	c.q, c.at = q, g.now()
	g.mu.Lock()
	g.queue = append(g.queue, c)
	start := g.running == 0 || g.running < g.Runners && len(g.queue) >= g.Crowd
	if start {
		g.running++
	}
	g.mu.Unlock()
	if start {
		// A goroutine of its own, so that no caller is held back by what
		// others have queued; it ends when the queue is empty.
		go g.run()
	}
	select {
	case <-c.done:
		r, err := c.r, c.err
		c.forget()
		g.calls.Put(c) // neither the queue nor a batch has it any more
		return r, err
	case <-ctx.Done():
		c.taken.Store(true) // if no batch has it yet, none will
		var zero R
		return zero, ctx.Err()
	}
}

// forget makes a call as good as new.
func (c *call[Q, R]) forget() {
	var noQuery Q
	var noAnswer R
	c.q, c.r, c.err = noQuery, noAnswer, nil
	c.taken.Store(false)
}

// answered wakes who waits for the call. It is his from then on.
func (c *call[Q, R]) answered() { c.done <- struct{}{} }

// Waiting returns how many queries are queued, for metrics.
func (g *Group[Q, R]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.queue)
}

func (g *Group[Q, R]) run() {
	for {
		// Who is about to queue does so first: callers that came at the same moment,
		// and those whose answers have just been given. Where nobody is, this is nothing.
		runtime.Gosched()
		batch := g.take()
		if batch == nil {
			return
		}
		g.answer(batch)
	}
}

// take returns the next batch, or nil, and then this runner has signed off.
func (g *Group[Q, R]) take() []*call[Q, R] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running > 1 && len(g.queue) < g.Crowd {
		g.running-- // who is still under way takes them next
		return nil
	}
	var batch []*call[Q, R]
	if len(g.queue) > g.size && g.now().Sub(g.queue[0].at) > inTurn {
		if batch = g.takeNewest(); batch != nil {
			return batch
		}
	}
	n := 0
	for n < len(g.queue) && len(batch) < g.size {
		if c := g.queue[n]; c.taken.CompareAndSwap(false, true) {
			batch = append(batch, c)
		}
		n++
	}
	if n == len(g.queue) {
		g.queue = nil // the array goes with the batch
	} else {
		g.queue = g.queue[n:]
	}
	if batch == nil {
		g.running--
	}
	return batch
}

// takeNewest returns a batch of those who queued last, and sends away who has
// waited too long. The lock is held.
func (g *Group[Q, R]) takeNewest() (batch []*call[Q, R]) {
	old, now := 0, g.now()
	for old < len(g.queue) && now.Sub(g.queue[old].at) > maxWait {
		if c := g.queue[old]; c.taken.CompareAndSwap(false, true) {
			c.err = aaa.ErrWaited
			c.answered()
		}
		g.queue[old] = nil
		old++
	}
	n := len(g.queue)
	for n > old && len(batch) < g.size {
		n--
		if c := g.queue[n]; c.taken.CompareAndSwap(false, true) {
			batch = append(batch, c)
		}
		g.queue[n] = nil
	}
	g.queue = g.queue[old:n]
	slices.Reverse(batch)
	return batch
}

func (g *Group[Q, R]) answer(batch []*call[Q, R]) {
	qs := make([]Q, len(batch))
	for i, c := range batch {
		qs[i] = c.q
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.Timeout)
	defer cancel()
	began := g.now()
	rs, err := g.guarded(ctx, qs)
	g.learn(len(qs), g.now().Sub(began))
	var items ItemErrors
	if errors.As(err, &items) && len(items) == len(qs) {
		err = nil
	} else {
		items = nil
	}
	if err == nil && len(rs) != len(qs) {
		err = fmt.Errorf("batch: %d answers to %d queries", len(rs), len(qs))
	}
	for i, c := range batch {
		c.err = err
		if items != nil {
			c.err = items[i]
		}
		if c.err == nil {
			c.r = rs[i]
		}
		c.answered()
	}
}

// learn sets the size of the next batches by what one of n queries took.
func (g *Group[Q, R]) learn(n int, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case took > inTime:
		g.size = min(g.size, max(int(int64(n)*int64(inTime)/int64(took)), leastSize))
	case took < inTime/2 && n >= g.size:
		g.size = min(2*g.size, g.max)
	}
}

// guarded turns a panic into an error of this batch.
func (g *Group[Q, R]) guarded(ctx context.Context, qs []Q) (rs []R, err error) {
	defer func() {
		if p := recover(); p != nil {
			rs, err = nil, fmt.Errorf("batch: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return g.do(ctx, qs)
}

// Shards is a set of Groups among which a key chooses, so that what has the same
// key stays in order while the others go on.
type Shards[Q, R any] []*Group[Q, R]

// NewShards makes n Groups.
func NewShards[Q, R any](n, max int, do func(ctx context.Context, qs []Q) ([]R, error)) Shards[Q, R] {
	s := make(Shards[Q, R], n)
	for i := range s {
		s[i] = NewGroup(max, do)
	}
	return s
}

// Do queues q at the key's Group.
func (s Shards[Q, R]) Do(ctx context.Context, key string, q Q) (R, error) {
	return s[shardOf(key, len(s))].Do(ctx, q)
}

// shardOf is FNV-1a of the key, modulo n.
func shardOf(key string, n int) int {
	h := uint32(2166136261)
	for i := 0; i < len(key); i++ {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int(h % uint32(n))
}

// Split answers a batch with do; where do fails, the batch is halved until the
// culprit stands alone, which alone then answers. do must change nothing when
// it fails (a transaction). An error that is trouble (aaa.ErrUnavailable, or
// the end of ctx) is not the batch's fault: those queries get it as it is.
// The error is nil or ItemErrors.
func Split[Q, R any](ctx context.Context, qs []Q, do func(ctx context.Context, qs []Q) ([]R, error),
	alone func(ctx context.Context, q Q, cause error) (R, error),
) ([]R, error) {
	rs := make([]R, len(qs))
	errs := make(ItemErrors, len(qs))
	split(ctx, qs, rs, errs, do, alone)
	for _, err := range errs {
		if err != nil {
			return rs, errs
		}
	}
	return rs, nil
}

func split[Q, R any](ctx context.Context, qs []Q, rs []R, errs []error, do func(ctx context.Context, qs []Q) ([]R, error),
	alone func(ctx context.Context, q Q, cause error) (R, error),
) {
	if len(qs) == 0 {
		return
	}
	got, err := do(ctx, qs)
	if err == nil && len(got) != len(qs) {
		err = fmt.Errorf("batch: %w: %d answers to %d queries", aaa.ErrUnavailable, len(got), len(qs))
	}
	switch {
	case err == nil:
		copy(rs, got)
	case ctx.Err() != nil || errors.Is(err, aaa.ErrUnavailable):
		for i := range errs {
			errs[i] = err
		}
	case len(qs) == 1:
		rs[0], errs[0] = alone(ctx, qs[0], err)
	default:
		half := len(qs) / 2
		split(ctx, qs[:half], rs[:half], errs[:half], do, alone)
		split(ctx, qs[half:], rs[half:], errs[half:], do, alone)
	}
}
