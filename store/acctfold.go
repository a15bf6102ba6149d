package store

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"radial/aaa"
	"radial/ipam"
)

// acctRow is a row of radacct while a batch is folded into it.
type acctRow struct {
	aaa.Session
	before aaa.Session // as read; UniqueID is empty for a row that is new
	by     *entry      // the last event that changed it
	binds  bool        // an event of this batch gave it an address, or was its Start
	opener *entry      // that event, unless it was the Stop

	archived bool // it stands in radial.radacct_archive (acctarchive.go)

	// Of a row that is remembered and was not looked at: see known.
	xid     uint32
	quiet   int64
	looked  bool // for its addresses
	numbers [4]int64
	info    string
	entries []*entry
}

func (r *acctRow) isNew() bool { return r.before.UniqueID == "" }

// counted is the row as read, with what every interim changes.
func (r *acctRow) counted() aaa.Session {
	b := r.before
	b.Update, b.Interval, b.SessionTime, b.Input, b.Output = r.Update, r.Interval, r.SessionTime, r.Input, r.Output
	return b
}

// onlyCounters tells that nothing changed but that.
func (r *acctRow) onlyCounters() bool { return r.counted() == r.Session }

// fold is a batch being applied to its sessions.
type fold struct {
	current map[string]*acctRow // by acctuniqueid
	retired []*acctRow
	stops   []earlierStop
	earlier []*acctRow // that stops have made or changed
}

// foldBatch applies the events of a batch to the rows as read. Events of a
// session go in the order of their own times.
func foldBatch(rows []*acctRow, batch []*entry) *fold {
	f := &fold{current: make(map[string]*acctRow, len(batch))}
	for _, r := range rows {
		f.current[r.UniqueID] = r
	}
	sorted := slices.Clone(batch)
	slices.SortStableFunc(sorted, func(a, b *entry) int { return a.rec.At.Compare(b.rec.At) })
	for _, e := range sorted {
		f.apply(e)
	}
	return f
}

func (f *fold) apply(e *entry) {
	row := f.current[e.rec.UniqueID]
	var session *aaa.Session
	if row != nil {
		session = &row.Session
	}
	t := aaa.Next(session, &e.rec)
	e.outcome = t.Outcome
	e.loses = session != nil && e.rec.LosesOctets(session, t.Outcome)
	if t.Earlier {
		f.stops = append(f.stops, earlierStop{by: e, row: row, session: row.Session})
	}
	if t.Retired != nil {
		row.Session, row.by = *t.Retired, e
		f.retired = append(f.retired, row)
		row = nil
	}
	if row == nil {
		f.current[e.rec.UniqueID] = &acctRow{Session: t.Row, by: e, binds: t.Row.Open(), opener: e}
		return
	}
	if row.Session == t.Row {
		return
	}
	if e.rec.Status == aaa.StatusStart || addressesOf(&row.Session) != addressesOf(&t.Row) {
		row.binds = true
		if e.rec.Status != aaa.StatusStop {
			row.opener = e
		}
	}
	row.Session, row.by = t.Row, e
}

// all are the rows of the batch.
func (f *fold) all() []*acctRow {
	rows := slices.Concat(f.retired, f.earlier)
	for _, r := range f.current {
		rows = append(rows, r)
	}
	return rows
}

// changed splits what is to be written in radacct, each in order of acctuniqueid: new
// rows, rows of which only the counters changed, others.
func (f *fold) changed() (inserts, counters, updates []*acctRow) {
	for _, r := range f.all() {
		switch {
		case r.isNew():
			inserts = append(inserts, r)
		case r.Session == r.before, r.archived:
		case r.onlyCounters():
			counters = append(counters, r)
		default:
			updates = append(updates, r)
		}
	}
	for _, rows := range [][]*acctRow{inserts, counters, updates} {
		slices.SortFunc(rows, func(a, b *acctRow) int { return cmp.Compare(a.UniqueID, b.UniqueID) })
	}
	return inserts, counters, updates
}

// touched are the sessions' rows that the batch writes, without those that gave
// up their id.
func (f *fold) touched() []*acctRow {
	var rows []*acctRow
	for _, r := range f.current {
		if r.isNew() || r.Session != r.before && !r.archived {
			r.looked = true
			rows = append(rows, r)
		}
	}
	return rows
}

// leases are what the batch means for the addresses of its sessions: sessions
// that ended first, since the next may have their address. Call it when new rows have
// their radacctid.
func (f *fold) leases() []leaseEvent {
	events := make([]leaseEvent, 0, len(f.retired)+len(f.current))
	for _, r := range f.retired {
		events = r.leases(events)
	}
	for _, open := range []bool{false, true} {
		for _, r := range f.current {
			if r.Open() == open {
				events = r.leases(events)
			}
		}
	}
	return events
}

