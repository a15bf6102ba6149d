package interop

import (
	"fmt"
	"testing"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/radius"
	"radial/store/storetest"
)

// storedPasswords are radcheck rows, in order, that say what the password is.
// Of each, FreeRADIUS's verdict and ours must be the same for every method,
// unless differs says why ours is another.
var storedPasswords = []struct {
	name    string
	rows    [][2]string
	differs string
}{
	{"clear", [][2]string{{"Cleartext-Password", "wonder land"}}, ""},
	{"empty", [][2]string{{"Cleartext-Password", ""}}, ""},
	{"nt-hex", [][2]string{{"NT-Password", "23f15e998de0633d9ee08093ba6d1244"}}, ""},
	{"nt-0x", [][2]string{{"NT-Password", "0x23f15e998de0633d9ee08093ba6d1244"}}, ""},
	{"nt-base64", [][2]string{{"NT-Password", "I/FemY3gYz2e4ICTum0SRA=="}}, ""},
	{"nt-short", [][2]string{{"NT-Password", "23f15e998de0633d9ee08093ba6d12"}}, ""},
	{"lm", [][2]string{{"LM-Password", "6CEDAB90D8530C307209F9131FF01CC9"}}, ""},
	{"crypt-des", [][2]string{{"Crypt-Password", "xYxQlurAamtcE"}}, ""},
	{"crypt-md5", [][2]string{{"Crypt-Password", "$1$abcdefgh$A8CHP3d7BEGC.Nyj7sG0K/"}}, ""},
	{"crypt-5", [][2]string{{"Crypt-Password", "$5$saltsalt$vsyoC5RrfZfOO0GyB2d1z05VnGPe0O/k0Tk7sfEnt14"}}, ""},
	{"crypt-6", [][2]string{{"Crypt-Password", "$6$rounds=1000$saltsalt$HeeY2h83O8h5kGhKiIOb4wQVs8EqnQ53ypYJdig7jLcxH1ed5zDHP7fq26gJUh2kpVVsk6k0.wHbt2ZhKgKzQ/"}}, ""},
	{"crypt-2y", [][2]string{{"Crypt-Password", "$2y$05$abcdefghijklmnopqrstuursDchxTEEtpfrQZuzTh/cOvMRDwFApK"}}, ""},
	{"crypt-y", [][2]string{{"Crypt-Password", "$y$j9T$abcdefgh$euFetUANvxF/pExDgzeSmJFzH./8wvy5d5UBWUpW5J7"}}, "yescrypt is refused as unsupported"},
	{"crypt-bad", [][2]string{{"Crypt-Password", "x"}}, ""},
	{"md5", [][2]string{{"MD5-Password", "Dw0EyZytmSdJRFlnFo/yBA=="}}, ""},
	{"md5-base64-hex", [][2]string{{"MD5-Password", "MGYwZDA0Yzk5Y2FkOTkyNzQ5NDQ1OTY3MTY4ZmYyMDQ="}}, ""},
	{"smd5", [][2]string{{"SMD5-Password", "uZD8sEpulr9KiRfZiN4iegECAwQFBgcI"}}, ""},
	{"sha", [][2]string{{"SHA-Password", "c36e33ab9296426c77b9b751489c229c735d1584"}}, ""},
	{"sha1", [][2]string{{"SHA1-Password", "c36e33ab9296426c77b9b751489c229c735d1584"}}, ""},
	{"ssha", [][2]string{{"SSHA-Password", "8N8gSknQJujUeLzXDeH/frshUacBAgMEBQYHCA=="}}, ""},
	{"sha2-224", [][2]string{{"SHA2-Password", "fb084e60a17ac0302ba3b35deaf3b4b039c253692effc7aeb1a3042c"}}, ""},
	{"sha2-256", [][2]string{{"SHA2-Password", "iZTAax3OBsQ3Qw20wMLxUOgFZsMlqY4Mghqwdd8nZyg="}}, ""},
	{"sha2-384", [][2]string{{"SHA2-Password", "JmxMafwxYyQdvKKAx3cAYyc00dilGf8dydRdwctFankd4zTIev7G0EMTwSOXj3ni"}}, ""},
	{"ssha2-224", [][2]string{{"SSHA2-224-Password", "1cFNo/XDtVq3P9wv3XTejVT1gCCPbbEKB/XIQAECAwQFBgcI"}}, ""},
	{"ssha2-256", [][2]string{{"SSHA2-256-Password", "cf6b4a28d348b3e822855d14bf5c2ee4c90fd459d741bc0fb086fe591abba3520102030405060708"}}, ""},
	{"ssha2-384", [][2]string{{"SSHA2-384-Password", "60RG/f7eod6SKfYEogF8J9ElzQ6tQU4SrEwsFB3NRTmtX2eHmspclpVReLR9HlFIAQIDBAUGBwg="}}, ""},
	{"ssha2-512", [][2]string{{"SSHA2-512-Password", "QFY8VjLFfQ8XPOVhsBwzxsAtyy/WS1MNAn02CwtXIT7puup+rxdmm6fWPp0CV4ekhWOxBTccCn/NggwOxs78EQECAwQFBgcI"}}, ""},
	{"ssha3-256", [][2]string{{"SSHA3-256-Password", "883YY0y/IWjPbxETaORrRRxin1k788+HpC1XGwC4BKoBAgMEBQYHCA=="}}, "Debian builds 3.2.1 without SHA-3"},
	{"pbkdf2-bare", [][2]string{{"PBKDF2-Password", "HMACSHA1:AAAD6A==:AQIDBAUGBwg=:kEOi3jfbICAKngS+bIMr1BgmUlw="}}, "a bare PBKDF2-Password logs in with us (design §8)"},
	{"ns-mta-md5", [][2]string{{"NS-MTA-MD5-Password", "c7279282a5d2f71eed45490ae2bc34300123456789abcdef0123456789ABCDEF"}}, "FreeRADIUS 3.2.1 decodes all 64 characters and wants 16 bytes of them: it refuses every value"},
	{"h-clear", [][2]string{{"Password-With-Header", "{clear}wonder land"}}, ""},
	{"h-unknown", [][2]string{{"Password-With-Header", "{foo}wonder land"}}, ""},
	{"h-none", [][2]string{{"Password-With-Header", "wonder land"}}, ""},
	{"h-nt", [][2]string{{"Password-With-Header", "{nthash}23f15e998de0633d9ee08093ba6d1244"}}, ""},
	{"h-sha", [][2]string{{"Password-With-Header", "{SHA}w24zq5KWQmx3ubdRSJwinHNdFYQ="}}, ""},
	{"h-ssha512", [][2]string{{"Password-With-Header", "{ssha512}QFY8VjLFfQ8XPOVhsBwzxsAtyy/WS1MNAn02CwtXIT7puup+rxdmm6fWPp0CV4ekhWOxBTccCn/NggwOxs78EQECAwQFBgcI"}}, ""},
	{"h-crypt", [][2]string{{"Password-With-Header", "{crypt}$1$abcdefgh$A8CHP3d7BEGC.Nyj7sG0K/"}}, ""},
	{"h-pbkdf2", [][2]string{{"Password-With-Header", "{x-pbkdf2}HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=:4ShE5btcfHFxDLGdwszMEITLt2FkUSm+ZlASDuL5l80="}}, ""},
	{"h-base64-sha", [][2]string{{"Password-With-Header", "e3NoYX13MjR6cTVLV1FteDN1YmRSU0p3aW5ITmRGWVE9"}}, ""},
	{"h-base64-clear", [][2]string{{"Password-With-Header", "e2NsZWFyfXdvbmRlciBsYW5k"}}, ""},
	{"two-clear", [][2]string{{"Cleartext-Password", "other"}, {"Cleartext-Password", "wonder land"}}, ""},
	{"md5-then-clear", [][2]string{{"MD5-Password", "Dw0EyZytmSdJRFlnFo/yBA=="}, {"Cleartext-Password", "other"}}, ""},
	{"clear-then-md5", [][2]string{{"Cleartext-Password", "other"}, {"MD5-Password", "Dw0EyZytmSdJRFlnFo/yBA=="}}, ""},
	{"clear-then-nt", [][2]string{{"Cleartext-Password", "other"}, {"NT-Password", "23f15e998de0633d9ee08093ba6d1244"}}, ""},
	{"nt-then-clear", [][2]string{{"NT-Password", "23f15e998de0633d9ee08093ba6d1244"}, {"Cleartext-Password", "other"}}, ""},
	{"header-then-clear", [][2]string{{"Password-With-Header", "{clear}other"}, {"Cleartext-Password", "wonder land"}}, ""},
	{"header-then-md5", [][2]string{{"Password-With-Header", "{clear}other"}, {"MD5-Password", "Dw0EyZytmSdJRFlnFo/yBA=="}}, ""},
	{"user-password", [][2]string{{"User-Password", "wonder land"}}, ""},
	{"forced-pap", [][2]string{{"Auth-Type", "PAP"}, {"Cleartext-Password", "wonder land"}}, ""},
	{"forced-chap", [][2]string{{"Auth-Type", "CHAP"}, {"Cleartext-Password", "wonder land"}}, ""},
	{"forced-local", [][2]string{{"Auth-Type", "Local"}, {"Cleartext-Password", "wonder land"}}, ""},
}

