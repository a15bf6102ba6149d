package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Parts of the rows of users and groups that schema radial adds (policy.go).
const (
	partQuotas     = 4
	partTopUps     = 5
	partSubscriber = 6
	partWalled     = 7
)

const (
	quotaFields = `
coalesce((SELECT jsonb_agg(jsonb_build_object('period', q.period, 'counts', q.counts, 'octets', q.octets,
    'rate_down', coalesce(q.rate_down, 0), 'rate_up', coalesce(q.rate_up, 0), 'carry_over', q.carry_over) ORDER BY q.id)
  FROM radial.quotas q WHERE q.subject = `

	sqlQuotasDelete = `DELETE FROM radial.quotas WHERE subject = $1::text AND name = $2::text`
	sqlQuotasInsert = `
INSERT INTO radial.quotas (subject, name, period, counts, octets, rate_down, rate_up, carry_over)
SELECT $1::text, $2::text, q.period, q.counts, q.octets, nullif(coalesce(q.rate_down, 0), 0), nullif(coalesce(q.rate_up, 0), 0), coalesce(q.carry_over, false)
FROM jsonb_to_recordset($3::jsonb) AS q(period text, counts text, octets bigint, rate_down bigint, rate_up bigint, carry_over boolean)`

	sqlTopUpsDelete = `DELETE FROM radial.topups WHERE username = $1::text`
	sqlTopUpInsert  = `
INSERT INTO radial.topups (username, octets, from_day, until_day, comment)
VALUES ($1::text, $2::bigint, DATE '1970-01-01' + $3::int, CASE WHEN $4::int > 0 THEN DATE '1970-01-01' + $4::int END, $5::text)`
	sqlTopUpTake = `DELETE FROM radial.topups WHERE username = $1::text AND id = $2::bigint`
	sqlTopUps    = `
SELECT id, octets, from_day - DATE '1970-01-01', coalesce(until_day - DATE '1970-01-01', 0), comment, made_at
FROM radial.topups WHERE username = $1::text ORDER BY id`
)

// readLimits adds a row of part 4, 5 or 6 to a user's limits.
func readLimits(l *aaa.UserLimits, part int, r aaa.Row) (err error) {
	switch part {
	case partQuotas:
		var q aaa.Quota
		q, err = readQuota(r)
		l.Quotas = append(l.Quotas, q)
	case partTopUps:
		t := aaa.TopUp{ID: r.ID}
		_, err = fmt.Sscan(r.Value, &t.Octets, &t.From, &t.Until)
		l.TopUps = append(l.TopUps, t)
	case partSubscriber:
		_, err = fmt.Sscan(r.Value, &l.BillingDay, &l.Since)
	}
	if err != nil {
		return fmt.Errorf("limits: %q: %w", r.Value, err)
	}
	return nil
}

func readQuota(r aaa.Row) (aaa.Quota, error) {
	q := aaa.Quota{Period: aaa.Period(r.Attribute), Counts: aaa.Counts(r.Op)}
	var carry int
	if _, err := fmt.Sscan(r.Value, &q.Octets, &q.RateDown, &q.RateUp, &carry); err != nil {
		return q, fmt.Errorf("quota: %q: %w", r.Value, err)
	}
	q.CarryOver = carry != 0
	return q, nil
}

// writeQuotas puts the quotas of a user or a group in place of those that it
// has, if they differ.
func writeQuotas(ctx context.Context, tx pgx.Tx, subject, name string, have, want []aaa.Quota) error {
	if slices.Equal(have, want) {
		return nil
	}
	if _, err := tx.Exec(ctx, sqlQuotasDelete, subject, name); err != nil {
		return wrapErr("quotas of "+name, err)
	}
	if len(want) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, sqlQuotasInsert, subject, name, want)
	return wrapErr("quotas of "+name, err)
}

// TopUpRow is a top-up with what is told of it.
type TopUpRow struct {
	aaa.TopUp
	Comment string
	Made    time.Time
}

// TopUps returns the top-ups of a user, the oldest first, also those that count
// no more.
func (db *DB) TopUps(ctx context.Context, user string) ([]TopUpRow, error) {
	rows, err := db.pool.Query(ctx, sqlTopUps, user)
	if err != nil {
		return nil, wrapErr("top-ups of "+user, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t TopUpRow, err error) {
		return t, row.Scan(&t.ID, &t.Octets, &t.From, &t.Until, &t.Comment, &t.Made)
	})
	return all, wrapErr("top-ups of "+user, err)
}

// TopUp gives a user octets beyond his quotas. A user who is nowhere is
// aaa.ErrNotFound.
func (db *DB) TopUp(ctx context.Context, c Change, user string, t aaa.TopUp, comment string) error {
	return db.changeTopUps(ctx, c, user, func(tx pgx.Tx) (aaa.Audit, error) {
		if _, err := tx.Exec(ctx, sqlTopUpInsert, user, t.Octets, t.From, t.Until, comment); err != nil {
			return nil, wrapErr("top up "+user, err)
		}
		audit := aaa.Audit{"octets": t.Octets, "from": t.From.String()}
		if t.Until != 0 {
			audit["until"] = t.Until.String()
		}
		if comment != "" {
			audit["comment"] = comment
		}
		return audit, nil
	})
}

// TakeTopUp takes a top-up back; aaa.ErrNotFound where the user has none of that
// number.
func (db *DB) TakeTopUp(ctx context.Context, c Change, user string, id int64) error {
	return db.changeTopUps(ctx, c, user, func(tx pgx.Tx) (aaa.Audit, error) {
		tag, err := tx.Exec(ctx, sqlTopUpTake, user, id)
		if err == nil && tag.RowsAffected() == 0 {
			return nil, fmt.Errorf("top-up %d of %q: %w", id, user, aaa.ErrNotFound)
		}
		return aaa.Audit{"taken": id}, wrapErr("top up "+user, err)
	})
}

func (db *DB) changeTopUps(ctx context.Context, c Change, user string, write func(pgx.Tx) (aaa.Audit, error)) error {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return err
	}
	return db.change(ctx, c, user, func(tx pgx.Tx) (written, error) {
		acc, err := account(ctx, tx, esc, user)
		if err == nil && !acc.Exists() {
			err = fmt.Errorf("user %q: %w", user, aaa.ErrNotFound)
		}
		if err != nil {
			return written{}, err
		}
		audit, err := write(tx)
		return written{audit: audit}, err
	})
}
