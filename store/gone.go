package store

import (
	"slices"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// A server that is not heard of any more may have died, or it may be cut off from the
// database alone and go on taking accounting into its journal. Its listening
// connection tells them apart: that of a process that has died, however it died, is
// closed by its kernel at once; that of one that is cut off stays. So each server
// holds a lock on it, and the others look for it. One that died, and had said that
// its journal is empty, is not waited for (docs/decisions/0004-offers-after-a-gap.md).
//
// It counts only while the lock was there at the last heartbeat, on the same start of
// PostgreSQL, and has gone within seconds of it: what PostgreSQL closes when it ends, or
// when it has given up a peer after minutes, says nothing of the server.
const (
	sqlPresent = `SELECT pg_advisory_lock_shared(hashtextextended('radial server ' || $1::uuid, 0))`

	// Whether the connection of the server with that id is there.
	presentBegin = `EXISTS (SELECT FROM pg_catalog.pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
          AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('radial server ' || `
	presentEnd = `, 0))`

	presentMe = presentBegin + `$1::uuid` + presentEnd

	// $1 the server that asks.
	sqlServersGone = `
UPDATE radial.servers s SET gone_at = now()
WHERE s.id <> $1::uuid AND s.stopped_at IS NULL AND s.gone_at IS NULL AND s.present_on = pg_postmaster_start_time()
  AND s.heartbeat_at > now() - interval '15 seconds' AND NOT ` + presentBegin + `s.id` + presentEnd

	// Those that are not about to sign off: one that ends in good order closes this connection first.
	sqlServersDied = `
SELECT s.name FROM radial.servers s
WHERE s.gone_at < now() - interval '4 seconds' AND s.stopped_at IS NULL AND s.heartbeat_at < now() - ` + heartbeatGap + ` ORDER BY s.name`
)

// Present has the connection stand for a server, so that others see when it dies. Call it before Run.
func (l *Listener) Present(server string) { l.server = server }

// namesInto reads a column of names.
func namesInto(to *[]string) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}
}

// tell logs what has become of other servers, each time it changes.
func (p *Presence) tell(awaited, died []string) {
	if len(awaited) > 0 && !slices.Equal(awaited, p.awaited) {
		p.Log.Warn("servers that did not sign off may have accounting of their own: offers that run out and silent sessions wait until they are back or forgotten (radial server forget)", zap.Strings("servers", awaited))
	}
	if len(died) > 0 && !slices.Equal(died, p.died) {
		p.Log.Warn("servers have died: their connections ended, and they did not sign off; nothing waits for those that had an empty journal", zap.Strings("servers", died))
	}
	p.awaited, p.died = awaited, died
}
