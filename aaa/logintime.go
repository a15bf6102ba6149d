package aaa

import (
	"fmt"
	"strings"
	"time"
)

const (
	dayMinutes  = 24 * 60
	weekMinutes = 7 * dayMinutes
)

// LoginTime is the week's set of minutes of a Login-Time item: one bit a
// minute, from Sunday 00:00 on.
type LoginTime struct {
	bits  [(weekMinutes + 63) / 64]uint64
	whole bool // every minute of the week
}

// loginDays are the codes of a Login-Time and the days that they stand for, in
// the order in which FreeRADIUS tries them; Sunday is 0.
var loginDays = []struct {
	code        string
	first, last int
}{
	{"su", 0, 0}, {"mo", 1, 1}, {"tu", 2, 2}, {"we", 3, 3}, {"th", 4, 4}, {"fr", 5, 5}, {"sa", 6, 6},
	{"wk", 1, 5}, {"any", 0, 6}, {"al", 0, 6},
}

// ParseLoginTime reads a Login-Time value in UUCP's syntax: a list, separated
// by commas or bars, of days (Su Mo Tu We Th Fr Sa, Wk for Monday to Friday, Al
// or Any for all; MoWeFr and Mo-Fr combine them), each followed by nothing (the
// whole day), a minute (0930) or a range (0900-1700). The end minute belongs to
// the range. A range whose end is before its begin wraps at midnight within the
// same day, as in FreeRADIUS: Fr2200-0200 is Friday from 22:00 and Friday until
// 02:00. Parts that cannot be read add nothing, as in FreeRADIUS; when none can
// be read the error names the first. CheckLoginTime is the strict form.
func ParseLoginTime(text string) (LoginTime, error) {
	l, readable, err := parseLoginTime(text)
	if readable > 0 {
		return l, nil
	}
	return LoginTime{}, err
}

// CheckLoginTime refuses a Login-Time value of which any part cannot be read:
// for values that a person is about to store.
func CheckLoginTime(text string) error {
	_, _, err := parseLoginTime(text)
	return err
}

// parseLoginTime returns the minutes of the readable parts, how many those are,
// and an error for the first of the others.
func parseLoginTime(text string) (l LoginTime, readable int, err error) {
	parts := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ',' || r == '|' })
	for _, part := range parts {
		bad := l.add(part)
		if bad == nil {
			readable++
		} else if err == nil {
			err = fmt.Errorf("login time %q: part %q: %w", text, part, bad)
		}
	}
	if len(parts) == 0 {
		err = fmt.Errorf("login time %q is empty: write for instance Wk0900-1700 or Al", text)
	}
	l.whole = true
	for m := range weekMinutes {
		l.whole = l.whole && l.has(m)
	}
	return l, readable, err
}

func (l *LoginTime) add(part string) error {
	digits := strings.IndexAny(part, "0123456789")
	days, hours := part, ""
	if digits >= 0 {
		days, hours = part[:digits], part[digits:]
	}
	if days == "" {
		return fmt.Errorf("days are missing: write Al%s", hours)
	}
	begin, end, err := minuteRange(hours)
	if err != nil {
		return err
	}
	for days != "" {
		first, last, rest, ok := dayRange(days)
		if !ok {
			return fmt.Errorf("%q is not a day: days are Su Mo Tu We Th Fr Sa Wk Al Any", days)
		}
		for day := first; ; day = (day + 1) % 7 {
			l.fill(day, begin, end)
			if day == last {
				break
			}
		}
		days = rest
	}
	return nil
}

// dayRange takes one day code, or two joined by a dash, from the front of s.
// Of Wk-… and Al-… the first alone counts, as in FreeRADIUS.
func dayRange(s string) (first, last int, rest string, ok bool) {
	first, last, rest, ok = dayCode(s)
	if !ok || !strings.HasPrefix(rest, "-") {
		return first, last, rest, ok
	}
	from, to, rest, ok := dayCode(rest[1:])
	if first != last {
		return first, last, rest, ok
	}
	return first, to, rest, ok && from == to
}

func dayCode(s string) (first, last int, rest string, ok bool) {
	for _, d := range loginDays {
		if strings.HasPrefix(s, d.code) {
			return d.first, d.last, s[len(d.code):], true
		}
	}
	return 0, 0, s, false
}

// minuteRange reads HHMM-HHMM, HHMM or nothing as minutes of a day, both ends
// included. 2400 is the last minute.
func minuteRange(s string) (begin, end int, err error) {
	if s == "" {
		return 0, dayMinutes - 1, nil
	}
	from, to, ranged := strings.Cut(s, "-")
	if begin, err = minuteOf(from); err != nil {
		return 0, 0, err
	}
	if !ranged {
		return begin, begin, nil
	}
	end, err = minuteOf(to)
	return begin, end, err
}

func minuteOf(s string) (int, error) {
	bad := fmt.Errorf("%q is not a time of day: write HHMM, for instance 0930", s)
	if len(s) != 4 {
		return 0, bad
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, bad
		}
	}
	hour, minute := int(s[0]-'0')*10+int(s[1]-'0'), int(s[2]-'0')*10+int(s[3]-'0')
	if minute > 59 || hour > 24 {
		return 0, bad
	}
	return min(hour*60+minute, dayMinutes-1), nil
}

func (l *LoginTime) fill(day, begin, end int) {
	for m := begin; ; m = (m + 1) % dayMinutes {
		i := day*dayMinutes + m
		l.bits[i/64] |= 1 << (i % 64)
		if m == end {
			return
		}
	}
}

func (l *LoginTime) has(minute int) bool {
	return l.bits[minute/64]&(1<<(minute%64)) != 0
}

// Left tells whether now, on the wall clock of its own location, is within the
// allowed minutes, and how long that lasts. Like FreeRADIUS it counts whole
// minutes from the current one on, so secs is at least 60 when inside. limited
// is false when every minute of the week is allowed: there is no end then.
func (l LoginTime) Left(now time.Time) (secs int64, limited bool, inside bool) {
	start := int(now.Weekday())*dayMinutes + now.Hour()*60 + now.Minute()
	if !l.has(start) {
		return 0, true, false
	}
	if l.whole {
		return 0, false, true
	}
	for m := start; l.has(m); m = (m + 1) % weekMinutes {
		secs += 60
	}
	return secs, true, true
}
