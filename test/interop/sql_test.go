package interop

import (
	"testing"

	"go.uber.org/goleak"

	"radial/dictionaries"
	"radial/radius"
	"radial/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// FreeRADIUS serves from the schema that our migrations make: it reads its
// items, writes its accounting and its post-auth log.
func TestFreeRADIUSOnOurSchema(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('bob', 'Cleartext-Password', ':=', 'p w')`)
	db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Framed-IP-Address', '=', '100.64.0.9')`)
	f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})

	auth, d := client(t, f.AuthAddr, radius.ClientOptions{})
	r, err := auth.Login(t.Context(), radius.Login{User: "bob", Password: "p w", Method: radius.LoginMSCHAPv2})
	if err != nil || r.Code != radius.AccessAccept {
		t.Fatalf("login: %v, %v", r, err)
	}
	if p := r.Pairs.First(d.Must("Framed-IP-Address")); p == nil || p.String() != "Framed-IP-Address = 100.64.0.9" {
		t.Errorf("reply %v", r.Pairs)
	}
	acct, _ := client(t, f.AcctAddr, radius.ClientOptions{})
	for _, status := range []string{"Start", "Interim-Update", "Stop"} {
		var pairs dictionaries.Pairs
		for _, p := range [][2]string{
			{"Acct-Status-Type", status}, {"User-Name", "bob"}, {"Acct-Session-Id", "8a0000f1"}, {"NAS-IP-Address", "192.0.2.1"},
			{"Acct-Session-Time", "60"}, {"Acct-Input-Octets", "1000"}, {"Acct-Input-Gigawords", "1"}, {"Framed-IP-Address", "100.64.0.9"},
		} {
			pair, err := d.Pair(p[0], p[1])
			if err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, pair)
		}
		if _, err := acct.Exchange(t.Context(), radius.AccountingRequest, pairs); err != nil {
			t.Fatalf("%s: %v", status, err)
		}
	}
	rows := db.Rows(`SELECT username, acctsessionid, host(nasipaddress), acctinputoctets, acctstoptime IS NOT NULL FROM radacct`)
	if len(rows) != 1 || len(rows[0]) != 5 || rows[0][0] != "bob" || rows[0][3] != "4294968296" || rows[0][4] != "true" && rows[0][4] != "t" {
		t.Errorf("radacct has %v", rows)
	}
	if rows := db.Rows(`SELECT username, reply FROM radpostauth`); len(rows) != 1 || rows[0][1] != "Access-Accept" {
		t.Errorf("radpostauth has %v", rows)
	}
}
