package aaa

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"radial/dictionaries"
)

// login is a request in terms that a table can hold.
type login struct {
	pairs string // "Attr = value; …", values in hexadecimal with 0x
	auth  string // Request Authenticator in hexadecimal
}

func dictionary(t testing.TB) *dictionaries.Dictionary {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// list reads "Attr = value; Attr = value" without unquoting.
func list(t testing.TB, d *dictionaries.Dictionary, text string) (ps dictionaries.Pairs) {
	t.Helper()
	for part := range strings.SplitSeq(text, "; ") {
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, " = ")
		a := d.Find(name)
		if !ok || a == nil {
			t.Fatalf("test row %q: attribute %q", part, name)
		}
		v := []byte(value)
		if b, err := hex.DecodeString(strings.TrimPrefix(value, "0x")); err == nil && strings.HasPrefix(value, "0x") {
			v = b
		} else if a.Type == dictionaries.TypeInteger {
			if v, err = a.Parse(value); err != nil {
				t.Fatal(err)
			}
		}
		ps = append(ps, dictionaries.Pair{Attr: a, Value: v})
	}
	return ps
}

const (
	pap  = "User-Name = bob; User-Password = wonder land"
	chap = "User-Name = bob; CHAP-Challenge = 0x30313233343536373839; CHAP-Password = 0x07" + chapOf7
	// MD5(07 "wonder land" "0123456789"), by md5sum
	chapOf7 = "677d5cf59f5e750768c9d721501ad716"
)

func (l login) request(t testing.TB, d *dictionaries.Dictionary) *Request {
	t.Helper()
	r := &Request{Pairs: list(t, d, l.pairs)}
	copy(r.Authenticator[:], unhexTB(t, l.auth))
	return r
}

