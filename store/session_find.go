package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"radial/aaa"
)

const (
	newestSession = ` ORDER BY r.acctstarttime DESC, r.radacctid DESC `

	// A session by what names it: $1 acctuniqueid, $2 radacctid (0: none), $3
	// Acct-Session-Id, for which there is no index: those that are open are looked through.
	sqlSessionsNamed = `
SELECT ` + sessionFields + `
FROM (` + ofRadacct + `r.acctuniqueid = $1::text OR r.radacctid = $2::bigint
      UNION ALL ` + ofArchive + `r.acctuniqueid = $1::text OR r.radacctid = $2::bigint
      UNION ALL ` + ofRadacct + `r.acctstoptime IS NULL AND r.acctsessionid = $3::text AND r.acctuniqueid <> $1 AND r.radacctid <> $2) r
` + newestSession + `LIMIT 50`

	// The sessions of a user that have an Acct-Session-Id: $1 user name, $2 id.
	sqlSessionsOfUserNamed = `
SELECT ` + sessionFields + `
FROM (` + ofRadacct + `r.username = $1::text AND r.acctsessionid = $2::text
      UNION ALL ` + ofArchive + `r.username = $1::text AND r.acctsessionid = $2::text) r
` + newestSession + `LIMIT 50`

	// Sessions that began since $1 with Acct-Session-Id $2: the index has the start.
	sqlSessionsSinceNamed = `
SELECT ` + sessionFields + `
FROM (` + ofRadacct + `r.acctstarttime >= $1::timestamptz AND r.acctsessionid = $2::text
      UNION ALL ` + ofArchive + `r.acctstarttime >= $1::timestamptz AND r.acctsessionid = $2::text) r
` + newestSession + `LIMIT 50`

	// $1 and $2 start and radacctid of the last one of the page before (NULL: none),
	// $3 user name, $4 since, $5 until (NULL: no bound), $6 how many.
	sqlSessionsOfUser = `
SELECT ` + sessionFields + `
FROM ((` + ofRadacct + userSession + newestSession + `LIMIT $6::int)
      UNION ALL
      (` + ofArchive + userSession + newestSession + `LIMIT $6::int)) r
` + newestSession + `LIMIT $6::int`
	userSession = `r.username = $3::text AND r.acctstarttime <= coalesce($1::timestamptz, 'infinity') AND ($1 IS NULL OR r.acctstarttime < $1 OR r.radacctid < $2::bigint)
        AND r.acctstarttime >= coalesce($4::timestamptz, '-infinity') AND r.acctstarttime < coalesce($5::timestamptz, 'infinity')`

	// Whether anything has the user: $1 name, $2 as FreeRADIUS's tables have him, $3 as the ledger of usage does.
	sqlUserThere = `
SELECT EXISTS (SELECT FROM radial.subscribers WHERE username = $1::text)
    OR EXISTS (SELECT FROM radcheck WHERE username = $2::text) OR EXISTS (SELECT FROM radreply WHERE username = $2)
    OR EXISTS (SELECT FROM radusergroup WHERE username = $2) OR EXISTS (SELECT FROM radacct WHERE username = $2)
    OR EXISTS (SELECT FROM radial.radacct_archive WHERE username = $2) OR EXISTS (SELECT FROM radial.usage_daily WHERE username = $3::text)`
)

// FindSessions returns the sessions of a name: an acctuniqueid, a radacctid or
// an Acct-Session-Id; the newest first, 50 at most. By Acct-Session-Id closed ones
// are found where user is given, else, unless the name is an acctuniqueid, among
// those that began since a time (zero: none), which reads all that began since
// then; where that takes too long, what was found comes beside the error.
func (db *DB) FindSessions(ctx context.Context, name, user string, since time.Time) ([]Session, error) {
	op := "session " + name
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	id := esc.Escape(name)
	if user != "" {
		return db.sessions(ctx, op, esc, sqlSessionsOfUserNamed, esc.EscapeUser(user), id)
	}
	radacctid, err := strconv.ParseInt(name, 10, 64)
	if err != nil || radacctid < 0 || strconv.FormatInt(radacctid, 10) != name { // 00000042 is no radacctid
		radacctid = 0
	}
	all, err := db.sessions(ctx, op, esc, sqlSessionsNamed, storableText(name), radacctid, id)
	if err != nil || since.IsZero() || slices.ContainsFunc(all, func(s Session) bool { return s.UniqueID == name }) {
		return all, err
	}
	ctx, cancel := context.WithTimeout(ctx, sessionPatience)
	defer cancel()
	began, err := db.sessions(ctx, op, esc, sqlSessionsSinceNamed, since, id)
	if ctx.Err() != nil && err != nil {
		return all, fmt.Errorf("%s: radacct has no index on acctsessionid, and reading what began since then took longer than %s: name its user, or look back less far: %w",
			op, sessionPatience, aaa.ErrInvalid)
	}
	return newestOf(all, began), err
}

// newestOf makes one list of two, without what is in both, 50 at most.
func newestOf(a, b []Session) []Session {
	all := append(a, b...)
	slices.SortFunc(all, func(x, y Session) int {
		return cmp.Or(y.Start.Compare(x.Start), cmp.Compare(y.RadacctID, x.RadacctID))
	})
	all = slices.CompactFunc(all, func(x, y Session) bool { return x.RadacctID == y.RadacctID })
	return all[:min(len(all), 50)]
}

// sessionPatience bounds a question that no index serves well.
const sessionPatience = 30 * time.Second

// CheckUser is aaa.ErrNotFound for a user of whom there is nothing: no
// subscriber, no row of FreeRADIUS's tables, no session, no usage.
func (db *DB) CheckUser(ctx context.Context, user string) error {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return wrapErr("user "+user, err)
	}
	var there bool
	stored := esc.EscapeUser(user)
	err = db.pool.QueryRow(ctx, sqlUserThere, storableText(user), stored, usageName(esc, stored)).Scan(&there)
	if err == nil && !there {
		return fmt.Errorf("user %q: %w", user, aaa.ErrNotFound)
	}
	return wrapErr("user "+user, err)
}

// UserSessionsQuery selects sessions of a user by their start.
type UserSessionsQuery struct {
	User         string    // as radacct names him
	Since, Until time.Time // begun from Since on, before Until; zero: no bound
	After        int64     // radacctid of the last session of the page before; 0: the first page
	Limit        int
}

// UserSessions returns the sessions of a user, open and closed, the newest
// first, at most q.Limit.
func (db *DB) UserSessions(ctx context.Context, q UserSessionsQuery) ([]Session, error) {
	op := "sessions of " + q.User
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	key, err := db.sessionKey(ctx, q.After)
	if err != nil {
		return nil, err
	}
	return db.sessions(ctx, op, esc, sqlSessionsOfUser, append(key, esc.EscapeUser(q.User), nullTime(q.Since), nullTime(q.Until), max(q.Limit, 1))...)
}
