package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

// TestStartWithoutPostgreSQL: a server that has been up before starts while
// PostgreSQL is stopped, answers accounting of the devices that it knows and nobody
// else's, and joins the database when that is there and its schema is right.
func TestStartWithoutPostgreSQL(t *testing.T) {
	db := storetest.NewOwn(t)
	first := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	known := filepath.Join(first.DataDir, "known-devices")
	before, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	radial(t, first, "nas", "add", "127.0.0.1", "--secret", "kill-s3cret", "--type", "mikrotik")
	radial(t, first, "user", "add", "alice", "--password", "wonderland")
	harness.Eventually(t, 20*time.Second, "the device is kept", func() bool {
		now, err := os.ReadFile(known)
		return err == nil && len(now) > len(before)
	})
	if st, err := os.Stat(known); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	first.Stop(t)
	// an older schema, which the server is told not to migrate
	db.Exec(`CREATE TABLE public.newest AS SELECT * FROM radial.goose_db_version WHERE version_id = (SELECT max(version_id) FROM radial.goose_db_version)`)
	db.Exec(`DELETE FROM radial.goose_db_version WHERE version_id IN (SELECT version_id FROM public.newest)`)
	db.Kill()

	s := harness.Start(t, harness.Config{DatabaseURL: db.URL(), DataDir: first.DataDir, Set: map[string]string{"RADIAL_DATABASE_MIGRATE": "false"}})
	client := func(args ...string) bool {
		t.Helper()
		out := s.Radial(t, append(append([]string{"client"}, args...), "--secret", "kill-s3cret", "--tries", "2", "--timeout", "2s")...)
		if out.Code == 2 {
			t.Fatal(out.Stderr)
		}
		return out.Code == 0
	}
	acct := func(kind, session string, more ...string) bool {
		t.Helper()
		return client(append([]string{"acct", kind, "alice", "--server", s.Acct, "--session-id", session}, more...)...)
	}
	if !client("status", "--server", s.Acct) {
		t.Error("Status-Server is not answered")
	}
	if !acct("start", "s1") || !acct("stop", "s1") || !acct("start", "s2") {
		t.Error("accounting is not answered")
	}
	if acct("start", "s3", "--local", "127.0.0.9") {
		t.Error("accounting of an unknown device is answered")
	}
	if n := s.Metric(t, "radial_journal_records"); n != 3 {
		t.Errorf("%v records in the journal, want 3", n)
	}
	if client("auth", "alice", "--server", s.Auth, "--password", "wonderland") {
		t.Error("a login is answered without the database")
	}

	db.Start()
	told := func() bool { return strings.Contains(strings.Join(s.Logs(), "\n"), "run radial migrate up") }
	harness.Eventually(t, 20*time.Second, "the log tells of the schema", told)
	if !acct("start", "s4") || s.Metric(t, "radial_journal_records") != 4 {
		t.Error("accounting goes on into the journal while the schema is not right")
	}
	db.Exec(`INSERT INTO radial.goose_db_version SELECT * FROM public.newest`)
	harness.Eventually(t, 20*time.Second, "the journal is drained", func() bool { return s.Metric(t, "radial_journal_bytes") == 0 })
	rows := db.Rows(`SELECT acctsessionid, username, acctstoptime IS NOT NULL FROM radacct ORDER BY 1`)
	if got, want := strings.Join(flat(rows), " "), "s1 alice t s2 alice f s4 alice f"; got != want {
		t.Errorf("radacct has %s, want %s", got, want)
	}
	harness.Eventually(t, 20*time.Second, "logins are answered", func() bool {
		return client("auth", "alice", "--server", s.Auth, "--password", "wonderland")
	})
	radial(t, s, "nas", "add", "127.0.0.9", "--secret", "kill-s3cret")
	harness.Eventually(t, 20*time.Second, "a new device is known", func() bool { return acct("start", "s3", "--local", "127.0.0.9") })
	if out := radial(t, s, "server", "list"); !strings.Contains(out, " up ") {
		t.Errorf("server list: %s", out)
	}
	harness.Eventually(t, 30*time.Second, "jobs run", func() bool { return s.Metric(t, "radial_job_runs_total") > 0 })
}

func flat(rows [][]string) (all []string) {
	for _, r := range rows {
		all = append(all, r...)
	}
	return all
}

// radial runs a command that must succeed.
func radial(t *testing.T, s *harness.Server, args ...string) string {
	t.Helper()
	out := s.Radial(t, args...)
	if out.Code != 0 {
		t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
	}
	return out.Stdout
}
