package store_test

import (
	"strings"
	"testing"

	"radial/store"
	"radial/store/storetest"
)

func finding(t *testing.T, found []store.Finding, name string) store.Finding {
	t.Helper()
	for _, f := range found {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding %q in %+v", name, found)
	return store.Finding{}
}

func examine(t *testing.T, db *store.DB) []store.Finding {
	t.Helper()
	found, err := db.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if (f.Severity == store.Good) != (f.Mend == "") {
			t.Errorf("%+v: what to do?", f)
		}
	}
	return found
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	db := storetest.New(t, storetest.Durable)
	for _, f := range examine(t, db.DB) {
		if f.Severity != store.Good {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorFinds(t *testing.T) {
	for name, c := range map[string]struct {
		harm, finding, says string
		severity            store.Severity
	}{
		"not migrated":  {`DELETE FROM radial.goose_db_version WHERE version_id = 3`, "schema", "radial migrate up", store.Problem},
		"no durability": {``, "durability", "fsync off", store.Problem},
		"no index":      {`DROP INDEX radcheck_username`, "indexes", "radcheck (username)", store.Problem},
		"needless":      {`CREATE INDEX radacct_active_session_idx ON radacct (acctuniqueid) WHERE acctstoptime IS NULL`, "indexes", "radacct_active_session_idx (the unique one", store.Advice},
		"changing":      {`CREATE INDEX mine ON radacct (username, acctupdatetime)`, "indexes", "mine (its columns change", store.Advice},
		"no trigger":    {`ALTER TABLE radreply DISABLE TRIGGER radial_update`, "triggers", "radial_update on radreply", store.Problem},
		"no usage":      {`ALTER TABLE radacct DISABLE TRIGGER radial_usage_change`, "triggers", "radial_usage_change on radacct", store.Problem},
		"fillfactor":    {`ALTER TABLE radacct RESET (fillfactor)`, "radacct", "fillfactor 100", store.Advice},
		"many rows":     {`UPDATE pg_class SET reltuples = 3e7 WHERE oid = 'radacct'::regclass`, "radacct", "about 30000000 rows", store.Advice},
		"narrow":        {`ALTER TABLE radacct ALTER COLUMN nasportid TYPE varchar(15)`, "columns", "radacct.nasportid character varying(15)", store.Advice},
		"zone":          {`UPDATE radial.settings SET value = 'Pacific/Chatham' WHERE key = 'timezone'`, "time zone", "Pacific/Chatham", store.Advice},
		"raw":           {`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress) VALUES ('1', '1', 'o''br', '10.0.0.1')`, "escaping", "safe-characters", store.Advice},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			if c.harm != "" {
				db.Exec(c.harm)
			}
			f := finding(t, examine(t, db.DB), c.finding)
			if f.Severity != c.severity || !strings.Contains(f.Value, c.says) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A run-time role without rights is told the grants it lacks, and they are
// enough.
func TestDoctorRights(t *testing.T) {
	db := storetest.New(t)
	role := "plain_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec("CREATE ROLE " + role + " LOGIN; GRANT USAGE ON SCHEMA radial TO " + role + "; GRANT SELECT ON ALL TABLES IN SCHEMA radial, public TO " + role)
	t.Cleanup(func() { db.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role) })
	plain := openAs(t, db, role, store.Options{})
	f := finding(t, examine(t, plain), "rights")
	want := "GRANT DELETE, INSERT, UPDATE ON radacct TO " + role + ";"
	if f.Severity != store.Problem || !strings.Contains(f.Mend, want) {
		t.Fatalf("%+v lacks %s", f, want)
	}
	_, statements, _ := strings.Cut(f.Mend, "\n")
	db.Exec(statements)
	for _, insert := range []string{
		"INSERT INTO radcheck (username, attribute, op, value) VALUES ('x', 'Cleartext-Password', ':=', 'x')",
		"INSERT INTO radacct (acctsessionid, acctuniqueid, nasipaddress) VALUES ('s', 'u', '192.0.2.1')",
		"INSERT INTO radial.audit (actor, action, key) VALUES ('x', 'x', 'x')",
	} {
		if _, err := plain.Pool().Exec(t.Context(), insert); err != nil {
			t.Errorf("the rights are not enough: %v", err)
		}
	}
	if f := finding(t, examine(t, plain), "rights"); f.Severity != store.Good {
		t.Errorf("afterwards: %+v", f)
	}
}
