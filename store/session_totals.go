package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	totalsOf = `count(*), count(*) FILTER (WHERE r.acctstoptime IS NULL), least(coalesce(sum(r.acctinputoctets), 0), 9223372036854775807)::bigint, least(coalesce(sum(r.acctoutputoctets), 0), 9223372036854775807)::bigint
FROM `
	totalsOpen  = `radacct r WHERE r.acctstoptime IS NULL`
	totalsSince = `(SELECT r.nasipaddress, r.username, r.acctstoptime, r.acctinputoctets, r.acctoutputoctets FROM radacct r WHERE r.acctstarttime >= $1::timestamptz
      UNION ALL
      SELECT r.nasipaddress, r.username, r.acctstoptime, r.acctinputoctets, r.acctoutputoctets FROM radial.radacct_archive r WHERE r.acctstarttime >= $1::timestamptz) r`

	totalsByNAS      = `SELECT r.nasipaddress, count(DISTINCT r.username), ` + totalsOf
	sqlTotalsNAS     = totalsByNAS + totalsOpen + ` GROUP BY 1 ORDER BY 3 DESC, 1`
	sqlTotalsNASFrom = totalsByNAS + totalsSince + ` GROUP BY 1 ORDER BY 3 DESC, 1`

	// Each user's package is looked up once: his first group that is one.
	totalsByPackage = `
SELECT coalesce(p.name, ''), count(*), sum(u.sessions)::bigint, sum(u.open)::bigint, least(sum(u.input), 9223372036854775807)::bigint, least(sum(u.output), 9223372036854775807)::bigint
FROM (SELECT r.username, ` + totalsOf
	totalsPackage = ` GROUP BY r.username) u (username, sessions, open, input, output)
LEFT JOIN LATERAL (
    SELECT g.groupname::text AS name FROM radusergroup g JOIN radial.packages k ON k.name = g.groupname WHERE g.username = u.username
    ORDER BY g.priority, g.id LIMIT 1) p ON true
GROUP BY 1 ORDER BY 3 DESC, 1`
	sqlTotalsPackage     = totalsByPackage + totalsOpen + totalsPackage
	sqlTotalsPackageFrom = totalsByPackage + totalsSince + totalsPackage
)

// SessionTotal is what the sessions of a NAS, or of the users of a package, come
// to.
type SessionTotal struct {
	NAS     netip.Addr // by NAS
	NASName string
	Package string // by package; empty: of users who have none

	Users    int64
	Sessions int64
	Open     int64
	Input    int64 // octets from the subscribers
	Output   int64 // octets to the subscribers
}

// TotalsByNAS adds up the open sessions of each NAS, or, where since is not
// zero, all sessions that began then or later. Those with the most come first.
func (db *DB) TotalsByNAS(ctx context.Context, since time.Time) ([]SessionTotal, error) {
	all, err := db.totals(ctx, sqlTotalsNAS, sqlTotalsNASFrom, since, func(s *SessionTotal) any { return &s.NAS })
	if err != nil || len(all) == 0 {
		return nil, err
	}
	names, err := db.deviceNames(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].NASName = names(all[i].NAS)
	}
	return all, nil
}

// TotalsByPackage is TotalsByNAS by the packages that the users have now.
func (db *DB) TotalsByPackage(ctx context.Context, since time.Time) ([]SessionTotal, error) {
	return db.totals(ctx, sqlTotalsPackage, sqlTotalsPackageFrom, since, func(s *SessionTotal) any { return &s.Package })
}

func (db *DB) totals(ctx context.Context, open, from string, since time.Time, by func(*SessionTotal) any) ([]SessionTotal, error) {
	const op = "totals of sessions"
	sql, args := open, []any{}
	if !since.IsZero() {
		sql, args = from, []any{since}
	}
	limited, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	rows, err := db.pool.Query(limited, sql, args...)
	var all []SessionTotal
	if err == nil {
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s SessionTotal, err error) {
			err = row.Scan(by(&s), &s.Users, &s.Sessions, &s.Open, &s.Input, &s.Output)
			return s, err
		})
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%s: reading them took longer than %s: ask for less far back: %w", op, sessionPatience, aaa.ErrInvalid)
	}
	return all, wrapErr(op, err)
}
