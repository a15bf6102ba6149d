package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

var freeRADIUSTables = []string{"radacct", "radcheck", "radreply", "radgroupcheck", "radgroupreply", "radusergroup", "radpostauth", "nas", "nasreload"}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) && strings.HasPrefix(name, "/") {
		t.Skip("not installed: " + name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// columns and indexes describe the tables, by name, in a form to compare.
func describe(db *storetest.DB) (columns, indexes []string) {
	for _, r := range db.Rows(`SELECT format('%s.%s %s%s default %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attnotnull THEN ' not null' END, pg_get_expr(d.adbin, d.adrelid))
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname = ANY($1) ORDER BY 1`, freeRADIUSTables) {
		columns = append(columns, r[0])
	}
	for _, r := range db.Rows(`SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid::regclass::text = ANY($1) ORDER BY 1`, freeRADIUSTables) {
		indexes = append(indexes, r[0])
	}
	return columns, indexes
}

// withoutOurs drops what we add to FreeRADIUS's schema on purpose.
func withoutOurs(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
		for _, ours := range []string{"INDEX radial_", "radpostauth.reason ", "radpostauth.detail ", "radpostauth.nasipaddress ", "radpostauth.nasportid ", "radpostauth.framedipaddress "} {
			if strings.Contains(l, ours) {
				return true
			}
		}
		return false
	})
}

// An empty database gets FreeRADIUS's schema, as its own file makes it, but for two indexes.
func TestMigrateMakesFreeRADIUSSchema(t *testing.T) {
	want, got := storetest.Empty(t), storetest.New(t)
	want.Exec(read(t, "/etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql"))
	wantColumns, wantIndexes := describe(want)
	gotColumns, gotIndexes := describe(got)
	if d := cmp.Diff(wantColumns, withoutOurs(gotColumns)); d != "" {
		t.Error("columns (-FreeRADIUS +ours)\n", d)
	}
	// Two that cost accounting and find nothing: see sqlIndexesMissing.
	wantIndexes = slices.DeleteFunc(wantIndexes, func(l string) bool { return strings.Contains(l, "INDEX radacct_active_session_idx ") })
	for i, l := range wantIndexes {
		if strings.Contains(l, "INDEX radacct_calss_idx ") {
			wantIndexes[i] += " WHERE (class < 'r1:'::text)"
		}
	}
	if d := cmp.Diff(wantIndexes, withoutOurs(gotIndexes)); d != "" {
		t.Error("indexes (-FreeRADIUS +ours)\n", d)
	}
}

// rowsOf returns every table's rows in the columns it had at first.
func rowsOf(db *storetest.DB, columns map[string]string) map[string][][]string {
	all := map[string][][]string{}
	for table, list := range columns {
		all[table] = db.Rows("SELECT ctid, " + list + " FROM " + table + " ORDER BY ctid")
	}
	return all
}

func columnLists(db *storetest.DB) map[string]string {
	lists := map[string]string{}
	for _, r := range db.Rows(`SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname = ANY($1) GROUP BY 1`, freeRADIUSTables) {
		lists[r[0]] = r[1]
	}
	return lists
}

// Room in radacct's pages is made where nobody has said how much there is to be.
func TestMigrateMakesRoom(t *testing.T) {
	for set, want := range map[string]string{
		"":                      "{fillfactor=50}",
		"SET (fillfactor = 90)": "{fillfactor=90}",
		"RESET (fillfactor)":    "",
	} {
		db := storetest.Empty(t)
		if err := db.MigrateTo(t.Context(), 29); err != nil {
			t.Fatal(err)
		}
		if set != "" {
			db.Exec("ALTER TABLE radacct " + set)
		}
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := db.Rows(`SELECT coalesce(reloptions::text, '') FROM pg_class WHERE oid = 'radacct'::regclass`)[0][0]; got != want {
			t.Errorf("%q: %s, want %s", set, got, want)
		}
	}
}

