package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
)

const (
	sqlServerHello = `
INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, journal_bytes, present_on)
VALUES ($1::uuid, $2::text, $3::text, now(), now(), $4::bigint, CASE WHEN ` + presentMe + ` THEN pg_postmaster_start_time() END)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, started_at = now(), heartbeat_at = now(), stopped_at = NULL, gone_at = NULL,
    journal_bytes = excluded.journal_bytes, present_on = excluded.present_on`
	sqlServerBeat = `
INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, journal_bytes, present_on)
VALUES ($1::uuid, $2::text, $3::text, now(), now(), $4::bigint, CASE WHEN ` + presentMe + ` THEN pg_postmaster_start_time() END)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), journal_bytes = excluded.journal_bytes, stopped_at = NULL, gone_at = NULL, present_on = excluded.present_on`
	sqlServerBye    = `UPDATE radial.servers SET heartbeat_at = now(), stopped_at = now(), gone_at = NULL, journal_bytes = $2::bigint WHERE id = $1::uuid`
	serverColumns   = `id::text, name, version, started_at, heartbeat_at, stopped_at, gone_at, journal_bytes, extract(epoch FROM now() - heartbeat_at)::float8`
	sqlServerList   = `SELECT ` + serverColumns + ` FROM radial.servers ORDER BY name, id`
	sqlServerForget = `DELETE FROM radial.servers WHERE id::text = $1::text OR name = $1::text RETURNING name, heartbeat_at, journal_bytes`
	// A server that has not signed off itself; its heartbeat stays what it was, since
	// gaps are told by it.
	sqlServerDrained = `
UPDATE radial.servers SET stopped_at = coalesce(stopped_at, heartbeat_at), journal_bytes = $2::bigint WHERE id = $1::uuid`
)

// AliveWithin is how old the heartbeat of a live server may be.
const AliveWithin = 15 * time.Second

// Server is a row of radial.servers. Times are the database's.
type Server struct {
	ID           string // a UUID, made once and kept in data_dir
	Name         string
	Version      string
	Started      time.Time
	Heartbeat    time.Time
	Stopped      *time.Time // when it ended in good order
	Gone         *time.Time // when others saw that it had died
	JournalBytes int64      // acknowledged, not yet in the database
	Age          time.Duration
}

// Alive tells whether the server runs, as far as the database knows.
func (s Server) Alive() bool { return s.Stopped == nil && s.Age < AliveWithin }

// Account says what the database may lack of a server that is waited for
// (Awaited).
func (s Server) Account() string {
	age := s.Age.Round(time.Second)
	switch {
	case s.Stopped != nil:
		return fmt.Sprintf("%s: stopped %s ago with %d bytes in its journal", s.Name, age, s.JournalBytes)
	case s.Alive():
		return fmt.Sprintf("%s: %d bytes in its journal", s.Name, s.JournalBytes)
	}
	return fmt.Sprintf("%s: not heard of for %s, then with %d bytes in its journal", s.Name, age, s.JournalBytes)
}

// Servers lists all servers that have ever used the database and were not
// forgotten.
func (db *DB) Servers(ctx context.Context) ([]Server, error) {
	return db.servers(ctx, "servers", sqlServerList)
}

func (db *DB) servers(ctx context.Context, op, statement string) ([]Server, error) {
	rows, err := db.pool.Query(ctx, statement)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Server, err error) {
		var age float64
		err = row.Scan(&s.ID, &s.Name, &s.Version, &s.Started, &s.Heartbeat, &s.Stopped, &s.Gone, &s.JournalBytes, &age)
		s.Age = time.Duration(age * float64(time.Second))
		return s, err
	})
	return all, wrapErr(op, err)
}

// ForgetServer removes a server by its name or id: nobody waits for its
// journal any more. aaa.ErrNotFound where there is none.
func (db *DB) ForgetServer(ctx context.Context, c Change, name string) error {
	return db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		var forgotten string
		var heartbeat time.Time
		var bytes int64
		rows, err := tx.Query(ctx, sqlServerForget, name)
		if err != nil {
			return written{}, wrapErr("server "+name, err)
		}
		tag, err := pgx.ForEachRow(rows, []any{&forgotten, &heartbeat, &bytes}, func() error { return nil })
		if err == nil && tag.RowsAffected() == 0 {
			err = aaa.ErrNotFound
		}
		return written{audit: aaa.Audit{"name": forgotten, "heartbeat_at": heartbeat.UTC(), "journal_bytes": bytes}}, wrapErr("server "+name, err)
	})
}

// ServerDrained signs a server off in its place, whose journal has been
// drained down to so many bytes. A server that nobody knows is no error.
func (db *DB) ServerDrained(ctx context.Context, id string, left int64) error {
	_, err := db.pool.Exec(ctx, sqlServerDrained, id, left)
	return wrapErr("server "+id, err)
}

// Presence keeps a server's row in radial.servers, and what it has learnt of
// devices in radial.nas_state: on change, looked at each second, and every 5 s.
type Presence struct {
	DB      *DB
	ID      string // a UUID
	Name    string
	Version string
	// Journal returns the bytes that are not yet in the database; nil: none.
	Journal func() int64
	// Devices returns the devices of now; nil: none.
	Devices func() []*nas.Device
	Log     *zap.Logger

	written       map[int64]Learnt
	reported      int64    // of the journal, in the last heartbeat
	awaited, died []string // as the log was told
}

