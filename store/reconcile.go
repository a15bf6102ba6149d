package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// A page of the open sessions, by user and radacctid: the index of open sessions
// by user has no closed ones. Left out are those that their devices have let go of, and
// those whose device has refused for good in the last hour: an operator's change
// asks it again, a look at all sessions does not. $1 user (as radacct has him) and
// $2 radacctid of the last one of the page before, $3 how many, $4 groups (NULL: any).
const sqlLiveSessions = `
SELECT r.radacctid, true, false, r.acctuniqueid::text, r.acctsessionid::text, r.username::text, r.nasipaddress, coalesce(r.nasportid::text, ''), coalesce(r.nasporttype::text, ''),
    coalesce(r.callingstationid::text, ''), coalesce(r.calledstationid::text, ''), coalesce(r.servicetype::text, ''), coalesce(r.framedprotocol::text, ''),
    r.framedipaddress, r.framedipv6prefix, r.delegatedipv6prefix, coalesce(r.framedinterfaceid::text, ''), coalesce(r.class::text, ''),
    r.acctstarttime, coalesce(e.soft, 0), coalesce(e.hard, 0), r.username::text
FROM radacct r LEFT JOIN radial.enforcements e ON e.radacctid = r.radacctid
WHERE r.acctstoptime IS NULL AND r.username >= $1::text AND (r.username > $1 OR r.radacctid > $2::bigint)
  AND ($4::text[] IS NULL OR r.username IN (SELECT g.username FROM radusergroup g WHERE g.groupname = ANY ($4)))
  AND e.close_at IS NULL AND (e.result IS NULL OR e.result NOT IN ('refused', 'unsupported') OR e.cause IN (502, 505, 506) OR e.at < now() - interval '1 hour')
ORDER BY r.username, r.radacctid LIMIT $3::int`

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
		rows, err := db.pool.Query(ctx, sqlLiveSessions, user, id, page, groups)
		if err != nil {
			return wrapErr(op, err)
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (aaa.LiveSession, error) {
			s, _, _, err := scanLive(row, esc, &user)
			id = s.ID
			return s, err
		})
		if err != nil {
			return wrapErr(op, err)
		}
		if err := f(ctx, all); err != nil || len(all) < page {
			return err
		}
	}
}
