package routeros

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// RouterOS's texts. What it takes is looser than what it prints: Same compares
// by what both mean.

var (
	unitForm  = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$`)
	clockForm = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d+)(?::(\d+))?$`)
	units     = [...]time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond}
	unitNames = [...]string{"w", "d", "h", "m", "s", "ms"}
)

// ParseDuration reads a duration as RouterOS writes it: 1w2d3h4m5s, 1d03:04:05,
// 300ms, or a bare number of seconds. "none" and "" are 0.
func ParseDuration(s string) (time.Duration, error) {
	if s == "" || s == "none" {
		return 0, nil
	}
	wrong := fmt.Errorf("duration %q: want RouterOS's form, as in 1d2h30m or 02:30:00", s)
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	parts := unitForm.FindStringSubmatch(s)
	if parts == nil {
		parts = clockForm.FindStringSubmatch(s)
	}
	if parts == nil {
		return 0, wrong
	}
	var d time.Duration
	for i, part := range parts[1:] {
		if part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || time.Duration(n) > (1<<62)/units[i] {
			return 0, wrong
		}
		d += time.Duration(n) * units[i]
	}
	if d < 0 {
		return 0, wrong
	}
	return d, nil
}

// FormatDuration writes a duration as RouterOS prints it, 0s for none or less.
// What is shorter than a millisecond is cut off.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for i, u := range units {
		if n := d / u; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + unitNames[i])
			d -= n * u
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// ParseBool reads a boolean: true and false as the API prints, yes and no as it
// is written.
func ParseBool(s string) (bool, error) {
	switch s {
	case "true", "yes":
		return true, nil
	case "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("boolean %q: want yes or no", s)
}

// FormatBool writes a boolean as RouterOS takes it in all versions.
func FormatBool(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// ParsePair reads upload/download; one value holds for both. From the router's
// side the upload, which it receives (rx), stands first.
func ParsePair(s string) (up, down string) {
	up, down, both := strings.Cut(s, "/")
	if !both {
		return up, up
	}
	return up, down
}

// ParseRate reads bits per second: 10M, 512k, 1G, 64000. k is 1000.
func ParseRate(s string) (int64, error) {
	digits, factor := s, int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			factor = 1e3
		case 'M':
			factor = 1e6
		case 'G':
			factor = 1e9
		}
	}
	if factor > 1 {
		digits = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("rate %q: want bits per second, as in 10M or 512k", s)
	}
	return n * factor, nil
}

// Same tells whether two texts of a field mean the same: 10M/20M and
// 10000000/20000000, yes and true, 5m and 00:05:00 and 300.
func Same(a, b string) bool {
	if a == b {
		return true
	}
	if x, err := ParseBool(a); err == nil {
		y, err := ParseBool(b)
		return err == nil && x == y
	}
	if strings.Contains(a, "/") || strings.Contains(b, "/") {
		aUp, aDown := ParsePair(a)
		bUp, bDown := ParsePair(b)
		return sameOne(aUp, bUp) && sameOne(aDown, bDown)
	}
	return sameOne(a, b)
}

func sameOne(a, b string) bool {
	if a == b {
		return true
	}
	x, errA := ParseRate(a)
	y, errB := ParseRate(b)
	if errA == nil && errB == nil {
		return x == y
	}
	// a bare number is seconds only where the other is a duration by its form
	if a == "" || b == "" || a == "none" || b == "none" {
		return false
	}
	d, errA := ParseDuration(a)
	e, errB := ParseDuration(b)
	return errA == nil && errB == nil && d == e
}
