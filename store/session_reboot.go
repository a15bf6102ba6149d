package store

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
)

// sqlSilentReboot gives sessions that were closed for their silence the cause $6, where
// their NAS is known to have begun anew since: $1 radacctids, $2 NASes, $3
// when they were last heard of, $4 whether the router itself has said so, $5
// Acct-Session-Ids of RouterOS (NULL: of something else, which tells nothing). Who knows
// it: the router; its Accounting-On or Off; or an open session of the same service
// that began there since with another digit of the boot in its id.
const sqlSilentReboot = `
WITH e AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::inet[], $3::timestamptz[], $4::bool[], $5::text[]) AS e (id, nas, seen, told, session)
), since AS MATERIALIZED ( -- one look at each NAS's sessions, however many of its have ended
    SELECT o.nasipaddress AS nas, lower(left(o.acctsessionid, 2)) AS service, lower(substr(o.acctsessionid, 3, 1)) AS boot, max(o.acctstarttime) AS began
    FROM (SELECT nas, min(seen) AS seen FROM e WHERE session IS NOT NULL GROUP BY nas) n
    CROSS JOIN LATERAL (
        SELECT r.nasipaddress, r.acctsessionid, r.acctstarttime FROM radacct r
        WHERE r.nasipaddress = n.nas AND r.acctstoptime IS NULL AND r.acctstarttime > n.seen AND r.acctsessionid ~ '^[0-9A-Fa-f]{8}$' OFFSET 0) o
    GROUP BY 1, 2, 3
)
UPDATE radacct r SET acctterminatecause = $6::text
FROM e
WHERE r.radacctid = e.id
  AND (e.told
       OR EXISTS (SELECT FROM radial.reboots b WHERE b.nas = e.nas AND b.at > e.seen)
       OR EXISTS (SELECT FROM since s WHERE s.nas = e.nas AND s.began > e.seen
                      AND s.service = lower(left(e.session, 2)) AND s.boot <> lower(substr(e.session, 3, 1))))
RETURNING r.radacctid`

// silentEnd is a session that this transaction has closed for its silence.
type silentEnd struct {
	event leaseEvent
	nas   netip.Addr
	seen  time.Time // the last that was heard of it
	told  bool      // its router says that it has begun anew since
}

// bootID is an Acct-Session-Id as RouterOS makes them: two digits of the service,
// one that goes on with each boot, and a counter (radius-semantics 5.1). Such an id of
// another maker's device is a counter from end to end, and tells nothing.
func bootID(id string) bool {
	_, err := strconv.ParseUint(id, 16, 32)
	return len(id) == 8 && err == nil
}

// endSilent settles what sessions had that were closed for their silence, by the rows of
// sqlStaleClose or sqlLostClose, once it is known whether their NAS has begun anew since;
// then their cause says so. told has those of whom their routers say it, reason is what
// the history says of the others.
func (db *DB) endSilent(ctx context.Context, tx pgx.Tx, rows pgx.Rows, esc Escaper, told map[int64]bool, reason func(*silentEnd) string) ([]silentEnd, error) {
	ends, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (silentEnd, error) { return scanSilentEnd(row, esc) })
	if err != nil {
		return nil, err
	}
	for i := range ends {
		e := &ends[i]
		e.told, e.event.reason = told[e.event.radacctid], reason(e)
	}
	return ends, db.settleSilent(ctx, tx, ends)
}

// settleSilent is endSilent for sessions that have been read.
func (db *DB) settleSilent(ctx context.Context, tx pgx.Tx, ends []silentEnd) error {
	if len(ends) == 0 {
		return nil
	}
	all, err := devices(ctx, tx)
	if err != nil {
		return err
	}
	routerOS := map[netip.Addr]bool{}
	sessions := make([]*string, len(ends))
	for i, e := range ends {
		if _, ok := routerOS[e.nas]; !ok {
			routerOS[e.nas] = typeAt(all, e.nas) == "mikrotik"
		}
		if id := e.event.sessionID; routerOS[e.nas] && bootID(id) {
			sessions[i] = &id
		}
	}
	rows, err := tx.Query(ctx, sqlSilentReboot,
		column(ends, func(e silentEnd) int64 { return e.event.radacctid }), column(ends, func(e silentEnd) netip.Addr { return e.nas }),
		column(ends, func(e silentEnd) time.Time { return e.seen }), column(ends, func(e silentEnd) bool { return e.told }), sessions, aaa.CauseNASReboot)
	if err != nil {
		return err
	}
	anew, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	rebooted := make(map[int64]bool, len(anew))
	for _, id := range anew {
		rebooted[id] = true
	}
	events := column(ends, func(e silentEnd) leaseEvent {
		if rebooted[e.event.radacctid] {
			e.event.reason = "lost: its NAS has begun anew, and nothing was heard of its session since " + e.seen.UTC().Format(time.RFC3339)
		}
		return e.event
	})
	_, err = settleLeases(ctx, tx, db.now(), events)
	return err
}

// typeAt is the type of the device that has an address: of the smallest network
// that has it. A device by its host name is not found.
func typeAt(all []aaa.Device, addr netip.Addr) string {
	kind, bits := "", -1
	for _, d := range all {
		name, err := nas.ParseName(d.Name)
		if err == nil && name.Kind != nas.NameHost && name.Prefix.Contains(addr.Unmap()) && name.Prefix.Bits() > bits {
			kind, bits = d.Type, name.Prefix.Bits()
		}
	}
	return kind
}
