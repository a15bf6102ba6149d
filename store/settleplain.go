package store

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// What nearly every event finds is its address as the login or its own Start has left it: then
// what ipam.Settle says of it is known beforehand, and one statement finds the row, writes
// it and tells history. The plain cases are these, and everything else is looked at
// under a lock and judged by the rules, in the same transaction:
//
//   - a Bind of a new session finds the row free, cooling, or offered to the same user name and MAC: Bind
//   - a Renew finds it bound by this session: Renew, or nothing while half of its time is left
//   - a Release finds it bound by this session, its Acct-Session-Id being the row's: Release
//   - there is no row, or it is reserved for the session's user: nothing
//
// It is a guess of what was there when the statement began, and the row is the judge: one that
// somebody has written since has another xmin.
const (
	// $1 kinds (0 bind, 1 renew, 2 release), $2 VRFs, $3 addresses, $4 radacctids, or of a new session its place among those that
	// sqlAcctMake has made, $5 user names, $6 MACs, $7 NAS, $8 ports, $9 session ids, $10 since, $11 when it happened,
	// $12 how many sessions were to be made and $13 how many updated, $14 reasons of releases, $15 the names of users' rows: where some were not written, it is not
	// known here of which, and their events are left.
	//
	// Rows are locked in order of (vrf, address): the sorted look drives the update. OFFSET 0
	// keeps the look-ups apart: see sqlClaimKnown.
	sqlSettlePlain = `
WITH made AS MATERIALIZED (
    SELECT CASE WHEN cardinality(m.ids) = $12::int THEN m.ids END AS ids, $13::int = 0 OR current_setting('radial.updated', true) = $13::int::text AS updated
    FROM (SELECT nullif(current_setting('radial.made', true), '')::bigint[] AS ids) m
), look AS MATERIALIZED (
    SELECT e.*, l.row, l.version, p.lease_time, p.cooling_time, CASE
               WHEN l.row IS NULL THEN CASE WHEN e.kind = 2 AND (` + plainOthers + `) > 0 THEN 'odd' ELSE 'nothing' END
               WHEN l.state = 'reserved' AND l.vrf_id = e.vrf_id AND l.address = e.address AND l.username <> '' AND l.username IN (e.username, e.account) THEN 'nothing'
               WHEN e.kind = 0 THEN CASE WHEN ` + plainBind + ` THEN 'plain' ELSE 'odd' END
               WHEN NOT (SELECT m.updated FROM made m) OR l.state <> 'bound' OR l.radacctid IS DISTINCT FROM e.radacctid
                   OR l.vrf_id <> e.vrf_id OR l.address <> e.address THEN 'odd'
               WHEN e.kind = 1 THEN CASE WHEN l.until >= now() + p.lease_time / 2 THEN 'nothing' ELSE 'plain' END
               WHEN ` + plainRelease + ` THEN 'plain' ELSE 'odd' END AS fate
    FROM (SELECT u.kind, u.vrf_id, u.address, CASE u.kind WHEN 0 THEN (SELECT m.ids FROM made m)[u.id] ELSE u.id END AS radacctid,
                 u.username, u.mac, u.nas, u.port, u.session_id, u.since, u.at, u.reason, u.account, u.n
          FROM unnest($1::int[], $2::int[], $3::inet[], $4::bigint[], $5::text[], $6::text[], $7::inet[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
                      $14::text[], $15::text[]) WITH ORDINALITY AS u (kind, vrf_id, address, id, username, mac, nas, port, session_id, since, at, reason, account, n)) e
    LEFT JOIN LATERAL (
        SELECT ` + plainColumns + ` FROM radial.addresses l WHERE e.kind <> 2 AND l.vrf_id = e.vrf_id AND l.address = e.address
        UNION ALL
        SELECT ` + plainColumns + ` FROM radial.addresses l WHERE e.kind = 2 AND l.radacctid = e.radacctid
        OFFSET 0) l ON true
    LEFT JOIN radial.pools p ON p.id = l.pool_id
    ORDER BY e.vrf_id, e.address
), done AS (
    UPDATE radial.addresses a
    SET state = CASE WHEN e.kind < 2 THEN 'bound' WHEN e.cooling_time > '0' THEN 'cooling' ELSE 'free' END,
        until = CASE WHEN e.kind < 2 THEN now() + e.lease_time WHEN e.cooling_time > '0' THEN now() + e.cooling_time END,
        radacctid = CASE WHEN e.kind < 2 THEN e.radacctid END, since = CASE e.kind WHEN 0 THEN e.since ELSE a.since END,
        username = CASE e.kind WHEN 0 THEN e.username WHEN 1 THEN a.username ELSE coalesce(a.username, '') END,
        mac = CASE e.kind WHEN 0 THEN e.mac WHEN 1 THEN a.mac ELSE coalesce(a.mac, '') END,
        nas = CASE e.kind WHEN 0 THEN e.nas ELSE a.nas END,
        port = CASE e.kind WHEN 0 THEN e.port WHEN 1 THEN a.port ELSE coalesce(a.port, '') END,
        session_id = CASE e.kind WHEN 0 THEN e.session_id WHEN 1 THEN a.session_id ELSE coalesce(a.session_id, '') END
    FROM look e
    WHERE e.fate = 'plain' AND a.ctid = e.row AND a.xmin = e.version
    RETURNING e.n, e.kind, e.at, e.reason, e.radacctid, a.vrf_id, a.address, a.pool_id, a.username, a.mac, a.nas, a.port, a.session_id
), told AS (
    INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason)
    SELECT d.at, d.vrf_id, d.address, d.pool_id, CASE d.kind WHEN 0 THEN 'bound' ELSE 'released' END, d.username, d.mac, d.nas, d.port, d.session_id, d.radacctid, nullif(d.reason, '')
    FROM done d WHERE d.kind <> 1
)
SELECT (SELECT array_agg(d.n) FROM done d), array_agg(l.n) FILTER (WHERE l.fate = 'odd'), count(*) FILTER (WHERE l.fate = 'plain') FROM look l`

	plainColumns = `l.ctid AS row, l.xmin AS version, l.vrf_id, l.address, l.pool_id, l.state, l.username, l.mac, l.session_id, l.radacctid, l.until`

	// No row may have the session's radacctid already (of a radacct that was made anew): then all are looked at.
	plainBind = `e.radacctid IS NOT NULL AND (l.state IN ('free', 'cooling') OR l.state = 'offered' AND l.username = e.username AND l.mac = e.mac AND e.username <> '')
                   AND NOT (SELECT coalesce(bool_or(x.radacctid = ANY (m.ids)), false) FROM made m CROSS JOIN LATERAL (
                       SELECT x.radacctid FROM radial.addresses x WHERE x.radacctid BETWEEN m.ids[1] AND m.ids[$12::int] OFFSET 0) x)`

	// Where another session reports the address, it cools off for longer.
	plainRelease = `(e.session_id = '' OR l.session_id = e.session_id)
                   AND CASE WHEN (SELECT count(*) > 0 FROM (SELECT FROM radial.address_conflicts LIMIT 1) c)
                       THEN (SELECT count(*) FROM radial.address_conflicts c WHERE c.vrf_id = l.vrf_id AND c.address = l.address) = 0 ELSE true END`

	plainOthers = `SELECT count(*) FROM radial.addresses x WHERE x.vrf_id = e.vrf_id AND x.address = e.address`
)