// rows returns the cases and one for each way in which we store a password.
func rows(t *testing.T) (names []string, byName map[string][][2]string, differs map[string]string) {
	t.Helper()
	byName, differs = make(map[string][][2]string), make(map[string]string)
	for _, s := range storedPasswords {
		names, byName[s.name], differs[s.name] = append(names, s.name), s.rows, s.differs
	}
	for _, kind := range aaa.PasswordKindList {
		attribute, value, err := aaa.HashPassword(kind.Name, "wonder land")
		if err != nil {
			t.Fatal(err)
		}
		name := "ours-" + kind.Name
		names, byName[name] = append(names, name), [][2]string{{attribute, value}}
	}
	return names, byName, differs
}

// FreeRADIUS and our Verifier give the same verdict on the same rows.
func TestVerifierAgreesWithFreeRADIUS(t *testing.T) {
	names, byName, differs := rows(t)
	db := storetest.New(t)
	for _, name := range names {
		for _, r := range byName[name] {
			db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, $2, ':=', $3)`, name, r[0], r[1])
		}
	}
	db.Exec(`UPDATE radcheck SET op = '+=' WHERE username = 'two-clear'`) // := of one batch would do as well
	f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	verifier := aaa.NewVerifier(d)
	for _, name := range names {
		var control dictionaries.Pairs
		for _, r := range byName[name] {
			p, err := d.Pair(r[0], r[1])
			if err != nil {
				t.Fatal(err)
			}
			control = append(control, p)
		}
		disagreed := false
		for _, l := range []radius.Login{{Password: "wonder land"}, {Password: "other"}, {Password: "{foo}wonder land"}} {
			for i, method := range radius.LoginMethods {
				if l.Password.Reveal() != "wonder land" && i%3 != 0 {
					continue // the first and the last method will do
				}
				l.User, l.Method = name, method
				theirs, ours := verdicts(t, c, verifier, control, l)
				if theirs != ours.OK {
					disagreed = true
					if differs[name] == "" {
						t.Errorf("%s, password %q by %s: FreeRADIUS %v, we %v (%s: %s)", name, l.Password.Reveal(), method, theirs, ours.OK, ours.Reason, ours.Detail)
					}
				}
			}
		}
		if differs[name] != "" && !disagreed {
			t.Errorf("%s: the verdicts are the same, but were to differ: %s", name, differs[name])
		}
	}
}

// verdicts logs in at FreeRADIUS and gives the same request to our Verifier.
func verdicts(t *testing.T, c *radius.Client, v *aaa.Verifier, control dictionaries.Pairs, l radius.Login) (theirs bool, ours aaa.Verification) {
	t.Helper()
	pairs, err := c.Credential(l)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Exchange(t.Context(), radius.AccessRequest, pairs)
	if err != nil {
		t.Fatalf("%s by %s: %v", l.User, l.Method, err)
	}
	return r.Code == radius.AccessAccept, v.Verify(&aaa.Request{Pairs: pairs}, control, l.User, time.Now())
}

// Login-Time: the same verdict and the same time left.
func TestLoginTimeAgreesWithFreeRADIUS(t *testing.T) {
	texts := []string{
		"Al", "Any", "al", "Wk", "Sa,Su", "Al0000-2359", "Al0000-2400", "Al0000-1200", "Al1200-2359", "Al1200-1159", "0000-2359",
		"Su,Mo,Tu,We,Th,Fr,Sa", "SuMoTuWeThFrSa0000-1159,Al1200-2359", "Mo-Fr|Sa-Su", "Su-Sa0000-2300", "Fr-Mo", "Tu-Th", "Xx", "",
		"Al900-2100", "Wk0000-2359,nonsense", "nonsense,Wk0000-2359", "Wk, Sa, Su", "Al0000-0000",
	}
	for h := range 24 {
		texts = append(texts, fmt.Sprintf("Al%02d00-%02d30", h, (h+3)%24))
	}
	db := storetest.New(t)
	for i, text := range texts {
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p'), ($1, 'Login-Time', ':=', $2)`,
			fmt.Sprint("u", i), text)
	}
	f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	for i, text := range texts {
		for {
			before := time.Now()
			r, err := c.Login(t.Context(), radius.Login{User: fmt.Sprint("u", i), Password: "p", Method: radius.LoginPAP})
			if err != nil {
				t.Fatal(err)
			}
			if time.Now().Minute() != before.Minute() {
				continue // the minute changed in between: ask again
			}
			theirs := r.Code.String()
			if p := r.Pairs.First(d.Must("Session-Timeout")); p != nil {
				theirs += " " + p.String()
			}
			if ours := loginTimeVerdict(text, before); ours != theirs {
				t.Errorf("%q: FreeRADIUS %s, we %s", text, theirs, ours)
			}
			break
		}
	}
}

