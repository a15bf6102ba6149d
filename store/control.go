package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	sqlOpenOf = `SELECT r.radacctid FROM radacct r WHERE r.username = $1::text AND r.acctstoptime IS NULL ORDER BY r.radacctid`

	// Which of these users, as radacct names them, have open sessions.
	sqlWithSessions = `
SELECT u.username FROM (SELECT DISTINCT n.username FROM unnest($1::text[]) AS n (username)) u
WHERE EXISTS (SELECT FROM radacct r WHERE r.username = u.username AND r.acctstoptime IS NULL)`

	// Which of these users have been let in and their Start has not come.
	sqlWaitingLogins = `
SELECT DISTINCT n.username FROM unnest($1::text[]) AS n (username)
WHERE EXISTS (SELECT FROM radial.addresses a WHERE a.username COLLATE "C" = n.username AND a.state = 'offered' AND a.until > now())
   OR EXISTS (SELECT FROM radial.admissions a WHERE a.login = n.username AND a.until > now())`

	// Claims open sessions for a time: nobody else acts on them until then. Those
	// that another has claimed, and those that their devices have let go of, come
	// back unclaimed; closed ones do not come back. $1 radacctids, $2 who claims, $3 for how many seconds.
	sqlClaim = `
WITH open AS MATERIALIZED (
    SELECT r.* FROM (SELECT DISTINCT u.id FROM unnest($1::bigint[]) AS u (id)) u
    CROSS JOIN LATERAL (SELECT a.* FROM radacct a WHERE a.radacctid = u.id OFFSET 0) r
    WHERE r.acctstoptime IS NULL
), claimed AS (
    INSERT INTO radial.enforcements AS e (radacctid, claimed_by, claimed_until)
    SELECT o.radacctid, $2::text, now() + make_interval(secs => $3::float8) FROM open o ORDER BY o.radacctid
    ON CONFLICT (radacctid) DO UPDATE SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
    WHERE e.close_at IS NULL AND (e.claimed_until IS NULL OR e.claimed_until <= now())
    RETURNING e.radacctid, e.soft, e.hard
)
SELECT r.radacctid, c.radacctid IS NOT NULL, EXISTS (SELECT FROM radial.enforcements e WHERE e.radacctid = r.radacctid AND e.close_at IS NOT NULL),
    r.acctuniqueid::text, r.acctsessionid::text, coalesce(r.username::text, ''), r.nasipaddress, coalesce(r.nasportid::text, ''), coalesce(r.nasporttype::text, ''),
    coalesce(r.callingstationid::text, ''), coalesce(r.calledstationid::text, ''), coalesce(r.servicetype::text, ''), coalesce(r.framedprotocol::text, ''),
    r.framedipaddress, coalesce(r.class::text, ''),
    r.acctstarttime, coalesce(c.soft, 0), coalesce(c.hard, 0), coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0)
FROM open r LEFT JOIN claimed c ON c.radacctid = r.radacctid
ORDER BY r.radacctid`

	// Gives claims back, in the order in which they are taken: rows that tell nothing go.
	sqlRelease = `
WITH mine AS MATERIALIZED (
    SELECT radacctid, verb IS NULL AND soft IS NULL AS empty FROM radial.enforcements
    WHERE radacctid = ANY ($1::bigint[]) AND claimed_by = $2::text ORDER BY radacctid FOR UPDATE
), gone AS (
    DELETE FROM radial.enforcements e USING mine m WHERE e.radacctid = m.radacctid AND m.empty
)
UPDATE radial.enforcements e SET claimed_by = NULL, claimed_until = NULL FROM mine m WHERE e.radacctid = m.radacctid AND NOT m.empty`

	// What came of deeds. $1 radacctids, $2 verbs, $3 results, $4 causes, $5 details, $6 ways, $7 tries, $8 actors, $9 why, $10 and $11 marks (NULL:
	// not changed), $12 whether the device has let it go, $13 seconds that its Stop has then, $14 who has claimed it.
	sqlSettleDeeds = `
INSERT INTO radial.enforcements AS e (radacctid, verb, result, cause, detail, via, tries, actor, why, soft, hard, at, close_at)
SELECT d.radacctid, d.verb, d.result, nullif(d.cause, 0), d.detail, d.via, d.tries, d.actor, d.why, d.soft, d.hard, now(),
       CASE WHEN d.ends THEN now() + make_interval(secs => $13::float8) END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::int[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bool[])
     AS d (radacctid, verb, result, cause, detail, via, tries, actor, why, soft, hard, ends)
ORDER BY d.radacctid
ON CONFLICT (radacctid) DO UPDATE SET verb = excluded.verb, result = excluded.result, cause = excluded.cause, detail = excluded.detail, via = excluded.via,
    tries = excluded.tries, actor = excluded.actor, why = excluded.why, soft = coalesce(excluded.soft, e.soft), hard = coalesce(excluded.hard, e.hard),
    at = excluded.at, close_at = coalesce(excluded.close_at, e.close_at),
    claimed_by = CASE WHEN e.claimed_by IS DISTINCT FROM $14::text THEN e.claimed_by END,
    claimed_until = CASE WHEN e.claimed_by IS DISTINCT FROM $14 THEN e.claimed_until END`

	sqlAuditMany = `
INSERT INTO radial.audit (actor, action, key, detail) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[])`
)

