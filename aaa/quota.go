package aaa

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Counts says which octets a quota counts.
type Counts string

// What quotas count.
const (
	CountsTotal Counts = "total"
	CountsUp    Counts = "up"   // from the subscriber
	CountsDown  Counts = "down" // to the subscriber
)

// AllCounts lists them.
var AllCounts = []Counts{CountsTotal, CountsUp, CountsDown}

// of is what counts of a usage.
func (c Counts) of(u Usage) int64 {
	switch c {
	case CountsUp:
		return int64(u.Input)
	case CountsDown:
		return int64(u.Output)
	}
	return int64(u.Total())
}

// Unlimited stands in place of a quota's octets: it lifts what a group says of
// the same period and count.
const Unlimited int64 = -1

// What LiftAll has in place of a period and of what counts, and no other quota.
const (
	PeriodAll Period = "all"
	CountsAll Counts = "all"
)

// LiftAll stands in place of all quotas that groups give, not of their steps:
// the word "unlimited" alone. Quotas that stand beside it count.
func LiftAll() Quota { return Quota{Period: PeriodAll, Counts: CountsAll, Octets: Unlimited} }

// Quota is a row of radial.quotas: how much a user, or each member of a group,
// may transfer in a period, and what comes then.
type Quota struct {
	Period Period `json:"period"`
	Counts Counts `json:"counts"`
	Octets int64  `json:"octets"` // or Unlimited
	// RateDown and RateUp, bits per second, make it a step of fair use: beyond its
	// octets the user is slowed to them. Both 0: beyond its octets there is nothing.
	RateDown int64 `json:"rate_down,omitempty"`
	RateUp   int64 `json:"rate_up,omitempty"`
	// CarryOver adds what was left of the octets of the period before. What was
	// carried into that one is not carried on.
	CarryOver bool `json:"carry_over,omitempty"`
}

// Step tells whether going beyond the octets slows down rather than ends.
func (q *Quota) Step() bool { return q.RateDown > 0 || q.RateUp > 0 }

// same tells whether two are of the same kind, of which nobody has more than one
// but of steps.
func (q *Quota) same(o *Quota) bool {
	return q.Period == o.Period && q.Counts == o.Counts && q.Step() == o.Step()
}

// replaces tells whether it takes the place of one that is said later: the
// user's that of the group's, an earlier group's that of a later one's.
func (q *Quota) replaces(later *Quota) bool {
	return q.same(later) || *q == LiftAll() && !later.Step()
}

// TopUp is a row of radial.topups: octets that a user may transfer beyond each of
// his quotas.
type TopUp struct {
	ID     int64 `json:"id"`
	Octets int64 `json:"octets"`
	// From is the day on which it was made. It counts up to, and without, the day
	// Until; 0 is the end of the quota's period in which it was made.
	From  Day `json:"from"`
	Until Day `json:"until"`
}

// UserLimits is what the tables hold of a user beside FreeRADIUS's.
type UserLimits struct {
	Quotas     []Quota
	TopUps     []TopUp
	BillingDay int // 1 to 31, on which his months begin; 0: as those of counters
	Since      Day // on which he became a subscriber: nothing is carried over of periods before; 0: unknown
}

// Balance is how a user stands with one quota.
type Balance struct {
	Quota
	Span    Span  // the period
	Granted int64 // octets of the period: the quota's, carried over, topped up
	Used    int64
	Left    int64 // never below 0
}

// quotaPlan is what must be known of usage for one balance: for a quota without
// top-ups the period that today is in; with some, the periods since the first of
// them, cut where one begins or ends, because what the user drew from each of
// them depends on when it was there.
type quotaPlan struct {
	quota   Quota
	since   Day
	topUps  []topUpLife // by their end
	periods []planPeriod
	before  int // place of the usage of the period before the first; below 0: not asked for
}

type topUpLife struct {
	octets int64
	Span   // a zero To: for ever
}

type planPeriod struct {
	Span
	parts []planPart
}

