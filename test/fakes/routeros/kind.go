package routeros

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// judge turns a value that a client gave into the one that the router keeps
// and prints, or says what is wrong with it in the router's words.
func (r *Router) judge(f *field, value string) (string, error) {
	bad := fmt.Errorf("invalid value for argument %s", f.name)
	switch f.kind {
	case "bool":
		return boolText(f, value)
	case "int":
		return intText(f, f.arg, value)
	case "time":
		d, ok := parseTime(value)
		if !ok {
			return "", fmt.Errorf("invalid time value for argument %s", f.name)
		}
		return timeText(d), nil
	case "rate":
		n, ok := parseRate(value)
		if !ok {
			return "", bad
		}
		return strconv.FormatUint(n, 10), nil
	case "pair":
		return pairText(f, value)
	case "enum", "enums":
		return enumText(f, value)
	case "ref":
		return r.refText(f, value)
	case "ip":
		if value == "" {
			return "", nil
		}
		a, err := netip.ParseAddr(value)
		if err != nil {
			return "", bad
		}
		return a.String(), nil
	case "ippool":
		return r.ipOrPool(f, value)
	case "net":
		return netText(value, bad)
	case "prefix6":
		p, err := netip.ParsePrefix(value)
		if value == "" || err == nil && p.Addr().Is6() {
			return value, nil
		}
		return "", bad
	case "ranges":
		return rangesText(value, bad)
	case "ports":
		return portsText(value, bad)
	case "mac":
		m := strings.ToUpper(value)
		if !macForm.MatchString(m) {
			return "", bad
		}
		return m, nil
	case "ratelimit":
		if value != "" && !rateLimitForm.MatchString(value) {
			return "", bad
		}
	}
	return value, nil
}

var (
	macForm       = regexp.MustCompile(`^[0-9A-F]{2}(:[0-9A-F]{2}){5}$`)
	rateLimitForm = regexp.MustCompile(`^\d+[kMG]?(/\d+[kMG]?)?( \d+[kMG]?(/\d+[kMG]?)?){0,2}( \d+s?(/\d+s?)?( [1-8]( \d+[kMG]?(/\d+[kMG]?)?)?)?)?$`)
)

// boolText: yes and no are taken, true and false are printed.
func boolText(f *field, value string) (string, error) {
	switch value {
	case "yes", "true":
		return "true", nil
	case "no", "false":
		return "false", nil
	}
	return "", fmt.Errorf("invalid value for argument %s", f.name)
}

func intText(f *field, bounds, value string) (string, error) {
	n, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		return "", fmt.Errorf("invalid value for argument %s", f.name)
	}
	low, high, _ := strings.Cut(bounds, "-")
	from, _ := strconv.ParseUint(low, 10, 64)
	to, err := strconv.ParseUint(high, 10, 64)
	if err != nil {
		return "", fmt.Errorf("menus.txt: bounds %q of %s", bounds, f.name)
	}
	if n < from || n > to {
		return "", fmt.Errorf("value of %s out of range (%d..%d)", f.name, from, to)
	}
	return strconv.FormatUint(n, 10), nil
}

func enumText(f *field, value string) (string, error) {
	words := strings.Split(f.arg, "|")
	if f.kind == "enum" {
		if !slices.Contains(words, value) {
			return "", fmt.Errorf("input does not match any value of %s", f.name)
		}
		return value, nil
	}
	if value == "" {
		return "", nil
	}
	for v := range strings.SplitSeq(value, ",") {
		if !slices.Contains(words, strings.TrimPrefix(v, "!")) {
			return "", fmt.Errorf("input does not match any value of %s", f.name)
		}
	}
	return value, nil
}

