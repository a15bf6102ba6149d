package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"radial/load"
	"radial/store/storetest"
	"radial/test/harness"
)

var long = flag.Bool("long", false, "20 rounds instead of 10")

const users = 2000

// TestKill9: the server is killed at random moments under accounting load, at
// least 5,000 acknowledgements after the last time, and started again. In the
// end each session's row holds at least the counters, times and state of its
// last acknowledged packet.
func TestKill9(t *testing.T) {
	rounds := 10
	if *long {
		rounds = 20
	}
	if testing.Short() {
		rounds = 2
	}
	db := storetest.New(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	seed(t, server, db)
	restart := harness.Config{DatabaseURL: db.URL(), DataDir: server.DataDir, Set: map[string]string{
		"RADIAL_RADIUS_AUTH_LISTEN": server.Auth, "RADIAL_RADIUS_ACCT_LISTEN": server.Acct,
	}}

	o := load.DefaultOptions()
	o.Mode, o.Secret, o.Users, o.Window, o.KeepSessions = load.Session, "kill-s3cret", users, 128, true
	o.Auth, o.Acct = netip.MustParseAddrPort(server.Auth), netip.MustParseAddrPort(server.Acct)
	o.Duration, o.Timeout, o.Tries, o.Seed = time.Hour, 300*time.Millisecond, 400, uint64(time.Now().UnixNano())
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

	for round := range rounds {
		target := progress.Acknowledged() + 5000 + uint64(rand.IntN(500))
		harness.Eventually(t, 2*time.Minute, fmt.Sprintf("round %d: 5,000 acknowledgements", round), func() bool { return progress.Acknowledged() >= target })
		server.Kill(t)
		server = harness.Start(t, restart)
	}
	progress.Finish()
	out := <-ended
	if out.err != nil {
		t.Fatal(out.err)
	}
	t.Logf("%d kills, %d acknowledged, %d sent again, %d late", rounds, out.res.Acknowledged, out.res.Retransmitted, out.res.Stray)
	if out.res.GivenUp > 0 || out.res.BadAuthenticator > 0 || out.res.Rejected > 0 || out.res.DoubleAddress > 0 {
		t.Errorf("result %+v", out.res.Counts)
	}
	drained(t, server)
	compare(t, db, out.res.Sessions)
}

// drained waits until nothing is in a server's journal: a database that was too
// slow for a moment is enough to have something there.
func drained(t *testing.T, servers ...*harness.Server) {
	t.Helper()
	for _, s := range servers {
		harness.Eventually(t, time.Minute, "the journal is drained", func() bool { return s.Metric(t, "radial_journal_bytes") == 0 })
	}
}

// seed provisions a NAS, a pool and users, all by what an operator would use.
func seed(t *testing.T, server *harness.Server, db *storetest.DB) {
	t.Helper()
	for _, args := range [][]string{
		{"nas", "add", "127.0.0.0/8", "--secret", "kill-s3cret", "--type", "mikrotik"},
		{"pool", "add", "kill", "--cidr", "100.80.0.0/20"},
	} {
		if out := server.Radial(t, args...); out.Code != 0 {
			t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
		}
	}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT format('u%s', lpad(i::text, 6, '0')), a, ':=', replace(v, '#', lpad(i::text, 6, '0'))
		FROM generate_series(0, $1::int - 1) i, (VALUES ('Cleartext-Password', 'pw#'), ('Pool-Name', 'kill')) x(a, v)`, users)
}

// compare holds what was acknowledged, and what was sent at most, against the rows.
func compare(t *testing.T, db *storetest.DB, sessions []load.SessionState) {
	t.Helper()
	compareAtLeast(t, db, 200, sessions)
}

// compareAtLeast wants so many sessions: fewer would not show anything.
func compareAtLeast(t *testing.T, db *storetest.DB, least int, sessions []load.SessionState) {
	t.Helper()
	type row struct {
		n                      int
		stopped                bool
		seconds, input, output int64
	}
	rows := map[string]row{}
	for _, r := range db.Rows(`SELECT acctsessionid, username, acctstoptime IS NOT NULL, coalesce(acctsessiontime, 0), coalesce(acctinputoctets, 0), coalesce(acctoutputoctets, 0) FROM radacct`) {
		key := r[0] + "/" + r[1]
		number := func(i int) int64 {
			n, err := strconv.ParseInt(r[i], 10, 64)
			if err != nil {
				t.Fatalf("row %v: %v", r, err)
			}
			return n
		}
		rows[key] = row{n: rows[key].n + 1, stopped: r[2] == "t" || r[2] == "true", seconds: number(3), input: number(4), output: number(5)}
	}
	if len(sessions) < least {
		t.Fatalf("only %d sessions acknowledged", len(sessions))
	}
	bad := 0
	for _, s := range sessions {
		got := rows[s.SessionID+"/"+s.User]
		lost := got.n == 0 || s.Stopped && !got.stopped || got.seconds < int64(s.Seconds) || got.input < int64(s.Input) || got.output < int64(s.Output)
		double := got.n > 1 || got.input > int64(s.SentInput) || got.output > int64(s.SentOutput)
		if lost || double {
			if bad++; bad <= 10 {
				t.Errorf("acknowledged %+v, stored %+v", s, got)
			}
		}
	}
	if bad > 10 {
		t.Errorf("and %d more sessions of %d", bad-10, len(sessions))
	}
	compareUsage(t, db)
	t.Logf("%d sessions compared", len(sessions))
}

// compareUsage holds what users are said to have used against their sessions:
// each octet is in the ledger of usage once.
func compareUsage(t *testing.T, db *storetest.DB) {
	t.Helper()
	wrong := db.Rows(`
		SELECT coalesce(a.username, d.username), coalesce(a.folded, 0), coalesce(d.counted, 0)
		FROM (SELECT r.username, sum(CASE WHEN s.radacctid IS NOT NULL THEN s.input + s.output WHEN r.acctstoptime IS NOT NULL THEN r.acctinputoctets + r.acctoutputoctets ELSE 0 END) AS folded
		      FROM radacct r LEFT JOIN radial.usage_session s USING (radacctid) GROUP BY r.username) a
		FULL JOIN (SELECT username, sum(input + output) AS counted FROM radial.usage_daily GROUP BY username) d USING (username)
		WHERE coalesce(a.folded, 0) <> coalesce(d.counted, 0) LIMIT 10`)
	for _, r := range wrong {
		t.Errorf("usage of %s: sessions come to %s octets, %s are counted", r[0], r[1], r[2])
	}
	if n := db.Rows(`SELECT count(*) FROM radial.usage_daily WHERE input + output > 0`)[0][0]; n == "0" {
		t.Error("no usage is counted")
	}
}