// errMoved tells that somebody has written a row between the look at it and its
// update.
var errMoved = errors.New("addresses have changed")

// plainly is the part of a batch of events that may be plain.
type plainly struct {
	events []*leaseEvent
	made   int // sessions that are new
	known  int // and that are updated

	done, odd []int64 // places in events, from 1
	plain     int64
}

// choose takes the events that may be plain: those of the only IPv4 address of their session,
// which no other event of the batch is about, nor may be: a Start that carries no address gets
// what its caller has. What comes out of a journal may have been overtaken by a login (ipam.LoginStands). It must be known that there are no pools of IPv6.
func (p *plainly) choose(events []leaseEvent) {
	about := make(map[leaseKey]int, len(events))
	var silent map[holderKey]bool
	for i := range events {
		ev := &events[i]
		if a := ev.addresses[ipam.IPv4]; a.IsValid() {
			about[leaseKey{ev.vrf, a}]++
		} else if ev.kind == leaseBind {
			if silent == nil {
				silent = map[holderKey]bool{}
			}
			silent[ev.holder()] = true
		}
	}
	p.events = make([]*leaseEvent, 0, len(events))
	for i := range events {
		ev := &events[i]
		if a := ev.addresses[ipam.IPv4]; a.IsValid() && about[leaseKey{ev.vrf, a}] == 1 && !silent[ev.holder()] && ev.heard.IsZero() {
			p.events = append(p.events, ev)
		}
	}
}

