package test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"radial/test/harness"
)

// Attributes that the effects look at.
const (
	sessionTimeout, filterID, framedProtocol, framedIP = 27, 11, 7, 8
	classAttr, eventTimestamp                          = 25, 55
)

func unixTime(at time.Time) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(at.Unix())))
}

// rejected tells whether logins have been refused for that reason.
func (w *world) rejected(t *testing.T, reason string) bool {
	t.Helper()
	return w.Metric(t, "radial_radius_rejects_total", `reason="`+reason+`"`) > 0
}

// startedNow tells whether a session's row says that it began within the last
// minute.
func (w *world) startedNow(t *testing.T, session string) {
	t.Helper()
	rows := w.db.Rows(`SELECT acctstarttime, abs(extract(epoch FROM now() - acctstarttime)) < 60 FROM radacct WHERE acctsessionid = $1`, session)
	if len(rows) != 1 || rows[0][1] != "t" {
		t.Errorf("the NAS's clock was believed: %v", rows)
	}
}

func policyEffects() effectGroup {
	return effectGroup{
		name: "policy",
		set: map[string]string{
			"filter_username": "on", "strip_realm": "on", "realms": "isp.example", "pool_full": "accept",
			"simultaneous_use.message": "one is enough", "login_time.minimum": "1h", "default_user_profile": "everyone",
			"ppp_defaults": "on", "radius.replay_window": "1s", "accounting.event_past": "1m", "accounting.event_future": "1s",
			"accounting.store_class": "on", "control.mark": "off",
		},
		effects: map[string]func(*testing.T, *world){
			"filter_username": func(t *testing.T, w *world) {
				w.user("a b")
				w.settled(t)
				if reply := w.login(t, "a b"); reply[0] != accessReject || !w.rejected(t, "bad_username") {
					t.Errorf("code %d", reply[0])
				}
			},
			"strip_realm": func(t *testing.T, w *world) {
				if reply := w.login(t, "bob@isp.example"); reply[0] != accessAccept {
					t.Errorf("code %d", reply[0])
				}
				w.account(t, "stripped", "bob@isp.example")
				if rows := w.db.Rows(`SELECT username, realm FROM radacct WHERE acctsessionid = 'stripped'`); len(rows) != 1 || rows[0][0] != "bob" || rows[0][1] != "isp.example" {
					t.Errorf("radacct has %v", rows)
				}
			},
			"realms": func(t *testing.T, w *world) {
				if reply := w.login(t, "bob@other.example"); reply[0] != accessReject {
					t.Errorf("code %d", reply[0])
				}
			},
			"pool_full": func(t *testing.T, w *world) {
				must(t, w.Radial(t, "pool", "add", "tiny", "--cidr", "100.64.9.0/30"))
				const users = 6
				for i := range users {
					w.user(fmt.Sprintf("pooled%d", i), [4]string{"radcheck", "Pool-Name", ":=", "tiny"})
				}
				w.settled(t)
				addresses := 0
				for i := range users {
					reply := w.login(t, fmt.Sprintf("pooled%d", i))
					if reply[0] != accessAccept {
						t.Errorf("login %d: code %d", i, reply[0])
					}
					addresses += len(values(reply, framedIP))
				}
				if addresses == 0 || addresses == users {
					t.Errorf("%d addresses were given", addresses)
				}
			},
			"simultaneous_use.message": func(t *testing.T, w *world) {
				w.user("nobody else", [4]string{"radcheck", "Simultaneous-Use", ":=", "0"})
				w.user("single", [4]string{"radcheck", "Simultaneous-Use", ":=", "0"})
				w.settled(t)
				reply := w.login(t, "single")
				if got := values(reply, replyMessage); reply[0] != accessReject || !slices.Equal(got, []string{"one is enough"}) {
					t.Errorf("code %d, %q", reply[0], got)
				}
			},
			"login_time.minimum": func(t *testing.T, w *world) {
				now := time.Now().UTC() // wireServer's zone
				w.user("late", [4]string{"radcheck", "Login-Time", ":=", "Al" + now.Add(-30*time.Minute).Format("1504") + "-" + now.Add(30*time.Minute).Format("1504")})
				w.user("early", [4]string{"radcheck", "Login-Time", ":=", "Al" + now.Add(-30*time.Minute).Format("1504") + "-" + now.Add(90*time.Minute).Format("1504")})
				w.settled(t)
				if reply := w.login(t, "late"); reply[0] != accessReject || !w.rejected(t, "outside_hours") {
					t.Errorf("half an hour before the end: code %d", reply[0])
				}
				if reply := w.login(t, "early"); reply[0] != accessAccept || len(values(reply, sessionTimeout)) != 1 {
					t.Errorf("an hour and a half before the end: code %d", reply[0])
				}
			},
			"default_user_profile": func(t *testing.T, w *world) {
				w.db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('everyone', 'all', 1)`)
				w.db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('all', 'Filter-Id', '=', 'of all')`)
				w.settled(t)
				if got := values(w.login(t, "bob"), filterID); !slices.Equal(got, []string{"of all"}) {
					t.Errorf("%q", got)
				}
			},
			"ppp_defaults": func(t *testing.T, w *world) {
				if got := values(w.login(t, "bob", av(framedProtocol, "\x00\x00\x00\x01")), framedProtocol); !slices.Equal(got, []string{"\x00\x00\x00\x01"}) {
					t.Errorf("Framed-Protocol %q", got)
				}
			},
			"radius.replay_window": func(t *testing.T, w *world) {
				decisions := func() float64 { return w.Metric(t, "radial_radius_replies_total", `code="Access-Accept"`) }
				c, packet := dial(t, "", w.Auth, wireSecret), good(200)
				before := decisions()
				c.ask(packet)
				harness.Eventually(t, 4*time.Second, "the answer is forgotten before the default of 5 s", func() bool {
					c.ask(packet)
					return decisions() > before+1
				})
			},
			"accounting.event_past": func(t *testing.T, w *world) {
				w.account(t, "past", "bob", av(eventTimestamp, unixTime(time.Now().Add(-time.Hour))))
				w.startedNow(t, "past")
			},
			"accounting.event_future": func(t *testing.T, w *world) {
				w.account(t, "future", "bob", av(eventTimestamp, unixTime(time.Now().Add(time.Hour))))
				w.startedNow(t, "future")
			},
			"control.mark": func(t *testing.T, w *world) {
				if got := values(w.login(t, "bob"), classAttr); len(got) != 0 {
					t.Errorf("Class %q", got)
				}
			},
			"accounting.store_class": func(t *testing.T, w *world) {
				w.account(t, "class", "bob", av(classAttr, "abc"))
				if rows := w.db.Rows(`SELECT class FROM radacct WHERE acctsessionid = 'class'`); len(rows) != 1 || rows[0][0] != "0x616263" {
					t.Errorf("class %v", rows)
				}
			},
		},
	}
}

