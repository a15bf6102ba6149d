package faults

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"radial/load"
	"radial/store/storetest"
	"radial/test/harness"
)

// TestOutageAtARate: the database is away for a while at a steady rate of
// accounting and of logins of known users. All accounting is answered, logins
// are answered from memory, and when it is back the journal is drained soon, and
// every row is right. The long form has the figures that docs/performance.md
// states.
func TestOutageAtARate(t *testing.T) {
	accounting, logins, outage := 200.0, 50.0, 5*time.Second
	if *long {
		accounting, logins, outage = 1000, 200, 30*time.Second
	}
	db := storetest.NewOwn(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_POLICY_OUTAGE": "cached"}})
	radial(t, server, "nas", "add", "127.0.0.0/8", "--secret", "kill-s3cret", "--type", "mikrotik")
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT format('u%s', lpad(i::text, 6, '0')), 'Cleartext-Password', ':=', format('pw%s', lpad(i::text, 6, '0'))
		FROM generate_series(0, $1::int - 1) i`, users)
	o := load.DefaultOptions()
	o.Secret, o.Users, o.Seed = "kill-s3cret", users, uint64(time.Now().UnixNano())
	o.Auth, o.Acct = netip.MustParseAddrPort(server.Auth), netip.MustParseAddrPort(server.Acct)
	o.Duration, o.Timeout, o.Tries = time.Hour, time.Second, 60

	known := o
	known.Count = users
	harness.Eventually(t, time.Minute, "the server has all users in memory", func() bool {
		if _, err := load.Run(t.Context(), known, nil); err != nil {
			t.Fatal(err)
		}
		return server.Metric(t, "radial_policy_cache_entries") >= users
	})
	o.Mode, o.Rate, o.KeepSessions = load.Acct, accounting, true
	acct := background(o)
	o.Mode, o.Rate, o.KeepSessions = load.PAP, logins, false
	auth := background(o)
	<-time.After(2 * time.Second)
	db.Kill()
	<-time.After(outage)
	held := server.Metric(t, "radial_journal_records")
	db.Start()
	back := time.Now()
	drained(t, server)
	after := time.Since(back)
	<-time.After(2 * time.Second)
	a, l := acct(t), auth(t)
	drained(t, server)
	memory := server.Metric(t, "radial_logins_from_memory_total", `answer="accept"`)
	t.Logf("outage of %v: %v records in the journal, drained %v after the return", outage, held, after.Round(time.Millisecond))
	for _, r := range []*load.Result{a, l} {
		t.Logf("%s: %.0f/s asked, %d answered, %d sent again, %d given up; %+v", r.Mode, r.Asked, r.Answered, r.Retransmitted, r.GivenUp, r.Latency)
	}
	t.Logf("%v logins from memory", memory)
	if a.GivenUp+l.GivenUp+a.BadAuthenticator+l.BadAuthenticator+l.Rejected > 0 || memory < logins*outage.Seconds()/2 {
		t.Errorf("accounting %+v, logins %+v", a.Counts, l.Counts)
	}
	if *long && (a.Retransmitted > 0 || a.P99 > 300*time.Millisecond || l.P99 > 300*time.Millisecond || after > 10*time.Second) {
		t.Error("a time-out of accounting, a p99 above 300 ms, or a journal that was not empty after 10 s")
	}
	compare(t, db.DB, a.Sessions)
}

// background runs a load, and returns what ends it and gives its result.
func background(o load.Options) func(t *testing.T) *load.Result {
	watching := make(chan load.Progress, 1)
	type outcome struct {
		res *load.Result
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		res, err := load.Run(context.Background(), o, func(p load.Progress) { watching <- p })
		ended <- outcome{res, err}
	}()
	progress := <-watching
	return func(t *testing.T) *load.Result {
		t.Helper()
		progress.Finish()
		out := <-ended
		if out.err != nil {
			t.Fatal(out.err)
		}
		return out.res
	}
}
