package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Active subscribers whose end has come. $1 names after this one, $2 at most.
	sqlSubscribersDue = `
SELECT username FROM radial.subscribers
WHERE status = 'active' AND expires_at <= now() AND username COLLATE "C" > $1::text ORDER BY username COLLATE "C" LIMIT $2::int`

	// Subscribers who are kept out, and are in the walled garden of their package or
	// not, against what the package says. $1 names after this one, $2 at most.
	sqlSubscribersAstray = `
SELECT s.username FROM radial.subscribers s JOIN radial.packages p ON p.id = s.package_id
WHERE s.status IN ('suspended', 'expired') AND s.username COLLATE "C" > $1::text
  AND coalesce(p.walled -> 'for' ? s.status, false) <> EXISTS (
      SELECT FROM radial.projection j JOIN radusergroup g ON g.id = j.row_id
      WHERE j.owner = 'user:' || s.username AND j.tbl = 'radusergroup' AND g.groupname = p.name || ':walled')
ORDER BY s.username COLLATE "C" LIMIT $2::int`

	// Packages without a walled garden whose group of it has a row yet, and nobody
	// in it.
	sqlPackagesShut = `
SELECT p.name FROM radial.packages p
WHERE p.walled IS NULL AND EXISTS (SELECT FROM radgroupcheck c WHERE c.groupname = p.name || ':walled')
  AND NOT EXISTS (SELECT FROM radusergroup g WHERE g.groupname = p.name || ':walled')
ORDER BY p.name COLLATE "C"`
)

// SubscriberRule decides a change of a subscriber (aaa.Provisioner).
type SubscriberRule func(aaa.Account) (aaa.AccountDelta, error)

// ExpireSubscribers runs the rule for all active subscribers whose end has come,
// batch by batch, and says how many it changed. One who cannot be changed does
// not keep the others.
func (db *DB) ExpireSubscribers(ctx context.Context, batch int, rule SubscriberRule) (n int, err error) {
	return db.eachSubscriber(ctx, Change{Actor: "job:expire_subscribers", Action: "user.expire"}, sqlSubscribersDue, batch, rule)
}

// TendGardens runs the rule for all who are kept out and are not where the walled
// garden of their package says, and clears what is left of gardens that are gone.
func (db *DB) TendGardens(ctx context.Context, batch int, user SubscriberRule, pkg func(aaa.PackageState) (aaa.PackageDelta, error)) (n int, err error) {
	const actor = "job:tend_gardens"
	n, err = db.eachSubscriber(ctx, Change{Actor: actor, Action: "user.sync"}, sqlSubscribersAstray, batch, user)
	if err != nil {
		return n, err
	}
	rows, err := db.pool.Query(ctx, sqlPackagesShut)
	if err != nil {
		return n, wrapErr("walled gardens", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return n, wrapErr("walled gardens", err)
	}
	for _, name := range names {
		if _, err := db.ChangePackage(ctx, Change{Actor: actor, Action: "package.sync"}, name, pkg); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (db *DB) eachSubscriber(ctx context.Context, c Change, statement string, batch int, rule SubscriberRule) (n int, err error) {
	var errs []error
	after := ""
	for {
		names, err := namesAfter(ctx, db.pool, statement, after, batch)
		if err != nil {
			return n, wrapErr(c.Action, err)
		}
		for _, name := range names {
			after = name
			d, err := db.ChangeSubscriber(ctx, c, name, rule)
			switch {
			case errors.Is(err, aaa.ErrNotFound): // deleted meanwhile
			case err != nil && ctx.Err() != nil:
				return n, err
			case err != nil:
				errs = append(errs, err)
			case d.Audit != nil:
				n++
			}
		}
		if len(names) < batch {
			return n, errors.Join(errs...)
		}
	}
}