// Claimed is what ClaimSessions found of the sessions that are open.
type Claimed struct {
	Mine   []aaa.LiveSession
	Busy   []int64 // another acts on them now
	Ending []int64 // their devices have let them go: a Stop is awaited
}

// OpenSessionsOf lists the open sessions of a user, by radacctid.
func (db *DB) OpenSessionsOf(ctx context.Context, user string) ([]int64, error) {
	op := "open sessions of " + user
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	rows, err := db.pool.Query(ctx, sqlOpenOf, esc.EscapeUser(user))
	if err != nil {
		return nil, wrapErr(op, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrapErr(op, err)
}

// ClaimSessions claims open sessions for who, until so much time has passed by
// the database's clock. No transaction stays open.
func (db *DB) ClaimSessions(ctx context.Context, ids []int64, who string, hold time.Duration) (Claimed, error) {
	const op = "claim sessions"
	var c Claimed
	esc, err := db.Escaper(ctx)
	if err != nil {
		return c, wrapErr(op, err)
	}
	rows, err := db.pool.Query(ctx, sqlClaim, ids, who, hold.Seconds())
	if err != nil {
		return c, wrapErr(op, err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var up, down int64
		s, mine, ending, err := scanLive(row, esc, &up, &down)
		s.Up, s.Down = uint64(max(up, 0)), uint64(max(down, 0))
		switch {
		case mine:
			c.Mine = append(c.Mine, s)
		case ending:
			c.Ending = append(c.Ending, s.ID)
		default:
			c.Busy = append(c.Busy, s.ID)
		}
		return struct{}{}, err
	})
	return c, wrapErr(op, err)
}

// scanLive reads what sqlClaim selects, and what is selected after it.
func scanLive(row pgx.CollectableRow, esc Escaper, further ...any) (s aaa.LiveSession, mine, ending bool, err error) {
	var nas netip.Addr
	var ip *netip.Addr
	var began *time.Time
	var soft, hard int64
	l := &s.Login
	err = row.Scan(append([]any{&s.ID, &mine, &ending, &s.UniqueID, &s.SessionID, &l.User, &nas, &l.Port, &l.PortType, &l.CallingStation, &l.CalledStation,
		&l.ServiceType, &l.FramedProtocol, &ip, &s.Class, &began, &soft, &hard}, further...)...)
	s.NAS, l.NAS = nas.Unmap(), nas.Unmap().String()
	l.User, l.Port = esc.UnescapeUser(l.User), esc.UnescapeTwice(l.Port)
	for _, text := range []*string{&s.SessionID, &l.PortType, &l.CallingStation, &l.CalledStation, &l.ServiceType, &l.FramedProtocol, &s.Class} {
		*text = esc.Unescape(*text)
	}
	if ip != nil {
		s.Address = ip.Unmap()
	}
	s.Began = timeOf(began)
	s.Applied = aaa.Mark{Soft: uint64(soft), Hard: uint64(hard)}
	return s, mine, ending, err
}

// ReleaseSessions gives claims back to which nothing was done.
func (db *DB) ReleaseSessions(ctx context.Context, ids []int64, who string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, sqlRelease, ids, who)
	return wrapErr("release sessions", err)
}

// Deed is what was done to a session, for its row and the audit.
type Deed struct {
	Session aaa.LiveSession
	Verb    aaa.Verb
	Effect  aaa.Effect
	Applied *aaa.Mark // what it has from now on; nil: as before
	Actor   string
	Why     string
	Job     int64
	Bulk    int64 // radial.bulk; 0: none
	// Aside is a deed that the audit alone has: what is known of the session stays
	// as it is.
	Aside bool
}

// Ended tells whether the session's device has let it go.
func (d *Deed) Ended() bool {
	return d.Effect.Result == aaa.ResultGone || d.Verb == aaa.VerbDisconnect && d.Effect.Result == aaa.ResultDone
}

// SettleDeeds writes down what came of deeds, with an audit row for each, and
// gives their claims back, in one transaction. Sessions that their devices have let go are
// closed after closeAfter unless a Stop has come.
func (db *DB) SettleDeeds(ctx context.Context, who string, closeAfter time.Duration, deeds []Deed) error {
	if len(deeds) == 0 {
		return nil
	}
	var b pgx.Batch
	if err := queueDeeds(&b, who, closeAfter, deeds); err != nil {
		return err
	}
	err := db.inTx(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &b).Close() })
	return wrapErr("settle deeds", err)
}