// planPart is a part of a period in which no top-up begins or ends.
type planPart struct {
	Span
	place int // of its usage
}

// LookBack bounds how far back top-ups are reckoned. None lasts so long
// (MaxTopUpDays).
const LookBack Day = 2 * MaxTopUpDays

// MaxTopUpDays is how long a top-up may last at most.
const MaxTopUpDays = 400

// plan says what must be known to tell the balance of a day.
func (q Quota) plan(cal calendar, today Day, of *UserLimits, spans *spanSet) quotaPlan {
	p := quotaPlan{quota: q, since: of.Since, before: -1}
	now := cal.span(q.Period, today)
	first := now.From
	for _, t := range of.TopUps {
		life := topUpLife{octets: t.Octets, Span: Span{t.From, t.Until}}
		if t.Until == 0 {
			life.To = cal.span(q.Period, t.From).To
		}
		p.topUps = append(p.topUps, life)
	}
	slices.SortStableFunc(p.topUps, func(a, b topUpLife) int { return int(endOf(a.To)) - int(endOf(b.To)) })
	for moved := true; moved && q.Period != PeriodEver; {
		moved = false
		for _, t := range p.topUps {
			if endOf(t.To) > first && t.From < first && t.From >= today-LookBack {
				first, moved = cal.span(q.Period, t.From).From, true
			}
		}
	}
	for span := cal.span(q.Period, max(first, 1)); ; span = cal.span(q.Period, span.To) {
		p.periods = append(p.periods, planPeriod{span, p.cut(span, spans)})
		if span == now {
			break
		}
	}
	if q.CarryOver && q.Period != PeriodEver && p.periods[0].From > p.since {
		p.before = spans.place(cal.span(q.Period, p.periods[0].From-1))
	}
	return p
}

// endOf orders ends: none comes last.
func endOf(to Day) Day {
	if to == 0 {
		return 1 << 30
	}
	return to
}

// cut cuts a period where top-ups begin and end.
func (p *quotaPlan) cut(period Span, spans *spanSet) []planPart {
	borders := []Day{period.From}
	for _, t := range p.topUps {
		for _, day := range []Day{t.From, t.To} {
			if day > period.From && day < endOf(period.To) {
				borders = append(borders, day)
			}
		}
	}
	slices.Sort(borders)
	borders = append(slices.Compact(borders), period.To)
	parts := make([]planPart, len(borders)-1)
	for i := range parts {
		parts[i].Span = Span{borders[i], borders[i+1]}
		parts[i].place = spans.place(parts[i].Span)
	}
	return parts
}

// balance reckons with what was used. Usage is taken from the quota first, then
// from what was carried over, then from the top-up that ends next.
func (p *quotaPlan) balance(used []Usage, today Day) Balance {
	q := &p.quota
	last := int64(-1) // usage of the period before
	if p.before >= 0 {
		last = q.Counts.of(used[p.before])
	}
	left := make([]int64, len(p.topUps))
	for i := range left {
		left[i] = p.topUps[i].octets
	}
	var b Balance
	for _, period := range p.periods {
		granted, sum := q.Octets, int64(0)
		if q.CarryOver && last >= 0 && period.From > p.since {
			granted += max(q.Octets-last, 0)
		}
		for _, part := range period.parts {
			sum += q.Counts.of(used[part.place])
			for i := range p.topUps {
				if t := &p.topUps[i]; t.From < endOf(part.To) && endOf(t.To) > part.From {
					draw := min(left[i], max(sum-granted, 0))
					left[i] -= draw
					granted += draw
				}
			}
		}
		last = sum
		b = Balance{Quota: *q, Span: period.Span, Granted: granted, Used: sum}
	}
	for i, t := range p.topUps {
		if t.From <= today && endOf(t.To) > today {
			b.Granted += left[i]
		}
	}
	b.Left = max(b.Granted-b.Used, 0)
	return b
}

// Reached tells whether all of it is used.
func (b *Balance) Reached() bool { return b.Left == 0 }

