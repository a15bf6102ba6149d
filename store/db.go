package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
)

// Poolers that may stand between Radial and PostgreSQL.
const (
	PoolerNone        = "none"
	PoolerTransaction = "transaction" // PgBouncer with pool_mode = transaction
)

// MinVersion is the oldest PostgreSQL that Radial works with.
const MinVersion = 15

// Options says how to reach the database and how it is to be read.
type Options struct {
	// URL is PostgreSQL's DSN (URL or key=value). Several hosts with
	// target_session_attrs=read-write fail over.
	URL nas.Secret
	// Pooler is none, or transaction when URL leads to a pooler in transaction
	// mode; then DirectURL is needed.
	Pooler string
	// DirectURL leads to PostgreSQL itself, for LISTEN, locks that live as long
	// as a connection, and migrations. Empty: the same as URL.
	DirectURL nas.Secret
	// MaxConns bounds the connections of the pool; 0 means 16.
	MaxConns int32
	// ConnectTimeout bounds one attempt to connect; 0 means 5 s.
	ConnectTimeout time.Duration
	// Escaping is auto (what was detected at the first migrate),
	// safe-characters or raw: how text stands in FreeRADIUS's tables.
	Escaping string
	// TimeZone is the IANA zone that the first migrate stores; empty: the
	// system's.
	TimeZone string
}

// Validate lists everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	if o.URL == "" {
		errs = append(errs, errors.New("url is empty: want postgres://user@host/database"))
	} else if _, err := pgxpool.ParseConfig(o.URL.Reveal()); err != nil {
		errs = append(errs, fmt.Errorf("url: %w", err)) // pgx masks the password
	}
	switch o.Pooler {
	case "", PoolerNone:
	case PoolerTransaction:
		if o.DirectURL == "" {
			errs = append(errs, errors.New("direct_url is empty: pooler transaction needs a way to PostgreSQL itself for LISTEN and locks"))
		}
	default:
		errs = append(errs, fmt.Errorf("pooler %q: want none or transaction", o.Pooler))
	}
	if o.DirectURL != "" {
		if _, err := pgx.ParseConfig(o.DirectURL.Reveal()); err != nil {
			errs = append(errs, fmt.Errorf("direct_url: %w", err))
		}
	}
	if o.MaxConns < 0 {
		errs = append(errs, fmt.Errorf("max_conns %d: want 0 (the default) or more", o.MaxConns))
	}
	if _, err := parseEscaping(o.Escaping); err != nil {
		errs = append(errs, err)
	}
	if o.TimeZone != "" {
		if _, err := time.LoadLocation(o.TimeZone); err != nil {
			errs = append(errs, fmt.Errorf("time_zone %q: want an IANA name such as Europe/Prague: %w", o.TimeZone, err))
		}
	}
	return errors.Join(errs...)
}

// DB is the database: a pool of connections, and how to make one that stays.
// Safe for concurrent use.
type DB struct {
	opts   Options
	pool   *pgxpool.Pool
	direct *pgx.ConnConfig
	log    *zap.Logger
	now    func() time.Time
	escape atomic.Pointer[Escaper] // once it is known
	held   atomic.Bool

	reckoning atomic.Pointer[reckoning] // of days, as last read

	freed func(map[freedPool]*freedRows) // hears what the clock has freed here; nil: nobody does
}

// errHeld is what a connection of a DB that is held fails with.
var errHeld = fmt.Errorf("%w: the database has not been looked at yet", aaa.ErrUnavailable)

// Hold keeps everybody from the database as if it were away, until Release: for
// a server that starts while it is, since nobody knows its schema.
func (db *DB) Hold() { db.held.Store(true) }

// Release ends Hold.
func (db *DB) Release() { db.held.Store(false) }

// heldUp is the error of a new connection while the DB is held.
func (db *DB) heldUp() error {
	if db.held.Load() {
		return errHeld
	}
	return nil
}

