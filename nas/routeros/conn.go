package routeros

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	ros "github.com/go-routeros/routeros/v3"
)

// Conn is a connection to a router. One command runs at a time; it is not for
// several goroutines at once (Pool is).
type Conn struct {
	net     net.Conn
	client  *ros.Client
	timeout time.Duration
	address string
	broken  bool
}

// Row is an item as the router prints it, by RouterOS's names: .id, name, ….
type Row map[string]string

// Reply is what a command brought.
type Reply struct {
	Rows []Row
	Ret  string // of !done: the id of an item that was added
}

// Run sends a command, such as "/ppp/secret/print", with words of the API's
// forms ("=name=alice", "?name=alice", "=.proplist=.id,name"), and waits for
// the end of the reply, at most the login's Timeout. A refusal is a *Trap; any
// other error is ErrBroken, and the connection is of no use any more.
func (c *Conn) Run(ctx context.Context, command string, words ...string) (*Reply, error) {
	if c.broken {
		return nil, fmt.Errorf("%s %s: %w", c.address, command, ErrBroken)
	}
	var reply *ros.Reply
	err := c.within(ctx, func() (err error) {
		reply, err = c.client.RunArgs(append([]string{command}, words...))
		return err
	})
	if err != nil {
		if err = trapOf(err); errors.Is(err, ErrBroken) {
			c.broken = true
		}
		return nil, fmt.Errorf("%s %s: %w", c.address, command, err)
	}
	out := &Reply{Ret: reply.Done.Map["ret"]}
	for _, s := range reply.Re {
		out.Rows = append(out.Rows, Row(s.Map))
	}
	return out, nil
}

// within runs f with the connection's deadline at the end of ctx or of the
// timeout, whichever comes first.
func (c *Conn) within(ctx context.Context, f func() error) error {
	until := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	if err := c.net.SetDeadline(until); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() }) // f fails by it, and tells
	err := f()
	ended := !stop() && err != nil
	if errors.Is(err, os.ErrDeadlineExceeded) || ended && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v: %w", c.timeout, os.ErrDeadlineExceeded)
	}
	if ended {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.broken = true
	if err := c.client.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%s: close: %w", c.address, err)
	}
	return nil
}
