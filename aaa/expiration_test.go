package aaa

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What radclient 3.2.1 printed for each text in the zone UTC; "" where it
// refused it.
func TestParseExpirationAsFreeRADIUS(t *testing.T) {
	for text, want := range map[string]string{
		"1 Jan 2030":             "Jan  1 2030 00:00:00",
		"Jan 01 2030 00:00:00":   "Jan  1 2030 00:00:00",
		"21 Nov 2026 23:00":      "Nov 21 2026 23:00:00",
		"21 Nov 2026 23:00:07":   "Nov 21 2026 23:00:07",
		"Nov 2026 21":            "Nov 21 2026 00:00:00",
		"2026 21 Nov":            "Nov 21 2026 00:00:00",
		"21 2026 Nov":            "Nov 21 2026 00:00:00",
		"November 21 2026":       "Nov 21 2026 00:00:00",
		"nov 21 2026":            "Nov 21 2026 00:00:00",
		"31 Feb 2030":            "Mar  3 2030 00:00:00",
		"1 Jan 2030 25:61:61":    "Jan  2 2030 02:02:01",
		"10:00 1 Jan 2030":       "Jan  1 2030 10:00:00",
		"1 10:00 Jan 2030":       "Jan  1 2030 10:00:00",
		"1 Jan 10:00:00 2030":    "Jan  1 2030 10:00:00",
		"1 Jan 2030 10:00 extra": "Jan  1 2030 10:00:00",
		"1, Jan, 2030":           "Jan  1 2030 00:00:00",
		"Jan 1, 2030":            "Jan  1 2030 00:00:00",
		"1893456000":             "Jan  1 2030 00:00:00",
		"0":                      "Jan  1 1970 00:00:00",
		" 1 Jan 2030 ":           "Jan  1 2030 00:00:00",
		"1 Jan 2030 10:00 PM":    "Jan  1 2030 10:00:00",
		"Jan 1 2030 1:2":         "Jan  1 2030 01:02:00",
		"Jan 1 2030 :":           "Jan  1 2030 00:00:00",
		"Jan 1 2030 1:2:3:4":     "Jan  1 2030 01:02:03",
		"1st Jan 2030":           "Jan  1 2030 00:00:00",
		"2026-11-30":             "",
		"2026-11-30T10:00:00":    "",
		"Noxx 21 2026":           "",
		"21 Nov 26":              "",
		"32 Jan 2030":            "",
		"0 Jan 2030":             "",
		"1 Jan 2030 10":          "",
		"Jan 1,2030":             "",
		"1-Jan-2030":             "",
		"Fri Nov 27 2026":        "",
	} {
		got, err := ParseExpiration(text, time.UTC)
		if want == "" {
			if err == nil {
				t.Errorf("%q: got %v, want an error", text, got)
			}
			continue
		}
		if err != nil || got.Format("Jan _2 2006 15:04:05") != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestExpirationErrorsNameTheForm(t *testing.T) {
	for text, says := range map[string]string{
		"2026-11-30":       `write "Nov 30 2026 00:00:00"`,
		"2026-11-30T23:05": `write "Nov 30 2026 23:05:00"`,
		"tomorrow":         "30 Nov 2026",
		"":                 "30 Nov 2026",
	} {
		if _, err := ParseExpiration(text, time.UTC); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
}

func TestExpirationIsWallClock(t *testing.T) {
	loc := time.FixedZone("east", 5*3600)
	got, err := ParseExpiration("30 Nov 2026 23:00", loc)
	if err != nil || got.Unix() != time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParseISOOrFreeRADIUS(t *testing.T) {
	loc := time.FixedZone("east", 5*3600)
	for text, want := range map[string]string{
		"2026-11-30":                "Nov 30 2026 00:00:00",
		"2026-11-30T23:00":          "Nov 30 2026 23:00:00",
		"2026-11-30 23:00:05":       "Nov 30 2026 23:00:05",
		"2026-11-30T18:00:00Z":      "Nov 30 2026 23:00:00",
		"2026-11-30T18:00:00+00:00": "Nov 30 2026 23:00:00",
		"30 Nov 2026 23:00":         "Nov 30 2026 23:00:00",
	} {
		got, err := ParseISOOrFreeRADIUS(text, loc)
		if err != nil || FormatExpiration(got, loc) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	if _, err := ParseISOOrFreeRADIUS("30.11.2026", loc); err == nil || !strings.Contains(err.Error(), "2026-11-30") {
		t.Errorf("bad form: %v", err)
	}
}

// What FormatExpiration writes, ParseExpiration reads.
func TestExpirationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc := time.FixedZone("", rapid.IntRange(-12*3600, 14*3600).Draw(t, "zone"))
		want := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "seconds"), 0)
		got, err := ParseExpiration(FormatExpiration(want, loc), loc)
		if err != nil || !got.Equal(want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	})
}

func FuzzParseExpiration(f *testing.F) {
	f.Add("Jan 01 2030 00:00:00")
	f.Add("1 Jan 2030 10:00 PM")
	f.Add("2026-11-30T18:00:00Z")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseExpiration(text, time.UTC)
		if err != nil || a.Year() > 9999 {
			return
		}
		if b, err := ParseExpiration(FormatExpiration(a, time.UTC), time.UTC); err != nil || !b.Equal(a) {
			t.Errorf("%q: %v, then %v %v", text, a, b, err)
		}
	})
}