func unhexTB(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mschapv1 and mschapv2 are the logins of the RFCs' examples.
const (
	mschapv1 = "User-Name = User; MS-CHAP-Challenge = 0x102DB5DF085D3041; MS-CHAP-Response = 0x2a01" +
		"000000000000000000000000000000000000000000000000" + "4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61"
	mschapv2 = "User-Name = User; MS-CHAP-Challenge = 0x5B5D7C7D7B3F2F3E3C2C602132262628; MS-CHAP2-Response = 0x2a00" +
		"21402324255E262A28295F2B3A337C7E" + "0000000000000000" + "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF"
)

func TestVerify(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	domain := strings.Replace(mschapv2, "User-Name = User", `User-Name = CORP\User`, 1)
	for _, c := range []struct {
		name, request, control string
		want                   Reason
		detail                 string
	}{
		{"pap", pap, "Cleartext-Password = wonder land", "", ""},
		{"pap, wrong", pap, "Cleartext-Password = other", ReasonBadPassword, "Cleartext-Password does not match"},
		{"pap, first in list order wins", pap, "Cleartext-Password = other; Cleartext-Password = wonder land", ReasonBadPassword, ""},
		{"pap, first in list order wins, other kinds", pap, "MD5-Password = 0f0d04c99cad992749445967168ff204; Cleartext-Password = other", "", ""},
		{"pap, header counts last", pap, "Password-With-Header = {clear}other; Cleartext-Password = wonder land", "", ""},
		{"pap, header", pap, "Password-With-Header = {sha}w24zq5KWQmx3ubdRSJwinHNdFYQ=", "", ""},
		{"pap, unknown header", "User-Password = {foo}x", "Password-With-Header = {foo}x", "", ""},
		{"pap, bare PBKDF2", pap, "PBKDF2-Password = HMACSHA1:AAAD6A==:AQIDBAUGBwg=:kEOi3jfbICAKngS+bIMr1BgmUlw=", "", ""},
		{"pap, empty against empty", "User-Password = ", "Cleartext-Password = ", ReasonBadPassword, "empty"},
		{"pap against empty", pap, "Cleartext-Password = ", ReasonBadPassword, ""},
		{"pap, no password", pap, "", ReasonNoPassword, ""},
		{"pap, User-Password is no password", pap, "User-Password = wonder land", ReasonNoPassword, ""},
		{"pap, broken hash", pap, "MD5-Password = abc", ReasonUnparsableItem, "MD5-Password: value has 3 bytes"},
		{"pap, scheme that we lack", pap, "Crypt-Password = $y$j9T$a$b", ReasonUnsupportedCheck, "$y$"},
		{"pap forced", pap, "Auth-Type = PAP; Cleartext-Password = wonder land", "", ""},
		{"nothing", "User-Name = bob", "Cleartext-Password = x", ReasonNoCredential, ""},

		{"chap", chap, "Cleartext-Password = wonder land", "", ""},
		{"chap, wrong", chap, "Cleartext-Password = other", ReasonBadPassword, ""},
		{"chap, header", chap, "Password-With-Header = {cleartext}wonder land", "", ""},
		{"chap against a hash", chap, "SHA2-Password = 8994c06b1dce06c437430db4c0c2f150e80566c325a98e0c821ab075df276728", ReasonMethodImpossible, "CHAP needs Cleartext-Password, and SHA2-Password is all there is"},
		{"chap against NT", chap, "NT-Password = 23f15e998de0633d9ee08093ba6d1244", ReasonMethodImpossible, ""},
		{"chap, hash first, clear later", chap, "NT-Password = 23f15e998de0633d9ee08093ba6d1244; Cleartext-Password = wonder land", "", ""},
		{"chap, no password", chap, "", ReasonNoPassword, ""},
		{"chap, empty password", chap, "Cleartext-Password = ", ReasonBadPassword, ""},
		{"chap, 16 bytes", "CHAP-Password = 0x00112233445566778899aabbccddeeff", "Cleartext-Password = x", ReasonBadCredential, "16 bytes, want 17"},
		{"chap, empty", "CHAP-Password = 0x", "Cleartext-Password = x", ReasonBadCredential, ""},
		{"chap, forced PAP", chap, "Auth-Type = PAP; Cleartext-Password = wonder land", ReasonAuthType, "the request carries a CHAP credential"},
		{"chap, forced CHAP", chap, "Auth-Type = CHAP; Cleartext-Password = wonder land", "", ""},
		{"last Auth-Type wins", pap, "Auth-Type = CHAP; Auth-Type = PAP; Cleartext-Password = wonder land", "", ""},
		{"Auth-Type Local", pap, "Auth-Type = Local; Cleartext-Password = wonder land", ReasonAuthType, "is not served"},
		{"Auth-Type EAP", pap, "Auth-Type = EAP; Cleartext-Password = wonder land", ReasonAuthType, "Auth-Type EAP is not served"},
		{"Auth-Type without a name", pap, "Auth-Type = 77; Cleartext-Password = wonder land", ReasonAuthType, "Auth-Type 77"},

		{"v1", mschapv1, "Cleartext-Password = MyPw", "", ""},
		{"v1, NT", mschapv1, "NT-Password = fc156af7edcd6c0edde3337d427f4eac", "", ""},
		{"v1, NT header", mschapv1, "Password-With-Header = {nt}fc156af7edcd6c0edde3337d427f4eac", "", ""},
		{"v1, wrong", mschapv1, "Cleartext-Password = myPw", ReasonBadPassword, ""},
		{"v1, NT goes before clear", mschapv1, "Cleartext-Password = other; NT-Password = fc156af7edcd6c0edde3337d427f4eac", "", ""},
		{"v1 against a hash", mschapv1, "MD5-Password = 0f0d04c99cad992749445967168ff204", ReasonMethodImpossible, "MS-CHAP needs Cleartext-Password or NT-Password, and MD5-Password is all there is"},
		{"v1, broken NT", mschapv1, "NT-Password = fc15", ReasonUnparsableItem, ""},
		{"v1, clear not UTF-8", mschapv1, "Cleartext-Password = 0xff", ReasonUnparsableItem, "UTF-8"},
		{"v1, empty password", mschapv1, "Cleartext-Password = ", ReasonBadPassword, ""},
		{"v1, short", "MS-CHAP-Challenge = 0x102DB5DF085D3041; MS-CHAP-Response = 0x0001", "Cleartext-Password = MyPw", ReasonBadCredential, ""},
		{"v1, short challenge", strings.Replace(mschapv1, "102DB5DF085D3041", "102D", 1), "Cleartext-Password = MyPw", ReasonBadCredential, ""},
		{"v1, LM alone", strings.Replace(mschapv1, "0x2a01", "0x2a00", 1), "Cleartext-Password = MyPw", ReasonMethodImpossible, "LM-Password"},
		{"v1, forced", mschapv1, "Auth-Type = MS-CHAP; Cleartext-Password = MyPw", "", ""},
		{"v1, forced by its other name", mschapv1, "Auth-Type = mschap; Cleartext-Password = MyPw", "", ""},
		{"v1, forced PAP", mschapv1, "Auth-Type = PAP; Cleartext-Password = MyPw", ReasonAuthType, "a MS-CHAP credential"},
		{"v1 without challenge", "MS-CHAP-Response = 0x0001", "Cleartext-Password = MyPw", ReasonBadCredential, ""},

		{"v2", mschapv2, "Cleartext-Password = clientPass", "", ""},
		{"v2, NT", mschapv2, "NT-Password = 0x44EBBA8D5312B8D611474411F56989AE", "", ""},
		{"v2, domain", domain, "Cleartext-Password = clientPass", "", ""},
		{"v2, name in another case", strings.Replace(mschapv2, "= User", "= user", 1), "Cleartext-Password = clientPass", ReasonBadPassword, `"user"`},
		{"v2, wrong", mschapv2, "Cleartext-Password = clientpass", ReasonBadPassword, ""},
		{"v2, short challenge", strings.Replace(mschapv2, "5B5D7C7D7B3F2F3E", "", 1), "Cleartext-Password = clientPass", ReasonBadCredential, ""},
		{"v2, response of 49 bytes", strings.Replace(mschapv2, "D6DF", "D6", 1), "Cleartext-Password = clientPass", ReasonBadCredential, ""},
		{"v2, LM alone", mschapv2, "LM-Password = 6CEDAB90D8530C307209F9131FF01CC9", ReasonMethodImpossible, ""},

		{"eap", "EAP-Message = 0x0201000501; User-Name = bob", "Cleartext-Password = x", ReasonEAPUnsupported, "EAP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := v.Verify(login{pairs: c.request}.request(t, d), list(t, d, c.control), "bob", time.Now())
			if got.OK != (c.want == "") || got.Reason != c.want || !strings.Contains(got.Detail, c.detail) {
				t.Errorf("got %v %q %q, want %q %q", got.OK, got.Reason, got.Detail, c.want, c.detail)
			}
			for _, secret := range []string{"wonder land", "clientPass", "MyPw"} {
				if strings.Contains(got.Detail, secret) {
					t.Errorf("the detail %q tells a password", got.Detail)
				}
			}
		})
	}
}

