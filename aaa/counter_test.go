package aaa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sessionMeter is a Meter over sessions of UTC days, by user.
type sessionMeter map[string][]meteredSession

// meteredSession has its octets on the day on which it ended.
type meteredSession struct {
	begin, end    time.Time
	input, output uint64
}

func (m sessionMeter) Used(_ context.Context, user string, spans []Span) ([]Usage, error) {
	out := make([]Usage, len(spans))
	for i, span := range spans {
		for _, s := range m[user] {
			for day := DayOf(s.begin, time.UTC); day <= DayOf(s.end, time.UTC); day++ {
				if day < span.From || span.To != 0 && day >= span.To {
					continue
				}
				from, to := day.Begin(time.UTC), (day + 1).Begin(time.UTC)
				if from.Before(s.begin) {
					from = s.begin
				}
				if to.After(s.end) {
					to = s.end
				}
				out[i].Time += to.Sub(from)
				if day == DayOf(s.end, time.UTC) {
					out[i].Input += s.input
					out[i].Output += s.output
				}
			}
		}
	}
	return out, nil
}

func (m sessionMeter) FirstSession(_ context.Context, user string) (first time.Time, err error) {
	for _, s := range m[user] {
		if first.IsZero() || s.begin.Before(first) {
			first = s.begin
		}
	}
	return first, nil
}

// brokenMeter is a database that is away.
type brokenMeter struct{ asked int }

var errAway = errors.New("away")

func (m *brokenMeter) Used(context.Context, string, []Span) ([]Usage, error) {
	m.asked++
	return nil, errAway
}

func (m *brokenMeter) FirstSession(context.Context, string) (time.Time, error) {
	m.asked++
	return time.Time{}, errAway
}

// A meter that cannot be asked is trouble, and one that need not be is not asked.
func TestMeterTroubleIsSilence(t *testing.T) {
	for _, item := range []string{"Max-Daily-Session", "Max-All-Session", "Expire-After", ""} {
		b := newWorkbench(t)
		m := &brokenMeter{}
		b.config.Meter = m
		check := []string{"Cleartext-Password", ":=", "p1"}
		if item != "" {
			check = append(check, item, ":=", "3600")
		}
		b.tables.set("alice", UserRows{Check: rows(check...)})
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		switch {
		case item == "" && (err != nil || d.Verdict != Accept || m.asked != 0):
			t.Errorf("without limits: %v %v, asked %d times", d.Verdict, err, m.asked)
		case item != "" && !errors.Is(err, errAway):
			t.Errorf("%s: %v %v", item, d, err)
		}
	}
}

// Counters of groups count as those of users, and what others set with == is
// compared with the request, as in FreeRADIUS.
func TestCountersOfGroups(t *testing.T) {
	b := newWorkbench(t)
	b.config.Meter = sessionMeter{"alice": {{begin: b.clock.Add(-time.Hour), end: b.clock}}}
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Groups: []Membership{{Group: "hour", Priority: 1}}})
	for _, c := range []struct {
		op, limit string
		want      Reason
	}{
		{":=", "3601", ReasonNone}, {":=", "3600", ReasonTimeUsed}, {"+=", "60", ReasonTimeUsed}, {":=", "0", ReasonTimeUsed}, {"==", "60", ReasonNone},
	} {
		b.tables.groups["hour"] = GroupRows{Check: rows("Max-Daily-Session", c.op, c.limit)}
		b.cache.InvalidateAll()
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if err != nil || d.Reason != c.want {
			t.Errorf("Max-Daily-Session %s %s: %q %q, %v", c.op, c.limit, d.Reason, d.Detail, err)
		}
	}
}

