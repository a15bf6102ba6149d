package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// Addresses that radippool may say something else of than we do, with their open
	// sessions, each session a row; what is alike to the letter is left out.
	// $1 the zone of expiry_time, $2 pools (NULL: all).
	sqlTakeRows = `
WITH open AS MATERIALIZED (
    SELECT host(s.framedipaddress)::inet AS address, s.radacctid, s.acctsessionid, s.username, s.callingstationid,
           host(s.nasipaddress)::inet AS nas, s.nasportid, coalesce(s.acctstarttime, now()) AS start
    FROM radacct s
    WHERE s.acctstoptime IS NULL AND family(s.framedipaddress) = 4
      AND 1 = coalesce((SELECT x.vrf_id FROM nas n JOIN radial.nas_settings x ON x.nas_id = n.id
                        WHERE n.nasname = host(s.nasipaddress) ORDER BY n.id LIMIT 1), 1)
)
SELECT a.address, a.pool_id, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''), coalesce(a.session_id, ''),
       coalesce(a.radacctid, 0), a.until, m.radacctid IS NOT NULL, m.acctstoptime,
       coalesce(r.username, '')::text, coalesce(r.callingstationid, '')::text, coalesce(r.nasipaddress, '')::text, r.expiry_time > (now() AT TIME ZONE $1::text)::timestamp(0), greatest(least(r.expiry_time, '2200-01-01'), '1970-01-01') AT TIME ZONE $1::text,
       coalesce(o.radacctid, 0), coalesce(o.acctsessionid, ''), coalesce(o.username, ''), coalesce(o.callingstationid, ''), o.nas, coalesce(o.nasportid, ''), o.start
FROM radial.addresses a
JOIN radial.pools p ON p.id = a.pool_id AND p.kind = 'ipv4'
JOIN radippool r ON r.framedipaddress = a.address AND r.pool_name = p.name
LEFT JOIN radacct m ON m.radacctid = a.radacctid AND a.state = 'bound'
LEFT JOIN open o ON o.address = a.address
WHERE a.vrf_id = 1 AND a.state <> 'reserved' AND ($2::bigint[] IS NULL OR a.pool_id = ANY ($2::bigint[]))
  AND NOT (
      (r.expiry_time > (now() AT TIME ZONE $1::text)::timestamp(0)) = (a.state = 'bound' OR a.state IN ('offered', 'cooling') AND a.until > now())
      AND coalesce(r.username, '') = coalesce(a.username, '') AND lower(r.callingstationid) = coalesce(a.mac, '')
      AND r.nasipaddress = CASE WHEN family(a.nas) = 4 THEN host(a.nas) ELSE '' END
      AND CASE WHEN a.state = 'bound' THEN m.radacctid IS NOT NULL AND m.acctstoptime IS NULL
               WHEN a.state IN ('offered', 'cooling') THEN o.radacctid IS NULL AND r.expiry_time AT TIME ZONE $1::text - a.until < interval '1 second'
               ELSE o.radacctid IS NULL END)
ORDER BY a.address, r.expiry_time DESC, o.radacctid DESC`

	// It reads three tables from end to end: one look-up for each row of what the
	// statistics take for small (a table just filled, the sessions above) may last hours.
	sqlTakePlan = `SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'on', true)`

	// Locked in order. $1 addresses.
	sqlTakeLock = `
SELECT a.address FROM radial.addresses a WHERE a.vrf_id = 1 AND a.address = ANY ($1::inet[]) ORDER BY a.vrf_id, a.address FOR UPDATE`

	// Only what is still as it was read. $1 addresses, $2 states, $3 users, $4 MACs, $5 NAS, $6 ports, $7 sessions, $8 radacctids,
	// $9 since, $10 until, $11 the state that was, $12 its user, $13 its radacctid.
	sqlTakeWrite = `
UPDATE radial.addresses a
SET state = e.state, username = e.username, mac = e.mac, nas = e.nas, port = e.port, session_id = nullif(e.session_id, ''),
    radacctid = nullif(e.radacctid, 0), since = coalesce(e.since, a.since),
    until = CASE e.state WHEN 'bound' THEN now() + p.lease_time ELSE e.until END
FROM unnest($1::inet[], $2::text[], $3::text[], $4::text[], $5::inet[], $6::text[], $7::text[], $8::bigint[], $9::timestamptz[], $10::timestamptz[],
            $11::text[], $12::text[], $13::bigint[])
         AS e (address, state, username, mac, nas, port, session_id, radacctid, since, until, was_state, was_user, was_session),
     radial.pools p
WHERE a.vrf_id = 1 AND a.address = e.address AND p.id = a.pool_id
  AND a.state = e.was_state AND coalesce(a.username, '') = e.was_user AND coalesce(a.radacctid, 0) = e.was_session
RETURNING a.address`

	// $1 when, $2 addresses, $3 pools, $4 actions, $5 users, $6 MACs, $7 NAS, $8 ports, $9 sessions, $10 radacctids, $11 the reason, $12 the actor.
	sqlTakeHistory = `
INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason, actor)
SELECT h.at, 1, h.address, h.pool_id, h.action, h.username, h.mac, h.nas, h.port, h.session_id, nullif(h.radacctid, 0), $11::text, $12::text
FROM unnest($1::timestamptz[], $2::inet[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::inet[], $8::text[], $9::text[], $10::bigint[])
    AS h (at, address, pool_id, action, username, mac, nas, port, session_id, radacctid)`

	// When we were last there to see: the end of the last server, but not before
	// leases were taken last ($1, NULL: never).
	sqlTakeSince = `
SELECT greatest($1::timestamptz, (SELECT max(coalesce(s.stopped_at, s.heartbeat_at)) FROM radial.servers s))`
	sqlServersAlive = `
SELECT count(*) FROM radial.servers s WHERE s.stopped_at IS NULL AND s.heartbeat_at > now() - $1::interval AND s.id::text <> $2::text`
)

