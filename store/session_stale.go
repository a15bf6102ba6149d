package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/aaa"
)

// Sessions that have died in silence: a power cut, a NAS that is gone, a Stop
// that was lost. docs/decisions/0006-silent-sessions.md has the reasons.
const (
	// Time goes on while jobs run each minute, some server reaches the database, and
	// none may have accounting that is not in it.
	sqlStaleTick = `
UPDATE radial.session_clock c
SET at = now(), since = CASE WHEN t.goes THEN c.since ELSE now() END, up = c.up + CASE WHEN t.goes THEN now() - c.at ELSE '0' END
FROM (SELECT o.at > now() - interval '100 seconds' AND NOT EXISTS (` + sqlGap + `)
             AND ` + startsKnown + ` AS goes FROM radial.session_clock o) t
RETURNING t.goes`

	// How often the sessions of a NAS report: nine of ten no less. One that told of
	// something besides looks as if it reported more often.
	sqlStaleHabits = `
SELECT nasipaddress, percentile_disc(0.9) WITHIN GROUP (ORDER BY acctinterval)
FROM radacct WHERE acctstoptime IS NULL AND acctinterval > 0 GROUP BY nasipaddress`

	// Notes sessions that have been silent for an interval by their own times, unless
	// that is noted. $1 NASes, $2 their habits in seconds, $3 whether sessions that
	// nobody knows the interval of are wanted too. The first interval counts as far
	// as it lies in the time without a gap, and by no more than itself.
	sqlStaleNote = `
INSERT INTO radial.session_watch AS w (radacctid, seen, counted, quiet_from, every)
SELECT s.radacctid, s.seen, s.counted, c.up - CASE WHEN e.every IS NULL THEN '0' ELSE greatest(least(e.every, now() - greatest(s.seen, c.since)), '0') END, e.every
FROM radial.session_clock c
CROSS JOIN (
    SELECT r.radacctid, r.username, coalesce(r.acctupdatetime, r.acctstarttime) AS seen, ` + staleCounted + ` AS counted, nullif(greatest(r.acctinterval, 0), 0) AS own, h.every AS habit
    FROM radacct r LEFT JOIN unnest($1::inet[], $2::bigint[]) AS h (nas, every) ON h.nas = r.nasipaddress
    WHERE r.acctstoptime IS NULL
      AND CASE WHEN coalesce(nullif(greatest(r.acctinterval, 0), 0), h.every) IS NULL THEN $3::bool AND coalesce(r.acctupdatetime, r.acctstarttime) IS NOT NULL
               ELSE coalesce(r.acctupdatetime, r.acctstarttime) <= now() - make_interval(secs => greatest(60, r.acctinterval, h.every)) END
    OFFSET 0) s
LEFT JOIN LATERAL (SELECT o.radacctid FROM radial.session_watch o WHERE o.radacctid = s.radacctid AND o.seen = s.seen AND o.counted = s.counted OFFSET 0) o ON true
CROSS JOIN LATERAL (
    SELECT max(v.value::bigint) AS told FROM (
        SELECT q.value FROM radreply q WHERE q.username = s.username AND lower(q.attribute) = 'acct-interim-interval'
        UNION ALL
        SELECT q.value FROM radusergroup g JOIN radgroupreply q ON q.groupname = g.groupname
        WHERE g.username = s.username AND lower(q.attribute) = 'acct-interim-interval') v
    WHERE v.value ~ '^[0-9]{1,7}$' AND o.radacctid IS NULL) p
CROSS JOIN LATERAL (
    SELECT CASE WHEN s.own IS NOT NULL OR p.told IS NOT NULL AND s.habit IS NOT NULL
                THEN make_interval(secs => greatest(60, s.own, s.habit, p.told)) END AS every) e
WHERE o.radacctid IS NULL
ORDER BY s.radacctid
ON CONFLICT (radacctid) DO UPDATE SET seen = excluded.seen, counted = excluded.counted, quiet_from = excluded.quiet_from, every = excluded.every`

	staleDue = `CASE WHEN w.every IS NOT NULL THEN $1::int > 0 AND c.up - w.quiet_from >= $1 * w.every
                   ELSE $2::bigint > 0 AND c.up - w.quiet_from >= make_interval(secs => $2) END`

	staleCounted = `coalesce(r.acctinputoctets, 0) # coalesce(r.acctoutputoctets, 0) # coalesce(r.acctsessiontime, 0)`

	// Closes what has been silent for long enough and still is: $1 intervals (0:
	// never), $2 seconds where nobody knows the interval (0: never), $3 how many at
	// most, of $5 alone (NULL: of all). A row that someone holds is looked at the next
	// time: what he writes tells whether it lives. The session ends when it was last
	// heard of.
	sqlStaleClose = `
WITH held AS (
    SELECT l.*, d.seen AS was, d.counted AS had
    FROM (SELECT w.radacctid, w.seen, w.counted FROM radial.session_watch w CROSS JOIN radial.session_clock c
          WHERE ` + staleDue + ` AND ($5::bigint[] IS NULL OR w.radacctid = ANY ($5)) ORDER BY w.radacctid) d
    CROSS JOIN LATERAL (
        SELECT r.radacctid, coalesce(r.acctupdatetime, r.acctstarttime) AS seen, ` + staleCounted + ` AS counted, r.acctstoptime
        FROM radacct r WHERE r.radacctid = d.radacctid OFFSET 0 FOR UPDATE SKIP LOCKED) l
    LIMIT $3::int
), looked AS (
    DELETE FROM radial.session_watch w USING held h WHERE w.radacctid = h.radacctid
)
UPDATE radacct r
SET acctstoptime = greatest(l.seen, r.acctstarttime), acctupdatetime = greatest(l.seen, r.acctstarttime),
    acctsessiontime = greatest(r.acctsessiontime, extract(epoch FROM l.seen - r.acctstarttime)::bigint, 0), acctterminatecause = $4::text
FROM held l WHERE r.radacctid = l.radacctid AND l.acctstoptime IS NULL AND l.seen = l.was AND l.counted = l.had
RETURNING r.radacctid, r.acctsessionid, r.acctstoptime, r.nasipaddress`

	// What is over needs no watching. Each row is looked up (no join of the
	// planner's choice may read all of radacct).
	sqlStaleForget = `
DELETE FROM radial.session_watch w
WHERE (SELECT r.radacctid FROM radacct r WHERE r.radacctid = w.radacctid AND r.acctstoptime IS NULL) IS NULL`
)

