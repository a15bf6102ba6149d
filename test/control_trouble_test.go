package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// stage is a server, a router with sessions u0 to u49, and an operator.
type stage struct {
	*playedRouter
	server   *harness.Server
	db       *storetest.DB
	env      []string
	sessions []*routeros.Session
}

func newStage(t *testing.T, sessions int, timeout string) *stage {
	t.Helper()
	st := &stage{}
	st.server, st.db = wireServer(t, map[string]string{"RADIAL_CONTROL_CLOSE_AFTER": "1s", "RADIAL_CONTROL_TIMEOUT": timeout, "RADIAL_CONTROL_TRIES": "2"})
	st.env = []string{"RADIAL_DATABASE_URL=" + st.db.URL(), "SUDO_USER=operator"}
	st.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'u' || n, 'Cleartext-Password', ':=', 'p' FROM generate_series(0, 49) n`)
	st.playedRouter = playRouter(t, st.server, st.env, "127.0.0.31")
	var names []string
	for n := range sessions {
		names = append(names, fmt.Sprintf("u%d", n))
	}
	st.sessions = st.dialAll(t, names)
	harness.Eventually(t, patience, "all are online", func() bool {
		return st.db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0] == fmt.Sprint(sessions)
	})
	return st
}

// jobShown is what radial job show says of an order.
type jobShown struct {
	State string
	Order struct {
		Finished bool
		Results  map[string]int
		Trouble  []struct{ User, Result, Detail string }
	}
}

// disconnect asks for the end of a user's session and returns the job's number.
func (st *stage) disconnect(t *testing.T, user string) string {
	t.Helper()
	var v struct{ Job int64 }
	out := must(t, harness.CLI(t, st.env, "session", "disconnect", "--user", user, "--no-wait", "-o", "json"))
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return fmt.Sprint(v.Job)
}

func (st *stage) job(t *testing.T, id string) jobShown {
	t.Helper()
	out := must(t, harness.CLI(t, st.env, "job", "show", id, "-o", "json"))
	var v jobShown
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// What devices answer, and what becomes of the job and of the session, in words
// (issue 5, done when 2).
func TestControlTrouble(t *testing.T) {
	st := newStage(t, 24, "150ms")
	user := 0
	next := func() string { user++; return fmt.Sprintf("u%d", user-1) }
	open := func(name string) bool { return online(st.db, name) == "1" }

	for _, c := range []struct {
		cause  uint32
		result string // "" is tried again
		words  string
	}{
		{401, "refused", "Unsupported-Attribute"}, {402, "refused", "Missing-Attribute"}, {403, "refused", "NAS-Identification-Mismatch"}, {404, "refused", "Invalid-Request"},
		{405, "unsupported", "Unsupported-Service"}, {406, "unsupported", "Unsupported-Extension"}, {407, "refused", "Invalid-Attribute-Value"},
		{501, "refused", "Administratively-Prohibited"}, {502, "", "Request-Not-Routable"}, {504, "refused", "Session-Context-Not-Removable"},
		{505, "", "Other-Proxy-Processing-Error"}, {506, "", "Resources-Unavailable"}, {507, "refused", "Request-Initiated"}, {508, "refused", "Multiple-Session-Selection-Unsupported"}, {599, "refused", "599"},
	} {
		t.Run(fmt.Sprintf("NAK %d", c.cause), func(t *testing.T) {
			name := next()
			st.Incoming(routeros.Incoming{NAK: c.cause})
			id := st.disconnect(t, name)
			var v jobShown
			harness.Eventually(t, patience, "word of it", func() bool {
				v = st.job(t, id)
				return len(v.Order.Trouble) == 1 && v.Order.Trouble[0].Detail != ""
			})
			one := v.Order.Trouble[0]
			if one.User != name || one.Result != c.result || !strings.Contains(one.Detail, c.words) || !open(name) {
				t.Errorf("%+v, open %v", one, open(name))
			}
			if c.result == "" { // it passes
				st.Incoming(routeros.Incoming{})
				must(t, harness.CLI(t, st.env, "job", "retry", id))
				harness.Eventually(t, patience, "it is done the next time", func() bool { return st.job(t, id).Order.Results["done"] == 1 && !open(name) })
			}
		})
	}

	t.Run("NAK 503", func(t *testing.T) {
		name := next()
		st.Incoming(routeros.Incoming{NAK: 503})
		must(t, harness.CLI(t, st.env, "session", "disconnect", "--user", name))
		harness.Eventually(t, patience, "its row is closed", func() bool { return !open(name) })
		st.closedAs(t, name, "Lost-Carrier")
	})
	t.Run("ACK without Stop", func(t *testing.T) {
		name := next()
		st.Incoming(routeros.Incoming{NoStop: true})
		must(t, harness.CLI(t, st.env, "session", "disconnect", "--user", name))
		harness.Eventually(t, patience, "its row is closed", func() bool { return !open(name) })
		st.closedAs(t, name, "Admin-Reset")
		if got := outcomes(t, st.env, name); fmt.Sprint(got) != "[session.disconnect done by cli:operator session.close closed by cli:operator]" {
			t.Errorf("audit: %q", got)
		}
	})
	silence := func(what, words string, begin, end func(t *testing.T)) {
		t.Run(what, func(t *testing.T) {
			name := next()
			begin(t)
			id := st.disconnect(t, name)
			harness.Eventually(t, patience, "word of it", func() bool {
				v := st.job(t, id)
				return len(v.Order.Trouble) == 1 && strings.Contains(v.Order.Trouble[0].Detail, words)
			})
			if !open(name) {
				t.Error("the row is closed, and nobody knows whether the session is")
			}
			end(t)
			must(t, harness.CLI(t, st.env, "job", "retry", id))
			harness.Eventually(t, time.Minute, "it is done when that is mended", func() bool { return !open(name) && st.job(t, id).Order.Finished })
		})
	}
	port := func() string { return st.db.Rows(`SELECT coa_port FROM radial.nas_settings`)[0][0] }()
	set := func(args ...string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			loaded := func() int { return strings.Count(strings.Join(st.server.Logs(), "\n"), "devices loaded") }
			before := loaded()
			must(t, harness.CLI(t, st.env, append([]string{"nas", "set", st.address}, args...)...))
			harness.Eventually(t, patience, "the server has reloaded", func() bool { return loaded() > before })
		}
	}
	silence("no answer", "no answer from", func(*testing.T) { st.Incoming(routeros.Incoming{Mute: true}) }, func(*testing.T) { st.Incoming(routeros.Incoming{}) })
	silence("another port", "listens on another port", set("--coa-port", "9"), set("--coa-port", port))
	silence("another secret", "no answer from", set("--secret", "not what the router has"), set("--secret", "secret of "+st.address))
	t.Run("reboot in the middle", func(t *testing.T) {
		name := next()
		st.Incoming(routeros.Incoming{Mute: true})
		id := st.disconnect(t, name)
		harness.Eventually(t, patience, "the request came", func() bool { return strings.Contains(strings.Join(st.Asked(), "\n"), "User-Name="+name+" ") })
		st.Reboot() // its sessions are gone, and their Stops are never sent
		st.Incoming(routeros.Incoming{})
		harness.Eventually(t, time.Minute, "the order has its end, and the row", func() bool { return st.job(t, id).Order.Finished && !open(name) })
		st.closedAs(t, name, "Lost-Carrier")
	})
}

func (st *stage) closedAs(t *testing.T, user, cause string) {
	t.Helper()
	row := st.db.Rows(`SELECT acctterminatecause, (acctstoptime BETWEEN acctstarttime AND now())::text FROM radacct WHERE username = '` + user + `' ORDER BY radacctid DESC LIMIT 1`)[0]
	if row[0] != cause || row[1] != "true" {
		t.Errorf("closed as %v, want %s", row, cause)
	}
}

// A server is killed between a change and its packet: another does it, or it
// does itself when it is back.
func TestControlKilled(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(map[bool]string{true: "restart", false: "another server"}[again], func(t *testing.T) {
			st := newStage(t, 2, "2s")
			other := harness.Config{DatabaseURL: st.db.URL(), Set: map[string]string{"RADIAL_CONTROL_CLOSE_AFTER": "1s"}}
			if again {
				other.DataDir = st.server.DataDir
			} else {
				harness.Start(t, other)
			}
			st.Incoming(routeros.Incoming{Mute: true})
			must(t, harness.CLI(t, st.env, "session", "disconnect", "--user", "u0", "--no-wait"))
			must(t, harness.CLI(t, st.env, "user", "set", "u1", "--status", "suspended"))
			harness.Eventually(t, patience, "the server is at it", func() bool { return len(st.Asked()) > 0 })
			st.server.Kill(t)
			asked := len(st.Asked())
			st.Incoming(routeros.Incoming{})
			begin := time.Now()
			if again {
				harness.Start(t, other)
			}
			harness.Eventually(t, time.Minute, "both sessions are off", func() bool { return st.sessions[0].Ended() && st.sessions[1].Ended() })
			t.Logf("done %s after the kill, %d requests before it", time.Since(begin).Round(time.Millisecond), asked)
			harness.Eventually(t, time.Minute, "their rows are closed", func() bool { return online(st.db, "u0") == "0" && online(st.db, "u1") == "0" })
		})
	}
}
