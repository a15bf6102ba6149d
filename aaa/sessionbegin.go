package aaa

import "time"

// begin is when the session began, by the event's own session time.
func (r *Record) begin() time.Time {
	return r.At.Add(-time.Duration(deref(r.SessionTime)) * time.Second)
}

// olderSession tells that the event is of an earlier session with the row's id.
func (r *Record) olderSession(row *Session) bool {
	return r.At.Before(row.Start) && r.begin().Before(row.Start.Add(-jitter))
}

// beginsAfter tells that the event is of a later session than a closed row:
// its session time says that it began after the row's end. A device that
// always says 0, or repeats its last Stop, tells nothing.
func (r *Record) beginsAfter(row *Session) bool {
	if deref(r.SessionTime) == 0 || !r.begin().After(row.Stop) {
		return false
	}
	return deref(r.SessionTime) != deref(row.SessionTime) ||
		deref(r.Input) != deref(row.Input) || deref(r.Output) != deref(row.Output)
}

// beganAnew tells that an interim or Stop is of a later session than an open
// row's, of which neither the Stop nor this one's Start arrived: a device that
// lost its power gives the same session ids again.
//
// The session time must say that it began after the row was last heard of, by
// more than clocks and rounding make. That alone is no proof: a session time
// that stands still, or runs slowly, says so too, at each interim. So something
// must have gone back as well, which a session never does: a counter of octets;
// or the session time, where the row has shown that it goes with the clock. A
// device whose session time is any number does not show that, and would need to
// once more in the row that it got. A row that has told its Start alone has nothing that could go
// back, nor anything to lose. An event that was merely late passes for a
// later session if it was told no time of its own and was late by more than the
// session had lived.
//
// A session that began in the first minute of the row's (slack) is not told apart:
// the row's Start, told again, would pass for its own (precedes).
func (r *Record) beganAnew(row *Session) bool {
	began := r.begin()
	if deref(r.SessionTime) == 0 || !r.At.After(row.Update) ||
		!began.After(row.Update.Add(jitter)) || !began.After(row.Start.Add(slack)) {
		return false
	}
	switch lived := deref(row.SessionTime); {
	case *r.SessionTime == lived:
		return false
	case shrank(r.Input, row.Input) || shrank(r.Output, row.Output):
		return true
	default:
		return *r.SessionTime < lived && row.keepsTime()
	}
}

// shrank tells that a counter of a record is below the row's.
func shrank(now, before *int64) bool { return now != nil && *now < deref(before) }

// keepsTime tells that the session time has gone with the clock, in more than one
// report.
func (s *Session) keepsTime() bool {
	off := s.Update.Sub(s.Start) - time.Duration(deref(s.SessionTime))*time.Second
	return s.Interval != nil && off.Abs() <= slack
}