func pairText(f *field, value string) (string, error) {
	up, down, both := strings.Cut(value, "/")
	if !both {
		down = up // one value holds for both ways
	}
	var out [2]string
	for i, v := range []string{up, down} {
		switch f.arg {
		case "rate":
			n, ok := parseRate(v)
			if !ok {
				return "", fmt.Errorf("invalid value for argument %s", f.name)
			}
			out[i] = strconv.FormatUint(n, 10)
		case "time":
			d, ok := parseTime(v)
			if !ok {
				return "", fmt.Errorf("invalid time value for argument %s", f.name)
			}
			out[i] = timeText(d)
		default:
			n, err := intText(f, "1-8", v)
			if err != nil {
				return "", err
			}
			out[i] = n
		}
	}
	return out[0] + "/" + out[1], nil
}

// refText takes the name of an item of another menu, or none.
func (r *Router) refText(f *field, value string) (string, error) {
	if value == "none" || r.named(f.arg, value) != nil {
		return value, nil
	}
	return "", fmt.Errorf("input does not match any value of %s", f.name)
}

func (r *Router) ipOrPool(f *field, value string) (string, error) {
	if a, err := netip.ParseAddr(value); err == nil {
		return a.String(), nil
	}
	if value == "" || r.named("/ip/pool", value) != nil {
		return value, nil
	}
	return "", fmt.Errorf("invalid value for argument %s", f.name)
}

// netText takes an address, a network, a range, each with ! for "not".
func netText(value string, bad error) (string, error) {
	rest := strings.TrimPrefix(value, "!")
	if _, err := netip.ParseAddr(rest); err == nil {
		return value, nil
	}
	if _, err := netip.ParsePrefix(rest); err == nil {
		return value, nil
	}
	if _, ok := parseRange(rest); ok {
		return value, nil
	}
	return "", bad
}

func rangesText(value string, bad error) (string, error) {
	for part := range strings.SplitSeq(value, ",") {
		_, isRange := parseRange(part)
		_, err := netip.ParsePrefix(part)
		_, single := netip.ParseAddr(part)
		if !isRange && err != nil && single != nil {
			return "", bad
		}
	}
	return value, nil
}

// parseRange reads 10.0.0.2-10.0.0.9.
func parseRange(s string) ([2]netip.Addr, bool) {
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		return [2]netip.Addr{}, false
	}
	a, err := netip.ParseAddr(low)
	if err != nil {
		return [2]netip.Addr{}, false
	}
	b, err := netip.ParseAddr(high)
	return [2]netip.Addr{a, b}, err == nil && a.Is4() == b.Is4() && a.Compare(b) <= 0
}

func portsText(value string, bad error) (string, error) {
	for part := range strings.SplitSeq(strings.TrimPrefix(value, "!"), ",") {
		low, high, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(low, 10, 16)
		if err != nil {
			return "", bad
		}
		if b, err := strconv.ParseUint(high, 10, 16); isRange && (err != nil || b < a) {
			return "", bad
		}
	}
	return value, nil
}

// parseRate reads 10M: k, M and G are powers of 1000.
func parseRate(s string) (uint64, bool) {
	factor := uint64(1)
	if len(s) > 1 {
		switch s[len(s)-1] {
		case 'k':
			factor = 1e3
		case 'M':
			factor = 1e6
		case 'G':
			factor = 1e9
		}
	}
	if factor > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 40)
	return n * factor, err == nil
}

var (
	timeParts = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$`)
	timeClock = regexp.MustCompile(`^(?:(\d+)w)?(?:(\d+)d)?(\d+):(\d+)(?::(\d+))?$`)
)

// parseTime reads 1w2d03:04:05, 5m30s, 300ms, or a number of seconds.
func parseTime(s string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if s == "none" {
		return 0, true
	}
	units := []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond}
	m := timeParts.FindStringSubmatch(s)
	if m == nil || s == "" {
		if m = timeClock.FindStringSubmatch(s); m == nil {
			return 0, false
		}
	}
	var d time.Duration
	for i, text := range m[1:] {
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, false
		}
		d += time.Duration(n) * units[i]
	}
	return d, true
}

// timeText writes a duration as RouterOS prints it: 1w2d3h4m5s, 0s for none.
func timeText(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{7 * 24 * time.Hour, "w"}, {24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.length
		}
	}
	return b.String()
}