// StaleRule says when a session of which nothing is heard is over.
type StaleRule struct {
	// Intervals is how many interims in a row it must have missed; 0: never.
	// How often it reports is what its last interims say, the others of its NAS,
	// or, where that NAS sends interims at all, its user's Acct-Interim-Interval:
	// the longest of these, 60 s at least.
	Intervals int
	// Silent is how long nothing must have been heard of a session that nobody
	// knows the interval of; 0: never.
	Silent time.Duration
}

// WatchSilence looks for sessions that have missed an interim, and says whether
// those that have missed enough may be closed now (CloseStale). It is to run
// each minute: time in which it does not run counts for nobody's silence, nor
// does such in which no server reached the database, or one had accounting
// that the database lacks.
func (db *DB) WatchSilence(ctx context.Context, rule StaleRule) (goes bool, err error) {
	const op = "silent sessions"
	if err := db.pool.QueryRow(ctx, sqlStaleTick).Scan(&goes); err != nil {
		return false, wrapErr(op, err)
	}
	if !goes || rule.Intervals <= 0 && rule.Silent <= 0 {
		return false, nil
	}
	var nas []netip.Addr
	var every []int64
	if rule.Intervals > 0 {
		rows, err := db.pool.Query(ctx, sqlStaleHabits)
		if err != nil {
			return false, wrapErr(op, err)
		}
		var addr netip.Addr
		var seconds int64
		_, err = pgx.ForEachRow(rows, []any{&addr, &seconds}, func() error {
			nas, every = append(nas, addr), append(every, seconds)
			return nil
		})
		if err != nil {
			return false, wrapErr(op, err)
		}
	}
	if _, err := db.pool.Exec(ctx, sqlStaleForget); err != nil {
		return false, wrapErr(op, err)
	}
	_, err = db.pool.Exec(ctx, sqlStaleNote, nas, every, rule.Silent > 0)
	return err == nil, wrapErr(op, err)
}

// CloseStale closes sessions that have been silent for too long, up to limit of
// them, with the time when they were last heard of, frees their addresses, and says how
// many. The cause is NAS-Reboot where their NAS is known to have begun anew since,
// else Lost-Carrier. A session that lives all the same stays closed; what it
// still reports counts (aaa.Next).
func (db *DB) CloseStale(ctx context.Context, rule StaleRule, limit int) (n int, err error) {
	return db.closeStale(ctx, rule, limit, nil, nil)
}

// CloseStaleOf is CloseStale for those sessions alone.
func (db *DB) CloseStaleOf(ctx context.Context, rule StaleRule, dead []OpenAt) (n int, err error) {
	if len(dead) == 0 {
		return 0, nil
	}
	told := map[int64]bool{}
	for _, s := range dead {
		told[s.ID] = s.Rebooted
	}
	return db.closeStale(ctx, rule, len(dead), column(dead, func(s OpenAt) int64 { return s.ID }), told)
}

func (db *DB) closeStale(ctx context.Context, rule StaleRule, limit int, only []int64, told map[int64]bool) (n int, err error) {
	const op = "close silent sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, wrapErr(op, err)
	}
	of := map[netip.Addr]int{}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		clear(of)
		rows, err := tx.Query(ctx, sqlStaleClose, rule.Intervals, int64(rule.Silent/time.Second), limit, aaa.CauseLostCarrier, only)
		if err != nil {
			return err
		}
		ends, err := db.endSilent(ctx, tx, rows, esc, told, func(e *silentEnd) string {
			return "lost: nothing heard of its session since " + e.seen.UTC().Format(time.RFC3339)
		})
		for _, e := range ends {
			of[e.nas]++
		}
		n = len(ends)
		return err
	})
	if err != nil {
		return 0, wrapErr(op, err)
	}
	for nas, count := range of {
		db.log.Info("sessions closed: nothing has been heard of them for too long", zap.Stringer("nas", nas), zap.Int("sessions", count))
	}
	return n, nil
}

// scanSilentEnd reads what sqlStaleClose and sqlLostClose return of a session.
func scanSilentEnd(row pgx.CollectableRow, esc Escaper) (silentEnd, error) {
	e := silentEnd{event: leaseEvent{kind: leaseRelease, vrf: 1}} // what it has is found by its radacctid
	err := row.Scan(&e.event.radacctid, &e.event.sessionID, &e.seen, &e.nas)
	e.event.sessionID, e.nas = esc.Unescape(e.event.sessionID), e.nas.Unmap()
	return e, err
}
