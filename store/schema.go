package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"radial/aaa"
)

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// status lists our migrations with those that the database has.
func status(ctx context.Context, q querier) ([]Migration, error) {
	ms, err := embedded()
	if err != nil {
		return nil, err
	}
	var there bool
	if err := q.QueryRow(ctx, sqlHasTable, Schema+".goose_db_version").Scan(&there); err != nil {
		return nil, wrapErr("schema version", err)
	}
	if !there {
		return ms, nil
	}
	rows, err := q.Query(ctx, sqlSchemaVersions)
	if err != nil {
		return nil, wrapErr("schema version", err)
	}
	applied, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Migration, err error) {
		m.Applied = true
		return m, row.Scan(&m.Version, &m.At)
	})
	if err != nil {
		return nil, wrapErr("schema version", err)
	}
	for _, a := range applied {
		if i := indexOfVersion(ms, a.Version); i >= 0 {
			ms[i].Applied, ms[i].At = true, a.At
		} else {
			a.Name = "of a newer version"
			ms = append(ms, a)
		}
	}
	return ms, nil
}

func indexOfVersion(ms []Migration, v int64) int {
	for i, m := range ms {
		if m.Version == v {
			return i
		}
	}
	return -1
}

func (db *DB) pending(ctx context.Context, q querier) ([]Migration, error) {
	ms, err := status(ctx, q)
	if err != nil {
		return nil, err
	}
	var pending []Migration
	for _, m := range ms {
		if !m.Applied {
			pending = append(pending, m)
		}
	}
	return pending, nil
}

// Status lists all migrations and whether the database has them; one that only
// the database knows is of a newer version of Radial.
func (db *DB) Status(ctx context.Context) ([]Migration, error) { return status(ctx, db.pool) }

// CheckSchema is for a server that is told not to migrate: nil when the
// database has all that this version needs (it may have more), else an
// aaa.ErrInvalid that says what to do.
func (db *DB) CheckSchema(ctx context.Context) error {
	pending, err := db.pending(ctx, db.pool)
	if isCode(err, codeInsufficientPrivilege) {
		role := pgx.Identifier{db.pool.Config().ConnConfig.User}.Sanitize()
		return fmt.Errorf("schema: role %[1]s may not use schema radial: connect as the role that ran radial migrate up, or let that one run "+
			"GRANT USAGE ON SCHEMA radial TO %[1]s; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA radial TO %[1]s; "+
			"GRANT USAGE ON ALL SEQUENCES IN SCHEMA radial TO %[1]s (%[2]w)", role, err)
	}
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("schema: %w: the database lacks migration %d (%s): run radial migrate up",
			aaa.ErrInvalid, pending[0].Version, pending[0].Name)
	}
	m, err := riverMigrator(db.pool)
	if err != nil {
		return wrapErr("schema: river", err)
	}
	res, err := m.Validate(ctx, nil)
	if err != nil {
		return wrapErr("schema: river", err)
	}
	if !res.OK {
		return fmt.Errorf("schema: %w: %s: run radial migrate up", aaa.ErrInvalid, strings.Join(res.Messages, "; "))
	}
	return nil
}

// isCode tells whether err is the server's error with that SQLSTATE.
func isCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}