// Run says hello, beats until ctx ends, then says good-bye and returns nil. A
// database that is away is tried again at the next beat.
func (p *Presence) Run(ctx context.Context) error {
	p.written = map[int64]Learnt{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	up := p.hello(ctx)
	late := false
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			p.bye(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
		}
		if !up {
			up = p.hello(ctx)
			continue
		}
		// At once, when the database is back, and when there begins to be a journal.
		full := n%5 == 0 || late || p.reported == 0 && p.journal() > 0
		err := p.state(ctx, full)
		if err == nil && full {
			err = p.beat(ctx, sqlServerBeat)
		}
		late = err != nil
		if err != nil && ctx.Err() == nil {
			p.Log.Debug("heartbeat", zap.Error(wrapErr("radial.servers", err)))
		}
	}
}

// beat writes a heartbeat, and before it, in the same transaction, says which servers have died
// and spares the offers of a gap that it ends.
func (p *Presence) beat(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	journal := p.journal()
	var awaited, died []string
	var b pgx.Batch
	b.Queue(sqlServersGone, p.ID)
	b.Queue(sqlSpareOffers)
	b.Queue(statement, p.ID, p.Name, p.Version, journal)
	b.Queue(sqlAwaitedLong, p.ID).Query(namesInto(&awaited))
	b.Queue(sqlServersDied).Query(namesInto(&died))
	if err := p.DB.pool.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	p.reported = journal
	p.tell(awaited, died)
	return nil
}

func (p *Presence) journal() int64 {
	if p.Journal == nil {
		return 0
	}
	return p.Journal()
}

func (p *Presence) hello(ctx context.Context) bool {
	err := p.beat(ctx, sqlServerHello)
	if err != nil {
		p.Log.Debug("heartbeat", zap.Error(wrapErr("radial.servers", err)))
	}
	return err == nil
}

func (p *Presence) bye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := p.state(ctx, true)
	if err == nil {
		_, err = p.DB.pool.Exec(ctx, sqlServerBye, p.ID, p.journal())
	}
	if err != nil {
		p.Log.Warn("could not sign off", zap.Error(wrapErr("radial.servers", err)))
	}
}

// state writes what has been learnt and is not in the database; the time of
// the last packet alone is reason enough only when full.
func (p *Presence) state(ctx context.Context, full bool) error {
	if p.Devices == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var changed []Learnt
	seen := map[int64]bool{}
	for _, d := range p.Devices() {
		if d.Learnt == nil || seen[d.ID] {
			continue // a host name with several addresses is several devices
		}
		seen[d.ID] = true
		l := learntOf(d)
		old, ok := p.written[d.ID]
		if l == old || !ok && l == (Learnt{NASID: d.ID}) {
			continue
		}
		old.LastPacket = l.LastPacket
		if full || l != old {
			changed = append(changed, l)
		}
	}
	if err := p.DB.SaveLearnt(ctx, p.ID, changed); err != nil {
		return err
	}
	for _, l := range changed {
		p.written[l.NASID] = l
	}
	return nil
}

func learntOf(d *nas.Device) Learnt {
	l := Learnt{
		NASID:                       d.ID,
		RequireMessageAuthenticator: nas.Policy(d.Learnt.RequireMessageAuthenticator.Load()),
		LimitProxyState:             nas.Policy(d.Learnt.LimitProxyState.Load()),
	}
	if s := d.Learnt.LastSeen.Load(); s != 0 {
		l.LastPacket = time.Unix(s, 0)
	}
	return l
}

// RestoreLearnt gives the devices what a server had learnt before its restart, and
// ends the gap in which there was no server (SpareOffers) for the logins to
// come.
func (db *DB) RestoreLearnt(ctx context.Context, server string, devices []*nas.Device) error {
	if err := db.SpareOffers(ctx); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	all, err := db.ReadLearnt(ctx, server)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	byID := map[int64]Learnt{}
	for _, l := range all {
		byID[l.NASID] = l
	}
	for _, d := range devices {
		l, ok := byID[d.ID]
		if !ok || d.Learnt == nil {
			continue
		}
		d.Learnt.RequireMessageAuthenticator.CompareAndSwap(uint32(nas.Auto), uint32(l.RequireMessageAuthenticator))
		d.Learnt.LimitProxyState.CompareAndSwap(uint32(nas.Auto), uint32(l.LimitProxyState))
		if !l.LastPacket.IsZero() {
			d.Learnt.LastSeen.CompareAndSwap(0, l.LastPacket.Unix())
		}
	}
	return nil
}

// examineAwaited tells of servers whose accounting may not be all in the
// database.
func (db *DB) examineAwaited(ctx context.Context, _ map[string]string) (Finding, error) {
	servers, err := db.Awaited(ctx)
	if err != nil || len(servers) == 0 {
		return Finding{Name: "accounting", Severity: Good, Value: "no server has any that is not in the database"}, err
	}
	var values []string
	for _, s := range servers {
		values = append(values, s.Account())
	}
	return Finding{
		Name: "accounting", Severity: Problem, Value: strings.Join(values, "; ") + "; offers that run out and silent sessions wait for it",
		Mend: "start it again, or radial journal drain in its data_dir; one that is gone for good: radial server forget NAME",
	}, nil
}