func otherPolicyEffects() effectGroup {
	return effectGroup{
		name: "other policy",
		set: map[string]string{
			"read_groups": "off", "read_profiles": "off", "accounting.event_time": "receive", "accounting.realms": "isp.example",
			"postauth.log": "rejects", "postauth.passwords": "on", "ipam.fallback_pools": "spare", "garbage_percent": "150",
		},
		effects: map[string]func(*testing.T, *world){
			"read_groups": func(t *testing.T, w *world) {
				w.user("grouped", [4]string{"radgroupreply", "Filter-Id", "=", "of a group"})
				w.db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('grouped', 'group of grouped', 1)`)
				w.settled(t)
				if reply := w.login(t, "grouped"); reply[0] != accessAccept || len(values(reply, filterID)) != 0 {
					t.Errorf("code %d, Filter-Id %q", reply[0], values(reply, filterID))
				}
			},
			"ipam.fallback_pools": func(t *testing.T, w *world) {
				must(t, w.Radial(t, "pool", "add", "one", "--cidr", "100.64.9.1/32"))
				must(t, w.Radial(t, "pool", "add", "spare", "--cidr", "100.64.9.9/32"))
				w.user("first", [4]string{"radcheck", "Pool-Name", ":=", "one"})
				w.user("second", [4]string{"radcheck", "Pool-Name", ":=", "one"})
				w.settled(t)
				first, second := values(w.login(t, "first"), framedIP), values(w.login(t, "second"), framedIP)
				if !slices.Equal(first, []string{"\x64\x40\x09\x01"}) || !slices.Equal(second, []string{"\x64\x40\x09\x09"}) {
					t.Errorf("%x, then %x", first, second)
				}
			},
			"read_profiles": func(t *testing.T, w *world) {
				w.user("profiled", [4]string{"radgroupreply", "Filter-Id", "=", "of a profile"}, [4]string{"radcheck", "User-Profile", ":=", "some"})
				w.db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('some', 'group of profiled', 1)`)
				w.settled(t)
				if reply := w.login(t, "profiled"); reply[0] != accessAccept || len(values(reply, filterID)) != 0 {
					t.Errorf("code %d, Filter-Id %q", reply[0], values(reply, filterID))
				}
			},
			"accounting.event_time": func(t *testing.T, w *world) {
				w.account(t, "clock", "bob", av(eventTimestamp, unixTime(time.Now().Add(-time.Hour))))
				w.startedNow(t, "clock")
			},
			"accounting.realms": func(t *testing.T, w *world) {
				w.account(t, "realm", "bob@isp.example")
				w.account(t, "no realm", "bob@other.example")
				rows := w.db.Rows(`SELECT username, realm FROM radacct WHERE acctsessionid IN ('realm', 'no realm') ORDER BY realm`)
				if len(rows) != 2 || rows[0][0] != "bob@isp.example" || rows[0][1] != "isp.example" || rows[1][1] != "NULL" {
					t.Errorf("radacct has %v", rows)
				}
			},
			"postauth.log": func(t *testing.T, w *world) {
				w.login(t, "bob")
				w.login(t, "unknown")
				harness.Eventually(t, patience, "the reject in radpostauth", func() bool {
					return len(w.db.Rows(`SELECT FROM radpostauth WHERE username = 'unknown'`)) == 1
				})
				if rows := w.db.Rows(`SELECT * FROM radpostauth WHERE reply = 'Access-Accept'`); len(rows) != 0 {
					t.Errorf("accepts are there: %v", rows)
				}
			},
			"postauth.passwords": func(t *testing.T, w *world) {
				w.login(t, "unknown too")
				harness.Eventually(t, patience, "the password in radpostauth", func() bool {
					rows := w.db.Rows(`SELECT pass FROM radpostauth WHERE username = 'unknown too'`)
					return len(rows) == 1 && rows[0][0] == "p"
				})
			},
			"garbage_percent": func(t *testing.T, w *world) {
				if is := w.Metric(t, "go_gc_gogc_percent"); is != 150 {
					t.Errorf("garbage is collected at %v percent", is)
				}
			},
			"data_dir": func(t *testing.T, w *world) { // of wireServer's own
				if _, err := os.Stat(filepath.Join(w.DataDir, "server-id")); err != nil {
					t.Error(err)
				}
			},
			"database.url": func(t *testing.T, w *world) { // of wireServer's own
				w.user("in this database")
				must(t, w.Radial(t, "user", "show", "in this database"))
			},
		},
	}
}
