package interop

import (
	"strings"
	"testing"

	"radial/dictionaries"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
)

// FreeRADIUS as proxy judges our server's side of all methods: it verifies our
// authenticators, and decrypts and hides the MPPE keys again; what our client
// then finds behind it are the keys of the password (Login checks that, and the
// MS-CHAPv2 proof). FreeRADIUS on the same rows gives the same answers.
func TestServerBehindFreeRADIUS(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/8', 'local', 'other', 'between')`)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES
		('bob', 'Cleartext-Password', ':=', 'p w'), ('nt', 'NT-Password', ':=', '23f15e998de0633d9ee08093ba6d1244'),
		('bob@isp.example', 'Cleartext-Password', ':=', 'p w')`)
	db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Framed-IP-Address', '=', '100.64.0.9'), ('bob', 'Class', '+=', '0x0102')`)
	ours := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s", "RADIAL_CONTROL_MARK": "off"}})
	proxy := StartFreeRADIUS(t, Config{ProxyTo: ours.Auth, ProxyAcctTo: ours.Acct, ProxySecret: "between", Secret: secret})
	peer := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})

	behind, d := client(t, proxy.AuthAddr, radius.ClientOptions{})
	beside, _ := client(t, peer.AuthAddr, radius.ClientOptions{})
	for _, l := range []radius.Login{
		{User: "bob", Password: "p w"}, {User: "bob", Password: "wrong"}, {User: "nobody", Password: "p w"}, {User: "nt", Password: "wonder land"},
		{User: "bob@isp.example", Password: "p w"},
	} {
		for _, l.Method = range radius.LoginMethods {
			got, err := behind.Login(t.Context(), l)
			if err != nil {
				t.Errorf("%s by %s through the proxy: %v", l.User, l.Method, err)
				continue
			}
			want, err := beside.Login(t.Context(), l)
			if err != nil {
				t.Fatalf("%s by %s at FreeRADIUS: %v", l.User, l.Method, err)
			}
			if a, b := answer(got), answer(want); a != b {
				t.Errorf("%s by %s:\nwe\n%s\nFreeRADIUS\n%s", l.User, l.Method, a, b)
			}
		}
	}

	acct, _ := client(t, proxy.AcctAddr, radius.ClientOptions{})
	var pairs dictionaries.Pairs
	for _, p := range [][2]string{
		{"Acct-Status-Type", "Start"}, {"User-Name", "bob"}, {"Acct-Session-Id", "8a0000f1"}, {"NAS-IP-Address", "192.0.2.1"}, {"Framed-IP-Address", "100.64.0.9"},
	} {
		pair, err := d.Pair(p[0], p[1])
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
	}
	if _, err := acct.Exchange(t.Context(), radius.AccountingRequest, pairs); err != nil {
		t.Errorf("accounting through the proxy: %v", err)
	}
	if rows := db.Rows(`SELECT username FROM radacct WHERE acctsessionid = '8a0000f1'`); len(rows) != 1 || rows[0][0] != "bob" {
		t.Errorf("radacct has %v", rows)
	}
}

// answer prints what must be the same in two answers to two logins: values that
// are made of a login's random challenges are left out.
func answer(r *radius.Reply) string {
	lines := []string{r.Code.String()}
	for _, p := range r.Pairs {
		switch p.Attr.Name {
		case "Message-Authenticator", "Proxy-State":
		case "MS-CHAP2-Success", "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key":
			lines = append(lines, p.Attr.Name)
		case "MS-CHAP-Error":
			before, after, _ := strings.Cut(string(p.Value[1:]), " C=")
			_, after, _ = strings.Cut(after, " ")
			lines = append(lines, p.Attr.Name+" "+before+" "+after)
		default:
			lines = append(lines, p.String())
		}
	}
	return strings.Join(lines, "\n")
}
