package store

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
)

// The columns of Session, of a row r of radacct; see scanSessionOf. A package is
// the user's first group that is one; pools are told of open sessions alone.
const (
	sessionFields = sessionOwn + `,
       coalesce((SELECT g.groupname::text FROM radusergroup g JOIN radial.packages k ON k.name = g.groupname WHERE g.username = r.username ORDER BY g.priority, g.id LIMIT 1), ''),
       ARRAY(SELECT DISTINCT p.name FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.radacctid = r.radacctid AND r.acctstoptime IS NULL ORDER BY p.name)`
	sessionOwn = `r.radacctid, r.acctuniqueid, r.acctsessionid, coalesce(r.username, ''), coalesce(r.realm, ''), r.nasipaddress, coalesce(r.nasportid, ''),
       coalesce(r.callingstationid, ''), coalesce(r.calledstationid, ''), r.acctstarttime, r.acctupdatetime, r.acctstoptime, r.acctinterval,
       r.acctsessiontime, coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0), coalesce(r.acctterminatecause, ''),
       r.framedipaddress, r.framedipv6address, r.framedipv6prefix, r.delegatedipv6prefix`
)

// What sessionFields and trafficColumns read, so that a row of radacct and one
// of the archive can stand in one list. Of closed sessions each branch walks
// its own indexes; of the archive the months are opened one after another.
const (
	sessionRow = `r.radacctid, r.acctuniqueid, r.acctsessionid, r.username, r.realm, r.nasipaddress, r.nasportid, r.callingstationid, r.calledstationid,
       r.acctstarttime, r.acctupdatetime, r.acctstoptime, r.acctinterval, r.acctsessiontime, r.acctinputoctets, r.acctoutputoctets, r.acctterminatecause,
       r.framedipaddress, r.framedipv6address, r.framedipv6prefix, r.delegatedipv6prefix`
	ofRadacct = `SELECT ` + sessionRow + ` FROM radacct r WHERE `
	ofArchive = `SELECT ` + sessionRow + ` FROM radial.radacct_archive r WHERE `
)

