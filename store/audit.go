package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlAuditInsert = `
INSERT INTO radial.audit (actor, action, key, detail) VALUES ($1::text, $2::text, $3::text, $4::jsonb)`
	// The newest first, from $1 on and before $2, after the row $3 (0: from the
	// newest), with an actor $4 and actions that begin with $5 ("": all); $6 rows.
	auditOf = `
FROM radial.audit
WHERE at >= coalesce($1::timestamptz, '-infinity') AND at < coalesce($2::timestamptz, 'infinity')
  AND ($3::bigint = 0 OR (at, id) < (SELECT p.at, p.id FROM radial.audit p WHERE p.id = $3))
  AND ($4::text = '' OR actor = $4) AND starts_with(action, $5::text)`
	sqlAuditList = `
SELECT id, at, actor, action, key, detail` + auditOf + ` ORDER BY at DESC, id DESC LIMIT $6::int`
	sqlAuditOfKey = `
SELECT id, at, actor, action, key, detail` + auditOf + ` AND key = $7::text ORDER BY at DESC, id DESC LIMIT $6::int`
	sqlAuditHas = `SELECT EXISTS (SELECT FROM radial.audit WHERE id = $1::bigint)`
)

// AuditRow is one change of an operator.
type AuditRow struct {
	ID     int64           `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`
	Action string          `json:"action"`
	Key    string          `json:"key"`
	Detail json.RawMessage `json:"detail"`
}

// writeAudit writes the audit row of a change, in the change's transaction.
func writeAudit(ctx context.Context, tx pgx.Tx, c Change, key string, detail aaa.Audit) error {
	data, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("audit %s %s: %w", c.Action, key, err)
	}
	_, err = tx.Exec(ctx, sqlAuditInsert, c.Actor, c.Action, key, string(data))
	return wrapErr("audit "+c.Action+" "+key, err)
}

// AuditQuery says which rows of the audit are asked for; a zero field asks for
// all.
type AuditQuery struct {
	Key          string    // exactly: the name of a user, a pool, a device; an address
	Action       string    // what the action begins with: user., user.set
	Actor        string    // exactly: cli:root
	Since, Until time.Time // from Since on, before Until
	After        int64     // those after (older than) the row of that id
	Limit        int
}

// Audit returns what operators have changed, the newest first, at most Limit
// rows. An After that is not there is aaa.ErrNotFound: from it no page can go on.
func (db *DB) Audit(ctx context.Context, q AuditQuery) ([]AuditRow, error) {
	if q.After != 0 {
		var has bool
		if err := db.pool.QueryRow(ctx, sqlAuditHas, q.After).Scan(&has); err != nil {
			return nil, wrapErr("audit", err)
		}
		if !has {
			return nil, fmt.Errorf("audit row %d: %w", q.After, aaa.ErrNotFound)
		}
	}
	statement, args := sqlAuditList, []any{nullTime(q.Since), nullTime(q.Until), q.After, q.Actor, q.Action, q.Limit}
	if q.Key != "" {
		statement, args = sqlAuditOfKey, append(args, q.Key)
	}
	rows, err := db.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, wrapErr("audit", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AuditRow])
	return all, wrapErr("audit", err)
}

// NoteChange writes the audit row of a change that is not one transaction,
// such as the making of a large pool, after it was done.
func (db *DB) NoteChange(ctx context.Context, c Change, key string, detail aaa.Audit) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return writeAudit(ctx, tx, c, key, detail) })
}