func loginTimeVerdict(text string, now time.Time) string {
	l, err := aaa.ParseLoginTime(text)
	if err != nil {
		return "Access-Reject"
	}
	secs, limited, inside := l.Left(now)
	switch {
	case !inside:
		return "Access-Reject"
	case !limited:
		return "Access-Accept"
	}
	return fmt.Sprintf("Access-Accept Session-Timeout = %d", secs)
}

// Expiration: what we can read FreeRADIUS reads, and to the same second.
func TestExpirationAgreesWithFreeRADIUS(t *testing.T) {
	texts := []string{
		"1 Jan 2030", "Jan 01 2030 00:00:00", "21 Nov 2029 23:00", "Nov 2029 21", "2029 21 Nov", "November 21 2029", "31 Feb 2030",
		"1 Jan 2030 25:61:61", "10:00 1 Jan 2030", "1 Jan 10:00:00 2030", "1 Jan 2030 10:00 PM", "Jan 1, 2030", "1st Jan 2030",
		"1893456000", "1 Jan 2020", "0", "2029-11-30", "2029-11-30T10:00:00", "21 Nov 29", "32 Jan 2030", "1 Jan 2030 10", "Fri Nov 23 2029", "soon",
		aaa.FormatExpiration(time.Date(2031, 2, 3, 4, 5, 6, 0, time.Local), time.Local),
	}
	db := storetest.New(t)
	for i, text := range texts {
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p'), ($1, 'Expiration', ':=', $2)`,
			fmt.Sprint("u", i), text)
	}
	f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	for i, text := range texts {
		before := time.Now()
		r, err := c.Login(t.Context(), radius.Login{User: fmt.Sprint("u", i), Password: "p", Method: radius.LoginPAP})
		if err != nil {
			t.Fatal(err)
		}
		at, err := aaa.ParseExpiration(text, time.Local)
		if accepts := err == nil && at.After(before); accepts != (r.Code == radius.AccessAccept) {
			t.Errorf("%q: FreeRADIUS %s, we %v, %v", text, r.Code, at, err)
			continue
		}
		p := r.Pairs.First(d.Must("Session-Timeout"))
		if p == nil {
			continue
		}
		var left int64
		for _, b := range p.Value {
			left = left<<8 | int64(b)
		}
		if off := before.Unix() + left - at.Unix(); off < -2 || off > 2 {
			t.Errorf("%q: FreeRADIUS leaves %d s, we %v (%d s apart)", text, left, at, off)
		}
	}
}
