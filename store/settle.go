package store

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// leaseKind is what an accounting record means for the address of its session.
type leaseKind uint8

const (
	leaseBind    leaseKind = iota // a Start
	leaseRenew                    // an interim of an open session; binds where the Start was lost
	leaseRelease                  // a Stop, On, Off, or whatever else closes the row
)

func (k leaseKind) event() ipam.Event {
	return [...]ipam.Event{leaseBind: ipam.EventBind, leaseRenew: ipam.EventRenew, leaseRelease: ipam.EventRelease}[k]
}

// leaseEvent is one accounting event as far as its address is concerned. An
// address that is in no pool is no error: nothing happens. A release finds its
// rows by radacctid, so that its address may be invalid (the packet lacks it).
type leaseEvent struct {
	kind      leaseKind
	vrf       int32
	address   netip.Prefix // of an address: /32 or /128
	radacctid int64
	caller    ipam.Caller
	sessionID string
	at        time.Time

	outcome ipam.Outcome // set by settleLeases
}

// The columns in which a row of addresses is read for the rules; see scanLease.
const leaseColumns = `a.vrf_id, a.address, a.pool_id, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''),
       coalesce(a.session_id, ''), coalesce(a.radacctid, 0), a.state IN ('offered', 'cooling') AND a.until <= now(), a.until`

const (
	// Rows that the events are about, locked in order of (vrf, address). A renewal
	// of a binding with more than half of its time left is not even locked.
	// $1 kinds (0 bind, 1 renew, 2 release), $2 VRFs, $3 addresses, $4 radacctids.
	sqlSettleLock = `
WITH e AS (
    SELECT * FROM unnest($1::int[], $2::int[], $3::inet[], $4::bigint[]) AS e (kind, vrf_id, address, radacctid)
), target AS (
    SELECT a.vrf_id, a.address
    FROM e JOIN radial.addresses a ON a.vrf_id = e.vrf_id AND a.address = e.address
    JOIN radial.pools p ON p.id = a.pool_id
    WHERE e.kind <> 1 OR a.state <> 'bound' OR a.radacctid IS DISTINCT FROM e.radacctid
       OR a.until IS NULL OR a.until < now() + p.lease_time / 2
    UNION
    SELECT l.vrf_id, l.address -- OFFSET 0: see sqlClaimOwn
    FROM e CROSS JOIN LATERAL (SELECT a.vrf_id, a.address FROM radial.addresses a WHERE a.radacctid = e.radacctid OFFSET 0) l
    WHERE e.kind = 2
)
SELECT ` + leaseColumns + `
FROM target t JOIN radial.addresses a ON a.vrf_id = t.vrf_id AND a.address = t.address
ORDER BY a.vrf_id, a.address
FOR UPDATE OF a`

	// $1 VRFs, $2 addresses, $3 states, $4 user names, $5 MACs, $6 NAS, $7 ports, $8 session ids, $9 radacctids (0: none), $10 since.
	sqlSettleWrite = `
UPDATE radial.addresses a
SET state = e.state, username = e.username, mac = e.mac, nas = e.nas, port = e.port, session_id = e.session_id,
    radacctid = nullif(e.radacctid, 0), since = coalesce(e.since, a.since),
    until = CASE e.state WHEN 'bound' THEN now() + p.lease_time WHEN 'offered' THEN now() + p.offer_time END
FROM unnest($1::int[], $2::inet[], $3::text[], $4::text[], $5::text[], $6::inet[], $7::text[], $8::text[], $9::bigint[], $10::timestamptz[])
         AS e (vrf_id, address, state, username, mac, nas, port, session_id, radacctid, since),
     radial.pools p
WHERE a.vrf_id = e.vrf_id AND a.address = e.address AND p.id = a.pool_id`

	// A binding lives on: $1 VRFs, $2 addresses.
	sqlSettleRenew = `
UPDATE radial.addresses a
SET until = now() + p.lease_time
FROM unnest($1::int[], $2::inet[]) AS e (vrf_id, address), radial.pools p
WHERE a.vrf_id = e.vrf_id AND a.address = e.address AND p.id = a.pool_id`

	// The rows of sessions whose place another session of the same caller took.
	// A row that someone holds is being written anyway: its Stop, most likely.
	// $1 radacctids, $2 when.
	sqlSettleReplaced = `
UPDATE radacct r
SET acctstoptime = greatest(r.acctstarttime, e.at), acctupdatetime = greatest(r.acctupdatetime, e.at),
    acctsessiontime = greatest(r.acctsessiontime, extract(epoch FROM e.at - r.acctstarttime)::bigint, 0),
    acctterminatecause = 'Session-Replaced'
FROM unnest($1::bigint[], $2::timestamptz[]) AS e (radacctid, at)
WHERE r.radacctid = e.radacctid AND r.radacctid IN (
    SELECT l.radacctid FROM radacct l
    WHERE l.radacctid = ANY ($1::bigint[]) AND l.acctstoptime IS NULL
    ORDER BY l.acctuniqueid FOR UPDATE SKIP LOCKED)`
)

