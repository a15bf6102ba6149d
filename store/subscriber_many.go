package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlSubscribersNamed = `SELECT` + subscriberColumns + ` WHERE s.username = ANY ($1::text[])`
	sqlPackagesNamed    = `SELECT` + packageColumns + ` WHERE name = ANY ($1::text[])`

	// All rows of users, as sqlRowsGroup has them of groups: $1 names as stored, $2 the
	// owners. The first column is the user's place.
	sqlRowsMany = `
WITH who AS (SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(stored, owner, place))
SELECT w.place::int - 1 AS place, 1 AS part, 0 AS priority, c.id::bigint AS id, c.attribute::text, coalesce(rtrim(c.op), ''), coalesce(c.value::text, ''), '', coalesce(p.digest, '')
FROM who w JOIN radcheck c ON c.username = w.stored LEFT JOIN radial.projection p ON p.tbl = 'radcheck' AND p.row_id = c.id AND p.owner = w.owner
UNION ALL
SELECT w.place::int - 1, 2, 0, c.id::bigint, c.attribute::text, coalesce(rtrim(c.op), ''), coalesce(c.value::text, ''), '', coalesce(p.digest, '')
FROM who w JOIN radreply c ON c.username = w.stored LEFT JOIN radial.projection p ON p.tbl = 'radreply' AND p.row_id = c.id AND p.owner = w.owner
UNION ALL
SELECT w.place::int - 1, 3, c.priority, c.id::bigint, '', '', '', c.groupname::text, coalesce(p.digest, '')
FROM who w JOIN radusergroup c ON c.username = w.stored LEFT JOIN radial.projection p ON p.tbl = 'radusergroup' AND p.row_id = c.id AND p.owner = w.owner
ORDER BY place, part, priority, id`
)

// Accounts returns what the database holds of many subscribers, in five trips.
func (db *DB) Accounts(ctx context.Context, names []string) ([]aaa.Account, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	return accounts(ctx, db.pool, esc, names)
}

func accounts(ctx context.Context, q querier, esc Escaper, names []string) ([]aaa.Account, error) {
	all := make([]aaa.Account, len(names))
	at := make(map[string]int, len(names))
	stored, owners := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		o := userRows(esc, name)
		all[i].Name, at[name], stored[i], owners[i] = name, i, o.stored, o.owner
	}
	rows, err := q.Query(ctx, sqlSubscribersNamed, names)
	if err != nil {
		return nil, wrapErr("users", err)
	}
	subs, err := pgx.CollectRows(rows, scanSubscriber)
	if err != nil {
		return nil, wrapErr("users", err)
	}
	for i := range subs {
		all[at[subs[i].Name]].Subscriber = &subs[i]
	}
	if err := readRowsOf(ctx, q, all, stored, owners); err != nil {
		return nil, err
	}
	return all, readPackagesOf(ctx, q, all)
}

// readRowsOf reads the rows of FreeRADIUS's tables, and what of ours is gone.
func readRowsOf(ctx context.Context, q querier, all []aaa.Account, stored, owners []string) error {
	there := map[rowPlace]bool{}
	tables := [...]aaa.Table{1: aaa.TableCheck, 2: aaa.TableReply, 3: aaa.TableUserGroup}
	rows, err := q.Query(ctx, sqlRowsMany, stored, owners)
	if err != nil {
		return wrapErr("rows of users", err)
	}
	var i, part int
	var r aaa.StoredRow
	_, err = pgx.ForEachRow(rows, []any{&i, &part, &r.Priority, &r.ID, &r.Attribute, &r.Op, &r.Value, &r.Group, &r.Digest}, func() error {
		r.Table, r.Name = tables[part], all[i].Name
		all[i].Rows = append(all[i].Rows, r)
		there[rowPlace{r.Table, r.ID}] = true
		return nil
	})
	if err != nil {
		return wrapErr("rows of users", err)
	}
	byOwner := make(map[string]int, len(owners))
	for i, owner := range owners {
		byOwner[owner] = i
	}
	return lostRows(ctx, q, owners, there, func(owner string, l aaa.LostRow) {
		acc := &all[byOwner[owner]]
		acc.Lost = append(acc.Lost, l)
	})
}

// readPackagesOf tells which groups are packages, and which one each has.
func readPackagesOf(ctx context.Context, q querier, all []aaa.Account) error {
	named := map[string]*aaa.Package{}
	for i := range all {
		if s := all[i].Subscriber; s != nil && s.Package != "" {
			named[s.Package] = nil
		}
		for _, r := range all[i].Rows {
			if r.Table == aaa.TableUserGroup {
				named[r.Group] = nil
			}
		}
	}
	names := make([]string, 0, len(named))
	for name := range named {
		names = append(names, name)
	}
	rows, err := q.Query(ctx, sqlPackagesNamed, names)
	if err != nil {
		return wrapErr("packages", err)
	}
	packages, err := pgx.CollectRows(rows, scanPackage)
	if err != nil {
		return wrapErr("packages", err)
	}
	for i := range packages {
		named[packages[i].Name] = &packages[i]
	}
	for i := range all {
		acc := &all[i]
		if acc.Subscriber != nil {
			acc.Bought = named[acc.Subscriber.Package]
		}
		for _, r := range acc.Rows {
			if r.Table == aaa.TableUserGroup && named[r.Group] != nil {
				acc.Packages = append(acc.Packages, r.Group)
			}
		}
	}
	return nil
}

// SyncSubscribers runs the rule for all subscribers, and changes those for whom
// it asks for something; told hears of each of those, and of those with drift.
// Who needs nothing costs little: they are looked at without locks, batch by
// batch. One who cannot be changed does not keep the others.
func (db *DB) SyncSubscribers(ctx context.Context, c Change, batch int, rule SubscriberRule, told func(name string, d aaa.AccountDelta)) (n int, err error) {
	var errs []error
	f := SubscriberFilter{Limit: batch, Ours: true}
	for more := true; more; {
		var subs []aaa.Subscriber
		if subs, more, err = db.Subscribers(ctx, f); err != nil {
			return n, err
		}
		names := make([]string, len(subs))
		for i := range subs {
			f.After, names[i] = subs[i].Name, subs[i].Name
		}
		accs, err := db.Accounts(ctx, names)
		if err != nil {
			return n, err
		}
		for i := range accs {
			if n++; accs[i].Subscriber == nil {
				continue // deleted meanwhile
			}
			d, err := rule(accs[i])
			if err == nil && d.Audit != nil {
				d, err = db.ChangeSubscriber(ctx, c, accs[i].Name, rule)
			}
			switch {
			case errors.Is(err, aaa.ErrNotFound): // deleted just now
			case err != nil && ctx.Err() != nil:
				return n, err
			case err != nil:
				errs = append(errs, fmt.Errorf("user %q: %w", accs[i].Name, err))
			default:
				told(accs[i].Name, d)
			}
		}
	}
	return n, errors.Join(errs...)
}
