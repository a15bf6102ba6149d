package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// Open sessions come by pages, each once, with what has been applied to them.
func TestLiveSessions(t *testing.T) {
	db := storetest.New(t)
	for i, user := range []string{"alice", "alice", "o=27brien", "alice", "bob", "carol", "dora"} {
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, class, acctstarttime, acctstoptime)
			VALUES ($1, $1, $2, '10.0.0.1', 'p=2F' || $1, 'r1:x', now(), CASE WHEN $2 = 'carol' THEN now() END)`, fmt.Sprint("s", i), user)
	}
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, nasipaddress, acctstarttime) VALUES ('nobody', 'nobody', '10.0.0.1', now())`)
	db.Exec(`INSERT INTO radusergroup (username, groupname) VALUES ('bob', 'gold'), ('o=27brien', 'gold'), ('alice', 'silver')`)
	look := func(page int, groups ...string) string {
		t.Helper()
		var got []string
		err := db.LiveSessions(t.Context(), page, groups, func(_ context.Context, all []aaa.LiveSession) error {
			for _, s := range all {
				got = append(got, s.Login.User+" "+s.SessionID)
				if s.Class != "r1:x" || !strings.HasPrefix(s.Login.Port, "p/") || s.NAS.String() != "10.0.0.1" {
					t.Errorf("%+v", s)
				}
				if s.Applied != (aaa.Mark{}) {
					got[len(got)-1] += fmt.Sprint(s.Applied)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return strings.Join(got, ", ")
	}
	all := "alice s0, alice s1, alice s3, bob s4, dora s6, o'brien s2"
	for _, page := range []int{1, 2, 3, 6, 100} {
		if got := look(page); got != all {
			t.Errorf("pages of %d: %s", page, got)
		}
	}
	if got := look(2, "gold", "none"); got != "bob s4, o'brien s2" {
		t.Errorf("of gold: %s", got)
	}
	id := func(session string) string {
		return db.Rows(`SELECT radacctid::text FROM radacct WHERE acctsessionid = $1`, session)[0][0]
	}
	db.Exec(`INSERT INTO radial.enforcements (radacctid, verb, result, cause, soft, hard, at, close_at) VALUES
		(` + id("s0") + `, 'change', 'done', NULL, -1, 7, now(), NULL), (` + id("s1") + `, 'disconnect', 'done', NULL, NULL, NULL, now(), now()),
		(` + id("s2") + `, 'change', 'refused', 401, NULL, NULL, now(), NULL), (` + id("s3") + `, 'change', 'refused', 401, NULL, NULL, now() - interval '2 hours', NULL),
		(` + id("s4") + `, 'change', 'refused', 506, NULL, NULL, now(), NULL), (` + id("s6") + `, 'change', 'unknown', NULL, NULL, NULL, now(), NULL)`)
	if got := look(2); got != "alice s0{18446744073709551615 7}, alice s3, bob s4, dora s6" {
		t.Errorf("after deeds: %s", got)
	}
	stop := errors.New("stop")
	if err := db.LiveSessions(t.Context(), 1, nil, func(context.Context, []aaa.LiveSession) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// A name that others go by is told from a user's, at little cost where there are
// many users.
func TestProfileAmong(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'User-Profile', ':=', 'homes'), ('bob', 'Cleartext-Password', ':=', 'p'), ('shops', 'Cleartext-Password', ':=', 'p'),
		('carol', 'User-Profile', ':=', 'shops')`)
	db.Exec(`INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('gold', 'User-Profile', ':=', 'offices')`)
	db.Exec(`INSERT INTO radusergroup (username, groupname) VALUES ('homes', 'night'), ('bob', 'gold'), ('everybody', 'basic')`)
	for _, c := range []struct {
		names, groups []string
		byDefault     string
		want          bool
	}{
		{nil, nil, "", false},
		{nil, nil, "everybody", false},
		{[]string{"bob", "alice", "nobody"}, nil, "everybody", false},
		{[]string{"bob", "homes"}, nil, "", true}, // a user's
		{[]string{"offices"}, nil, "", true},      // a group's
		{[]string{"everybody"}, nil, "everybody", true},
		{[]string{"everybody"}, nil, "", false},
		{[]string{"shops"}, nil, "", false}, // is a user as well: he is looked at, and they wait
		{nil, []string{"gold", "none"}, "", false},
		{nil, []string{"night"}, "", true},
		{nil, []string{"basic"}, "everybody", true},
		{nil, []string{"basic"}, "", false},
	} {
		if got, err := db.ProfileAmong(t.Context(), c.names, c.groups, c.byDefault); got != c.want || err != nil {
			t.Errorf("%+v: %t, %v", c, got, err)
		}
	}
	if plan := fmt.Sprint(db.Rows(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ` + strings.NewReplacer("$1", "'{bob}'", "$2", "'{}'", "$3", "''").Replace(store.SQLProfileAmong))); !strings.Contains(plan, "Scan on radcheck c (never executed)") &&
		!strings.Contains(plan, "radcheck c_1 (never executed)") {
		t.Errorf("a change of a user reads all check rows:\n%s", strings.ReplaceAll(plan, "] [", "\n"))
	}
}
