package aaa

import (
	"context"

	"radial/nas"
)

// checkUsage holds the login to what may be used in a time. Who has nothing left
// is refused, or let in behind a wall, where nothing is counted.
func (l *authorization) checkUsage(ctx context.Context) (*denial, error) {
	d, err := l.judgeUsage(ctx)
	if d == nil || err != nil || d.reason == ReasonUnsupportedCheck {
		return d, err
	}
	return l.wallIn(ctx, WallExhausted, d)
}

// judgeUsage looks at counters of session time and quotas of data. All that it
// needs to know of usage is one question; logins without such limits, and those
// within a walled garden, ask nothing.
func (l *authorization) judgeUsage(ctx context.Context) (*denial, error) {
	if l.garden != "" {
		return nil, nil
	}
	if !l.counted && len(l.quotas) == 0 {
		return nil, nil
	}
	var spans spanSet
	times, sinceFirst := l.findTimeLimits(&spans)
	plans := l.planQuotas(&spans)
	if len(times)+len(plans) == 0 {
		return nil, nil
	}
	if l.e.meter == nil {
		what := "a data quota"
		if len(times) > 0 {
			what = counters[times[0].which].item
		}
		return &denial{ReasonUnsupportedCheck, what + " cannot be enforced: " + errNoMeter.Error()}, nil
	}
	used, first, err := l.readMeter(ctx, spans, sinceFirst)
	if err != nil {
		return nil, err
	}
	if d := l.checkTimeLimits(times, used, first); d != nil {
		return d, nil
	}
	return l.checkQuotas(plans, used), nil
}

// addQuotas adds what the user, or a group that applies, has. Who spoke before
// counts.
func (l *authorization) addQuotas(more []Quota) {
	before := l.quotas
	for i := range more {
		taken := false
		for k := range before {
			taken = taken || before[k].replaces(&more[i])
		}
		if !taken {
			l.quotas = append(l.quotas, more[i])
		}
	}
}

func (l *authorization) planQuotas(spans *spanSet) (plans []quotaPlan) {
	cal := l.e.opts.Counters.calendar(l.limits.BillingDay)
	for _, q := range l.quotas {
		if q.Octets != Unlimited {
			plans = append(plans, q.plan(cal, l.today(), l.limits, spans))
		}
	}
	return plans
}

// checkQuotas refuses who has nothing left, slows down who is beyond a step, and
// has the device end the session with the octets that are left.
func (l *authorization) checkQuotas(plans []quotaPlan, used []Usage) *denial {
	if len(plans) == 0 {
		return nil
	}
	for i := range plans {
		b := plans[i].balance(used, l.today())
		l.balances = append(l.balances, b)
		if l.trace != nil {
			outcome := StepYes
			if b.Reached() {
				outcome = StepInfo
			}
			l.note(outcome, b.text())
		}
	}
	left := nas.Volume{}
	for i := range l.balances {
		b := &l.balances[i]
		switch {
		case b.Step():
		case b.Reached():
			l.say(l.e.opts.QuotaMessage)
			return &denial{ReasonDataUsed, b.text()}
		default:
			b.limit(&left)
		}
	}
	if rate, ok := slowest(l.balances); ok {
		rate = lower(rate, l.granted())
		if l.trace != nil {
			l.note(StepInfo, "beyond a step, so its rate counts: "+rate.String())
		}
		l.reply = nas.ReplaceRate(l.reply, rate, l.e.dict)
	}
	_, left = l.held.sinceBegin(0, left)
	l.reply = nas.LimitVolume(l.reply, left, l.e.dict)
	return nil
}

// limit lowers a volume to what is left.
func (b *Balance) limit(v *nas.Volume) {
	field := &v.Total
	switch b.Counts {
	case CountsUp:
		field = &v.Up
	case CountsDown:
		field = &v.Down
	}
	if *field == 0 || *field > uint64(b.Left) {
		*field = uint64(b.Left)
	}
}

// slowest is the rate of the steps that are reached: in each direction the
// lowest.
func slowest(all []Balance) (rate nas.RateLimit, ok bool) {
	for i := range all {
		b := &all[i]
		if !b.Step() || !b.Reached() {
			continue
		}
		if !ok || b.RateDown < rate.Down.Rate {
			rate.Down.Rate = b.RateDown
		}
		if !ok || b.RateUp < rate.Up.Rate {
			rate.Up.Rate = b.RateUp
		}
		ok = true
	}
	return rate, ok
}
