package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// manySessions makes closed and open sessions of ten NASes: ids from 1 on, each a
// minute after the one before; every tenth is open.
func manySessions(db *storetest.DB, n int) {
	db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctstoptime, framedipaddress,
			acctinputoctets, acctoutputoctets, acctinterval)
		SELECT i, 's' || i, md5(i::text), 'user' || i % 50, ('10.0.0.' || 1 + i % 7)::inet, timestamptz '2026-11-01 00:00Z' + i * interval '1 minute',
			timestamptz '2026-11-01 00:01Z' + i * interval '1 minute', CASE WHEN i % 10 > 0 THEN timestamptz '2026-11-01 00:01Z' + i * interval '1 minute' END,
			'100.64.0.0'::inet + i, i, 2 * i, 300
		FROM generate_series(1, $1::int) i`, n)
	db.Exec(`ANALYZE radacct`)
}

func idsOf(sessions []store.Session) []int64 {
	ids := []int64{}
	for _, s := range sessions {
		ids = append(ids, s.RadacctID)
	}
	return ids
}

// Pages, put together, are what one statement over everything says.
func TestOpenSessionsByPages(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/24")
	manySessions(db, 400)
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 200 WHERE address = '100.64.0.200'`)
	db.Exec(`INSERT INTO radial.packages (name) VALUES ('gold'); INSERT INTO radusergroup (username, groupname, priority) VALUES ('user0', 'own', 5), ('user0', 'gold', 100)`)
	db.Exec(`INSERT INTO nas (nasname, shortname, secret) VALUES ('10.0.0.0/30', 'bras', 'x')`)
	db.Exec(`UPDATE radacct SET acctstarttime = '2026-11-01 05:00Z' WHERE radacctid IN (100, 110, 120, 130)`) // the same start
	for name, c := range map[string]struct {
		q     store.SessionQuery
		where string
	}{
		"all":       {store.SessionQuery{}, "true"},
		"user":      {store.SessionQuery{User: "user20"}, "username = 'user20'"},
		"nas":       {store.SessionQuery{NAS: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30"), netip.MustParsePrefix("10.0.0.6/32")}}, "nasipaddress <<= '10.0.0.0/30' OR nasipaddress = '10.0.0.6'"},
		"user, nas": {store.SessionQuery{User: "user20", NAS: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}, "username = 'user20' AND nasipaddress = '10.0.0.1'"},
		"pool":      {store.SessionQuery{Pool: "main"}, "radacctid = 200"},
		"package":   {store.SessionQuery{Package: "gold"}, "username = 'user0'"},
		"address":   {store.SessionQuery{Address: netip.MustParsePrefix("100.64.1.0/24")}, "framedipaddress <<= '100.64.1.0/24'"},
		"since":     {store.SessionQuery{Since: time.Date(2026, 11, 1, 4, 10, 0, 0, time.UTC)}, "acctstarttime >= '2026-11-01 04:10Z'"},
	} {
		var want []string
		for _, r := range db.Rows("SELECT radacctid FROM radacct WHERE acctstoptime IS NULL AND (" + c.where + ") ORDER BY acctstarttime DESC, radacctid DESC") {
			want = append(want, r[0])
		}
		for _, limit := range []int{1, 7, 1000} {
			var got []string
			for c.q.Limit, c.q.After = limit, 0; ; {
				page, err := db.OpenSessions(t.Context(), c.q)
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range idsOf(page) {
					got = append(got, fmt.Sprint(id))
				}
				if len(page) < limit {
					break
				}
				c.q.After = page[len(page)-1].RadacctID
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", name, limit, got, want)
			}
		}
	}
	one, err := db.OpenSessions(t.Context(), store.SessionQuery{Address: netip.MustParsePrefix("100.64.0.200/32"), Limit: 5})
	if err != nil || len(one) != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	if s := one[0]; s.Package != "gold" || fmt.Sprint(s.Pools) != "[main]" || s.Input != 200 || s.Output != 400 || s.NAS.String() != "10.0.0.5" || s.NASName != "" || s.User != "user0" {
		t.Errorf("%+v", s)
	}
	if named, err := db.OpenSessions(t.Context(), store.SessionQuery{NAS: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, Limit: 1}); err != nil || named[0].NASName != "bras" {
		t.Errorf("%+v, %v", named, err)
	}
	for _, q := range []store.SessionQuery{{Pool: "none"}, {Package: "none"}, {After: 100000}} {
		if _, err := db.OpenSessions(t.Context(), q); !errors.Is(err, aaa.ErrNotFound) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Texts stand escaped in radacct, in look-ups as in rows.
func TestSessionsOfOddNames(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, acctstoptime, delegatedipv6prefix, framedipv6address)
		VALUES ('81=231', md5('a'), 'o=27brien', '2001:db8::1', '=3D3Cpppoe=3D3E', '2026-11-01 00:00Z', NULL, '2001:db8:7::/56', '2001:db8::7'),
		       ('81=231', md5('b'), 'o=27brien', '10.0.0.1', NULL, '2026-11-02 00:00Z', '2026-11-02 01:00Z', NULL, NULL),
		       ('81=231', md5('c'), 'other', '10.0.0.1', NULL, '2026-10-02 00:00Z', '2026-11-02 01:00Z', NULL, NULL),
		       ('1', md5('d'), 'other', '10.0.0.1', NULL, '2026-11-03 00:00Z', '2026-11-03 01:00Z', NULL, NULL),
		       ('01', md5('e'), 'other', '10.0.0.1', NULL, '2026-11-04 00:00Z', '2026-11-04 01:00Z', NULL, NULL)`)
	open, err := db.OpenSessions(t.Context(), store.SessionQuery{User: "o'brien", Limit: 9, Address: netip.MustParsePrefix("2001:db8:7::1f/128")})
	if err != nil || len(open) != 1 || open[0].User != "o'brien" || open[0].Session != "81#1" || open[0].Port != "<pppoe>" || fmt.Sprint(open[0].Addresses) != "[2001:db8::7/128 2001:db8:7::/56]" {
		t.Errorf("%+v, %v", open, err)
	}
	all, err := db.UserSessions(t.Context(), store.UserSessionsQuery{User: "o'brien", Limit: 9})
	if err != nil || fmt.Sprint(idsOf(all)) != "[2 1]" || all[0].Pools == nil && all[0].Cause != "" {
		t.Errorf("%+v, %v", all, err)
	}
	since := time.Date(2026, 10, 15, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, user string
		since      time.Time
		want       string
	}{
		{"81#1", "", time.Time{}, "[1]"}, // open ones alone
		{"81#1", "", since, "[2 1]"},     // and closed ones that somebody else had
		{"92eb5ffee6ae2fec3ad71c777531578f", "", since, "[2]"},
		{"1", "", since, "[4 1]"}, {"01", "", since, "[5]"}, // 4 has the Acct-Session-Id 1
		{"81#1", "o'brien", time.Time{}, "[2 1]"},
		{"81#1", "other", since, "[3]"},
		{"2", "", time.Time{}, "[2]"},
		{"92eb5ffee6ae2fec3ad71c777531578f", "", time.Time{}, "[2]"},
		{"81#2", "", since, "[]"}, {"0", "", since, "[]"}, {"-1", "", since, "[]"},
	} {
		found, err := db.FindSessions(t.Context(), c.name, c.user, c.since)
		if err != nil || fmt.Sprint(idsOf(found)) != c.want {
			t.Errorf("%s of %q: %v, %v, want %s", c.name, c.user, idsOf(found), err, c.want)
		}
	}
	db.Exec(`UPDATE radacct SET acctstoptime = now() WHERE radacctid = 1`)
	if found, err := db.FindSessions(t.Context(), "81#1", "", since); err != nil || fmt.Sprint(idsOf(found)) != "[2 1]" {
		t.Errorf("closed ones since then: %v, %v", idsOf(found), err)
	}
}

// A user is known by anything that has his name.
func TestCheckUser(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.usage_daily VALUES ('o''brien', '2020-01-01', 1, 1, 1, 1)`)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('a', 'Cleartext-Password', ':=', 'x')`)
	db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ('b', 'Session-Timeout', '=', '1')`)
	db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('c', 'g', 1)`)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress) VALUES ('1', 'u1', 'd=27e', '10.0.0.1')`)
	for _, user := range []string{"o'brien", "a", "b", "c", "d'e"} {
		if err := db.CheckUser(t.Context(), user); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	for _, user := range []string{"A", "d", "x\x00y"} {
		if err := db.CheckUser(t.Context(), user); !errors.Is(err, aaa.ErrNotFound) {
			t.Errorf("%q: %v", user, err)
		}
	}
}

