package store

import (
	"context"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// MigrateTo applies our migrations up to a version, as an older Radial did.
func (db *DB) MigrateTo(ctx context.Context, version int64) (err error) {
	conn, err := db.connectPatient(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	pool, err := db.migratePool(ctx, conn)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, ddlCreateSchema); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	std := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, std.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, std, files,
		goose.WithTableName(Schema+".goose_db_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

// The questions about the history, for EXPLAIN.
const (
	SQLWhoHadBefore = sqlWhoHadBefore
	SQLWhoHadAfter  = sqlWhoHadAfter
	SQLHistoryList  = sqlHistoryList
)
