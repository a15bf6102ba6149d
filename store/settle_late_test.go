package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/journal"
	"radial/store/storetest"
)

// TestLateStartTakesNoLease: a session that is told of when its caller has long
// begun the next one at another server does not take that one's place. Sessions
// of one caller with one address do not overlap: a Start from before a moment at which another
// one lived is of a session that was over then, whether it comes out of the
// journal or out of the queue of a server that its NAS had given up, in whole
// seconds or within one, and whether its Stop is told with it, early or late.
func TestLateStartTakesNoLease(t *testing.T) {
	type told struct {
		status aaa.Status
		at     float64
	}
	tests := map[string][]told{
		"a minute ago":                        {{aaa.StatusStart, 50}},
		"in the same second":                  {{aaa.StatusStart, 100.25}},
		"and ended":                           {{aaa.StatusStart, 50}, {aaa.StatusStop, 60}},
		"in the same second, and ended":       {{aaa.StatusStart, 100.25}, {aaa.StatusStop, 100.375}},
		"and ended, the Stop came again late": {{aaa.StatusStart, 50}, {aaa.StatusStop, 110}},
		"an interim alone":                    {{aaa.StatusInterim, 100.25}},
		"an interim, and ended":               {{aaa.StatusInterim, 90}, {aaa.StatusStop, 110}},
	}
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/28")
	for name, old := range tests {
		for _, way := range []string{"journal", "queue", "one batch"} {
			t.Run(name+", "+way, func(t *testing.T) {
				clearSessions(db)
				records := []*aaa.Record{lateRecord("new", aaa.StatusStart, 100.5)}
				if way != "one batch" {
					tell(t, db, "queue", records...)
					records = nil
				}
				ended := false
				for _, o := range old {
					records, ended = append(records, lateRecord("old", o.status, o.at)), o.status == aaa.StatusStop
				}
				open := map[string]bool{"new": true, "old": !ended}
				if way == "one batch" { // in which the new one may be told of last, and then the old one is closed
					way = "journal"
					delete(open, "old")
				}
				tell(t, db, way, records...)
				holds(t, db, "new", open)
			})
		}
	}
}

// TestStartReplacesTheSessionBefore: the other way round the new session takes the lease, and the old one's
// row is closed, be it in the same second, and be it out of the journal.
func TestStartReplacesTheSessionBefore(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/28")
	for _, way := range []string{"journal", "queue"} {
		for _, at := range []float64{100.25, 100.5, 130} {
			t.Run(fmt.Sprint(way, " ", at), func(t *testing.T) {
				clearSessions(db)
				tell(t, db, "queue", lateRecord("old", aaa.StatusStart, 100.25))
				tell(t, db, way, lateRecord("new", aaa.StatusStart, at))
				holds(t, db, "new", map[string]bool{"new": true, "old": false})
				if got := fmt.Sprint(db.Rows(`SELECT acctterminatecause FROM radacct WHERE acctsessionid = 'old'`)); got != "[[Session-Replaced]]" {
					t.Errorf("the old session: %s", got)
				}
			})
		}
	}
}

func clearSessions(db *storetest.DB) {
	db.Exec(`DELETE FROM radacct`)
	db.Exec(`UPDATE radial.addresses SET state = 'free', radacctid = NULL, session_id = NULL, since = NULL`)
}

// lateRecord is a record that came at so many seconds.
func lateRecord(id string, status aaa.Status, at float64) *aaa.Record {
	session := int64(-1)
	if status != aaa.StatusStart {
		session = 1
	}
	r := acctRecord(id, status, int64(at), session, session)
	r.FramedIP = netip.MustParseAddr("100.64.0.3")
	r.Received = r.At.Add(time.Duration((at - float64(int64(at))) * float64(time.Second)))
	return r
}

