package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// SetEcho makes a listener notify itself more often.
func SetEcho(l *Listener, every time.Duration) { l.every = every }

// The statements of the hot path, for EXPLAIN.
const (
	SQLUserRows       = sqlUserRows
	SQLGroupRows      = sqlGroupRows
	SQLAdmissionLook  = sqlAdmissionLook
	SQLEndedLeases    = sqlEndedLeases
	SQLProfileAmong   = sqlProfileAmong
	SQLSubscriberList = sqlSubscriberList
)

// TellFollowed says that a job sees to the sessions of users.
func (db *DB) TellFollowed(ctx context.Context, users []string) error {
	return db.inTx(ctx, func(tx pgx.Tx) error { return tellFollowed(ctx, tx, users) })
}

// PostAuthQueue is how many rows wait at most.
const PostAuthQueue = postAuthQueue

// Batch reads users and groups, each in one trip.
func (p *Policy) Batch(ctx context.Context, users, groups []string) (u []aaa.UserRows, g []aaa.GroupRows, err error) {
	if u, err = p.readUsers(ctx, users); err != nil {
		return nil, nil, err
	}
	g, err = p.readGroups(ctx, groups)
	return u, g, err
}
