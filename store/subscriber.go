package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	subscriberColumns = `
s.id, s.username, coalesce(p.name, ''), s.status, s.service_type, s.password_type, s.static_ip, s.expires_at,
coalesce(s.email, ''), s.comment, s.groups, s.checks, s.replies,` + quotaFields + `'user' AND q.name = s.username), '[]'), coalesce(s.billing_day, 0)::int, s.macs, s.created_at, s.updated_at
FROM radial.subscribers s LEFT JOIN radial.packages p ON p.id = s.package_id`

	sqlSubscriberList = `SELECT` + subscriberColumns + `
WHERE s.username COLLATE "C" > $1::text
  AND ($2::text = '' OR s.status = $2) AND ($3::text = '' OR s.service_type = $3) AND ($4::text = '' OR p.name = $4)
  AND ($5::text = '' OR strpos(lower(s.username), lower($5)) > 0 OR strpos(lower(s.email), lower($5)) > 0
       OR strpos(lower(s.comment), lower($5)) > 0)
ORDER BY s.username COLLATE "C" LIMIT $6::int`

	sqlSubscriberSave = `
INSERT INTO radial.subscribers (username, package_id, status, service_type, password_type, static_ip, expires_at, email, comment, groups, checks, replies, billing_day, macs)
VALUES ($1::text, (SELECT id FROM radial.packages WHERE name = $2::text), $3::text, $4::text, $5::text, $6::inet, $7::timestamptz,
        nullif($8::text, ''), $9::text, $10::jsonb, $11::jsonb, $12::jsonb, nullif($13::int, 0), $14::text[])
ON CONFLICT (username) DO UPDATE SET package_id = excluded.package_id, status = excluded.status, service_type = excluded.service_type,
    password_type = excluded.password_type, static_ip = excluded.static_ip, expires_at = excluded.expires_at, email = excluded.email,
    comment = excluded.comment, groups = excluded.groups, checks = excluded.checks, replies = excluded.replies, billing_day = excluded.billing_day, macs = excluded.macs, updated_at = now()
RETURNING package_id IS NOT NULL`
	sqlSubscriberDelete = `DELETE FROM radial.subscribers WHERE username = $1::text`

	// Names with a row in radcheck that we did not write, and those of them that
	// are subscribers all the same.
	sqlForeignNames = `
SELECT DISTINCT c.username::text FROM radcheck c
WHERE NOT EXISTS (SELECT FROM radial.projection p WHERE p.tbl = 'radcheck' AND p.row_id = c.id AND p.owner LIKE 'user:%')`
	sqlSubscribersAmong = `SELECT username FROM radial.subscribers WHERE username = ANY ($1::text[])`
)

// ChangeSubscriber runs one change of a subscriber: f gets what stands there
// and says what is to be written. A delta without an audit writes nothing.
func (db *DB) ChangeSubscriber(ctx context.Context, c Change, name string, f func(aaa.Account) (aaa.AccountDelta, error)) (aaa.AccountDelta, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return aaa.AccountDelta{}, err
	}
	var d aaa.AccountDelta
	err = db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		if _, err := tx.Exec(ctx, sqlShareSubscribers); err != nil {
			return written{}, wrapErr(c.Action+" "+name, err)
		}
		acc, err := account(ctx, tx, esc, name)
		if err != nil {
			return written{}, err
		}
		if d, err = f(acc); err != nil || d.Audit == nil {
			return written{}, err
		}
		if err := gardensStand(ctx, tx, d); err != nil {
			return written{}, err
		}
		static, err := staticsOf(ctx, tx, acc, &d)
		if err != nil {
			return written{}, err
		}
		if err := static.check(ctx, tx); err != nil {
			return written{}, err
		}
		if err := writeSubscriber(ctx, tx, acc, &d); err != nil {
			return written{}, err
		}
		if err := applyRows(ctx, tx, userRows(esc, name), &d.Rows); err != nil {
			return written{}, err
		}
		return written{audit: d.Audit}, static.settle(ctx, tx)
	})
	if err != nil {
		return aaa.AccountDelta{}, err
	}
	return d, nil
}

// Account returns all that the database holds of a subscriber; one that is
// nowhere is no error, see Account.Exists.
func (db *DB) Account(ctx context.Context, name string) (aaa.Account, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return aaa.Account{}, err
	}
	return account(ctx, db.pool, esc, name)
}

func account(ctx context.Context, q querier, esc Escaper, name string) (aaa.Account, error) {
	all, err := accounts(ctx, q, esc, []string{name})
	if err != nil {
		return aaa.Account{}, fmt.Errorf("user %q: %w", name, err)
	}
	return all[0], nil
}

