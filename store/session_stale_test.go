package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// silent is a world in which time passes when it is told to: all times in the
// database go back by as much.
type silent struct {
	*storetest.DB
	t      *testing.T
	rule   store.StaleRule
	minute int
	closed map[string]int // the minute in which a session was closed, by its Acct-Session-Id
}

func newSilent(t *testing.T, rule store.StaleRule) *silent {
	db := storetest.New(t)
	db.Exec(`UPDATE radial.session_clock SET at = now(), since = now() - interval '1 day'`)
	return &silent{DB: db, t: t, rule: rule, closed: map[string]int{}}
}

// session makes an open session that was last heard of just now; its interval,
// and by how many seconds its NAS's clock is slow.
func (s *silent) session(id, nas string, every any, slow int) {
	s.t.Helper()
	s.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctinterval, acctsessiontime, acctinputoctets, acctoutputoctets)
		VALUES ($1::text, md5($1), 'user-' || $1, $2::inet, now() - make_interval(secs => $4::int + 3600), now() - make_interval(secs => $4), $3::bigint, 3600, 1, 2)`, id, nas, every, slow)
}

func (s *silent) pass(d time.Duration) {
	s.t.Helper()
	back := fmt.Sprintf(" - interval '%d seconds'", int(d.Seconds()))
	s.Exec(`UPDATE radacct SET acctstarttime = acctstarttime` + back + `, acctupdatetime = acctupdatetime` + back + `, acctstoptime = acctstoptime` + back + `;
		UPDATE radial.session_watch SET seen = seen` + back + `; UPDATE radial.session_clock SET at = at` + back + `, since = since` + back)
}

// run lets so many minutes pass, with the job each minute; those of alive report
// every five minutes, as their slow clocks say.
func (s *silent) run(minutes int, alive map[string]int) {
	s.t.Helper()
	for range minutes {
		s.minute++
		s.pass(time.Minute)
		for id, slow := range alive {
			if s.minute%5 == 0 {
				s.Exec(`UPDATE radacct SET acctupdatetime = now() - make_interval(secs => $2::int), acctinterval = 300, acctinputoctets = acctinputoctets + 1 WHERE acctsessionid = $1 AND acctstoptime IS NULL`, id, slow)
			}
		}
		s.look()
	}
}

func (s *silent) look() {
	s.t.Helper()
	goes, err := s.WatchSilence(s.t.Context(), s.rule)
	if err != nil {
		s.t.Fatal(err)
	}
	for goes {
		n, err := s.CloseStale(s.t.Context(), s.rule, 2)
		if err != nil {
			s.t.Fatal(err)
		}
		if n < 2 {
			break
		}
	}
	for _, r := range s.Rows(`SELECT acctsessionid FROM radacct WHERE acctstoptime IS NOT NULL`) {
		if s.closed[r[0]] == 0 {
			s.closed[r[0]] = s.minute
		}
	}
}

func (s *silent) want(closed map[string]int) {
	s.t.Helper()
	if d := cmp.Diff(closed, s.closed); d != "" {
		s.t.Errorf("minute %d, closed in minute (-want +got):\n%s", s.minute, d)
	}
}

// Each session is closed when it has missed three interims, and no other ever.
func TestSilentSessions(t *testing.T) {
	s := newSilent(t, store.StaleRule{Intervals: 3})
	const month = 30 * 24 * 3600
	alive := map[string]int{"slow": month}
	for n := range 12 {
		alive[fmt.Sprint("alive", n)] = 0
	}
	for id, slow := range alive {
		nas := "10.0.0.1"
		if slow > 0 {
			nas = "10.0.0.2"
		}
		s.session(id, nas, 300, slow)
	}
	s.session("dead", "10.0.0.1", 300, 0)
	s.session("often", "10.0.0.1", 65, 0)    // it once told something besides
	s.session("seldom", "10.0.0.1", 600, 0)  // 10.0.0.1 has others that report more often
	s.session("unknown", "10.0.0.1", nil, 0) // never an interim, and no policy
	s.session("policy", "10.0.0.1", nil, 0)
	s.session("group", "10.0.0.1", nil, 0)
	s.session("mute", "10.0.0.3", nil, 0) // of a NAS that sends none
	s.session("slowdead", "10.0.0.2", 300, month)
	s.session("alone", "10.0.0.4", -110, 0) // an interim out of order, from FreeRADIUS
	s.session("alone5", "10.0.0.5", 5, 0)
	s.Exec(`INSERT INTO radreply (username, attribute, value) VALUES ('user-policy', 'ACCT-Interim-Interval', '480'), ('user-mute', 'Acct-Interim-Interval', '300'), ('user-policy', 'Acct-Interim-Interval', '5m');
		INSERT INTO radusergroup (username, groupname) VALUES ('user-group', 'g'), ('user-group', 'h');
		INSERT INTO radgroupreply (groupname, attribute, value) VALUES ('g', 'Acct-Interim-Interval', '300'), ('h', 'Acct-Interim-Interval', '420')`)
	s.run(14, alive)
	s.want(map[string]int{"alone5": 3, "slowdead": 11})
	s.run(1, alive)
	s.want(map[string]int{"alone5": 3, "dead": 15, "often": 15, "slowdead": 11})
	s.run(15, alive)
	s.want(map[string]int{"alone5": 3, "dead": 15, "often": 15, "slowdead": 11, "group": 21, "policy": 24, "seldom": 30})
	rows := s.Rows(`SELECT acctterminatecause, acctsessiontime, extract(epoch FROM acctstoptime - acctstarttime)::int, round(extract(epoch FROM now() - acctstoptime) / 60), acctstoptime = acctupdatetime, acctinputoctets, connectinfo_stop
		FROM radacct WHERE acctsessionid = 'dead'`)
	if got, want := fmt.Sprint(rows), "[[Lost-Carrier 3600 3600 30 t 1 NULL]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := s.Rows(`SELECT count(*) FROM radial.session_watch w JOIN radacct r USING (radacctid) WHERE r.acctstoptime IS NOT NULL`)[0][0]; n != "0" {
		t.Errorf("%s closed sessions are watched", n)
	}
	// What nobody knows the interval of is closed after its own time, and comes
	// with the setting.
	s.rule.Silent = 35 * time.Minute
	s.run(36, alive)
	s.want(map[string]int{"alone5": 3, "dead": 15, "often": 15, "slowdead": 11, "group": 21, "policy": 24, "seldom": 30, "unknown": 40, "mute": 66, "alone": 66})
}

// Nothing is closed for a time in which nobody could have told us.
func TestSilenceInAGapCountsNot(t *testing.T) {
	rule := store.StaleRule{Intervals: 3}
	s := newSilent(t, rule)
	s.session("a", "10.0.0.1", 300, 0)
	s.run(7, nil)
	s.pass(30 * time.Minute) // no job ran: no database, or no server
	s.run(8, nil)
	s.want(map[string]int{}) // 7 and 7 minutes: the first after the gap counts for nothing
	s.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, journal_bytes) VALUES (gen_random_uuid(), 'x', '1', now(), now(), 1)`)
	s.run(30, nil)
	s.want(map[string]int{}) // its interims may be in the journal
	s.Exec(`UPDATE radial.servers SET journal_bytes = 0, heartbeat_at = now() - interval '1 minute'`)
	s.run(5, nil)
	s.want(map[string]int{}) // no server has the database
	s.Exec(`UPDATE radial.servers SET heartbeat_at = now() + interval '1 day'`)
	s.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES (gen_random_uuid(), 'y', '1', now(), now() - interval '1 minute')`)
	s.run(5, nil)
	s.want(map[string]int{})                              // another is silent: cut off from the database alone, perhaps, with a journal
	s.Exec(`DELETE FROM radial.servers WHERE name = 'y'`) // forgotten
	s.run(1, nil)
	s.want(map[string]int{"a": 56})

	// A gap that ends just before: what was missed in it does not count.
	s = newSilent(t, rule)
	s.session("b", "10.0.0.1", 300, 0)
	s.pass(3 * time.Hour)
	s.run(15, nil)
	s.want(map[string]int{})
	s.run(1, nil)
	s.want(map[string]int{"b": 16})

	// Off is off, and on again counts from then on.
	s = newSilent(t, store.StaleRule{})
	s.session("c", "10.0.0.1", 300, 0)
	s.run(60, nil)
	s.rule = rule
	s.run(9, nil)
	s.want(map[string]int{})
	s.run(2, nil)
	s.want(map[string]int{"c": 71})
}

// The address of a session that is lost is free, and its history says why; a
// login that took it over keeps it. A row in someone's hands is let be.
func TestLostSessionsLeaveTheirAddresses(t *testing.T) {
	s := newSilent(t, store.StaleRule{Intervals: 3})
	makePool(t, s.DB, "main", "100.64.0.0/28")
	a := ipam.NewAllocator(store.NewLeases(s.DB.DB), ipam.AllocatorOptions{}, nil)
	var addrs []string
	for n := 1; n <= 3; n++ {
		w := want(n, fmt.Sprint("s", n))
		addr := lease(t, a, w)
		addrs = append(addrs, addr.String())
		settle(t, s.DB, bind(addr, int64(n), w))
		s.session(fmt.Sprint("s", n), "10.0.0.1", 300, 0)
		s.Exec(`UPDATE radacct SET framedipaddress = $2::inet WHERE radacctid = $1`, n, addr.String())
	}
	s.run(14, nil)
	lease(t, a, want(2, "next"))
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM radacct WHERE radacctid = 3 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	s.minute++
	s.Exec(`UPDATE radial.session_watch SET quiet_from = quiet_from - interval '5 minutes'`)
	s.look()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(map[string]int{"s1": 15, "s2": 15})
	got := s.Rows(`SELECT state, coalesce(radacctid, 0), coalesce(session_id, '') FROM radial.addresses WHERE host(address) = ANY ($1) ORDER BY array_position($1, host(address))`, addrs)
	if want := "[[free 0 s1] [offered 0 next] [bound 3 s3]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	reasons := s.Rows(`SELECT action, radacctid, reason FROM radial.address_history WHERE action = 'released' ORDER BY radacctid`)
	if len(reasons) != 2 || !strings.HasPrefix(reasons[0][2], "lost: nothing heard of its session since 20") {
		t.Errorf("%v", reasons)
	}
}

// A session that was only silent loses nothing of its accounting.
func TestLostSessionReportsAgain(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	record := func(st aaa.Status, at, session, octets int64) {
		t.Helper()
		if err := l.Record(t.Context(), acctRecord("s", st, at, session, octets)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, changes ...string) {
		t.Helper()
		if d := cmp.Diff([]map[string]string{acctRow("s", changes...)}, acctRows(db)); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	record(aaa.StatusStart, 0, -1, -1)
	record(aaa.StatusInterim, 300, 300, 5)
	db.Exec(`INSERT INTO radial.session_watch SELECT radacctid, acctupdatetime, acctinputoctets # acctoutputoctets # acctsessiontime, '-1 day', '5 minutes' FROM radacct`)
	if n, err := db.CloseStale(t.Context(), store.StaleRule{Intervals: 3}, 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	lost := []string{"update=300", "stop=300", "interval=300", "lived=300", "in=5", "out=10", "cause=Lost-Carrier"}
	check("closed", lost...)
	record(aaa.StatusInterim, 300, 300, 5)
	check("again", lost...)
	for range 2 {
		record(aaa.StatusInterim, 1800, 1800, 7)
		record(aaa.StatusInterim, 1500, 1500, 6)
		check("it lives", "update=1800", "stop=1800", "interval=300", "lived=1800", "in=7", "out=14", "cause=Lost-Carrier")
	}
	record(aaa.StatusStop, 2000, 2000, 9)
	check("stopped", "update=2000", "stop=2000", "interval=300", "lived=2000", "in=9", "out=18", "cause=User-Request", "infostop=down")
	record(aaa.StatusInterim, 2100, 2100, 11)
	check("over", "update=2000", "stop=2000", "interval=300", "lived=2000", "in=9", "out=18", "cause=User-Request", "infostop=down")
}

// A silent session whose row somebody holds for a moment, such as a job that folds its
// usage, is closed when it is free again, and keeps no other from being closed; its
// silence does not begin anew.
func TestSilentSessionThatIsHeld(t *testing.T) {
	s := newSilent(t, store.StaleRule{Silent: time.Hour})
	for _, id := range []string{"a", "b", "c", "d"} {
		s.session(id, "10.0.0.1", nil, 0)
	}
	s.look()
	for range 59 {
		s.pass(time.Minute)
		s.look()
	}
	s.pass(time.Minute)
	tx := holding(t, s.DB, "SELECT FROM radacct WHERE acctsessionid IN ('a', 'b', 'c') FOR UPDATE")
	s.minute = 1
	s.look()
	s.want(map[string]int{"d": 1})
	goOn(t, tx, "UPDATE radacct SET acctupdatetime = now() WHERE acctsessionid = 'b'")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run(1, nil)
	s.want(map[string]int{"d": 1, "a": 2, "c": 2})
	s.run(59, nil)
	s.want(map[string]int{"d": 1, "a": 2, "c": 2})
	s.run(2, nil)
	if s.closed["b"] < 60 {
		t.Errorf("closed: %v", s.closed)
	}
}
