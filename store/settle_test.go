package store_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func event(kind ipam.Event, a netip.Addr, id int64, w ipam.Want) store.LeaseEvent {
	return store.LeaseEvent{Kind: kind, Address: a, RadacctID: id, Caller: w.Caller, SessionID: w.SessionID, At: time.Now()}
}

func bind(a netip.Addr, id int64, w ipam.Want) store.LeaseEvent {
	return event(ipam.EventBind, a, id, w)
}

func renew(a netip.Addr, id int64, w ipam.Want) store.LeaseEvent {
	return event(ipam.EventRenew, a, id, w)
}

func release(a netip.Addr, id int64, w ipam.Want) store.LeaseEvent {
	return event(ipam.EventRelease, a, id, w)
}

func settle(t testing.TB, db *storetest.DB, events ...store.LeaseEvent) []ipam.Outcome {
	t.Helper()
	if err := db.SettleLeases(t.Context(), time.Now(), events); err != nil {
		t.Fatal(err)
	}
	var outs []ipam.Outcome
	for _, e := range events {
		outs = append(outs, e.Outcome)
	}
	return outs
}

func history(db *storetest.DB, a netip.Addr) string {
	var texts []string
	for _, r := range db.Rows("SELECT action, username, coalesce(radacctid::text, '-') FROM radial.address_history WHERE address = $1 ORDER BY id", a) {
		texts = append(texts, strings.Join(r, " "))
	}
	return strings.Join(texts, ", ")
}

func state(db *storetest.DB, a netip.Addr) string {
	return strings.Join(db.Rows("SELECT state, coalesce(radacctid::text, '-'), coalesce(session_id, '-') FROM radial.addresses WHERE address = $1", a)[0], " ")
}

func TestSettleLifeOfALease(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	addr := lease(t, a, w)

	steps := []struct {
		event   store.LeaseEvent
		outcome ipam.Outcome
		state   string
	}{
		{bind(addr, 1, w), ipam.Bind, "bound 1 s1"},
		{bind(addr, 1, w), ipam.Renew, "bound 1 s1"},  // again: nothing changes
		{renew(addr, 1, w), ipam.Leave, "bound 1 s1"}, // more than half of its time left: not even looked at
		{release(addr, 1, w), ipam.Release, "free - s1"},
		{release(addr, 1, w), ipam.Leave, "free - s1"},
		{renew(addr, 2, want(1, "s2")), ipam.Bind, "bound 2 s2"}, // its Start was lost
		{release(netip.Addr{}, 2, want(1, "s2")), ipam.Release, "free - s2"},
		{bind(netip.MustParseAddr("203.0.113.1"), 3, w), ipam.Leave, "free - s2"}, // in no pool
	}
	for i, s := range steps {
		if out := settle(t, db, s.event); out[0] != s.outcome {
			t.Errorf("step %d: outcome %d, want %d", i, out[0], s.outcome)
		}
		if got := state(db, addr); got != s.state {
			t.Errorf("step %d: the row is %q, want %q", i, got, s.state)
		}
	}
	if got, want := history(db, addr), "bound user1 1, released user1 1, bound user1 2, released user1 2"; got != want {
		t.Errorf("history %s\nwant    %s", got, want)
	}
}

func TestSettleRenewsLazily(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	addr := lease(t, a, w)
	settle(t, db, bind(addr, 1, w))
	version := func() string { return db.Rows("SELECT xmin FROM radial.addresses WHERE address = $1", addr)[0][0] }
	before := version()
	settle(t, db, renew(addr, 1, w))
	if version() != before {
		t.Error("an interim wrote the row while more than half of the time was left")
	}
	db.Exec("UPDATE radial.addresses SET until = now() + interval '20 minutes' WHERE address = $1", addr)
	if out := settle(t, db, renew(addr, 1, w)); out[0] != ipam.Renew {
		t.Errorf("outcome %d", out[0])
	}
	if rows := db.Rows("SELECT until > now() + interval '59 minutes' FROM radial.addresses WHERE address = $1", addr); rows[0][0] != "t" {
		t.Error("the lease was not renewed")
	}
}