// Existing databases are adopted: no row is touched, what is missing is there
// afterwards, no index is doubled.
func TestMigrateAdopts(t *testing.T) {
	for name, file := range map[string]string{
		"3.0.4":  "testdata/freeradius-3.0.4.sql",
		"3.0.19": "testdata/freeradius-3.0.19.sql",
		"3.2.1":  "/etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql",
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Empty(t)
			db.Exec(read(t, file))
			db.Exec(read(t, "testdata/rows.sql"))
			lists := columnLists(db)
			before := rowsOf(db, lists)
			report, err := db.Migrate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !report.Adopted || len(report.Applied) < 3 || len(report.River) == 0 || report.Escaping != "safe-characters" {
				t.Errorf("report %+v", report)
			}
			if name == "3.0.4" { // a column was added with a default that needs a value in each row
				delete(before, "radusergroup")
				delete(lists, "radusergroup")
			}
			if d := cmp.Diff(before, rowsOf(db, lists)); d != "" {
				t.Error("rows (-before +after)\n", d)
			}
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
			fresh, _ := describe(storetest.New(t))
			have, indexes := describe(db)
			for _, column := range fresh {
				name, _, _ := strings.Cut(column, " ")
				if !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, name+" ") }) {
					t.Errorf("no column %s", name)
				}
			}
			seen := map[string]string{}
			for _, ix := range indexes {
				_, what, _ := strings.Cut(ix, " ON ")
				if other, ok := seen[what]; ok && !strings.Contains(ix, "UNIQUE") {
					t.Errorf("doubled: %s and %s", ix, other)
				}
				seen[what] = ix
			}
			if got := db.Rows(`SELECT username, groupname, priority, id IS NOT NULL FROM radusergroup ORDER BY id`); len(got) != 2 || got[0][1] != "gold" || got[0][3] != "t" {
				t.Errorf("radusergroup %v", got)
			}
			again, err := db.Migrate(t.Context())
			if err != nil || len(again.Applied)+len(again.River) != 0 || again.Adopted {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// FreeRADIUS's stock role may not migrate: it is told which statements it
// needs, nothing is changed, and after running just those it can.
func TestMigrateTellsMissingRights(t *testing.T) {
	db := storetest.Empty(t)
	db.Exec(read(t, "/etc/freeradius/3.0/mods-config/sql/main/postgresql/schema.sql"))
	db.Exec(read(t, "testdata/rows.sql"))
	role := "radius_" + db.Rows(`SELECT current_database()`)[0][0]
	setup := read(t, "/etc/freeradius/3.0/mods-config/sql/main/postgresql/setup.sql")
	setup = strings.NewReplacer("CREATE USER radius WITH", "CREATE USER "+role+" WITH", "TO radius;", "TO "+role+";").Replace(setup)
	db.Exec(setup)
	t.Cleanup(func() {
		db.Exec("REASSIGN OWNED BY " + role + " TO current_user; DROP OWNED BY " + role + "; DROP ROLE " + role)
	})

	stock := openAs(t, db, role, store.Options{})
	before := db.Rows(`SELECT relname, relkind, relnamespace::regnamespace FROM pg_class WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace) ORDER BY 1`)
	_, err := stock.Migrate(t.Context())
	rights, ok := errors.AsType[*store.RightsError](err)
	if !ok {
		t.Fatalf("err = %v, want a RightsError", err)
	}
	after := db.Rows(`SELECT relname, relkind, relnamespace::regnamespace FROM pg_class WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace) ORDER BY 1`)
	if d := cmp.Diff(before, after); d != "" {
		t.Error("changed\n", d)
	}
	for _, want := range []string{"ALTER TABLE public.radacct OWNER TO " + role + ";", "GRANT CREATE ON DATABASE "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
	for _, s := range rights.Statements {
		db.Exec(s)
	}
	if _, err := stock.Migrate(t.Context()); err != nil {
		t.Fatal("with the rights: ", err)
	}
	if err := stock.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
}

// Indexes are made once, also after an interruption; what an operator drops
// stays dropped.
func TestMigrateMakesIndexesOnce(t *testing.T) {
	db := storetest.Empty(t)
	db.Exec(read(t, "testdata/freeradius-3.0.19.sql"))
	report, err := db.Migrate(t.Context())
	if err != nil || !slices.Contains(report.Indexes, "radial_radacct_open_user_idx") || slices.Contains(report.Indexes, "radcheck_username") {
		t.Fatalf("%+v, %v", report, err)
	}
	// as an interrupted build leaves it
	db.Exec(`DELETE FROM radial.settings WHERE key = 'indexes'; DROP INDEX radial_radacct_user_start_idx;
		UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'radial_radacct_open_user_idx'::regclass`)
	report, err = db.Migrate(t.Context())
	if want := []string{"radial_radacct_open_user_idx", "radial_radacct_user_start_idx"}; err != nil || !slices.Equal(report.Indexes, want) {
		t.Errorf("%v, %v, want %v", report.Indexes, err, want)
	}
	if broken := db.Rows(`SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid`); len(broken) != 0 {
		t.Errorf("broken: %v", broken)
	}
	db.Exec(`DROP INDEX radacct_calss_idx`)
	if report, err = db.Migrate(t.Context()); err != nil || len(report.Indexes) != 0 {
		t.Errorf("%v, %v", report.Indexes, err)
	}
}

// Providers of databases give roles a statement_timeout. A big radacct takes
// longer to index, and an index that was cut off would be begun anew at every start.
func TestMigrateTakesItsTime(t *testing.T) {
	db := storetest.Empty(t)
	db.Exec(read(t, "testdata/freeradius-3.0.19.sql"))
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime)
		SELECT 's' || n, md5(n::text), md5((n % 977)::text), '10.0.0.1', now() FROM generate_series(1, 40000) n`)
	db.Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 15', current_database()); END $$`)
	report, err := db.Migrate(t.Context())
	if err != nil || !slices.Contains(report.Indexes, "radial_radacct_user_start_idx") {
		t.Errorf("%+v, %v", report, err)
	}
}