// settleLeases applies accounting events to the addresses of their sessions, in
// the transaction of the records that they come from (rows of radacct are
// locked before rows of addresses; nobody does it the other way round). What an
// event does is ipam.Settle's business; its outcome is set in the event. Events
// of a batch are applied in order. Applying one again changes nothing. now is
// the ledger's clock: no history begins after it.
func settleLeases(ctx context.Context, tx pgx.Tx, now time.Time, events []leaseEvent) error {
	if len(events) == 0 {
		return nil
	}
	var look, write pgx.Batch
	s := newSettlement()
	s.queueLock(&look, events)
	if err := tx.SendBatch(ctx, &look).Close(); err != nil {
		return wrapErr("settle leases: lock", err)
	}
	s.settle(events, now)
	if s.queueWrite(&write); write.Len() == 0 {
		return nil
	}
	return wrapErr("settle leases", tx.SendBatch(ctx, &write).Close())
}

// leaseKey is the primary key of addresses.
type leaseKey struct {
	vrf     int32
	address netip.Prefix // of an address: /32 or /128
}

// leaseRow is a locked row of addresses.
type leaseRow struct {
	leaseKey
	ipam.Holding
	pool  int64
	until *time.Time

	since   *time.Time // when the holder got it, if that was now
	renewed bool
	changed bool
}

// scanLease reads leaseColumns.
func scanLease(rows pgx.CollectableRow) (*leaseRow, error) { return scanLeaseAnd(rows) }

