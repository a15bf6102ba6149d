package interop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/radius"
)

// users has one user for each way to store a password.
const users = `
clear       Cleartext-Password := "wonder land"
nt          NT-Password := 0x23f15e998de0633d9ee08093ba6d1244
both        Cleartext-Password := "other", NT-Password := 0x23f15e998de0633d9ee08093ba6d1244
unicode     Cleartext-Password := "pässwörd€"
md5         MD5-Password := "0f0d04c99cad992749445967168ff204"
shut        Auth-Type := Reject
	Reply-Message = "account suspended"
CORP\dom    Cleartext-Password := "wonder land"
local       Auth-Type := Local, Cleartext-Password := "wonder land"
replies     Cleartext-Password := "wonder land"
	Framed-IP-Address = 100.64.0.7,
	Mikrotik-Rate-Limit = "20M/100M",
	Framed-Route += "10.1.0.0/16 100.64.0.7 1",
	Framed-Route += "10.2.0.0/16 100.64.0.7 1",
	Delegated-IPv6-Prefix = 2001:db8:7::/48,
	Tunnel-Private-Group-Id:3 = "300",
	Session-Timeout = 3600
`

const secret = "a s3cret of interop"

func client(t *testing.T, addr string, o radius.ClientOptions) (*radius.Client, *dictionaries.Dictionary) {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	return radius.NewClient(addr, secret, d, o), d
}

