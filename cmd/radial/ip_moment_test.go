package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	prague, err := time.LoadLocation("Europe/Prague")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-03 02:14 +01":          "2026-11-03T01:14:00Z",
		"2026-11-03 02:14+01:00":        "2026-11-03T01:14:00Z",
		"2026-11-03 02:14:05.5 +0100":   "2026-11-03T01:14:05.5Z",
		"2026-11-03T02:14:00+01:00":     "2026-11-03T01:14:00Z",
		"2026-11-03t02:14:00z":          "2026-11-03T02:14:00Z",
		" 2026-11-03  02:14 UTC ":       "2026-11-03T02:14:00Z",
		"2026-11-03 02:14":              "2026-11-03T01:14:00Z", // winter
		"2026-07-03 02:14:59":           "2026-07-03T00:14:59Z", // summer
		"2026-07-03":                    "2026-07-02T22:00:00Z",
		"now":                           "2026-11-21T12:00:00Z",
		"90m":                           "2026-11-21T10:30:00Z",
		"7d":                            "2026-11-14T12:00:00Z",
		"2026-10-25 01:59":              "2026-10-24T23:59:00Z", // the hour before the one that is twice
		"2026-10-25 02:00":              `"2026-10-25 02:00 +02:00" or "2026-10-25 02:00 +01:00"`,
		"2026-10-25 02:59:59":           "was twice in Europe/Prague",
		"2026-10-25 03:00":              "2026-10-25T02:00:00Z",
		"2026-03-29 01:59":              "2026-03-29T00:59:00Z",
		"2026-03-29 02:00":              "never was in Europe/Prague",
		"2026-03-29 03:00":              "2026-03-29T01:00:00Z",
		"":                              "is no time",
		"-7d":                           "is no time",
		"03.11.2026 02:14":              "is no time",
		"2026-11-31 02:14":              "is no time",
		"2026-11-03 24:14":              "is no time",
		"2026-11-03 02:14 CET":          "is no time",
		"2026-11-03 02:14 +01 tomorrow": "is no time",
	} {
		got, err := parseMoment(text, prague, now)
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		case got.UTC().Format(time.RFC3339Nano) != want:
			t.Errorf("%q: %s, want %s", text, got.UTC().Format(time.RFC3339Nano), want)
		}
	}
}