// Pages of a user's history, within its bounds.
func TestUserSessions(t *testing.T) {
	db := storetest.New(t)
	manySessions(db, 500)
	q := store.UserSessionsQuery{User: "user20", Limit: 3}
	var got []int64
	for {
		page, err := db.UserSessions(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, idsOf(page)...)
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].RadacctID
	}
	if want := "[470 420 370 320 270 220 170 120 70 20]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	q = store.UserSessionsQuery{User: "user20", Limit: 9, Since: begin.Add(120 * time.Minute), Until: begin.Add(320 * time.Minute)}
	if page, err := db.UserSessions(t.Context(), q); err != nil || fmt.Sprint(idsOf(page)) != "[270 220 170 120]" {
		t.Errorf("bounds: %v, %v", idsOf(page), err)
	}
}

// However many closed sessions there are, open ones are read by the indexes that
// have no others, and nothing reads radacct whole: with the plan that is made once
// for a connection, and with one for the values.
func TestSessionPlans(t *testing.T) {
	db := storetest.New(t)
	manySessions(db, 20_000)
	archive(t, db, time.Date(2026, 11, 8, 0, 0, 0, 0, time.UTC), 5000)
	db.Exec(`ANALYZE radial.radacct_archive`)
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	values := map[string]string{
		"open": "NULL, 0, NULL, NULL, '', '', NULL, 100", "open of a user": "NULL, 0, NULL, NULL, '', '', NULL, 100, 'user1'", "named": "'x', 7, 's7'",
		"named of a user": "'user1', 's7'", "named since": "'2026-11-10', 's7'", "of a user": "NULL, 0, 'user1', NULL, NULL, 100",
		"open, habits": "", "open, silent": "'{10.0.0.1}', '{300}', false", "lost": "3, 0, 100, 'Lost-Carrier', NULL", "over": "",
		"open by nas": "", "open by package": "", "by nas": "'2026-11-10'", "by package": "'2026-11-10'",
	}
	open := regexp.MustCompile(`radacct_bulk_close|radial_radacct_open_user_idx`)
	scan := regexp.MustCompile(`Scan.* on radacct\b`)
	for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
		if _, err := conn.Exec(t.Context(), "SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = "+mode); err != nil {
			t.Fatal(err)
		}
		for name, sql := range store.SessionStatements() {
			stmt := fmt.Sprintf("%q", name)
			if _, err := conn.Prepare(t.Context(), name, sql); err != nil {
				t.Fatal(err)
			}
			rows, err := conn.Query(t.Context(), strings.TrimSuffix("EXPLAIN EXECUTE "+stmt+"("+values[name]+")", "()"))
			if err != nil {
				t.Fatal(name, err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			scans, plan := 0, strings.Join(lines, "\n")
			for _, line := range lines {
				if strings.Contains(line, "Seq Scan") && strings.Contains(line, "radacct_archive_2") {
					t.Errorf("%s, %s: a month of the archive is read whole: %s\n%s", name, mode, line, plan)
				}
				if !scan.MatchString(line) {
					continue
				}
				scans++
				switch {
				case strings.Contains(line, "Seq Scan"):
					t.Errorf("%s, %s: radacct is read whole:\n%s", name, mode, plan)
				case (name == "lost" || name == "over") && !strings.Contains(line, "radacct_pkey"):
					t.Errorf("%s, %s: not by its id: %s\n%s", name, mode, line, plan)
				case strings.HasPrefix(name, "open") && !strings.Contains(line, "Bitmap Heap") && !open.MatchString(line):
					t.Errorf("%s, %s: an index with closed sessions is read: %s\n%s", name, mode, line, plan)
				}
			}
			if name == "of a user" && (!strings.Contains(plan, "radacct_archive_2026_11") || strings.Contains(plan, " Sort Key: radacct_archive_2026_11")) {
				t.Errorf("%s: the archive is sorted, or not asked:\n%s", mode, plan)
			}
			if scans == 0 {
				t.Errorf("%s reads nothing:\n%s", name, plan)
			}
		}
	}
}

// Counters that are nonsense are no reason to say nothing.
func TestTotalsOfHugeCounters(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctinputoctets, acctoutputoctets)
		SELECT i, i, 'u' || i, '10.0.0.1', now(), 9223372036854775807, i FROM generate_series(1, 3) i`)
	for name, sum := range map[string]func(context.Context, time.Time) ([]store.SessionTotal, error){"nas": db.TotalsByNAS, "package": db.TotalsByPackage} {
		for _, since := range []time.Time{{}, time.Now().Add(-time.Hour)} {
			all, err := sum(t.Context(), since)
			if err != nil || len(all) != 1 || all[0].Users != 3 || all[0].Open != 3 || all[0].Input != 1<<63-1 || all[0].Output != 6 {
				t.Errorf("by %s: %+v, %v", name, all, err)
			}
		}
	}
}
