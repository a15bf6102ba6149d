package store

import (
	"net/netip"
	"time"

	"radial/ipam"
)

// lent is an address as we have it and as radippool has it, with what radacct
// knows of it.
type lent struct {
	address netip.Addr
	pool    int64

	// ours
	state     string
	caller    ipam.Caller
	session   string
	radacctid int64
	until     *time.Time
	ownThere  bool       // the row of its session is there
	ownStop   *time.Time // and closed then

	// radippool's
	theirs ipam.Caller // the port is not known there
	live   bool        // expiry_time is to come
	expiry time.Time

	open []openSession // sessions with this address, the newest first
}

type openSession struct {
	radacctid int64
	session   string
	caller    ipam.Caller
	start     time.Time
}

// seat is what an address becomes.
type seat struct {
	state     string
	caller    ipam.Caller
	session   string
	radacctid int64
	since     *time.Time
	until     *time.Time // bound: nil, a lease time from now
}

// told is a change of holder for the history.
type told struct {
	at      time.Time
	action  string
	caller  ipam.Caller
	session string
	id      int64
}

// ourMark is how far in the future no FreeRADIUS puts an expiry_time: one that
// is later is the mirror's own, of a bound address.
const ourMark = 3 * 24 * time.Hour

// judge says what becomes of an address after FreeRADIUS ran on radippool, or of
// one that comes from there; false: it is right as it is.
//
//	we have       radippool has             open session of it   becomes
//	------------  ------------------------  -------------------  -----------------------------------------
//	bound         anything                  ours                 stays, unless radippool has leased it to
//	                                                             the caller of a newer session: bound to that
//	anything      anything                  another              bound to the one that radippool names,
//	                                                             else to the newest
//	bound         our own mark, or expired  none, ours closed    free, the holder stays
//	bound         our own mark, or expired  none, ours is gone   stays
//	anything      a lease                   none                 cooling until expiry_time: for that caller
//	                                                             at once, for others not before
//	offered       an expired lease          none                 free
//	free          an expired lease          none                 free, with radippool's holder
//	cooling       the same caller, expired  none                 stays
//
// A live lease becomes cooling, not offered, since radippool does not know the
// port of its caller: who comes back is known by user and MAC.
func (l *lent) judge(now time.Time) (seat, []told, bool) {
	ownOpen := l.state == "bound" && l.ownThere && l.ownStop == nil
	s := l.sitter()
	if ownOpen {
		if s == nil || s.radacctid <= l.radacctid || !l.live || !sameCaller(s.caller, l.theirs) || sameCaller(l.caller, l.theirs) {
			return seat{}, nil, false
		}
		return s.seat(), []told{s.told("taken_over")}, true
	}
	var history []told
	untouched := l.live && l.expiry.Sub(now) > ourMark && sameCaller(l.caller, l.theirs)
	if l.state == "bound" && !l.ownThere && s == nil && (!l.live || untouched) {
		return seat{}, nil, false // nothing tells that the session is over: ReleaseEnded waits for its time
	}
	if l.state == "bound" {
		at := now
		if l.ownStop != nil {
			at = *l.ownStop
		}
		history = append(history, told{at: at, action: "released", caller: l.caller, session: l.session, id: l.radacctid})
	}
	switch {
	case s != nil:
		return s.seat(), append(history, s.told("bound")), true
	case l.live:
		return l.leased(now, history)
	}
	return l.expired(history)
}

// leased is judge where radippool has a lease that lives, and no session is open.
func (l *lent) leased(now time.Time, history []told) (seat, []told, bool) {
	same := sameCaller(l.caller, l.theirs)
	switch {
	case same && l.state == "bound" && l.expiry.Sub(now) > ourMark:
		return seat{state: "free", caller: l.caller}, history, true
	case same && (l.state == "offered" || l.state == "cooling") && l.until != nil && l.until.After(now):
		if l.expiry.Sub(*l.until) <= time.Second {
			return seat{}, nil, false // as we wrote it
		}
		if l.state == "offered" { // our own offer, with its port, renewed
			return seat{state: "offered", caller: l.caller, session: l.session, until: &l.expiry}, history, true
		}
	}
	caller := l.theirs
	if same {
		caller.Port = l.caller.Port
	}
	return seat{state: "cooling", caller: caller, since: &now, until: &l.expiry}, history, true
}

// expired is judge where radippool's lease is over, and no session is open.
func (l *lent) expired(history []told) (seat, []told, bool) {
	same := sameCaller(l.caller, l.theirs)
	switch {
	case l.state == "cooling" && same:
		return seat{}, nil, false
	case l.state == "free" && (same || l.theirs.User == "" && l.theirs.MAC == ""):
		return seat{}, nil, false
	case l.theirs.User == "" && l.theirs.MAC == "" || same:
		return seat{state: "free", caller: l.caller}, history, true
	}
	return seat{state: "free", caller: l.theirs, since: &l.expiry}, history, true
}

// sitter is the open session that has the address: the one that radippool
// names, else our own, else the newest.
func (l *lent) sitter() *openSession {
	for i := range l.open {
		if sameCaller(l.open[i].caller, l.theirs) {
			return &l.open[i]
		}
	}
	if len(l.open) == 0 {
		return nil
	}
	return &l.open[0]
}

// sameCaller compares what radippool knows of a caller.
func sameCaller(a, b ipam.Caller) bool { return a.User == b.User && a.MAC == b.MAC && a.NAS == b.NAS }

func (s *openSession) seat() seat {
	return seat{state: "bound", caller: s.caller, session: s.session, radacctid: s.radacctid, since: &s.start}
}

func (s *openSession) told(action string) told {
	return told{at: s.start, action: action, caller: s.caller, session: s.session, id: s.radacctid}
}
