package aaa

import (
	"crypto/md5"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
)

// CauseNASReboot is the Acct-Terminate-Cause of sessions that ended with their
// NAS: closed by Accounting-On or Off, or by a new session under the same id
// whose Stop never came.
const CauseNASReboot = "NAS-Reboot"

// CauseLostCarrier is the Acct-Terminate-Cause of sessions that were closed
// since nothing was heard of them any more.
const CauseLostCarrier = "Lost-Carrier"

// jitter is by how much the clocks behind two events of one session may
// disagree: an event that says it is older than the session's start by more
// belongs to an earlier session with the same id.
const jitter = 5 * time.Second

// Session is a row of radacct as far as events change it. Texts are as the
// caller keeps them (Next never looks into them). Zero times, nil pointers and
// invalid addresses are NULL.
type Session struct {
	ID int64 // radacctid; 0 while the row is not inserted yet
	// UniqueID is acctuniqueid, or what RetiredID made of it.
	UniqueID string
	// First is the event that made a row that is not inserted yet: what stands
	// in the columns that no later event changes.
	First *Record

	Start, Update, Stop time.Time // whole seconds
	Interval            *int64    // acctinterval: seconds between the last two updates
	SessionTime         *int64    // seconds
	Input, Output       *int64    // octets
	ConnectInfoStart    *string
	ConnectInfoStop     *string
	TerminateCause      *string
	FramedIP            netip.Addr
	FramedIPv6          netip.Addr
	FramedIPv6Pfx       netip.Prefix
	InterfaceID         *string
	DelegatedPrefix     netip.Prefix
}

// Open tells whether the session has not ended.
func (s *Session) Open() bool { return s.Stop.IsZero() }

// Outcome says what an event did to its session: a metric label.
type Outcome uint8

// The outcomes.
const (
	Ignored   Outcome = iota // nothing to do: no status, or an On/Off without open sessions
	Opened                   // a new open row
	Updated                  // an open row went on
	Closed                   // a row was closed, or made closed by a Stop that came first
	Corrected                // a closed row learnt its start or a later end
	Duplicate                // nothing that the row does not know
	Stale                    // older than the row's session, or an interim of a closed one
	Reused                   // the id began a new session; the old row is retired
)

// Outcomes lists every outcome, for metrics and tests.
var Outcomes = []Outcome{Ignored, Opened, Updated, Closed, Corrected, Duplicate, Stale, Reused}

// String returns the outcome as a metric label.
func (o Outcome) String() string {
	return [...]string{"ignored", "opened", "updated", "closed", "corrected", "duplicate", "stale", "reused"}[o]
}

// Transition is what Next found: the row after the event, and, where the id
// is reused, the old row as it must be kept under its RetiredID.
//
// Earlier tells that the event is the Stop of a session before the row's, which
// may have a row still, or none at all: the function of that name says which.
type Transition struct {
	Row     Session
	Retired *Session
	Earlier bool
	Outcome Outcome
}

// Next is the state machine of a session: the row that an event makes of a row
// (nil: none yet). It is FreeRADIUS 3.2.11's, with these differences:
//
//   - an older event never overwrites what a newer one said, and counters and
//     session time never shrink;
//   - a Stop that is not newer than the row's end is a duplicate, an interim
//     of a closed row changes nothing; but where something else than a Stop
//     closed the row, their counters still count (an interim's where the cause
//     says so), and silence alone (cause Lost-Carrier) ends at the last sign of
//     life, whenever that comes;
//   - an address that a packet lacks is kept;
//   - a Start (or an event whose session time says so) that begins after the
//     row's end is a new session: it gets the id, the old row a RetiredID.
//     The same for a Start after the last interim of a row that was never
//     closed, as its Stop was lost, and for an interim or Stop that is proof of
//     it where that Start was lost too (beganAnew);
//   - an event older than the row's start, of an earlier session with the same
//     id, changes nothing. So does a Start that is older than what the row's own
//     session time says of its start. But a Stop of that kind is not lost: it goes
//     to the row that its session has left behind, or makes one (Earlier).
//
// A closed row never opens again. Applying a record twice, or late, changes
// nothing, as long as the Starts of one session carry the same time. Next
// neither keeps nor changes row; the result shares its pointers.
func Next(row *Session, ev *Record) Transition {
	if row == nil {
		return first(ev)
	}
	switch ev.Status {
	case StatusStart:
		return start(row, ev)
	case StatusInterim:
		return interim(row, ev)
	case StatusStop:
		return stop(row, ev)
	case StatusOn, StatusOff:
		return nasDown(row, ev)
	default:
		return Transition{Row: *row, Outcome: Ignored}
	}
}

