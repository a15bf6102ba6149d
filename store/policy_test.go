package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

func newPolicy(db *store.DB) *store.Policy {
	return store.NewPolicy(db, store.NewMetrics(prometheus.NewRegistry()))
}

// fillPolicy writes rows out of order, with the traps: NULLs where other tools
// allow them, equal priorities, names that are escaped.
func fillPolicy(db *storetest.DB) {
	db.Exec(`INSERT INTO radcheck (id, username, attribute, op, value) VALUES (7, 'bob', 'Expiration', ':=', '1 Jan 2030'), (3, 'bob', 'Cleartext-Password', ':=', 'p w'), (4, 'Bob', 'A', '==', 'x')`)
	db.Exec(`INSERT INTO radreply (id, username, attribute, op, value) VALUES (9, 'bob', 'B', '=', '2'), (8, 'bob', 'A', '+=', '1')`)
	db.Exec(`INSERT INTO radusergroup (id, username, groupname, priority) VALUES (5, 'bob', 'silver', 1), (2, 'bob', 'gold', 1), (1, 'bob', 'last', 9), (6, 'bob', 'first', -1)`)
	db.Exec(`INSERT INTO radcheck (id, username, attribute, op, value) VALUES (20, 'o=27br=5C=5C', 'Cleartext-Password', ':=', 'x=3D')`)
	db.Exec(`INSERT INTO radgroupcheck (id, groupname, attribute, op, value) VALUES (2, 'gold', 'B', ':=', '2'), (1, 'gold', 'A', ':=', '1'), (3, 'plus=2B', 'A', ':=', '1')`)
	db.Exec(`INSERT INTO radgroupreply (id, groupname, attribute, op, value) VALUES (1, 'gold', 'C', '=', '3')`)
}

func row(id int64, attribute, op, value string) aaa.Row {
	return aaa.Row{ID: id, Attribute: attribute, Op: op, Value: value}
}

func member(id int64, group string, priority int32) aaa.Membership {
	return aaa.Membership{ID: id, Group: group, Priority: priority}
}

