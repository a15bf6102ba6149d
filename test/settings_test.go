package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// effects are the settings whose effect is seen here, from outside: groups of
// them are set on one server, and each is looked at on its own. A value is one
// that the default does not have.
func effects() []effectGroup {
	return []effectGroup{policyEffects(), otherPolicyEffects(), sessionEffects(), limitEffects(), memoryEffects(), byteEffects(), ledgerEffects(), poolEffects(), commandEffects(), historyEffects(), overlapEffects(), journalEffects(), silenceEffects(), outageEffects(), archiveEffects(), quotaEffects(), controlEffects(), otherControlEffects(), routerEffects(), reconcileEffects()}
}

// provenElsewhere are the settings whose effect another test shows, by its
// name.
var provenElsewhere = map[string]string{
	"log.level":            "TestReload",
	"radius.auth_listen":   "TestFirstDay",
	"radius.acct_listen":   "TestFirstDay",
	"database.pooler":      "TestPoolerModeLeavesNoStatements",
	"radius.recv_buffer":   "TestKernelDrops",
	"radius.max_in_flight": "TestOverload",
	"radius.max_wait":      "TestMaxWait",
}

// effectGroup is a server's settings and what each of them does.
type effectGroup struct {
	name    string
	set     map[string]string // by key; nil: no server is needed
	effects map[string]func(t *testing.T, w *world)
}

// world is what an effect is looked at with.
type world struct {
	*harness.Server
	db *storetest.DB
}

// TestEverySettingHasATest: each key that check-config lists has its effect
// shown here, or names the test that shows it, which is there.
func TestEverySettingHasATest(t *testing.T) {
	var keys []struct{ Name string }
	if err := json.Unmarshal([]byte(must(t, harness.CLI(t, nil, "check-config", "--keys", "-o", "json"))), &keys); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, g := range effects() {
		for key := range g.effects {
			shown[key] = true
		}
	}
	tests := allTests(t)
	for key, name := range provenElsewhere {
		if shown[key] {
			t.Errorf("%s is shown here and elsewhere", key)
		}
		if !tests[name] {
			t.Errorf("%s: there is no test %s", key, name)
		}
		shown[key] = true
	}
	for _, k := range keys {
		if !shown[k.Name] {
			t.Errorf("setting %s has no test that fails when it has no effect: add one to an effectGroup, or name it in provenElsewhere", k.Name)
		}
		delete(shown, k.Name)
	}
	for key := range shown {
		t.Errorf("there is no setting %s", key)
	}
	if len(keys) < 40 {
		t.Errorf("only %d settings", len(keys))
	}
}

// allTests are the names of all tests in the tree.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	cmd := exec.Command("git", "grep", "-hoE", "--untracked", `^func Test[A-Za-z0-9_]+\(t \*testing\.T\)`, "--", "*_test.go")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git grep: %v", err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`func (Test\w+)`).FindAllStringSubmatch(string(out), -1) {
		names[m[1]] = true
	}
	return names
}

// TestSettingEffects looks at what each setting does.
func TestSettingEffects(t *testing.T) {
	for _, g := range effects() {
		t.Run(g.name, func(t *testing.T) {
			w := &world{}
			if g.set != nil {
				set := map[string]string{}
				for key, value := range g.set {
					set["RADIAL_"+strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))] = value
				}
				w.Server, w.db = wireServer(t, set)
			}
			for _, key := range slices.Sorted(maps.Keys(g.effects)) {
				t.Run(key, func(t *testing.T) { g.effects[key](t, w) })
			}
		})
	}
}

// user puts in a user with password p and further rows, "table attribute op
// value".
func (w *world) user(name string, rows ...[4]string) {
	w.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p')`, name)
	for _, r := range rows {
		column := "username"
		if strings.HasPrefix(r[0], "radgroup") {
			column = "groupname"
		}
		owner := name
		if column == "groupname" {
			owner = "group of " + name
		}
		w.db.Exec(fmt.Sprintf(`INSERT INTO %s (%s, attribute, op, value) VALUES ($1, $2, $3, $4)`, r[0], column), owner, r[1], r[2], r[3])
	}
}

// settled waits until the server follows what was written so far.
func (w *world) settled(t *testing.T) {
	t.Helper()
	name := fmt.Sprintf("last%d", serial.Add(1))
	w.user(name)
	c := dial(t, "", w.Auth, wireSecret)
	harness.Eventually(t, patience, "the server follows the rows", func() bool {
		return c.ask(pap(wireSecret, byte(serial.Add(1)), name, "p"))[0] == accessAccept
	})
}

// login returns the reply to a good password.
func (w *world) login(t *testing.T, name string, more ...[]byte) []byte {
	t.Helper()
	return dial(t, "", w.Auth, wireSecret).ask(pap(wireSecret, 1, name, "p", more...))
}

// account sends an Accounting-Request and wants it acknowledged.
func (w *world) account(t *testing.T, session, name string, more ...[]byte) {
	t.Helper()
	attrs := slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, name), av(acctSessionID, session), slices.Concat(more...))
	dial(t, "", w.Acct, wireSecret).ask(request{code: accountingRequest, secret: wireSecret, attrs: attrs}.bytes())
}

// writeFile puts a file into a folder of the test and returns the folder.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
