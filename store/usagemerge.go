package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Old days of usage are not let go but added up: a user's row of his first day gets the
// sum. So what counts for ever (Max-All-Session, quotas without a period) and from the
// first session on (Expire-After) stays right, also where it is asked for only later.

const (
	// The next users of whom there is usage: $1 after this one, $2 at most.
	sqlUsageUsers = `
WITH RECURSIVE u (name) AS (
    (SELECT d.username FROM radial.usage_daily d WHERE d.username > $1::text ORDER BY d.username LIMIT 1)
    UNION ALL
    SELECT (SELECT d.username FROM radial.usage_daily d WHERE d.username > u.name ORDER BY d.username LIMIT 1) FROM u WHERE u.name IS NOT NULL)
SELECT name FROM u WHERE name IS NOT NULL LIMIT $2::int`

	// Adds up what users used before $2 (days since 1970), and says of how many days the
	// rows have gone. From a top-up on that can matter yet, and two months before it, a
	// user's days stay: $3 is since when top-ups do that do not count for ever.
	sqlUsageMerge = `
WITH who AS (
    SELECT n.name, least('epoch'::date + $2::int, (
        SELECT min(t.from_day) - 62 FROM radial.topups t WHERE t.username = n.name AND (t.from_day >= 'epoch'::date + $3::int
            OR EXISTS (SELECT FROM radial.quotas q WHERE q.period = 'ever' AND (q.subject = 'group' OR q.name = n.name))))) AS before
    FROM unnest($1::text[]) AS n (name)
), old AS (
    SELECT d.username, d.day, d.seconds, d.input, d.output, d.sessions, coalesce(d.upto, d.day) AS upto
    FROM who CROSS JOIN LATERAL (SELECT x.* FROM radial.usage_daily x WHERE x.username = who.name AND x.day < who.before OFFSET 0) c
    JOIN radial.usage_daily d ON d.username = c.username AND d.day = c.day
    ORDER BY d.username, d.day FOR UPDATE OF d
), sums AS (
    SELECT username, min(day) AS day, max(upto) AS upto, least(sum(seconds), 9223372036854775807)::bigint AS seconds,
           least(sum(input), 9223372036854775807)::bigint AS input, least(sum(output), 9223372036854775807)::bigint AS output, sum(sessions)::bigint AS sessions
    FROM old GROUP BY username HAVING count(*) > 1
), gone AS (
    DELETE FROM radial.usage_daily d USING old o, sums s
    WHERE o.username = s.username AND o.day > s.day AND d.username = o.username AND d.day = o.day RETURNING 1
), put AS (
    UPDATE radial.usage_daily d SET seconds = s.seconds, input = s.input, output = s.output, sessions = s.sessions, upto = s.upto
    FROM sums s WHERE d.username = s.username AND d.day = s.day)
SELECT count(*)::int FROM gone`
)

// MergeUsage adds up what each user used on days before a time, batch users at a time,
// each batch in a transaction of its own; step hears how many days' rows each took away.
// Days that a top-up can make matter stay (aaa.LookBack).
func (db *DB) MergeUsage(ctx context.Context, before time.Time, batch int, step func(days int) error) error {
	const op = "merge usage"
	r, err := db.reckon(ctx)
	if err != nil {
		return wrapErr(op, err)
	}
	day, topUps := aaa.DayOf(before, r.zone), aaa.DayOf(db.now(), r.zone)-aaa.LookBack
	for after := ""; ; {
		names, err := namesAfter(ctx, db.pool, sqlUsageUsers, after, batch)
		if err != nil || len(names) == 0 {
			return wrapErr(op, err)
		}
		var n int
		err = db.inTx(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sqlUsageMerge, names, day, topUps).Scan(&n) })
		if err != nil {
			return wrapErr(op, err)
		}
		if err := step(n); err != nil || len(names) < batch {
			return err
		}
		after = names[len(names)-1]
	}
}

// namesAfter are the next names that a statement finds.
func namesAfter(ctx context.Context, q querier, statement, after string, limit int) ([]string, error) {
	rows, err := q.Query(ctx, statement, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