func TestPolicyRows(t *testing.T) {
	db := storetest.New(t)
	fillPolicy(db)
	db.Exec(`ALTER TABLE radreply ALTER COLUMN op DROP NOT NULL, ALTER COLUMN op DROP DEFAULT, ALTER COLUMN value DROP NOT NULL; INSERT INTO radreply (id, username, attribute, op, value) VALUES (99, 'nulls', 'A', NULL, NULL)`)
	p := newPolicy(db.DB)
	for user, want := range map[string]aaa.UserRows{
		"bob": {
			Check:  []aaa.Row{row(3, "Cleartext-Password", ":=", "p w"), row(7, "Expiration", ":=", "1 Jan 2030")},
			Reply:  []aaa.Row{row(8, "A", "+=", "1"), row(9, "B", "=", "2")},
			Groups: []aaa.Membership{member(6, "first", -1), member(2, "gold", 1), member(5, "silver", 1), member(1, "last", 9)},
		},
		"Bob":     {Check: []aaa.Row{row(4, "A", "==", "x")}},
		`o'br\`:   {Check: []aaa.Row{row(20, "Cleartext-Password", ":=", "x=3D")}},
		"nulls":   {Reply: []aaa.Row{row(99, "A", "", "")}},
		"nobody":  {},
		"nul\x00": {},
		"\xff":    {},
		"":        {},
	} {
		got, err := p.UserRows(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q\n%s", user, d)
		}
	}
	for group, want := range map[string]aaa.GroupRows{
		"gold":  {Check: []aaa.Row{row(1, "A", ":=", "1"), row(2, "B", ":=", "2")}, Reply: []aaa.Row{row(1, "C", "=", "3")}},
		"plus+": {Check: []aaa.Row{row(3, "A", ":=", "1")}},
		"none":  {},
	} {
		got, err := p.GroupRows(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q\n%s", group, d)
		}
	}
}

// The rows of an old schema: no id in radusergroup, char(2) operators.
func TestPolicyRowsOfOldSchema(t *testing.T) {
	db := storetest.Empty(t)
	db.Exec(read(t, "testdata/freeradius-3.0.4.sql"))
	db.Exec(read(t, "testdata/rows.sql"))
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := newPolicy(db.DB).UserRows(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Check) != 1 || len(got.Groups) != 2 || len(got.Reply) != 1 || got.Reply[0].Op != "=" || got.Groups[0].Group != "gold" {
		t.Errorf("%+v", got)
	}
	if open, _, err := store.NewAdmissions(db.DB).Sessions(t.Context(), "o'br"); len(open) != 1 || err != nil {
		t.Errorf("open sessions %v, %v", open, err)
	}
}

func TestPolicySharedTrips(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'user' || i, 'Cleartext-Password', ':=', 'pw' || i FROM generate_series(0, 299) i`)
	p := newPolicy(db.DB)
	var wg sync.WaitGroup
	for i := range 900 {
		wg.Go(func() {
			user := fmt.Sprint("user", i%300)
			got, err := p.UserRows(t.Context(), user)
			if err != nil || len(got.Check) != 1 || got.Check[0].Value != fmt.Sprint("pw", i%300) {
				t.Errorf("%s: %+v, %v", user, got, err)
			}
		})
	}
	wg.Wait()
	if n := db.Rows(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'radial'`)[0][0]; len(n) > 1 {
		t.Errorf("%s connections for it", n)
	}
}

func TestOpenSessions(t *testing.T) {
	db := storetest.New(t)
	insert := func(id, user, nas, start string, stopped bool) {
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime)
			VALUES ($1, $1, $2, $3::inet, $4::timestamptz, CASE WHEN $5::bool THEN now() END)`, id, user, nas, start, stopped)
	}
	insert("1", "bob", "10.0.0.1", "2026-01-01 10:00Z", false)
	insert("2", "bob", "10.0.0.1", "2026-01-01 12:00Z", false)
	insert("3", "bob", "10.0.0.2", "2026-01-01 10:00Z", false)
	insert("4", "bob", "10.0.0.2", "2026-01-01 10:00Z", true)
	insert("5", "Bob", "10.0.0.2", "2026-01-01 10:00Z", false)
	insert("6", "o=27br", "10.0.0.2", "2026-01-01 10:00Z", false)
	db.Exec(`INSERT INTO nasreload VALUES ('10.0.0.1', '2026-01-01 11:00Z'), ('10.0.0.9', now())`)
	a := store.NewAdmissions(db.DB)
	for user, want := range map[string]int{"bob": 2, "Bob": 1, "o'br": 1, "nobody": 0} {
		if got, _, err := a.Sessions(t.Context(), user); len(got) != want || err != nil {
			t.Errorf("%s: %v, %v, want %d", user, got, err, want)
		}
	}
}

// The statements of the hot path use indexes, also on old schemas.
func TestHotPathUsesIndexes(t *testing.T) {
	for name, schema := range map[string]string{"ours": "", "3.0.4": "testdata/freeradius-3.0.4.sql"} {
		db := storetest.Empty(t)
		if schema != "" {
			db.Exec(read(t, schema))
		}
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		db.Exec(`SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan`)
		for i, sql := range []string{store.SQLUserRows, store.SQLGroupRows, store.SQLAdmissionLook} {
			q := fmt.Sprint("q", i)
			db.Exec("PREPARE " + q + " AS " + sql)
			for _, line := range db.Rows("EXPLAIN EXECUTE " + q + " ('{a,b}', '{a,b}')") {
				if table := scanned(line[0]); table != "" && table != "nasreload" && table != "servers" {
					t.Errorf("%s: %s", name, line[0])
				}
			}
		}
	}
}

// scanned returns the table of a line of EXPLAIN that reads it from end to end.
func scanned(line string) string {
	var table string
	for i := range line {
		if n, err := fmt.Sscanf(line[i:], "Seq Scan on %s", &table); n == 1 && err == nil {
			return table
		}
	}
	return ""
}

