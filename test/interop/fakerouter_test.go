package interop

import (
	_ "embed"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/store/storetest"
	"radial/test/fakes/routeros"
	"radial/test/harness"
)

//go:embed fakerouter.py
var drivesFakeRouter string

// python is an interpreter that has librouteros.
func python(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if out := harness.Tool(t, "", "sh", "-c", p+" -c 'import librouteros'"); out.Code == 0 {
			return p
		}
	}
	if os.Getenv("INTEROP_ALL") != "" {
		t.Fatal("needs the package python3-librouteros: INTEROP_ALL forbids to skip")
	}
	t.Skip("SKIPPED: needs the package python3-librouteros")
	return ""
}

// TestLibrouteros: the fake router is a router to a client that nobody here
// wrote, in the versions whose API differs.
func TestLibrouteros(t *testing.T) {
	interpreter := python(t)
	for _, c := range []struct{ version, login string }{
		{"6.42.12", "token"}, {"6.49.17 (long-term)", "plain"}, {"7.15.3 (stable)", "plain"}, {"7.18.2 (stable)", "plain"},
	} {
		t.Run(c.version, func(t *testing.T) {
			if c.version[0] == '7' && strings.Contains(c.version, "7.18") {
				t.Log("librouteros 3.1.0 does not know !empty: an empty print must still end")
			}
			_, port := playRouter(t, routeros.Config{Version: c.version, Password: "geheim"})
			if out := harness.Tool(t, drivesFakeRouter, interpreter, "-", port, c.login); out.Code != 0 {
				t.Errorf("exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
			}
		})
	}
}

// nodeClient is the folder of node-routeros, which deploy/tools has fetched.
func nodeClient(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../.cache/node")
	if err != nil {
		t.Fatal(err)
	}
	if out := harness.Tool(t, "", "sh", "-c", "command -v node"); out.Code == 0 {
		if _, err = os.Stat(filepath.Join(dir, "node_modules", "node-routeros")); err == nil {
			return dir
		}
	}
	const needs = "needs the packages nodejs and npm, and node-routeros: make tools fetches them"
	if os.Getenv("INTEROP_ALL") != "" {
		t.Fatal(needs + ": INTEROP_ALL forbids to skip")
	}
	t.Skip("SKIPPED: " + needs)
	return ""
}

// TestNodeRouteros: the same by a client of npm's, which also listens.
func TestNodeRouteros(t *testing.T) {
	dir := nodeClient(t)
	for version, empty := range map[string]string{"6.42.12": "", "6.49.17 (long-term)": "", "7.15.3 (stable)": "", "7.18.2 (stable)": "empty"} {
		t.Run(version, func(t *testing.T) {
			r, port := playRouter(t, routeros.Config{Version: version, Password: "geheim"})
			if out := harness.Tool(t, "", "node", "node/fakerouter.mjs", port, empty, dir); out.Code != 0 {
				t.Errorf("exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
			}
			if n := len(r.Done()); n != 4 {
				t.Errorf("%d changes: %v", n, r.Done())
			}
		})
	}
}

// playRouter plays a router and returns the port of its API.
func playRouter(t *testing.T, c routeros.Config) (*routeros.Router, string) {
	t.Helper()
	r, api := routeros.Play(t, c, nil)
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	return r, port
}

// TestFakeRoutersSessions: a PPPoE session of the fake router is one to Radial,
// by CHAP and PAP, with its address, its counters and its end; and radclient, whose
// CoA and Disconnect are not ours, finds in it what RouterOS's manual says.
func TestFakeRoutersSessions(t *testing.T) {
	db := storetest.New(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	for _, args := range [][]string{
		{"nas", "add", "127.0.0.77", "--name", "fake1", "--secret", "a-s3cret-of-fake1", "--type", "mikrotik"},
		{"pool", "add", "main", "--cidr", "100.64.9.0/24"},
		{"package", "add", "gold", "--down", "100M", "--up", "20M", "--pool", "main"},
		{"user", "add", "alice", "--password", "wonderland", "--package", "gold"},
		{"user", "add", "bob", "--password", "builder", "--package", "gold"},
	} {
		if out := server.Radial(t, args...); out.Code != 0 {
			t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
		}
	}
	r, err := routeros.New(routeros.Config{Identity: "fake1", Address: netip.MustParseAddr("127.0.0.77")})
	if err != nil {
		t.Fatal(err)
	}
	_, auth, _ := net.SplitHostPort(server.Auth)
	_, acct, _ := net.SplitHostPort(server.Acct)
	if _, err := r.Put("/radius", map[string]string{
		"service": "ppp", "address": "127.0.0.1", "secret": "a-s3cret-of-fake1", "timeout": "3s", "authentication-port": auth, "accounting-port": acct,
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Set("/ppp/aaa", "", map[string]string{"use-radius": "true"}); err != nil {
		t.Fatal(err)
	}
	to := r.PlayIncoming(t)

	if _, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "wrong", MAC: "00:00:5E:00:53:01"}); err == nil || !strings.Contains(err.Error(), "rejected") {
		t.Errorf("a wrong password: %v", err)
	}
	alice, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "wonderland", MAC: "00:00:5E:00:53:01"})
	if err != nil {
		t.Fatal(err)
	}
	bob, err := r.Dial(t.Context(), routeros.Subscriber{Name: "bob", Password: "builder", MAC: "00:00:5E:00:53:02", CHAP: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := alice.Rate(); got != "20M/100M" || !netip.MustParsePrefix("100.64.9.0/24").Contains(alice.Address) || bob.Address == alice.Address {
		t.Errorf("alice has rate %q and %v, bob %v", got, alice.Address, bob.Address)
	}
	row := `SELECT concat_ws('|', username, acctsessionid, host(framedipaddress), acctinputoctets, acctoutputoctets, acctterminatecause) FROM radacct ORDER BY username`
	wantRows(t, db, row, fmt.Sprintf("alice|%s|%s|0|0", alice.ID, alice.Address), fmt.Sprintf("bob|%s|%s|0|0", bob.ID, bob.Address))
	if err := bob.Transfer(t.Context(), 5<<32+7, 9); err != nil {
		t.Fatal(err)
	}
	if err := bob.Interim(t.Context()); err != nil {
		t.Fatal(err)
	}

	ask := func(secret, kind string, lines ...string) string {
		out := harness.Tool(t, strings.Join(lines, "\n"), "radclient", "-x", "-r", "1", "-t", "1", to, kind, secret)
		_, reply, _ := strings.Cut(out.Stdout, "Received ")
		return reply
	}
	if err := r.Set("/radius/incoming", "", map[string]string{"accept": "false"}); err != nil {
		t.Fatal(err)
	}
	name := `User-Name = "alice"`
	if got := ask("a-s3cret-of-fake1", "disconnect", name); got != "" {
		t.Errorf("accept=no, and yet: %s", got)
	}
	if err := r.Set("/radius/incoming", "", map[string]string{"accept": "true"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret, kind, want string
		lines              []string
	}{
		{"wrong", "disconnect", "", []string{name}},
		{"a-s3cret-of-fake1", "disconnect", "Error-Cause = Session-Context-Not-Found", []string{`User-Name = "carol"`}},
		{"a-s3cret-of-fake1", "disconnect", "Error-Cause = Session-Context-Not-Found", []string{name, `Acct-Session-Id = "81000999"`}},
		{"a-s3cret-of-fake1", "disconnect", "Error-Cause = Unsupported-Attribute", []string{name, `Mikrotik-Rate-Limit = "1M/1M"`}},
		{"a-s3cret-of-fake1", "disconnect", "Error-Cause = Missing-Attribute", []string{`NAS-IP-Address = 127.0.0.77`}},
		{"a-s3cret-of-fake1", "disconnect", "Error-Cause = NAS-Identification-Mismatch", []string{name, `NAS-IP-Address = 127.0.0.78`}},
		{"a-s3cret-of-fake1", "coa", "CoA-ACK", []string{name, `Acct-Session-Id = "` + alice.ID + `"`, `Mikrotik-Rate-Limit = "5M/10M"`, "Message-Authenticator = 0x00"}},
		{"a-s3cret-of-fake1", "disconnect", "Disconnect-ACK", []string{`User-Name = "bob"`, "Framed-IP-Address = " + bob.Address.String()}},
	} {
		if got := ask(c.secret, c.kind, c.lines...); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s %v: %q, want %q", c.kind, c.lines, got, c.want)
		}
	}
	if got := alice.Rate(); got != "5M/10M" {
		t.Errorf("alice's rate after the CoA: %q", got)
	}
	harness.Eventually(t, 10*time.Second, "bob's Stop", func() bool { return len(db.Rows(`SELECT 1 FROM radacct WHERE acctstoptime IS NOT NULL`)) == 1 })
	wantRows(t, db, row, fmt.Sprintf("alice|%s|%s|0|0", alice.ID, alice.Address), fmt.Sprintf("bob|%s|%s|%d|9|Admin-Reset", bob.ID, bob.Address, uint64(5<<32+7)))

	// A power cut: no Stop; ids begin anew, with the next digit.
	r.Reboot()
	again, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "wonderland", MAC: "00:00:5E:00:53:01"})
	if err != nil {
		t.Fatal(err)
	}
	if again.ID != "81100001" || len(r.Sessions()) != 1 {
		t.Errorf("after a reboot the session is %s of %d", again.ID, len(r.Sessions()))
	}
	if err := again.HangUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantRows(t *testing.T, db *storetest.DB, query string, want ...string) {
	t.Helper()
	var got []string
	for _, r := range db.Rows(query) {
		got = append(got, strings.Join(r, "|"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
