package store

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a minute of the day of these tests.
func clock(hhmm string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-11-03 "+hhmm)
	if err != nil {
		panic(err)
	}
	return t
}

// changes reads rows, "12:00 bound alice 7": when, what, whose, and of which
// session ("-": none), in the order in which they were told.
func changes(text string) []AddressChange {
	var all []AddressChange
	for line := range strings.SplitSeq(text, ",") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		c := AddressChange{ID: int64(len(all) + 1), At: clock(f[0]), VRF: 1, Address: netip.MustParsePrefix("192.0.2.1/32"), Action: f[1]}
		if len(f) > 2 {
			c.User = f[2]
		}
		if len(f) > 3 {
			c.RadacctID, _ = strconv.ParseInt(f[3], 10, 64)
		}
		all = append(all, c)
	}
	return all
}

// answer is a Tenure in one line.
func answer(t Tenure) string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return "?"
		}
		return t.Format("15:04")
	}
	end := at(t.Until)
	if t.Now {
		end = "now"
	}
	text := fmt.Sprintf("%s %s %s-%s", t.State, t.User, at(t.Since), end)
	if t.End != "" {
		text += " " + t.End
	}
	return text
}

func TestTenureAt(t *testing.T) {
	bound := func(user string, id int64) *Tenure {
		return &Tenure{State: TenureBound, Since: clock("09:00"), Party: Party{User: user, RadacctID: id}}
	}
	const day = "10:00 bound alice 1, 11:00 released alice 1, 12:00 bound bob 2"
	for _, c := range []struct {
		name, rows, at, want string
		row                  *Tenure
	}{
		{"within a session", day, "10:30", "bound alice 10:00-11:00 released", nil},
		{"the moment of the start is the holder's", day, "10:00", "bound alice 10:00-11:00 released", nil},
		{"the moment of the end is not", day, "11:00", "free alice 11:00-12:00 released", nil},
		{"between two", day, "11:30", "free alice 11:00-12:00 released", nil},
		{"still held", day, "12:30", "bound bob 12:00-now", bound("bob", 2)},
		{"the lease is gone, and nobody wrote why", day, "12:30", "bound bob 12:00-?", &Tenure{State: TenureFree}},
		{"the pool is gone", day, "12:30", "bound bob 12:00-?", nil},
		{"before the first row", day, "09:30", "unknown  ?-10:00", nil},

		{"a take-over ends the one before", "10:00 bound alice 1, 10:20 taken_over alice 2, 11:00 released alice 2", "10:10", "bound alice 10:00-10:20 taken_over", nil},
		{"and begins the one after", "10:00 bound alice 1, 10:20 taken_over alice 2, 11:00 released alice 2", "10:30", "bound alice 10:20-11:00 released", nil},
		{"the replaced session's Stop ends nothing", "10:00 bound alice 1, 10:20 taken_over alice 2, 10:25 released alice 1", "10:30", "bound alice 10:20-now", bound("alice", 2)},

		{"told out of order", "12:00 bound bob 2, 10:00 bound alice 1, 11:00 released alice 1", "10:30", "bound alice 10:00-11:00 released", nil},
		{"a clock that is ahead: alice's end comes after bob's beginning", "10:00 bound alice 1, 10:25 released alice 1, 10:20 bound bob 2", "10:40", "bound bob 10:20-now", bound("bob", 2)},
		{"and alice had it until bob did", "10:00 bound alice 1, 10:25 released alice 1, 10:20 bound bob 2", "10:10", "bound alice 10:00-10:20 bound", nil},
		{"a session that ended before it began", "10:05 bound alice 1, 10:00 released alice 1", "10:30", "free alice 10:05-now released", nil},
		{"the same minute", "10:00 bound alice 1, 10:00 released alice 1, 10:00 bound bob 2", "10:00", "bound bob 10:00-now", bound("bob", 2)},

		{"reserved", "10:00 reserved carol, 11:00 unreserved carol", "10:30", "reserved carol 10:00-11:00 unreserved", nil},
		{"still reserved", "10:00 reserved carol", "10:30", "reserved carol 10:00-now", &Tenure{State: TenureReserved, Party: Party{User: "carol"}}},
		{"a session's end ends no reservation", "10:00 reserved carol, 10:10 released carol", "10:30", "reserved carol 10:00-?", nil},
		{"an operator's release has no session", "10:00 bound alice 1, 10:30 released", "10:40", "free alice 10:30-now released", nil},
		{"expired", "10:00 bound alice 1, 10:30 expired alice 1", "10:20", "bound alice 10:00-10:30 expired", nil},

		{"the beginning is kept no longer, the end is", "11:00 released alice 1", "10:00", "bound alice ?-11:00 released", nil},
		{"of which nothing but the end is left", "11:00 released alice 1", "11:30", "free alice 11:00-now released", nil},
		{"a reservation likewise", "11:00 unreserved carol", "10:00", "reserved carol ?-11:00 unreserved", nil},
		{"no history, and a holder", "", "10:00", "bound alice 09:00-now", bound("alice", 1)},
		{"no history, before the holder", "", "08:00", "unknown  ?-09:00", bound("alice", 1)},
		{"no history, nobody", "", "08:00", "unknown  ?-?", &Tenure{State: TenureFree}},
		{"reserved since nobody knows when", "", "08:00", "reserved carol ?-now", &Tenure{State: TenureReserved, Party: Party{User: "carol"}}},
		{"an offer of now", "10:00 bound alice 1, 11:00 released alice 1", "12:00", "offered dave 11:59-now", &Tenure{State: TenureOffered, Since: clock("11:59"), Party: Party{User: "dave"}}},
		{"the row knows better", "10:00 bound alice 1, 11:00 released alice 1", "12:00", "bound bob 09:00-now", bound("bob", 2)},
		{"is none of a minute before", "10:00 bound alice 1, 11:00 released alice 1", "11:58", "free alice 11:00-11:59 released", &Tenure{State: TenureOffered, Since: clock("11:59"), Party: Party{User: "dave"}}},
	} {
		var before, after []AddressChange
		for _, r := range changes(c.rows) {
			if r.At.After(clock(c.at)) {
				after = append(after, r)
			} else {
				before = append(before, r, r) // twice makes no difference
			}
		}
		if got := answer(tenureAt(clock(c.at), before, after, c.row)); got != c.want {
			t.Errorf("%s: at %s %s, want %s", c.name, c.at, got, c.want)
		}
	}
}

