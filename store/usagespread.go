package store

import (
	"math/bits"
	"time"

	"radial/aaa"
)

// amounts is what a session has used in all up to some moment.
type amounts struct{ seconds, input, output int64 }

// folded is how much of a session stands in the ledger of usage. The zero value
// is a session of which nothing does.
type folded struct {
	amounts
	day aaa.Day // that what comes next belongs to
	any bool    // something has been folded: the session has been counted
}

// heard is what a session's counters said at some time.
type heard struct {
	at            time.Time
	input, output int64
}

// lifetime is what is known of a session: it has lived from start on for
// seconds, and its octets have grown from report to report (in order of time, at
// least one; the last is how the row stands).
type lifetime struct {
	start   time.Time
	seconds int64
	reports []heard
}

// dayUse is what is to be added to a day of the ledger. It is negative only
// where somebody has corrected a closed row downwards.
type dayUse struct {
	day aaa.Day
	amounts
	sessions int64 // that began on the day
}

// longest is over how many days a session is spread at most: a clock that was
// never set, or a session time of a hundred years, must not make rows of all of them.
const longest = 400

// total is what the session has used up to now.
func (l *lifetime) total() amounts {
	last := l.reports[len(l.reports)-1]
	return amounts{l.seconds, last.input, last.output}
}

// upTo is what the session had used at a time. Its time runs by the clock from
// its start on. Between two reports its octets grow evenly: nobody knows better.
func (l *lifetime) upTo(t time.Time) amounts {
	a := amounts{seconds: min(max(int64(t.Sub(l.start)/time.Second), 0), max(l.seconds, 0))}
	before := l.reports[0]
	for _, next := range l.reports {
		if !next.at.After(t) {
			before = next
			continue
		}
		if before.at.Before(t) {
			part, whole := t.Sub(before.at), next.at.Sub(before.at)
			before.input = between(before.input, next.input, part, whole)
			before.output = between(before.output, next.output, part, whole)
		}
		break
	}
	a.input, a.output = before.input, before.output
	return a
}

// between is where a counter stands after a part of the time in which it grows
// from a to b.
func between(a, b int64, part, whole time.Duration) int64 {
	if b <= a || part <= 0 {
		return a
	}
	if part >= whole {
		return b
	}
	high, low := bits.Mul64(uint64(b)-uint64(a), uint64(part))
	grown, _ := bits.Div64(high, low, uint64(whole))
	return a + int64(grown)
}

// fold splits what has not been folded yet among the days that it was used on.
// Of an open session (over is false) the day of its last report stays: what it
// used then is still growing. Folding the result again adds nothing. The days of
// a session that is over come to its counters, whatever has been folded before.
func (l *lifetime) fold(base folded, over bool, zone *time.Location) ([]dayUse, folded) {
	last := aaa.DayOf(l.reports[len(l.reports)-1].at, zone)
	// Session time that was told late belongs to days that are closed.
	first := min(aaa.DayOf(l.start.Add(time.Duration(min(base.seconds, longest*86400))*time.Second), zone), last)
	if base.any {
		last = max(last, base.day)
		first = min(first, base.day)
	}
	first = max(first, last-longest)
	var days []dayUse
	done, all := base.amounts, l.total()
	for day := first; day <= last; day++ {
		use := dayUse{day: day}
		if day == first && !base.any && (over || last > first) {
			use.sessions = 1
		}
		var reached amounts
		switch {
		case day < last:
			reached = l.upTo((day + 1).Begin(zone)).atLeast(done)
		case over:
			reached = all
		default:
			reached = done
		}
		use.amounts = amounts{reached.seconds - done.seconds, reached.input - done.input, reached.output - done.output}
		done = reached
		if use.amounts != (amounts{}) || use.sessions > 0 {
			days = append(days, use)
		}
	}
	return days, folded{amounts: done, day: last, any: base.any || over || last > first}
}

// atLeast is a where it is more than b.
func (a amounts) atLeast(b amounts) amounts {
	return amounts{max(a.seconds, b.seconds), max(a.input, b.input), max(a.output, b.output)}
}

// plus adds, and stays at the greatest value rather than run over.
func (a amounts) plus(b amounts) amounts {
	return amounts{saturating(a.seconds, b.seconds), saturating(a.input, b.input), saturating(a.output, b.output)}
}

func saturating(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return 1<<63 - 1
	case a < 0 && b < 0 && sum >= 0:
		return -1 << 63
	}
	return sum
}

// lifetimeOf makes a session's lifetime: what has been folded was used by the
// beginning of the day that comes next, or nothing at the session's start. A
// session that has lived for longer than since its row's start (which was
// guessed, or is not known) began when its session time says.
func lifetimeOf(start time.Time, seconds int64, base folded, zone *time.Location, reports ...heard) *lifetime {
	end := reports[len(reports)-1].at
	if begin := end.Add(-time.Duration(min(max(seconds, 0), longest*86400)) * time.Second); start.IsZero() || begin.Before(start) {
		start = begin
	}
	l := &lifetime{start: start, seconds: max(seconds, 0), reports: make([]heard, 0, len(reports)+1)}
	from := heard{at: start}
	if base.any {
		from = heard{at: base.day.Begin(zone), input: base.input, output: base.output}
		if from.at.Before(start) {
			from.at = start
		}
	}
	l.reports = append(l.reports, from)
	for _, r := range reports {
		before := l.reports[len(l.reports)-1]
		if r.at.Before(before.at) {
			r.at = before.at
		}
		l.reports = append(l.reports, r)
	}
	return l
}
