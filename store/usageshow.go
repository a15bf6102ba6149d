package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// A user's days: $1 name, $2 first day since 1970, $3 day after the last, $4 unused,
	// $5 the name as radacct has it. How many sessions began comes in the place of
	// folded seconds, up to which day the row is a sum (0: its own) in that of input.
	sqlUsageDays = `
SELECT 0, 1, NULL::timestamptz, NULL::timestamptz, d.seconds, d.input, d.output, true, d.day - 'epoch'::date, d.sessions, coalesce(d.upto - 'epoch'::date, 0)::bigint, 0::bigint
FROM radial.usage_daily d WHERE d.username = $1::text AND d.day >= 'epoch'::date + $2::int AND coalesce(d.upto, d.day) < 'epoch'::date + $3::int AND $4::int IS NOT NULL
UNION ALL
SELECT 1, f.* FROM (` + usageUnfolded + `) f`

	// All users: $1 first day, $2 day after the last.
	sqlUsageAll = `
SELECT d.username, NULL::timestamptz, NULL::timestamptz, least(sum(d.seconds), 9223372036854775807)::bigint, least(sum(d.input), 9223372036854775807)::bigint,
       least(sum(d.output), 9223372036854775807)::bigint, NULL::boolean, 0, sum(d.sessions)::bigint, 0::bigint, 0::bigint
FROM radial.usage_daily d WHERE d.day >= 'epoch'::date + $1::int AND d.day < 'epoch'::date + $2::int AND (d.upto IS NULL OR d.upto < 'epoch'::date + $2::int) GROUP BY 1
UNION ALL
SELECT coalesce(r.username, ''), CASE WHEN isfinite(r.acctstarttime) THEN r.acctstarttime END, CASE WHEN isfinite(r.acctupdatetime) THEN r.acctupdatetime END,
       coalesce(r.acctsessiontime, 0), coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0),
       s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), coalesce(s.seconds, 0), coalesce(s.input, 0), coalesce(s.output, 0)
FROM radacct r LEFT JOIN radial.usage_session s ON s.radacctid = r.radacctid WHERE r.acctstoptime IS NULL
UNION ALL
SELECT coalesce(s.username, ''), CASE WHEN isfinite(r.began) THEN r.began END, CASE WHEN isfinite(r.until) THEN r.until END, coalesce(r.seconds, 0), coalesce(r.input, 0), coalesce(r.output, 0),
       s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), s.seconds, s.input, s.output
FROM radial.usage_session s
CROSS JOIN LATERAL (SELECT o.acctstarttime AS began, o.acctstoptime AS until, o.acctsessiontime AS seconds, o.acctinputoctets AS input, o.acctoutputoctets AS output
                    FROM radacct o WHERE o.radacctid = s.radacctid AND NOT s.gone
                    UNION ALL SELECT s.gone_start, s.gone_update, s.gone_seconds, s.gone_input, s.gone_output WHERE s.gone OFFSET 0) r
WHERE s.pending`
)

// UsageDay is what a user used on a civil day, or in a period that begins on it.
type UsageDay struct {
	Day  aaa.Day
	Past aaa.Day // the day after the last: days of long ago may be one sum
	aaa.Usage
	Sessions int64 // that began
}

