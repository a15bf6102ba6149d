package store

import (
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// settlement is a batch of events being applied to its locked rows.
type settlement struct {
	rows      map[leaseKey]*leaseRow
	ordered   []*leaseRow
	bySession map[int64][]*leaseRow
	adopts    bool                      // rows were looked for by their holders
	skips     bool                      // no Starts, and a row that somebody holds is left alone
	hurries   bool                      // a row that somebody holds is an error: rows of others are locked already
	byHolder  map[holderKey][]*leaseRow // where adopts

	history   []historyRow
	replaced  []replaced
	conflicts map[conflictKey]*conflict
	outcomes  [ipam.Conflict + 1]int // of events and rows, by what they were
	plain     int                    // of them, by sqlSettlePlain
}

type replaced struct {
	radacctid int64
	at        time.Time
}

type holderKey struct {
	vrf       int32
	user, mac string
}

func newSettlement() *settlement {
	return &settlement{rows: map[leaseKey]*leaseRow{}, bySession: map[int64][]*leaseRow{}}
}

// settle applies the events to the rows that were locked for them.
func (s *settlement) settle(events []leaseEvent, now time.Time) {
	for _, r := range s.ordered {
		s.rows[r.leaseKey] = r
		if r.RadacctID != 0 {
			s.bySession[r.RadacctID] = append(s.bySession[r.RadacctID], r)
		}
	}
	if s.adopts {
		s.byHolder = byHolder(s.ordered)
	}
	for i := range events {
		ev := &events[i]
		ev.prepare(now)
		s.apply(ev)
	}
}

// prepare gives an event the texts and times that rows can have; once more is
// harmless.
func (ev *leaseEvent) prepare(now time.Time) {
	ev.caller, ev.sessionID, ev.account, ev.reason = storable(ev.caller), storableText(ev.sessionID), storableText(ev.account), storableText(ev.reason)
	if ev.at.IsZero() || ev.at.After(now) {
		ev.at = now
	}
	if ev.alive.IsZero() || ev.alive.After(now) {
		ev.alive = ev.at
	}
}

// byHolder finds the rows by whom they were offered to, or who has them.
func byHolder(rows []*leaseRow) map[holderKey][]*leaseRow {
	m := make(map[holderKey][]*leaseRow)
	for _, r := range rows {
		if r.State == ipam.Offered || r.State == ipam.Bound {
			key := holderKey{r.vrf, r.Caller.User, r.Caller.MAC}
			m[key] = append(m[key], r)
		}
	}
	return m
}

// apply applies an event: to the addresses that it carries, and to what else its
// session holds, or shall.
func (s *settlement) apply(ev *leaseEvent) {
	carried, named := s.carried(ev), false
	if ev.kind == leaseBind {
		named = s.named(ev)
		s.leave(ev)
	}
	if ev.kind == leaseRelease { // first, so that its outcome is what the event's address says
		for _, r := range slices.Clone(s.bySession[ev.radacctid]) {
			s.one(r, ev)
			carried = slices.DeleteFunc(carried, func(c *leaseRow) bool { return c == r })
		}
	}
	for _, r := range carried {
		s.one(r, ev)
	}
	switch ev.kind {
	case leaseBind:
		s.adopt(ev, named)
	case leaseRenew:
		for _, r := range s.bySession[ev.radacctid] {
			if !slices.Contains(carried, r) {
				s.one(r, ev)
			}
		}
	}
}

// carried are the rows of the addresses that a record carries.
func (s *settlement) carried(ev *leaseEvent) []*leaseRow {
	var found []*leaseRow
	for _, a := range ev.addresses {
		if r := s.rows[leaseKey{ev.vrf, a}]; a.IsValid() && r != nil {
			found = append(found, r)
		}
	}
	return found
}

// leave releases what a session had, where it tells of another address of the
// kind now.
func (s *settlement) leave(ev *leaseEvent) {
	for _, r := range slices.Clone(s.bySession[ev.radacctid]) {
		if a := ev.addresses[r.kind]; a.IsValid() && !a.Overlaps(r.address) {
			left := *ev
			left.kind, left.reason = leaseRelease, "the session has another address"
			s.one(r, &left)
		}
	}
}

// holders are the rows that the event's user and MAC were offered, or have, at
// its NAS, as far as they were looked for.
func (s *settlement) holders(ev *leaseEvent) []*leaseRow {
	return slices.DeleteFunc(slices.Clone(s.byHolder[holderKey{ev.vrf, ev.caller.User, ev.caller.MAC}]),
		func(r *leaseRow) bool { return r.Caller.NAS != ev.caller.NAS })
}

// named tells whether the session's login had its Acct-Session-Id: then its
// rows are known by that.
func (s *settlement) named(ev *leaseEvent) bool {
	return slices.ContainsFunc(s.holders(ev), func(r *leaseRow) bool { return r.SessionID != "" && r.SessionID == ev.sessionID })
}

// adopt binds what the session's login was offered or took over, and its Start
// does not carry: many a NAS never reports a prefix that it delegates. What else
// the session had whose place this one has taken is free.
func (s *settlement) adopt(ev *leaseEvent, named bool) {
	for _, r := range s.holders(ev) {
		a := ev.addresses[r.kind]
		switch {
		case a.IsValid() && !a.Overlaps(r.address):
		case meant(r, ev, named):
			s.one(r, ev)
		}
		if r.State == ipam.Bound && slices.ContainsFunc(s.replaced, func(old replaced) bool { return old.radacctid == r.RadacctID }) {
			s.one(r, &leaseEvent{kind: leaseRelease, radacctid: r.RadacctID, caller: r.Caller, sessionID: r.SessionID, at: ev.at, reason: "its session was replaced"})
		}
	}
}

// meant tells whether a row of the session's user and MAC, at its NAS, is for
// this session: by the Acct-Session-Id that the login had, else by the port.
// A caller with a MAC or port who is back has no older session.
func meant(r *leaseRow, ev *leaseEvent, named bool) bool {
	same := r.SessionID != "" && r.SessionID == ev.sessionID
	switch r.State {
	case ipam.Offered:
		return same || r.SessionID == "" && r.Caller == ev.caller
	case ipam.Bound:
		known := ev.caller.MAC != "" || ev.caller.Port != ""
		return r.RadacctID < ev.radacctid && (same || !named && known && r.Caller == ev.caller)
	}
	return false
}

// one applies an event to a row.
func (s *settlement) one(r *leaseRow, ev *leaseEvent) {
	session := ipam.Session{RadacctID: ev.radacctid, Caller: ev.caller, SessionID: ev.sessionID, Account: ev.account, At: ev.alive, Heard: ev.heard}
	out := ipam.Settle(r.Holding, ev.kind.event(), session)
	switch out {
	case ipam.Renew:
		r.renewed = true
	case ipam.Bind:
		login := r.Holding
		s.hold(r, session)
		s.tell(r, "bound", ev.at, "")
		r.keep(login, session)
	case ipam.Replace:
		s.replaced = append(s.replaced, replaced{radacctid: r.RadacctID, at: ev.at})
		login := r.Holding
		s.hold(r, session)
		s.tell(r, "taken_over", ev.at, "the caller began another session")
		r.keep(login, session)
	case ipam.Release:
		if r.State == ipam.Bound { // an offer that was never bound leaves no history
			s.tell(r, "released", ev.at, ev.reason)
		}
		s.unlink(r)
		r.State, r.RadacctID, r.changed = ipam.Free, 0, true
	case ipam.Reoffer:
		s.unlink(r)
		was := r.Holding
		was.SessionID = ev.sessionID // the row's is that of the login which is to come up
		s.history = append(s.history, historyRow{at: ev.at, key: r.leaseKey, pool: r.pool, action: "released", holding: was, reason: ev.reason})
		r.State, r.RadacctID, r.RanOut, r.changed = ipam.Offered, 0, false, true
	case ipam.Conflict:
		s.conflict(r, ev)
	}
	s.outcomes[out]++
	ev.outcome = out
}

// hold binds a row to a session.
func (s *settlement) hold(r *leaseRow, session ipam.Session) {
	s.unlink(r)
	r.Holding = ipam.Holding{State: ipam.Bound, Caller: session.Caller, SessionID: session.SessionID, RadacctID: session.RadacctID, Since: session.At, Answered: r.Answered}
	r.since, r.changed = &session.At, true
	s.bySession[session.RadacctID] = append(s.bySession[session.RadacctID], r)
}

// keep has a row that a session has got stay that of the login which was answered with it since.
func (r *leaseRow) keep(login ipam.Holding, session ipam.Session) {
	if ipam.LoginStands(login, session) {
		r.Caller, r.SessionID = login.Caller, login.SessionID
	}
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
		b.Queue(sqlUsageUnkept) // of these the job folds the usage
		b.Queue(sqlSettleReplaced, ids, ats)
	}
	queueConflicts(b, s.conflicts)
}
