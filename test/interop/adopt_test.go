package interop

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
)

// freeRADIUSSchema is where Debian has the files that make FreeRADIUS's
// database.
const freeRADIUSSchema = stockConfig + "/mods-config/sql/main/postgresql/"

func freeRADIUSFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(freeRADIUSSchema + name)
	if errors.Is(err, fs.ErrNotExist) {
		needs(t, Config{SQLDSN: "any"}) // tells, and fails where it must be there
		t.Skipf("SKIPPED: needs %s of the package freeradius-postgresql", freeRADIUSSchema+name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAdoption: a database that FreeRADIUS's own files have made, with users,
// and sessions that run, is taken over under FreeRADIUS's own role; both
// servers go on from the same rows.
func TestAdoption(t *testing.T) {
	needs(t, Config{SQLDSN: "any"})
	db := storetest.Empty(t)
	db.Exec(freeRADIUSFile(t, "schema.sql"))
	// roles are the cluster's, which other tests share: the stock one by another name
	role := "radius_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec(strings.NewReplacer("CREATE USER radius WITH", "CREATE USER "+role+" WITH", "TO radius;", "TO "+role+";").Replace(freeRADIUSFile(t, "setup.sql")))
	t.Cleanup(func() {
		db.Exec("REASSIGN OWNED BY " + role + " TO current_user; DROP OWNED BY " + role + "; DROP ROLE " + role)
	})
	k := keywords(t, db.URL())
	k["user"] = role
	stock := join(k)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'Cleartext-Password', ':=', 'p w'), ('o=27brien', 'Cleartext-Password', ':=', 'p w'),
		('nt', 'NT-Password', ':=', '23f15e998de0633d9ee08093ba6d1244')`)
	db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('alice', 'gold', 1)`)
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Mikrotik-Rate-Limit', '=', '20M/100M')`)
	db.Exec(`INSERT INTO nas (nasname, shortname, secret) VALUES ('127.0.0.1', 'local', $1)`, secret)

	peer := StartFreeRADIUS(t, Config{SQLDSN: stock, Secret: secret})
	sendAcct(t, peer.AcctAddr,
		base("Acct-Status-Type = Start", at(t0), "Framed-IP-Address = 100.64.0.7"),
		strings.ReplaceAll(base("Acct-Status-Type = Start", at(t0)), "81000001", "81000002"))
	tables := []string{"radcheck", "radreply", "radgroupcheck", "radgroupreply", "radusergroup", "radacct", "nas", "nasreload"}
	before := rowsOfAll(db, tables)

	env := []string{"RADIAL_DATABASE_URL=" + stock, "RADIAL_DATA_DIR=" + t.TempDir()}
	out := harness.CLI(t, env, "migrate", "up")
	grants := statementsIn(out.Stderr)
	if out.Code == 0 || len(grants) == 0 {
		t.Fatalf("migrate up as the stock role: exit code %d\n%s", out.Code, out.Stderr)
	}
	for _, want := range []string{"GRANT CREATE ON DATABASE ", " OWNER TO " + role, role} {
		if !strings.Contains(out.Stderr, want) {
			t.Errorf("the error lacks %q:\n%s", want, out.Stderr)
		}
	}
	if rows := db.Rows(`SELECT to_regnamespace('radial')`); rows[0][0] != "NULL" {
		t.Error("something was made all the same")
	}
	for _, s := range grants {
		db.Exec(s)
	}
	out = harness.CLI(t, env, "migrate", "up")
	if out.Code != 0 || !strings.Contains(out.Stdout, "adopted") {
		t.Fatalf("migrate up with what it asked for: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	if after := rowsOfAll(db, tables); after != before {
		t.Errorf("rows were touched; before\n%s\nafter\n%s", before, after)
	}

	radial := harness.Start(t, harness.Config{DatabaseURL: stock, Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	ours, _ := client(t, radial.Auth, radius.ClientOptions{})
	theirs, _ := client(t, peer.AuthAddr, radius.ClientOptions{})
	bothAnswer := func(l radius.Login, accept bool) {
		t.Helper()
		for who, c := range map[string]*radius.Client{"Radial": ours, "FreeRADIUS": theirs} {
			r, err := c.Login(t.Context(), l)
			if err != nil || (r.Code == radius.AccessAccept) != accept {
				t.Errorf("%s, %s by %s: %v, %v", who, l.User, l.Method, r, err)
				continue
			}
			if strings.Contains(answer(r), "Mikrotik-Rate-Limit") != (accept && l.User == "alice") {
				t.Errorf("%s, %s by %s: %v", who, l.User, l.Method, r.Pairs)
			}
		}
	}
	for _, method := range radius.LoginMethods {
		bothAnswer(radius.Login{User: "alice", Password: "p w", Method: method}, true)
		bothAnswer(radius.Login{User: "alice", Password: "wrong", Method: method}, false)
	}
	bothAnswer(radius.Login{User: "o'brien", Password: "p w", Method: radius.LoginPAP}, true)
	bothAnswer(radius.Login{User: "nt", Password: "wonder land", Method: radius.LoginMSCHAPv2}, true)
	bothAnswer(radius.Login{User: "nobody", Password: "p w", Method: radius.LoginPAP}, false)

	// one session goes on here, the other there
	more := []string{"Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"}
	stop := append([]string{"Acct-Status-Type = Stop", at(t120), "Acct-Terminate-Cause = User-Request"}, more...)
	sendAcct(t, radial.Acct, base(append([]string{"Acct-Status-Type = Interim-Update", at(t60)}, more...)...), base(stop...))
	second := func(lines ...string) string { return strings.ReplaceAll(base(lines...), "81000001", "81000002") }
	sendAcct(t, radial.Acct, second(append([]string{"Acct-Status-Type = Interim-Update", at(t60)}, more...)...))
	sendAcct(t, peer.AcctAddr, second(stop...))
	rows := acctRows(db)
	if len(rows) != 2 {
		t.Fatalf("%d rows of radacct: %v", len(rows), rows)
	}
	for _, row := range rows {
		if row["acctstoptime"] != "2026-11-03 10:02:00.000000" || row["acctinputoctets"] != "5" || row["acctterminatecause"] != "User-Request" {
			t.Errorf("session %s: %v", row["acctsessionid"], row)
		}
	}

	// what we provision, FreeRADIUS serves, with no more rights than it had
	radialMust(t, radial, "package", "add", "silver", "--down", "50M", "--up", "10M")
	radialMust(t, radial, "user", "add", "carol", "--password", "p w", "--package", "silver")
	r, err := theirs.Login(t.Context(), radius.Login{User: "carol", Password: "p w", Method: radius.LoginCHAP})
	if err != nil || answer(r) != "Access-Accept\nMikrotik-Rate-Limit = \"10M/50M\"" {
		t.Errorf("carol at FreeRADIUS: %v, %v", r, err)
	}
	radialMust(t, radial, "user", "set", "carol", "--status", "suspended")
	if r, err := theirs.Login(t.Context(), radius.Login{User: "carol", Password: "p w", Method: radius.LoginCHAP}); err != nil || r.Code != radius.AccessReject {
		t.Errorf("carol, suspended, at FreeRADIUS: %v, %v", r, err)
	}
	if rows := db.Rows(`SELECT reply, count(*) FROM radpostauth WHERE reason IS NULL AND username = 'carol' GROUP BY 1 ORDER BY 1`); len(rows) != 2 {
		t.Errorf("FreeRADIUS's rows of radpostauth: %v", rows)
	}
	if doctor := radial.Radial(t, "doctor"); !strings.Contains(doctor.Stdout, "schema") {
		t.Errorf("doctor says nothing of the schema:\n%s%s", doctor.Stdout, doctor.Stderr)
	}
}

func radialMust(t *testing.T, s *harness.Server, args ...string) {
	t.Helper()
	if out := s.Radial(t, args...); out.Code != 0 {
		t.Errorf("radial %v: exit code %d\n%s%s", args, out.Code, out.Stdout, out.Stderr)
	}
}

// statementsIn are the lines of an error that are SQL to be run.
func statementsIn(text string) (list []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, ";") && (strings.HasPrefix(line, "GRANT ") || strings.HasPrefix(line, "ALTER ")) {
			list = append(list, line)
		}
	}
	return list
}

// rowsOfAll prints the tables with the place of every row, so that a row that
// was rewritten shows.
func rowsOfAll(db *storetest.DB, tables []string) string {
	var b strings.Builder
	for _, table := range tables {
		for _, r := range db.Rows("SELECT t.ctid, t FROM " + table + " t ORDER BY t.ctid") {
			b.WriteString(table + " " + strings.Join(r, " ") + "\n")
		}
	}
	return b.String()
}
