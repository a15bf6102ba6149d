package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// admission is a login of bob, who may have limit sessions, from a port and MAC of
// 10.0.0.9.
func admission(limit uint32, port, mac, session string) *ipam.Admission {
	return &ipam.Admission{
		User: "bob", SessionID: session, Limit: limit, Replace: true, Calling: mac, Life: time.Minute,
		Caller: ipam.Caller{User: "bob@isp", MAC: ipam.NormaliseMAC(mac), NAS: netip.MustParseAddr("10.0.0.9"), Port: port},
	}
}

// The MAC is that of acctRecord; so are the user's names and the NAS.
const bobsMAC, othersMAC = "AA:BB:CC:DD:EE:FF", "AA:BB:CC:DD:EE:00"

func admitted(t *testing.T, a *store.Admissions, login *ipam.Admission, want bool) {
	t.Helper()
	err := a.Admit(t.Context(), login)
	var reached *ipam.LimitReached
	if err != nil && !errors.As(err, &reached) {
		t.Fatal(err)
	}
	if (err == nil) != want {
		t.Fatalf("port %s, MAC %s, session %s: got %v, want admitted %v", login.Caller.Port, login.Caller.MAC, login.SessionID, err, want)
	}
}

func acctStore(t *testing.T, l *store.Ledger, r *aaa.Record) {
	t.Helper()
	if err := l.Record(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func waitingRows(db *storetest.DB) string {
	return fmt.Sprint(db.Rows(`SELECT count(*) FROM radial.admissions`)[0][0])
}

// A login counts from its accept on, at another server too, until its Start
// does; who asks again is not counted twice.
func TestAdmissionCountsUntilItsStart(t *testing.T) {
	db := storetest.New(t)
	ledger, _ := newLedger(t, db, store.LedgerOptions{})
	one, two := store.NewAdmissions(db.DB), store.NewAdmissions(db.DB)
	admitted(t, one, admission(1, "ether1", bobsMAC, "s1"), true)
	admitted(t, two, admission(1, "ether1", othersMAC, "s2"), false)
	admitted(t, two, admission(1, "ether1", bobsMAC, "s1"), true)
	if n := waitingRows(db); n != "1" {
		t.Errorf("%s rows of one login", n)
	}
	acctStore(t, ledger, acctRecord("s1", aaa.StatusStart, 0, 0, 0))
	if n := waitingRows(db); n != "0" {
		t.Errorf("%s rows after the Start", n)
	}
	admitted(t, two, admission(1, "ether1", othersMAC, "s2"), false)
	acctStore(t, ledger, acctRecord("s1", aaa.StatusStop, 60, 60, 5))
	admitted(t, two, admission(1, "ether1", othersMAC, "s2"), true)
}

// What consumes a login that was let in.
func TestAdmissionConsumed(t *testing.T) {
	for _, c := range []struct {
		what    string
		session string // of the login
		record  func() *aaa.Record
		left    string
	}{
		{"a Start with its id", "s1", func() *aaa.Record { return acctRecord("s1", aaa.StatusStart, 0, 0, 0) }, "0"},
		{"a Start from its port and MAC", "", func() *aaa.Record { return acctRecord("s1", aaa.StatusStart, 0, 0, 0) }, "0"},
		{"a Start whose NAS has another id for it", "x", func() *aaa.Record { return acctRecord("s1", aaa.StatusStart, 0, 0, 0) }, "0"},
		{"an interim, its Start was lost", "s1", func() *aaa.Record { return acctRecord("s1", aaa.StatusInterim, 60, 60, 5) }, "0"},
		{"a Stop, all else was lost", "s1", func() *aaa.Record { return acctRecord("s1", aaa.StatusStop, 60, 60, 5) }, "0"},
		{"the Stop of a session before", "", func() *aaa.Record { return acctRecord("s1", aaa.StatusStop, 60, 60, 5) }, "1"},
		{"another port", "", func() *aaa.Record {
			r := acctRecord("s1", aaa.StatusStart, 0, 0, 0)
			r.PortID = ptrTo("ether2")
			return r
		}, "1"},
		{"another NAS", "s1", func() *aaa.Record {
			r := acctRecord("s1", aaa.StatusStart, 0, 0, 0)
			r.NAS = netip.MustParseAddr("10.0.0.8")
			return r
		}, "1"},
		{"another user", "s1", func() *aaa.Record {
			r := acctRecord("s1", aaa.StatusStart, 0, 0, 0)
			r.Login = "eve"
			return r
		}, "1"},
		{"a bare record", "s1", func() *aaa.Record { return bareRecord("s1", aaa.StatusStart, 0, 0, 0) }, "1"},
	} {
		t.Run(c.what, func(t *testing.T) {
			db := storetest.New(t)
			ledger, _ := newLedger(t, db, store.LedgerOptions{})
			admitted(t, store.NewAdmissions(db.DB), admission(1, "ether1", bobsMAC, c.session), true)
			acctStore(t, ledger, c.record())
			if n := waitingRows(db); n != c.left {
				t.Errorf("%s logins wait, want %s", n, c.left)
			}
		})
	}
}

// Power loss: the same MAC is back on the same port while its session is open. It
// is let in at once; the old session is closed when the new one starts, with and
// without an address of a pool, and another MAC has to wait.
func TestAdmissionReplacesADeadSession(t *testing.T) {
	db := storetest.New(t)
	ledger, _ := newLedger(t, db, store.LedgerOptions{})
	a := store.NewAdmissions(db.DB)
	acctStore(t, ledger, acctRecord("old", aaa.StatusStart, 0, 0, 0))
	acctStore(t, ledger, acctRecord("old", aaa.StatusInterim, 300, 300, 77))
	never := admission(1, "ether1", bobsMAC, "new")
	never.Replace = false
	admitted(t, a, never, false)
	admitted(t, a, admission(1, "ether1", othersMAC, "other"), false)
	admitted(t, a, admission(1, "ether1", bobsMAC, "new"), true)
	admitted(t, a, admission(1, "ether1", othersMAC, "other"), false)
	admitted(t, a, admission(2, "ether1", othersMAC, "other"), true) // both count as one
	if rows := db.Rows(`SELECT acctstoptime IS NULL FROM radacct`); rows[0][0] != "t" {
		t.Error("closed before the new session has begun")
	}
	acctStore(t, ledger, acctRecord("new", aaa.StatusStart, 900, 0, 0))
	rows := db.Rows(`SELECT acctsessionid, coalesce(acctterminatecause, ''), acctstoptime IS NULL, acctinputoctets FROM radacct ORDER BY acctstarttime`)
	want := fmt.Sprint([][]string{{"old", "Session-Replaced", "f", "77"}, {"new", "", "t", "0"}})
	if fmt.Sprint(rows) != want {
		t.Errorf("got %v, want %s", rows, want)
	}
	acctStore(t, ledger, acctRecord("new", aaa.StatusStart, 900, 0, 0)) // again: nothing changes
	if again := db.Rows(`SELECT acctsessionid, coalesce(acctterminatecause, ''), acctstoptime IS NULL, acctinputoctets FROM radacct ORDER BY acctstarttime`); fmt.Sprint(again) != want {
		t.Errorf("after a duplicate: %v", again)
	}
}

// A login whose Start never comes counts until its time is over, but not while
// a Start may be on its way that the database lacks.
func TestAdmissionExpires(t *testing.T) {
	db := storetest.New(t)
	a := store.NewAdmissions(db.DB)
	later := func() { db.Exec(`UPDATE radial.admissions SET until = now() - interval '1 second'`) }
	db.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, journal_bytes) VALUES (gen_random_uuid(), 'a', '', now(), now(), 5)`)
	admitted(t, a, admission(1, "ether1", bobsMAC, "s1"), true)
	later()
	admitted(t, a, admission(1, "ether2", othersMAC, "s2"), false)
	if n, err := db.ExpireAdmissions(t.Context(), 100); n != 0 || err != nil {
		t.Errorf("expired %d while a journal is not empty, %v", n, err)
	}
	db.Exec(`UPDATE radial.servers SET journal_bytes = 0`)
	admitted(t, a, admission(1, "ether2", othersMAC, "s2"), true)
	later()
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now() - interval '1 hour'`)
	admitted(t, a, admission(1, "ether3", "AA:BB:CC:DD:EE:01", "s3"), false)
	if err := db.SpareOffers(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now()`)
	admitted(t, a, admission(1, "ether3", "AA:BB:CC:DD:EE:01", "s3"), false) // for another minute
	later()
	if n, err := db.ExpireAdmissions(t.Context(), 100); n != 2 || err != nil {
		t.Errorf("expired %d, %v", n, err)
	}
}

// Callers of two servers race for a user's sessions, with addresses and without:
// never is one let in too many, and always as many as may be. A refused one has
// no address.
func TestAdmissionRace(t *testing.T) {
	for _, limit := range []uint32{1, 3} {
		for _, pooled := range []bool{false, true} {
			t.Run(fmt.Sprintf("limit %d, pooled %v", limit, pooled), func(t *testing.T) {
				db := storetest.New(t)
				makePool(t, db, "main", "192.0.2.0/24")
				var servers [2]func(context.Context, *ipam.Admission) error
				for i := range servers {
					alloc, plain := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), store.NewAdmissions(db.DB)
					servers[i] = func(ctx context.Context, a *ipam.Admission) error {
						if !pooled {
							return plain.Admit(ctx, a)
						}
						_, err := alloc.Lease(ctx, []ipam.Want{{Pools: []string{"main"}, VRF: 1, Caller: a.Caller, SessionID: a.SessionID, Admission: a}})
						return err
					}
				}
				for round := range 12 {
					var in atomic.Int32
					var wg sync.WaitGroup
					for i := range 16 {
						login := admission(limit, fmt.Sprint("ether", i), fmt.Sprintf("02:00:00:00:00:%02x", i), fmt.Sprint("s", i))
						login.User = fmt.Sprint("user", round)
						login.Caller.User = login.User
						wg.Go(func() {
							err := servers[i%2](t.Context(), login)
							var reached *ipam.LimitReached
							switch {
							case err == nil:
								in.Add(1)
							case !errors.As(err, &reached):
								t.Error(err)
							}
						})
					}
					wg.Wait()
					if n := in.Load(); n != int32(limit) {
						t.Errorf("round %d: %d were let in", round, n)
					}
				}
				leases := "0"
				if pooled {
					leases = fmt.Sprint(12 * limit)
				}
				if rows := db.Rows(`SELECT count(*) FROM radial.addresses WHERE state <> 'free'`); rows[0][0] != leases {
					t.Errorf("%s addresses are held, want %s", rows[0][0], leases)
				}
			})
		}
	}
}

// Logins, Starts and Stops of one user at two servers: the sessions that are open
// or about to be are never more than the limit.
func TestAdmissionRaceWithAccounting(t *testing.T) {
	const limit = 2
	db := storetest.New(t)
	var live atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		ledger, _ := newLedger(t, db, store.LedgerOptions{})
		a := store.NewAdmissions(db.DB)
		mac := fmt.Sprintf("02:00:00:00:00:%02X", i)
		wg.Go(func() {
			for round := range 25 {
				session := fmt.Sprint("s", i, "-", round)
				err := a.Admit(t.Context(), admission(limit, fmt.Sprint("ether", i), mac, session))
				var reached *ipam.LimitReached
				if errors.As(err, &reached) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := live.Add(1); n > limit {
					t.Errorf("%d sessions at once", n)
				}
				for _, status := range []aaa.Status{aaa.StatusStart, aaa.StatusStop} {
					r := acctRecord(session, status, int64(round), 0, 0)
					r.PortID, r.CallingStation = ptrTo(fmt.Sprint("ether", i)), mac
					if status == aaa.StatusStop {
						live.Add(-1)
					}
					if err := ledger.Record(t.Context(), r); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := waitingRows(db); n != "0" {
		t.Errorf("%s logins wait for a Start", n)
	}
}
