package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"radial/nas"
	"radial/store"
	"radial/store/pgdev"
)

// DB is the database of one test.
type DB struct {
	*store.DB
	t    testing.TB
	url  string
	conn *pgx.Conn  // for Exec and Rows, apart from the store's pool
	mu   sync.Mutex // conn serves one goroutine at a time
}

// Option changes what New makes.
type Option func(*config)

type config struct {
	durable bool
	empty   bool
	log     *zap.Logger
	opts    store.Options
}

// Durable puts the database into a cluster that syncs to disk.
func Durable(c *config) { c.durable = true }

// WithOptions sets what the store is opened with; the URL is filled in.
func WithOptions(o store.Options) Option { return func(c *config) { c.opts = o } }

// WithLog sets the store's logger.
func WithLog(log *zap.Logger) Option { return func(c *config) { c.log = log } }

// New returns a migrated database, which is dropped when the test ends.
func New(t testing.TB, options ...Option) *DB {
	t.Helper()
	return open(t, options)
}

// Empty returns a database that nobody has migrated.
func Empty(t testing.TB, options ...Option) *DB {
	t.Helper()
	return open(t, append(options, func(c *config) { c.empty = true }))
}

func open(t testing.TB, options []Option) *DB {
	t.Helper()
	cfg := configOf(options)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := startCluster(ctx, cfg.durable)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error("storetest: ", err)
		}
	})
	return openIn(t, c, options)
}

func configOf(options []Option) config {
	cfg := config{log: zap.NewNop()}
	for _, o := range options {
		o(&cfg)
	}
	return cfg
}

// openIn makes a database in a cluster and opens it.
func openIn(t testing.TB, c *pgdev.Cluster, options []Option) *DB {
	t.Helper()
	cfg := configOf(options)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, err := createDatabase(ctx, c, cfg.durable, cfg.empty)
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	db := &DB{t: t, url: c.URL(name)}
	t.Cleanup(func() {
		if err := dropDatabase(context.Background(), c, name); err != nil {
			t.Error("storetest: ", err)
		}
	})
	cfg.opts.URL = nas.Secret(db.url)
	if cfg.opts.Pooler == store.PoolerTransaction {
		cfg.opts.DirectURL = cfg.opts.URL
	}
	if db.DB, err = store.Open(ctx, cfg.opts, cfg.log); err != nil {
		t.Fatal("storetest: ", err)
	}
	t.Cleanup(db.Close)
	if db.conn, err = pgx.Connect(ctx, db.url); err != nil {
		t.Fatal("storetest: ", err)
	}
	t.Cleanup(func() { _ = db.conn.Close(context.Background()) }) // the test may have cut it
	return db
}

// URL returns the database's DSN.
func (db *DB) URL() string { return db.url }

// Away takes the database away from the server and the store while f runs: they
// are cut off, and no connection can be made.
func (db *DB) Away(f func()) {
	db.t.Helper()
	u, err := url.Parse(db.url)
	if err != nil {
		db.t.Fatal("storetest: ", err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin, err := pgx.Connect(context.Background(), u.String())
	if err != nil {
		db.t.Fatal("storetest: ", err)
	}
	defer func() { _ = admin.Close(context.Background()) }() // the statements have told what there was to tell
	do := func(sql string) {
		db.t.Helper()
		if _, err := admin.Exec(context.Background(), sql); err != nil {
			db.t.Fatal("storetest: ", explain(err))
		}
	}
	do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND application_name = 'radial'")
	defer do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS true")
	f()
}

// Exec runs a statement (several at once when there are no arguments), past
// the store, and fails the test if it fails. It returns the rows affected.
func (db *DB) Exec(sql string, args ...any) int64 {
	db.t.Helper()
	db.mu.Lock()
	defer db.mu.Unlock()
	tag, err := db.conn.Exec(context.Background(), sql, args...)
	if err != nil {
		db.t.Fatalf("%s: %v", sql, explain(err))
	}
	return tag.RowsAffected()
}

// Rows runs a query past the store and returns its rows as PostgreSQL prints
// them; NULL is "NULL".
func (db *DB) Rows(sql string, args ...any) [][]string {
	db.t.Helper()
	db.mu.Lock()
	defer db.mu.Unlock()
	rows, err := db.conn.Query(context.Background(), sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		db.t.Fatalf("%s: %v", sql, explain(err))
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		var row []string
		for _, v := range rows.RawValues() {
			if v == nil {
				row = append(row, "NULL")
			} else {
				row = append(row, string(v))
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		db.t.Fatalf("%s: %v", sql, explain(err))
	}
	return all
}

// explain adds PostgreSQL's detail and hint to an error.
func explain(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Detail+pg.Hint != "" {
		return fmt.Errorf("%w; %s %s", err, pg.Detail, pg.Hint)
	}
	return err
}
