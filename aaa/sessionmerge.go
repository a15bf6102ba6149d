package aaa

import "time"

// merge takes counters that have grown, and addresses: a newer event's, or
// any that the row lacks. It tells whether the row has changed.
func (s *Session) merge(ev *Record) bool {
	changed := grow(&s.SessionTime, ev.SessionTime)
	changed = grow(&s.Input, ev.Input) || changed
	changed = grow(&s.Output, ev.Output) || changed
	newer := !ev.At.Before(s.Update)
	changed = takeIf(&s.FramedIP, ev.FramedIP, newer) || changed
	changed = takeIf(&s.FramedIPv6, ev.FramedIPv6, newer) || changed
	changed = takeIf(&s.FramedIPv6Pfx, ev.FramedIPv6Pfx, newer) || changed
	changed = takeIf(&s.DelegatedPrefix, ev.DelegatedPrefix, newer) || changed
	if ev.InterfaceID != nil && (s.InterfaceID == nil || newer && *s.InterfaceID != *ev.InterfaceID) {
		s.InterfaceID, changed = ev.InterfaceID, true
	}
	return changed
}

// LosesOctets tells that a record is newer than an open row (before) and of its
// session (outcome is what Next made of it), and that a counter of octets has gone
// back all the same: it began anew, or has passed 2^32 at a device that sends no
// gigawords. Merge keeps the greater one, since the row says nothing of what the
// device counted last, without which a record that comes twice or late would count
// again. What is transferred from there on counts for nothing until the device's
// counter has come up to the row's.
func (r *Record) LosesOctets(before *Session, outcome Outcome) bool {
	return (outcome == Updated || outcome == Closed) && r.Status != StatusStart && before.Open() && r.At.After(before.Update) &&
		(shrank(r.Input, before.Input) || shrank(r.Output, before.Output))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func deref(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

func orZero(p *int64) *int64 {
	if p == nil {
		return new(int64)
	}
	return p
}

func grow(p **int64, v *int64) bool {
	if v == nil || *p != nil && **p >= *v {
		return false
	}
	*p = v
	return true
}

// address is what merge takes: netip.Addr or netip.Prefix.
type address interface {
	comparable
	IsValid() bool
}

func takeIf[A address](p *A, v A, newer bool) bool {
	if !v.IsValid() || *p == v || (*p).IsValid() && !newer {
		return false
	}
	*p = v
	return true
}
