package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// sqlShareKey is sqlLockKey for those who only want a thing to stay as it is.
	sqlShareKey     = `SELECT pg_advisory_xact_lock_shared(hashtextextended($1::text, 0))`
	sqlPackageWalls = `SELECT walled FROM radial.packages WHERE name = $1::text`
)

// gardensStand keeps the packages of these changes' walled gardens from being changed
// until the transaction ends, by the lock of a change of theirs, and returns errRaced
// where one has been changed since it was read: somebody would be put into a garden that
// is gone, which holds nobody, after its package has looked who is in it. Packages are
// locked after users, by name.
func gardensStand(ctx context.Context, tx pgx.Tx, all ...aaa.AccountDelta) error {
	decided := map[string]*aaa.Package{}
	for _, d := range all {
		if d.Audit != nil && d.Garden != nil {
			decided[d.Garden.Name] = d.Garden
		}
	}
	var b pgx.Batch // each statement sees what has been committed when it begins
	for _, name := range slices.Sorted(maps.Keys(decided)) {
		b.Queue(sqlShareKey, "package:"+name)
		b.Queue(sqlPackageWalls, name).Query(func(rows pgx.Rows) error {
			walls, err := pgx.CollectRows(rows, pgx.RowTo[*aaa.Walled])
			if err != nil {
				return wrapErr("walled garden of "+name, err)
			}
			if len(walls) != 1 || !walls[0].SameStates(decided[name].Walled) {
				return fmt.Errorf("walled garden of %s: %w", name, errRaced)
			}
			return nil
		})
	}
	if b.Len() == 0 {
		return nil
	}
	return wrapPlain("walled gardens", tx.SendBatch(ctx, &b).Close())
}