// RFC 2865 §7.2: CHAP with the Request Authenticator as challenge.
func TestCHAPVectorRFC2865(t *testing.T) {
	d := dictionary(t)
	l := login{
		pairs: "User-Name = flopsy; CHAP-Password = 0x16e97557c316185895f293ff6344077275; NAS-Port = 20",
		auth:  "2aee86f08d0d55969ca5978e0d3367a2",
	}
	if got := NewVerifier(d).Verify(l.request(t, d), list(t, d, "Cleartext-Password = arctangent"), "", time.Now()); !got.OK {
		t.Errorf("got %+v", got)
	}
	// An empty CHAP-Challenge is none.
	l.pairs += "; CHAP-Challenge = 0x"
	if got := NewVerifier(d).Verify(l.request(t, d), list(t, d, "Cleartext-Password = arctangent"), "", time.Now()); !got.OK {
		t.Errorf("empty challenge: %+v", got)
	}
}

func text(ps dictionaries.Pairs) string {
	var lines []string
	for _, p := range ps {
		lines = append(lines, fmt.Sprintf("%s = %x", p.Attr.Name, p.Value))
	}
	return strings.Join(lines, "\n")
}

func TestMSCHAPv2Reply(t *testing.T) {
	d := dictionary(t)
	got := NewVerifier(d).Verify(login{pairs: mschapv2}.request(t, d), list(t, d, "Cleartext-Password = clientPass"), "", time.Now())
	want := "MS-CHAP2-Success = 2a" + hex.EncodeToString([]byte("S=407A5589115FD0D6209F510FE9C04566932CDA56")) + `
MS-MPPE-Recv-Key = d5f0e9521e3ea9589645e86051c82226
MS-MPPE-Send-Key = 8b7cdc149b993a1ba118cb153f56dccb
MS-MPPE-Encryption-Policy = 00000001
MS-MPPE-Encryption-Types = 00000006`
	if text(got.Reply) != want {
		t.Errorf("got\n%s\nwant\n%s", text(got.Reply), want)
	}
}

