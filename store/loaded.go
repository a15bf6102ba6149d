package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// The sessions whose Acct-Session-Id is $1 and 8 hexadecimal digits. The bounds
// are for the index, in any collation that sorts digits before letters.
const sqlSessionsOfPrefix = `
SELECT acctsessionid, acctstarttime IS NOT NULL, acctstoptime IS NOT NULL, coalesce(acctinputoctets, 0), coalesce(acctoutputoctets, 0)
FROM radacct
WHERE acctsessionid BETWEEN $1::text || '00000000' AND $1 || 'ffffffff' AND starts_with(acctsessionid, $1)`

// StoredSession is what a row of radacct has of a session that the load
// generator has played.
type StoredSession struct {
	SessionID        string
	Started, Stopped bool
	Input, Output    int64 // octets
}

// SessionsOfPrefix calls each for every row of radacct whose Acct-Session-Id is
// prefix and 8 hexadecimal digits, as those of one run of the load generator
// are. It needs radacct alone, so that FreeRADIUS's own database will do.
func (db *DB) SessionsOfPrefix(ctx context.Context, prefix string, each func(StoredSession) error) error {
	rows, err := db.pool.Query(ctx, sqlSessionsOfPrefix, prefix)
	if err != nil {
		return wrapErr("sessions "+prefix+"…", err)
	}
	var s StoredSession
	_, err = pgx.ForEachRow(rows, []any{&s.SessionID, &s.Started, &s.Stopped, &s.Input, &s.Output}, func() error { return each(s) })
	return wrapErr("sessions "+prefix+"…", err)
}
