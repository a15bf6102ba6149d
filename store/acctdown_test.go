package store_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// An Accounting-On that is applied once more closes nothing that it has not
// closed at first: a session that was told of since stays. One that the NAS sends
// again closes it.
func TestRebootRepeated(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	there, _ := newLedger(t, db, store.LedgerOptions{})
	record := func(l *store.Ledger, r *aaa.Record, open string) {
		t.Helper()
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(db.Rows(`SELECT acctsessionid FROM radacct WHERE acctstoptime IS NULL ORDER BY 1`)); got != open {
			t.Errorf("%v of %v: open %s, want %s", r.Status, r.At.Unix()-acctZero, got, open)
		}
	}
	record(l, acctRecord("a", aaa.StatusStart, 0, -1, -1), "[[a]]")
	record(l, bareRecord("", aaa.StatusOn, 100, -1, -1), "[]")
	record(l, acctRecord("b", aaa.StatusStart, 50, -1, -1), "[[b]]")
	record(l, bareRecord("", aaa.StatusOn, 100, -1, -1), "[[b]]")
	record(there, bareRecord("", aaa.StatusOn, 100, -1, -1), "[[b]]")
	elsewhere := bareRecord("", aaa.StatusOn, 100, -1, -1)
	elsewhere.NAS = netip.MustParseAddr("10.0.0.10")
	record(l, elsewhere, "[[b]]")
	if n := counterOf(t, reg, "radial_accounting_records_total", "on", "duplicate"); n != 1 {
		t.Errorf("duplicates %v, want 1", n)
	}
	again := bareRecord("", aaa.StatusOn, 100, -1, -1)
	again.Received = again.Received.Add(time.Millisecond)
	record(l, again, "[]")
	record(l, acctRecord("c", aaa.StatusStart, 60, -1, -1), "[[c]]")
	record(l, bareRecord("", aaa.StatusOff, 100, -1, -1), "[]")
	record(l, bareRecord("", aaa.StatusOn, 200+90*86400, -1, -1), "[]")
	if got := fmt.Sprint(db.Rows(`SELECT status, extract(epoch FROM at)::bigint - $1 FROM radial.reboots WHERE nas = '10.0.0.9'`, acctZero)); got != fmt.Sprintf("[[on %d]]", 200+90*86400) {
		t.Errorf("remembered: %s", got)
	}
}
