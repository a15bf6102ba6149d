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
	sqlConfigurationBegin = `
INSERT INTO radial.router_configurations (router_id, kind, parts, changes, status, undoes, actor)
VALUES ($1::bigint, $2::text, $3::text[], $4::jsonb, 'pending', nullif($5::bigint, 0), $6::text) RETURNING id`
	sqlConfigurationEnd = `
UPDATE radial.router_configurations SET status = $2::text, problem = $3::text, changes = coalesce($4::jsonb, changes),
    applied_at = CASE WHEN $2::text = 'applied' THEN now() END WHERE id = $1::bigint RETURNING undoes`
	sqlConfigurationUndone = `UPDATE radial.router_configurations SET status = 'undone' WHERE id = $1::bigint`
	// Those of a router, the newest first; $2 one of them, or 0 for all; at most $3, before the one of $4 (0: from the newest).
	sqlConfigurations = `
SELECT id, kind, parts, changes, status, problem, coalesce(undoes, 0), actor, created_at, applied_at FROM radial.router_configurations
WHERE router_id = $1::bigint AND ($2::bigint = 0 OR id = $2::bigint) AND ($4::bigint = 0 OR id < $4::bigint) ORDER BY id DESC LIMIT $3::int`
	sqlConfigurationToUndo = `
SELECT id FROM radial.router_configurations WHERE router_id = $1::bigint AND kind = 'configure' AND status <> 'undone' ORDER BY id DESC LIMIT 1`
)

// Kinds of a RouterConfiguration.
const (
	ConfigureKind = "configure"
	UndoKind      = "undo"
)

// RouterConfiguration is what has been, or was to be, changed on a router.
type RouterConfiguration struct {
	ID      int64           `json:"id"`
	Kind    string          `json:"kind"` // configure, undo
	Parts   []string        `json:"parts"`
	Changes json.RawMessage `json:"changes"` // secrets in it are sealed
	Status  string          `json:"status"`  // pending, applied, failed, undone
	Problem string          `json:"problem"` // why it failed
	Undoes  int64           `json:"undoes"`  // of an undo: the configuration that it takes back; else 0
	Actor   string          `json:"actor"`
	Created time.Time       `json:"created_at"`
	Applied *time.Time      `json:"applied_at"`
}

// BeginRouterConfiguration records what is to be changed on a router, before
// anything is, and returns the record's id. Changes of a record that is never
// ended were made in part, or not at all, or all of them.
func (db *DB) BeginRouterConfiguration(ctx context.Context, c Change, r aaa.Router, conf RouterConfiguration, count int) (id int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlConfigurationBegin, r.ID, conf.Kind, conf.Parts, conf.Changes, conf.Undoes, c.Actor).Scan(&id); err != nil {
			return err
		}
		detail := aaa.Audit{"configuration": id, "parts": conf.Parts, "changes": count}
		if conf.Undoes != 0 {
			detail["undoes"] = conf.Undoes
		}
		return writeAudit(ctx, tx, c, r.Name, detail)
	})
	return id, wrapErr(fmt.Sprintf("configuration of router %q", r.Name), err)
}

// EndRouterConfiguration records the outcome: "" is all applied, else the
// problem that ended it. changes are what was really done; nil leaves what was
// meant. An undo that was applied marks what it has taken back.
func (db *DB) EndRouterConfiguration(ctx context.Context, id int64, problem string, changes json.RawMessage) error {
	status := "applied"
	if problem != "" {
		status = "failed"
	}
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		var undoes *int64
		if err := tx.QueryRow(ctx, sqlConfigurationEnd, id, status, storableText(problem), changes).Scan(&undoes); err != nil {
			return err
		}
		if undoes == nil || problem != "" {
			return nil
		}
		_, err := tx.Exec(ctx, sqlConfigurationUndone, *undoes)
		return err
	})
	return wrapErr(fmt.Sprintf("configuration %d", id), err)
}

// RouterConfigurations lists what was configured on a router, the newest first:
// at most limit, after (older than) the one of that id, 0 from the newest.
func (db *DB) RouterConfigurations(ctx context.Context, r aaa.Router, limit int, after int64) ([]RouterConfiguration, error) {
	return db.routerConfigurations(ctx, r, 0, limit, after)
}

// RouterConfiguration returns one of a router's, or aaa.ErrNotFound. Id 0 is the
// newest that an undo has not taken back.
func (db *DB) RouterConfiguration(ctx context.Context, r aaa.Router, id int64) (RouterConfiguration, error) {
	if id == 0 {
		if err := db.pool.QueryRow(ctx, sqlConfigurationToUndo, r.ID).Scan(&id); err != nil {
			return RouterConfiguration{}, wrapErr(fmt.Sprintf("router %q: a configuration to take back", r.Name), err)
		}
	}
	found, err := db.routerConfigurations(ctx, r, id, 1, 0)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("router %q: configuration %d: %w", r.Name, id, aaa.ErrNotFound)
	}
	if err != nil {
		return RouterConfiguration{}, err
	}
	return found[0], nil
}

func (db *DB) routerConfigurations(ctx context.Context, r aaa.Router, id int64, limit int, after int64) ([]RouterConfiguration, error) {
	rows, err := db.pool.Query(ctx, sqlConfigurations, r.ID, id, limit, after)
	if err != nil {
		return nil, wrapErr("configurations of router "+r.Name, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RouterConfiguration])
	return all, wrapErr("configurations of router "+r.Name, err)
}
