package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/config"
	"radial/nas"
	"radial/store"
)

// foundation is what a server is built on: what the database says, or, while it
// is away, what it said last.
type foundation struct {
	zone  *time.Location // in which days are reckoned
	rows  []nas.Row
	known *nas.KnownFile // where this is kept for the next time
	away  error          // why the database could not be asked; nil: it was
}

// remember keeps the rows for a start without the database.
func (f *foundation) remember(rows []nas.Row, log *zap.Logger) {
	if err := f.known.Save(nas.Known{Zone: f.zone.String(), Rows: rows}); err != nil {
		log.Error("the devices are not kept: without the database this server could not start with them", zap.Error(err))
	}
}

// layFoundation prepares the schema and asks the database. While that is away a
// server that has been up before starts by what it remembers: nobody gets at
// the database then until join has looked at the schema (store.DB.Hold).
func layFoundation(ctx context.Context, c *config.Config, db *database, log *zap.Logger) (*foundation, error) {
	key, err := secretKey(c.DataDir, "known devices")
	if err != nil {
		return nil, withoutAccess(c, err)
	}
	f := &foundation{}
	if f.known, err = nas.NewKnownFile(filepath.Join(c.DataDir, "known-devices"), key); err != nil {
		return nil, err
	}
	if err = f.ask(ctx, c, db.DB, log); err == nil {
		f.remember(f.rows, log)
		return f, nil
	}
	if db.embedded() || !errors.Is(err, aaa.ErrUnavailable) {
		return nil, err
	}
	last, lost := f.known.Load()
	if errors.Is(lost, fs.ErrNotExist) {
		return nil, err
	}
	if lost == nil {
		f.rows = last.Rows
		f.zone, lost = time.LoadLocation(last.Zone)
	}
	if lost != nil {
		return nil, errors.Join(err, lost)
	}
	db.Hold()
	f.away = err
	log.Warn("the database is away: accounting of the devices known from last time goes to the journal until it is there", zap.Int("rows", len(f.rows)), zap.Error(err))
	return f, nil
}

func (f *foundation) ask(ctx context.Context, c *config.Config, db *store.DB, log *zap.Logger) (err error) {
	if err = prepareSchema(ctx, c, db, log); err != nil {
		return err
	}
	if f.zone, err = zoneOf(ctx, db); err != nil {
		return err
	}
	f.rows, err = db.NASRows(ctx)
	return err
}

const (
	joinEvery = time.Second // between looks for the database
	joinTold  = time.Minute // between log lines about it
)

// join waits for the database of a server that has started without it, prepares
// the schema, does what a start does, and lets everybody in.
func (m *machine) join(ctx context.Context) error {
	var told time.Time
	var away bool
	tick := time.NewTicker(joinEvery)
	defer tick.Stop()
	for {
		err := m.tryJoin(ctx)
		var moved *zoneMoved
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			m.log.Info("the database is there: this server has joined it")
			return nil
		case errors.As(err, &moved):
			return err
		case away != errors.Is(err, aaa.ErrUnavailable) || time.Since(told) >= joinTold:
			told, away = time.Now(), errors.Is(err, aaa.ErrUnavailable)
			m.log.Warn("still without the database", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// zoneMoved ends a server that has reckoned in another zone than the database:
// the next start has it right.
type zoneMoved struct{ was, is string }

// Error says so.
func (z *zoneMoved) Error() string {
	return fmt.Sprintf("the database's time zone is %s, and this server has started with %s of last time: start it again", z.is, z.was)
}

func (m *machine) tryJoin(ctx context.Context) error {
	opts := m.start.Database
	opts.MaxConns = 2
	own, err := store.Open(ctx, opts, m.log.Named("store")) // the others' is held
	if err != nil {
		return err
	}
	defer own.Close()
	if err := prepareSchema(ctx, m.start, own, m.log); err != nil {
		return err
	}
	zone, err := zoneOf(ctx, own)
	if err != nil {
		return err
	}
	if zone.String() != m.location.String() {
		return &zoneMoved{was: m.location.String(), is: zone.String()}
	}
	if err := m.introduce(ctx, own); err != nil {
		return err
	}
	m.db.Release()
	return nil
}
