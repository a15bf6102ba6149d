package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
)

const (
	sqlOrderDelete = `DELETE FROM radial.orders WHERE username = $1::text`
	sqlOrders      = `
SELECT username, want, coalesce(rate_down, 0), coalesce(rate_up, 0), reason FROM radial.orders WHERE username = ANY ($1::text[])`
	sqlOrderSave = `
INSERT INTO radial.orders (username, want, rate_down, rate_up, reason, detail)
VALUES ($1::text, $2::text, nullif($3::bigint, 0), nullif($4::bigint, 0), $5::text, $6::text)
ON CONFLICT (username) DO UPDATE SET want = excluded.want, rate_down = excluded.rate_down, rate_up = excluded.rate_up,
    reason = excluded.reason, detail = excluded.detail, made_at = now()`
	sqlOrdersOf  = `SELECT username FROM radial.orders`
	sqlOpenAmong = `SELECT DISTINCT username::text FROM radacct WHERE username = ANY ($1::text[]) AND acctstoptime IS NULL`

	// Whether anybody has to be looked at, and users with quotas of their own whose
	// names may stand otherwise in FreeRADIUS's tables.
	sqlQuotasThere = `SELECT EXISTS (SELECT FROM radial.quotas) OR EXISTS (SELECT FROM radial.orders)`
	sqlQuotaNames  = `SELECT name FROM radial.quotas WHERE subject = 'user' AND name !~ '^[-A-Za-z0-9@._: /]*$'`

	// Open sessions of users who have quotas, one for each user: those that have
	// reported lately, and those of users of whom something is wanted. $1 the name
	// after which to begin, $2 how many, $3 further names.
	sqlQuotaSessions = `
SELECT DISTINCT ON (r.username) r.username::text, coalesce(host(r.nasipaddress), ''), coalesce(r.nasportid::text, ''), coalesce(r.nasporttype::text, ''),
    coalesce(r.callingstationid::text, ''), coalesce(r.calledstationid::text, ''), coalesce(r.servicetype::text, ''), coalesce(r.framedprotocol::text, '')
FROM radacct r
WHERE r.acctstoptime IS NULL AND r.username > $1::text
  AND (r.acctupdatetime > now() - interval '3 minutes' OR EXISTS (SELECT FROM radial.orders o WHERE o.username = r.username::text))
  AND (EXISTS (SELECT FROM radusergroup g JOIN radial.quotas q ON q.subject = 'group' AND q.name = g.groupname::text WHERE g.username = r.username)
       OR EXISTS (SELECT FROM radial.quotas q WHERE q.subject = 'user' AND q.name = r.username::text) OR r.username = ANY ($3::text[])
       OR EXISTS (SELECT FROM radial.orders o WHERE o.username = r.username::text))
ORDER BY r.username, r.radacctid LIMIT $2::int`
)

// Orders keep what is wanted of users' open sessions in radial.orders, with an
// audit row, a log line and a job that sees to it for each change (aaa.Control;
// DB.follow). Safe for concurrent use.
type Orders struct {
	db   *DB
	log  *zap.Logger
	look *Group[string, aaa.Order]
}

var _ aaa.Control = (*Orders)(nil)

// NewOrders makes Orders.
func NewOrders(db *DB, log *zap.Logger) *Orders {
	o := &Orders{db: db, log: log}
	o.look = NewGroup(maxPolicyBatch, o.read)
	return o
}

// Order notes what is wanted, if it is not noted already.
func (o *Orders) Order(ctx context.Context, order aaa.Order) error {
	have, err := o.look.Do(ctx, order.User)
	if err != nil || sameOrder(have, order) {
		return wrapErr("order for "+order.User, err)
	}
	c := Change{Actor: "server:quota", Action: "session.order"}
	err = o.db.change(ctx, c, order.User, func(tx pgx.Tx) (written, error) {
		if order.Want == aaa.WantNothing {
			_, err := tx.Exec(ctx, sqlOrderDelete, order.User)
			return written{audit: aaa.Audit{"want": "nothing", "wanted": have.Want}}, wrapErr("order", err)
		}
		_, err := tx.Exec(ctx, sqlOrderSave, order.User, string(order.Want), order.Rate.Down.Rate, order.Rate.Up.Rate, string(order.Reason), order.Detail)
		audit := aaa.Audit{"want": order.Want, "detail": order.Detail}
		if order.Want == aaa.WantRate {
			audit["rate"] = order.Rate.String()
		}
		return written{audit: audit}, wrapErr("order", err)
	})
	if err != nil {
		return err
	}
	o.log.Info("wanted of the open sessions of a user", zap.String("user", order.User), zap.String("want", string(order.Want)),
		zap.String("rate", order.Rate.String()), zap.String("detail", order.Detail))
	return nil
}