// text tells a person how it stands.
func (b *Balance) text() string {
	what := "quota"
	if b.Step() {
		what = "step"
	}
	since := ""
	if b.Span.From != 0 {
		since = fmt.Sprintf(" since %s, till %s", b.Span.From, b.Span.To)
	}
	return fmt.Sprintf("%s of %s (%s, a %s): %s used%s, %s left", what, FormatOctets(b.Granted), b.Counts, b.Period, FormatOctets(b.Used), since, FormatOctets(b.Left))
}

// QuotaChange is what an operator says of the quotas of a user or a package. Nil
// fields are left as they are.
type QuotaChange struct {
	Quotas []Quota // take the place of those that are no steps
	Steps  []Quota // take the place of the steps; for both: empty but not nil takes them away
}

// apply gives the quotas what the change names: quotas first, then steps in
// rising order.
func (c *QuotaChange) apply(have []Quota) []Quota {
	if c.Quotas == nil && c.Steps == nil {
		return have
	}
	var quotas, steps []Quota
	for _, q := range have {
		if q.Step() {
			steps = append(steps, q)
		} else {
			quotas = append(quotas, q)
		}
	}
	if c.Quotas != nil {
		quotas = c.Quotas
	}
	if c.Steps != nil {
		steps = slices.SortedFunc(slices.Values(c.Steps), func(a, b Quota) int { return cmp.Compare(a.Octets, b.Octets) })
	}
	return append(append([]Quota{}, quotas...), steps...)
}

func validQuotas(all []Quota) error {
	for i := range all {
		q := &all[i]
		if err := validQuota(q); err != nil {
			return err
		}
		for _, o := range all[:i] {
			if o.same(q) && (!q.Step() || o.Octets == q.Octets) {
				return fmt.Errorf("quota %s is given twice: %w", q.Text(), ErrInvalid)
			}
		}
	}
	return nil
}

// validQuota holds a quota to what its row takes.
func validQuota(q *Quota) error {
	switch {
	case *q == LiftAll():
		return nil
	case !slices.Contains(Periods, q.Period):
		return fmt.Errorf("quota period %q: one of %s: %w", q.Period, joined(Periods), ErrInvalid)
	case !slices.Contains(AllCounts, q.Counts):
		return fmt.Errorf("quota counts %q: one of %s: %w", q.Counts, joined(AllCounts), ErrInvalid)
	case q.Octets != Unlimited && (q.Octets < 1 || q.Octets > maxOctets):
		return fmt.Errorf("quota of %d octets: want 1 to %d, or unlimited: %w", q.Octets, maxOctets, ErrInvalid)
	case (q.RateDown > 0) != (q.RateUp > 0) || q.RateDown < 0 || q.RateUp < 0:
		return fmt.Errorf("step at %s: want two rates, down and up, as in 100G=10M/2M: %w", FormatOctets(q.Octets), ErrInvalid)
	case q.Step() && (q.Octets == Unlimited || q.CarryOver):
		return fmt.Errorf("step at %s: it wants octets, and carries nothing over: %w", FormatOctets(q.Octets), ErrInvalid)
	case q.CarryOver && q.Period == PeriodEver:
		return fmt.Errorf("quota for ever: there is no period to carry over to: %w", ErrInvalid)
	}
	return nil
}

// maxOctets bounds quotas so that sums of them stay numbers of a bigint: 1 EiB.
const maxOctets int64 = 1 << 60

// TopUpLife is the time of a top-up made now, till the end of the day last (a
// zero one: while the quota's period lasts).
func TopUpLife(now, last time.Time, loc *time.Location) (from, until Day, err error) {
	from = DayOf(now, loc)
	if last.IsZero() {
		return from, 0, nil
	}
	until = DayOf(last, loc) + 1
	if until <= from || until > from+MaxTopUpDays {
		return 0, 0, fmt.Errorf("expiry %s: want today or a later day, at most %d days from now: %w", until-1, MaxTopUpDays, ErrInvalid)
	}
	return from, until, nil
}