func TestSettleDoesNotSteal(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	addr := lease(t, a, w)
	stranger := want(2, "s9")
	if out := settle(t, db, bind(addr, 9, stranger)); out[0] != ipam.Conflict || !strings.HasPrefix(state(db, addr), "offered") {
		t.Errorf("an offer was stolen: outcome %d, %s", out[0], state(db, addr))
	}
	settle(t, db, bind(addr, 1, w))
	if out := settle(t, db, bind(addr, 9, stranger), renew(addr, 9, stranger), release(addr, 9, stranger)); out[0] != ipam.Conflict || out[1] != ipam.Conflict || out[2] != ipam.Leave {
		t.Errorf("outcomes %v", out)
	}
	if got := state(db, addr); got != "bound 1 s1" {
		t.Errorf("a binding was stolen: %s", got)
	}
}

// The caller comes back: its login takes the lease over, its Start closes the
// session that is over, in whatever order the old one's Stop comes.
func TestSettleTakenOver(t *testing.T) {
	for _, stopFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("old Stop first ", stopFirst), func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", "192.0.2.0/24")
			a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
			db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctsessiontime)
				VALUES (1, 's1', 'u1', 'user1', '10.0.0.1', now() - interval '10 minutes', 60), (2, 's2', 'u2', 'user1', '10.0.0.1', now(), 0)`)
			w1, w2 := want(1, "s1"), want(1, "s2")
			addr, began := lease(t, a, w1), time.Now()
			settle(t, db, bind(addr, 1, w1))
			if got := lease(t, a, w2); got != addr {
				t.Fatalf("the new session got %s, has %s", got, addr)
			}
			if stopFirst {
				if out := settle(t, db, release(addr, 1, w1)); out[0] != ipam.Reoffer {
					t.Errorf("outcome %d", out[0])
				}
				if got := state(db, addr); got != "offered - s2" {
					t.Errorf("after the old Stop the row is %s", got)
				}
			}
			settle(t, db, bind(addr, 2, w2))
			if got := state(db, addr); got != "bound 2 s2" {
				t.Errorf("after the new Start the row is %s", got)
			}
			if !stopFirst {
				rows := db.Rows("SELECT acctterminatecause, acctsessiontime BETWEEN 595 AND 605, acctstoptime IS NOT NULL FROM radacct WHERE radacctid = 1")
				if fmt.Sprint(rows) != "[[Session-Replaced t t]]" {
					t.Errorf("the old session's row: %v", rows)
				}
				if out := settle(t, db, release(addr, 1, w1)); out[0] != ipam.Leave {
					t.Errorf("the old Stop, late: outcome %d", out[0])
				}
			}
			// late packets of the old session take nothing back
			late := bind(addr, 1, w1)
			late.At = began
			settle(t, db, renew(addr, 1, w1), late)
			if got := state(db, addr); got != "bound 2 s2" {
				t.Errorf("late packets of the old session made it %s", got)
			}
			wantHistory := "bound user1 1, taken_over user1 2"
			if stopFirst {
				wantHistory = "bound user1 1, released user1 1, bound user1 2"
			}
			if got := history(db, addr); got != wantHistory {
				t.Errorf("history %s, want %s", got, wantHistory)
			}
		})
	}
}

func TestSettleNASReboot(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.7.0.0/22")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	var binds, releases []store.LeaseEvent
	for n := range 300 {
		w := want(n, fmt.Sprint("s", n))
		addr := lease(t, a, w)
		binds = append(binds, bind(addr, int64(n+1), w))
		releases = append(releases, release(netip.Addr{}, int64(n+1), w))
	}
	settle(t, db, binds...)
	if rows := db.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'bound'"); rows[0][0] != "300" {
		t.Fatalf("%v bound", rows)
	}
	settle(t, db, releases...)
	if rows := db.Rows("SELECT (SELECT count(*) FROM radial.addresses WHERE state <> 'free'), (SELECT count(*) FROM radial.address_history WHERE action = 'released')"); fmt.Sprint(rows) != "[[0 300]]" {
		t.Errorf("after the reboot: held, released = %v", rows)
	}
}

func TestSettleOneBatch(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	addr := netip.MustParseAddr("192.0.2.7")
	one, two := want(1, "s1"), want(2, "s2")
	// begun and ended, and the next holder, in one batch
	outs := settle(t, db, bind(addr, 1, one), release(addr, 1, one), bind(addr, 2, two))
	if fmt.Sprint(outs) != "[bound released bound]" || state(db, addr) != "bound 2 s2" {
		t.Errorf("outcomes %v, row %s", outs, state(db, addr))
	}
	if got := history(db, addr); got != "bound user1 1, released user1 1, bound user2 2" {
		t.Errorf("history %s", got)
	}
	future := bind(addr, 2, two)
	future.At = time.Now().Add(48 * time.Hour)
	settle(t, db, release(addr, 2, two), future)
	if rows := db.Rows("SELECT count(*) FROM radial.address_history WHERE at > now() + interval '1 minute'"); rows[0][0] != "0" {
		t.Error("history begins in the future")
	}
}

// Accounting as it comes: a lease is bound, taken over and released by records.
func TestLedgerMovesLeases(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/24")
	l, reg := newLedger(t, db, store.LedgerOptions{})
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := ipam.Want{Pools: []string{"main"}, VRF: 1, SessionID: "81a00001", Caller: ipam.Caller{
		User: "bob@isp", MAC: "aa:bb:cc:dd:ee:ff", NAS: netip.MustParseAddr("10.0.0.9"), Port: "ether1",
	}}
	addr := lease(t, a, w)
	record := func(session string, st aaa.Status, n int64, user string) {
		t.Helper()
		r := acctRecord(session, st, n, n, n)
		r.FramedIP, r.Login = addr, user
		if user != "bob@isp" {
			r.CallingStation, r.NAS = "00:00:00:00:00:01", netip.MustParseAddr("10.0.0.10")
		}
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	holder := func() string {
		return strings.Join(db.Rows("SELECT state, coalesce(session_id, '-') FROM radial.addresses WHERE address = $1", addr)[0], " ")
	}
	record("81a00001", aaa.StatusStart, 0, "bob@isp")
	if got := holder(); got != "bound 81a00001" {
		t.Errorf("after the Start: %s", got)
	}
	record("stranger", aaa.StatusStart, 5, "eve")
	if got := holder(); got != "bound 81a00001" {
		t.Errorf("after a stranger's Start: %s", got)
	}
	if n := counterOf(t, reg, "radial_accounting_lease_events_total", "conflict"); n != 1 {
		t.Errorf("%v conflicts counted", n)
	}
	// the router lost power; the caller is back before anybody said Stop
	w.SessionID = "82a00001"
	if got := lease(t, a, w); got != addr {
		t.Errorf("back with %s, had %s", got, addr)
	}
	record("82a00001", aaa.StatusStart, 100, "bob@isp")
	if got := holder(); got != "bound 82a00001" {
		t.Errorf("after the new Start: %s", got)
	}
	if rows := db.Rows("SELECT acctterminatecause FROM radacct WHERE acctsessionid = '81a00001'"); rows[0][0] != "Session-Replaced" {
		t.Errorf("the old session's row: %v", rows)
	}
	record("82a00001", aaa.StatusStop, 200, "bob@isp")
	if got := holder(); !strings.HasPrefix(got, "cooling") { // the stranger still reports it
		t.Errorf("after the Stop: %s", got)
	}
	if got := history(db, addr); !strings.HasPrefix(got, "bound bob@isp") || !strings.Contains(got, "taken_over") || !strings.Contains(got, "released") {
		t.Errorf("history %s", got)
	}
}