func queueDeeds(b *pgx.Batch, who string, closeAfter time.Duration, deeds []Deed) error {
	if err := queueAudits(b, deeds); err != nil {
		return err
	}
	deeds = slices.DeleteFunc(slices.Clone(deeds), func(d Deed) bool { return d.Aside })
	n := len(deeds)
	ids, causes, soft, hard := make([]int64, n), make([]int64, n), make([]*int64, n), make([]*int64, n)
	verbs, results, details, vias, actors, whys := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	tries, ends := make([]int32, n), make([]bool, n)
	for i := range deeds {
		d := &deeds[i]
		ids[i], verbs[i], results[i], causes[i] = d.Session.ID, string(d.Verb), string(d.Effect.Result), int64(d.Effect.Cause)
		details[i], vias[i], tries[i], actors[i], whys[i], ends[i] = d.Effect.Detail, d.Effect.Via, int32(d.Effect.Tries), d.Actor, d.Why, d.Ended()
		if d.Applied != nil {
			s, h := int64(d.Applied.Soft), int64(d.Applied.Hard)
			soft[i], hard[i] = &s, &h
		}
	}
	if n > 0 {
		b.Queue(sqlSettleDeeds, ids, verbs, results, causes, details, vias, tries, actors, whys, soft, hard, ends, closeAfter.Seconds(), who)
	}
	return nil
}

func queueAudits(b *pgx.Batch, deeds []Deed) error {
	n := len(deeds)
	actors, actions, keys, audits := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i := range deeds {
		d := &deeds[i]
		detail, err := json.Marshal(auditOfDeed(d))
		if err != nil {
			return fmt.Errorf("audit of session %d: %w", d.Session.ID, err)
		}
		actors[i], actions[i], keys[i], audits[i] = d.Actor, "session."+string(d.Verb), d.Session.Login.User, string(detail)
	}
	b.Queue(sqlAuditMany, actors, actions, keys, audits)
	return nil
}

// auditOfDeed is what the audit says of a deed.
func auditOfDeed(d *Deed) aaa.Audit {
	a := aaa.Audit{"session": d.Session.UniqueID, "nas": d.Session.NAS.String(), "why": d.Why, "outcome": string(d.Effect.Result)}
	for name, value := range map[string]string{"detail": d.Effect.Detail, "via": d.Effect.Via} {
		if value != "" {
			a[name] = value
		}
	}
	if d.Session.Address.IsValid() {
		a["address"] = d.Session.Address.String()
	}
	for name, value := range map[string]int64{"error_cause": int64(d.Effect.Cause), "job": d.Job, "tries": int64(d.Effect.Tries), "bulk": d.Bulk} {
		if value != 0 {
			a[name] = value
		}
	}
	return a
}