// A role named as our schema does not make FreeRADIUS's tables in it, where they
// would hide the true ones from the server.
func TestMigrateLeadsTheRoleHome(t *testing.T) {
	db := storetest.Empty(t)
	if role := db.Rows("SELECT current_user")[0][0]; role != store.Schema {
		t.Fatalf("the test's role is %s, and has to be named as the schema", role)
	}
	for range 2 { // as every start of a server
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	psql, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer psql.Close(t.Context())
	if _, err := psql.Exec(t.Context(), "CREATE TABLE radippool ()"); err != nil {
		t.Fatal(err)
	}
	var schema string
	err = psql.QueryRow(t.Context(), "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'radippool'::regclass").Scan(&schema)
	if err != nil || schema != "public" {
		t.Errorf("radippool was made in schema %q, %v; want public", schema, err)
	}
}

func TestMigrateTwoAtOnce(t *testing.T) {
	db := storetest.Empty(t)
	var wg sync.WaitGroup
	reports := make([]store.MigrateReport, 3)
	for i := range reports {
		wg.Go(func() {
			var err error
			if reports[i], err = db.Migrate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, r := range reports {
		if len(r.Applied) > 0 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of them migrated: %+v", n, reports)
	}
}

func TestCheckSchemaBeforeMigrate(t *testing.T) {
	db := storetest.Empty(t)
	err := db.CheckSchema(t.Context())
	if !errors.Is(err, aaa.ErrInvalid) || !strings.Contains(err.Error(), "radial migrate up") {
		t.Errorf("err = %v", err)
	}
	ms, err := db.Status(t.Context())
	if err != nil || len(ms) < 3 || ms[0].Applied || ms[0].Name != "freeradius" {
		t.Errorf("status %+v, %v", ms, err)
	}
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db.Exec(`INSERT INTO radial.goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	ms, err = db.Status(t.Context())
	if err != nil || !ms[0].Applied || ms[0].At.IsZero() || ms[len(ms)-1].Version != 99999 {
		t.Errorf("status %+v, %v", ms, err)
	}
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Error("a newer schema: ", err)
	}
}

func TestDetectEscaping(t *testing.T) {
	insert := func(db *storetest.DB, users ...string) {
		for i, u := range users {
			db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress) VALUES ('s', $1, $2, '10.0.0.1')`, fmt.Sprint(i), u)
		}
	}
	for name, c := range map[string]struct {
		users []string
		want  string
	}{
		"empty":          {nil, "safe-characters"},
		"nothing tells":  {[]string{"bob", "eve@isp", "Žofia"}, "safe-characters"},
		"escaped":        {[]string{"bob", "o=27brien"}, "safe-characters"},
		"raw":            {[]string{"bob", "o'brien"}, "raw"},
		"raw with equal": {[]string{"a=b", "c=d"}, "raw"},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Empty(t)
			db.Exec(read(t, "testdata/freeradius-3.0.19.sql"))
			insert(db, c.users...)
			report, err := db.Migrate(t.Context())
			if err != nil || report.Escaping != c.want {
				t.Errorf("%q, %v, want %s", report.Escaping, err, c.want)
			}
			e, err := db.Escaper(t.Context())
			if err != nil || e.Mode().String() != c.want {
				t.Errorf("Escaper: %v, %v", e.Mode(), err)
			}
			// decided once
			db.Exec(`TRUNCATE radacct`)
			insert(db, "x=27", "y'")
			if again, err := db.Migrate(t.Context()); err != nil || again.Escaping != c.want {
				t.Errorf("again %q, %v", again.Escaping, err)
			}
		})
	}
}

func TestTimeZoneIsStoredOnce(t *testing.T) {
	db := storetest.Empty(t, storetest.WithOptions(store.Options{TimeZone: "Europe/Prague"}))
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if zone, err := db.TimeZone(t.Context()); err != nil || zone != "Europe/Prague" {
		t.Errorf("%q, %v", zone, err)
	}
	if zone, err := storetest.New(t).TimeZone(t.Context()); err != nil || zone == "" || zone == "Local" {
		t.Errorf("the system's: %q, %v", zone, err)
	}
}
