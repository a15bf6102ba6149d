package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"radial/aaa"
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
