package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// The channels of migrations/00003_notify.sql, and that of our own echo.
const (
	channelPolicy = "radial_policy"
	channelNAS    = "radial_nas"
	channelEcho   = "radial_echo"
	// Users whose change has brought its own job, as a JSON array of raw names: sent
	// after what their rows have told, in the same transaction.
	channelFollowed = "radial_followed"
)

// Statements that cannot be prepared.
const ddlListen = `LISTEN radial_policy; LISTEN radial_nas; LISTEN radial_echo; LISTEN radial_followed`

const sqlNotify = `SELECT pg_notify($1::text, $2::text)`

// PolicyEvents is told what the listener hears (aaa.Cache). Calls come one at
// a time, in the order of the commits.
type PolicyEvents interface {
	// Invalidate names users and groups whose rows have changed.
	Invalidate(users, groups []string)
	// InvalidateAll says that anything may have changed.
	InvalidateAll()
	// Echo says that the notification sent at that time has come back, after
	// all that was committed before.
	Echo(at time.Time)
	// Down says that nothing will be heard until the next InvalidateAll.
	Down()
}

// Listener hears what changes in the tables, on a connection of its own, past
// any pooler. It notifies itself every second, so that silence means something.
type Listener struct {
	db      *DB
	to      PolicyEvents
	devices chan<- struct{}
	metrics *Metrics
	log     *zap.Logger
	now     func() time.Time

	followed func(users []string) // nil: nobody asks
	server   string               // "": it stands for none

	every time.Duration // between echoes
	told  time.Time     // when the log last heard of a loss
}

// NewListener makes a Listener. devices gets a signal (never waited for: give it
// room for one) when rows of nas or their settings have changed, and at each
// new connection.
func NewListener(db *DB, to PolicyEvents, devices chan<- struct{}, m *Metrics, log *zap.Logger) *Listener {
	return &Listener{db: db, to: to, devices: devices, metrics: m, log: log, now: time.Now, every: time.Second}
}

// TellFollowed has f hear of users whose sessions are seen to by a job that was
// queued with the change of their rows: all that was told of them before was
// committed before that job looks. Call it before Run.
func (l *Listener) TellFollowed(f func(users []string)) { l.followed = f }

// Run listens until ctx ends, connecting again whenever the connection is lost;
// then it returns nil.
func (l *Listener) Run(ctx context.Context) error {
	pause := 50 * time.Millisecond
	for {
		began := l.now()
		err := l.listen(ctx)
		l.to.Down()
		l.metrics.listening.Set(0)
		if ctx.Err() != nil {
			return nil
		}
		if l.now().Sub(began) > 10*time.Second {
			pause = 50 * time.Millisecond
		}
		if now := l.now(); now.Sub(l.told) >= tellEvery || now.Before(l.told) {
			l.told = now
			l.log.Warn("listening connection lost: it is tried again all the time", zap.Error(err))
		}
		if sleep(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, time.Second)
	}
}

// listen serves one connection until it breaks.
func (l *Listener) listen(ctx context.Context) error {
	esc, err := l.db.Escaper(ctx)
	if err != nil {
		return err
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return wrapErr("listen", err)
	}
	defer closeConn(conn)
	l.metrics.reconnect.Inc()
	l.metrics.listening.Set(1)
	// What changed while nobody listened is unknown.
	l.to.InvalidateAll()
	l.devicesChanged()
	for {
		next := l.now().Add(l.every)
		if err := l.echo(ctx, conn); err != nil {
			return wrapErr("listen", err)
		}
		if err := l.hear(ctx, conn, esc, next); err != nil {
			return wrapErr("listen", err)
		}
	}
}

func (l *Listener) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.db.opts.ConnectTimeout+time.Second)
	defer cancel()
	conn, err := l.db.connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, ddlListen)
	if err == nil && l.server != "" {
		_, err = conn.Exec(ctx, sqlPresent, l.server)
	}
	if err != nil {
		closeConn(conn)
		return nil, err
	}
	return conn, nil
}