// A database that is gone is trouble, not an empty answer; and it heals.
func TestPolicyOutage(t *testing.T) {
	db := storetest.New(t)
	fillPolicy(db)
	p := newPolicy(db.DB)
	if _, err := p.UserRows(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	db.Away(func() {
		for what, ask := range map[string]func() error{
			"users":    func() error { _, err := p.UserRows(t.Context(), "bob"); return err },
			"groups":   func() error { _, err := p.GroupRows(t.Context(), "gold"); return err },
			"sessions": func() error { _, _, err := store.NewAdmissions(db.DB).Sessions(t.Context(), "bob"); return err },
			"nas":      func() error { _, err := db.NASRows(t.Context()); return err },
			"ping":     func() error { return db.Ping(t.Context()) },
			"setting":  func() error { _, err := db.Setting(t.Context(), "escaping"); return err },
			"doctor":   func() error { _, err := db.Examine(t.Context()); return err },
			"migrate":  func() error { _, err := db.Migrate(t.Context()); return err },
		} {
			if err := ask(); !errors.Is(err, aaa.ErrUnavailable) {
				t.Errorf("%s: %v, want ErrUnavailable", what, err)
			}
		}
	})
	if rows, err := p.UserRows(t.Context(), "bob"); err != nil || len(rows.Check) != 2 {
		t.Errorf("afterwards: %+v, %v", rows, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.UserRows(ctx, "bob"); !errors.Is(err, context.Canceled) || errors.Is(err, aaa.ErrUnavailable) {
		t.Errorf("a caller that went away: %v", err)
	}
}

// Through a pooler in transaction mode no statement may be left behind at a
// connection.
func TestPoolerModeLeavesNoStatements(t *testing.T) {
	db := storetest.New(t, storetest.WithOptions(store.Options{Pooler: store.PoolerTransaction, MaxConns: 1}))
	fillPolicy(db)
	p := newPolicy(db.DB)
	for range 3 {
		if rows, err := p.UserRows(t.Context(), "bob"); err != nil || len(rows.Groups) != 4 {
			t.Fatalf("%+v, %v", rows, err)
		}
	}
	var n int
	if err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_prepared_statements`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d statements, %v", n, err)
	}
	if _, err := store.Open(t.Context(), store.Options{URL: "postgres:///x", Pooler: store.PoolerTransaction}, nil); !errors.Is(err, aaa.ErrInvalid) {
		t.Errorf("no direct_url: %v", err)
	}
}

// A column with a collation that takes Bob for bob finds rows that nobody asked
// for: they are nobody's, and never another user's.
func TestPolicyRowsOfAnotherName(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	for _, column := range []string{"radcheck ALTER username", "radreply ALTER username", "radusergroup ALTER username", "radacct ALTER username", "radgroupcheck ALTER groupname", "radgroupreply ALTER groupname"} {
		db.Exec(`ALTER TABLE ` + column + ` TYPE text COLLATE anycase`)
	}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('Bob', 'Cleartext-Password', ':=', 'b')`)
	db.Exec(`INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('Gold', 'Auth-Type', ':=', 'Accept')`)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ('s', 'u', 'Bob', '10.0.0.1', now())`)
	p := newPolicy(db.DB)
	users, groups, err := p.Batch(t.Context(), []string{"eve", "bob"}, []string{"guests", "gold"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		if n := len(users[i].Check); n != 0 {
			t.Errorf("query %d got %d rows of radcheck of another user", i, n)
		}
	}
	if open, _, err := store.NewAdmissions(db.DB).Sessions(t.Context(), "bob"); len(open) != 0 || err != nil {
		t.Errorf("sessions of another user: %v, %v", open, err)
	}
	for i := range groups {
		if len(groups[i].Check) > 0 {
			t.Errorf("group query %d got another group's rows", i)
		}
	}
}
