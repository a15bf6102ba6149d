package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Statements that begin and end a transaction inside a pgx.Batch: they travel
// with the others, so that a transaction costs as many trips as it has looks at
// what came back, and no more.
const (
	tripBegin  = "begin"
	tripCommit = "commit"
)

// rollbackTimeout bounds the wait for the end of a transaction that failed.
const rollbackTimeout = 5 * time.Second

// inTrips runs a transaction whose own batches hold tripBegin and tripCommit.
// After an error it rolls back.
func (db *DB) inTrips(ctx context.Context, run func(conn *pgx.Conn) error) error {
	return db.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		conn := c.Conn()
		err := run(conn)
		if err != nil && !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
			// The transaction holds nothing once it ends; where even this fails, or
			// the server has gone without a word, the pool throws the connection away.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
			defer cancel()
			_, rollback := conn.Exec(ctx, "rollback")
			return errors.Join(err, rollback)
		}
		return err
	})
}