// UsageDays returns what a user used on the days of a span on which he used
// anything, in order: the ledger's days and his open sessions.
func (db *DB) UsageDays(ctx context.Context, user string, span aaa.Span) ([]UsageDay, error) {
	op := "usage of " + user
	days, err := db.reckon(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	stored := esc.EscapeUser(user)
	from, to := bounds(span)
	rows, err := db.pool.Query(ctx, sqlUsageDays, usageName(esc, stored), from, to, 0, []string{stored})
	if err != nil {
		return nil, wrapErr(op, err)
	}
	sums, last := map[aaa.Day]dayUse{}, map[aaa.Day]aaa.Day{}
	add := func(use dayUse) {
		if use.day >= aaa.Day(from) && use.day < aaa.Day(to) {
			sum := sums[use.day]
			sum.amounts, sum.sessions = sum.plus(use.amounts), sum.sessions+use.sessions
			sums[use.day] = sum
		}
	}
	err = scanUnfolded(rows, days.zone, func(_ int, sum amounts, base folded) {
		add(dayUse{day: base.day, amounts: sum, sessions: base.seconds})
		last[base.day] = aaa.Day(base.input)
	}, func(_ int, used []dayUse) {
		for _, use := range used {
			use.amounts = use.atLeast(amounts{})
			add(use)
		}
	})
	if err != nil {
		return nil, wrapErr(op, err)
	}
	all := make([]UsageDay, 0, len(sums))
	for _, day := range sortedKeys(sums, cmp.Compare[aaa.Day]) {
		all = append(all, UsageDay{Day: day, Past: max(day, last[day]) + 1, Usage: sums[day].usage(), Sessions: sums[day].sessions})
	}
	return all, nil
}

// UserUsage is what a user used in a span.
type UserUsage struct {
	User string
	aaa.Usage
	Sessions int64 // that began in it
}

// UsageTop returns the users who used the most in a span, by what rank says of
// them, up to limit; and what all users used together, and how many they are. It
// reads the days of all users in the span, and all open sessions.
func (db *DB) UsageTop(ctx context.Context, span aaa.Span, limit int, rank func(aaa.Usage) uint64) (top []UserUsage, all UserUsage, users int, err error) {
	const op = "usage of all users"
	days, err := db.reckon(ctx)
	if err != nil {
		return nil, all, 0, wrapErr(op, err)
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, all, 0, wrapErr(op, err)
	}
	limited, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	from, to := bounds(span)
	rows, err := db.pool.Query(limited, sqlUsageAll, from, to)
	if err != nil {
		return nil, all, 0, wrapErr(op, err)
	}
	sums, err := sumUsers(rows, days.zone, esc, aaa.Day(from), aaa.Day(to))
	if err != nil {
		return nil, all, 0, wrapErr(op, err)
	}
	var total dayUse
	for user, sum := range sums {
		top = append(top, UserUsage{User: user, Usage: sum.usage(), Sessions: sum.sessions})
		total.amounts, total.sessions = total.plus(sum.amounts), total.sessions+sum.sessions
	}
	slices.SortFunc(top, func(a, b UserUsage) int {
		return cmp.Or(cmp.Compare(rank(b.Usage), rank(a.Usage)), cmp.Compare(a.User, b.User))
	})
	users = len(top)
	return top[:min(limit, users)], UserUsage{Usage: total.usage(), Sessions: total.sessions}, users, nil
}

// sumUsers reads rows of sqlUsageAll.
func sumUsers(rows pgx.Rows, zone *time.Location, esc Escaper, from, to aaa.Day) (map[string]dayUse, error) {
	sums := map[string]dayUse{}
	var user string
	var began, until *time.Time
	var a amounts
	var base folded
	var folds *bool
	var day int32
	_, err := pgx.ForEachRow(rows, []any{&user, &began, &until, &a.seconds, &a.input, &a.output, &folds, &day, &base.seconds, &base.input, &base.output}, func() error {
		uses := []dayUse{{day: from, amounts: a, sessions: base.seconds}}
		if folds != nil { // a session, not days that are folded
			base.any, base.day = *folds, aaa.Day(day)
			report := heard{at: timeOf(until), input: a.input, output: a.output}
			if report.at.IsZero() {
				report.at = timeOf(began)
			}
			if user = usageName(esc, user); user == "" || report.at.IsZero() {
				return nil
			}
			uses, _ = lifetimeOf(timeOf(began), a.seconds, base, zone, report).fold(base, true, zone)
		}
		for _, use := range uses {
			if use.day >= from && use.day < to {
				sum := sums[user]
				sum.amounts, sum.sessions = sum.plus(use.atLeast(amounts{})), sum.sessions+use.sessions
				sums[user] = sum
			}
		}
		return nil
	})
	return sums, err
}
