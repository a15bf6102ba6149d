package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"radial/aaa"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Schema is the database schema of all that is not FreeRADIUS's, River's
// tables included.
const Schema = "radial"

// migrateLock is the key of the advisory lock that migrations hold: "radial".
const migrateLock int64 = 0x72616469616c

// Statements that cannot be prepared.
const (
	ddlCreateSchema = `CREATE SCHEMA IF NOT EXISTS radial`
)

const (
	// Tried again and again rather than waited for: who waits in a statement holds a
	// snapshot, and CREATE INDEX CONCURRENTLY waits for snapshots.
	sqlMigrateLock   = `SELECT pg_try_advisory_lock($1::bigint)`
	sqlSearchPath    = `SELECT set_config('search_path', $1::text, false)`
	sqlMigrateUnlock = `SELECT pg_advisory_unlock($1::bigint)`
	sqlVersionNum    = `SELECT current_setting('server_version_num')::int`
	// The schema that FreeRADIUS's tables stand in, or will be made in.
	sqlHomeSchema = `
SELECT coalesce(
    (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('radacct')),
    (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('radcheck')),
    current_schema()::text, '')`
	// Whether the role is named as our schema, so that PostgreSQL's default
	// search_path ("$user", public) has it look there first. $1 the search_path that it should have.
	sqlRoleShadows = `
SELECT current_user = 'radial' AND NOT EXISTS (
    SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
    WHERE r.rolname = current_user AND d.datname = current_database() AND ('search_path=' || $1::text) = ANY (s.setconfig))`
	sqlDatabaseName   = `SELECT current_database()::text`
	sqlHasTable       = `SELECT to_regclass($1::text) IS NOT NULL`
	sqlSchemaVersions = `
SELECT version_id::bigint, max(tstamp)::timestamptz FROM radial.goose_db_version
WHERE is_applied AND version_id > 0 GROUP BY version_id ORDER BY version_id`
)

// Migration is one step of the schema.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"applied_at,omitzero"`
}

// MigrateReport says what Migrate did.
type MigrateReport struct {
	Applied  []Migration `json:"applied"`  // our steps that were applied now
	River    []int       `json:"river"`    // River's steps that were applied now
	Indexes  []string    `json:"indexes"`  // indexes of FreeRADIUS's tables that were made now
	Adopted  bool        `json:"adopted"`  // FreeRADIUS's tables stood there before the first step
	Escaping string      `json:"escaping"` // as stored: safe-characters or raw
	TimeZone string      `json:"time_zone"`
}

// Migrate brings the database to the schema of this version: FreeRADIUS's
// tables (an existing database is adopted: what is missing is added, no row is
// touched), ours, and River's. One process at a time does it; others wait.
// A role that lacks rights gets a *RightsError before anything is done.
func (db *DB) Migrate(ctx context.Context) (report MigrateReport, err error) {
	conn, err := db.connectPatient(ctx)
	if err != nil {
		return report, wrapErr("migrate: connect", err)
	}
	defer closeConn(conn)
	if err := checkVersion(ctx, conn); err != nil {
		return report, err
	}
	// Released with the connection, whatever happens.
	if err := lockMigrations(ctx, conn); err != nil {
		return report, wrapErr("migrate: lock", err)
	}
	pool, err := db.migratePool(ctx, conn)
	if err != nil {
		return report, err
	}
	defer pool.Close()

	pending, err := db.pending(ctx, conn)
	if err != nil {
		return report, err
	}
	if len(pending) > 0 {
		if err := checkRights(ctx, conn, pool.Config().ConnConfig.RuntimeParams["search_path"]); err != nil {
			return report, err
		}
		if pending[0].Version == 1 {
			if err := conn.QueryRow(ctx, sqlHasTable, "radacct").Scan(&report.Adopted); err != nil {
				return report, wrapErr("migrate", err)
			}
		}
		if report.Applied, err = applyOurs(ctx, pool); err != nil {
			return report, rightsErr(wrapErr("migrate", err), conn)
		}
	}
	if report.River, err = applyRiver(ctx, pool); err != nil {
		return report, rightsErr(wrapErr("migrate: river", err), conn)
	}
	report.Escaping, report.TimeZone, err = db.firstSettings(ctx, conn)
	if err != nil {
		return report, err
	}
	if report.Indexes, err = indexIn(ctx, conn, pool); err != nil {
		return report, rightsErr(wrapErr("migrate", err), conn)
	}
	if err := leadHome(ctx, conn, pool.Config().ConnConfig.RuntimeParams["search_path"]); err != nil {
		return report, wrapErr("migrate: search_path", err)
	}
	_, err = conn.Exec(ctx, sqlMigrateUnlock, migrateLock)
	return report, wrapErr("migrate: unlock", err)
}

