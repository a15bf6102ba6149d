package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"radial/store/pgdev"
	"radial/store/storetest"
	"radial/test/harness"
)

// must runs a command that has to succeed and returns what it printed.
func must(t *testing.T, out harness.Output) string {
	t.Helper()
	if out.Code != 0 {
		t.Fatalf("exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

// logged tells whether a line of the log has all the texts.
func logged(s *harness.Server, texts ...string) bool {
lines:
	for _, line := range s.Logs() {
		for _, want := range texts {
			if !strings.Contains(line, want) {
				continue lines
			}
		}
		return true
	}
	return false
}

// TestFirstDay is an operator's first day: a folder, three commands, a server
// on an embedded database; then what can happen to it.
func TestFirstDay(t *testing.T) {
	dir := t.TempDir()
	set := map[string]string{"RADIAL_RADIUS_AUTH_LISTEN": harness.FreeUDP(t), "RADIAL_RADIUS_ACCT_LISTEN": harness.FreeUDP(t), "RADIAL_REJECT_DELAY": "0s"}
	env := []string{"RADIAL_DATA_DIR=" + dir}
	must(t, harness.CLI(t, env, "migrate", "up"))
	must(t, harness.CLI(t, env, "nas", "add", "127.0.0.1", "--secret", "s3cret"))
	must(t, harness.CLI(t, env, "user", "add", "bob", "--password", "p w"))
	start := func() *harness.Server { return harness.Start(t, harness.Config{DataDir: dir, Set: set}) }
	s := start()
	if s.Auth != set["RADIAL_RADIUS_AUTH_LISTEN"] || s.Acct != set["RADIAL_RADIUS_ACCT_LISTEN"] {
		t.Errorf("listens on %s and %s, was told %v", s.Auth, s.Acct, set)
	}
	login := func(want string, lines ...string) {
		t.Helper()
		if code, out := radclient(t, s.Auth, "auth", "s3cret", append([]string{`User-Name = "bob"`}, lines...)...); code != want {
			t.Errorf("%v: got %q, want %s\n%s", lines, code, want, out)
		}
	}
	for _, attribute := range []string{"User-Password", "CHAP-Password", "MS-CHAP-Password"} {
		login("Access-Accept", attribute+` = "p w"`)
		login("Access-Reject", attribute+` = "wrong"`)
	}
	strangers(t, s)

	// commands find the running cluster
	if out := must(t, s.Radial(t, "user", "list", "-o", "json")); !strings.Contains(out, `"bob"`) {
		t.Errorf("user list: %s", out)
	}
	must(t, s.Radial(t, "user", "set", "bob", "--password", "another"))
	login("Access-Accept", `User-Password = "another"`)
	if code, out := radclient(t, s.Acct, "acct", "s3cret", "Acct-Status-Type = Start", `User-Name = "bob"`, `Acct-Session-Id = "first-day"`); code != "Accounting-Response" {
		t.Errorf("accounting: %q\n%s", code, out)
	}

	// a second one on the same folder
	second := s.Radial(t, "serve")
	if second.Code == 0 || !strings.Contains(second.Stderr, dir) || !strings.Contains(second.Stderr, "process "+strconv.Itoa(s.Pid())) {
		t.Errorf("a second serve: exit code %d\n%s", second.Code, second.Stderr)
	}

	// stopped, it leaves nothing running, and its data stays
	s.Stop(t)
	pidFile := filepath.Join(dir, "postgres", "data", "postmaster.pid")
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("PostgreSQL still runs: %v", err)
	}
	s = start()
	login("Access-Accept", `User-Password = "another"`)
	// killed, it leaves its PostgreSQL behind, which the next one takes over
	s.Kill(t)
	stale, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatalf("PostgreSQL went with the server: %v", err)
	}
	s = start()
	if now, err := os.ReadFile(pidFile); err != nil || string(now) != string(stale) {
		t.Errorf("not the PostgreSQL that was there: %v", err)
	}
	login("Access-Accept", `User-Password = "another"`)
	// both killed
	postmaster, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(stale), "\n", 2)[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	s = start()
	login("Access-Accept", `User-Password = "another"`)
}

// strangers: silence for accounting with another secret and for a source that
// nobody has named, and both are counted.
func strangers(t *testing.T, s *harness.Server) {
	t.Helper()
	for _, tc := range []struct{ server, kind, secret, source, port, reason string }{
		{s.Acct, "acct", "wrong", "127.0.0.1", "acct", "authenticator_wrong"},
		{s.Auth, "auth", "s3cret", "127.0.0.2", "auth", "unknown_source"},
		{s.Acct, "acct", "s3cret", "127.0.0.2", "acct", "unknown_source"},
	} {
		labels := []string{`port="` + tc.port + `"`, `reason="` + tc.reason + `"`}
		before := s.Metric(t, "radial_radius_refused_total", labels...)
		lines := []string{"Packet-Src-IP-Address = " + tc.source, `User-Name = "bob"`}
		if tc.kind == "acct" {
			lines = append(lines, "Acct-Status-Type = Start", `Acct-Session-Id = "x"`)
		} else {
			lines = append(lines, `User-Password = "p w"`)
		}
		if code, out := radclientFor(t, "0.3", tc.server, tc.kind, tc.secret, lines...); code != "" {
			t.Errorf("%s from %s with secret %s was answered\n%s", tc.kind, tc.source, tc.secret, out)
		}
		harness.Eventually(t, patience, tc.reason+" is counted", func() bool {
			return s.Metric(t, "radial_radius_refused_total", labels...) == before+1
		})
	}
	if !logged(s, "unknown source", "127.0.0.2", "radial nas add 127.0.0.2") {
		t.Error("the log does not tell how to make the unknown source known")
	}
}

// A port that someone else has is told by its name, whatever it is.
func TestPortsInUse(t *testing.T) {
	db := storetest.New(t)
	first := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	for variable, addr := range map[string]string{"RADIAL_RADIUS_AUTH_LISTEN": first.Auth, "RADIAL_RADIUS_ACCT_LISTEN": first.Acct, "RADIAL_API_LISTEN": first.API} {
		env := map[string]string{
			"RADIAL_DATA_DIR": t.TempDir(), "RADIAL_DATABASE_URL": db.URL(),
			"RADIAL_RADIUS_AUTH_LISTEN": "127.0.0.1:0", "RADIAL_RADIUS_ACCT_LISTEN": "127.0.0.1:0", "RADIAL_API_LISTEN": "127.0.0.1:0",
		}
		env[variable] = addr
		var list []string
		for k, v := range env {
			list = append(list, k+"="+v)
		}
		out := harness.CLI(t, list, "serve")
		if out.Code == 0 || !strings.Contains(out.Stderr, addr) || !strings.Contains(out.Stderr, "address already in use") {
			t.Errorf("%s %s: exit code %d\n%s", variable, addr, out.Code, out.Stderr)
		}
	}
}

// serve tells everything that is wrong with its configuration, at once.
func TestBadConfigurationIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "radial.yaml")
	if err := os.WriteFile(file, []byte("log:\n  lvl: debug\nradius:\n  sockets: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := harness.CLI(t, []string{"RADIAL_POOL_FULL=maybe", "RADIAL_NO_SUCH_KEY=1"}, "serve", "--config", file, "--set", "reject_delay=1h")
	if out.Code == 0 {
		t.Error("it started")
	}
	for _, want := range []string{"log.lvl", "log.level", "radius.sockets", "many", "pool_full", "maybe", "RADIAL_NO_SUCH_KEY", "reject_delay", "1h", file} {
		if !strings.Contains(out.Stderr, want) {
			t.Errorf("%q is not told:\n%s", want, out.Stderr)
		}
	}
}

// SIGHUP takes over the level of the log, and tells systemd nothing; a bad
// file changes nothing.
func TestReload(t *testing.T) {
	db := storetest.New(t)
	file := filepath.Join(t.TempDir(), "radial.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log:\n  level: info\n")
	notify := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	s := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Args: []string{"--config", file}, Set: map[string]string{"NOTIFY_SOCKET": notify}})
	told := func() string {
		b := make([]byte, 1000)
		if err := systemd.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := systemd.Read(b)
		if err != nil {
			t.Errorf("systemd heard nothing: %v", err)
		}
		return string(b[:n])
	}
	if got := told(); got != "READY=1" {
		t.Errorf("systemd heard %q", got)
	}
	must(t, s.Radial(t, "nas", "add", "127.0.0.1", "--secret", "s3cret"))
	harness.Eventually(t, patience, "the device is known", func() bool {
		code, _ := radclientFor(t, "0.2", s.Auth, "status", "s3cret", "Message-Authenticator = 0x00")
		return code == "Access-Accept"
	})
	ask := func(name string) {
		t.Helper()
		if code, out := radclient(t, s.Auth, "auth", "s3cret", `User-Name = "`+name+`"`, `User-Password = "x"`); code != "Access-Reject" {
			t.Fatalf("%q\n%s", code, out)
		}
	}
	ask("quiet")
	write("log:\n  level: debug\n")
	s.Signal(t, syscall.SIGHUP)
	harness.Eventually(t, patience, "the level is taken over", func() bool { return logged(s, "SIGHUP: configuration read", `"log.level"`) })
	ask("loud")
	harness.Eventually(t, patience, "the packet in the log", func() bool { return logged(s, "received Access-Request", "loud") })
	if logged(s, "received Access-Request", "quiet") {
		t.Error("packets were logged before")
	}
	write("log:\n  level: shout\n")
	s.Signal(t, syscall.SIGHUP)
	harness.Eventually(t, patience, "the bad file is told", func() bool { return logged(s, "not taken over", "shout") })
	ask("still loud")
	harness.Eventually(t, patience, "the packet in the log", func() bool { return logged(s, "received Access-Request", "still loud") })
	s.Stop(t)
	if got := told(); got != "STOPPING=1" {
		t.Errorf("systemd heard %q", got)
	}
}

