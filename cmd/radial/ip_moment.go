package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The forms of a time with its distance from UTC, and without. Go reads
// fractions of a second wherever it reads seconds.
const (
	clockSeconds = "2006-01-02 15:04:05"
	clockMinutes = "2006-01-02 15:04"
	clockDate    = "2006-01-02"
)

// parseMoment reads a time as people write it: with its distance from UTC, or
// a wall clock's in zone, which must then have shown it once. A date alone is
// its midnight, and 24h or 7d is so long before now.
func parseMoment(text string, zone *time.Location, now time.Time) (time.Time, error) {
	s := strings.TrimSpace(text)
	if s == "now" {
		return now, nil
	}
	if ago, ok := parseAgo(s); ok {
		return now.Add(-ago), nil
	}
	s = strings.ToUpper(s)
	if len(s) > 10 && s[10] == 'T' {
		s = s[:10] + " " + s[11:]
	}
	fields := strings.Fields(s)
	if len(fields) == 3 { // a blank before +01
		fields = []string{fields[0], fields[1] + strings.NewReplacer("UTC", "Z", "GMT", "Z").Replace(fields[2])}
	}
	s = strings.Join(fields, " ")
	for _, clock := range []string{clockSeconds, clockMinutes} {
		for _, offset := range []string{"Z07:00", "Z0700", "Z07"} {
			if t, err := time.Parse(clock+offset, s); err == nil {
				return t, nil
			}
		}
	}
	for _, clock := range []string{clockSeconds, clockMinutes, clockDate} {
		if wall, err := time.Parse(clock, s); err == nil {
			return onTheWall(wall, zone)
		}
	}
	return time.Time{}, fmt.Errorf(`%q is no time: write "2026-11-03 02:14 +01", 2026-11-03T02:14:00+01:00, or "2026-11-03 02:14" for the clocks of %s`, text, zone)
}

// onTheWall finds when the clocks of a zone showed what wall says as UTC. In
// the hour that comes twice in autumn that must be said, and the one that spring
// leaves out never was: whoever asks about it has another time in mind.
func onTheWall(wall time.Time, zone *time.Location) (time.Time, error) {
	var found []time.Time
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if t.Format(clockSeconds) == wall.Format(clockSeconds) && (len(found) == 0 || !found[0].Equal(t)) {
			found = append(found, t)
		}
	}
	shown := wall.Format(clockMinutes)
	switch len(found) {
	case 1:
		return found[0], nil
	case 2:
		return time.Time{}, fmt.Errorf("%s was twice in %s: write %q or %q", shown, zone,
			found[0].Format(clockMinutes+" -07:00"), found[1].Format(clockMinutes+" -07:00"))
	}
	return time.Time{}, fmt.Errorf("%s never was in %s, where clocks were put forward: write it with its distance from UTC, such as %q", shown, zone, shown+" +00")
}

// parseAgo reads a duration such as 90m or 7d.
func parseAgo(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// moment reads the value of a flag; empty is the zero time.
func moment(flag, text string, zone *time.Location, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := parseMoment(text, zone, now)
	if err != nil {
		return t, usagef("--%s: %w", flag, err)
	}
	return t, nil
}

// stamp prints a time with its distance from UTC, so that it can be quoted.
func stamp(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(zone).Format("2006-01-02 15:04:05 -0700")
}

// period reads --since and --until; an empty one is the zero time.
func period(since, until string, zone *time.Location, now time.Time) (from, to time.Time, err error) {
	if from, err = moment("since", since, zone, now); err != nil {
		return from, to, err
	}
	if to, err = moment("until", until, zone, now); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usagef("--since %s is not before --until %s", stamp(from, zone), stamp(to, zone))
	}
	return from, to, nil
}