// leases adds what the batch means for the addresses of the row's session.
func (r *acctRow) leases(events []leaseEvent) []leaseEvent {
	if r.Session == r.before || !r.isNew() && !r.before.Open() { // nothing, or over before
		return events
	}
	event := func(kind leaseKind) leaseEvent {
		ev := leaseOf(kind, r.by.raw, r.ID, addressesOf(&r.Session))
		ev.row, ev.heard = r, r.by.heard()
		if kind == leaseBind {
			r.begin(&ev)
		} else if kind == leaseRelease {
			ev.reason = r.why()
		}
		return ev
	}
	switch {
	case !r.Open() && r.binds: // begun and ended in one batch: history has both
		return append(events, event(leaseBind), event(leaseRelease))
	case !r.Open():
		return append(events, event(leaseRelease))
	case r.binds:
		return append(events, event(leaseBind))
	default:
		return append(events, event(leaseRenew))
	}
}

// why is what the history has as the reason of the end of the row's session: its
// Acct-Terminate-Cause, as the device told it.
func (r *acctRow) why() string {
	cause := "stopped, no cause told"
	if r.TerminateCause != nil && *r.TerminateCause != "" {
		cause = *r.TerminateCause
	}
	switch {
	case r.UniqueID != r.by.rec.UniqueID: // it has given up its id, and its Stop was lost
		return cause + ": another session of its id has begun"
	case r.by.raw.TerminateCause != "":
		return r.by.raw.TerminateCause
	}
	return cause
}

// begin has a lease event tell when its session began, not what came after that in
// the batch: a Stop may be told when the caller's next session has long begun. Nor
// does a Start that comes once more make a session younger.
func (r *acctRow) begin(ev *leaseEvent) {
	if r.opener == nil {
		ev.at, ev.alive = r.Start, r.Start
		return
	}
	ev.at, ev.alive, ev.heard = r.opener.raw.At, aliveAt(r.opener.raw), r.opener.heard()
	if b := r.before.Start; !b.IsZero() && ev.alive.Sub(b) >= time.Second {
		ev.alive = endOf(b)
	}
}

// heard is when a server heard of what comes out of its journal; of anything
// else zero.
func (e *entry) heard() time.Time {
	if !e.drained {
		return time.Time{}
	}
	return e.raw.Received
}

// aliveAt is when a record's session was alive: when the record came, and no
// later than the second of which it tells. Event times are whole seconds, of which a
// caller may begin two sessions in one.
func aliveAt(r *aaa.Record) time.Time {
	if r.At.IsZero() || r.Received.IsZero() {
		return r.At
	}
	if end := endOf(r.At); r.Received.After(end) {
		return end
	}
	return r.Received.Truncate(time.Microsecond) // as the column has it
}

// endOf is the last moment of a second.
func endOf(second time.Time) time.Time { return second.Add(time.Second - time.Microsecond) }

// addressesOf are the addresses of a session as the rows of pools have them.
func addressesOf(s *aaa.Session) (all [leaseKinds]netip.Prefix) {
	all[ipam.IPv4] = hostPrefix(s.FramedIP)
	all[ipam.IPv6Prefix] = bare(s.FramedIPv6Pfx)
	all[ipam.DelegatedPrefix] = bare(s.DelegatedPrefix)
	all[ipam.IPv6Address] = hostPrefix(s.FramedIPv6)
	return all
}

// bare is a prefix without the host bits that some devices leave in it.
func bare(p netip.Prefix) netip.Prefix {
	if !p.IsValid() || p.Addr().Is4() {
		return netip.Prefix{}
	}
	return p.Masked()
}

// leaseOf makes the lease event of a record.
func leaseOf(kind leaseKind, r *aaa.Record, radacctid int64, addresses [leaseKinds]netip.Prefix) leaseEvent {
	caller := ipam.Caller{User: r.Login, MAC: ipam.NormaliseMAC(r.CallingStation), NAS: r.NAS}
	if r.PortID != nil {
		caller.Port = *r.PortID
	}
	vrf := r.VRF
	if vrf == 0 {
		vrf = 1 // the default VRF
	}
	ev := leaseEvent{kind: kind, vrf: vrf, addresses: addresses, radacctid: radacctid, caller: caller, sessionID: r.SessionID, at: r.At, alive: aliveAt(r)}
	if r.User != r.Login {
		ev.account = r.User
	}
	return ev
}
