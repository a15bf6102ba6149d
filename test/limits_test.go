package test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// A session that runs gets what its user has paid for: its device is told the new
// end of time and volume, and does not end it at those of its login.
func TestLimitsFollow(t *testing.T) {
	s, db := wireServer(t, nil)
	env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "SUDO_USER=operator"}
	cli := func(args ...string) { t.Helper(); must(t, harness.CLI(t, env, args...)) }
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	cli("user", "add", "alice", "--password", "p", "--quota", "10M:month", "--expires", day(3), "--reply", "Mikrotik-Rate-Limit := 5M/20M")
	r := playRouter(t, s, env, "127.0.0.35")
	alice := r.dialAll(t, []string{"alice"})[0]
	harness.Eventually(t, patience, "she is online", func() bool { return online(db, "alice") == "1" })
	transfer := func(up, down uint64) {
		t.Helper()
		if err := alice.Transfer(t.Context(), up, down); err != nil {
			t.Fatal(err)
		}
		if err := alice.Interim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	transfer(1e6, 5e6)
	harness.Eventually(t, patience, "her usage is known", func() bool {
		return db.Rows(`SELECT acctinputoctets + acctoutputoctets FROM radacct WHERE username = 'alice'`)[0][0] == "6000000"
	})
	told := func(attribute string) (last int) {
		for _, text := range r.Asked() {
			if n := regexp.MustCompile(attribute + `=(\d+)`).FindStringSubmatch(text); n != nil {
				last, _ = strconv.Atoi(n[1])
			}
		}
		return last
	}

	cli("user", "topup", "alice", "100M")
	within(t, "the volume that she has now, from the session's beginning", func() bool { return told("Mikrotik-Total-Limit") == 110_000_000 })
	transfer(10e6, 50e6) // more than she had at her login
	if alice.Ended() {
		t.Fatal("her session has ended at the volume of its login")
	}
	cli("user", "renew", "alice", "--until", day(40))
	within(t, "the end that she has now", func() bool { n := told("Session-Timeout"); return n > 39*86400 && n < 42*86400 })
	asked := len(r.Asked())
	cli("user", "set", "alice", "--email", "a@example.net") // which is none of the router's business
	if text := fmt.Sprint(r.Asked()); len(r.Asked()) != asked || strings.Contains(text, "Rate-Limit") || strings.Contains(text, "Disconnect") {
		t.Errorf("asked %s", text)
	}

	// A device that does not take it keeps the session; so does what is known of it.
	r.Incoming(routeros.Incoming{NAK: 401})
	cli("user", "topup", "alice", "1M")
	within(t, "the refusal", func() bool {
		return slices.Contains(outcomes(t, env, "alice"), "session.change unsupported by cli:operator")
	})
	harness.Eventually(t, patience, "the job says so", func() bool {
		return db.Rows(`SELECT count(*) FROM radial.river_job WHERE kind = 'limit_user' AND state = 'cancelled'`)[0][0] == "1"
	})
	if alice.Ended() || online(db, "alice") != "1" {
		t.Error("her session has ended for that")
	}
	r.Incoming(routeros.Incoming{})
	cli("user", "set", "alice", "--status", "suspended")
	within(t, "suspended", alice.Ended)
	if got := db.Rows(`SELECT count(*) FROM radial.audit WHERE key = 'alice' AND detail ->> 'why' LIKE 'user.%: what is left of time and volume'`)[0][0]; got != "3" {
		t.Errorf("%s limits in the audit", got)
	}
}
