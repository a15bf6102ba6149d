package routeros

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Pool keeps connections to one router. Many goroutines may use it.
type Pool struct {
	login Login
	slots chan struct{} // one for each connection that may be open
	now   func() time.Time

	mu     sync.Mutex
	idle   []idleConn // the one used last is at the end
	closed bool
}

type idleConn struct {
	conn  *Conn
	since time.Time
}

// idleLife is how long a connection is kept that nobody uses: some routers are
// set to end API sessions after a while.
const idleLife = time.Minute

// tries is how often a read is asked, each time on a new connection.
const tries = 3

var errPoolClosed = errors.New("the pool of connections is closed")

// NewPool makes a pool of at most size connections. Nothing is dialled yet.
func NewPool(l Login, size int, now func() time.Time) *Pool {
	return &Pool{login: l, slots: make(chan struct{}, max(size, 1)), now: now}
}

// Read runs f, which only reads, on a connection; where the connection breaks,
// again on a new one, three times in all. It is f's to be harmless when it
// runs twice.
func (p *Pool) Read(ctx context.Context, f func(c *Conn) error) error {
	var err error
	for range tries {
		if err = p.once(ctx, f, false); !errors.Is(err, ErrBroken) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// Write runs f, which changes something, on a connection that has just shown
// that it lives. It runs once: where the connection breaks, the error is
// ErrBroken, and the caller looks what became of it.
func (p *Pool) Write(ctx context.Context, f func(c *Conn) error) error {
	return p.once(ctx, f, true)
}

func (p *Pool) once(ctx context.Context, f func(c *Conn) error, probe bool) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	c, err := p.take(ctx, probe)
	if err != nil {
		return err
	}
	err = f(c)
	return errors.Join(err, p.give(c))
}

// take is an idle connection, else a new one. One that is to be written to is
// asked for the router's name first: a connection that died while it was idle
// would leave the fate of the change unknown.
func (p *Pool) take(ctx context.Context, probe bool) (*Conn, error) {
	for {
		c, err := p.pop()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return Dial(ctx, p.login)
		}
		if !probe {
			return c, nil
		}
		if _, err := c.Run(ctx, "/system/identity/print"); err == nil {
			return c, nil
		}
		if err := errors.Join(c.Close(), ctx.Err()); err != nil {
			return nil, err
		}
	}
}

// pop takes the idle connection used last, if it is not too old; nil is none.
func (p *Pool) pop() (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errPoolClosed
	}
	for len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if p.now().Sub(last.since) < idleLife {
			return last.conn, nil
		}
		if err := last.conn.Close(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (p *Pool) give(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.broken || p.closed {
		return c.Close()
	}
	p.idle = append(p.idle, idleConn{c, p.now()})
	return nil
}

// Close ends all idle connections; those at work end when they come back.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, i := range p.idle {
		errs = append(errs, i.conn.Close())
	}
	p.idle = nil
	return errors.Join(errs...)
}
