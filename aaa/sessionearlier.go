package aaa

import "time"

// earlier is the row, retired already, that the Stop of a session before the row's
// makes: where the session had told nothing but its Start, the Start of the next
// one with the same id has taken its row, and the Stop, when it comes after that,
// is all that is left of it. nil: the Stop may as well be the row's own, of a device whose
// clock has been set back, since it goes on from the row's counters.
func earlier(row *Session, ev *Record) *Session {
	counted := deref(row.SessionTime) > 0 || deref(row.Input) > 0 || deref(row.Output) > 0
	if counted && deref(ev.SessionTime) >= deref(row.SessionTime) && deref(ev.Input) >= deref(row.Input) && deref(ev.Output) >= deref(row.Output) {
		return nil
	}
	s := first(ev).Row
	s.UniqueID = RetiredID(&s)
	return &s
}

// SameLife tells whether two rows under the same Acct-Session-Id, of one user at one NAS, are
// the same session: they lived at the same time, or came to the same at nearly the
// same time (a Stop that was sent again may tell another one).
func (s *Session) SameLife(o *Session) bool {
	end := func(s *Session) time.Time {
		if s.Open() {
			return later(s.Start, s.Update)
		}
		return s.Stop
	}
	if !s.Start.After(end(o).Add(jitter)) && !o.Start.After(end(s).Add(jitter)) {
		return true
	}
	return deref(s.SessionTime) == deref(o.SessionTime) && deref(s.Input) == deref(o.Input) && deref(s.Output) == deref(o.Output) &&
		end(s).Sub(end(o)).Abs() <= slack
}