func TestMSCHAPv1Reply(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	hash, _ := NTHash([]byte("MyPw"))
	hashHash := NTHashHash(hash)
	for control, lm := range map[string]string{
		"Cleartext-Password = MyPw": "0000000000000000",
		"Cleartext-Password = MyPw; LM-Password = 6CEDAB90D8530C307209F9131FF01CC9": "6cedab90d8530c30",
	} {
		got := v.Verify(login{pairs: mschapv1}.request(t, d), list(t, d, control), "", time.Now())
		want := "MS-CHAP-MPPE-Keys = " + lm + hex.EncodeToString(hashHash[:]) + `
MS-MPPE-Encryption-Policy = 00000001
MS-MPPE-Encryption-Types = 00000006`
		if text(got.Reply) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", control, text(got.Reply), want)
		}
	}
}

// A client that sends the LM response alone logs in where LM-Password is.
func TestLMResponse(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	lm := MSCHAPv1Response([8]byte(unhex(t, "102DB5DF085D3041")), LMHash([]byte("MyPw")))
	request := "User-Name = User; MS-CHAP-Challenge = 0x102DB5DF085D3041; MS-CHAP-Response = 0x2a00" + hex.EncodeToString(lm[:]) + strings.Repeat("00", 24)
	hash := LMHash([]byte("MyPw"))
	stored := "LM-Password = " + hex.EncodeToString(hash[:])
	if got := v.Verify(login{pairs: request}.request(t, d), list(t, d, stored), "", time.Now()); !got.OK || len(got.Reply) != 0 {
		t.Errorf("LM alone: %+v", got)
	}
	if got := v.Verify(login{pairs: request}.request(t, d), list(t, d, stored+"; Cleartext-Password = MyPw"), "", time.Now()); !got.OK || len(got.Reply) != 3 {
		t.Errorf("LM and clear: %+v", got)
	}
	wrong := strings.Replace(request, hex.EncodeToString(lm[:2]), "ffff", 1)
	if got := v.Verify(login{pairs: wrong}.request(t, d), list(t, d, stored), "", time.Now()); got.Reason != ReasonBadPassword {
		t.Errorf("wrong: %+v", got)
	}
}

func TestMSCHAPError(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	v1, v2 := login{pairs: mschapv1}.request(t, d), login{pairs: mschapv2}.request(t, d)
	refused := func(r *Request) dictionaries.Pairs {
		return v.Verify(r, list(t, d, "Cleartext-Password = wrong"), "", time.Now()).Reply
	}
	for _, c := range []struct {
		name  string
		reply dictionaries.Pairs
		want  string
	}{
		{"v1", refused(v1), `^\x2aE=691 R=1 C=[0-9a-f]{16} V=2$`},
		{"v2", refused(v2), `^\x2aE=691 R=1 C=[0-9a-f]{32} V=3 M=Authentication rejected$`},
		{"expired", v.MSCHAPError(v2.Pairs, ReasonExpired), `^\x2aE=647 R=0 C=[0-9a-f]{32} V=3 M=Account disabled$`},
		{"hours", v.MSCHAPError(v1.Pairs, ReasonOutsideHours), `^\x2aE=646 R=0 C=[0-9a-f]{16} V=2$`},
		{"session", v.MSCHAPError(v2.Pairs, ReasonSimultaneousUse), `^\x2aE=649 R=0 `},
	} {
		if len(c.reply) != 1 || c.reply[0].Attr.Name != "MS-CHAP-Error" || !regexp.MustCompile(c.want).Match(c.reply[0].Value) {
			t.Errorf("%s: got %q", c.name, c.reply)
		}
	}
	if first, second := refused(v2), refused(v2); string(first[0].Value) == string(second[0].Value) {
		t.Error("the new challenge is the same twice")
	}
	if got := v.MSCHAPError(login{pairs: pap}.request(t, d).Pairs, ReasonExpired); got != nil {
		t.Errorf("PAP: %v", got)
	}
}