// first makes the row that an event without one begins. A Stop or interim
// that came first tells the start by its session time.
func first(ev *Record) Transition {
	s := Session{
		UniqueID: ev.UniqueID, First: ev, Start: ev.At, Update: ev.At,
		SessionTime: ev.SessionTime, Input: orZero(ev.Input), Output: orZero(ev.Output),
		// FreeRADIUS puts the Connect-Info of a Stop that came first here too.
		ConnectInfoStart: &ev.ConnectInfo,
		FramedIP:         ev.FramedIP, FramedIPv6: ev.FramedIPv6, FramedIPv6Pfx: ev.FramedIPv6Pfx,
		InterfaceID: ev.InterfaceID, DelegatedPrefix: ev.DelegatedPrefix,
	}
	switch ev.Status {
	case StatusStart:
		s.SessionTime, s.Input, s.Output = new(int64), new(int64), new(int64)
		return Transition{Row: s, Outcome: Opened}
	case StatusInterim:
		s.Start = ev.begin()
		return Transition{Row: s, Outcome: Opened}
	case StatusStop:
		s.Start, s.Stop, s.TerminateCause = ev.begin(), ev.At, &ev.TerminateCause
		return Transition{Row: s, Outcome: Closed}
	default:
		return Transition{Outcome: Ignored}
	}
}

func start(row *Session, ev *Record) Transition {
	s := *row
	if !row.Open() {
		if ev.At.After(row.Stop) {
			return reuse(row, ev)
		}
		switch {
		case !row.guessed():
			return Transition{Row: s, Outcome: Duplicate}
		case row.precedes(ev):
			return Transition{Row: s, Outcome: Stale}
		case !s.begun(ev):
			return Transition{Row: s, Outcome: Duplicate}
		}
		return Transition{Row: s, Outcome: Corrected}
	}
	switch {
	case ev.At.Equal(row.Start) && !row.guessed():
		return Transition{Row: s, Outcome: Duplicate}
	case row.untouched() && ev.At.Before(row.Start), row.guessed() && row.precedes(ev):
		return Transition{Row: s, Outcome: Stale}
	case row.untouched() || row.guessed() && !ev.At.After(row.Update.Add(slack)):
		if !s.begun(ev) {
			return Transition{Row: s, Outcome: Duplicate}
		}
		s.Update = later(s.Update, ev.At)
		return Transition{Row: s, Outcome: Updated}
	case ev.At.After(row.Update):
		return reuse(row, ev)
	default:
		return Transition{Row: s, Outcome: Stale}
	}
}

// begun takes what a Start tells; false: the row knew it.
func (s *Session) begun(ev *Record) bool {
	if s.Start.Equal(ev.At) && s.ConnectInfoStart != nil && *s.ConnectInfoStart == ev.ConnectInfo {
		return false
	}
	s.Start, s.ConnectInfoStart = ev.At, &ev.ConnectInfo
	return true
}

func interim(row *Session, ev *Record) Transition {
	if !row.Open() {
		if ev.beginsAfter(row) {
			return reuse(row, ev)
		}
		return lateInterim(row, ev)
	}
	if ev.olderSession(row) {
		return Transition{Row: *row, Outcome: Stale}
	}
	if ev.beganAnew(row) {
		return reuse(row, ev)
	}
	s := *row
	changed := s.merge(ev)
	if ev.At.After(row.Update) {
		since := row.Update
		if since.IsZero() {
			since = row.Start
		}
		if !since.IsZero() {
			interval := int64(ev.At.Sub(since) / time.Second)
			s.Interval = &interval
		}
		s.Update, changed = ev.At, true
	}
	if !changed {
		return Transition{Row: s, Outcome: Duplicate}
	}
	s.keepStart(row)
	return Transition{Row: s, Outcome: Updated}
}

func stop(row *Session, ev *Record) Transition {
	s := *row
	if row.Open() {
		if ev.olderSession(row) {
			return Transition{Row: s, Earlier: true, Outcome: Stale}
		}
		if ev.beganAnew(row) {
			return reuse(row, ev)
		}
		s.merge(ev)
		s.end(later(ev.At, row.Update), ev.TerminateCause)
		if ev.SessionTime == nil {
			s.reckon()
		}
		s.ConnectInfoStop = &ev.ConnectInfo
		return Transition{Row: s, Outcome: Closed}
	}
	if !ev.At.After(row.Stop) {
		return lateStop(row, ev)
	}
	if ev.beginsAfter(row) {
		return reuse(row, ev)
	}
	// A newer Stop knows better than the one before, or than Accounting-On.
	s.merge(ev)
	cause := ev.TerminateCause
	if cause == "" {
		cause = row.cause()
	}
	s.end(ev.At, cause)
	if ev.SessionTime == nil {
		s.reckon()
	}
	if row.ConnectInfoStop != nil || ev.ConnectInfo != "" {
		s.ConnectInfoStop = &ev.ConnectInfo
	}
	s.keepStart(row)
	return Transition{Row: s, Outcome: Corrected}
}

