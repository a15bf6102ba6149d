package aaa

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// at returns a moment of the week that begins on Sunday 2026-11-22.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	day, clock, _ := strings.Cut(text, " ")
	n := strings.Index("Su Mo Tu We Th Fr Sa", day) / 3
	c, err := time.Parse("15:04:05", clock)
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(2026, 11, 22+n, c.Hour(), c.Minute(), c.Second(), 0, time.UTC)
}

func TestLoginTimeLeft(t *testing.T) {
	const unlimited, outside = -1, -2
	for _, c := range []struct {
		text, now string
		want      int64
	}{
		{"Al0900-2100", "Mo 08:59:59", outside},
		{"Al0900-2100", "Mo 09:00:00", 721 * 60},
		{"Al0900-2100", "Mo 20:59:00", 120},
		{"Al0900-2100", "Mo 21:00:59", 60}, // the end minute belongs to it
		{"Al0900-2100", "Mo 21:01:00", outside},
		{"Wk0800-1800,Sa", "Su 12:00:00", outside},
		{"Wk0800-1800,Sa", "Fr 18:00:00", 60},
		{"Wk0800-1800,Sa", "Sa 00:00:00", 24 * 3600},
		{"Wk0800-1800|Sa", "Sa 12:00:00", 12 * 3600},
		{"Sa,Su", "Sa 23:00:00", 25 * 3600}, // goes on over the end of the week
		{"Al", "We 03:00:00", unlimited},
		{"Any", "We 03:00:00", unlimited},
		{"AL0000-2400", "We 03:00:00", unlimited},
		{"Fr2200-0200", "Fr 23:00:00", 3600}, // wraps within Friday
		{"Fr2200-0200", "Fr 01:00:00", 61 * 60},
		{"Fr2200-0200", "Sa 01:00:00", outside},
		{"Al2200-0600", "Tu 23:30:00", (30 + 361) * 60},
		{"MoWeFr0800-0900", "We 08:30:00", 31 * 60},
		{"MoWeFr0800-0900", "Tu 08:30:00", outside},
		{"Mo-We0800-0900", "Tu 08:30:00", 31 * 60},
		{"Fr-Mo0800-0900", "Su 08:30:00", 31 * 60},
		{"Fr-Mo0800-0900", "We 08:30:00", outside},
		{"Al0930", "Tu 09:30:30", 60},
		{"Al0930", "Tu 09:31:00", outside},
		{"Al0000-0001", "Tu 12:00:00", outside},
		{"Wk0900-1700,nonsense", "Tu 09:00:00", 481 * 60}, // FreeRADIUS ignores the rest
	} {
		l, err := ParseLoginTime(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		secs, limited, inside := l.Left(at(t, c.now))
		got := secs
		if !inside {
			got = outside
		} else if !limited {
			got = unlimited
		}
		if got != c.want {
			t.Errorf("%s at %s: got %d, want %d", c.text, c.now, got, c.want)
		}
	}
}

func TestLoginTimeErrors(t *testing.T) {
	for text, says := range map[string]string{
		"":               "empty",
		"0900-1700":      "Al0900-1700",
		"Xx0900-1700":    `"xx" is not a day`,
		"Al900-1700":     `"900"`,
		"Al0900-17":      `"17"`,
		"Al0960":         `"0960"`,
		"Al2500":         `"2500"`,
		"Al0900-1700x":   `"1700x"`,
		"Al0900-1700 ":   `"1700 "`,
		"Wk0900-1700,Xx": `"xx"`,
		"Mo-Wk":          "not a day",
	} {
		if err := CheckLoginTime(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
		if strings.Contains(text, ",") {
			continue
		}
		if _, err := ParseLoginTime(text); err == nil {
			t.Errorf("%q: no error though no part is readable", text)
		}
	}
}

// The minute after the time left is outside, and every minute before is inside.
func TestLoginTimeLeftReachesToTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(Su|Mo|Tu|We|Th|Fr|Sa|Wk|Al)([01][0-9][0-5][0-9]-[01][0-9][0-5][0-9])?(,(Su|Sa|Wk)(2[0-3][0-5][0-9])?)?`).Draw(t, "text")
		l, err := ParseLoginTime(text)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 11, 22, 0, rapid.IntRange(0, weekMinutes-1).Draw(t, "minute"), 0, 0, time.UTC)
		secs, limited, inside := l.Left(now)
		if !inside || !limited {
			return
		}
		if _, _, in := l.Left(now.Add(time.Duration(secs) * time.Second)); in {
			t.Fatalf("%s at %v: still inside after %d s", text, now, secs)
		}
		if _, _, in := l.Left(now.Add(time.Duration(secs-1) * time.Second)); !in {
			t.Fatalf("%s at %v: outside before %d s", text, now, secs)
		}
	})
}

func FuzzParseLoginTime(f *testing.F) {
	f.Add("Wk0800-1800,Sa|Su2300-0100")
	f.Fuzz(func(t *testing.T, text string) {
		strict := CheckLoginTime(text)
		if _, err := ParseLoginTime(text); err != nil && strict == nil {
			t.Errorf("%q: lenient refuses what strict takes: %v", text, err)
		}
	})
}
