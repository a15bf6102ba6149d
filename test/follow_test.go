package test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"radial/test/harness"
)

// Who changes rows past us, by psql, a panel or a script, has sessions follow as
// well; rows that say nothing of a session leave it alone.
func TestSessionsFollowPsql(t *testing.T) {
	s, db := wireServer(t, map[string]string{"RADIAL_CONTROL_CLOSE_AFTER": "2s"})
	env := []string{"RADIAL_DATABASE_URL=" + db.URL()}
	names := []string{"u0", "u1", "u2", "u3"}
	for _, u := range names {
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p')`, u)
		db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, 'gold', 1)`, u)
	}
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Mikrotik-Rate-Limit', '=', '5M/20M')`)
	r := playRouter(t, s, env, "127.0.0.31")
	all := r.dialAll(t, names)
	harness.Eventually(t, patience, "all are online", func() bool {
		return db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL AND class LIKE 'r1:%'`)[0][0] == "4"
	})

	db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ('u0', 'Mikrotik-Rate-Limit', ':=', '1M/1M')`)
	db.Exec(`UPDATE radusergroup SET priority = 2 WHERE username = 'u0'`)
	db.Exec(`UPDATE radcheck SET value = 'other' WHERE username = 'u1'`)
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Acct-Interim-Interval', ':=', '600')`)
	within(t, "a user's own rate", func() bool { return all[0].Rate() == "1M/1M" })
	db.Exec(`UPDATE radgroupreply SET value = '7M/70M' WHERE groupname = 'gold' AND attribute = 'Mikrotik-Rate-Limit'`)
	within(t, "the rate of a group", func() bool {
		return all[1].Rate() == "7M/70M" && all[2].Rate() == "7M/70M" && all[3].Rate() == "7M/70M"
	})
	if n := len(r.Asked()); n != 4 {
		t.Errorf("%d requests, 4 have to follow: %v", n, r.Asked())
	}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('u2', 'Auth-Type', ':=', 'Reject')`)
	within(t, "who is suspended is off", func() bool { return all[2].Ended() && online(db, "u2") == "0" })
	// a script deletes and inserts, in transactions of their own
	for range 3 {
		db.Exec(`DELETE FROM radcheck WHERE username = 'u3'`)
		time.Sleep(300 * time.Millisecond)
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('u3', 'Cleartext-Password', ':=', 'p')`)
	}
	harness.Eventually(t, patience, "the script has been followed", func() bool {
		return db.Rows(`SELECT count(*) FROM radial.river_job WHERE kind = 'follow_user' AND state = 'completed' AND args ->> 'user' = 'u3'`)[0][0] != "0"
	})
	if all[3].Ended() || len(r.Asked()) != 5 {
		t.Errorf("ended %v; requests %v", all[3].Ended(), r.Asked())
	}
}

