package store

import (
	"context"
	"time"
)

// Only offers and what cools off end by the clock (design §8). Offers wait while a Start
// may be on its way that nobody could take, after a time without any server;
// and while a server may have one that is not in the database yet: it reports a
// journal, or reports nothing and has not signed off.
// docs/decisions/0004-offers-after-a-gap.md has the reasons.

// heartbeatGap is how long no server of all must have reached the database for
// it to be a gap: two heartbeats, in seconds, since that is how SQL has it.
const heartbeatGap = `interval '10 seconds'`

const (
	// When the gap began that the first heartbeat now ends; no row: there is none.
	sqlGap = `SELECT max(heartbeat_at) AS began FROM radial.servers HAVING max(heartbeat_at) < now() - ` + heartbeatGap

	// Servers that have neither reported lately nor signed off, and have not died in front of others.
	fromSilent = `FROM radial.servers WHERE stopped_at IS NULL AND gone_at IS NULL AND heartbeat_at < now() - ` + heartbeatGap

	// Servers that may have accounting which the database lacks.
	fromAwaited = fromSilent + ` OR journal_bytes > 0`
	sqlAwaited  = `SELECT ` + serverColumns + ` ` + fromAwaited + ` ORDER BY name, id`
	// The rule for all that ends by silence or the clock, and is given on or closed
	// for it: the Start that follows an offer, or the interim of a silent session, may
	// be with such a server, acknowledged.
	startsKnown = `NOT EXISTS (SELECT ` + fromAwaited + `)`
	// The weaker one for logins that Simultaneous-Use let in: a server that is
	// gone for good must not keep subscribers out.
	journalsEmpty = `NOT EXISTS (SELECT FROM radial.servers WHERE journal_bytes > 0)`

	// Those of them that have not been heard of for a minute, without $1.
	sqlAwaitedLong = `
SELECT name FROM radial.servers
WHERE heartbeat_at < now() - interval '1 minute' AND (stopped_at IS NULL AND gone_at IS NULL OR journal_bytes > 0) AND id <> $1::uuid ORDER BY name`

	// Offers that ran out in a gap, or are about to, live on for a minute: NAS
	// devices repeat the Starts that nobody answered. While a server is silent each
	// heartbeat of another prolongs those that are about to run out.
	sqlSpareOffers = `
WITH spared AS (
    SELECT a.vrf_id, a.address FROM radial.addresses a
    WHERE a.state = 'offered'
      AND a.until < now() + CASE WHEN EXISTS (` + sqlGap + `) THEN interval '1 minute' ELSE interval '20 seconds' END
      AND a.until > (SELECT min(began) FROM (` + sqlGap + ` UNION ALL SELECT heartbeat_at ` + fromSilent + `) w)
    ORDER BY a.vrf_id, a.address FOR UPDATE OF a
)
UPDATE radial.addresses a SET until = now() + interval '1 minute'
FROM spared s WHERE a.vrf_id = s.vrf_id AND a.address = s.address`

	// Offers that no Start followed: $1 how many at most, the longest run out first.
	sqlExpireOffers = `
UPDATE radial.addresses a
SET state = 'free', until = NULL, session_id = NULL
FROM (SELECT o.vrf_id, o.address FROM radial.addresses o
      WHERE o.state = 'offered' AND o.until <= now()
        AND NOT EXISTS (` + sqlGap + `) AND ` + startsKnown + `
      ORDER BY o.until LIMIT $1::int FOR UPDATE SKIP LOCKED) e
WHERE a.vrf_id = e.vrf_id AND a.address = e.address
RETURNING a.pool_id, a.vrf_id, a.address, a.ctid`

	// Released addresses that anybody may have again: $1 how many at most.
	sqlEndCooling = `
UPDATE radial.addresses a
SET state = 'free', until = NULL
FROM (SELECT c.vrf_id, c.address FROM radial.addresses c
      WHERE c.state = 'cooling' AND c.until <= now()
      ORDER BY c.until LIMIT $1::int FOR UPDATE SKIP LOCKED) e
WHERE a.vrf_id = e.vrf_id AND a.address = e.address
RETURNING a.pool_id, a.vrf_id, a.address, a.ctid`

	// $1 seen last before, $2 how many at most.
	sqlDropConflicts = `
DELETE FROM radial.address_conflicts c
USING (SELECT o.vrf_id, o.address, o.radacctid FROM radial.address_conflicts o
       WHERE o.last_at < $1::timestamptz ORDER BY o.last_at LIMIT $2::int FOR UPDATE SKIP LOCKED) e
WHERE c.vrf_id = e.vrf_id AND c.address = e.address AND c.radacctid = e.radacctid`
)

// ExpireOffers frees offers that have run out, up to limit of them, and says
// how many. Rows that are in use at the moment wait for the next time; all
// wait while no server is known to have reached the database lately, or while
// one of them may have accounting that the database lacks (Awaited).
func (db *DB) ExpireOffers(ctx context.Context, limit int) (n int, err error) {
	n, err = db.freeByClock(ctx, sqlExpireOffers, limit)
	return n, wrapErr("expire offers", err)
}

// EndCooling frees addresses whose time of cooling is over, up to limit of
// them, and says how many.
func (db *DB) EndCooling(ctx context.Context, limit int) (n int, err error) {
	n, err = db.freeByClock(ctx, sqlEndCooling, limit)
	return n, wrapErr("end cooling", err)
}

// DropConflicts forgets conflicts of addresses that were last seen before a
// time, up to limit of them, and says how many.
func (db *DB) DropConflicts(ctx context.Context, before time.Time, limit int) (n int, err error) {
	tag, err := db.pool.Exec(ctx, sqlDropConflicts, before, limit)
	return int(tag.RowsAffected()), wrapErr("drop conflicts", err)
}

// Awaited returns the servers that may have accounting which the database
// lacks, by name: they report a journal, or have been silent for ten seconds, have
// not signed off, and have not died in front of others with an empty journal (gone.go). What is over by the clock or by silence alone (offers,
// sessions without interims) waits for them, until they report an empty journal
// or an operator forgets them (ForgetServer).
func (db *DB) Awaited(ctx context.Context) ([]Server, error) {
	return db.servers(ctx, "awaited servers", sqlAwaited)
}

// SpareOffers gives the offers that ran out while no server reached the
// database another minute, and so the logins that Simultaneous-Use let in. It must run before a server's first heartbeat after
// that time, which ends it.
func (db *DB) SpareOffers(ctx context.Context) error {
	if _, err := db.pool.Exec(ctx, sqlSpareOffers); err != nil {
		return wrapErr("spare offers", err)
	}
	_, err := db.pool.Exec(ctx, sqlSpareAdmissions)
	return wrapErr("spare admissions", err)
}
