package aaa

import (
	"slices"
	"time"
)

// Period is how long a counter or a quota counts before it begins again.
type Period string

// The periods. All begin at midnight.
const (
	PeriodDay   Period = "day"
	PeriodWeek  Period = "week"
	PeriodMonth Period = "month"
	PeriodEver  Period = "ever" // it never begins again
)

// Periods lists every period.
var Periods = []Period{PeriodDay, PeriodWeek, PeriodMonth, PeriodEver}

// The days on which a week may begin (CounterOptions.WeekBegins).
const (
	WeekBeginsSunday = "sunday" // as FreeRADIUS reckons
	WeekBeginsMonday = "monday"
)

// CounterOptions say when counters and quotas begin again.
type CounterOptions struct {
	WeekBegins string
	// MonthDay is the day of the month on which Max-Monthly-Session begins again,
	// sqlcounter's reset_day, and months of quotas of those who have no billing day.
	MonthDay int
}

func (o *CounterOptions) weekday() time.Weekday {
	if o.WeekBegins == WeekBeginsMonday {
		return time.Monday
	}
	return time.Sunday
}

// Span is the period around a day, as counters and quotas reckon; months of one
// whose billing day is above 0 begin on that. PeriodEver is the zero Span.
func (o *CounterOptions) Span(p Period, billing int, on Day) Span {
	return o.calendar(billing).span(p, on)
}

func (o *CounterOptions) calendar(billing int) calendar {
	if billing == 0 {
		billing = max(o.MonthDay, 1)
	}
	return calendar{week: o.weekday(), day: billing}
}

// calendar finds periods: weeks begin on a day of the week, months on a day of
// the month, or on the last one of a month that has not so many.
type calendar struct {
	week time.Weekday
	day  int // 1 to 31
}

// span is the period around a day.
func (c calendar) span(p Period, on Day) Span {
	switch p {
	case PeriodDay:
		return Span{on, on + 1}
	case PeriodWeek:
		from := on - Day((on.date().Weekday()-c.week+7)%7)
		return Span{from, from + 7}
	case PeriodMonth:
		y, m, _ := on.date().Date()
		from := c.begin(y, m)
		if from > on {
			return Span{c.begin(y, m-1), from}
		}
		return Span{from, c.begin(y, m+1)}
	}
	return Span{}
}

// begin is the day on which the period of a month begins.
func (c calendar) begin(y int, m time.Month) Day {
	last := time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC)
	first := last.AddDate(0, 0, 1-last.Day())
	return DayOf(first, time.UTC) + Day(min(c.day, last.Day())-1)
}

// spanSet collects the spans that one look-up asks for, each once.
type spanSet []Span

// place returns where the span's usage will be found.
func (s *spanSet) place(one Span) int {
	if i := slices.Index(*s, one); i >= 0 {
		return i
	}
	*s = append(*s, one)
	return len(*s) - 1
}