// FreeRADIUS is the judge of our client: each method logs in with the right
// password and in no other case, and FreeRADIUS's MS-CHAPv2 proof and keys are
// the ones that we expect.
func TestClientLogsInAtFreeRADIUS(t *testing.T) {
	f := StartFreeRADIUS(t, Config{Users: users, Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	all := radius.LoginMethods
	for _, u := range []struct {
		login radius.Login
		works []radius.LoginMethod
	}{
		{radius.Login{User: "clear", Password: "wonder land"}, all},
		{radius.Login{User: "clear", Password: "wonder lanD"}, nil},
		{radius.Login{User: "clear", Password: ""}, nil},
		{radius.Login{User: "nobody", Password: "wonder land"}, nil},
		{radius.Login{User: "nt", Password: "wonder land"}, []radius.LoginMethod{"pap", "mschapv1", "mschapv2"}},
		{radius.Login{User: "both", Password: "wonder land"}, []radius.LoginMethod{"mschapv1", "mschapv2"}},
		{radius.Login{User: "both", Password: "other"}, []radius.LoginMethod{"pap", "chap"}},
		{radius.Login{User: "unicode", Password: "pässwörd€"}, all},
		{radius.Login{User: "md5", Password: "wonder land"}, []radius.LoginMethod{"pap"}},
		{radius.Login{User: `CORP\dom`, Password: "wonder land"}, all},
		{radius.Login{User: "shut", Password: "x"}, nil},
		{radius.Login{User: "local", Password: "wonder land"}, nil},
	} {
		for _, method := range all {
			l := u.login
			l.Method = method
			r, err := c.Login(t.Context(), l)
			if err != nil {
				t.Errorf("%s by %s: %v", l.User, method, err)
				continue
			}
			want := radius.AccessReject
			if slices.Contains(u.works, method) {
				want = radius.AccessAccept
			}
			if r.Code != want {
				t.Errorf("%s by %s: %s, want %s", l.User, method, r.Code, want)
			}
			if _, hasError := r.Pairs.Value(d.Must("MS-CHAP-Error")); hasError && !strings.HasPrefix(string(method), "mschap") {
				t.Errorf("%s by %s: MS-CHAP-Error in %v", l.User, method, r.Pairs)
			}
		}
	}
}

// What FreeRADIUS sends, our dictionary decodes, hidden values included.
func TestClientReadsFreeRADIUSReplies(t *testing.T) {
	f := StartFreeRADIUS(t, Config{Users: users, Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	r, err := c.Login(t.Context(), radius.Login{User: "replies", Password: "wonder land", Method: radius.LoginMSCHAPv2})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range r.Pairs {
		switch p.Attr.Name {
		case "MS-CHAP2-Success", "Message-Authenticator":
		case "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key":
			lines = append(lines, p.Attr.Name+" of "+string(rune('0'+len(p.Value)/8))+" times 8 bytes")
		default:
			lines = append(lines, p.String())
		}
	}
	slices.Sort(lines)
	want := []string{
		"Delegated-IPv6-Prefix = 2001:db8:7::/48",
		"Framed-IP-Address = 100.64.0.7",
		`Framed-Route = "10.1.0.0/16 100.64.0.7 1"`,
		`Framed-Route = "10.2.0.0/16 100.64.0.7 1"`,
		"MS-MPPE-Encryption-Policy = Encryption-Allowed",
		"MS-MPPE-Encryption-Types = RC4-40or128-bit-Allowed",
		"MS-MPPE-Recv-Key of 2 times 8 bytes",
		"MS-MPPE-Send-Key of 2 times 8 bytes",
		`Mikrotik-Rate-Limit = "20M/100M"`,
		"Session-Timeout = 3600",
		`Tunnel-Private-Group-Id:3 = "300"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	reject, err := c.Login(t.Context(), radius.Login{User: "shut", Password: "x", Method: radius.LoginPAP})
	if err != nil {
		t.Fatal(err)
	}
	if p := reject.Pairs.First(d.Must("Reply-Message")); p == nil || string(p.Value) != "account suspended" {
		t.Errorf("reject has %v", reject.Pairs)
	}
}

// FreeRADIUS's MS-CHAP-Error is of the form that ours has.
func TestFreeRADIUSMSCHAPError(t *testing.T) {
	f := StartFreeRADIUS(t, Config{Users: users, Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	for method, form := range map[radius.LoginMethod][]string{
		radius.LoginMSCHAPv1: {"E=691 R=1 C=", " V=2"},
		radius.LoginMSCHAPv2: {"E=691 R=1 C=", " V=3 M=Authentication rejected"},
	} {
		r, err := c.Login(t.Context(), radius.Login{User: "clear", Password: "wrong", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := r.Pairs.Value(d.Must("MS-CHAP-Error"))
		if len(v) < 2 || !strings.HasPrefix(string(v[1:]), form[0]) || !strings.HasSuffix(string(v), form[1]) {
			t.Errorf("%s: %q", method, v)
		}
	}
}

func TestClientStatusAndAccountingAtFreeRADIUS(t *testing.T) {
	f := StartFreeRADIUS(t, Config{Users: users, Secret: secret})
	for addr, want := range map[string]radius.Code{f.AuthAddr: radius.AccessAccept, f.AcctAddr: radius.AccountingResponse} {
		c, d := client(t, addr, radius.ClientOptions{})
		r, err := c.Exchange(t.Context(), radius.StatusServer, nil)
		if err != nil || r.Code != want {
			t.Errorf("Status-Server: %v, %v", r, err)
		}
		if want != radius.AccountingResponse {
			continue
		}
		var pairs dictionaries.Pairs
		for _, p := range [][2]string{
			{"Acct-Status-Type", "Interim-Update"}, {"User-Name", "clear"}, {"Acct-Session-Id", "8a0000f1"},
			{"NAS-IP-Address", "192.0.2.1"}, {"Acct-Input-Gigawords", "2"},
		} {
			pair, err := d.Pair(p[0], p[1])
			if err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, pair)
		}
		if r, err := c.Exchange(t.Context(), radius.AccountingRequest, pairs); err != nil || r.Code != radius.AccountingResponse {
			t.Errorf("accounting: %v, %v", r, err)
		}
	}
}

// FreeRADIUS and we agree on what another secret is: no answer to accounting,
// and a PAP reject that does not verify.
func TestClientWithAnotherSecret(t *testing.T) {
	f := StartFreeRADIUS(t, Config{Users: users, Secret: "different"})
	o := radius.ClientOptions{Timeout: 50 * time.Millisecond, Tries: 2}
	acct, _ := client(t, f.AcctAddr, o)
	if _, err := acct.Exchange(t.Context(), radius.StatusServer, nil); !errors.Is(err, radius.ErrNoAnswer) {
		t.Errorf("Status-Server: %v", err)
	}
	auth, _ := client(t, f.AuthAddr, o)
	if _, err := auth.Login(t.Context(), radius.Login{User: "clear", Password: "wonder land", Method: radius.LoginPAP}); !errors.Is(err, radius.ErrNoAnswer) {
		t.Errorf("login: %v", err)
	}
}

// A proxy passes MS-CHAPv2 on and hides the keys anew: the same harness will
// stand in front of our server.
func TestFreeRADIUSAsProxy(t *testing.T) {
	behind := StartFreeRADIUS(t, Config{Users: users, Secret: "between"})
	front := StartFreeRADIUS(t, Config{ProxyTo: behind.AuthAddr, ProxyAcctTo: behind.AcctAddr, ProxySecret: "between", Secret: secret})
	c, d := client(t, front.AuthAddr, radius.ClientOptions{})
	for _, method := range radius.LoginMethods {
		r, err := c.Login(t.Context(), radius.Login{User: "replies", Password: "wonder land", Method: method})
		if err != nil || r.Code != radius.AccessAccept {
			t.Errorf("%s: %v, %v", method, r, err)
			continue
		}
		if p := r.Pairs.First(d.Must("Framed-IP-Address")); p == nil || p.String() != "Framed-IP-Address = 100.64.0.7" {
			t.Errorf("%s: %v", method, r.Pairs)
		}
		wrong, err := c.Login(t.Context(), radius.Login{User: "replies", Password: "wrong", Method: method})
		if err != nil || wrong.Code != radius.AccessReject {
			t.Errorf("%s, wrong password: %v, %v", method, wrong, err)
		}
	}
	acct, _ := client(t, front.AcctAddr, radius.ClientOptions{})
	start, err := d.Pair("Acct-Status-Type", "Start")
	if err != nil {
		t.Fatal(err)
	}
	session, err := d.Pair("Acct-Session-Id", "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acct.Exchange(context.WithoutCancel(t.Context()), radius.AccountingRequest, dictionaries.Pairs{start, session}); err != nil {
		t.Errorf("accounting: %v", err)
	}
}