func scanSubscriber(row pgx.CollectableRow) (aaa.Subscriber, error) {
	var s aaa.Subscriber
	var ip *netip.Addr
	err := row.Scan(&s.ID, &s.Name, &s.Package, &s.Status, &s.ServiceType, &s.PasswordType, &ip, &s.Expires,
		&s.Email, &s.Comment, &s.Groups, &s.Checks, &s.Replies, &s.Quotas, &s.BillingDay, &s.MACs, &s.Created, &s.Updated)
	if ip != nil {
		s.StaticIP = *ip
	}
	return s, err
}

// writeSubscriber writes or removes the row itself.
func writeSubscriber(ctx context.Context, tx pgx.Tx, acc aaa.Account, d *aaa.AccountDelta) error {
	op := "user " + acc.Name
	if d.Remove {
		for _, statement := range []string{sqlSubscriberDelete, sqlTopUpsDelete, sqlOrderDelete} {
			if _, err := tx.Exec(ctx, statement, acc.Name); err != nil {
				return wrapErr(op, err)
			}
		}
		return writeQuotas(ctx, tx, "user", acc.Name, acc.Subscriber.Quotas, nil)
	}
	s := d.Save
	if s == nil {
		return nil
	}
	var ip *netip.Addr
	if s.StaticIP.IsValid() {
		ip = &s.StaticIP
	}
	var hasPackage bool
	err := tx.QueryRow(ctx, sqlSubscriberSave, s.Name, s.Package, string(s.Status), string(s.ServiceType), s.PasswordType, ip, s.Expires,
		s.Email, s.Comment, orEmpty(s.Groups), orEmpty(s.Checks), orEmpty(s.Replies), s.BillingDay, orEmpty(s.MACs)).Scan(&hasPackage)
	if err != nil {
		return wrapErr(op, err)
	}
	if s.Package != "" && !hasPackage {
		return fmt.Errorf("package %q: %w", s.Package, aaa.ErrNotFound)
	}
	var have []aaa.Quota
	if acc.Subscriber != nil {
		have = acc.Subscriber.Quotas
	}
	return writeQuotas(ctx, tx, "user", s.Name, have, s.Quotas)
}

// orEmpty keeps a JSON column an array.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// SubscriberFilter chooses and pages subscribers. Empty fields choose all.
type SubscriberFilter struct {
	Status  aaa.SubscriberStatus
	Service aaa.ServiceType
	Package string
	Search  string // part of name, e-mail or comment, in any case
	After   string // names after this one
	Ours    bool   // without those whom radcheck alone knows
	Limit   int
}

// matchesForeign tells whether names that radcheck alone knows can pass: they
// have no status, service or package.
func (f *SubscriberFilter) matchesForeign() bool {
	return !f.Ours && f.Status == "" && f.Service == "" && f.Package == ""
}

// Subscribers lists subscribers by name, in byte order. Those whom radcheck
// alone knows are among them, with ID 0 and nothing but a name; more tells
// that the list was cut at the limit.
func (db *DB) Subscribers(ctx context.Context, f SubscriberFilter) (subs []aaa.Subscriber, more bool, err error) {
	rows, err := db.pool.Query(ctx, sqlSubscriberList, f.After, string(f.Status), string(f.Service), f.Package, f.Search, f.Limit+1)
	if err != nil {
		return nil, false, wrapErr("users", err)
	}
	if subs, err = pgx.CollectRows(rows, scanSubscriber); err != nil {
		return nil, false, wrapErr("users", err)
	}
	if f.matchesForeign() {
		names, err := db.foreignNames(ctx, f)
		if err != nil {
			return nil, false, err
		}
		for _, name := range names {
			subs = append(subs, aaa.Subscriber{Name: name})
		}
		sort.Slice(subs, func(i, j int) bool { return subs[i].Name < subs[j].Name })
	}
	if more = len(subs) > f.Limit; more {
		subs = subs[:f.Limit]
	}
	return subs, more, nil
}

// foreignNames are the users that stand in radcheck and are no subscribers.
func (db *DB) foreignNames(ctx context.Context, f SubscriberFilter) ([]string, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.pool.Query(ctx, sqlForeignNames)
	if err != nil {
		return nil, wrapErr("users", err)
	}
	var names []string
	var stored string
	_, err = pgx.ForEachRow(rows, []any{&stored}, func() error {
		if name := esc.UnescapeUser(stored); name > f.After && containsFold(name, f.Search) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		return nil, wrapErr("users", err)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if rows, err = db.pool.Query(ctx, sqlSubscribersAmong, names); err != nil {
		return nil, wrapErr("users", err)
	}
	ours, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, wrapErr("users", err)
	}
	known := make(map[string]bool, len(ours))
	for _, name := range ours {
		known[name] = true
	}
	names = slices.DeleteFunc(names, func(name string) bool { return known[name] })
	return names[:min(len(names), f.Limit+1)], nil
}
