package store_test

import (
	"errors"
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

// instant reads "2026-11-03 02:14+01".
func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04Z07", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// asked is the answers to who had an address, "STATE USER SINCE UNTIL SOURCE" each.
func asked(t *testing.T, db *storetest.DB, address, at string, more ...func(*store.WhoHadQuery)) string {
	t.Helper()
	q := store.WhoHadQuery{Address: netip.MustParseAddr(address), At: instant(t, at), Lookback: 31 * 24 * time.Hour}
	for _, m := range more {
		m(&q)
	}
	all, err := db.WhoHad(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, a := range all {
		texts = append(texts, fmt.Sprintf("%s %s %s..%s %s", a.State, a.User, minute(a.Since), until(a), a.Source))
	}
	return strings.Join(texts, ", ")
}

func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("01-02 15:04")
}

func until(t store.Tenure) string {
	if t.Now {
		return "now"
	}
	return minute(t.Until)
}

func inVRF(id int32) func(*store.WhoHadQuery) { return func(q *store.WhoHadQuery) { q.VRF = id } }

// told writes rows of history: "2026-11-03 02:14+01 bound alice 7".
func told(t *testing.T, db *storetest.DB, vrf int, address string, rows ...string) {
	t.Helper()
	for _, r := range rows {
		f := strings.Fields(r)
		db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action, username, mac, nas, port, session_id, radacctid)
			VALUES ($1::timestamptz, $2, $3, $4, $5, '00:00:5e:00:53:01', '10.0.0.1', 'ether1', 's' || $6, $6::bigint)`, f[0]+" "+f[1], vrf, address, f[2], f[3], f[4])
	}
}

// monthsOf makes the months of a history that begins in 2026-06 and has none for 2026-01.
func monthsOf(t *testing.T, db *storetest.DB) {
	t.Helper()
	for m := time.June; m <= time.December; m++ {
		if err := db.MakeHistoryMonth(t.Context(), time.Date(2026, m, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
}

// Across borders of months, in the default partition, from far back, and by
// the second in any zone.
func TestWhoHadAcrossMonths(t *testing.T) {
	db := storetest.New(t)
	monthsOf(t, db)
	told(t, db, 1, "100.64.3.7", "2026-01-10 12:00Z bound old 1", "2026-01-11 12:00Z released old 1",
		"2026-07-31 23:59Z bound alice 2", "2026-11-01 00:00Z released alice 2", "2026-11-01 00:01Z bound bob 3")
	told(t, db, 1, "100.64.3.8", "2026-11-01 00:00Z bound other 4")
	for at, want := range map[string]string{
		"2026-01-10 13:00Z":   "bound old 01-10 12:00..01-11 12:00 history",
		"2026-05-01 00:00Z":   "free old 01-11 12:00..07-31 23:59 history",
		"2026-07-31 23:58Z":   "free old 01-11 12:00..07-31 23:59 history",
		"2026-08-01 00:00Z":   "bound alice 07-31 23:59..11-01 00:00 history",
		"2026-10-31 23:59Z":   "bound alice 07-31 23:59..11-01 00:00 history",
		"2026-11-01 00:59+01": "bound alice 07-31 23:59..11-01 00:00 history", // still October in UTC
		"2026-11-01 01:00+01": "free alice 11-01 00:00..11-01 00:01 history",
		"2026-11-01 03:01+03": "bound bob 11-01 00:01.. history",
		"2026-10-31 14:01-10": "bound bob 11-01 00:01.. history",
		"2026-01-10 11:59Z":   "unknown  ..01-10 12:00 history",
	} {
		if got := asked(t, db, "100.64.3.7", at); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if got := asked(t, db, "203.0.113.1", "2026-11-01 00:00Z"); got != "" {
		t.Errorf("an address that nobody knows: %s", got)
	}
}

// The clocks of autumn show an hour twice; in the rows it is there once each.
func TestWhoHadWhenClocksChange(t *testing.T) {
	db := storetest.New(t)
	monthsOf(t, db)
	prague, err := time.LoadLocation("Europe/Prague")
	if err != nil {
		t.Fatal(err)
	}
	told(t, db, 1, "100.64.3.7", "2026-10-25 02:10+02 bound first 1", "2026-10-25 02:50+02 released first 1",
		"2026-10-25 02:10+01 bound second 2", "2026-10-25 02:50+01 released second 2")
	for user, at := range map[string]time.Time{
		"first":  time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(prague),
		"second": time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC).In(prague),
	} {
		if at.Format("15:04") != "02:30" {
			t.Fatalf("the clock shows %s", at)
		}
		all, err := db.WhoHad(t.Context(), store.WhoHadQuery{Address: netip.MustParseAddr("100.64.3.7"), At: at})
		if err != nil || len(all) != 1 || all[0].User != user || !all[0].Held() {
			t.Errorf("%s: %+v, %v, want %s", at, all, err, user)
		}
	}
}

// The same address in two VRFs is two addresses.
func TestWhoHadInVRFs(t *testing.T) {
	db := storetest.New(t)
	monthsOf(t, db)
	db.Exec(`INSERT INTO radial.vrfs (id, name) VALUES (7, 'red'), (8, 'blue')`)
	told(t, db, 1, "100.64.3.7", "2026-11-01 00:00Z bound alice 1", "2026-11-05 00:00Z released alice 1")
	told(t, db, 7, "100.64.3.7", "2026-11-02 00:00Z bound bob 2")
	for _, c := range []struct {
		at   string
		vrf  int32
		want string
	}{
		{"2026-11-03 00:00Z", 0, "bound alice 11-01 00:00..11-05 00:00 history, bound bob 11-02 00:00.. history"},
		{"2026-11-06 00:00Z", 0, "bound bob 11-02 00:00.. history, free alice 11-05 00:00..now history"},
		{"2026-11-03 00:00Z", 1, "bound alice 11-01 00:00..11-05 00:00 history"},
		{"2026-11-03 00:00Z", 7, "bound bob 11-02 00:00.. history"},
		{"2026-11-03 00:00Z", 8, ""},
	} {
		if got := asked(t, db, "100.64.3.7", c.at, inVRF(c.vrf)); got != c.want {
			t.Errorf("%s in VRF %d: %s, want %s", c.at, c.vrf, got, c.want)
		}
	}
	// A NAS tells which VRF an address without history was in.
	db.Exec(`INSERT INTO nas (id, nasname, shortname, secret) VALUES (1, '10.1.0.0/16', 'reds', 'x'), (2, '10.1.9.9', 'one of default', 'x')`)
	db.Exec(`INSERT INTO radial.nas_settings (nas_id, vrf_id) VALUES (1, 7)`)
	for n, nas := range []string{"10.1.2.3", "10.1.9.9"} {
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime) VALUES ('s', $1::text, $1, $1::text::inet, '198.51.100.1', $2)`,
			nas, time.Date(2026, 11, 2+n, 0, 0, 0, 0, time.UTC))
	}
	if got, want := asked(t, db, "198.51.100.1", "2026-11-05 00:00Z", inVRF(7)), "bound 10.1.2.3 11-02 00:00..now radacct"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := asked(t, db, "198.51.100.1", "2026-11-05 00:00Z"), "bound 10.1.9.9 11-03 00:00..now radacct, bound 10.1.2.3 11-02 00:00..now radacct"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// An IPv6 address is found in the prefix that was leased, of whatever length
