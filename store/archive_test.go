package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// archive moves all that was over before a time, by batches.
func archive(t testing.TB, db *storetest.DB, before time.Time, batch int) (moved int) {
	t.Helper()
	a, err := db.NewArchiving(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	for n := batch; n == batch; moved += n {
		if n, err = a.Move(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	return moved
}

// allSessions are the rows of a table or view, whole.
func allSessions(db *storetest.DB, from string) []string {
	var all []string
	for _, r := range db.Rows("SELECT to_jsonb(r)::text FROM " + from + " r ORDER BY radacctid") {
		all = append(all, r[0])
	}
	return all
}

// What is over goes, by months, and the view tells what radacct told before.
func TestArchive(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/24")
	manySessions(db, 3000)
	db.Exec(`UPDATE radacct SET acctstarttime = acctstarttime - interval '1 month', acctauthentic = 'RADIUS', class = 'c', connectinfo_start = '=28x=29', realm = NULL,
		framedipv6prefix = '2001:db8::/56', delegatedipv6prefix = '2001:db8:1::/56', framedinterfaceid = '::1' WHERE radacctid % 3 = 0`)
	db.Exec(`UPDATE radacct SET acctstarttime = '1970-01-01 00:00:09Z' WHERE radacctid = 11`) // a NAS without a clock
	db.Exec(`UPDATE radacct SET acctstarttime = NULL WHERE radacctid = 12`)
	db.Exec(`UPDATE radacct SET acctstoptime = '-infinity' WHERE radacctid = 14`) // no time of Go's
	db.Exec(`UPDATE radacct SET acctstarttime = '-infinity' WHERE radacctid = 15`)
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 13 WHERE address = '100.64.0.13'`)
	want := allSessions(db, "radacct")
	before := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	moved := archive(t, db, before, 100)
	if diff := cmp.Diff(want, allSessions(db, "radial.radacct_all")); diff != "" {
		t.Error(diff)
	}
	const due = `acctstoptime < '2026-11-02 12:00Z'`
	left := db.Rows(`SELECT radacctid FROM radacct WHERE ` + due + ` ORDER BY 1`)
	if got := fmt.Sprint(left); got != "[[12] [13] [14] [15]]" {
		t.Errorf("over before then, and still there: %s; want the one with an address, and those without a true start or stop", got)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.radacct_archive WHERE NOT ` + due)[0][0]; n != "0" {
		t.Errorf("%s too young ones are in the archive", n)
	}
	if got := db.Rows(`SELECT count(*), count(extra) FROM radial.radacct_archive`)[0]; got[0] != fmt.Sprint(moved) || got[1] != "0" || moved < 1000 {
		t.Errorf("moved %d, the archive has %v", moved, got)
	}
	months := db.Rows(`SELECT DISTINCT replace(tableoid::regclass::text, 'radial.', '') FROM radial.radacct_archive ORDER BY 1`)
	if got := fmt.Sprint(months); got != "[[radacct_archive_2026_10] [radacct_archive_2026_11] [radacct_archive_before]]" {
		t.Error(got)
	}
	if n := archive(t, db, before, 100); n != 0 {
		t.Errorf("%d more when there is nothing to do", n)
	}
	db.Exec(`UPDATE radial.addresses SET state = 'free', radacctid = NULL WHERE address = '100.64.0.13'`)
	if n := archive(t, db, before.AddDate(1, 0, 0), 100); n == 0 {
		t.Error("nothing of what came after")
	}
	if diff := cmp.Diff(want, allSessions(db, "radial.radacct_all")); diff != "" {
		t.Error(diff)
	}
	if n := db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0]; n != "300" {
		t.Errorf("%s open sessions are left of 300", n)
	}
}

// Columns of a panel's are kept by their names; foreign keys on radacct forbid it all.
func TestArchiveAdopted(t *testing.T) {
	db := storetest.New(t)
	manySessions(db, 20)
	db.Exec(`ALTER TABLE radacct ADD groupname varchar(64), ADD billed numeric, ADD raw bytea, ALTER username TYPE varchar(64), ALTER acctsessiontime TYPE integer`)
	db.Exec(`UPDATE radacct SET groupname = 'gold', billed = 12.3400, raw = '\x00ff' WHERE radacctid = 1`)
	want := allSessions(db, "radial.radacct_all")
	if n := archive(t, db, time.Now(), 7); n != 18 {
		t.Errorf("%d moved of 18", n)
	}
	if diff := cmp.Diff(want, allSessions(db, "radial.radacct_all")); diff != "" {
		t.Error(diff)
	}
	got := db.Rows(`SELECT a.radacctid, r.groupname, r.billed, r.raw FROM radial.radacct_archive a, jsonb_populate_record(NULL::radacct, a.extra) r WHERE a.extra IS NOT NULL`)
	if diff := cmp.Diff([][]string{{"1", "gold", "12.3400", `\x00ff`}}, got); diff != "" {
		t.Error(diff)
	}
	db.Exec(`UPDATE radial.usage_backfill SET bound = 9, upto = 5`)
	if _, err := db.NewArchiving(t.Context(), time.Now()); !errors.Is(err, store.ErrArchiveWaits) || !strings.Contains(err.Error(), "at radacctid 5 of 9") {
		t.Errorf("%v", err)
	}
	db.Exec(`CREATE TABLE invoices (session bigint REFERENCES radacct (radacctid) ON DELETE CASCADE)`)
	if _, err := db.NewArchiving(t.Context(), time.Now()); !errors.Is(err, aaa.ErrInvalid) || !strings.Contains(err.Error(), "invoices_session_fkey of invoices") {
		t.Errorf("%v", err)
	}
}

// Whatever happens to a batch, each session is there once: connections are cut
// in the middle of it, and two servers archive at once.
func TestArchiveIsCut(t *testing.T) {
	db := storetest.New(t)
	manySessions(db, 2000)
	want := allSessions(db, "radacct")
	var over atomic.Bool
	var cut atomic.Int64
	var g errgroup.Group
	g.Go(func() error {
		for !over.Load() {
			if cut.Load() < 20 { // then let them come to an end
				db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'radial' AND state <> 'idle'`)
			}
			if n := db.Rows(`SELECT count(*) FROM radial.radacct_all`)[0][0]; n != "2000" {
				return fmt.Errorf("%s sessions in the view", n)
			}
		}
		return nil
	})
	var movers errgroup.Group
	for range 2 {
		movers.Go(func() error {
			for {
				a, err := db.NewArchiving(t.Context(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
				n := 50
				for err == nil && n == 50 {
					n, err = a.Move(t.Context(), 50)
				}
				if err == nil {
					return nil
				}
				cut.Add(1)
			}
		})
	}
	if err := movers.Wait(); err != nil {
		t.Error(err)
	}
	over.Store(true)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for archive(t, db, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), 1000) > 0 { // what the other one held when it was cut
	}
	if diff := cmp.Diff(want, allSessions(db, "radial.radacct_all")); diff != "" {
		t.Error(diff)
	}
	if n := db.Rows(`SELECT count(*) FROM radacct`)[0][0]; n != "200" || cut.Load() == 0 {
		t.Errorf("%s left in radacct, want the 200 open ones; %d batches were cut", n, cut.Load())
	}
}

// archivedStory is a session's row as far as its events decide on it.
func archivedStory(rows [][]string) []string {
	var all []string
	for _, r := range rows {
		all = append(all, strings.Join(r, " "))
	}
	slices.Sort(all)
	return all
}

// usageOf is what a database says that bob has used, ever, when the job has folded.
func usageOf(t *testing.T, db *storetest.DB, meter *store.Meter) string {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = db.FoldUsage(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	used, err := meter.Used(t.Context(), "bob", []aaa.Span{{}})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", used)
}

// What the ledger makes of any records is the same whether sessions are
// archived in between or not: late and repeated ones, reused ids, in any order.
func TestLateRecordsOfArchivedSessions(t *testing.T) {
	kept, moved := storetest.New(t), storetest.New(t)
	one, _ := newLedger(t, kept, store.LedgerOptions{})
	two, _ := newLedger(t, moved, store.LedgerOptions{})
	const story = `SELECT acctsessionid, extract(epoch FROM acctstarttime)::bigint - 1790000000, extract(epoch FROM acctstoptime)::bigint - 1790000000,
		extract(epoch FROM acctupdatetime)::bigint - 1790000000, acctinterval, acctsessiontime, acctinputoctets, acctoutputoctets, acctterminatecause, connectinfo_stop FROM `
	meters := []*store.Meter{store.NewMeter(kept.DB), store.NewMeter(moved.DB)}
	archived, late := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		for _, db := range []*storetest.DB{kept, moved} {
			db.Exec(`TRUNCATE radacct; TRUNCATE radial.radacct_archive; TRUNCATE radial.archive_ends; TRUNCATE radial.usage_daily; TRUNCATE radial.usage_session; UPDATE radial.addresses SET state = 'free', radacctid = NULL`)
		}
		var all []*aaa.Record
		for _, s := range []string{"a", "b"} {
			at := int64(0)
			for range rapid.IntRange(1, 3).Draw(rt, "sessions of "+s) { // the same id each time
				at += rapid.Int64Range(1, 400).Draw(rt, "gap")
				begin, octets := at, int64(0)
				all = append(all, acctRecord(s, aaa.StatusStart, at, -1, -1))
				for range rapid.IntRange(0, 3).Draw(rt, "interims") {
					at += rapid.Int64Range(1, 300).Draw(rt, "interval")
					octets += rapid.Int64Range(0, 100).Draw(rt, "octets")
					all = append(all, acctRecord(s, aaa.StatusInterim, at, at-begin, octets))
				}
				if rapid.IntRange(0, 3).Draw(rt, "stops") > 0 {
					at += rapid.Int64Range(0, 300).Draw(rt, "tail")
					all = append(all, acctRecord(s, aaa.StatusStop, at, at-begin, octets+rapid.Int64Range(0, 100).Draw(rt, "octets")))
				}
			}
		}
		for range rapid.IntRange(0, 6).Draw(rt, "moves") { // late ones and duplicates
			ev := rapid.SampledFrom(all).Draw(rt, "again")
			all = slices.Insert(all, rapid.IntRange(0, len(all)).Draw(rt, "where"), ev)
		}
		if rapid.Bool().Draw(rt, "shuffled") {
			all = rapid.Permutation(all).Draw(rt, "order")
		}
		for _, ev := range all {
			if rapid.IntRange(0, 2).Draw(rt, "archives") == 0 {
				archived += archive(t, moved, acctAt(rapid.Int64Range(0, 3000).Draw(rt, "before")), 10)
			}
			before := fmt.Sprint(moved.Rows(story + `radial.radacct_archive`))
			a, b := *ev, *ev
			if err := errors.Join(errors.Join(one.Apply(t.Context(), &a)...), errors.Join(two.Apply(t.Context(), &b)...)); err != nil {
				rt.Fatal(err)
			}
			if before != fmt.Sprint(moved.Rows(story+`radial.radacct_archive`)) {
				late++
			}
			if diff := cmp.Diff(archivedStory(kept.Rows(story+`radacct`)), archivedStory(moved.Rows(story+`radial.radacct_all`))); diff != "" {
				rt.Fatalf("after %v at %d:\n%s", ev.Status, ev.At.Unix()-acctZero, diff)
			}
			if a, b := usageOf(t, kept, meters[0]), usageOf(t, moved, meters[1]); a != b {
				rt.Fatalf("after %v at %d: used %s, and where sessions are archived %s", ev.Status, ev.At.Unix()-acctZero, a, b)
			}
			if n := moved.Rows(`SELECT count(*) FROM radial.radacct_archive a LEFT JOIN radial.archive_ends e ON e.month = date_trunc('month', a.acctstarttime, 'UTC')
				WHERE e.newest IS NULL OR e.newest < a.acctstoptime`)[0][0]; n != "0" {
				rt.Fatalf("%s archived sessions ended later than archive_ends says", n)
			}
		}
	})
	if archived == 0 || late == 0 {
		t.Errorf("%d archived, %d of them corrected: the test shows nothing", archived, late)
	}
}

// Months that were filled a moment ago are counted, big ones in part.
func TestArchiveMonthsNew(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`SELECT radial.make_archive_partition(m) FROM unnest('{2024-01-01 00:00Z,2024-02-01 00:00Z,2024-03-01 00:00Z}'::timestamptz[]) m`)
	db.Exec(`ALTER TABLE radial.radacct_archive_2024_02 SET (autovacuum_enabled = off)`)
	db.Exec(`INSERT INTO radial.radacct_archive (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime)
		SELECT n, n::text, n::text, 'u', '10.0.0.1'::inet, '2024-02-01 00:00Z'::timestamptz + n * interval '10 s', '2024-02-28 00:00Z'::timestamptz FROM generate_series(0, 159999) n
		UNION ALL SELECT 200000 + n, 's', 's' || n, 'u', '10.0.0.1', '2024-03-01 00:00Z', '2024-03-02 00:00Z' FROM generate_series(1, 7) n`)
	all, err := db.ArchiveMonths(t.Context())
	if err != nil || len(all) != 3 || all[0].Sessions != 0 || all[1].Sessions < 155_000 || all[1].Sessions > 165_000 || all[2].Sessions != 7 {
		t.Errorf("%+v, %v", all, err)
	}
}

// A month goes when the last of its sessions is old enough, and not before.
func TestArchiveDrop(t *testing.T) {
	db := storetest.New(t)
	session := func(id int, start, stop string) {
		db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime) VALUES ($1::bigint, $1::text, $1::text, 'u', '10.0.0.1', $2, $3)`,
			id, start, stop)
	}
	session(1, "2024-01-01 00:00Z", "2024-01-01 00:10Z")
	session(2, "2024-02-28 00:00Z", "2025-02-01 00:00Z") // was on for a year
	session(3, "2024-03-31 23:59:59.999999Z", "2024-04-02 00:00Z")
	session(4, "1970-01-01 00:00Z", "2024-04-02 00:00Z")
	if n := archive(t, db, instant(t, "2025-06-01 00:00Z"), 10); n != 4 {
		t.Fatalf("%d moved", n)
	}
	all, err := db.ArchiveMonths(t.Context())
	if err != nil || len(all) != 3 || all[0].Sessions != 1 || !all[1].Newest.Equal(instant(t, "2025-02-01 00:00Z")) || all[0].Bytes == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	by := store.Change{Actor: "test", Action: "archive.drop"}
	drop := func(before string) (names []string) {
		t.Helper()
		for {
			name, err := db.DropArchiveMonth(t.Context(), instant(t, before), by)
			if err != nil {
				t.Fatal(err)
			}
			if name == "" {
				return names
			}
			names = append(names, name)
		}
	}
	if got := fmt.Sprint(drop("2024-01-31 00:00Z")); got != "[]" {
		t.Error("a month that was not over went: ", got)
	}
	if got := fmt.Sprint(drop("2024-04-02 00:00Z")); got != "[radacct_archive_2024_01]" {
		t.Error(got)
	}
	if got := fmt.Sprint(drop("2024-04-02 00:01Z")); got != "[radacct_archive_2024_03]" {
		t.Error(got)
	}
	for _, c := range []struct {
		before string
		want   int
	}{{"2024-04-02 00:00Z", 0}, {"2024-04-02 00:01Z", 1}} {
		if n, err := db.ForgetArchived(t.Context(), instant(t, c.before), 10); err != nil || n != c.want {
			t.Errorf("before %s: %d, %v", c.before, n, err)
		}
	}
	if got := fmt.Sprint(db.Rows(`SELECT radacctid FROM radial.radacct_all`)); got != "[[2]]" {
		t.Errorf("left: %s; want the one that was on for a year", got)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.audit WHERE action = 'archive.drop'`)[0][0]; n != "2" {
		t.Errorf("%s rows of the audit", n)
	}
}

// Sessions are archived the moment they are over, by two servers, while their
// records still come: each twice, in any order. Every row is the fold of its
// events, and there once.
func TestArchiveRace(t *testing.T) {
	db := storetest.New(t)
	one, _ := newLedger(t, db, store.LedgerOptions{Shards: 3, Batch: 20})
	two, _ := newLedger(t, db, store.LedgerOptions{Shards: 2, Batch: 50})
	rng := rand.New(rand.NewPCG(3, 4))
	const sessions = 60
	want := map[string]map[string]string{}
	var all []*aaa.Record
	for i := range sessions {
		s := fmt.Sprintf("race%03d", i)
		events := life(rng, s, rng.IntN(6), rng.IntN(4) > 0)
		want[s] = ideal(s, events)
		all = append(all, events...)
		all = append(all, events...)
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var over atomic.Bool
	var movers errgroup.Group
	moved := make([]int, 2)
	for i := range moved {
		movers.Go(func() error {
			for !over.Load() {
				err := db.Archive(t.Context(), acctAt(1<<20), 5, func(n int) error { moved[i] += n; return nil })
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i, ev := range all {
		g.Go(func() error {
			if i%2 == 0 {
				return two.Record(t.Context(), ev)
			}
			return one.Record(t.Context(), ev)
		})
	}
	err := g.Wait()
	over.Store(true)
	if err := errors.Join(err, movers.Wait()); err != nil {
		t.Fatal(err)
	}
	rows := acctRowsOf(db, "radial.radacct_all")
	if len(rows) != sessions {
		t.Errorf("%d rows of %d sessions", len(rows), sessions)
	}
	for _, got := range rows {
		w := want[got["session"]]
		for _, k := range []string{"interval", "info", "infostop"} { // which tell the order in which they came
			w[k] = got[k]
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Error(diff)
		}
	}
	if moved[0]+moved[1] < sessions/2 {
		t.Errorf("%d were archived: the test shows little", moved[0]+moved[1])
	}
}

// A server's role that owns nothing archives, corrects and drops with the
// rights that doctor names; one that may not, does not.
func TestArchiveAsServer(t *testing.T) {
	db := storetest.New(t)
	manySessions(db, 30)
	db.Exec(`UPDATE radacct SET acctstarttime = '1980-01-01Z' WHERE radacctid = 1`)
	role := "server_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec("CREATE ROLE " + role + " LOGIN; GRANT USAGE ON SCHEMA radial TO " + role + "; GRANT SELECT ON ALL TABLES IN SCHEMA radial, public TO " + role)
	t.Cleanup(func() { db.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	server := openAs(t, db, role, store.Options{})
	now, none := instant(t, "2027-01-01 00:00Z"), func(int) error { return nil }
	if err := server.Archive(t.Context(), now, 10, none); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
	if _, err := server.DropArchiveMonth(t.Context(), now, store.Change{}); err == nil || !strings.Contains(err.Error(), "may not delete") {
		t.Errorf("%v", err)
	}
	_, statements, _ := strings.Cut(finding(t, examine(t, server), "rights").Mend, "\n")
	db.Exec(statements)
	if err := server.Archive(t.Context(), now, 10, none); err != nil {
		t.Fatal(err)
	}
	if f := finding(t, examine(t, server), "rights"); f.Severity != store.Good {
		t.Errorf("once there is a month more: %+v", f)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.radacct_archive`)[0][0]; n != "27" {
		t.Errorf("%s archived of 27", n)
	}
	if all, err := server.UserSessions(t.Context(), store.UserSessionsQuery{User: "user2", Limit: 10}); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	if month, err := server.DropArchiveMonth(t.Context(), now, store.Change{Actor: "x", Action: "archive.drop"}); err != nil || month != "radacct_archive_2026_11" {
		t.Errorf("%q, %v", month, err)
	}
	if n, err := server.ForgetArchived(t.Context(), now, 10); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
