package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/aaa"
)

const (
	// Sessions that their devices have let go, and that no Stop has closed in time.
	// One that has been heard of since (some seconds for what was on its way) lives
	// on, whatever its device has said. A row that someone holds is being written: the
	// next round sees it. $1 how many, $2 cause of a session that was disconnected, $3 of one
	// that its device did not know, which ended when it was last heard of.
	sqlCloseLetGo = `
WITH due AS MATERIALIZED (
    SELECT e.radacctid, e.at, e.result, e.actor, e.why FROM radial.enforcements e WHERE e.close_at <= now() ORDER BY e.radacctid LIMIT $1::int
), row AS MATERIALIZED (
    SELECT d.*, l.open, l.seen, l.open AND l.seen > d.at + interval '5 seconds' AS lives
    FROM due d CROSS JOIN LATERAL (
        SELECT r.acctstoptime IS NULL AS open, coalesce(r.acctupdatetime, r.acctstarttime, d.at) AS seen
        FROM radacct r WHERE r.radacctid = d.radacctid OFFSET 0 FOR UPDATE SKIP LOCKED) l
), cleared AS (
    UPDATE radial.enforcements e SET close_at = NULL, result = CASE WHEN w.lives THEN 'lives' ELSE e.result END
    FROM (SELECT radacctid, lives FROM row UNION ALL
          SELECT d.radacctid, false FROM due d WHERE NOT EXISTS (SELECT FROM radacct r WHERE r.radacctid = d.radacctid)) w
    WHERE e.radacctid = w.radacctid
), closed AS (
    UPDATE radacct r
    SET acctstoptime = c.stop, acctupdatetime = c.stop, acctinterval = coalesce(r.acctinterval, greatest(extract(epoch FROM c.stop - r.acctupdatetime)::bigint, 0)),
        acctsessiontime = greatest(r.acctsessiontime, extract(epoch FROM c.stop - r.acctstarttime)::bigint, 0),
        acctterminatecause = CASE WHEN c.result = 'gone' THEN $3::text ELSE $2::text END
    FROM (SELECT w.radacctid, w.result, w.actor, w.why,
                 date_trunc('second', greatest(CASE WHEN w.result = 'gone' THEN w.seen ELSE greatest(w.at, w.seen) END, o.acctstarttime)) AS stop
          FROM row w JOIN radacct o ON o.radacctid = w.radacctid WHERE w.open AND NOT w.lives) c
    WHERE r.radacctid = c.radacctid
    RETURNING r.radacctid, r.acctuniqueid::text AS uniqueid, r.acctsessionid::text AS sessionid, coalesce(r.username::text, '') AS username, r.acctstoptime AS at, c.result, c.actor, c.why
)
SELECT c.radacctid, c.uniqueid, c.sessionid, c.username, c.at, c.result, coalesce(c.actor, ''), coalesce(c.why, ''), false FROM closed c
UNION ALL
SELECT w.radacctid, r.acctuniqueid::text, r.acctsessionid::text, coalesce(r.username::text, ''), w.seen, 'lives', coalesce(w.actor, ''), coalesce(w.why, ''), true
FROM row w JOIN radacct r ON r.radacctid = w.radacctid WHERE w.lives`

	// What is known of sessions that are over, a day later.
	sqlEnforcementsForget = `
DELETE FROM radial.enforcements WHERE radacctid IN (
    SELECT e.radacctid FROM radial.enforcements e
    WHERE e.close_at IS NULL AND (e.at IS NULL OR e.at < now() - interval '1 day') AND (e.claimed_until IS NULL OR e.claimed_until < now())
      AND (SELECT r.radacctid FROM radacct r WHERE r.radacctid = e.radacctid AND r.acctstoptime IS NULL) IS NULL
    LIMIT $1::int)`
)

// CauseAdminReset is the Acct-Terminate-Cause of sessions that were disconnected
// by us and whose Stop never came (RFC 2866 §5.10).
const CauseAdminReset = "Admin-Reset"