// Open sessions are found by the partial indexes of radacct alone, so that closed
// ones, however many there are, cost nothing.
const (
	// What an open session must be: $1 and $2 start and radacctid of the last one
	// of the page before (NULL: none), $3 since when, $4 networks of NASes (NULL: any), $5 pool,
	// $6 package (empty: any), $7 address or network (NULL: any), $8 how many.
	openMatches = `
      r.acctstoptime IS NULL AND r.acctstarttime <= coalesce($1::timestamptz, 'infinity') AND ($1 IS NULL OR r.acctstarttime < $1 OR r.radacctid < $2::bigint)
  AND r.acctstarttime >= coalesce($3::timestamptz, '-infinity') AND ($4::inet[] IS NULL OR r.nasipaddress <<= ANY ($4))
  AND ($5::text = '' OR EXISTS (SELECT FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.radacctid = r.radacctid AND p.name = $5))
  AND ($6::text = '' OR EXISTS (SELECT FROM radusergroup g WHERE g.username = r.username AND g.groupname = $6))
  AND ($7::inet IS NULL OR r.framedipaddress && $7 OR r.framedipv6address && $7 OR r.framedipv6prefix && $7 OR r.delegatedipv6prefix && $7)`

	// The NASes that have open sessions, one step along radacct_bulk_close
	// (nasipaddress, acctstarttime) for each.
	openNAS = `
WITH RECURSIVE n(nas) AS (
    (SELECT r.nasipaddress FROM radacct r WHERE r.acctstoptime IS NULL ORDER BY r.nasipaddress LIMIT 1)
    UNION ALL
    SELECT (SELECT r.nasipaddress FROM radacct r WHERE r.acctstoptime IS NULL AND r.nasipaddress > n.nas ORDER BY r.nasipaddress LIMIT 1)
    FROM n WHERE n.nas IS NOT NULL
)`

	// Each NAS is asked for its newest, and these are merged. That its column
	// stands between two bounds, and not after "=", makes that index the only one
	// with the order that is wanted: no plan goes through the starts of all
	// sessions that ever were.
	sqlSessionsOpen = openNAS + `
SELECT ` + sessionFields + `
FROM (
    SELECT s.* FROM n CROSS JOIN LATERAL (
        SELECT r.* FROM radacct r
        WHERE r.nasipaddress BETWEEN n.nas AND n.nas AND ` + openMatches + `
        ORDER BY r.nasipaddress DESC, r.acctstarttime DESC, r.radacctid DESC LIMIT $8::int) s
    WHERE n.nas IS NOT NULL AND ($4 IS NULL OR n.nas <<= ANY ($4))
    ORDER BY s.acctstarttime DESC, s.radacctid DESC LIMIT $8) r
ORDER BY r.acctstarttime DESC, r.radacctid DESC`

	// The open sessions of a user, few as they are, first (OFFSET 0): $9, as
	// radacct has him.
	sqlSessionsOpenOfUser = `
SELECT ` + sessionFields + `
FROM (SELECT r.* FROM (SELECT r.* FROM radacct r WHERE r.username = $9::text AND r.acctstoptime IS NULL OFFSET 0) r
      WHERE ` + openMatches + `
      ORDER BY r.acctstarttime DESC, r.radacctid DESC LIMIT $8::int) r
ORDER BY r.acctstarttime DESC, r.radacctid DESC`

	// Whether there is a pool $1, and a package or group $2.
	sqlSessionScope = `
SELECT EXISTS (SELECT FROM radial.pools WHERE name = $1::text),
       EXISTS (SELECT FROM radial.packages WHERE name = $2::text) OR EXISTS (SELECT FROM radusergroup WHERE groupname = $2)`

	// Where a page ended: $1 radacctid.
	sqlSessionKey = `
SELECT acctstarttime FROM radacct WHERE radacctid = $1::bigint AND acctstarttime IS NOT NULL
UNION ALL
SELECT acctstarttime FROM radial.radacct_archive WHERE radacctid = $1
LIMIT 1`
)

// Session is a row of radacct as people look at it. Texts are as the device
// sent them.
type Session struct {
	SessionRecord
	Realm     string
	Called    string         // Called-Station-Id
	Interval  *int64         // seconds between the last two updates
	Lived     *int64         // seconds, as the device last said
	Addresses []netip.Prefix // all that it has; of an address /32 or /128
	Package   string
	Pools     []string // that its addresses are of, while it is open
	NASName   string   // shortname of its device, where nas has one
}

// SessionQuery selects open sessions; what is zero selects nothing.
type SessionQuery struct {
	User    string
	NAS     []netip.Prefix // networks that hold the NAS's address
	Pool    string
	Package string
	Address netip.Prefix // an address of the session, or a network that overlaps one
	Since   time.Time    // begun then or later
	After   int64        // radacctid of the last session of the page before; 0: the first page
	Limit   int
}

// OpenSessions returns open sessions, the newest first, at most q.Limit. What
// it reads does not grow with the closed ones. aaa.ErrNotFound where there is no
// such pool, package or group, or no session q.After.
func (db *DB) OpenSessions(ctx context.Context, q SessionQuery) ([]Session, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr("open sessions", err)
	}
	if err := db.checkScope(ctx, q); err != nil {
		return nil, err
	}
	key, err := db.sessionKey(ctx, q.After)
	if err != nil {
		return nil, err
	}
	sql, args := sqlSessionsOpen, append(key, nullTime(q.Since), nullPrefixes(q.NAS), q.Pool, q.Package, nullPrefix(q.Address), max(q.Limit, 1))
	if q.User != "" {
		sql, args = sqlSessionsOpenOfUser, append(args, esc.EscapeUser(q.User))
	}
	return db.sessions(ctx, "open sessions", esc, sql, args...)
}

