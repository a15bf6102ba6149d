package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// An adopted radacct is folded in batches, the newest sessions first, while
// sessions go on: what is closed, changed or deleted meanwhile counts once.
func TestUsageOfAnAdoptedRadacct(t *testing.T) {
	db := storetest.Empty(t, storetest.WithOptions(store.Options{TimeZone: "Europe/Berlin"}))
	db.Exec(read(t, "testdata/freeradius-3.0.19.sql"))
	db.Exec(read(t, "testdata/rows.sql"))
	db.Exec(`
INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets)
SELECT 's' || i, md5(i::text), 'user' || i % 7, '10.0.0.1', s, s + interval '1 day', CASE WHEN i % 11 > 0 THEN s + interval '1 day' END, 86400, i, 2 * i
FROM generate_series(1, 1000) i, LATERAL (SELECT timestamptz '2026-01-01 06:00Z' + i * interval '1 hour' AS s) x`)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	meter := store.NewMeter(db.DB)
	used, err := meter.Used(t.Context(), "user0", []aaa.Span{{}})
	if err != nil || used[0].Time != 12*24*time.Hour { // those that are open
		t.Errorf("before any is folded: %v, %v", used, err)
	}
	steps := []string{
		``,
		`UPDATE radacct SET acctstoptime = acctupdatetime, acctsessiontime = 90000 WHERE radacctid IN (13, 310, 904)`, // open ones
		`UPDATE radacct SET acctinputoctets = acctinputoctets + 1000000 WHERE radacctid IN (5, 400, 901)`,             // closed ones
		`CREATE TABLE gone AS SELECT * FROM radacct WHERE radacctid IN (6, 13, 14, 401, 412, 902, 903)`,
		`DELETE FROM radacct WHERE radacctid IN (6, 13, 14, 401, 412, 902, 903)`,
	}
	for left, n := true, 0; left; n++ {
		if n < len(steps) && steps[n] != "" {
			db.Exec(steps[n])
		}
		if n%2 == 0 {
			if _, err := db.FoldUsage(t.Context(), 100); err != nil {
				t.Fatal(err)
			}
		}
		if left, err = db.BackfillUsage(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	db.Exec(`UPDATE radacct SET acctstoptime = acctupdatetime WHERE acctstoptime IS NULL`)
	if _, err := db.FoldUsage(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	want := db.Rows(`
SELECT username, sum(acctsessiontime), sum(acctinputoctets), sum(acctoutputoctets), count(*)
FROM (SELECT username, acctsessiontime, acctinputoctets, acctoutputoctets FROM radacct UNION ALL SELECT username, acctsessiontime, acctinputoctets, acctoutputoctets FROM gone) r
WHERE username <> 'o=27br' GROUP BY 1 ORDER BY 1`)
	got := db.Rows(`SELECT username, sum(seconds), sum(input), sum(output), sum(sessions) FROM radial.usage_daily WHERE username <> 'o''br' GROUP BY 1 ORDER BY 1`)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-radacct +usage_daily:\n%s", d)
	}
	if days := db.Rows(`SELECT count(*) FROM radial.usage_daily WHERE username = 'user1' AND day = '2026-01-20'`); days[0][0] != "1" {
		t.Error("no day within the sessions' times")
	}
	if left := db.Rows(`SELECT * FROM radial.usage_session`); len(left) > 0 {
		t.Errorf("all sessions are folded, and usage_session has %v", left)
	}
	if b, err := db.UsageBackfill(t.Context()); err != nil || b.Upto != 0 || b.Bound != 1002 {
		t.Errorf("backfill %+v, %v", b, err)
	}
}

// Numbers that no bigint holds stay at the greatest, and fail nobody.
func TestUsageDoesNotRunOver(t *testing.T) {
	w := newUsageWorld(t)
	for i := range 3 {
		for _, err := range w.ledgers[i%2].Apply(t.Context(), acctRecord(string(rune('a'+i)), aaa.StatusStop, 100_000*int64(i), 1<<33, 1<<62-1), acctRecord(string(rune('m'+i)), aaa.StatusStop, 100_000*int64(i), -1, 1<<62-1)) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	used, err := w.meter.Used(t.Context(), "bob", []aaa.Span{{}, {From: 1, To: 2}})
	if err != nil || used[0].Input != 1<<63-1 || used[1] != (aaa.Usage{}) {
		t.Errorf("%v, %v", used, err)
	}
	if n := w.Rows(`SELECT count(*) FROM radial.quarantine`)[0][0]; n != "0" {
		t.Errorf("%s records in quarantine", n)
	}
}

// A user's first session is the first that is still known: in radacct, in the
// archive, or by its days alone.
func TestMeterFirstSession(t *testing.T) {
	w := newUsageWorld(t)
	first := func(want string) {
		t.Helper()
		at, err := w.meter.FirstSession(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if !at.IsZero() {
			got = at.UTC().Format(time.DateTime)
		}
		if got != want {
			t.Errorf("first session %q, want %q", got, want)
		}
	}
	first("")
	w.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ('1', '1', 'bob', '10.0.0.1', '2026-10-26 07:00Z')`)
	first("2026-10-26 07:00:00")
	w.Exec(`SELECT radial.make_archive_partition('2026-10-01Z')`)
	w.Exec(`INSERT INTO radial.radacct_archive (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime) VALUES (0, '0', '0', 'bob', '10.0.0.1', '2026-10-25 07:00Z', '2026-10-25 08:00Z')`)
	first("2026-10-25 07:00:00")
	w.Exec(`INSERT INTO radial.usage_daily VALUES ('bob', '2026-10-24', 1, 1, 1, 1)`)
	first("2026-10-23 22:00:00")
}
