package aaa

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dailyUse is what a user used on each day.
type dailyUse map[Day]Usage

func (d dailyUse) Used(_ context.Context, _ string, spans []Span) ([]Usage, error) {
	out := make([]Usage, len(spans))
	for i, s := range spans {
		for day, u := range d {
			if day >= s.From && day < endOf(s.To) {
				out[i].Time += u.Time
				out[i].Input += u.Input
				out[i].Output += u.Output
			}
		}
	}
	return out, nil
}

func (d dailyUse) FirstSession(context.Context, string) (time.Time, error) { return time.Time{}, nil }

func balanceOf(t interface{ Fatal(...any) }, q Quota, cal calendar, today, since Day, topUps []TopUp, use dailyUse) Balance {
	var spans spanSet
	p := q.plan(cal, today, &UserLimits{TopUps: topUps, Since: since}, &spans)
	used, err := use.Used(context.Background(), "", spans)
	if err != nil {
		t.Fatal(err)
	}
	return p.balance(used, today)
}

func TestBalances(t *testing.T) {
	day := func(text string) Day {
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return DayOf(d, time.UTC)
	}
	month := Quota{Period: PeriodMonth, Counts: CountsTotal, Octets: 100}
	carry := month
	carry.CarryOver = true
	oct, nov := day("2026-10-20"), day("2026-11-10")
	for name, c := range map[string]struct {
		quota      Quota
		topUps     []TopUp
		use        dailyUse
		since      Day
		used, left int64
	}{
		"nothing used":        {month, nil, nil, 0, 0, 100},
		"all":                 {month, nil, dailyUse{nov: {Input: 60, Output: 40}}, 0, 100, 0},
		"more than all":       {month, nil, dailyUse{nov: {Input: 60, Output: 41}}, 0, 101, 0},
		"the month before":    {month, nil, dailyUse{oct: {Input: 60}}, 0, 0, 100},
		"upload alone":        {Quota{Period: PeriodMonth, Counts: CountsUp, Octets: 100}, nil, dailyUse{nov: {Input: 60, Output: 41}}, 0, 60, 40},
		"download alone":      {Quota{Period: PeriodMonth, Counts: CountsDown, Octets: 100}, nil, dailyUse{nov: {Input: 60, Output: 41}}, 0, 41, 59},
		"for ever":            {Quota{Period: PeriodEver, Counts: CountsTotal, Octets: 100}, nil, dailyUse{nov: {Input: 60}, oct: {Input: 30}}, 0, 90, 10},
		"carried over":        {carry, nil, dailyUse{oct: {Input: 70}, nov: {Input: 20}}, 0, 20, 110},
		"nothing to carry":    {carry, nil, dailyUse{oct: {Input: 170}, nov: {Input: 20}}, 0, 20, 80},
		"a top-up":            {month, []TopUp{{Octets: 50, From: nov}}, dailyUse{nov: {Input: 120}}, 0, 120, 30},
		"one of last month":   {month, []TopUp{{Octets: 50, From: oct}}, dailyUse{nov: {Input: 90}}, 0, 90, 10},
		"one that is over":    {month, []TopUp{{Octets: 50, From: nov, Until: nov + 2}}, dailyUse{nov + 5: {Input: 90}}, 0, 90, 10},
		"one that was drawn":  {month, []TopUp{{Octets: 50, From: nov - 5, Until: nov + 2}}, dailyUse{nov: {Input: 130}, nov + 5: {Input: 10}}, 0, 140, 0},
		"over months":         {month, []TopUp{{Octets: 50, From: oct, Until: nov + 60}}, dailyUse{oct: {Input: 120}, nov: {Input: 90}}, 0, 90, 40},
		"the one that ends":   {month, []TopUp{{Octets: 50, From: oct, Until: nov + 60}, {Octets: 20, From: oct, Until: oct + 5}}, dailyUse{oct: {Input: 120}}, 0, 0, 150},
		"for ever, topped up": {Quota{Period: PeriodEver, Counts: CountsTotal, Octets: 100}, []TopUp{{Octets: 50, From: oct}}, dailyUse{nov: {Input: 60}, oct: {Input: 70}}, 0, 130, 20},

		"new this month": {carry, nil, dailyUse{nov: {Input: 20}}, nov, 20, 80},
		"new last month": {carry, nil, dailyUse{oct: {Input: 30}, nov: {Input: 20}}, oct, 20, 150},
	} {
		b := balanceOf(t, c.quota, calendar{day: 1}, day("2026-11-21"), c.since, c.topUps, c.use)
		if b.Used != c.used || b.Left != c.left {
			t.Errorf("%s: %d used, %d left, want %d and %d (%s)", name, b.Used, b.Left, c.used, c.left, b.text())
		}
	}
}