// CheckSessionScope is aaa.ErrNotFound for a pool, or a package or group, that
// is not there; "" is none.
func (db *DB) CheckSessionScope(ctx context.Context, pool, name string) error {
	return db.checkScope(ctx, SessionQuery{Pool: pool, Package: name})
}

// checkScope tells a name that nothing has from one that has no sessions.
func (db *DB) checkScope(ctx context.Context, q SessionQuery) error {
	if q.Pool == "" && q.Package == "" {
		return nil
	}
	var pool, group bool
	err := db.pool.QueryRow(ctx, sqlSessionScope, q.Pool, q.Package).Scan(&pool, &group)
	switch {
	case err != nil:
		return wrapErr("open sessions", err)
	case q.Pool != "" && !pool:
		return fmt.Errorf("pool %q: %w", q.Pool, aaa.ErrNotFound)
	case q.Package != "" && !group:
		return fmt.Errorf("package or group %q: %w", q.Package, aaa.ErrNotFound)
	}
	return nil
}

// sessionKey is the place of a session in the order of lists: its start and
// radacctid. 0 is no place.
func (db *DB) sessionKey(ctx context.Context, radacctid int64) ([]any, error) {
	var start *time.Time
	if radacctid != 0 {
		if err := db.pool.QueryRow(ctx, sqlSessionKey, radacctid).Scan(&start); err != nil {
			return nil, wrapErr("session with radacctid "+strconv.FormatInt(radacctid, 10), err)
		}
	}
	return []any{start, radacctid}, nil
}

// sessions reads sessionFields, and names their devices.
func (db *DB) sessions(ctx context.Context, op string, esc Escaper, sql string, args ...any) ([]Session, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Session, error) { return scanSessionOf(row, esc) })
	if err != nil || len(all) == 0 {
		return nil, wrapErr(op, err)
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

// deviceNames returns a function that names the device of an address: its
// shortname, empty where nas has none.
func (db *DB) deviceNames(ctx context.Context) (func(netip.Addr) string, error) {
	rows, err := db.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var devices []*nas.Device
	for _, r := range rows {
		if n, err := nas.ParseName(r.Name); err == nil && n.Kind != nas.NameHost { // who cannot be read sends nothing either
			devices = append(devices, &nas.Device{Row: nas.Row{Name: r.Name, ShortName: r.ShortName}, Prefix: n.Prefix})
		}
	}
	table, _ := nas.NewTable(devices) // of two rows for an address the first counts
	return func(addr netip.Addr) string {
		if d := table.Find(addr); d != nil {
			return d.ShortName
		}
		return ""
	}, nil
}

// scanSessionOf reads sessionFields.
func scanSessionOf(row pgx.CollectableRow, esc Escaper) (Session, error) {
	var s Session
	var start, updated, stop *time.Time
	var ip, ipv6, prefix, delegated *netip.Prefix
	err := row.Scan(&s.RadacctID, &s.UniqueID, &s.Session, &s.User, &s.Realm, &s.NAS, &s.Port, &s.MAC, &s.Called, &start, &updated, &stop, &s.Interval,
		&s.Lived, &s.Input, &s.Output, &s.Cause, &ip, &ipv6, &prefix, &delegated, &s.Package, &s.Pools)
	s.Session, s.User, s.Realm = esc.Unescape(s.Session), esc.UnescapeUser(s.User), esc.Unescape(s.Realm)
	s.Port, s.MAC, s.Called = esc.UnescapeTwice(s.Port), esc.Unescape(s.MAC), esc.Unescape(s.Called)
	s.Start, s.Updated, s.Stop = timeOf(start), timeOf(updated), timeOf(stop)
	for _, p := range []*netip.Prefix{ip, ipv6, prefix, delegated} {
		if p != nil {
			s.Addresses = append(s.Addresses, *p)
		}
	}
	if len(s.Addresses) > 0 {
		s.Address = s.Addresses[0]
	}
	return s, err
}

func nullPrefixes(all []netip.Prefix) []netip.Prefix {
	if len(all) == 0 {
		return nil
	}
	return all
}
