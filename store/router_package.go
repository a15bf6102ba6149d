package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlRouterPackages = `
SELECT r.name, p.name, m.profile, m.speed FROM radial.router_packages m
JOIN radial.routers r ON r.id = m.router_id JOIN radial.packages p ON p.id = m.package_id
WHERE ($1::bigint = 0 OR m.router_id = $1) AND ($2::text = '' OR p.name = $2) ORDER BY r.name, p.name`
	sqlRouterPackageSet = `
INSERT INTO radial.router_packages (package_id, router_id, profile, speed)
SELECT p.id, $1::bigint, $3::text, $4::text FROM radial.packages p WHERE p.name = $2::text
ON CONFLICT (package_id, router_id) DO UPDATE SET profile = excluded.profile, speed = excluded.speed, updated_at = now()`
	sqlRouterPackageDelete = `
DELETE FROM radial.router_packages m USING radial.packages p WHERE p.id = m.package_id AND m.router_id = $1::bigint AND p.name = $2::text`

	// The packages of a user, the first one first.
	sqlPackagesOfUser = `
SELECT k.name FROM radusergroup g JOIN radial.packages k ON k.name = g.groupname WHERE g.username = $1::text ORDER BY g.priority, g.id`
)

// Who sets a subscriber's speed.
const (
	SpeedByRouter = "router" // the profile of his secret on the router
	SpeedByRADIUS = "radius" // what his login is granted, and CoA
)

// RouterPackage says which profile a package is on a router.
type RouterPackage struct {
	Router  string `json:"router"`
	Package string `json:"package"`
	Profile string `json:"profile"`
	Speed   string `json:"speed"` // router or radius
}

// RouterPackages are the mappings of a router (0: of all) and a package ("": all).
func (db *DB) RouterPackages(ctx context.Context, router int64, name string) ([]RouterPackage, error) {
	return routerPackages(ctx, db.pool, router, name)
}

func routerPackages(ctx context.Context, q querier, router int64, name string) ([]RouterPackage, error) {
	rows, err := q.Query(ctx, sqlRouterPackages, router, name)
	if err != nil {
		return nil, wrapErr("packages on routers", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RouterPackage])
	return all, wrapErr("packages on routers", err)
}

// MapPackage says which profile a package is on a router; an empty profile takes
// the mapping away. The audit is nil where nothing changes.
func (db *DB) MapPackage(ctx context.Context, c Change, router aaa.Router, m RouterPackage) (aaa.Audit, error) {
	var audit aaa.Audit
	err := db.change(ctx, c, router.Name, func(tx pgx.Tx) (written, error) {
		audit = nil
		before, err := routerPackages(ctx, tx, router.ID, m.Package)
		if err != nil {
			return written{}, err
		}
		if m.Profile == "" {
			if len(before) == 0 {
				return written{}, fmt.Errorf("package %q on router %q: %w", m.Package, router.Name, aaa.ErrNotFound)
			}
			audit = aaa.Audit{"package": m.Package, "profile": []string{before[0].Profile, ""}}
			_, err = tx.Exec(ctx, sqlRouterPackageDelete, router.ID, m.Package)
			return written{audit: audit}, err
		}
		was := RouterPackage{}
		if len(before) == 1 {
			was = before[0]
		}
		if was.Profile == m.Profile && was.Speed == m.Speed {
			return written{}, nil
		}
		tag, err := tx.Exec(ctx, sqlRouterPackageSet, router.ID, m.Package, m.Profile, m.Speed)
		if err == nil && tag.RowsAffected() == 0 {
			return written{}, fmt.Errorf("package %q: %w", m.Package, aaa.ErrNotFound)
		}
		audit = aaa.Audit{"package": m.Package, "profile": []string{was.Profile, m.Profile}, "speed": []string{was.Speed, m.Speed}}
		return written{audit: audit}, err
	})
	return audit, err
}

// PackagesOfUser are the packages of a user, the first one first.
func (db *DB) PackagesOfUser(ctx context.Context, user string) ([]string, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr("user "+user, err)
	}
	rows, err := db.pool.Query(ctx, sqlPackagesOfUser, esc.EscapeUser(user))
	if err != nil {
		return nil, wrapErr("user "+user, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return all, wrapErr("user "+user, err)
}

// FollowUser has a server compare a user's open sessions with what a login would
// be given now, and audits who asked for it.
func (db *DB) FollowUser(ctx context.Context, c Change, user string, detail aaa.Audit) error {
	return db.change(ctx, c, user, func(pgx.Tx) (written, error) {
		return written{audit: detail, jobs: []aaa.Job{aaa.FollowUser{User: user, Actor: c.Actor, Why: c.Action}}}, nil
	})
}