// echo notifies ourselves. A server that does not take it within two seconds
// counts as gone.
func (l *Listener) echo(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// The connection's process number tells our echo from other servers'.
	payload := fmt.Sprintf("%d %d", conn.PgConn().PID(), l.now().UnixNano())
	_, err := conn.Exec(ctx, sqlNotify, channelEcho, payload)
	return err
}

// hear hands on what comes until the time for the next echo.
func (l *Listener) hear(ctx context.Context, conn *pgx.Conn, esc Escaper, until time.Time) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, max(until.Sub(l.now()), time.Millisecond))
		n, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil:
			l.dispatch(n, conn.PgConn().PID(), esc)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed():
			return nil
		default:
			return err
		}
		if !l.now().Before(until) {
			return nil // a storm of notifications does not hold the echo up
		}
	}
}

func (l *Listener) dispatch(n *pgconn.Notification, pid uint32, esc Escaper) {
	l.metrics.notified.WithLabelValues(n.Channel).Inc()
	switch n.Channel {
	case channelPolicy:
		users, groups, ok := parsePolicy(n.Payload, esc)
		if !ok {
			l.to.InvalidateAll()
			return
		}
		l.to.Invalidate(users, groups)
	case channelNAS:
		l.devicesChanged()
	case channelFollowed:
		var users []string
		if err := json.Unmarshal([]byte(n.Payload), &users); err == nil && l.followed != nil { // else they are looked at once more
			l.followed(users)
		}
	case channelEcho:
		if at, ok := parseEcho(n.Payload, pid); ok {
			l.to.Echo(at)
		}
	}
}

func (l *Listener) devicesChanged() {
	select {
	case l.devices <- struct{}{}:
	default: // one signal waits already
	}
}

// parsePolicy reads a payload of radial_policy; ok is false for "everything",
// and for what cannot be read.
func parsePolicy(payload string, esc Escaper) (users, groups []string, ok bool) {
	if len(payload) < 2 {
		return nil, nil, false
	}
	var names []string
	if err := json.Unmarshal([]byte(payload[1:]), &names); err != nil {
		return nil, nil, false
	}
	switch payload[0] {
	case 'u':
		for _, stored := range names {
			name := esc.UnescapeUser(stored)
			// a name with one NUL behind it is stored as the same
			users = append(users, name, name+"\x00")
		}
	case 'U': // of schema radial, which has raw names
		for _, name := range names {
			users = append(users, name, name+"\x00")
		}
	case 'G':
		groups = names
	case 'g':
		for _, stored := range names {
			groups = append(groups, esc.Unescape(stored))
		}
	default:
		return nil, nil, false
	}
	return users, groups, true
}

func parseEcho(payload string, pid uint32) (time.Time, bool) {
	var from uint32
	var nano int64
	if n, err := fmt.Sscan(payload, &from, &nano); n != 2 || err != nil || from != pid {
		return time.Time{}, false
	}
	return time.Unix(0, nano), true
}

// followedChunk is how many bytes of names go into one notification, which takes
// 8,000: JSON may make six of one.
const followedChunk = 1200

// tellFollowed says that a job of this transaction sees to the sessions of users.
// Names that are too long are left out: what psql changes is followed all the same.
func tellFollowed(ctx context.Context, tx pgx.Tx, users []string) error {
	for len(users) > 0 {
		var some []string
		for size := 0; len(users) > 0; users = users[1:] {
			if size += len(users[0]) + 1; size > followedChunk && len(some) > 0 {
				break
			}
			if len(users[0]) < followedChunk {
				some = append(some, users[0])
			}
		}
		payload, err := json.Marshal(some)
		if err != nil {
			return fmt.Errorf("names of users: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlNotify, channelFollowed, string(payload)); err != nil {
			return wrapErr("notify of users", err)
		}
	}
	return nil
}
