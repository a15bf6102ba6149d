package test

import (
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"radial/test/harness"
)

// A newcomer's first minute: serve --demo, and every line that it prints,
// pasted into a shell, does what is said beside it.
func TestDemoLines(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("SKIPPED: needs bash")
	}
	c := harness.Config{DataDir: t.TempDir(), Args: []string{"--demo"}}
	s := harness.Start(t, c)
	paste := func(line string) harness.Output {
		t.Helper()
		return harness.Tool(t, "", "bash", "-c", strings.ReplaceAll(line, "bin/radial ", harness.Binary(t)+" "))
	}
	lines := func() map[string]string {
		printed := map[string]string{}
		harness.Eventually(t, patience, "all lines are printed", func() bool {
			for line := range strings.Lines(s.Stdout()) {
				for name, part := range map[string]string{"login": "| radclient -x " + s.Auth, "accounting": "| radclient -x " + s.Acct, "wrong": "client auth", "explain": "user explain", "show": "user show"} {
					if strings.HasPrefix(line, "    ") && strings.HasSuffix(line, "\n") && strings.Contains(line, part) {
						printed[name] = strings.TrimSpace(line)
					}
				}
			}
			return len(printed) == 5
		})
		return printed
	}
	login := func() netip.Addr {
		t.Helper()
		out := paste(lines()["login"])
		m := regexp.MustCompile(`Framed-IP-Address = (\S+)`).FindStringSubmatch(out.Stdout[strings.Index(out.Stdout, "Received")+1:])
		if !strings.Contains(out.Stdout, "Received Access-Accept") || !strings.Contains(out.Stdout, `Mikrotik-Rate-Limit = "20M/100M"`) || m == nil {
			t.Fatalf("the login line:\n%s%s", out.Stdout, out.Stderr)
		}
		a, err := netip.ParseAddr(m[1])
		if err != nil || !netip.MustParsePrefix("100.64.0.0/16").Contains(a) {
			t.Errorf("address %s: %v", m[1], err)
		}
		return a
	}
	address := login()
	if out := paste(strings.ReplaceAll(lines()["accounting"], "100.64.0.1", address.String())); !strings.Contains(out.Stdout, "Received Accounting-Response") {
		t.Errorf("the accounting line:\n%s%s", out.Stdout, out.Stderr)
	}
	if out := paste(lines()["wrong"]); out.Code == 0 || !strings.Contains(out.Stdout+out.Stderr, "Access-Reject") {
		t.Errorf("the wrong password: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if out := paste(lines()["explain"]); !strings.Contains(out.Stdout, "bad_password") {
		t.Errorf("explain: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if out := paste(lines()["show"]); out.Code != 0 || !strings.Contains(out.Stdout, "gold") {
		t.Errorf("show: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	s.Stop(t)
	s = harness.Start(t, c)
	if again := login(); again != address {
		t.Errorf("after a restart the session's address is %v, was %v", again, address)
	}
}
