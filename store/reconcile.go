package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// A page of the open sessions, by user and radacctid: walked along the index of
// open sessions by user, which has no closed ones. The last column tells of those that
// their devices have let go of, and those whose device has refused for good in
// the last hour: an operator's change asks it again, a look at all sessions does not. $1
// user (as radacct has him) and $2 radacctid of the last one of the page before,
// $3 how many; of the members of groups $4.
const (
	livePage = `
SELECT r.radacctid, true, false, r.acctuniqueid::text, r.acctsessionid::text, r.username::text, r.nasipaddress, coalesce(r.nasportid::text, ''), coalesce(r.nasporttype::text, ''),
    coalesce(r.callingstationid::text, ''), coalesce(r.calledstationid::text, ''), coalesce(r.servicetype::text, ''), coalesce(r.framedprotocol::text, ''),
    r.framedipaddress, coalesce(r.class::text, ''),
    r.acctstarttime, coalesce(e.soft, 0), coalesce(e.hard, 0), r.username::text,
    e.close_at IS NOT NULL OR coalesce(e.result IN ('refused', 'unsupported') AND coalesce(e.cause, 0) NOT IN (502, 505, 506) AND e.at > now() - interval '1 hour', false)
FROM (SELECT a.* FROM radacct a
      WHERE a.acctstoptime IS NULL AND a.username >= $1::text AND (a.username > $1 OR a.radacctid > $2::bigint)`
	livePageEnd = `
      ORDER BY a.username, a.radacctid LIMIT $3::int) r
LEFT JOIN radial.enforcements e ON e.radacctid = r.radacctid
ORDER BY r.username, r.radacctid`

	// Whether one of the names $1, or a member of the groups $2, is a profile that
	// others go by: the default one $3 (all as stored), or one that a row names. Who has check rows of his own
	// is none: so what every change of a user asks is answered by the index alone.
	sqlProfileAmong = `
WITH changed AS MATERIALIZED (
    SELECT n.name FROM unnest($1::text[]) AS n (name) WHERE NOT EXISTS (SELECT FROM radcheck c WHERE c.username = n.name)
), profile AS MATERIALIZED (
    SELECT $3::text AS name WHERE $3 <> ''
    UNION SELECT g.value::text FROM radgroupcheck g WHERE g.attribute = 'User-Profile'
    UNION SELECT c.value::text FROM radcheck c
    WHERE c.attribute = 'User-Profile' AND (EXISTS (SELECT FROM changed) OR cardinality($2::text[]) > 0)
)
SELECT EXISTS (SELECT FROM profile p JOIN changed USING (name))
    OR EXISTS (SELECT FROM profile p JOIN radusergroup m ON m.username = p.name WHERE m.groupname = ANY ($2))`

	sqlLiveSessions   = livePage + livePageEnd
	sqlLiveSessionsOf = livePage + ` AND a.username IN (SELECT g.username FROM radusergroup g WHERE g.groupname = ANY ($4::text[]))` + livePageEnd
)

// ProfileAmong tells whether one of the names, or a member of one of the groups, is
// a profile that others go by (User-Profile, or byDefault), so that what they are
// granted may be another now.
func (db *DB) ProfileAmong(ctx context.Context, names, groups []string, byDefault string) (found bool, err error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return false, wrapErr("profiles", err)
	}
	stored := make([]string, len(names))
	for i, name := range names {
		stored[i] = esc.EscapeUser(name)
	}
	err = db.pool.QueryRow(ctx, sqlProfileAmong, stored, groups, esc.EscapeUser(byDefault)).Scan(&found)
	return found, wrapErr("profiles", err)
}

// LiveSessions hands the open sessions to f, by pages of so many: all of them, or
// those of the members of groups. No transaction is open meanwhile: what begins
// or ends then may be there or not.
func (db *DB) LiveSessions(ctx context.Context, page int, groups []string, f func(context.Context, []aaa.LiveSession) error) error {
	const op = "look at open sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return wrapErr(op, err)
	}
	for user, id := "", int64(0); ; {
		sql, args := sqlLiveSessions, []any{user, id, page}
		if groups != nil {
			sql, args = sqlLiveSessionsOf, append(args, groups)
		}
		rows, err := db.pool.Query(ctx, sql, args...)
		if err != nil {
			return wrapErr(op, err)
		}
		read := 0
		var all []aaa.LiveSession
		_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
			var passed bool
			s, _, _, err := scanLive(row, esc, &user, &passed)
			if id, read = s.ID, read+1; !passed {
				all = append(all, s)
			}
			return struct{}{}, err
		})
		if err != nil {
			return wrapErr(op, err)
		}
		if err := f(ctx, all); err != nil || read < page {
			return err
		}
	}
}