func TestPeriodsAroundDays(t *testing.T) {
	day := func(text string) Day {
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return DayOf(d, time.UTC)
	}
	for _, c := range []struct {
		period   Period
		calendar calendar
		on, want string
	}{
		{PeriodDay, calendar{}, "2026-11-21", "2026-11-21 2026-11-22"},
		{PeriodWeek, calendar{week: time.Sunday}, "2026-11-21", "2026-11-15 2026-11-22"}, // a Saturday
		{PeriodWeek, calendar{week: time.Sunday}, "2026-11-22", "2026-11-22 2026-11-29"},
		{PeriodWeek, calendar{week: time.Monday}, "2026-11-22", "2026-11-16 2026-11-23"},
		{PeriodMonth, calendar{day: 1}, "2026-11-21", "2026-11-01 2026-12-01"},
		{PeriodMonth, calendar{day: 1}, "2026-12-31", "2026-12-01 2027-01-01"},
		{PeriodMonth, calendar{day: 15}, "2026-11-14", "2026-10-15 2026-11-15"},
		{PeriodMonth, calendar{day: 15}, "2027-01-03", "2026-12-15 2027-01-15"},
		{PeriodMonth, calendar{day: 31}, "2026-11-29", "2026-10-31 2026-11-30"},
		{PeriodMonth, calendar{day: 31}, "2026-11-30", "2026-11-30 2026-12-31"},
		{PeriodMonth, calendar{day: 30}, "2027-02-28", "2027-02-28 2027-03-30"},
		{PeriodMonth, calendar{day: 29}, "2028-02-29", "2028-02-29 2028-03-29"},
		{PeriodMonth, calendar{day: 29}, "2027-02-28", "2027-02-28 2027-03-29"},
	} {
		s := c.calendar.span(c.period, day(c.on))
		if got := s.From.String() + " " + s.To.String(); got != c.want {
			t.Errorf("%s (day %d, week %v) around %s: %s, want %s", c.period, c.calendar.day, c.calendar.week, c.on, got, c.want)
		}
	}
}

// Periods follow each other without a gap, and hold the day that they are of.
func TestPeriodsFollowEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := calendar{week: time.Weekday(rapid.IntRange(0, 6).Draw(t, "week")), day: rapid.IntRange(1, 31).Draw(t, "day")}
		p := rapid.SampledFrom(Periods[:3]).Draw(t, "period")
		on := Day(rapid.Int32Range(10000, 40000).Draw(t, "on"))
		s := c.span(p, on)
		if on < s.From || on >= s.To {
			t.Fatalf("%v is not in %v", on, s)
		}
		if next, last := c.span(p, s.To), c.span(p, s.To-1); next.From != s.To || last != s {
			t.Fatalf("%v, its last day's %v, then %v", s, last, next)
		}
	})
}

// The time for a session is what is left, or lasts to the reset and the whole
// allowance on, as sqlcounter has it.
func TestTimeLeftReachesOverTheReset(t *testing.T) {
	for _, c := range []struct {
		clock string
		used  time.Duration
		want  string
	}{
		{"2026-11-21 10:00:00", 0, "Session-Timeout = 7200"},
		{"2026-11-21 10:00:00", 7199 * time.Second, "Session-Timeout = 1"},
		{"2026-11-21 22:00:00", 0, "Session-Timeout = 14400"}, // 7200 s to midnight: and 7200 after it
		{"2026-11-21 22:00:01", 0, "Session-Timeout = 14399"},
		{"2026-11-21 22:00:00", time.Second, "Session-Timeout = 7199"},
		{"2026-11-21 23:59:59", time.Hour, "Session-Timeout = 7201"},
	} {
		b := newWorkbench(t)
		clock, err := time.ParseInLocation(time.DateTime, c.clock, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		b.clock = clock
		b.cache.Echo(clock)
		b.config.Meter = sessionMeter{"alice": {{begin: clock.Add(-c.used), end: clock}}}
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Max-Daily-Session", ":=", "7200")})
		x, err := NewEngine(b.config).Explain(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if err != nil || !strings.Contains(x.Text(), c.want+"\n") {
			t.Errorf("%s, %v used: want %s: %v\n%s", c.clock, c.used, c.want, err, x.Text())
		}
		if told := fmt.Sprintf("Max-Daily-Session := 7200: %d s are used since 2026-11-21", int(c.used.Seconds())); !strings.Contains(x.Text(), told) {
			t.Errorf("%s: Explain does not tell %q:\n%s", c.clock, told, x.Text())
		}
	}
}