// holder is whom the rows of an event's caller are found by.
func (ev *leaseEvent) holder() holderKey {
	return holderKey{ev.vrf, ev.caller.User, ev.caller.MAC}
}

// queue adds the statement, after those that make the sessions of inserts, which are in order of
// acctuniqueid, and update others.
func (p *plainly) queue(b *pgx.Batch, inserts []*acctRow) {
	n := len(p.events)
	kinds, vrfs, addresses, ids := make([]int32, n), make([]int32, n), make([]netip.Prefix, n), make([]int64, n)
	users, macs, nass, ports := make([]string, n), make([]string, n), make([]*netip.Addr, n), make([]string, n)
	sessions, since, at, reasons, accounts := make([]string, n), make([]*time.Time, n), make([]*time.Time, n), make([]string, n), make([]string, n)
	for i, ev := range p.events {
		kinds[i], vrfs[i], addresses[i], ids[i] = int32(ev.kind), ev.vrf, ev.addresses[ipam.IPv4], ev.radacctid
		if ev.kind == leaseBind {
			place, _ := slices.BinarySearchFunc(inserts, ev.row.UniqueID, func(r *acctRow, id string) int { return cmp.Compare(r.UniqueID, id) })
			ids[i] = int64(place) + 1
		}
		c := ev.caller
		users[i], macs[i], nass[i], ports[i] = c.User, c.MAC, orNull(c.NAS), c.Port
		sessions[i], since[i], at[i], reasons[i], accounts[i] = ev.sessionID, &ev.alive, &ev.at, ev.reason, ev.account
	}
	b.Queue(sqlSettlePlain, kinds, vrfs, prefixes(addresses), longs(ids), texts(users), texts(macs), hosts(nass), texts(ports), texts(sessions), times(since), times(at),
		p.made, p.known, texts(reasons), texts(accounts)).QueryRow(func(row pgx.Row) error { return row.Scan(&p.done, &p.odd, &p.plain) })
}

// settled notes what the statement has done: the events that it has not left to
// the rules are settled.
func (p *plainly) settled(s *settlement) error {
	if int(p.plain) > len(p.done) {
		return errMoved
	}
	for _, ev := range p.events {
		ev.settled, ev.outcome = true, ipam.Leave
	}
	s.plain = len(p.done)
	for _, n := range p.done {
		ev := p.events[n-1]
		ev.outcome = [...]ipam.Outcome{leaseBind: ipam.Bind, leaseRenew: ipam.Renew, leaseRelease: ipam.Release}[ev.kind]
		s.outcomes[ev.outcome]++
	}
	for _, n := range p.odd {
		p.events[n-1].settled = false
	}
	return nil
}

// lookAtOdd locks, for the rules, the rows of the events that are not settled. Addresses of
// others are locked already, so that it does not wait: where somebody holds
// one, all is done again by apply, in the order of locks.
func (s *swift) lookAtOdd(ctx context.Context, conn *pgx.Conn, st *settlement) error {
	if s.plainly.events == nil {
		return nil // all have been looked at
	}
	s.events = slices.DeleteFunc(s.events, func(ev leaseEvent) bool { return ev.settled })
	if len(s.events) == 0 {
		return nil
	}
	var look pgx.Batch
	st.hurries = true
	st.queueLock(&look, s.events, false)
	return conn.SendBatch(ctx, &look).Close()
}

// oddly remembers that little was plain, after a power cut for example: then a few
// batches are not tried.
type oddly struct{ batches atomic.Int32 }

// oddPause is how many batches are not tried then.
const oddPause = 8

func (o *oddly) mostly() bool {
	return o.batches.Load() > 0 && o.batches.Add(-1) >= 0
}

func (o *oddly) note(p *plainly) {
	if 2*len(p.odd) > len(p.events) {
		o.batches.Store(oddPause)
	}
}