// sameOrder leaves the text for people aside: it names octets.
func sameOrder(a, b aaa.Order) bool {
	return a.Want == b.Want && a.Reason == b.Reason && a.Rate.Down.Rate == b.Rate.Down.Rate && a.Rate.Up.Rate == b.Rate.Up.Rate
}

func (o *Orders) read(ctx context.Context, users []string) ([]aaa.Order, error) {
	rows, err := o.db.pool.Query(ctx, sqlOrders, users)
	if err != nil {
		return nil, err
	}
	found := make(map[string]aaa.Order, len(users))
	var one aaa.Order
	var down, up int64
	_, err = pgx.ForEachRow(rows, []any{&one.User, &one.Want, &down, &up, &one.Reason}, func() error {
		one.Rate = nas.RateLimit{Down: nas.Rates{Rate: down}, Up: nas.Rates{Rate: up}}
		found[one.User] = one
		return nil
	})
	out := make([]aaa.Order, len(users))
	for i, user := range users {
		out[i] = found[user]
	}
	return out, err
}

// QuotaSessions hands the users to look at to f, by batches: those with open
// sessions and quotas who have reported lately, or of whom something is wanted.
// What is wanted of users without an open session is forgotten.
func (db *DB) QuotaSessions(ctx context.Context, batch int, f func(context.Context, []aaa.OpenLogin) error) error {
	var any bool
	if err := db.pool.QueryRow(ctx, sqlQuotasThere).Scan(&any); err != nil || !any {
		return wrapErr("quotas", err)
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return err
	}
	odd, err := collectNames(ctx, db.pool, sqlQuotaNames)
	if err != nil {
		return err
	}
	for i := range odd {
		odd[i] = esc.EscapeUser(odd[i])
	}
	errs := []error{db.forgetOrders(ctx, esc)}
	for after := ""; ; {
		rows, err := db.pool.Query(ctx, sqlQuotaSessions, after, batch, odd)
		if err != nil {
			return wrapErr("sessions with quotas", err)
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s aaa.OpenLogin, err error) {
			err = row.Scan(&after, &s.NAS, &s.Port, &s.PortType, &s.CallingStation, &s.CalledStation, &s.ServiceType, &s.FramedProtocol)
			s.User, s.Port = esc.UnescapeUser(after), esc.UnescapeTwice(s.Port)
			for _, text := range []*string{&s.PortType, &s.CallingStation, &s.CalledStation, &s.ServiceType, &s.FramedProtocol} {
				*text = esc.Unescape(*text)
			}
			return s, err
		})
		if err != nil {
			return wrapErr("sessions with quotas", err)
		}
		if err := f(ctx, all); err != nil {
			errs = append(errs, err)
		}
		if len(all) < batch || ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
}

// forgetOrders forgets what is wanted of users who have no open session.
func (db *DB) forgetOrders(ctx context.Context, esc Escaper) error {
	wanted, err := collectNames(ctx, db.pool, sqlOrdersOf)
	if err != nil || len(wanted) == 0 {
		return err
	}
	stored := make([]string, len(wanted))
	for i, name := range wanted {
		stored[i] = esc.EscapeUser(name)
	}
	rows, err := db.pool.Query(ctx, sqlOpenAmong, stored)
	if err != nil {
		return wrapErr("orders", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return wrapErr("orders", err)
	}
	there := make(map[string]bool, len(open))
	for _, name := range open {
		there[name] = true
	}
	for i, name := range wanted {
		if !there[stored[i]] {
			if _, err := db.pool.Exec(ctx, sqlOrderDelete, name); err != nil {
				return wrapErr("orders", err)
			}
		}
	}
	return nil
}

func collectNames(ctx context.Context, q querier, sql string) ([]string, error) {
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("names: %w", wrapErr("quotas", err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, wrapErr("quotas", err)
}
