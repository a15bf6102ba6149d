package aaa

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrDateForm is what a date that FreeRADIUS would not read is refused with.
var ErrDateForm = errors.New("write a date as \"30 Nov 2026\" or \"30 Nov 2026 23:00:00\"")

// ParseExpiration reads the value of an Expiration item (or any date) as
// FreeRADIUS 3.2 does, wall clock times in loc:
//
//	1 Jan 2030             midnight at the beginning of that day
//	Jan 01 2030 00:00:00   day, month and year in any order, the year in full
//	21 Nov 2026 23:00      seconds may be left out
//	1893456000             Unix seconds
//
// Like FreeRADIUS it reads of each number the digits that it begins with ("1st",
// "1,"), carries what is too large over (31 Feb is 3 Mar), and ignores what
// follows the fourth field (such as the time zone that FreeRADIUS prints).
// Unlike FreeRADIUS it does not cut the result to 32 bits. Everything else, ISO
// 8601 included, is an error that wraps ErrDateForm or, for an ISO date, names
// the form that works.
func ParseExpiration(text string, loc *time.Location) (time.Time, error) {
	if secs, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Unix(int64(secs), 0).In(loc), nil
	}
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) < 3 {
		return time.Time{}, dateError(text, loc)
	}
	var hms [3]int
	if len(fields) > 3 {
		var clock string
		fields, clock = splitClock(fields[:4])
		var ok bool
		if hms, ok = clockTime(clock); !ok {
			return time.Time{}, dateError(text, loc)
		}
	}
	year, month, day, ok := calendarDay(fields)
	if !ok {
		return time.Time{}, dateError(text, loc)
	}
	return time.Date(year, month, day, hms[0], hms[1], hms[2], 0, loc), nil
}

// splitClock takes the field with a colon out of four, wherever it stands.
func splitClock(fields []string) (date []string, clock string) {
	for i, f := range fields[:3] {
		if strings.Contains(f, ":") {
			date = append(append(append(date, fields[:i]...), fields[3]), fields[i+1:3]...)
			return date, f
		}
	}
	return fields[:3], fields[3]
}

// calendarDay reads the three fields of a date. The month is the one that
// begins with a letter; of the other two the year is the one from 1900 on.
func calendarDay(f []string) (year int, month time.Month, day int, ok bool) {
	var numbers []int
	for _, s := range f {
		if c := s[0] | 0x20; c >= 'a' && c <= 'z' {
			if month != 0 {
				return 0, 0, 0, false
			}
			if month = monthNamed(s); month == 0 {
				return 0, 0, 0, false
			}
			continue
		}
		numbers = append(numbers, leadingNumber(s))
	}
	if month == 0 || len(numbers) != 2 {
		return 0, 0, 0, false
	}
	year, day = numbers[0], numbers[1]
	if year < 1900 {
		year, day = day, year
	}
	return year, month, day, year >= 1900 && day >= 1 && day <= 31
}

// monthNamed compares the first three letters alone: "Nov" and "November".
func monthNamed(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(s[:3], m.String()[:3]) {
			return m
		}
	}
	return 0
}

// clockTime reads HH:MM or HH:MM:SS.
func clockTime(s string) (hms [3]int, ok bool) {
	parts := strings.Split(s, ":")
	for i, p := range parts[:min(len(parts), 3)] {
		hms[i] = leadingNumber(p)
	}
	return hms, len(parts) > 1
}

// leadingNumber is C's atoi for the numbers of a date: the digits that s begins
// with, 0 for none.
func leadingNumber(s string) (n int) {
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9' && n < 1e6; i++ {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func dateError(text string, loc *time.Location) error {
	if t, ok := parseISO(text, loc); ok {
		return fmt.Errorf("date %q is not in a form that FreeRADIUS reads: write %q", text, FormatExpiration(t, loc))
	}
	return fmt.Errorf("date %q: %w", text, ErrDateForm)
}

// FormatExpiration writes t, in whole seconds of loc's wall clock, in the form
// that FreeRADIUS writes and reads: "Nov 30 2026 23:00:00".
func FormatExpiration(t time.Time, loc *time.Location) string {
	return t.In(loc).Format("Jan 02 2006 15:04:05")
}

// ParseISOOrFreeRADIUS reads a date as a person gives it to the command line or
// the API: ISO 8601 (2026-11-30, with or without a time, with or without a
// zone), or any form of ParseExpiration. Store it by FormatExpiration.
func ParseISOOrFreeRADIUS(text string, loc *time.Location) (time.Time, error) {
	if t, ok := parseISO(text, loc); ok {
		return t, nil
	}
	t, err := ParseExpiration(text, loc)
	if err != nil {
		return time.Time{}, fmt.Errorf("date %q: write 2026-11-30, 2026-11-30T23:00 or \"30 Nov 2026 23:00\"", text)
	}
	return t, nil
}

func parseISO(text string, loc *time.Location) (time.Time, bool) {
	for _, form := range []string{
		time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.RFC3339, "2006-01-02T15:04Z07:00",
	} {
		if t, err := time.ParseInLocation(form, text, loc); err == nil {
			return t.In(loc), true
		}
	}
	return time.Time{}, false
}