// Whatever order the rows of an honest day are told in, everybody is found
// where he was.
func TestTenureOfAnyDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rows []AddressChange
		holder := map[int]string{} // by minute
		minute := 0
		for n := range rapid.IntRange(1, 12).Draw(t, "sessions") {
			user := fmt.Sprint("user", n%3)
			minute += rapid.IntRange(1, 30).Draw(t, "pause")
			length := rapid.IntRange(1, 30).Draw(t, "length")
			party := Party{User: user, RadacctID: int64(n + 1)}
			rows = append(rows, AddressChange{At: clock("00:00").Add(time.Duration(minute) * time.Minute), Action: "bound", Party: party})
			for range length {
				holder[minute] = user
				minute++
			}
			rows = append(rows, AddressChange{At: clock("00:00").Add(time.Duration(minute) * time.Minute), Action: "released", Party: party})
		}
		for i, id := range rapid.Permutation(numbers(len(rows))).Draw(t, "told as") {
			rows[i].ID = int64(id + 1)
		}
		m := rapid.IntRange(0, minute+5).Draw(t, "asked")
		at := clock("00:00").Add(time.Duration(m) * time.Minute)
		var before, after []AddressChange
		for _, r := range rows {
			if r.At.After(at) {
				after = append(after, r)
			} else {
				before = append(before, r)
			}
		}
		got := tenureAt(at, before, after, nil)
		if got.Held() != (holder[m] != "") || got.Held() && got.User != holder[m] {
			t.Fatalf("at %d %s, want %q; rows %v", m, answer(got), holder[m], rows)
		}
	})
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