func TestMethodOf(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	for request, want := range map[string]string{
		pap: "PAP", chap: "CHAP", mschapv1: "MS-CHAP", mschapv2: "MS-CHAP", "User-Name = bob": "",
		pap + "; " + chap: "CHAP", // both is against RFC 2865 §4.1; FreeRADIUS tries CHAP first
	} {
		if got := v.MethodOf(list(t, d, request)); got != want {
			t.Errorf("%s: got %q, want %q", request, got, want)
		}
	}
}

// Every method is reached by its Auth-Type, and every password attribute is in
// the dictionary.
func TestDictionaryHasWhatCredentialsNeed(t *testing.T) {
	d := dictionary(t)
	v := NewVerifier(d)
	for i := range methods {
		n, ok := d.Must("Auth-Type").ValueNumber(methods[i].name)
		if !ok || v.methods[uint32(n)] != &methods[i] {
			t.Errorf("Auth-Type %s leads to %v", methods[i].name, v.methods[uint32(n)])
		}
	}
	for i := range passwordKinds {
		if d.Find(passwordKinds[i].attribute) == nil {
			t.Errorf("no attribute %s", passwordKinds[i].attribute)
		}
	}
	for _, name := range []string{
		"User-Name", "User-Password", "CHAP-Password", "CHAP-Challenge", "EAP-Message", "Password-With-Header", "MS-CHAP-Challenge",
		"MS-CHAP-Response", "MS-CHAP2-Response", "MS-CHAP2-Success", "MS-CHAP-Error", "MS-CHAP-MPPE-Keys", "MS-MPPE-Send-Key",
		"MS-MPPE-Recv-Key", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types",
	} {
		d.Must(name)
	}
}

// Whatever a stranger puts into credentials: no panic, and no way in.
func FuzzVerify(f *testing.F) {
	f.Add([]byte("x"), []byte("\x16digest"), []byte("challenge"), []byte("response"))
	d := dictionary(f)
	v := NewVerifier(d)
	control := list(f, d, "Cleartext-Password = no stranger knows this")
	f.Fuzz(func(t *testing.T, password, chap, challenge, response []byte) {
		for _, ps := range []dictionaries.Pairs{
			{{Attr: v.at.userPassword, Value: password}},
			{{Attr: v.at.chapPassword, Value: chap}, {Attr: v.at.chapChallenge, Value: challenge}},
			{{Attr: v.at.msChallenge, Value: challenge}, {Attr: v.at.msResponse, Value: response}},
			{{Attr: v.at.msChallenge, Value: challenge}, {Attr: v.at.ms2Response, Value: response}, {Attr: v.at.userName, Value: password}},
		} {
			if got := v.Verify(&Request{Pairs: ps}, control, "bob", time.Time{}); got.OK || got.Reason == "" || got.Detail == "" {
				t.Errorf("%v: %+v", ps, got)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	d := dictionary(b)
	v := NewVerifier(d)
	for _, c := range []struct{ name, request, control string }{
		{"pap", pap, "Cleartext-Password = wonder land"},
		{"chap", chap, "Cleartext-Password = wonder land"},
		{"mschapv1", mschapv1, "Cleartext-Password = MyPw"},
		{"mschapv2", mschapv2, "Cleartext-Password = clientPass"},
	} {
		req, control := login{pairs: c.request}.request(b, d), list(b, d, c.control)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := v.Verify(req, control, "bob", time.Time{}); !got.OK {
					b.Fatal(got)
				}
			}
		})
	}
}
