package routeros

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "none": 0, "0s": 0, "300": 5 * time.Minute, "5m30s": 330 * time.Second, "300ms": 300 * time.Millisecond,
		"1w2d03:04:05": 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second, "02:30:00": 150 * time.Minute, "10:30": 10*time.Hour + 30*time.Minute,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"soon", "-5s", "5m-3s", "1h2h", "99999999999w", " 5s"} {
		if got, err := ParseDuration(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "ms")) * time.Millisecond
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %q and read %v, %v", d, FormatDuration(d), got, err)
		}
	})
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10M/20M", "10000000/20000000", true}, {"512k", "512000/512000", true}, {"10M/20M", "20M/10M", false},
		{"yes", "true", true}, {"no", "true", false}, {"yes", "1", false},
		{"5m", "00:05:00", true}, {"300", "5m", true}, {"5m", "6m", false}, {"10s/10s", "10/10", true},
		{"", "none", false}, {"", "0s", false}, {"pppoe", "pppoe", true}, {"pppoe", "l2tp", false}, {"1M", "1G", false},
		{"10.0.0.0/24", "10.0.0.0/25", false}, {"9223372036854775807G", "1", false},
	} {
		if Same(c.a, c.b) != c.same || Same(c.b, c.a) != c.same {
			t.Errorf("%q and %q: %v, %v, want %v", c.a, c.b, Same(c.a, c.b), Same(c.b, c.a), c.same)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("1w2d03:04:05")
	f.Add("5m30s")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil && d < 0 {
			t.Errorf("%q is %v", s, d)
		}
	})
}