// CloseLetGo closes sessions that their devices have let go of for long enough
// without a Stop, up to limit of them, and frees their addresses: with the time
// of the acknowledgement, or, where the device did not know the session, with
// the time when it was last heard of. Those that live on all the same are told.
func (db *DB) CloseLetGo(ctx context.Context, limit int) (closed, lives int, err error) {
	const op = "close disconnected sessions"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, 0, wrapErr(op, err)
	}
	var told []letGo
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		closed, lives = 0, 0
		rows, err := tx.Query(ctx, sqlCloseLetGo, limit, CauseAdminReset, aaa.CauseLostCarrier)
		if err != nil {
			return err
		}
		if told, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l letGo, err error) {
			err = row.Scan(&l.radacctid, &l.uniqueID, &l.sessionID, &l.user, &l.at, &l.result, &l.actor, &l.why, &l.lives)
			l.user, l.sessionID = esc.UnescapeUser(l.user), esc.Unescape(l.sessionID)
			return l, err
		}); err != nil || len(told) == 0 {
			return err
		}
		var events []leaseEvent
		for _, l := range told {
			if l.lives {
				lives++
				continue
			}
			closed++
			events = append(events, leaseEvent{kind: leaseRelease, vrf: 1, radacctid: l.radacctid, sessionID: l.sessionID, reason: l.text()})
		}
		if _, err := settleLeases(ctx, tx, db.now(), events); err != nil {
			return err
		}
		return auditLetGo(ctx, tx, told)
	})
	if err != nil {
		return 0, 0, wrapErr(op, err)
	}
	for _, l := range told {
		if l.lives {
			db.log.Warn("a session lives on that its device has said to have disconnected", zap.String("user", l.user), zap.String("session", l.uniqueID), zap.Time("heard_of", l.at))
		}
	}
	if closed > 0 {
		db.log.Info("sessions closed: their devices have let them go, and no Stop has come", zap.Int("sessions", closed))
	}
	return closed, lives, nil
}

// letGo is a session whose Stop has not come in time.
type letGo struct {
	radacctid                 int64
	uniqueID, sessionID, user string
	at                        time.Time
	result, actor, why        string
	lives                     bool
}

func (l letGo) text() string {
	switch {
	case l.lives:
		return "its device acknowledged the disconnect, and the session goes on reporting"
	case l.result == string(aaa.ResultGone):
		return "its device does not know it, and no Stop has come: last heard of at " + l.at.UTC().Format(time.RFC3339)
	}
	return "disconnected at " + l.at.UTC().Format(time.RFC3339) + ", and no Stop has come"
}

func auditLetGo(ctx context.Context, tx pgx.Tx, all []letGo) error {
	var actors, actions, keys, details []string
	for _, l := range all {
		action := "session.close"
		if l.lives {
			action = "session.disconnect"
		}
		a := aaa.Audit{"session": l.uniqueID, "why": l.why, "detail": l.text(), "outcome": "closed"}
		if l.lives {
			a["outcome"] = "lives"
		}
		detail, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("audit of session %d: %w", l.radacctid, err)
		}
		actors, actions, keys, details = append(actors, l.actor), append(actions, action), append(keys, l.user), append(details, string(detail))
	}
	_, err := tx.Exec(ctx, sqlAuditMany, actors, actions, keys, details)
	return wrapErr("audit", err)
}

// TidyControl forgets what nobody needs of control any more: up to limit rows of
// sessions that are over, old wishes and bulk orders.
func (db *DB) TidyControl(ctx context.Context, limit int) (int, error) {
	tag, err := db.pool.Exec(ctx, sqlEnforcementsForget, limit)
	if err != nil {
		return 0, wrapErr("tidy control", err)
	}
	if _, err = db.pool.Exec(ctx, sqlWishForget); err == nil {
		_, err = db.pool.Exec(ctx, sqlBulkForget)
	}
	return int(tag.RowsAffected()), wrapErr("tidy control", err)
}
