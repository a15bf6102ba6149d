package aaa

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDaysAreCivilDays(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 3, 29, 23, 59, 59, 0, zone), "2026-03-29"}, // the clock was put forward
		{time.Date(2026, 10, 25, 0, 0, 0, 0, zone), "2026-10-25"},   // it will be put back
		{time.Date(2026, 11, 30, 23, 30, 0, 0, time.UTC), "2026-12-01"},
		{time.Date(1969, 12, 31, 12, 0, 0, 0, zone), "1969-12-31"},
	} {
		if got := DayOf(c.at, zone).String(); got != c.want {
			t.Errorf("DayOf(%v) = %s, want %s", c.at, got, c.want)
		}
	}
}

func TestADayBeginsAtItsMidnight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Berlin's clocks change by night, those of Havana and Beirut at midnight.
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"Europe/Berlin", "America/Havana", "Asia/Beirut"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		d := Day(rapid.Int32Range(0, 40000).Draw(t, "day"))
		begin := d.Begin(zone)
		if DayOf(begin, zone) != d || DayOf(begin.Add(-time.Second), zone) != d-1 || DayOf((d+1).Begin(zone).Add(-time.Second), zone) != d {
			t.Fatalf("day %s begins at %v", d, begin)
		}
	})
}
