package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// The open session that an address belongs to: by its row in radacct, else one
// of the user's that reports it. $1 radacctid or 0, $2 user as stored, $3 address.
const sqlAddressSession = `
SELECT r.radacctid, r.acctsessionid, coalesce(r.username, ''), coalesce(r.callingstationid, ''), host(r.nasipaddress)::inet, coalesce(r.nasportid, ''),
       r.acctstarttime, r.acctupdatetime, coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0)
FROM radacct r
WHERE r.acctstoptime IS NULL AND (r.radacctid = $1::bigint OR $1 = 0 AND r.username = $2::text
      AND (r.framedipaddress = $3::inet OR r.framedipv6address <<= $3 OR r.framedipv6prefix = $3 OR r.delegatedipv6prefix = $3))
ORDER BY r.radacctid DESC LIMIT 1`

// OpenSession is a session that radacct has open.
type OpenSession struct {
	RadacctID int64
	Session   string // Acct-Session-Id
	User      string
	MAC       string // Calling-Station-Id, as the device wrote it
	NAS       netip.Addr
	Port      string
	Start     *time.Time
	Update    *time.Time // the last news of it
	In, Out   int64      // octets from and to the subscriber, as the NAS counts
}

// SessionAt returns the open session that an address belongs to, or nil.
func (db *DB) SessionAt(ctx context.Context, a Address) (*OpenSession, error) {
	op := "session of " + addressText(a.Address)
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	if a.RadacctID == 0 && (a.User == "" || a.State == "free" || a.State == "cooling") {
		return nil, nil
	}
	rows, err := db.pool.Query(ctx, sqlAddressSession, a.RadacctID, esc.EscapeUser(a.User), a.Address)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*OpenSession, error) {
		var s OpenSession
		err := row.Scan(&s.RadacctID, &s.Session, &s.User, &s.MAC, &s.NAS, &s.Port, &s.Start, &s.Update, &s.In, &s.Out)
		s.Session, s.User, s.MAC, s.Port = esc.Unescape(s.Session), esc.UnescapeUser(s.User), esc.Unescape(s.MAC), esc.UnescapeTwice(s.Port)
		return &s, err
	})
	if err != nil || len(found) == 0 {
		return nil, wrapErr(op, err)
	}
	return found[0], nil
}
