package aaa

import (
	"context"
	"time"
)

// Meter tells what users have used (store): the ledger of usage, with what the
// open sessions have reported last on top. Nothing is summed over closed rows of
// radacct. Many callers at once share a database trip. A user of whom nothing is
// known has used nothing, which is no error.
type Meter interface {
	// Used returns one Usage for each span, in their order.
	Used(ctx context.Context, user string, spans []Span) ([]Usage, error)
	// FirstSession returns when the user's first session that is still known
	// began, open or closed; the zero time where there is none.
	FirstSession(ctx context.Context, user string) (time.Time, error)
}

// Day is a civil day in the time zone of radial.settings: days since 1970-01-01.
type Day int32

// DayOf returns the civil day of t in loc.
func DayOf(t time.Time, loc *time.Location) Day {
	y, m, d := t.In(loc).Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Begin returns the first instant of the day in loc: midnight, or what comes in
// its place where the clock is put forward then.
func (d Day) Begin(loc *time.Location) time.Time {
	y, m, day := d.date().Date()
	t := time.Date(y, m, day, 0, 0, 0, 0, loc)
	if DayOf(t, loc) < d { // a midnight that is not there is an hour before it for package time, in the west
		_, t = t.ZoneBounds()
	}
	return t
}

// String returns the day as 2026-11-30.
func (d Day) String() string { return d.date().Format(time.DateOnly) }

func (d Day) date() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// Span is the civil days from From up to, and without, To. A zero From is the
// beginning of all that is known; a zero To is no end.
type Span struct{ From, To Day }

// Usage is what a user's sessions used in a span. The time of a session that
// runs over midnight is split there; the octets of two reports between which
// midnight lies are split as the time between them is. Input is upload, Output
// download, as radacct has them after the device's swap_octets.
type Usage struct {
	Time          time.Duration
	Input, Output uint64 // octets
}

// Total returns upload and download together.
func (u Usage) Total() uint64 { return u.Input + u.Output }
