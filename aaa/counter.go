package aaa

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"radial/dictionaries"
)

// counters are the check items of sqlcounter's five stock instances, in its
// order (radius-semantics: time limits). All are limits of session time in
// seconds; word stands in FreeRADIUS's text of a refusal.
var counters = []struct {
	item, word string
	period     Period
	sinceFirst bool // counts from the first session on, whether it is open or not
}{
	{item: "Max-Daily-Session", word: "daily", period: PeriodDay},
	{item: "Max-Weekly-Session", word: "weekly", period: PeriodWeek},
	{item: "Max-Monthly-Session", word: "monthly", period: PeriodMonth},
	{item: "Max-All-Session", word: "never", period: PeriodEver},
	{item: "Expire-After", word: "never", period: PeriodEver, sinceFirst: true},
}

// errNoMeter is what a policy with counters or quotas meets where nothing
// counts.
var errNoMeter = errors.New("nothing counts usage here")

// timeLimit is a counter's item of a login.
type timeLimit struct {
	which int // of counters
	limit uint64
	span  Span
	place int // of its usage
}

// findTimeLimits reads the counters' items. Of several of one name the first
// counts, as in FreeRADIUS.
func (l *authorization) findTimeLimits(spans *spanSet) (found []timeLimit, sinceFirst bool) {
	if !l.counted {
		return nil, false
	}
	for i, a := range l.e.words.counters {
		v, ok := l.control.Value(a)
		if a == nil || !ok {
			continue
		}
		t := timeLimit{which: i, limit: unsignedValue(v)}
		if counters[i].sinceFirst {
			sinceFirst = true
		} else {
			t.span = l.e.months().span(counters[i].period, l.today())
			t.place = spans.place(t.span)
		}
		found = append(found, t)
	}
	return found, sinceFirst
}

// checkTimeLimits refuses who has no time left, with FreeRADIUS's text, and ends
// the session with it for all others. Where the time left lasts to the reset,
// the next period's allowance is added, so that nobody is cut off there.
func (l *authorization) checkTimeLimits(found []timeLimit, used []Usage, first time.Time) *denial {
	for i := range found {
		t := &found[i]
		c := &counters[t.which]
		var have uint64
		if !c.sinceFirst {
			have = uint64(max(used[t.place].Time, 0) / time.Second)
		} else if !first.IsZero() {
			have = uint64(max(l.in.now.Sub(first), 0) / time.Second)
		}
		if have >= t.limit {
			l.say("Your maximum " + c.word + " usage time has been reached")
			return &denial{ReasonTimeUsed, fmt.Sprintf("%s := %d, and %d s are used%s", c.item, t.limit, have, t.since())}
		}
		left := t.limit - have
		if t.span.To != 0 {
			reset := uint64(t.span.To.Begin(l.e.loc).Unix() - l.in.now.Unix())
			if left >= reset {
				left = reset + t.limit
			}
		}
		if l.trace != nil {
			l.note(StepYes, fmt.Sprintf("%s := %d: %d s are used%s, %d s for this session", c.item, t.limit, have, t.since(), left))
		}
		l.limitSession(int64(min(left, 1<<32-1)))
	}
	return nil
}

// since tells a person what was counted.
func (t *timeLimit) since() string {
	switch {
	case counters[t.which].sinceFirst:
		return " since the first session began"
	case t.span.From != 0:
		return " since " + t.span.From.String()
	}
	return ""
}

// say adds a Reply-Message to the reply.
func (l *authorization) say(text string) {
	if text != "" {
		l.reply = append(l.reply, dictionaries.Pair{Attr: l.e.words.replyMessage, Value: []byte(text)})
	}
}

// today is the civil day of the login.
func (l *authorization) today() Day { return DayOf(l.in.now, l.e.loc) }

// months is the calendar of those who have no billing day.
func (e *Engine) months() calendar {
	return e.opts.Counters.calendar(0)
}

// readMeter asks what the user has used.
func (l *authorization) readMeter(ctx context.Context, spans spanSet, sinceFirst bool) (used []Usage, first time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	if err := l.needsDatabase("what the user has used"); err != nil {
		return nil, first, err
	}
	if len(spans) > 0 {
		if used, err = l.e.meter.Used(ctx, l.user, spans); err != nil {
			return nil, first, fmt.Errorf("usage of %q: %w", l.user, err)
		}
		if len(used) != len(spans) {
			return nil, first, fmt.Errorf("usage of %q: %d answers to %d spans", l.user, len(used), len(spans))
		}
	}
	if sinceFirst {
		if first, err = l.e.meter.FirstSession(ctx, l.user); err != nil {
			return nil, first, fmt.Errorf("first session of %q: %w", l.user, err)
		}
	}
	return used, first, nil
}

// unsignedValue reads an integer of up to 8 bytes; sqlcounter's items have
// eight, those of an operator's own dictionary mostly four.
func unsignedValue(v []byte) uint64 {
	if len(v) == 4 {
		return uint64(binary.BigEndian.Uint32(v))
	}
	if len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}
