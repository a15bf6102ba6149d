package aaa

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"radial/ipam"
)

// How Simultaneous-Use takes a caller's own sessions (Options.Replace).
const (
	ReplaceOwn   = "own"   // dead, since it logs in again: they do not count, and end with the new Start
	ReplaceNever = "never" // like everybody's, as in FreeRADIUS
)

// OpenSession is an open row of radacct as Simultaneous-Use sees it.
type OpenSession struct {
	ID        int64 // radacctid
	Caller    ipam.Caller
	SessionID string
	Calling   string // Calling-Station-Id as it was sent
	FramedIP  netip.Addr
	Start     time.Time
}

// WaitingLogin is a login that was let in, and whose Start has not come: a row
// of radial.admissions.
type WaitingLogin struct {
	ID        int64
	Caller    ipam.Caller
	SessionID string
	Replaces  []int64 // radacctids of the caller's own sessions, which end with its Start
	Made      time.Time
}

// Admittance is what Admit found.
type Admittance struct {
	OK            bool
	Open, Waiting int           // that counted
	Line          bool          // let in above the limit, as another link of a line
	Replaces      []OpenSession // the caller's own, which end with its Start
	Renews        []int64       // waiting logins of the caller, whose place this one takes
	Made          time.Time     // of the first of them; zero: now
}

// Admit is the rule of Simultaneous-Use (radius-semantics: Simultaneous-Use;
// design §5). Every open session counts, and every login let in that has no
// session yet, but for
//
//   - a waiting login of the same caller, which has asked again;
//   - with Replace, sessions of the same caller (NAS, port and MAC): they are dead;
//   - with Replace, where the limit would be reached otherwise, sessions and logins
//     of the same MAC elsewhere, the oldest first: a MAC is at one place only. Not
//     where Port-Limit allows several links.
//
// At the limit another link of a line is let in where Port-Limit is above it.
// Admit is pure; the limit is 1 or more.
func Admit(a *ipam.Admission, open []OpenSession, waiting []WaitingLogin) Admittance {
	var r Admittance
	var counted []counting
	for i := range open {
		if s := &open[i]; a.Replace && itsOwn(a, s.Caller, s.SessionID) {
			r.replace(a, s)
		} else {
			counted = append(counted, counting{session: s, caller: s.Caller, since: s.Start})
		}
	}
	for i := range waiting {
		switch w := &waiting[i]; {
		case asksAgain(a, w):
			r.renew(w)
		case !slices.ContainsFunc(open, func(s OpenSession) bool { return w.has(&s) }):
			counted = append(counted, counting{waiting: w, caller: w.Caller, since: w.Made})
		}
	}
	if a.Replace && a.Links <= 1 {
		counted = r.moved(a, counted)
	}
	for _, c := range counted {
		if c.session != nil {
			r.Open++
		} else {
			r.Waiting++
		}
	}
	r.OK = r.Open+r.Waiting < int(a.Limit)
	if !r.OK && a.Links > a.Limit {
		r.Line = slices.ContainsFunc(open, func(s OpenSession) bool { return sameLine(a, &s) })
		r.OK = r.Line
	}
	return r
}

// counting is a session or a waiting login that counts.
type counting struct {
	session *OpenSession
	waiting *WaitingLogin
	caller  ipam.Caller
	since   time.Time
}

// itsOwn tells whether a session or login is the caller's: by its session id, or
// by who it is. Where several links are allowed, another session id is another
// link.
func itsOwn(a *ipam.Admission, caller ipam.Caller, sessionID string) bool {
	known := a.SessionID != "" && sessionID != ""
	if known && a.SessionID == sessionID && a.Caller.NAS == caller.NAS {
		return true
	}
	return ipam.SameCaller(a.Caller, caller) && (!known || a.Links <= 1)
}

// asksAgain tells whether a waiting login is the caller's own. A port alone may
// be many subscribers', so there another session id is another login.
func asksAgain(a *ipam.Admission, w *WaitingLogin) bool {
	if a.Caller.MAC == "" && a.SessionID != "" && w.SessionID != "" {
		return a.SessionID == w.SessionID && a.Caller.NAS == w.Caller.NAS
	}
	return itsOwn(a, w.Caller, w.SessionID)
}

// replace marks a session as over once the caller's Start has come, unless it
// is the very session that logs in again.
func (r *Admittance) replace(a *ipam.Admission, s *OpenSession) {
	if a.SessionID == "" || a.SessionID != s.SessionID || a.Caller.NAS != s.Caller.NAS {
		r.Replaces = append(r.Replaces, *s)
	}
}

func (r *Admittance) renew(w *WaitingLogin) {
	r.Renews = append(r.Renews, w.ID)
	if r.Made.IsZero() || w.Made.Before(r.Made) {
		r.Made = w.Made
	}
}

// moved takes out of what counts what the caller's device had elsewhere, the
// oldest first, until there is room.
func (r *Admittance) moved(a *ipam.Admission, counted []counting) []counting {
	slices.SortStableFunc(counted, func(x, y counting) int { return x.since.Compare(y.since) })
	var rest []counting
	for i, c := range counted {
		switch left := len(rest) + len(counted) - i; {
		case left < int(a.Limit) || !ipam.SameDevice(a.Caller, c.caller):
			rest = append(rest, c)
		case c.session != nil:
			r.replace(a, c.session)
		default:
			r.renew(c.waiting)
		}
	}
	return rest
}

// has tells whether a waiting login's session is that one, or one that it will
// replace: both count as one.
func (w *WaitingLogin) has(s *OpenSession) bool {
	switch {
	case slices.Contains(w.Replaces, s.ID):
		return true
	case w.Caller.NAS != s.Caller.NAS:
		return false
	case w.SessionID != "" && w.SessionID == s.SessionID:
		return true
	}
	return w.Caller.Port == s.Caller.Port && w.Caller.MAC == s.Caller.MAC && !s.Start.Before(w.Made.Truncate(time.Second)) // event times are whole seconds
}

// sameLine tells whether a session is another link of the login's line, as
// FreeRADIUS's rlm_sql tells it: the same address, or the same first 16
// characters of the Calling-Station-Id.
func sameLine(a *ipam.Admission, s *OpenSession) bool {
	return a.FramedIP.IsValid() && a.FramedIP == s.FramedIP || a.Calling != "" && ipam.Line(a.Calling) == ipam.Line(s.Calling)
}

// ReplacedIDs are the radacctids of the sessions that the login replaces.
func (r *Admittance) ReplacedIDs() []int64 {
	ids := make([]int64, len(r.Replaces))
	for i := range r.Replaces {
		ids[i] = r.Replaces[i].ID
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids
}
