package store

import (
	"context"
	"time"

	"radial/aaa"
)

// SetEcho makes a listener notify itself more often.
func SetEcho(l *Listener, every time.Duration) { l.every = every }

// The statements of the hot path, for EXPLAIN.
const (
	SQLUserRows      = sqlUserRows
	SQLGroupRows     = sqlGroupRows
	SQLCountSessions = sqlCountSessions
	SQLEndedLeases   = sqlEndedLeases
)

// PostAuthQueue is how many rows wait at most.
const PostAuthQueue = postAuthQueue

// Batch reads users, groups and open sessions, each in one trip.
func (p *Policy) Batch(ctx context.Context, users, groups []string) (u []aaa.UserRows, g []aaa.GroupRows, open []int, err error) {
	if u, err = p.readUsers(ctx, users); err != nil {
		return nil, nil, nil, err
	}
	if g, err = p.readGroups(ctx, groups); err != nil {
		return nil, nil, nil, err
	}
	open, err = p.countSessions(ctx, users)
	return u, g, open, err
}
