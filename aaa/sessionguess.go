package aaa

import "time"

// slack is by how much a Start may disagree with the interim or Stop that came
// first: packets have waited, and a NAS may count from another moment. One that
// is older than what their session time says is of an earlier session with the
// same id, and one that is newer than an interim of a later one.
const slack = time.Minute

// untouched tells that only Starts have made the row what it is.
func (s *Session) untouched() bool {
	return s.Update.Equal(s.Start) && deref(s.SessionTime) == 0 && deref(s.Input) == 0 && deref(s.Output) == 0
}

// guessed tells that no Start has been seen for the row: an interim or Stop made it,
// and its start is what that one's session time says. From the second interim on that
// cannot be told any more, and the guess stands; it does too for what a Stop has
// closed (connectinfo_stop), or Accounting-On.
func (s *Session) guessed() bool {
	switch cause := s.cause(); {
	case s.Interval != nil || s.ConnectInfoStop != nil || cause == CauseNASReboot:
		return false
	case !s.untouched():
		return true
	default: // a Start alone, however it was closed; or a Stop that came first and has nothing to tell
		return !s.Open() && (s.SessionTime == nil || s.TerminateCause != nil && !withoutStop(cause))
	}
}

// keepStart sees to it that a row that has had its Start does not pass for one
// that guesses it, after an event that changed its counters and not its interval:
// one of the same second, or one that came when the row was closed.
func (s *Session) keepStart(before *Session) {
	if s.guessed() && !before.guessed() {
		since := max(int64(s.Update.Sub(before.Update)/time.Second), 0)
		s.Interval = &since
	}
}

// precedes tells that a Start is of an earlier session than a row that has
// guessed its start.
func (s *Session) precedes(start *Record) bool {
	return deref(s.SessionTime) > 0 && start.At.Before(s.Start.Add(-slack))
}

// cause is acctterminatecause; NULL is empty.
func (s *Session) cause() string {
	if s.TerminateCause == nil {
		return ""
	}
	return *s.TerminateCause
}

// withoutStop tells that a cause is one of those for which rows are closed that
// no Stop has ended. A NAS may use them too.
func withoutStop(cause string) bool {
	return cause == CauseLostCarrier || cause == CauseNASReboot || cause == "Session-Replaced"
}
