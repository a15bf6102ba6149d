package test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// quotaEffects are those of counters and quotas. A limit that lasts beyond the
// reset gives the time to the reset and the whole limit on top.
func quotaEffects() effectGroup {
	const limit = 100_000_000 // s, over three years
	toReset := func(t *testing.T, w *world, user, item string) time.Duration {
		t.Helper()
		w.user(user, [4]string{"radcheck", item, ":=", "100000000"})
		w.settled(t)
		got := values(w.login(t, user), sessionTimeout)
		if len(got) != 1 || len(got[0]) != 4 {
			t.Fatalf("Session-Timeout %q", got)
		}
		return time.Duration(binary.BigEndian.Uint32([]byte(got[0]))-limit) * time.Second
	}
	near := func(t *testing.T, got time.Duration, reset time.Time) {
		t.Helper()
		if want := time.Until(reset); (got - want).Abs() > 10*time.Second {
			t.Errorf("it begins again in %v, want %v", got, want)
		}
	}
	return effectGroup{
		name: "quotas",
		set:  map[string]string{"counters.week_begins": "monday", "counters.month_day": "17", "quota.message": "ask for more"},
		effects: map[string]func(*testing.T, *world){
			"counters.week_begins": func(t *testing.T, w *world) {
				now := time.Now().UTC() // wireServer's zone
				days := (8 - int(now.Weekday())) % 7
				if days == 0 {
					days = 7
				}
				near(t, toReset(t, w, "weekly", "Max-Weekly-Session"), time.Date(now.Year(), now.Month(), now.Day()+days, 0, 0, 0, 0, time.UTC))
			},
			"counters.month_day": func(t *testing.T, w *world) {
				now := time.Now().UTC()
				reset := time.Date(now.Year(), now.Month(), 17, 0, 0, 0, 0, time.UTC)
				if !reset.After(now) {
					reset = reset.AddDate(0, 1, 0)
				}
				near(t, toReset(t, w, "monthly", "Max-Monthly-Session"), reset)
			},
			"quota.message": func(t *testing.T, w *world) {
				w.user("eager")
				w.db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets) VALUES ('user', 'eager', 'ever', 'total', 1000)`)
				w.db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctsessiontime, acctinputoctets, acctoutputoctets)
					VALUES ('eager', 'eager', 'eager', '10.0.0.1', now() - interval '1 minute', now(), 60, 400, 600)`)
				w.settled(t)
				reply := w.login(t, "eager")
				if got := values(reply, replyMessage); reply[0] != accessReject || !slices.Equal(got, []string{"ask for more"}) || !w.rejected(t, "data_used_up") {
					t.Errorf("code %d, %q", reply[0], got)
				}
			},
		},
	}
}
