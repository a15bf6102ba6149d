package store

import (
	"context"
	"net/netip"
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

// leaseEvent is one accounting event as far as its addresses are concerned. An
// address that is in no pool is no error: nothing happens. What a record does
// not carry is found by other ways: a release takes all rows of its radacctid, a
// renewal renews them, and a Start binds what its login was offered.
type leaseEvent struct {
	kind      leaseKind
	vrf       int32
	addresses [leaseKinds]netip.Prefix // by ipam.Kind; of an address /32 or /128; invalid: the record has none
	radacctid int64
	caller    ipam.Caller
	sessionID string
	account   string // ipam.Session.Account
	at        time.Time
	alive     time.Time // the same as closely as it is known; zero: at
	heard     time.Time // of what comes out of a journal: when it was received; zero: just now
	reason    string    // of a release, for history

	row     *acctRow     // of the ledger's own
	settled bool         // its row is written: see sqlSettlePlain
	outcome ipam.Outcome // set by settleLeases
}

// leaseKinds is how many kinds of leases there are.
const leaseKinds = int(ipam.IPv6Address) + 1

// The columns in which a row of addresses is read for the rules; see scanLeaseAnd.
const leaseColumns = `a.vrf_id, a.address, a.pool_id, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''),
       coalesce(a.session_id, ''), coalesce(a.radacctid, 0), a.state IN ('offered', 'cooling') AND a.until <= now(), a.until`

const (
	// What is free now cools off where its pool says so; and where an open session
	// reports it too (a conflict), until that one has had the time to be heard of
	// again. OFFSET 0: see sqlClaimOwn. $1 VRFs, $2 addresses, $3 states, $4 user names, $5 MACs, $6 NAS, $7 ports, $8 session ids, $9 radacctids (0: none), $10 since.
	sqlSettleWrite = `
UPDATE radial.addresses a
SET state = CASE WHEN e.state = 'free' AND (x.contested OR p.cooling_time > '0') THEN 'cooling' ELSE e.state END,
    username = CASE WHEN NOT x.contested THEN e.username END, mac = e.mac, nas = e.nas, port = e.port, session_id = e.session_id,
    radacctid = nullif(e.radacctid, 0), since = coalesce(e.since, a.since),
    until = CASE WHEN e.state = 'bound' THEN now() + p.lease_time WHEN e.state = 'offered' THEN now() + p.offer_time
                 WHEN x.contested THEN now() + greatest(p.lease_time, p.cooling_time)
                 WHEN e.state = 'free' AND p.cooling_time > '0' THEN now() + p.cooling_time END
FROM unnest($1::int[], $2::inet[], $3::text[], $4::text[], $5::text[], $6::inet[], $7::text[], $8::text[], $9::bigint[], $10::timestamptz[])
         AS e (vrf_id, address, state, username, mac, nas, port, session_id, radacctid, since)
     CROSS JOIN LATERAL (SELECT e.state = 'free' AND (
         SELECT count(*) > 0 FROM (SELECT c.radacctid FROM radial.address_conflicts c WHERE c.vrf_id = e.vrf_id AND c.address = e.address OFFSET 0) c
         CROSS JOIN LATERAL (SELECT r.acctstoptime FROM radacct r WHERE r.radacctid = c.radacctid OFFSET 0) r WHERE r.acctstoptime IS NULL) AS contested OFFSET 0) x,
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
    SELECT l.radacctid FROM (SELECT DISTINCT u.id FROM unnest($1::bigint[]) AS u (id)) u
    CROSS JOIN LATERAL (SELECT c.radacctid, c.acctstoptime FROM radacct c WHERE c.radacctid = u.id OFFSET 0 FOR UPDATE SKIP LOCKED) l
    WHERE l.acctstoptime IS NULL)`
)

// settleLeases applies accounting events to the addresses of their sessions, in
// the transaction of the records that they come from (rows of radacct are
// locked before rows of addresses; nobody does it the other way round). What an
// event does to a row is ipam.Settle's business; the last outcome is set in the
// event. Events of a batch are applied in order. Applying one again changes nothing. now is
// the ledger's clock: no history begins after it.
func settleLeases(ctx context.Context, tx pgx.Tx, now time.Time, events []leaseEvent) (*settlement, error) {
	return newSettlement().run(ctx, tx, now, events)
}

func (s *settlement) run(ctx context.Context, tx pgx.Tx, now time.Time, events []leaseEvent) (*settlement, error) {
	if len(events) == 0 {
		return s, nil
	}
	var look, write pgx.Batch
	s.queueLock(&look, events, true)
	if err := tx.SendBatch(ctx, &look).Close(); err != nil {
		return nil, wrapErr("settle leases: lock", err)
	}
	s.settle(events, now)
	if s.queueWrite(&write); write.Len() == 0 {
		return s, nil
	}
	return s, wrapErr("settle leases", tx.SendBatch(ctx, &write).Close())
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
	kind  ipam.Kind // where sqlSettleLock has read the row
	until *time.Time

	since   *time.Time // when the holder got it, if that was now
	renewed bool
	changed bool

	unseen, queued, given bool // of a claim: not looked at before it is offered; on its way; done
	session               string
	end                   time.Time // of what was given
}

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