// Who goes by a profile follows a change of the groups that it is in.
func TestSessionsFollowProfiles(t *testing.T) {
	s, db := wireServer(t, map[string]string{"RADIAL_CONTROL_RECONCILE": "1h"})
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('hal', 'Cleartext-Password', ':=', 'p'), ('hal', 'User-Profile', ':=', 'homes')`)
	db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('homes', 'night', 1)`)
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('night', 'Mikrotik-Rate-Limit', '=', '1M/2M'), ('day', 'Mikrotik-Rate-Limit', '=', '3M/4M')`)
	r := playRouter(t, s, []string{"RADIAL_DATABASE_URL=" + db.URL()}, "127.0.0.34")
	hal := r.dialAll(t, []string{"hal"})[0]
	harness.Eventually(t, patience, "he is online", func() bool { return online(db, "hal") == "1" })
	if hal.Rate() != "1M/2M" {
		t.Fatalf("his rate is %s", hal.Rate())
	}
	db.Exec(`UPDATE radusergroup SET groupname = 'day' WHERE username = 'homes'`)
	within(t, "the groups of his profile", func() bool { return hal.Rate() == "3M/4M" })
	db.Exec(`UPDATE radgroupreply SET value = '5M/6M' WHERE groupname = 'day'`)
	within(t, "the rate of one of them", func() bool { return hal.Rate() == "5M/6M" })
}

// One change is one job: that of a command of ours is not taken for psql's as
// well.
func TestOneChangeIsOneJob(t *testing.T) {
	s, db := wireServer(t, map[string]string{"RADIAL_CONTROL_RECONCILE": "1h"})
	done := func(what string) func() bool {
		return func() bool {
			return db.Rows(`SELECT count(*) FROM radial.river_job WHERE state = 'completed' AND ` + what)[0][0] != "0"
		}
	}
	harness.Eventually(t, patience, "the look at all sessions at the start", done(`kind = 'reconcile_sessions'`))
	env := []string{"RADIAL_DATABASE_URL=" + db.URL()}
	must(t, harness.CLI(t, env, "package", "add", "slow", "--down", "2M", "--up", "1M"))
	must(t, harness.CLI(t, env, "package", "add", "fast", "--down", "20M", "--up", "10M"))
	names := []string{"ours", "theirs", "first"}
	for _, u := range names {
		must(t, harness.CLI(t, env, "user", "add", u, "--password", "p", "--package", "slow"))
	}
	r := playRouter(t, s, env, "127.0.0.33")
	all := r.dialAll(t, names)
	harness.Eventually(t, patience, "they are online", func() bool { return online(db, "ours") == "1" && online(db, "theirs") == "1" })
	db.Exec(`UPDATE radusergroup SET groupname = 'fast' WHERE username = 'first'`)
	harness.Eventually(t, patience, "that, and so all that rows had told before, is done with", done(`kind = 'follow_user' AND args ->> 'user' = 'first'`))
	db.Exec(`DELETE FROM radial.river_job`)

	must(t, harness.CLI(t, env, "user", "set", "ours", "--package", "fast"))
	within(t, "our change", func() bool { return all[0].Rate() == "10M/20M" })
	db.Exec(`UPDATE radusergroup SET groupname = 'fast' WHERE username = 'theirs'`)
	within(t, "psql's change, which is looked at later than ours would be", func() bool { return all[1].Rate() == "10M/20M" })
	jobs := fmt.Sprint(db.Rows(`SELECT args ->> 'user', args ->> 'actor', count(*) FROM radial.river_job  WHERE kind IN ('follow_user', 'follow_session') GROUP BY 1, 2 ORDER BY 1, 2`))
	if want := fmt.Sprint([][]string{{"ours", actorOfCLI(t, env, "ours"), "1"}, {"theirs", "psql", "1"}}); jobs != want {
		t.Errorf("jobs %s, want %s", jobs, want)
	}
}

// actorOfCLI is how the audit calls who runs our commands here.
func actorOfCLI(t *testing.T, env []string, user string) string {
	t.Helper()
	var rows []struct{ Actor string }
	if err := json.Unmarshal([]byte(must(t, harness.CLI(t, env, "audit", "list", "--key", user, "--action", "user.set", "-o", "json"))), &rows); err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	return rows[0].Actor
}

// What nobody has told of is found by the look at all sessions.
func reconcileEffect(t *testing.T, _ *world) {
	s, db := wireServer(t, map[string]string{"RADIAL_CONTROL_RECONCILE": "5s"})
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('quiet', 'Cleartext-Password', ':=', 'p'), ('deleted', 'Cleartext-Password', ':=', 'p')`)
	r := playRouter(t, s, []string{"RADIAL_DATABASE_URL=" + db.URL()}, "127.0.0.32")
	all := r.dialAll(t, []string{"quiet", "deleted"})
	harness.Eventually(t, patience, "both are online", func() bool { return online(db, "quiet") == "1" && online(db, "deleted") == "1" })
	begin := time.Now()
	db.Exec(`UPDATE radacct SET class = 'r1:' || repeat('B', 32) WHERE username = 'quiet'`) // no rows change; but the witness is a stranger's
	db.Exec(`DELETE FROM radcheck WHERE username = 'deleted'`)
	within(t, "who has been deleted is off", func() bool { return all[1].Ended() })
	if took := time.Since(begin); took > 18*time.Second {
		t.Errorf("that took %s: by the notification, not by the look at all", took)
	}
	if all[0].Ended() {
		t.Error("a session that nothing is known of was ended")
	}
	if n := fmt.Sprint(len(r.Asked())); n != "1" {
		t.Errorf("%s requests", n)
	}
}