// scanLeaseAnd reads leaseColumns and what comes after them.
func scanLeaseAnd(rows pgx.CollectableRow, more ...any) (*leaseRow, error) {
	var r leaseRow
	var state string
	var nas *netip.Addr
	err := rows.Scan(append([]any{
		&r.vrf, &r.address, &r.pool, &state, &r.Caller.User, &r.Caller.MAC, &nas, &r.Caller.Port,
		&r.SessionID, &r.RadacctID, &r.RanOut, &r.until,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	if nas != nil {
		r.Caller.NAS = *nas
	}
	r.State, _ = ipam.ParseState(state) // the column's CHECK allows nothing else
	return &r, nil
}

// settlement is a batch of events being applied to its locked rows.
type settlement struct {
	rows      map[leaseKey]*leaseRow
	ordered   []*leaseRow
	bySession map[int64][]*leaseRow
	history   []historyRow
	replaced  []replaced
}

type replaced struct {
	radacctid int64
	at        time.Time
}

func newSettlement() *settlement {
	return &settlement{rows: map[leaseKey]*leaseRow{}, bySession: map[int64][]*leaseRow{}}
}

// queueLock adds the look at the rows that events are about. An event whose
// session has no radacctid yet will do.
func (s *settlement) queueLock(b *pgx.Batch, events []leaseEvent) {
	kinds, vrfs := make([]int32, len(events)), make([]int32, len(events))
	addrs, sessions := make([]*netip.Prefix, len(events)), make([]int64, len(events))
	for i := range events {
		ev := &events[i]
		kinds[i], vrfs[i], sessions[i], addrs[i] = int32(ev.kind), ev.vrf, ev.radacctid, orNullPrefix(ev.address)
	}
	b.Queue(sqlSettleLock, kinds, vrfs, addrs, sessions).Query(func(found pgx.Rows) (err error) {
		s.ordered, err = pgx.CollectRows(found, scanLease)
		return err
	})
}

// settle applies the events to the rows that were locked for them.
func (s *settlement) settle(events []leaseEvent, now time.Time) {
	for _, r := range s.ordered {
		s.rows[r.leaseKey] = r
		if r.RadacctID != 0 {
			s.bySession[r.RadacctID] = append(s.bySession[r.RadacctID], r)
		}
	}
	for i := range events {
		ev := &events[i]
		ev.caller, ev.sessionID = storable(ev.caller), storableText(ev.sessionID)
		if ev.at.IsZero() || ev.at.After(now) {
			ev.at = now
		}
		s.apply(ev)
	}
}

func (s *settlement) apply(ev *leaseEvent) {
	at := s.rows[leaseKey{ev.vrf, ev.address}]
	if ev.kind != leaseRelease {
		if at != nil {
			ev.outcome = s.one(at, ev)
		}
		return
	}
	for _, r := range slices.Clone(s.bySession[ev.radacctid]) {
		ev.outcome = s.one(r, ev)
		if r == at {
			at = nil
		}
	}
	if at != nil {
		ev.outcome = s.one(at, ev)
	}
}

// one applies an event to a row.
func (s *settlement) one(r *leaseRow, ev *leaseEvent) ipam.Outcome {
	session := ipam.Session{RadacctID: ev.radacctid, Caller: ev.caller, SessionID: ev.sessionID}
	out := ipam.Settle(r.Holding, ev.kind.event(), session)
	switch out {
	case ipam.Renew:
		r.renewed = true
	case ipam.Bind:
		s.hold(r, session, ev.at)
		s.tell(r, "bound", ev.at, "")
	case ipam.Replace:
		s.replaced = append(s.replaced, replaced{radacctid: r.RadacctID, at: ev.at})
		s.hold(r, session, ev.at)
		s.tell(r, "taken_over", ev.at, "the caller began another session")
	case ipam.Release:
		bound := r.State == ipam.Bound
		s.unlink(r)
		if bound { // an offer that was never bound leaves no history
			s.tell(r, "released", ev.at, "")
		}
		r.State, r.RadacctID, r.changed = ipam.Free, 0, true
	case ipam.Reoffer:
		s.unlink(r)
		was := r.Holding
		was.SessionID = ev.sessionID // the row's is that of the login which is to come up
		s.history = append(s.history, historyRow{at: ev.at, key: r.leaseKey, pool: r.pool, action: "released", holding: was})
		r.State, r.RadacctID, r.RanOut, r.changed = ipam.Offered, 0, false, true
	}
	return out
}

// hold binds a row to a session.
func (s *settlement) hold(r *leaseRow, session ipam.Session, at time.Time) {
	s.unlink(r)
	r.Holding = ipam.Holding{State: ipam.Bound, Caller: session.Caller, SessionID: session.SessionID, RadacctID: session.RadacctID}
	r.since, r.changed = &at, true
	s.bySession[session.RadacctID] = append(s.bySession[session.RadacctID], r)
}

func (s *settlement) unlink(r *leaseRow) {
	if r.RadacctID != 0 {
		s.bySession[r.RadacctID] = slices.DeleteFunc(s.bySession[r.RadacctID], func(x *leaseRow) bool { return x == r })
	}
}

func (s *settlement) tell(r *leaseRow, action string, at time.Time, reason string) {
	s.history = append(s.history, historyRow{at: at, key: r.leaseKey, pool: r.pool, action: action, holding: r.Holding, reason: reason})
}

// queueWrite adds what has changed, each row once.
func (s *settlement) queueWrite(b *pgx.Batch) {
	queueRows(b, s.ordered)
	var vrfs []int32
	var addrs []netip.Prefix
	for _, r := range s.ordered {
		if r.renewed && !r.changed {
			vrfs, addrs = append(vrfs, r.vrf), append(addrs, r.address)
		}
	}
	if len(vrfs) > 0 {
		b.Queue(sqlSettleRenew, vrfs, addrs)
	}
	queueHistory(b, s.history)
	if len(s.replaced) > 0 {
		ids, ats := make([]int64, len(s.replaced)), make([]time.Time, len(s.replaced))
		for i, r := range s.replaced {
			ids[i], ats[i] = r.radacctid, r.at
		}
		b.Queue(sqlSettleReplaced, ids, ats)
	}
}
