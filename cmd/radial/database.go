package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"radial/config"
	"radial/nas"
	"radial/store"
	"radial/store/pgdev"
)

// database is what a command has of the database: the store, and the embedded
// PostgreSQL's share where there is no database.url.
type database struct {
	*store.DB
	cluster *pgdev.Cluster
}

// openDatabase reaches database.url, or starts (or joins) the embedded
// PostgreSQL in data_dir.
func openDatabase(ctx context.Context, c *config.Config, log *zap.Logger) (*database, error) {
	opts, d := c.Database, &database{}
	if opts.URL == "" {
		cluster, err := pgdev.Start(ctx, pgdev.Options{Dir: clusterDir(c)})
		if err != nil {
			return nil, withoutAccess(c, err)
		}
		d.cluster, opts.URL = cluster, nas.Secret(cluster.URL("radial"))
	}
	db, err := store.Open(ctx, opts, log)
	if err != nil {
		return nil, errors.Join(err, d.stopCluster(ctx))
	}
	d.DB = db
	return d, nil
}

func (d *database) stopCluster(ctx context.Context) error {
	if d.cluster == nil {
		return nil
	}
	return d.cluster.Stop(context.WithoutCancel(ctx))
}

// close gives back what openDatabase took; the embedded PostgreSQL ends when
// nobody else uses it.
func (d *database) close(ctx context.Context) error {
	d.Close()
	return d.stopCluster(ctx)
}

// embedded tells whether the database is our own in data_dir.
func (d *database) embedded() bool { return d.cluster != nil }

// db opens the database for a command that works on its tables. The embedded
// one is migrated first; any other must have been (`radial migrate up`), since
// a command that lists users must not change a production schema.
func (a *app) db(ctx context.Context) (*store.DB, func(), error) {
	c, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	fresh := noCluster(c)
	d, err := openDatabase(ctx, c, zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	if fresh { // with a mistyped data_dir all subscribers would seem to be gone
		a.note("made a new database in %s (database.url is not set)", c.DataDir)
	}
	if d.embedded() {
		_, err = d.Migrate(ctx)
	} else {
		err = d.CheckSchema(ctx)
	}
	if err != nil {
		// a schema that is behind is nobody's wrong usage
		return nil, nil, codedError{errors.Join(err, d.close(ctx)), exitFailure}
	}
	return d.DB, func() {
		if err := d.close(ctx); err != nil {
			fmt.Fprintln(a.stderr, "radial: closing the database:", err)
		}
	}, nil
}

// dbInZone is db with the zone in which the database reckons days.
func (a *app) dbInZone(ctx context.Context) (*store.DB, *time.Location, func(), error) {
	db, done, err := a.db(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	zone, err := zoneOf(ctx, db)
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return db, zone, done, nil
}

// dbInVRF is db with the id of an address space; 0 for "".
func (a *app) dbInVRF(ctx context.Context, vrf string) (*store.DB, int32, func(), error) {
	db, done, err := a.db(ctx)
	if err != nil {
		return nil, 0, nil, err
	}
	id, err := vrfID(ctx, db, vrf)
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return db, id, done, nil
}