// takeChunk is how many addresses change in one transaction.
const takeChunk = 2000

// Taken says what was taken from radippool.
type Taken struct {
	Bound    int `json:"bound"`    // to open sessions
	Kept     int `json:"kept"`     // for the caller of a lease without one, until it expires
	Released int `json:"released"` // ended while we were away
	Holders  int `json:"holders"`  // free addresses whose last holder is another than we knew
	Raced    int `json:"raced"`    // changed under our hands by somebody else, and left so
	History  int `json:"history"`  // rows of history
}

// Changed is the number of addresses that became something else.
func (t Taken) Changed() int { return t.Bound + t.Kept + t.Released + t.Holders }

// TakeBack makes ours what FreeRADIUS has done with radippool while it had the
// mirror to itself: see judge for what becomes of an address. Sessions that began
// and ended meanwhile come into the history. Nothing happens while the mirror is
// off, or not yet filled.
func (db *DB) TakeBack(ctx context.Context, c Change) (Taken, error) {
	m, err := db.mirrorSettings(ctx)
	if err != nil {
		return Taken{}, wrapErr("take back from radippool", err)
	}
	if !m.On || !m.Filled {
		return Taken{}, nil
	}
	since, err := db.lastSeen(ctx)
	if err != nil {
		return Taken{}, wrapErr("take back from radippool", err)
	}
	t := &taking{db: db, zone: m.ZoneNow, reason: "FreeRADIUS, by radippool", actor: c.Actor, dry: c.DryRun}
	if err := t.run(ctx, nil, nil); err != nil {
		return t.Taken, wrapErr("take back from radippool", err)
	}
	if c.DryRun {
		return t.Taken, nil
	}
	n, err := db.missedSessions(ctx, since, c.Actor)
	t.History += n
	if err != nil {
		return t.Taken, wrapErr("take back from radippool", err)
	}
	if err := db.SetSetting(ctx, settingTakenBack, db.now().UTC().Format(time.RFC3339)); err != nil {
		return t.Taken, err
	}
	if t.Changed() == 0 && t.History == 0 {
		return t.Taken, nil
	}
	return t.Taken, db.NoteChange(ctx, c, "radippool", t.audit())
}

func (t Taken) audit() aaa.Audit {
	return aaa.Audit{"bound": t.Bound, "kept": t.Kept, "released": t.Released, "holders": t.Holders, "history": t.History}
}

// OthersAlive tells whether a server other than the one with that id ("" for
// any) is at work on the database.
func (db *DB) OthersAlive(ctx context.Context, id string) (bool, error) {
	var n int
	err := db.pool.QueryRow(ctx, sqlServersAlive, AliveWithin, id).Scan(&n)
	return n > 0, wrapErr("radial.servers", err)
}

// lastSeen is the time since which FreeRADIUS may have been alone.
func (db *DB) lastSeen(ctx context.Context) (time.Time, error) {
	var taken, since *time.Time
	if text, err := db.Setting(ctx, settingTakenBack); err == nil {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			taken = &at
		}
	} else if !errors.Is(err, aaa.ErrNotFound) {
		return time.Time{}, err
	}
	if err := db.pool.QueryRow(ctx, sqlTakeSince, taken).Scan(&since); err != nil || since == nil {
		return db.now(), err
	}
	return *since, nil
}

// taking is leases on their way from radippool to us.
type taking struct {
	Taken
	db     *DB
	zone   string
	reason string // of the rows of history
	actor  string
	dry    bool
	esc    Escaper

	batch    []*lent
	progress func(done uint64)
	seen     uint64
}

