package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Sessions of users whose usage is not all folded: open ones, and those that
	// somebody else than the ledger has closed. $5 names as radacct has them.
	usageUnfolded = `
SELECT u.ord::int AS ord, CASE WHEN isfinite(r.acctstarttime) THEN r.acctstarttime END AS began, CASE WHEN isfinite(r.acctupdatetime) THEN r.acctupdatetime END AS until,
       coalesce(r.acctsessiontime, 0) AS seconds, coalesce(r.acctinputoctets, 0) AS input, coalesce(r.acctoutputoctets, 0) AS output,
       s.day IS NOT NULL AS folded, coalesce(s.day - 'epoch'::date, 0) AS folded_day, coalesce(s.seconds, 0) AS folded_seconds, coalesce(s.input, 0) AS folded_input, coalesce(s.output, 0) AS folded_output
FROM unnest($5::text[]) WITH ORDINALITY AS u (name, ord)
CROSS JOIN LATERAL (SELECT o.radacctid, o.acctstarttime, o.acctupdatetime, o.acctsessiontime, o.acctinputoctets, o.acctoutputoctets
                    FROM radacct o WHERE o.username = u.name AND o.acctstoptime IS NULL OFFSET 0) r
LEFT JOIN LATERAL (SELECT x.* FROM radial.usage_session x WHERE x.radacctid = r.radacctid OFFSET 0) s ON true
UNION ALL
SELECT u.ord::int, CASE WHEN isfinite(r.began) THEN r.began END, CASE WHEN isfinite(r.until) THEN r.until END, coalesce(r.seconds, 0), coalesce(r.input, 0), coalesce(r.output, 0),
       s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), s.seconds, s.input, s.output
FROM unnest($5::text[]) WITH ORDINALITY AS u (name, ord)
CROSS JOIN LATERAL (SELECT x.* FROM radial.usage_session x WHERE x.username = u.name AND x.pending OFFSET 0) s
CROSS JOIN LATERAL (SELECT o.acctstarttime AS began, o.acctstoptime AS until, o.acctsessiontime AS seconds, o.acctinputoctets AS input, o.acctoutputoctets AS output
                    FROM radacct o WHERE o.radacctid = s.radacctid AND NOT s.gone
                    UNION ALL SELECT s.gone_start, s.gone_update, s.gone_seconds, s.gone_input, s.gone_output WHERE s.gone OFFSET 0) r`

	// All that users have used in spans of days, in one look: what is folded in the
	// meantime is seen once. $1 number of the user, $2 names, $3 first days since 1970, $4 days after the last.
	sqlMeter = `
SELECT 0, e.ord, NULL::timestamptz, NULL::timestamptz, d.seconds, d.input, d.output, false, 0, 0, 0, 0
FROM unnest($1::int[], $2::text[], $3::int[], $4::int[]) AS e (ord, name, first, past)
CROSS JOIN LATERAL (
    SELECT least(coalesce(sum(x.seconds), 0), 9223372036854775807)::bigint, least(coalesce(sum(x.input), 0), 9223372036854775807)::bigint, least(coalesce(sum(x.output), 0), 9223372036854775807)::bigint
    FROM radial.usage_daily x WHERE x.username = e.name AND x.day >= 'epoch'::date + e.first AND x.day < 'epoch'::date + e.past) d (seconds, input, output)
UNION ALL
SELECT 1, f.* FROM (` + usageUnfolded + `) f`

	// When users' first sessions began: $1 names as radacct has them, $2 as they are.
	// Sessions that are nowhere any more have left their days.
	sqlFirstSessions = `
SELECT least(r.began, a.began), d.day - 'epoch'::date
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (stored, name, ord)
LEFT JOIN LATERAL (SELECT x.acctstarttime AS began FROM radacct x WHERE x.username = u.stored AND isfinite(x.acctstarttime) ORDER BY x.acctstarttime LIMIT 1) r ON true
LEFT JOIN LATERAL (SELECT x.acctstarttime AS began FROM radial.radacct_archive x WHERE x.username = u.stored ORDER BY x.acctstarttime LIMIT 1) a ON true
LEFT JOIN LATERAL (SELECT x.day FROM radial.usage_daily x WHERE x.username = u.name ORDER BY x.day LIMIT 1) d ON true
ORDER BY u.ord`
)

// Days before and after all that there can be.
const (
	dayFirst = -1_000_000
	dayPast  = 2_000_000
)

// maxMetered is how many users one trip asks for.
const maxMetered = 500

// Meter tells what users have used (aaa.Meter). Callers at once share a trip.
// Safe for concurrent use.
type Meter struct {
	db    *DB
	used  *Group[meterQuery, []aaa.Usage]
	first *Group[string, time.Time]
}

var _ aaa.Meter = (*Meter)(nil)

type meterQuery struct {
	user  string
	spans []aaa.Span
}

// NewMeter makes a Meter.
func NewMeter(db *DB) *Meter {
	m := &Meter{db: db}
	m.used, m.first = NewGroup(maxMetered, m.read), NewGroup(maxMetered, m.begun)
	m.used.Runners, m.used.Crowd = 2, 32
	return m
}