// leadHome sees to it that a role named radial finds FreeRADIUS's tables where
// they stand. By PostgreSQL's default it would look into the schema of its own
// name first, which is ours: a radcheck that somebody's psql made there, unseen,
// would hide the true one from the server.
func leadHome(ctx context.Context, conn *pgx.Conn, home string) error {
	var shadows bool
	if err := conn.QueryRow(ctx, sqlRoleShadows, home).Scan(&shadows); err != nil || !shadows {
		return err
	}
	var name string
	if err := conn.QueryRow(ctx, sqlDatabaseName).Scan(&name); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "ALTER ROLE CURRENT_USER IN DATABASE "+pgx.Identifier{name}.Sanitize()+" SET search_path = "+home)
	return err
}

func lockMigrations(ctx context.Context, conn *pgx.Conn) error {
	for {
		var locked bool
		if err := conn.QueryRow(ctx, sqlMigrateLock, migrateLock).Scan(&locked); err != nil || locked {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// indexIn makes the indexes on conn, in the schema that pool's connections work in.
func indexIn(ctx context.Context, conn *pgx.Conn, pool *pgxpool.Pool) ([]string, error) {
	if _, err := conn.Exec(ctx, sqlSearchPath, pool.Config().ConnConfig.RuntimeParams["search_path"]); err != nil {
		return nil, err
	}
	return makeIndexes(ctx, conn)
}

// closeConn closes a connection of our own. Close only fails to say goodbye to
// a server that is gone, which changes nothing.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

func checkVersion(ctx context.Context, conn *pgx.Conn) error {
	var v int
	if err := conn.QueryRow(ctx, sqlVersionNum).Scan(&v); err != nil {
		return wrapErr("server version", err)
	}
	if v/10000 < MinVersion {
		return fmt.Errorf("database: %w: PostgreSQL %d.%d is too old: want %d or newer", aaa.ErrInvalid, v/10000, v%10000, MinVersion)
	}
	return nil
}

// migratePool makes the few connections that migrations run on: past any
// pooler, and with a search_path that leads to FreeRADIUS's tables alone.
func (db *DB) migratePool(ctx context.Context, conn *pgx.Conn) (*pgxpool.Pool, error) {
	var home string
	if err := conn.QueryRow(ctx, sqlHomeSchema).Scan(&home); err != nil {
		return nil, wrapErr("migrate: schema", err)
	}
	if home == "" {
		return nil, fmt.Errorf("migrate: %w: search_path of the role names no schema that is there: want public", aaa.ErrInvalid)
	}
	cfg, err := pgxpool.ParseConfig(db.direct.ConnString())
	if err != nil {
		return nil, wrapErr("migrate", err)
	}
	cfg.ConnConfig = db.direct.Copy()
	cfg.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{home}.Sanitize()
	// A report that runs for an hour must not make us wait in front of
	// FreeRADIUS for its tables.
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = "20s"
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	cfg.MaxConns = 3
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	return pool, wrapErr("migrate", err)
}

func applyOurs(ctx context.Context, pool *pgxpool.Pool) ([]Migration, error) {
	if _, err := pool.Exec(ctx, ddlCreateSchema); err != nil {
		return nil, err
	}
	std := stdlib.OpenDBFromPool(pool)
	done, err := runGoose(ctx, std)
	return done, errors.Join(err, std.Close())
}

func runGoose(ctx context.Context, std *sql.DB) ([]Migration, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, std, files,
		goose.WithTableName(Schema+".goose_db_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	var done []Migration
	for _, r := range results {
		if r.Error == nil {
			done = append(done, Migration{Version: r.Source.Version, Name: migrationName(r.Source.Path), Applied: true, At: time.Now()})
		}
	}
	return done, err
}

func riverMigrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	return rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Schema, Logger: slog.New(slog.DiscardHandler)})
}

func applyRiver(ctx context.Context, pool *pgxpool.Pool) ([]int, error) {
	m, err := riverMigrator(pool)
	if err != nil {
		return nil, err
	}
	res, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return nil, err
	}
	var done []int
	for _, v := range res.Versions {
		done = append(done, v.Version)
	}
	return done, nil
}

// SchemaDigest identifies the schema that Migrate makes: another one for other
// migrations of ours or of River's.
func SchemaDigest() (string, error) {
	h := sha256.New()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return "", err
	}
	for _, n := range names {
		text, err := migrations.ReadFile(n)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", n, len(text), text)
	}
	fmt.Fprintf(h, "%s", sqlIndexesMissing)
	m, err := riverMigrator(nil)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "river %d", len(m.AllVersions()))
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// embedded lists the migrations that this version brings, in order.
func embedded() ([]Migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var ms []Migration
	for _, n := range names {
		number, _, _ := strings.Cut(path.Base(n), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", n, err)
		}
		ms = append(ms, Migration{Version: v, Name: migrationName(n)})
	}
	return ms, nil
}

func migrationName(file string) string {
	_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
	return name
}
