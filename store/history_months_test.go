package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"radial/store"
	"radial/store/storetest"
)

// where lists rows of the history with the partition that they stand in.
func where(db *storetest.DB) string {
	var all []string
	for _, r := range db.Rows(`SELECT regexp_replace(tableoid::regclass::text, '.*address_history_', ''), username FROM radial.address_history ORDER BY id`) {
		all = append(all, r[1]+" "+r[0])
	}
	return strings.Join(all, ", ")
}

func insertHistory(db *storetest.DB, at, user string) {
	db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action, username) VALUES ($1::timestamptz, 1, '192.0.2.1', 'bound', $2)`, at, user)
}

// Months are UTC's, whatever zone the session is in; rows that came too early
// for their month are moved into it, to the microsecond.
func TestHistoryMonthBorders(t *testing.T) {
	db := storetest.New(t)
	insertHistory(db, "2031-03-31 23:59:59.999999Z", "before")
	insertHistory(db, "2031-04-01 00:00Z", "first")
	insertHistory(db, "2031-04-30 23:59:59.999999Z", "last")
	insertHistory(db, "2031-05-01 00:00Z", "after")
	db.Exec(`SET TimeZone = 'Pacific/Kiritimati'`) // 14 hours ahead
	made := func(at string) string {
		return db.Rows(`SELECT radial.make_history_partition($1::timestamptz)`, at)[0][0]
	}
	if first, again := made("2031-05-01 13:59:59+14"), made("2031-04-01 00:00Z"); first != "t" || again != "f" {
		t.Errorf("made %s, then again %s", first, again)
	}
	if got, want := where(db), "before default, first 2031_04, last 2031_04, after default"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	insertHistory(db, "2031-05-01 13:59:59+14", "later")
	if got := where(db); !strings.HasSuffix(got, ", later 2031_04") {
		t.Error(got)
	}
	got := db.Rows(`SELECT name, first AT TIME ZONE 'UTC', next AT TIME ZONE 'UTC' FROM radial.history_months ORDER BY first DESC LIMIT 1`)[0]
	if diff := cmp.Diff([]string{"address_history_2031_04", "2031-04-01 00:00:00", "2031-05-01 00:00:00"}, got); diff != "" {
		t.Error(diff)
	}
	if n := db.Rows(`SELECT count(*) FROM pg_indexes WHERE tablename = 'address_history_2031_04'`)[0][0]; n != "3" {
		t.Errorf("%s indexes: want those of address, user and MAC", n)
	}
}

// Nothing fails for want of a month; the job makes it up.
func TestMakeHistoryMonths(t *testing.T) {
	db := storetest.New(t)
	for _, r := range db.Rows(`SELECT name FROM radial.history_months`) {
		db.Exec("DROP TABLE radial." + r[0])
	}
	insertHistory(db, "now", "now")
	db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action) SELECT '2019-02-28 12:00Z', 1, '192.0.2.2', 'bound' FROM generate_series(1, 10000)`)
	db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action) SELECT '2019-04-28 12:00Z', 1, '192.0.2.2', 'bound' FROM generate_series(1, 9999)`)
	for range 2 {
		if err := db.MakeHistoryMonths(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for n := range 3 {
			want = append(want, "address_history_"+time.Date(time.Now().UTC().Year(), time.Now().UTC().Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC).Format("2006_01"))
		}
		want = append([]string{"address_history_2019_02"}, want...)
		var got []string
		for _, r := range db.Rows(`SELECT name FROM radial.history_months ORDER BY first`) {
			got = append(got, r[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if n := db.Rows(`SELECT count(*) FILTER (WHERE at < '2019-03-01'), count(*) FROM radial.address_history_default`)[0]; n[0] != "0" || n[1] != "9999" {
		t.Errorf("left in the default partition: %v", n)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.address_history`)[0][0]; n != "20000" {
		t.Errorf("%s rows", n)
	}
}

// begin opens a transaction that has written a row and does not end by itself.
func begin(t *testing.T, db *storetest.DB, at string) (end func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `BEGIN; INSERT INTO radial.address_history (at, vrf_id, address, action, username) VALUES (timestamptz '`+at+`', 1, '192.0.2.9', 'bound', 'slow')`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(context.Background(), "COMMIT"); err != nil {
			t.Error(err)
		}
		conn.Close(context.Background())
	}
}