// tell has a server of its own tell of records, direct or out of its journal.
func tell(t *testing.T, db *storetest.DB, way string, records ...*aaa.Record) {
	t.Helper()
	dir := t.TempDir()
	if way == "journal" {
		j := openJournal(t, dir, journal.Options{})
		for _, r := range records {
			b, err := store.EncodeRecord(r)
			if err := errors.Join(err, j.Append(b)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		records = nil
	}
	l := newJournalled(t, db.DB, dir, store.LedgerOptions{}, journal.Options{})
	l.direct(t)
	for _, r := range records {
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// holds wants the address bound to a session, and the sessions open or not.
func holds(t *testing.T, db *storetest.DB, session string, open map[string]bool) {
	t.Helper()
	for id, want := range open {
		if got := fmt.Sprint(db.Rows(`SELECT acctstoptime IS NULL FROM radacct WHERE acctsessionid = $1`, id)); got != fmt.Sprintf("[[%.1s]]", fmt.Sprint(want)) {
			t.Errorf("%s is open: %s, want %v", id, got, want)
		}
	}
	if got := fmt.Sprint(db.Rows(`SELECT state, session_id FROM radial.addresses WHERE address = '100.64.0.3'`)); got != fmt.Sprintf("[[bound %s]]", session) {
		t.Errorf("the address is %s, want it bound to %s", got, session)
	}
}

// TestLateSessionLeavesTheOffer: a session that comes out of a journal, with its end, when its
// caller has been answered with the address again leaves it on offer to that login,
// whatever that called its session and wherever the caller dialled from. One that was heard
// of after the answer is that login's, and so is what a device tells now, whatever
// the times of its events.
func TestLateSessionLeavesTheOffer(t *testing.T) {
	elsewhere := want(1, "s2")
	elsewhere.Caller.Port = "another"
	const before, after, now = -time.Minute, time.Minute, time.Duration(0) // of the answer
	tests := map[string]struct {
		login          ipam.Want
		heard          time.Duration
		ranOut         bool   // the offer is over by the clock
		bound, started string // the row when the session began, and when it was over
	}{
		"a login that names its session":       {want(1, "s2"), before, false, "bound 1 s2", "offered - s2"},
		"a login that names none":              {want(1, ""), before, false, "bound 1 ", "offered - "},
		"at another port":                      {elsewhere, before, false, "bound 1 s2", "offered - s2"},
		"its offer is over":                    {want(1, "s2"), before, true, "bound 1 s2", "offered - s2"},
		"the login names the session":          {want(1, "s1"), before, false, "bound 1 s1", "free - s1"},
		"heard of after the answer":            {want(1, "s2"), after, false, "bound 1 s1", "free - s1"},
		"after the answer of one without name": {want(1, ""), after, false, "bound 1 s1", "free - s1"},
		"told by the device":                   {want(1, "s2"), now, false, "bound 1 s1", "free - s1"},
		"of a login without name":              {want(1, ""), now, false, "bound 1 s1", "free - s1"},
	}
	for name, test := range tests {
		for _, began := range []time.Duration{-24 * time.Hour, 0} { // what the device's clock says
			t.Run(fmt.Sprint(name, " ", began), func(t *testing.T) {
				db := storetest.New(t)
				makePool(t, db, "main", "192.0.2.0/24")
				a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
				old := want(1, "s1")
				first := old
				if test.login.SessionID == "" { // nor did the one before
					first.SessionID = ""
				}
				addr := lease(t, a, first)
				if test.login.Caller != old.Caller { // a lease of the caller who was here
					db.Exec(`UPDATE radial.addresses SET state = 'free', until = NULL WHERE address = $1`, addr)
				}
				db.Exec(`UPDATE radial.addresses SET since = since - interval '1 hour' WHERE address = $1`, addr)
				if got := lease(t, a, test.login); got != addr {
					t.Fatalf("the next login got %s, the one before %s", got, addr)
				}
				if test.ranOut {
					db.Exec(`UPDATE radial.addresses SET until = now() WHERE address = $1`, addr)
				}
				start, stop := bind(addr, 1, old), release(addr, 1, old)
				start.At = time.Now().Add(began)
				if test.heard != now {
					start.Heard, stop.Heard = time.Now().Add(test.heard), time.Now().Add(test.heard)
				}
				settle(t, db, start)
				if got := state(db, addr); got != test.bound {
					t.Errorf("the row is %q, want %q", got, test.bound)
				}
				settle(t, db, start) // once more changes nothing
				settle(t, db, stop)
				if got := state(db, addr); got != test.started {
					t.Errorf("after the session the row is %q, want %q", got, test.started)
				}
				settle(t, db, stop)
				settle(t, db, bind(addr, 2, want(1, "s2")))
				if got := state(db, addr); got[:7] != "bound 2" {
					t.Errorf("after the Start the row is %q", got)
				}
				settle(t, db, release(addr, 2, want(1, "s2")))
				if got := state(db, addr); got[:4] != "free" {
					t.Errorf("after its Stop the row is %q", got)
				}
			})
		}
	}
}

// TestJournalOfACutOffServer: a server that is cut off takes what a caller's sessions
// tell, while the caller logs in at another again and again. When it is told of, nobody but the
// caller gets the address between the end of one of them and the Start that is to come;
// nor does anything stay on offer when that one has ended.
func TestJournalOfACutOffServer(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, first := range []string{"queue", "journal"} { // where the first session's Start went
			for _, atOnce := range []bool{true, false} {
				t.Run(fmt.Sprint("named ", named, ", ", first, ", at once ", atOnce), func(t *testing.T) {
					w := newTies(t)
					w.Exec("DELETE FROM radial.addresses WHERE address > '100.64.0.1' AND family(address) = 4") // one is left
					login := func(session string) map[ipam.Kind]netip.Prefix {
						if !named {
							session = ""
						}
						return w.login(1, session, ipam.IPv4)
					}
					got := login("s1")
					var cut []*aaa.Record
					add := func(session string, st aaa.Status, at int64) {
						r := w.event(1, session, st, at, got)
						r.Received = time.Now()
						cut = append(cut, r)
					}
					add("s1", aaa.StatusStart, 0)
					if first == "queue" {
						w.record(cut[0])
						cut = nil
					}
					add("s1", aaa.StatusStop, 100)
					login("s2")
					add("s2", aaa.StatusStart, 110)
					add("s2", aaa.StatusStop, 120)
					login("s3")
					batches := [][]*aaa.Record{cut}
					if !atOnce {
						batches = nil
						for _, r := range cut {
							batches = append(batches, []*aaa.Record{r})
						}
					}
					for _, b := range batches {
						tell(t, w.DB, "journal", b...)
						if l, err := w.allocator.Lease(t.Context(), wants(2, "", "ipv4:main")); err == nil {
							t.Errorf("another got %s after %v, with which a login was answered", l[0].Prefix, b[0].Status)
						}
					}
					w.want("what is to come", "100.64.0.1 offered -")
					w.send("s3", aaa.StatusStart, 130, got)
					w.want("the session of now", "100.64.0.1 bound s3")
					w.send("s3", aaa.StatusStop, 140, got)
					w.want("its Stop frees it", "")
				})
			}
		}
	}
}
