package aaa

// Earlier says what becomes of a Stop that Next has found to be of a session
// before the row's (Transition.Earlier). before are the closed rows that had the id
// before, at least the last ones that began by the time of the Stop, in any order;
// row is what Next was given.
//
// The Stop is of the row that had the id when it was sent: that one takes what it tells, as if the next session
// had not begun yet. of is its place in before. Where none had, or where the
// Stop began after the last one's end, it makes a row (of is -1, and the outcome Closed): a
// session that has told nothing but its Start loses its row to the next one's,
// and its Stop, when it comes after that, is all that is left of it.
//
// Stale is what may as well be the row's own Stop, of a device whose clock has been
// set back: it came when the row's session had begun, goes on from its counters, and no row before is its.
// Applied again, a Stop finds the row that it has made or changed, and is a Duplicate.
func Earlier(row *Session, before []*Session, ev *Record) (of int, t Transition) {
	made := first(ev)
	made.Row.UniqueID = RetiredID(&made.Row)
	of = -1
	for i, r := range before {
		switch {
		case r.UniqueID == made.Row.UniqueID, r.Stop.Equal(ev.At) && sameCounters(r, ev):
			return i, Transition{Row: *r, Outcome: Duplicate}
		case ev.olderSession(r):
		case of < 0, r.Start.After(before[of].Start), r.Start.Equal(before[of].Start) && r.Stop.After(before[of].Stop):
			of = i
		}
	}
	switch {
	case of < 0 && ev.goesOn(row):
		return -1, Transition{Row: *row, Outcome: Stale}
	case of < 0 || ev.anew(before[of]):
		return -1, made
	}
	if t = Next(before[of], ev); t.Outcome == Reused {
		return -1, made
	}
	return of, t
}

func sameCounters(s *Session, ev *Record) bool {
	return deref(s.SessionTime) == deref(ev.SessionTime) && deref(s.Input) == deref(ev.Input) && deref(s.Output) == deref(ev.Output)
}

// goesOn tells that an event may be of a row that has told more than its Start, by
// the counters of both, and when it came.
func (r *Record) goesOn(row *Session) bool {
	counted := deref(row.SessionTime) > 0 || deref(row.Input) > 0 || deref(row.Output) > 0
	came := r.Received.IsZero() || !r.Received.Before(row.Start)
	return counted && came && deref(r.SessionTime) >= deref(row.SessionTime) && deref(r.Input) >= deref(row.Input) && deref(r.Output) >= deref(row.Output)
}

// anew tells that a Stop which says nothing of its session's time is none of a row that
// was over before: its counters are smaller.
func (r *Record) anew(row *Session) bool {
	return deref(r.SessionTime) == 0 && r.At.After(row.Stop) &&
		(r.Input != nil && *r.Input < deref(row.Input) || r.Output != nil && *r.Output < deref(row.Output))
}