// lateStop is a Stop that is not newer than the row's end: a duplicate. But a
// row that was closed without a Stop (Accounting-On, a replaced session) still
// learns what the session came to in the end; connectinfo_stop tells it.
func lateStop(row *Session, ev *Record) Transition {
	s := *row
	if ev.olderSession(row) {
		return Transition{Row: s, Earlier: true, Outcome: Duplicate}
	}
	if row.ConnectInfoStop != nil {
		return Transition{Row: s, Outcome: Duplicate}
	}
	grown := grow(&s.Input, ev.Input)
	grown = grow(&s.Output, ev.Output) || grown
	if !grown {
		return Transition{Row: s, Outcome: Duplicate}
	}
	s.keepStart(row)
	return Transition{Row: s, Outcome: Corrected}
}

// lateInterim is an interim of a closed row, which stays closed. But what was
// closed without a Stop, for a cause that says so, has gone on where its counters have; and
// what was closed for its silence alone has lived until then.
func lateInterim(row *Session, ev *Record) Transition {
	s := *row
	cause := row.cause()
	if !withoutStop(cause) || row.ConnectInfoStop != nil || ev.olderSession(row) {
		return Transition{Row: s, Outcome: Stale}
	}
	grown := grow(&s.Input, ev.Input)
	grown = grow(&s.Output, ev.Output) || grown
	if cause == CauseLostCarrier {
		grown = grow(&s.SessionTime, ev.SessionTime) || grown
		if ev.At.After(row.Stop) {
			s.end(ev.At, CauseLostCarrier)
			grown = true
			if ev.SessionTime == nil {
				s.reckon()
			}
		}
	}
	if !grown {
		return Transition{Row: s, Outcome: Stale}
	}
	s.keepStart(row)
	return Transition{Row: s, Outcome: Corrected}
}

// nasDown closes a row of a NAS that says it has just started or is about to
// stop: rows that began by then. One that has lived on afterwards stays.
func nasDown(row *Session, ev *Record) Transition {
	s := *row
	if !row.Open() || row.Start.After(ev.At) || row.Update.After(ev.At.Add(NASDownGrace)) {
		return Transition{Row: s, Outcome: Ignored}
	}
	s.end(later(ev.At, row.Update), DownCause(ev))
	s.reckon()
	return Transition{Row: s, Outcome: Closed}
}

// NASDownGrace is how much newer than an Accounting-On or Off a session's last
// event may be and still be taken for one of before.
const NASDownGrace = time.Minute

// DownCause is the cause of the sessions that an Accounting-On or Off closes.
func DownCause(ev *Record) string {
	if ev.TerminateCause != "" {
		return ev.TerminateCause
	}
	return CauseNASReboot
}

// reuse retires a row, closing it where its Stop was lost, and begins the new
// session of its id.
func reuse(row *Session, ev *Record) Transition {
	old := *row
	if old.Open() {
		old.end(later(old.Start, old.Update), CauseNASReboot)
		if deref(old.SessionTime) == 0 {
			old.reckon()
		}
	}
	old.UniqueID = RetiredID(&old)
	t := first(ev)
	t.Retired, t.Outcome = &old, Reused
	return t
}

// RetiredID is the acctuniqueid that a row gets when a new session takes its
// id, so that FreeRADIUS finds the new one under the hash that it computes: 32
// hex digits, the same whoever computes them.
func RetiredID(s *Session) string {
	b := append([]byte(s.UniqueID), ',')
	b = strconv.AppendInt(b, s.Start.Unix(), 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, s.Stop.Unix(), 10)
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// end closes the row.
func (s *Session) end(at time.Time, cause string) {
	s.Stop, s.Update, s.TerminateCause = at, at, &cause
}

// reckon sets the session time that no packet told: from start to stop.
func (s *Session) reckon() {
	lived := int64(s.Stop.Sub(s.Start) / time.Second)
	grow(&s.SessionTime, &lived)
}
