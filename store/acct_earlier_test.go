package store_test

import (
	"fmt"
	"testing"

	"radial/aaa"
	"radial/store/storetest"
)

// TestStopAfterTheNextStart: a NAS begins its ids anew, and the Stop of a session
// that has told nothing but its Start comes when the next one has taken its row. It
// is stored, once, be it told at another server again, when the next one has ended, or
// in one batch with itself; and its usage counts.
func TestStopAfterTheNextStart(t *testing.T) {
	for _, way := range []string{"queue", "journal"} {
		t.Run(way, func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", "100.64.0.0/28")
			stop := func() *aaa.Record {
				r := lateRecord("s", aaa.StatusStop, 160)
				lived, octets := int64(60), int64(1000)
				r.SessionTime, r.Input, r.Output = &lived, &octets, &octets
				return r
			}
			tell(t, db, "queue", lateRecord("s", aaa.StatusStart, 100))
			tell(t, db, "queue", lateRecord("s", aaa.StatusStart, 200))
			tell(t, db, way, stop(), stop())
			want := "[[t 1790000200 NULL 0] [f 1790000100 1790000160 1000]]"
			rows := func() string {
				return fmt.Sprint(db.Rows(`SELECT acctstoptime IS NULL, extract(epoch FROM acctstarttime)::int, extract(epoch FROM acctstoptime)::int, acctinputoctets FROM radacct ORDER BY radacctid`))
			}
			if got := rows(); got != want {
				t.Errorf("after the Stop: %s, want %s", got, want)
			}
			holds(t, db, "s", map[string]bool{})
			last := lateRecord("s", aaa.StatusStop, 260)
			lived := int64(60)
			last.SessionTime = &lived
			tell(t, db, "queue", last)
			tell(t, db, way, stop())
			if got := len(db.Rows(`SELECT 1 FROM radacct`)); got != 2 {
				t.Errorf("%d rows: %s", got, rows())
			}
			if got := fmt.Sprint(db.Rows(`SELECT sum(input) FROM radial.usage_daily`)); got != "[[1001]]" {
				t.Errorf("octets of usage: %s", got)
			}
		})
	}
}