// Making a month needs nobody's pause who writes into another; dropping one
// needs a moment, waits for it by short tries, and lets others in between.
func TestHistoryMonthsWhileInUse(t *testing.T) {
	db := storetest.New(t)
	if err := db.MakeHistoryMonth(t.Context(), time.Date(2020, 5, 9, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	end := begin(t, db, "now")
	if err := db.MakeHistoryMonth(t.Context(), time.Date(2031, 4, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error("a month that nobody writes into: ", err)
	}
	type dropped struct {
		month string
		err   error
	}
	done := make(chan dropped, 1)
	go func() {
		month, err := db.DropHistoryMonth(context.Background(), time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC), store.Change{Actor: "job:test", Action: "history.drop"})
		done <- dropped{month, err}
	}()
	for range 5 { // while it tries
		begun := time.Now()
		begin(t, db, "now")()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("a row had to wait for %s", took)
		}
	}
	select {
	case d := <-done:
		t.Errorf("dropped under the hands of a transaction: %+v", d)
	default:
	}
	end()
	if d := <-done; d.err != nil || d.month != "address_history_2020_05" {
		t.Errorf("%+v", d)
	}
	if rows := db.Rows(`SELECT actor, action, key, detail->>'before' FROM radial.audit`); fmt.Sprint(rows) != "[[job:test history.drop address_history_2020_05 2020-06-01T00:00:00Z]]" {
		t.Error(rows)
	}
	if month, err := db.DropHistoryMonth(t.Context(), time.Date(2020, 6, 1, 0, 0, 0, 0, time.UTC), store.Change{}); month != "" || err != nil {
		t.Errorf("nothing is left, and %q, %v", month, err)
	}
}

// Whole months go, and old rows that no month has; a month that is not over by
// then stays, and so does who may not delete.
func TestHistoryRetention(t *testing.T) {
	db := storetest.New(t)
	for _, month := range []time.Month{3, 4, 5} {
		if err := db.MakeHistoryMonth(t.Context(), time.Date(2020, month, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		insertHistory(db, fmt.Sprintf("2020-%02d-20 12:00Z", month), month.String())
	}
	insertHistory(db, "2001-01-01 00:00Z", "astray")
	insertHistory(db, "2001-01-02 00:00Z", "too")
	insertHistory(db, "2040-01-01 00:00Z", "future")
	before := time.Date(2020, 5, 31, 23, 59, 59, 0, time.UTC)

	role := "reader_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec(`CREATE ROLE ` + role + ` LOGIN; GRANT USAGE ON SCHEMA radial TO ` + role + `; GRANT SELECT ON ALL TABLES IN SCHEMA radial TO ` + role)
	t.Cleanup(func() { db.Exec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	if _, err := openAs(t, db, role, store.Options{}).DropHistoryMonth(t.Context(), before, store.Change{}); err == nil || !strings.Contains(err.Error(), "may not delete") {
		t.Errorf("a role that may only read: %v", err)
	}

	// A server's role owns nothing; these rights are what CheckSchema asks for.
	db.Exec(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA radial TO ` + role + `; GRANT USAGE ON ALL SEQUENCES IN SCHEMA radial TO ` + role)
	server := openAs(t, db, role, store.Options{})
	if err := server.MakeHistoryMonth(t.Context(), time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"address_history_2020_03", "address_history_2020_04", ""} {
		if got, err := server.DropHistoryMonth(t.Context(), before, store.Change{Actor: "job:test", Action: "history.drop"}); got != want || err != nil {
			t.Errorf("dropped %q, %v, want %q", got, err, want)
		}
	}
	for _, want := range []int{1, 1, 0} {
		if n, err := server.ForgetHistory(t.Context(), before, 1); n != want || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
	}
	if got, want := where(db), "May 2020_05, future default"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A database of the version before, with its history, is taken over as it is.
func TestMigrateCarriesHistoryOver(t *testing.T) {
	db := storetest.Empty(t)
	if err := db.MigrateTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	db.Exec(`INSERT INTO radial.pools (name, kind, prefix_length) VALUES ('cpe', 'delegated_prefix', 57), ('v4', 'ipv4', 32)`)
	db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason)
		SELECT timestamptz '2026-08-31 20:00Z' + n * interval '1 hour', 1, '192.0.2.1', 7, 'bound', 'user' || n, 'aa:bb:cc:dd:ee:ff', '10.0.0.1', 'p1', 's' || n, n, 'why'
		FROM generate_series(1, 8) n`)
	db.Exec(`DELETE FROM radial.address_history WHERE radacctid = 2`)
	const rows = `SELECT id, at AT TIME ZONE 'UTC', vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason FROM radial.address_history ORDER BY id`
	before := db.Rows(rows)
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, db.Rows(rows)); diff != "" || len(before) != 7 {
		t.Errorf("%d rows (-before +after)\n%s", len(before), diff)
	}
	if got := where(db); !strings.HasPrefix(got, "user1 2026_08, user3 2026_08, user4 2026_09,") {
		t.Error(got)
	}
	insertHistory(db, "now", "next")
	if id := db.Rows(`SELECT id FROM radial.address_history WHERE username = 'next'`)[0][0]; id != "9" {
		t.Errorf("the next row has id %s", id)
	}
	db.Exec(`INSERT INTO radial.pools (name, kind, prefix_length) VALUES ('wan', 'ipv6_prefix', 62); DELETE FROM radial.pools`)
	if got := fmt.Sprint(db.Rows(`SELECT length FROM radial.prefix_lengths ORDER BY 1`)); got != "[[57] [62] [64] [128]]" {
		t.Errorf("lengths in use ever: %s", got)
	}
}