// While the database is away, logins are met with silence, not with a reject,
// accounting is acknowledged from the journal, and /readyz says so; when it is
// back, all is well without anyone's help, and what was acknowledged is there.
func TestDatabaseAway(t *testing.T) {
	options := pgdev.Options{Dir: filepath.Join(t.TempDir(), "postgres"), NoSync: true}
	cluster, err := pgdev.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	running := true
	stop := func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		running = false
	}
	t.Cleanup(func() {
		if running {
			stop()
		}
	})
	s := harness.Start(t, harness.Config{DatabaseURL: cluster.URL("postgres"), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	must(t, s.Radial(t, "nas", "add", "127.0.0.1", "--secret", "s3cret"))
	must(t, s.Radial(t, "user", "add", "bob", "--password", "p w"))
	ready := func(want int) func() bool {
		return func() bool {
			resp, err := http.Get("http://" + s.API + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode == want
		}
	}
	login := func(password, seconds string) string {
		code, _ := radclientFor(t, seconds, s.Auth, "auth", "s3cret", `User-Name = "bob"`, fmt.Sprintf(`User-Password = %q`, password))
		return code
	}
	harness.Eventually(t, patience, "/readyz is 200", ready(http.StatusOK))
	harness.Eventually(t, patience, "bob logs in", func() bool { return login("p w", "1") == "Access-Accept" })

	stop()
	harness.Eventually(t, patience, "/readyz is 503", ready(http.StatusServiceUnavailable))
	for _, password := range []string{"p w", "wrong"} {
		before := s.Metric(t, "radial_radius_silent_total", `cause="authorize_error"`)
		if code := login(password, "0.5"); code != "" {
			t.Errorf("without a database, password %q got %s", password, code)
		}
		harness.Eventually(t, patience, "the silence is counted", func() bool {
			return s.Metric(t, "radial_radius_silent_total", `cause="authorize_error"`) > before
		})
	}
	if code, _ := radclientFor(t, "5", s.Acct, "acct", "s3cret", "Acct-Status-Type = Start", `User-Name = "bob"`, `Acct-Session-Id = "away"`); code != "Accounting-Response" {
		t.Errorf("accounting without a database, which the journal takes: %q", code)
	}
	if n := s.Metric(t, "radial_journal_records"); n != 1 {
		t.Errorf("%v records in the journal, want 1", n)
	}
	if code, _ := radclient(t, s.Auth, "status", "s3cret", "Message-Authenticator = 0x00"); code != "Access-Accept" {
		t.Errorf("Status-Server: %q", code)
	}

	if cluster, err = pgdev.Start(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	running = true
	harness.Eventually(t, 2*patience, "/readyz is 200 again", ready(http.StatusOK))
	if code := login("p w", "20"); code != "Access-Accept" {
		t.Errorf("with the database back: %q", code)
	}
	if code := login("wrong", "20"); code != "Access-Reject" {
		t.Errorf("with the database back, wrong password: %q", code)
	}
	harness.Eventually(t, patience, "what was acknowledged is in radacct", func() bool {
		return strings.Contains(s.Radial(t, "session", "show", "away").Stdout, "bob")
	})
	if code, _ := radclient(t, s.Acct, "acct", "s3cret", "Acct-Status-Type = Start", `User-Name = "bob"`, `Acct-Session-Id = "back"`); code != "Accounting-Response" {
		t.Errorf("with the database back, accounting: %q", code)
	}
}