// run reads what differs, in one sweep, and writes it chunk by chunk.
func (t *taking) run(ctx context.Context, pools []int64, progress func(uint64)) (err error) {
	if t.esc, err = t.db.Escaper(ctx); err != nil {
		return err
	}
	t.progress = progress
	return pgx.BeginFunc(ctx, t.db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlTakePlan); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlTakeRows, t.zone, pools)
		if err != nil {
			return err
		}
		defer rows.Close()
		return t.sweep(ctx, rows)
	})
}

// sweep judges rows as they come, and writes on another connection.
func (t *taking) sweep(ctx context.Context, rows pgx.Rows) error {
	var at *lent
	for rows.Next() {
		l, err := t.scan(rows)
		if err != nil {
			return err
		}
		if at != nil && at.address == l.address {
			at.open = append(at.open, l.open...)
			continue
		}
		if err := t.add(ctx, at); err != nil {
			return err
		}
		at = l
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := t.add(ctx, at); err != nil {
		return err
	}
	return t.flush(ctx)
}

func (t *taking) scan(rows pgx.Rows) (*lent, error) {
	var l lent
	var nas, openNAS *netip.Addr
	var user, station, theirNAS, sUser, sStation, sPort string
	var s openSession
	var start *time.Time
	err := rows.Scan(&l.address, &l.pool, &l.state, &l.caller.User, &l.caller.MAC, &nas, &l.caller.Port, &l.session,
		&l.radacctid, &l.until, &l.ownThere, &l.ownStop,
		&user, &station, &theirNAS, &l.live, &l.expiry,
		&s.radacctid, &s.session, &sUser, &sStation, &openNAS, &sPort, &start)
	if err != nil {
		return nil, err
	}
	if nas != nil {
		l.caller.NAS = *nas
	}
	l.theirs = ipam.Caller{User: t.esc.UnescapeUser(user), MAC: normalMAC(t.esc, station)}
	if theirNAS != "" {
		if a, err := netip.ParseAddr(theirNAS); err == nil {
			l.theirs.NAS = a
		}
	} else if l.caller.NAS.Is6() {
		l.theirs.NAS = l.caller.NAS // sqlippool leaves it out
	}
	if s.radacctid != 0 {
		s.session = t.esc.Unescape(s.session)
		s.caller = ipam.Caller{User: t.esc.UnescapeUser(sUser), MAC: normalMAC(t.esc, sStation), Port: t.esc.UnescapeTwice(sPort)}
		if openNAS != nil {
			s.caller.NAS = *openNAS
		}
		if start != nil {
			s.start = *start
		}
		l.open = []openSession{s}
	}
	return &l, nil
}

func (t *taking) add(ctx context.Context, l *lent) error {
	if l == nil {
		return nil
	}
	t.seen++
	t.batch = append(t.batch, l)
	if len(t.batch) < takeChunk {
		return nil
	}
	return t.flush(ctx)
}

// flush judges and writes what has gathered.
func (t *taking) flush(ctx context.Context) error {
	w := newTakeWrite(t.batch, t.db.now())
	t.batch = t.batch[:0]
	if len(w.addrs) > 0 && !t.dry {
		err := t.db.inTx(ctx, func(tx pgx.Tx) error { return w.apply(ctx, tx, t.reason, t.actor) })
		if err != nil {
			return fmt.Errorf("addresses from %s: %w", w.addrs[0], err)
		}
	}
	w.count(&t.Taken, t.dry)
	if t.progress != nil {
		t.progress(t.seen)
	}
	return nil
}

// normalMAC reads a Calling-Station-Id of FreeRADIUS's tables.
func normalMAC(esc Escaper, station string) string { return ipam.NormaliseMAC(esc.Unescape(station)) }

const sqlForeignPools = `SELECT to_regclass('radippool') IS NOT NULL, radial.database_zone()`

const sqlDatabaseZone = `SELECT radial.database_zone()`

// foreignLeases is aaa.ErrConflict when radippool holds leases that we do not
// know of: turning the mirror on would wipe them out.
func (db *DB) foreignLeases(ctx context.Context) error {
	var there bool
	var zone string
	if err := db.pool.QueryRow(ctx, sqlForeignPools).Scan(&there, &zone); err != nil || !there {
		return wrapErr("mirror radippool", err)
	}
	t := &taking{db: db, zone: zone, dry: true}
	if err := t.run(ctx, nil, nil); err != nil {
		return wrapErr("mirror radippool", err)
	}
	if n := t.Bound + t.Kept; n > 0 {
		return fmt.Errorf("radippool: %w: it has %d leases that Radial does not know of: take them over first (radial ip import-radippool), or say --overwrite if Radial's are right", aaa.ErrConflict, n)
	}
	return nil
}
