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
	sqlAuditList = `
SELECT id, at, actor, action, key, detail FROM radial.audit
WHERE ($1::text = '' OR key = $1) AND ($2::text = '' OR action LIKE $2 || '%')
ORDER BY id DESC LIMIT $3::int`
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

// Audit returns the newest rows first, at most limit, of one key ("" for all)
// and of actions that begin with a text ("" for all).
func (db *DB) Audit(ctx context.Context, key, action string, limit int) ([]AuditRow, error) {
	rows, err := db.pool.Query(ctx, sqlAuditList, key, action, limit)
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
