package store

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
)

const (
	postAuthBatch = 1000
	postAuthQueue = 50_000
	// postAuthDrain is how long shutdown may write on.
	postAuthDrain = 5 * time.Second
	// postAuthTold is how many refused rows of a batch have a line of their own:
	// where the table is gone, each login would have one.
	postAuthTold = 10
)

// What became of a row (metric).
const (
	postAuthWritten = "written"
	postAuthDropped = "dropped"
	postAuthRefused = "refused"
)

// FreeRADIUS's columns, then ours. authdate takes whatever type and zone the
// database gives the column.
const sqlPostAuthInsert = `
INSERT INTO radpostauth (username, pass, reply, calledstationid, callingstationid, authdate, class,
    reason, detail, nasipaddress, nasportid, framedipaddress)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
    $8::text[], $9::text[], $10::inet[], $11::text[], $12::inet[])`

// PostAuth writes radpostauth in batches. It implements aaa.PostAuthLog.
type PostAuth struct {
	db      *DB
	metrics *Metrics
	log     *zap.Logger
	queue   chan aaa.PostAuth
}

var _ aaa.PostAuthLog = (*PostAuth)(nil)

// NewPostAuth makes a PostAuth; Run writes what is logged.
func NewPostAuth(db *DB, m *Metrics, log *zap.Logger) *PostAuth {
	return &PostAuth{db: db, metrics: m, log: log, queue: make(chan aaa.PostAuth, postAuthQueue)}
}

// Log queues a row. A full queue (the database has been away for long) drops
// it and counts: no login waits for its log.
func (p *PostAuth) Log(row aaa.PostAuth) {
	select {
	case p.queue <- row:
	default:
		p.metrics.postAuth.WithLabelValues(postAuthDropped).Inc()
	}
}

// Run writes until ctx ends, then what is still queued, for some seconds, and
// returns nil. Stop those who call Log before.
func (p *PostAuth) Run(ctx context.Context) error {
	for {
		select {
		case row := <-p.queue:
			p.write(ctx, p.fill(row))
		case <-ctx.Done():
			p.drain(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (p *PostAuth) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, postAuthDrain)
	defer cancel()
	for {
		select {
		case row := <-p.queue:
			p.write(ctx, p.fill(row))
		default:
			return
		}
	}
}

// fill adds all that is queued to a first row.
func (p *PostAuth) fill(first aaa.PostAuth) []aaa.PostAuth {
	rows := append(make([]aaa.PostAuth, 0, min(1+len(p.queue), postAuthBatch)), first)
	for len(rows) < postAuthBatch {
		select {
		case row := <-p.queue:
			rows = append(rows, row)
		default:
			return rows
		}
	}
	return rows
}

// write stores the rows, waiting for the database where it is away, until ctx
// ends. Meanwhile the queue fills.
func (p *PostAuth) write(ctx context.Context, rows []aaa.PostAuth) {
	pause := 100 * time.Millisecond
	told := false
	for {
		left, err := p.try(ctx, rows)
		if err == nil {
			return
		}
		rows = left
		if !told && ctx.Err() == nil {
			p.log.Warn("post-auth log waits for the database", zap.Error(err))
			told = true
		}
		if sleep(ctx, pause) != nil && ctx.Err() != nil {
			// The caller's ctx has ended: what could be written was; Run drains
			// with a ctx of its own, and this is it or nothing.
			p.last(ctx, rows)
			return
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// last is the end of rows whose ctx has ended in the middle: one more try.
func (p *PostAuth) last(ctx context.Context, rows []aaa.PostAuth) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postAuthDrain)
	defer cancel()
	left, err := p.try(ctx, rows)
	if err != nil {
		p.metrics.postAuth.WithLabelValues(postAuthDropped).Add(float64(len(left)))
		p.log.Error("post-auth rows lost at shutdown", zap.Int("rows", len(left)), zap.Error(err))
	}
}

// try stores the rows; it returns those that trouble kept it from storing.
func (p *PostAuth) try(ctx context.Context, rows []aaa.PostAuth) ([]aaa.PostAuth, error) {
	esc, err := p.db.Escaper(ctx)
	if err != nil {
		return rows, err
	}
	insert := func(ctx context.Context, rows []aaa.PostAuth) ([]struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := p.db.pool.Exec(ctx, sqlPostAuthInsert, postAuthColumns(esc, rows)...)
		if err == nil {
			p.metrics.postAuth.WithLabelValues(postAuthWritten).Add(float64(len(rows)))
		}
		return make([]struct{}, len(rows)), wrapErr("radpostauth", err)
	}
	lost := 0
	refused := func(_ context.Context, row aaa.PostAuth, cause error) (struct{}, error) {
		p.metrics.postAuth.WithLabelValues(postAuthRefused).Inc()
		if lost++; lost <= postAuthTold {
			p.log.Error("radpostauth refused a row", zap.String("user", row.User), zap.Error(cause))
		}
		return struct{}{}, nil
	}
	_, err = Split(ctx, rows, insert, refused)
	if lost > postAuthTold {
		p.log.Error("radpostauth refused more rows", zap.Int("rows", lost-postAuthTold))
	}
	items, ok := errors.AsType[ItemErrors](err)
	if !ok {
		return nil, err
	}
	var left []aaa.PostAuth
	var cause error
	for i, err := range items {
		if err != nil {
			left, cause = append(left, rows[i]), err
		}
	}
	return left, cause
}

// postAuthColumns turns rows into the arrays of sqlPostAuthInsert. FreeRADIUS
// writes ” for a password that there is not, and NULL for what it never fills.
func postAuthColumns(esc Escaper, rows []aaa.PostAuth) []any {
	text := func(f func(r *aaa.PostAuth) string) []string {
		out := make([]string, len(rows))
		for i := range rows {
			out[i] = f(&rows[i])
		}
		return out
	}
	orNil := func(f func(r *aaa.PostAuth) string) []*string {
		out := make([]*string, len(rows))
		for i := range rows {
			if s := f(&rows[i]); s != "" {
				out[i] = &s
			}
		}
		return out
	}
	addr := func(f func(r *aaa.PostAuth) string) []*netip.Addr {
		out := make([]*netip.Addr, len(rows))
		for i := range rows {
			if a, err := netip.ParseAddr(f(&rows[i])); err == nil { // "" and "invalid IP" are absent
				a = a.WithZone("")
				out[i] = &a
			}
		}
		return out
	}
	at := make([]time.Time, len(rows))
	for i := range rows {
		at[i] = rows[i].At
	}
	return []any{
		text(func(r *aaa.PostAuth) string { return esc.Escape(r.User) }), // User-Name, not SQL-User-Name
		text(func(r *aaa.PostAuth) string { return esc.EscapeTwice(r.Pass) }),
		text(func(r *aaa.PostAuth) string { return r.Reply }),
		orNil(func(r *aaa.PostAuth) string { return esc.Escape(r.CalledStation) }),
		orNil(func(r *aaa.PostAuth) string { return esc.Escape(r.CallingStation) }),
		at,
		orNil(func(r *aaa.PostAuth) string { return esc.Escape(r.Class) }),
		orNil(func(r *aaa.PostAuth) string { return string(r.Reason) }),
		orNil(func(r *aaa.PostAuth) string { return storableText(r.Detail) }),
		addr(func(r *aaa.PostAuth) string { return r.NAS }),
		orNil(func(r *aaa.PostAuth) string { return esc.EscapeTwice(r.NASPortID) }),
		addr(func(r *aaa.PostAuth) string { return r.FramedIPAddress }),
	}
}

// sleep waits, or returns ctx's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