// Open makes a DB. It does not connect: connections are made when they are
// first needed, and again after the database was away. Close it.
func Open(ctx context.Context, opts Options, log *zap.Logger) (*DB, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("database: %w: %w", aaa.ErrInvalid, err)
	}
	if opts.MaxConns == 0 {
		opts.MaxConns = 16
	}
	if opts.ConnectTimeout == 0 {
		opts.ConnectTimeout = 5 * time.Second
	}
	cfg, err := pgxpool.ParseConfig(opts.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("database: %w: %w", aaa.ErrInvalid, err)
	}
	cfg.MaxConns = opts.MaxConns
	cfg.MaxConnIdleTime = 5 * time.Minute
	prepareConn(cfg.ConnConfig, opts)
	if opts.Pooler == PoolerTransaction {
		// A named prepared statement would be left at a backend that the next
		// transaction does not get.
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		cfg.ConnConfig.StatementCacheCapacity = 0
	}
	direct := cfg.ConnConfig.Copy()
	if opts.DirectURL != "" {
		if direct, err = pgx.ParseConfig(opts.DirectURL.Reveal()); err != nil {
			return nil, fmt.Errorf("database: %w: %w", aaa.ErrInvalid, err)
		}
		prepareConn(direct, opts)
	}
	db := &DB{opts: opts, direct: direct, log: log, now: time.Now}
	cfg.AfterConnect = useOurArrays
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return db.heldUp() }
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, wrapErr("database", err)
	}
	return db, nil
}

// prepareConn sets what every connection of ours has.
func prepareConn(cfg *pgx.ConnConfig, opts Options) {
	if _, ok := cfg.RuntimeParams["application_name"]; !ok {
		cfg.RuntimeParams["application_name"] = "radial"
	}
	if opts.Pooler != PoolerTransaction { // a pooler refuses parameters that it does not know
		// A plan that was made while a table was small is kept, and reads all of it
		// when it has grown, until the next ANALYZE. Every statement of the hot path
		// has an index; the others lose nothing that counts. Where no index serves,
		// the plan's cost looks huge, for which no machine code shall be made.
		cfg.RuntimeParams["enable_seqscan"] = "off"
		cfg.RuntimeParams["jit"] = "off"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = opts.ConnectTimeout
	}
	next := cfg.OnPgError
	cfg.OnPgError = func(c *pgconn.PgConn, err *pgconn.PgError) bool {
		// After a failover the old primary may live on as a standby: leave it,
		// so that the next connection finds the new one.
		if err.Code == codeReadOnly {
			return false
		}
		return next == nil || next(c, err)
	}
}

// Close closes all connections, after waiting for those in use.
func (db *DB) Close() { db.pool.Close() }

// Pool returns the pool itself, for River's workers (package jobs).
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping makes a trip to the database: nil, or why not (aaa.ErrUnavailable).
func (db *DB) Ping(ctx context.Context) error { return wrapErr("database", db.pool.Ping(ctx)) }

// connect makes a connection of its own, past any pooler.
func (db *DB) connect(ctx context.Context) (*pgx.Conn, error) {
	if err := db.heldUp(); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, db.direct.Copy())
}

// connectPatient is connect for work that takes its time on a big database: no
// limit that the role or the database has for statements and locks ends it.
func (db *DB) connectPatient(ctx context.Context) (*pgx.Conn, error) {
	if err := db.heldUp(); err != nil {
		return nil, err
	}
	cfg := db.direct.Copy()
	cfg.RuntimeParams["statement_timeout"], cfg.RuntimeParams["lock_timeout"] = "0", "0"
	return pgx.ConnectConfig(ctx, cfg)
}

// inTx runs f in a transaction; a deadlock or a serialization failure runs it
// again, three times at most.
func (db *DB) inTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	var err error
	for range 3 {
		if err = pgx.BeginFunc(ctx, db.pool, f); !retryable(err) {
			return err
		}
	}
	return err
}

// connectionLost recognises the errors of a connection that broke under a
// statement; pgx hands some of them up bare.
func connectionLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ENOENT) || strings.Contains(err.Error(), "conn closed")
}
