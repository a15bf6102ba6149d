package radius

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// deadlineSlice is the span of time whose requests share one context.
const deadlineSlice = 250 * time.Millisecond

// deadlines hands out contexts that end after a timeout, or up to a slice
// later: the requests of a slice share one, since a context and a timer for
// each would cost more than a cached answer.
type deadlines struct {
	base    context.Context // of all; ended at the end of the drain
	timeout time.Duration

	mu  sync.Mutex
	cur atomic.Pointer[deadline]
}

type deadline struct {
	ctx    context.Context
	cancel context.CancelFunc // frees nothing before the deadline does; kept for base's end
	until  time.Time
}

func (d *deadlines) context(now time.Time) context.Context {
	if c := d.cur.Load(); c != nil && now.Before(c.until) {
		return c.ctx
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.cur.Load(); c != nil && now.Before(c.until) {
		return c.ctx
	}
	c := &deadline{until: now.Add(deadlineSlice)}
	c.ctx, c.cancel = context.WithTimeout(d.base, d.timeout+deadlineSlice)
	d.cur.Store(c)
	return c.ctx
}