// A balance is what comes of going through the days one by one.
func TestBalanceIsThatOfDays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cal := calendar{week: time.Sunday, day: rapid.IntRange(1, 31).Draw(t, "day")}
		q := Quota{Period: rapid.SampledFrom(Periods).Draw(t, "period"), Counts: CountsTotal, Octets: int64(rapid.IntRange(1, 200).Draw(t, "octets"))}
		q.CarryOver = q.Period != PeriodEver && rapid.Bool().Draw(t, "carry")
		today, begin := Day(20500), Day(20500-90)
		since := Day(rapid.SampledFrom([]int32{0, 20400, 20430, 20460, 20490}).Draw(t, "since"))
		use := dailyUse{}
		for range rapid.IntRange(0, 20).Draw(t, "days") {
			use[Day(rapid.Int32Range(int32(begin), int32(today)).Draw(t, "on"))] = Usage{Input: uint64(rapid.IntRange(0, 150).Draw(t, "use"))}
		}
		var topUps []TopUp
		for range rapid.IntRange(0, 4).Draw(t, "top-ups") {
			one := TopUp{Octets: int64(rapid.IntRange(1, 200).Draw(t, "more")), From: Day(rapid.Int32Range(int32(begin), int32(today)).Draw(t, "from"))}
			if rapid.Bool().Draw(t, "ends") {
				one.Until = one.From + Day(rapid.Int32Range(1, 60).Draw(t, "for"))
			}
			topUps = append(topUps, one)
		}
		got := balanceOf(t, q, cal, today, since, topUps, use)
		if want := dayByDay(q, cal, begin, today, since, topUps, use); got.Left != want {
			t.Fatalf("%d left, and day by day %d: %+v, used %v, topped up %v", got.Left, want, got, use, topUps)
		}
	})
}

// dayByDay is the model: what a user who pays each octet when he uses it has left.
func dayByDay(q Quota, cal calendar, begin, today, since Day, topUps []TopUp, use dailyUse) int64 {
	type pot struct{ left, until, from int64 }
	pots := make([]pot, len(topUps))
	for i, t := range topUps {
		until := t.Until
		if until == 0 {
			until = cal.span(q.Period, t.From).To
		}
		pots[i] = pot{t.Octets, int64(endOf(until)), int64(t.From)}
	}
	slices.SortStableFunc(pots, func(a, b pot) int { return int(a.until - b.until) })
	var base, sum, before, owed int64
	at := Span{-1, -1}
	for day := begin - 62; day <= today; day++ {
		if span := cal.span(q.Period, day); span != at {
			before, at, sum, owed, base = sum, span, 0, 0, q.Octets
			if q.CarryOver && span.From > since {
				base += max(q.Octets-before, 0)
			}
		}
		n := int64(use[day].Input)
		sum += n
		own := min(base, n)
		base -= own
		owed += n - own
		for i := range pots {
			if p := &pots[i]; p.from <= int64(day) && p.until > int64(day) {
				draw := min(p.left, owed)
				p.left -= draw
				owed -= draw
			}
		}
	}
	left := base - owed
	for _, p := range pots {
		if p.from <= int64(today) && p.until > int64(today) {
			left += p.left
		}
	}
	return max(left, 0)
}

func TestOctets(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "500000": 500000, "100G": 100e9, "100 GB": 100e9, "100g": 100e9, "1.5T": 1.5e12, "100GiB": 100 << 30, "2Gi": 2 << 30, "10k": 10000, "1.0000001M": 1000000,
	} {
		if got, err := ParseOctets(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1G", "1e9", "ten", "99999999T", "1G G", "0x10", "NaN", "Inf"} {
		if got, err := ParseOctets(text); err == nil {
			t.Errorf("%q: %d and no error", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1k", 1500000: "1.5M", 1999999999: "1.999G", 100e9: "100G", Unlimited: "unlimited"} {
		if got := FormatOctets(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
