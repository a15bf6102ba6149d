package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/aaa"
)

// Sessions as the router itself tells of them, next to radacct.
const (
	// The open sessions of NASes ($1), and those of users ($2, as radacct has them)
	// wherever they are: of a router that calls itself something else.
	sqlOpenAtNAS = `
SELECT r.radacctid, r.acctsessionid, coalesce(r.username, ''), r.nasipaddress, r.framedipaddress, coalesce(r.callingstationid, ''),
       coalesce(r.acctstarttime, r.acctupdatetime, 'epoch'), coalesce(r.acctupdatetime, r.acctstarttime, 'epoch'), r.nasipaddress <<= ANY ($1::inet[])
FROM radacct r WHERE r.acctstoptime IS NULL AND (r.nasipaddress <<= ANY ($1) OR r.username = ANY ($2::text[])) ORDER BY r.radacctid`

	// Closes those of $1 of which nothing has been heard since they were looked at
	// ($2), with the cause $3. A row that someone holds is being written: it lives.
	sqlLostClose = `
WITH lost AS (
    SELECT l.* FROM (SELECT * FROM unnest($1::bigint[], $2::timestamptz[]) AS d (radacctid, seen) ORDER BY radacctid) d CROSS JOIN LATERAL (
        SELECT r.radacctid, coalesce(r.acctupdatetime, r.acctstarttime) AS seen, r.acctstoptime
        FROM radacct r WHERE r.radacctid = d.radacctid OFFSET 0 FOR UPDATE SKIP LOCKED) l
    WHERE l.acctstoptime IS NULL AND l.seen = d.seen
)
UPDATE radacct r
SET acctstoptime = greatest(l.seen, r.acctstarttime), acctupdatetime = greatest(l.seen, r.acctstarttime),
    acctsessiontime = greatest(r.acctsessiontime, extract(epoch FROM l.seen - r.acctstarttime)::bigint, 0), acctterminatecause = $3::text
FROM lost l WHERE r.radacctid = l.radacctid
RETURNING r.radacctid, r.acctsessionid, r.acctstoptime, r.nasipaddress`

	// Sessions that CloseStale would close now.
	sqlStaleDue = `
SELECT r.radacctid, r.acctsessionid, coalesce(r.username, ''), r.nasipaddress, r.framedipaddress, coalesce(r.callingstationid, ''),
       coalesce(r.acctstarttime, w.seen), w.seen, true
FROM (SELECT w.radacctid, w.seen FROM radial.session_watch w CROSS JOIN radial.session_clock c
      WHERE ` + staleDue + ` ORDER BY w.radacctid LIMIT $3::int) w
JOIN radacct r ON r.radacctid = w.radacctid AND r.acctstoptime IS NULL ORDER BY r.radacctid`
	// Their NAS says that they live: their silence begins anew.
	sqlStaleLives = `
UPDATE radial.session_watch w SET quiet_from = c.up FROM radial.session_clock c WHERE w.radacctid = ANY ($1::bigint[])`
)

// OpenAt is an open session of radacct as it is compared with a router's, in raw
// text.
type OpenAt struct {
	ID             int64      `json:"radacctid"`
	SessionID      string     `json:"session_id"`
	User           string     `json:"user"`
	NAS            netip.Addr `json:"nas"`
	Address        netip.Addr `json:"address"` // the zero one: none
	CallingStation string     `json:"calling_station_id"`
	Began          time.Time  `json:"began_at"`
	Heard          time.Time  `json:"heard_at"` // the last time
	Here           bool       `json:"-"`        // of one of the NASes asked for
	Rebooted       bool       `json:"-"`        // set by who asked its router: that has begun anew since it was heard of
}

func openAt(rows pgx.Rows, esc Escaper) ([]OpenAt, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (OpenAt, error) {
		var s OpenAt
		var address *netip.Prefix
		err := row.Scan(&s.ID, &s.SessionID, &s.User, &s.NAS, &address, &s.CallingStation, &s.Began, &s.Heard, &s.Here)
		s.SessionID, s.User, s.CallingStation = esc.Unescape(s.SessionID), esc.UnescapeUser(s.User), esc.Unescape(s.CallingStation)
		if address != nil {
			s.Address = address.Addr().Unmap()
		}
		s.NAS = s.NAS.Unmap()
		return s, err
	})
}

// OpenAtNAS are the open sessions of NASes, and those of users (raw names)
// wherever they are.
func (db *DB) OpenAtNAS(ctx context.Context, nas []netip.Prefix, users []string) ([]OpenAt, error) {
	const op = "open sessions of a nas"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = esc.EscapeUser(u)
	}
	rows, err := db.pool.Query(ctx, sqlOpenAtNAS, nas, names)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	all, err := openAt(rows, esc)
	return all, wrapErr(op, err)
}

// DueStale are up to limit of the sessions that CloseStale would close now.
func (db *DB) DueStale(ctx context.Context, rule StaleRule, limit int) ([]OpenAt, error) {
	const op = "silent sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	rows, err := db.pool.Query(ctx, sqlStaleDue, rule.Intervals, int64(rule.Silent/time.Second), limit)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	all, err := openAt(rows, esc)
	return all, wrapErr(op, err)
}

// StaleLives says of silent sessions that their NAS has them: they are looked at
// again when they have been silent for as long once more.
func (db *DB) StaleLives(ctx context.Context, ids []int64) error {
	_, err := db.pool.Exec(ctx, sqlStaleLives, ids)
	return wrapErr("silent sessions", err)
}

// CloseLost closes sessions that their NAS does not have, with the time when they
// were last heard of and a cause as CloseStale gives it, frees their addresses,
// and says how many. One of which something has been heard since it was looked at
// stays open.
func (db *DB) CloseLost(ctx context.Context, lost []OpenAt) (n int, err error) {
	const op = "close lost sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, wrapErr(op, err)
	}
	ids, seen, told := make([]int64, len(lost)), make([]time.Time, len(lost)), map[int64]bool{}
	for i, s := range lost {
		ids[i], seen[i], told[s.ID] = s.ID, s.Heard, s.Rebooted
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlLostClose, ids, seen, aaa.CauseLostCarrier)
		if err != nil {
			return err
		}
		ends, err := db.endSilent(ctx, tx, rows, esc, told, func(*silentEnd) string { return "lost: its router does not have its session" })
		n = len(ends)
		return err
	})
	if err == nil && n > 0 {
		db.log.Info("sessions closed: their router does not have them", zap.Int("sessions", n))
	}
	return n, wrapErr(op, err)
}
