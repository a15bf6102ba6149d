package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

func openSession(db *storetest.DB, id, user string) {
	db.Exec(fmt.Sprintf(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ('%s', md5('%s'), '%s', '10.0.0.1', now() - interval '1 hour')`, id, id, user))
}

// A change queues what brings the sessions that it is about to it, and nothing
// where there are none.
func TestChangesAreFollowed(t *testing.T) {
	o := newOffice(t)
	openSession(o.DB, "s1", "alice")
	openSession(o.DB, "s2", "carol")
	o.Exec(`INSERT INTO radusergroup (username, groupname) VALUES ('carol', 'gold')`)
	if err := o.CreatePool(t.Context(), store.PoolSpec{Name: "main", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}}); err != nil {
		t.Fatal(err)
	}
	o.Exec(`UPDATE radial.addresses SET state = 'offered', username = 'bob', until = now() + interval '1 minute' WHERE address = '192.0.2.3'`)
	note := func(action string, audit aaa.Audit, dry bool) func(string) {
		return func(key string) {
			t.Helper()
			by := store.Change{Actor: "cli:x", Action: action, DryRun: dry}
			_, err := o.ChangeSubscriber(t.Context(), by, key, func(aaa.Account) (aaa.AccountDelta, error) { return aaa.AccountDelta{Audit: audit}, nil })
			o.must(err)
		}
	}
	queued := `SELECT kind, coalesce(args->>'user', args->>'asked'), args->>'actor', coalesce(args->>'why', ''), state::text FROM radial.river_job ORDER BY id`
	for _, c := range []struct {
		name string
		do   func()
		want [][]string
	}{
		{"a user without a session", func() { note("user.set", aaa.Audit{"x": 1}, false)("nobody") }, nil},
		{"a dry run", func() { note("user.set", aaa.Audit{"x": 1}, true)("alice") }, nil},
		{"nothing changes", func() { note("user.set", nil, false)("alice") }, nil},
		{"a user online", func() { note("user.set", aaa.Audit{"x": 1}, false)("alice") }, [][]string{{"follow_user", "alice", "cli:x", "user.set", "available"}}},
		{"his password", func() { note("user.set", aaa.Audit{"password": "set"}, false)("alice") },
			[][]string{{"follow_user", "alice", "cli:x", "user.set", "available"}, {"end_user", "alice", "cli:x", "user.set", "available"}}},
		{"what he may use, and until when", func() { note("user.set", aaa.Audit{"expires_at": "x"}, false)("alice") },
			[][]string{{"follow_user", "alice", "cli:x", "user.set", "available"}, {"limit_user", "alice", "cli:x", "user.set", "available"}}},
		{"a renewal", func() { note("user.renew", aaa.Audit{"x": 1}, false)("alice") },
			[][]string{{"follow_user", "alice", "cli:x", "user.renew", "available"}, {"limit_user", "alice", "cli:x", "user.renew", "available"}}},
		{"a deletion", func() { note("user.del", aaa.Audit{"expires_at": "x"}, false)("alice") }, [][]string{{"follow_user", "alice", "cli:x", "user.del", "available"}}},
		{"one whose Start is to come", func() { note("user.set", aaa.Audit{"x": 1}, false)("bob") }, [][]string{{"follow_user", "bob", "cli:x", "user.set", "scheduled"}}},
		{"a file", func() {
			var lines []store.SubscriberLine
			for i, name := range []string{"nobody", "bob", "alice"} {
				rule := func(aaa.Account) (aaa.AccountDelta, error) {
					return aaa.AccountDelta{Audit: aaa.Audit{"password": "set"}}, nil
				}
				lines = append(lines, store.SubscriberLine{Line: i + 1, Name: name, Rule: rule})
			}
			_, wrong, err := o.ImportSubscribers(t.Context(), store.Change{Actor: "cli:x", Action: "user.import"}, lines, func(string, int) {})
			if o.must(err); len(wrong) > 0 {
				t.Error(wrong)
			}
		}, [][]string{{"follow_user", "bob", "cli:x", "user.import", "scheduled"}, {"follow_user", "alice", "cli:x", "user.import", "available"}, {"end_user", "alice", "cli:x", "user.import", "available"}}},
		{"a package", func() {
			o.must(o.addPackage("gold", aaa.PackageChange{RateDown: new(int64(1e6)), RateUp: new(int64(1e6))}, true))
		},
			[][]string{{"follow_many", "package gold", "cli:test", "", "available"}}},
		{"a package of nobody", func() { o.must(o.addPackage("silver", aaa.PackageChange{}, false)) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.Exec(`DELETE FROM radial.river_job`)
			c.do()
			if diff := cmp.Diff(c.want, o.Rows(queued)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A session is claimed by one at a time, and for a time.
func TestClaimSessions(t *testing.T) {
	db := storetest.New(t)
	for _, id := range []string{"s1", "s2", "s3"} {
		openSession(db, id, "o=27brien")
	}
	db.Exec(`UPDATE radacct SET acctstoptime = now() WHERE acctsessionid = 's3'`)
	ids, err := db.OpenSessionsOf(t.Context(), "o'brien")
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	claim := func(who string, hold time.Duration, mine, busy, ending int) store.Claimed {
		t.Helper()
		c, err := db.ClaimSessions(t.Context(), append(ids, ids[1]+1, 999), who, hold)
		if err != nil || len(c.Mine) != mine || len(c.Busy) != busy || len(c.Ending) != ending {
			t.Fatalf("%s: %d mine, %d busy, %d ending, %v", who, len(c.Mine), len(c.Busy), len(c.Ending), err)
		}
		return c
	}
	c := claim("a#1", time.Minute, 2, 0, 0)
	if s := c.Mine[0]; s.Login.User != "o'brien" || s.NAS != netip.MustParseAddr("10.0.0.1") || s.SessionID != "s1" || s.Applied != (aaa.Mark{}) {
		t.Errorf("%+v", s)
	}
	claim("b#1", time.Minute, 0, 2, 0)
	if err := db.ReleaseSessions(t.Context(), ids, "b#1"); err != nil { // it has none
		t.Fatal(err)
	}
	claim("b#1", time.Minute, 0, 2, 0)
	mark := aaa.Mark{Soft: 1 << 63, Hard: 3}
	deeds := []store.Deed{
		{Session: c.Mine[0], Verb: aaa.VerbChange, Effect: aaa.Effect{Result: aaa.ResultDone}, Applied: &mark, Actor: "x", Why: "y"},
		{Session: c.Mine[1], Verb: aaa.VerbDisconnect, Effect: aaa.Effect{Result: aaa.ResultDone}, Actor: "x", Why: "y"},
	}
	if err := db.SettleDeeds(t.Context(), "a#1", time.Minute, deeds); err != nil {
		t.Fatal(err)
	}
	if got := claim("b#1", 0, 1, 0, 1).Mine[0].Applied; got != mark {
		t.Errorf("applied %+v", got)
	}
	claim("c#1", time.Minute, 1, 0, 1) // b's time is over
	// one whose claim another has by now: what it did is told, and the other keeps its claim
	if err := db.SettleDeeds(t.Context(), "b#1", time.Minute, deeds[:1]); err != nil {
		t.Fatal(err)
	}
	claim("d#1", time.Minute, 0, 1, 1)
	if err := db.ReleaseSessions(t.Context(), ids, "c#1"); err != nil {
		t.Fatal(err)
	}
	claim("d#1", time.Minute, 1, 0, 1)
	db.Exec(`UPDATE radial.enforcements SET at = now() - interval '2 days', claimed_until = NULL, close_at = NULL`)
	db.Exec(`UPDATE radacct SET acctstoptime = now() WHERE acctsessionid = 's2'`)
	if n, err := db.TidyControl(t.Context(), 100); n != 1 || err != nil {
		t.Errorf("%d rows of sessions that are over, %v", n, err)
	}
}

// Claims lock what is known of sessions in the order of their ids: what a job gives
// back and writes down never holds a later one while it waits for an earlier one.
func TestClaimsAreInOrder(t *testing.T) {
	const lock = `SELECT FROM radial.enforcements WHERE radacctid = $1 FOR UPDATE`
	for name, settle := range map[string]func(db *storetest.DB) error{
		"given back": func(db *storetest.DB) error { return db.ReleaseSessions(t.Context(), []int64{2, 1}, "a#1") },
		"a bulk order": func(db *storetest.DB) error {
			deed := store.Deed{Session: aaa.LiveSession{ID: 2}, Verb: aaa.VerbChange, Effect: aaa.Effect{Result: aaa.ResultDone}}
			return db.SettleBulk(t.Context(), 1, "a#1", time.Minute, []store.Deed{deed}, []store.BulkTarget{{Session: 2, Result: "done"}, {Session: 1, Result: "nothing"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			db.Exec(`INSERT INTO radial.enforcements (radacctid, claimed_by, claimed_until) SELECT i, 'a#1', now() + interval '1 minute' FROM generate_series(2, 1, -1) i`)
			tx := holding(t, db, lock, 1)
			settled := make(chan error, 1)
			go func() { settled <- settle(db) }()
			waitsForLock(t, db)
			goOn(t, tx, lock, 2)
			if err := tx.Commit(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-settled; err != nil {
				t.Error(err)
			}
		})
	}
}

// What was closed since its Stop did not come is told all that the Stop has to
// tell, when it comes all the same.
func TestStopAfterClose(t *testing.T) {
	for _, result := range []aaa.Result{aaa.ResultDone, aaa.ResultGone} {
		db := storetest.New(t)
		l, _ := newLedger(t, db, store.LedgerOptions{})
		record := func(st aaa.Status, at, session, octets int64) {
			t.Helper()
			if err := l.Record(t.Context(), acctRecord("s", st, at, session, octets)); err != nil {
				t.Fatal(err)
			}
		}
		row := func() string {
			return fmt.Sprint(db.Rows(`SELECT acctinputoctets, acctterminatecause, (acctstoptime IS NOT NULL)::text FROM radacct`))
		}
		record(aaa.StatusStart, 0, -1, -1)
		record(aaa.StatusInterim, 300, 300, 5)
		db.Exec(`INSERT INTO radial.enforcements (radacctid, verb, result, at, close_at) SELECT radacctid, 'disconnect', '` + string(result) + `', now(), now() FROM radacct`)
		if closed, lives, err := db.CloseLetGo(t.Context(), 10); closed != 1 || lives != 0 || err != nil {
			t.Fatal(closed, lives, err)
		}
		cause := map[aaa.Result]string{aaa.ResultDone: store.CauseAdminReset, aaa.ResultGone: aaa.CauseLostCarrier}[result]
		if got := row(); got != "[[5 "+cause+" true]]" {
			t.Errorf("%s: %s", result, got)
		}
		if closed, lives, err := db.CloseLetGo(t.Context(), 10); closed+lives != 0 || err != nil {
			t.Error("closed twice", closed, lives, err)
		}
		record(aaa.StatusStart, 0, -1, -1) // its repetition changes nothing
		if got := row(); got != "[[5 "+cause+" true]]" {
			t.Errorf("%s, after its Start again: %s", result, got)
		}
		record(aaa.StatusStop, 320, 320, 9)
		record(aaa.StatusStop, 320, 320, 9)
		if got := row(); got != "[[9 "+map[aaa.Result]string{aaa.ResultDone: cause, aaa.ResultGone: "User-Request"}[result]+" true]]" {
			t.Errorf("%s, after its Stop: %s", result, got)
		}
		if n := db.Rows(`SELECT count(*) FROM radacct`)[0][0]; n != "1" {
			t.Errorf("%s: %s rows", result, n)
		}
	}
}

// An order that names nothing is no order for everything.
func TestOrderOfNothing(t *testing.T) {
	db := storetest.New(t)
	openSession(db, "s1", "alice")
	made, err := db.OrderBulk(t.Context(), store.Change{Actor: "cli:x", Action: "session.order"}, store.BulkOrder{Verb: store.BulkDisconnect, Asked: "nothing", Rate: 1})
	if !errors.Is(err, aaa.ErrInvalid) || made.Total != 0 {
		t.Errorf("%+v, %v", made, err)
	}
}
