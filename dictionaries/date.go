package dictionaries

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// dateLayout is how FreeRADIUS prints a date: `Jan  1 2030 00:00:00 UTC`.
const dateLayout = "Jan _2 2006 15:04:05 MST"

var errDate = errors.New("a date such as 1 Jan 2030, or Jan 01 2030 00:00:00, would be right (ISO 8601 is not read here)")

// location is the zone of dates.
func (a *Attribute) location() *time.Location {
	if a.dict == nil || a.dict.Location == nil {
		return time.Local
	}
	return a.dict.Location
}

// parseDate reads a date as FreeRADIUS does: seconds since 1970, or day, month
// name and year in any order, then perhaps hours:minutes[:seconds]. FreeRADIUS
// passes over a zone at the end; here it tells apart the two readings of the
// hour that is repeated when summer time ends, so that what Text prints reads
// back as it was.
func parseDate(text string, loc *time.Location) (uint32, error) {
	words := strings.Fields(text)
	if len(words) == 1 {
		n, err := strconv.ParseUint(words[0], 10, 32)
		if err != nil {
			return 0, errDate
		}
		return uint32(n), nil
	}
	if len(words) < 3 {
		return 0, errDate
	}
	var clock, zone string
	for i, w := range words[:min(4, len(words))] {
		if strings.Contains(w, ":") {
			clock, words = w, append(append([]string(nil), words[:i]...), words[i+1:]...)
			break
		}
	}
	if len(words) < 3 || len(words) > 3 && clock == "" {
		return 0, errDate
	}
	if len(words) > 3 {
		zone = words[3]
	}
	year, month, day, err := parseDay(words[:3])
	if err != nil {
		return 0, err
	}
	h, m, s, err := parseClock(clock)
	if err != nil {
		return 0, err
	}
	t := time.Date(year, month, day, h, m, s, 0, loc)
	if name, _ := t.Zone(); zone != "" && name != zone {
		t = sameClock(t, zone)
	}
	if t.Unix() < 0 || t.Unix() > math.MaxUint32 {
		return 0, errors.New("a date from 1970 to 2106 would be right")
	}
	return uint32(t.Unix()), nil
}

// parseDay finds month name, day and year among three words.
func parseDay(words []string) (year int, month time.Month, day int, err error) {
	var numbers []int
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			numbers = append(numbers, n)
			continue
		}
		if len(w) < 3 {
			return 0, 0, 0, errDate
		}
		for m := time.January; m <= time.December; m++ {
			if strings.EqualFold(m.String()[:3], w[:3]) {
				month = m
			}
		}
	}
	if len(numbers) != 2 || month == 0 {
		return 0, 0, 0, errDate
	}
	if year, day = numbers[0], numbers[1]; year < 1900 {
		year, day = day, year
	}
	if year < 1900 || day < 1 || day > 31 {
		return 0, 0, 0, errDate
	}
	return year, month, day, nil
}

// parseClock reads hours:minutes[:seconds]; "" is midnight, 24:00 the next one.
func parseClock(text string) (h, m, s int, err error) {
	if text == "" {
		return 0, 0, 0, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return 0, 0, 0, errDate
	}
	for i, limit := range []uint64{24, 59, 60}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 8)
		if err != nil || n > limit {
			return 0, 0, 0, errDate
		}
		switch i {
		case 0:
			h = int(n)
		case 1:
			m = int(n)
		case 2:
			s = int(n)
		}
	}
	return h, m, s, nil
}

// sameClock returns the other instant that shows the same wall clock, if there
// is one in this zone, else t.
func sameClock(t time.Time, zone string) time.Time {
	for _, d := range []time.Duration{-time.Hour, time.Hour, -30 * time.Minute, 30 * time.Minute} {
		u := t.Add(d)
		if name, _ := u.Zone(); name == zone && u.Hour() == t.Hour() && u.Minute() == t.Minute() {
			return u
		}
	}
	return t
}