// pools have given, also when the pool is gone.
func TestWhoHadWithinPrefix(t *testing.T) {
	db := storetest.New(t)
	monthsOf(t, db)
	db.Exec(`INSERT INTO radial.pools (name, kind, prefix_length) VALUES ('cpe', 'delegated_prefix', 57); DELETE FROM radial.pools`)
	told(t, db, 1, "2001:db8:7:80::/57", "2026-11-01 00:00Z bound alice 1", "2026-11-05 00:00Z released alice 1")
	told(t, db, 1, "2001:db8:8::/64", "2026-11-01 00:00Z bound bob 2")
	told(t, db, 1, "2001:db8:9::5", "2026-11-01 00:00Z bound carol 3")
	for address, want := range map[string]string{
		"2001:db8:7:80::1":    "bound alice 11-01 00:00..11-05 00:00 history",
		"2001:db8:7:ff:1::":   "bound alice 11-01 00:00..11-05 00:00 history",
		"2001:db8:7:7f::":     "",
		"2001:db8:8::ffff":    "bound bob 11-01 00:00.. history",
		"2001:db8:8:1::":      "",
		"2001:db8:9::5":       "bound carol 11-01 00:00.. history",
		"2001:db8:9::6":       "",
		"::ffff:100.64.3.200": "",
	} {
		if got := asked(t, db, address, "2026-11-03 00:00Z"); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	rows, err := db.AddressHistory(t.Context(), store.HistoryQuery{Address: netip.MustParsePrefix("2001:db8:7:81::9/128"), Limit: 10})
	if err != nil || len(rows) != 2 || rows[0].Action != "released" || rows[0].Address != netip.MustParsePrefix("2001:db8:7:80::/57") {
		t.Errorf("%+v, %v", rows, err)
	}
}

// Who began before what is kept is still told: who holds still, by his lease;
// who no longer does, by his end.
func TestWhoHadAfterRetention(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.3.0/24")
	monthsOf(t, db)
	told(t, db, 1, "100.64.3.7", "2026-06-10 00:00Z bound alice 1")
	told(t, db, 1, "100.64.3.8", "2026-06-10 00:00Z bound bob 2", "2026-08-10 00:00Z released bob 2")
	db.Exec(`UPDATE radial.addresses SET state = 'bound', username = 'alice', radacctid = 1, session_id = 's1', since = '2026-06-10 00:00Z' WHERE address = '100.64.3.7'`)
	ask := func(want7, want8 string) {
		t.Helper()
		if got := asked(t, db, "100.64.3.7", "2026-07-01 00:00Z"); got != want7 {
			t.Errorf("%s, want %s", got, want7)
		}
		if got := asked(t, db, "100.64.3.8", "2026-07-01 00:00Z"); got != want8 {
			t.Errorf("%s, want %s", got, want8)
		}
	}
	ask("bound alice 06-10 00:00..now history", "bound bob 06-10 00:00..08-10 00:00 history")
	if month, err := db.DropHistoryMonth(t.Context(), instant(t, "2026-07-01 00:00Z"), store.Change{Actor: "job:test", Action: "history.drop"}); month != "address_history_2026_06" || err != nil {
		t.Fatal(month, err)
	}
	ask("bound alice 06-10 00:00..now lease", "bound bob ..08-10 00:00 history")
	if got, want := asked(t, db, "100.64.3.7", "2026-06-01 00:00Z"), "unknown  ..06-10 00:00 lease"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Static addresses have no sessions in the history: radacct tells the one of
// the time.
func TestWhoHadStatic(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.3.0/24")
	db.Exec(`UPDATE radial.addresses SET state = 'reserved', username = 'o''brien', reason = 'static', since = '2026-06-10 00:00Z' WHERE address = '100.64.3.7'`)
	for n, day := range []string{"01", "02"} {
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctstoptime)
			VALUES ('s=3D' || $1::text, $1, 'o=27brien', '10.0.0.1', '100.64.3.7', ('2026-11-' || $1 || ' 00:00Z')::timestamptz, CASE $2::int WHEN 0 THEN timestamptz '2026-11-01 12:00Z' END)`, day, n)
	}
	for at, session := range map[string]string{"2026-11-01 06:00Z": "s=01", "2026-11-01 18:00Z": "", "2026-11-02 18:00Z": "s=02"} {
		all, err := db.WhoHad(t.Context(), store.WhoHadQuery{Address: netip.MustParseAddr("100.64.3.7"), At: instant(t, at)})
		if err != nil || len(all) != 1 || all[0].State != store.TenureReserved || all[0].User != "o'brien" || all[0].Reason != "static" {
			t.Fatalf("%s: %+v, %v", at, all, err)
		}
		if r := all[0].Traffic; (r == nil) != (session == "") || r != nil && r.Session != session {
			t.Errorf("%s: session %+v, want %q", at, r, session)
		}
	}
}

// Who used what was reserved for another is told too, first; a session of another VRF, and one before or after, is not.
func TestWhoHadReserved(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.3.0/24")
	db.Exec(`INSERT INTO radial.vrfs (id, name) VALUES (7, 'red')`)
	db.Exec(`INSERT INTO nas (id, nasname, shortname, secret) VALUES (1, '10.1.0.1', 'red', 'x'), (2, '10.0.0.1', 'one', 'x')`)
	db.Exec(`INSERT INTO radial.nas_settings (nas_id, vrf_id) VALUES (1, 7)`)
	db.Exec(`UPDATE radial.addresses SET state = 'reserved', username = 'o''brien', reason = 'static', since = '2026-06-10 00:00Z' WHERE address = '100.64.3.7'`)
	db.Exec(`UPDATE radial.addresses SET state = 'reserved', reason = 'camera', since = '2026-06-10 00:00Z' WHERE address = '100.64.3.8'`)
	for n, s := range []string{"o=27brien 10.0.0.1 7 01 03", "o=22b 10.0.0.1 7 02 04", "red 10.1.0.1 7 02 04", "thief 10.0.0.1 8 02 04"} {
		f := strings.Fields(s)
		db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctstoptime)
			VALUES ($1::bigint, 's', $1::text, $2, $3::inet, ('100.64.3.' || $4)::inet, ('2026-11-' || $5 || ' 00:00Z')::timestamptz, ('2026-11-' || $6 || ' 00:00Z')::timestamptz)`, n+1, f[0], f[1], f[2], f[3], f[4])
		if f[0] != "o=27brien" {
			db.Exec(`INSERT INTO radial.address_conflicts (vrf_id, address, radacctid, first_at, last_at, state) VALUES (1, ('100.64.3.' || $2)::inet, $1, now(), now(), 'reserved')`, n+1, f[2])
		}
	}
	for question, want := range map[string]string{
		"100.64.3.7 2026-11-01 12:00Z": "reserved o'brien 06-10 00:00..now lease",
		"100.64.3.7 2026-11-02 12:00Z": `reserved o'brien 06-10 00:00..now lease, bound o"b 11-02 00:00..11-04 00:00 radacct`,
		"100.64.3.7 2026-11-03 12:00Z": `bound o"b 11-02 00:00..11-04 00:00 radacct, reserved o'brien 06-10 00:00..now lease`, // he is not there himself
		"100.64.3.7 2026-11-05 12:00Z": "reserved o'brien 06-10 00:00..now lease",
		"100.64.3.8 2026-11-03 12:00Z": "bound thief 11-02 00:00..11-04 00:00 radacct, reserved  06-10 00:00..now lease",
	} {
		address, at, _ := strings.Cut(question, " ")
		if got := asked(t, db, address, at); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

// What no pool knows, radacct may: open sessions however old, closed ones that
// began not too long before.
func TestWhoHadByRadacct(t *testing.T) {
	db := storetest.New(t)
	insert := func(user, address, start, stop string) {
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctstoptime, callingstationid, delegatedipv6prefix)
			VALUES ('s', $1, $1, '10.0.0.1', $2::inet, $3::timestamptz, nullif($4, '')::timestamptz, 'AA-BB-CC-00-00-01', '2001:db8:5::/56')`, user, address, start, stop)
	}
	insert("ancient", "198.51.100.1", "2026-01-01 00:00Z", "")
	insert("long", "198.51.100.2", "2026-09-01 00:00Z", "2026-11-30 00:00Z")
	insert("recent", "198.51.100.2", "2026-11-02 00:00Z", "2026-11-03 12:00Z")
	insert("early", "198.51.100.3", "2026-11-02 00:00Z", "2026-11-03 00:00Z")
	for address, want := range map[string]string{
		"198.51.100.1": "bound ancient 01-01 00:00..now radacct",
		"198.51.100.2": "bound recent 11-02 00:00..11-03 12:00 radacct",
		"198.51.100.3": "",
		"198.51.100.4": "",
	} {
		if got := asked(t, db, address, "2026-11-03 00:00Z"); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	farther := func(q *store.WhoHadQuery) { q.Lookback *= 4 }
	if got := asked(t, db, "198.51.100.2", "2026-11-03 00:00Z", farther); !strings.HasSuffix(got, "bound long 09-01 00:00..11-30 00:00 radacct") {
		t.Error(got)
	}
	if got := asked(t, db, "198.51.100.1", "2026-11-03 00:00Z", func(q *store.WhoHadQuery) { q.Lookback = 0 }); got != "" {
		t.Error("radacct was asked: ", got)
	}
	all, err := db.WhoHad(t.Context(), store.WhoHadQuery{Address: netip.MustParseAddr("2001:db8:5:17::1"), At: instant(t, "2026-11-03 00:00Z"), Lookback: time.Hour})
	if err != nil || len(all) != 1 || all[0].User != "ancient" || all[0].MAC != "aa:bb:cc:00:00:01" || all[0].Traffic.MAC != "AA-BB-CC-00-00-01" {
		t.Errorf("a delegated prefix: %+v, %v", all, err)
	}
	if _, err := db.VRF(t.Context(), "none"); !errors.Is(err, aaa.ErrNotFound) {
		t.Error(err)
	}
}

// The question opens the months that it needs, each by its index; the list by
// user and by MAC likewise.
func TestHistoryPlans(t *testing.T) {
	db := storetest.New(t)
	monthsOf(t, db)
	db.Exec(`SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan`)
	explain := func(sql, args string) string {
		t.Helper()
		db.Exec("PREPARE q AS " + sql)
		var b strings.Builder
		for _, r := range db.Rows("EXPLAIN EXECUTE q (" + args + ")") {
			b.WriteString(r[0] + "\n")
		}
		db.Exec("DEALLOCATE q")
		return b.String()
	}
	for name, c := range map[string]struct{ sql, args, months string }{
		"before":  {store.SQLWhoHadBefore, `'{1}', '{100.64.3.7}', '2026-07-15', '2026-06-01 00:00Z', 8`, "2026_07 2026_06 default"},
		"after":   {store.SQLWhoHadAfter, `'{1}', '{100.64.3.7}', '2026-11-15', '2027-01-01 00:00Z', 8`, "2026_11 2026_12 default"},
		"user":    {store.SQLHistoryList, `NULL, 'alice', '', '', 0, '2026-07-15', '2026-08-15', 0, 10, NULL, NULL`, "2026_08 2026_07"},
		"network": {store.SQLHistoryList, `NULL, '', '', '', 0, '2026-07-15', '2026-08-15', 0, 10, '100.64.3.0/24', '100.64.3.255'`, "2026_07 2026_08"},
		"mac":     {store.SQLHistoryList, `NULL, '', '00:00:5e:00:53:01', '', 0, '2026-07-15', '2026-08-15', 0, 10, NULL, NULL`, "2026_08 2026_07"},
	} {
		plan := explain(c.sql, c.args)
		var opened []string
		for line := range strings.Lines(plan) {
			if _, after, ok := strings.Cut(line, " on address_history_"); ok {
				part, _, _ := strings.Cut(after, " ")
				opened = append(opened, part)
				if !strings.Contains(line, "Index Scan") && !strings.Contains(line, "Bitmap") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
		if got := strings.Join(opened, " "); got != c.months || !strings.Contains(plan, "Append") || strings.Contains(plan, "Merge Append") {
			t.Errorf("%s: opens %s, want %s in that order, one after the other:\n%s", name, got, c.months, plan)
		}
	}
}

// What accounting writes is what is answered: a session, the one that takes its
// place and outlives its late Stop, and an end; and of the present an offer.
func TestWhoHadOfSessions(t *testing.T) {
	db := storetest.New(t)
	if err := db.MakeHistoryMonths(t.Context()); err != nil {
		t.Fatal(err)
	}
	makePool(t, db, "main", "100.64.3.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	now := time.Now()
	ago := func(d time.Duration, e store.LeaseEvent) store.LeaseEvent {
		e.At = now.Add(-d)
		return e
	}
	first, second := want(1, "s1"), want(1, "s2")
	addr := lease(t, a, first)
	ask := func(d time.Duration) string {
		t.Helper()
		all, err := db.WhoHad(t.Context(), store.WhoHadQuery{Address: addr, At: now.Add(-d)})
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return fmt.Sprintf("%s %s %d now=%t", all[0].State, all[0].Session, all[0].RadacctID, all[0].Now)
	}
	if got, want := ask(-time.Minute), "offered s1 0 now=true"; got != want {
		t.Errorf("a login: %s, want %s", got, want)
	}
	settle(t, db, ago(3*time.Hour, bind(addr, 1, first)))
	if got := lease(t, a, second); got != addr {
		t.Fatalf("the caller got %s, not %s again", got, addr)
	}
	settle(t, db, ago(2*time.Hour, bind(addr, 2, second)), ago(110*time.Minute, release(addr, 1, first)))
	if got, want := ask(0), "bound s2 2 now=true"; got != want {
		t.Errorf("while it lasts: %s, want %s", got, want)
	}
	settle(t, db, ago(time.Hour, release(addr, 2, second)))
	for d, want := range map[time.Duration]string{
		4 * time.Hour: "unknown  0 now=false", 150 * time.Minute: "bound s1 1 now=false", 100 * time.Minute: "bound s2 2 now=false", 30 * time.Minute: "free s2 2 now=true",
	} {
		if got := ask(d); got != want {
			t.Errorf("%s ago: %s, want %s", d, got, want)
		}
	}
	if n := db.Rows(`SELECT count(*) FROM radial.address_history_default WHERE at > date_trunc('month', now(), 'UTC')`)[0][0]; n != "0" {
		t.Errorf("%s rows of this month stand in the default partition", n)
	}
}