// Used implements aaa.Meter: one look-up by index for each span and each open
// session.
func (m *Meter) Used(ctx context.Context, user string, spans []aaa.Span) ([]aaa.Usage, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	used, err := m.used.Do(ctx, meterQuery{user, spans})
	return used, wrapErr("usage of "+user, err)
}

// FirstSession implements aaa.Meter.
func (m *Meter) FirstSession(ctx context.Context, user string) (time.Time, error) {
	at, err := m.first.Do(ctx, user)
	return at, wrapErr("first session of "+user, err)
}

// Zone returns the time zone in which the days of spans are reckoned.
func (m *Meter) Zone(ctx context.Context) (*time.Location, error) {
	r, err := m.db.reckon(ctx)
	if err != nil {
		return nil, err
	}
	return r.zone, nil
}

// ways are how this database reckons days, and how it keeps names.
func (m *Meter) ways(ctx context.Context) (*reckoning, Escaper, error) {
	days, err := m.db.reckon(ctx)
	if err != nil {
		return nil, Escaper{}, err
	}
	esc, err := m.db.Escaper(ctx)
	return days, esc, err
}

func (m *Meter) read(ctx context.Context, qs []meterQuery) ([][]aaa.Usage, error) {
	days, esc, err := m.ways(ctx)
	if err != nil {
		return nil, err
	}
	sums := make([][]amounts, len(qs))
	stored := make([]string, len(qs))
	var ords []int32
	var names []string
	var first, past []int32
	for i, q := range qs {
		sums[i] = make([]amounts, 0, len(q.spans))
		stored[i] = esc.EscapeUser(q.user)
		for _, s := range q.spans {
			from, to := bounds(s)
			ords, names = append(ords, int32(i+1)), append(names, usageName(esc, stored[i]))
			first, past = append(first, from), append(past, to)
		}
	}
	rows, err := m.db.pool.Query(ctx, sqlMeter, ords, names, first, past, stored)
	if err != nil {
		return nil, err
	}
	err = scanUnfolded(rows, days.zone, func(i int, sum amounts, _ folded) {
		sums[i] = append(sums[i], sum) // of the spans, in their order, before all sessions
	}, func(i int, used []dayUse) {
		for n, s := range qs[i].spans {
			from, to := bounds(s)
			for _, d := range used {
				if d.day >= aaa.Day(from) && d.day < aaa.Day(to) {
					sums[i][n] = sums[i][n].plus(d.atLeast(amounts{})) // of a row that was corrected downwards nothing is taken off
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	all := make([][]aaa.Usage, len(qs))
	for i := range qs {
		for _, a := range sums[i] {
			all[i] = append(all[i], a.usage())
		}
	}
	return all, nil
}

// usage is what people see: nothing below 0.
func (a amounts) usage() aaa.Usage {
	a = a.atLeast(amounts{})
	return aaa.Usage{Time: time.Duration(min(a.seconds, 1<<33)) * time.Second, Input: uint64(a.input), Output: uint64(a.output)}
}

func bounds(s aaa.Span) (from, to int32) {
	from, to = dayFirst, dayPast
	if s.From != 0 {
		from = min(max(int32(s.From), dayFirst), dayPast)
	}
	if s.To != 0 {
		to = min(max(int32(s.To), dayFirst), dayPast)
	}
	return from, to
}

// scanUnfolded reads rows of sqlMeter and its kin: sums of days that are folded,
// with what else the statement says in the columns of base, and sessions with what
// is not, split by day. Both come with the user's place in the query.
func scanUnfolded(rows pgx.Rows, zone *time.Location, sum func(user int, sum amounts, base folded), session func(user int, days []dayUse)) error {
	var kind, ord, day int32
	var began, until *time.Time
	var a amounts
	var base folded
	_, err := pgx.ForEachRow(rows, []any{&kind, &ord, &began, &until, &a.seconds, &a.input, &a.output, &base.any, &day, &base.seconds, &base.input, &base.output}, func() error {
		base.day = aaa.Day(day)
		if kind == 0 {
			sum(int(ord)-1, a, base)
			return nil
		}
		report := heard{at: timeOf(until), input: a.input, output: a.output}
		if report.at.IsZero() {
			report.at = timeOf(began)
		}
		if report.at.IsZero() {
			return nil // it tells no time at all
		}
		used, _ := lifetimeOf(timeOf(began), a.seconds, base, zone, report).fold(base, true, zone)
		session(int(ord)-1, used)
		return nil
	})
	return err
}

func (m *Meter) begun(ctx context.Context, users []string) ([]time.Time, error) {
	days, esc, err := m.ways(ctx)
	if err != nil {
		return nil, err
	}
	stored := column(users, esc.EscapeUser)
	rows, err := m.db.pool.Query(ctx, sqlFirstSessions, stored, column(stored, func(s string) string { return usageName(esc, s) }))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (time.Time, error) {
		var began *time.Time
		var day *int32
		if err := row.Scan(&began, &day); err != nil {
			return time.Time{}, err
		}
		first := timeOf(began)
		if day != nil && (first.IsZero() || aaa.Day(*day) < aaa.DayOf(first, days.zone)) {
			first = aaa.Day(*day).Begin(days.zone)
		}
		return first, nil
	})
}
