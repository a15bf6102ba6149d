package aaa

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// wonderland is the password of every value in these tables. The values were
// computed by Python's hashlib, OpenSSL, libxcrypt and Samba's smbencrypt.
const wonderland = "wonder land"

func TestStoredPasswords(t *testing.T) {
	for _, c := range []struct{ attribute, name, stored string }{
		{"Cleartext-Password", "clear", "wonder land"},
		{"NT-Password", "hex", "23f15e998de0633d9ee08093ba6d1244"},
		{"NT-Password", "HEX", "23F15E998DE0633D9EE08093BA6D1244"},
		{"NT-Password", "base64", "I/FemY3gYz2e4ICTum0SRA=="},
		{"NT-Password", "raw", "\x23\xf1\x5e\x99\x8d\xe0\x63\x3d\x9e\xe0\x80\x93\xba\x6d\x12\x44"},
		{"LM-Password", "hex", "6CEDAB90D8530C307209F9131FF01CC9"},
		{"Crypt-Password", "DES", "xYxQlurAamtcE"},
		{"Crypt-Password", "MD5", "$1$abcdefgh$A8CHP3d7BEGC.Nyj7sG0K/"},
		{"Crypt-Password", "MD5, short salt", "$1$abc$L4qygk.IdXjzpErj7k7zh0"},
		{"Crypt-Password", "SHA-256", "$5$saltsalt$vsyoC5RrfZfOO0GyB2d1z05VnGPe0O/k0Tk7sfEnt14"},
		{"Crypt-Password", "SHA-512", "$6$saltsalt$eKIu2U/SV3a.HZsZMx0oZ4frEoy3Oi7glNtXGiaHdD9nfjrj0jFBmpGgkSUQAnz90hcwEtxMPsgv9ct8onb4j1"},
		{"Crypt-Password", "SHA-512, rounds", "$6$rounds=1000$saltsalt$HeeY2h83O8h5kGhKiIOb4wQVs8EqnQ53ypYJdig7jLcxH1ed5zDHP7fq26gJUh2kpVVsk6k0.wHbt2ZhKgKzQ/"},
		{"Crypt-Password", "bcrypt 2a", "$2a$05$abcdefghijklmnopqrstuursDchxTEEtpfrQZuzTh/cOvMRDwFApK"},
		{"Crypt-Password", "bcrypt 2y", "$2y$05$abcdefghijklmnopqrstuursDchxTEEtpfrQZuzTh/cOvMRDwFApK"},
		{"MD5-Password", "hex", "0f0d04c99cad992749445967168ff204"},
		{"MD5-Password", "base64", "Dw0EyZytmSdJRFlnFo/yBA=="},
		{"MD5-Password", "base64 of hex", "MGYwZDA0Yzk5Y2FkOTkyNzQ5NDQ1OTY3MTY4ZmYyMDQ="},
		{"SMD5-Password", "hex", "b990fcb04a6e96bf4a8917d988de227a0102030405060708"},
		{"SMD5-Password", "base64", "uZD8sEpulr9KiRfZiN4iegECAwQFBgcI"},
		{"SHA-Password", "hex", "c36e33ab9296426c77b9b751489c229c735d1584"},
		{"SHA-Password", "base64", "w24zq5KWQmx3ubdRSJwinHNdFYQ="},
		{"SHA1-Password", "base64", "w24zq5KWQmx3ubdRSJwinHNdFYQ="},
		{"SSHA-Password", "hex", "f0df204a49d026e8d478bcd70de1ff7ebb2151a70102030405060708"},
		{"SSHA-Password", "base64", "8N8gSknQJujUeLzXDeH/frshUacBAgMEBQYHCA=="},
		{"SHA2-Password", "224 hex", "fb084e60a17ac0302ba3b35deaf3b4b039c253692effc7aeb1a3042c"},
		{"SHA2-Password", "256 hex", "8994c06b1dce06c437430db4c0c2f150e80566c325a98e0c821ab075df276728"},
		{"SHA2-Password", "256 base64", "iZTAax3OBsQ3Qw20wMLxUOgFZsMlqY4Mghqwdd8nZyg="},
		{"SHA2-Password", "384 base64", "JmxMafwxYyQdvKKAx3cAYyc00dilGf8dydRdwctFankd4zTIev7G0EMTwSOXj3ni"},
		{"SHA2-Password", "512 hex", "b41b5876608fbf7b6453d1984e472c021bec005debc172b668c4752f1d21c1f60f7ae05d69c7d18c179f7a2852448be3495fb7aa49ff3f9d44c74d91bde4bd27"},
		{"SSHA2-224-Password", "base64", "1cFNo/XDtVq3P9wv3XTejVT1gCCPbbEKB/XIQAECAwQFBgcI"},
		{"SSHA2-256-Password", "hex", "cf6b4a28d348b3e822855d14bf5c2ee4c90fd459d741bc0fb086fe591abba3520102030405060708"},
		{"SSHA2-256-Password", "base64", "z2tKKNNIs+gihV0Uv1wu5MkP1FnXQbwPsIb+WRq7o1IBAgMEBQYHCA=="},
		{"SSHA2-384-Password", "base64", "60RG/f7eod6SKfYEogF8J9ElzQ6tQU4SrEwsFB3NRTmtX2eHmspclpVReLR9HlFIAQIDBAUGBwg="},
		{"SSHA2-512-Password", "base64", "QFY8VjLFfQ8XPOVhsBwzxsAtyy/WS1MNAn02CwtXIT7puup+rxdmm6fWPp0CV4ekhWOxBTccCn/NggwOxs78EQECAwQFBgcI"},
		{"SSHA3-224-Password", "base64", "A4ZVFpH4AxkpCBH3IsxSRVyfDWyemIbMWcKqUgECAwQFBgcI"},
		{"SSHA3-256-Password", "base64", "883YY0y/IWjPbxETaORrRRxin1k788+HpC1XGwC4BKoBAgMEBQYHCA=="},
		{"SSHA3-384-Password", "base64", "QLrVpydkZCyfRLCX8BgT5f26Qcc3RmIS10lib4yIaYewEzFAJSTYgdR/lul27V4FAQIDBAUGBwg="},
		{"SSHA3-512-Password", "base64", "+nPW7m/0/x+QUSo2p09XA16fgGU5CjwCgPnyyRaZXJt9mT2ohrrtwUWv4espNDWbVgTfo9SDKGv0oynxXQii6gECAwQFBgcI"},
		{"PBKDF2-Password", "sha1", "HMACSHA1:AAAD6A==:AQIDBAUGBwg=:kEOi3jfbICAKngS+bIMr1BgmUlw="},
		{"PBKDF2-Password", "sha224", "HMACSHA2+224:AAAD6A==:AQIDBAUGBwg=:FtkbFrdOsCzoiWPNYvdZ3MmfERXfWlkqcdwl0A=="},
		{"PBKDF2-Password", "sha256", "HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=:4ShE5btcfHFxDLGdwszMEITLt2FkUSm+ZlASDuL5l80="},
		{"PBKDF2-Password", "sha384", "HMACSHA2+384:AAAD6A==:AQIDBAUGBwg=:vai1YeFmpcMnDvSu99sQbxTIuKFgqLGf7vAolhHwOtkqVIBVvM9jGcaNehI+7mV6"},
		{"PBKDF2-Password", "sha512", "HMACSHA2+512:AAAD6A==:AQIDBAUGBwg=:hdumA2pdM3SrF7ORexY5f8Z2MolGSMyynOt1xpYfIVas95Ss/GmTjjCGEP0WCO80KJMn9KQpR7L8wqt9lraZoA=="},
		{"PBKDF2-Password", "sha3-256", "HMACSHA3+256:AAAD6A==:AQIDBAUGBwg=:Zokcr1iexCGfCrh5v8zXkcqPgALrqj5ai8Oggv5hL0k="},
		{"PBKDF2-Password", "header kept", "{X-PBKDF2}HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=:4ShE5btcfHFxDLGdwszMEITLt2FkUSm+ZlASDuL5l80="},
		{"PBKDF2-Password", "crypt form", "$PBKDF2$HMACSHA2+256:1000:AQIDBAUGBwg=$4ShE5btcfHFxDLGdwszMEITLt2FkUSm+ZlASDuL5l80="},
		{"PBKDF2-Password", "passlib", "$pbkdf2-sha256$1000$AQIDBAUGBwg$4ShE5btcfHFxDLGdwszMEITLt2FkUSm.ZlASDuL5l80"},
		{"PBKDF2-Password", "passlib sha512", "$pbkdf2-sha512$1000$AQIDBAUGBwg$hdumA2pdM3SrF7ORexY5f8Z2MolGSMyynOt1xpYfIVas95Ss/GmTjjCGEP0WCO80KJMn9KQpR7L8wqt9lraZoA"},
		{"PBKDF2-Password", "passlib ldap", "{PBKDF2-SHA256}1000$AQIDBAUGBwg$4ShE5btcfHFxDLGdwszMEITLt2FkUSm.ZlASDuL5l80"},
		{"NS-MTA-MD5-Password", "hex and salt", "c7279282a5d2f71eed45490ae2bc34300123456789abcdef0123456789ABCDEF"},
	} {
		t.Run(c.attribute+" "+c.name, func(t *testing.T) {
			k := passwordKindNamed(c.attribute)
			if ok, err := k.check([]byte(c.stored), []byte(wonderland)); !ok || err != nil {
				t.Errorf("right password: %v, %v", ok, err)
			}
			for _, wrong := range []string{"wonder lanD", "wonder land ", "x", c.stored} {
				if wrong == wonderland || len(wrong) > 128 || (c.name == "DES" || c.attribute == "LM-Password") && strings.HasPrefix(wrong, "wonder l") {
					continue // DES looks at eight characters, LM at no case
				}
				if ok, err := k.check([]byte(c.stored), []byte(wrong)); ok || err != nil {
					t.Errorf("wrong password %q: %v, %v", wrong, ok, err)
				}
			}
		})
	}
}

func TestStoredPasswordsThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		attribute, stored string
		scheme            bool // a scheme that we lack, not a broken value
	}{
		{"NT-Password", "", false},
		{"NT-Password", "23f15e998de0633d9ee08093ba6d12", false},
		{"MD5-Password", "0f0d04c99cad992749445967168ff2044", false},
		{"SMD5-Password", "0f0d04c99cad992749445967168ff204", false},
		{"SHA2-Password", "c36e33ab9296426c77b9b751489c229c735d1584", false},
		{"SSHA2-256-Password", "8994c06b1dce06c437430db4c0c2f150e80566c325a98e0c821ab075df276728", false},
		{"Crypt-Password", "", false},
		{"Crypt-Password", "*", false},
		{"Crypt-Password", "$6$saltsalt$", false},
		{"Crypt-Password", "$6$", false},
		{"Crypt-Password", "$6", false},
		{"Crypt-Password", "$", false},
		{"Crypt-Password", "$2a", false},
		{"Crypt-Password", "$6$rounds=4000000000$saltsalt$HeeY2h", false},
		{"Crypt-Password", "$2a$31$abcdefghijklmnopqrstuursDchxTEEtpfrQZuzTh/cOvMRDwFApK", false},
		{"Crypt-Password", "$2a$05$abc", false},
		{"Crypt-Password", "$y$j9T$abcdefgh$euFetUANvxF/pExDgzeSmJFzH./8wvy5d5UBWUpW5J7", true},
		{"Crypt-Password", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$a2V5", true},
		{"PBKDF2-Password", "", false},
		{"PBKDF2-Password", "HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=", false},
		{"PBKDF2-Password", "HMACSHA2+256://///w==:AQIDBAUGBwg=:4ShE5btcfHFxDLGdwszMEITLt2FkUSm+ZlASDuL5l80=", false},
		{"PBKDF2-Password", "HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=:4ShE", false},
		{"PBKDF2-Password", "HMACMD5:AAAD6A==:AQIDBAUGBwg=:4ShE", true},
		{"NS-MTA-MD5-Password", "c727", false},
		{"NS-MTA-MD5-Password", strings.Repeat("z", 64), false},
	} {
		t.Run(c.attribute+" "+c.stored, func(t *testing.T) {
			ok, err := passwordKindNamed(c.attribute).check([]byte(c.stored), []byte(wonderland))
			if ok || err == nil || errors.Is(err, errScheme) != c.scheme {
				t.Errorf("got %v, %v", ok, err)
			}
		})
	}
}

func TestCleartextEmptyNeverMatches(t *testing.T) {
	if ok, _ := checkCleartext(nil, nil); ok {
		t.Error("empty matches empty")
	}
}

// bcrypt looks at 72 bytes; crypt(3) cuts there too.
func TestBcryptLongPassword(t *testing.T) {
	ok, err := checkCrypt([]byte("$2b$05$abcdefghijklmnopqrstuueTFRGDqVFTIfwSnwEw/V4ZpLYuQbKSG"), []byte(strings.Repeat("p", 80)))
	if !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

func TestPasswordWithHeader(t *testing.T) {
	for _, c := range []struct{ value, kind, rest string }{
		{"{clear}wonder land", "Cleartext-Password", "wonder land"},
		{"{CLEARTEXT}wonder land", "Cleartext-Password", "wonder land"},
		{"{SSHA}8N8gSknQ", "SSHA-Password", "8N8gSknQ"},
		{"{sha512}x", "SHA2-Password", "x"},
		{"{ssha384}x", "SSHA2-384-Password", "x"},
		{"{X-PBKDF2}HMAC", "PBKDF2-Password", "HMAC"},
		{"{x-nthash}x", "NT-Password", "x"},
		{"{md4}x", "NT-Password", "x"},
		{"{crypt}$1$a$b", "Crypt-Password", "$1$a$b"},
		{"{md5}", "MD5-Password", ""},
		{"{foo}password", "Cleartext-Password", "{foo}password"},
		{"plain}{md5}", "Cleartext-Password", "plain}{md5}"},
		{"no header", "Cleartext-Password", "no header"},
		{"", "Cleartext-Password", ""},
		{"e2NsZWFyfXdvbmRlciBsYW5k", "Cleartext-Password", "wonder land"},
		{"e3NoYX13MjR6cTVLV1FteDN1YmRSU0p3aW5ITmRGWVE9", "SHA-Password", "w24zq5KWQmx3ubdRSJwinHNdFYQ="},
	} {
		if k, rest := splitHeader([]byte(c.value)); k.attribute != c.kind || string(rest) != c.rest {
			t.Errorf("%q: got %s %q, want %s %q", c.value, k.attribute, rest, c.kind, c.rest)
		}
	}
	for header, name := range passwordHeaders {
		if passwordKindNamed(name) == nil {
			t.Errorf("header %s names %s, which is not in passwordKinds", header, name)
		}
	}
}

func TestUnwrap(t *testing.T) {
	for _, c := range []struct {
		name, in string
		min      int
		want     string
	}{
		{"hex", "6162", 2, "ab"},
		{"hex too short for min is left", "6162", 4, "6162"},
		{"odd hex is base64 or left", "616", 1, "\xeb\x5e"},
		{"hex goes before base64", "abcdabcd", 4, "\xab\xcd\xab\xcd"},
		{"base64 whose result is too short is left", "YWI=", 3, "YWI="},
		{"base64 without padding", "YWI", 2, "ab"},
		{"neither", "a b!", 1, "a b!"},
	} {
		if got := string(unwrap([]byte(c.in), c.min)); got != c.want {
			t.Errorf("%s: %q: got %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

// What HashPassword writes verifies, and by no other password.
func TestHashPasswordRoundTrip(t *testing.T) {
	for _, kind := range PasswordKindList {
		t.Run(kind.Name, func(t *testing.T) {
			for _, password := range []string{"x", wonderland, "pässwörd€", strings.Repeat("long ", 20)} {
				attribute, value, err := HashPassword(kind.Name, password)
				if err != nil || attribute != kind.Attribute {
					t.Fatalf("%q: %s, %v", password, attribute, err)
				}
				k, stored := passwordKindNamed(attribute), []byte(value)
				if k == nil {
					k, stored = splitHeader(stored)
				}
				if ok, err := k.check(stored, []byte(password)); !ok || err != nil {
					t.Errorf("%q: %v, %v", password, ok, err)
				}
				if ok, _ := k.check(stored, []byte(password+"x")); ok {
					t.Errorf("%q: another password matches", password)
				}
				if kind.Name != "cleartext" && strings.Contains(value, password) && password != "x" {
					t.Errorf("the password shows in %q", value)
				}
			}
		})
	}
}

func TestHashPasswordRefuses(t *testing.T) {
	for _, c := range []struct{ kind, password, says string }{
		{"md6", "x", `kind "md6" is not one of cleartext, nt, `},
		{"nt", "\xff\xfe", "UTF-8"},
		{"cleartext", "", "empty"},
	} {
		if _, _, err := HashPassword(c.kind, c.password); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %q: %v", c.kind, c.password, err)
		}
	}
}

// Two hashes of one password differ where there is a salt.
func TestHashPasswordSalts(t *testing.T) {
	for _, kind := range []string{"smd5", "ssha", "ssha2", "ssha2-256", "crypt-sha512", "pbkdf2"} {
		_, a, _ := HashPassword(kind, wonderland)
		_, b, _ := HashPassword(kind, wonderland)
		if a == b {
			t.Errorf("%s: the same value twice: %s", kind, a)
		}
	}
}

// Any digest and salt, in any of the encodings that people store, is read back.
func TestSaltedAnyEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.SliceOfN(rapid.Byte(), 1, 128).Draw(t, "password")
		kind := rapid.SampledFrom([]string{"md5", "smd5", "sha", "ssha", "sha2", "ssha2-256", "ssha2-512"}).Draw(t, "kind")
		attribute, value, err := HashPassword(kind, string(typed))
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := passwordKindNamed(attribute).check([]byte(value), typed); !ok || err != nil {
			t.Fatalf("%s %s: %v %v", attribute, value, ok, err)
		}
	})
}

func FuzzStoredPassword(f *testing.F) {
	f.Add(uint8(0), []byte("$6$saltsalt$x"))
	f.Add(uint8(1), []byte("HMACSHA2+256:AAAD6A==:AQIDBAUGBwg=:4ShE"))
	f.Add(uint8(2), []byte("{ssha}8N8gSknQJujUeLzXDeH"))
	f.Fuzz(func(t *testing.T, kind uint8, stored []byte) {
		if len(stored) > 256 {
			return
		}
		k := &passwordKinds[int(kind)%len(passwordKinds)]
		if k.attribute == "Crypt-Password" || k.attribute == "PBKDF2-Password" {
			if _, err := parsePBKDF2(stored); err == nil {
				return // valid: only slow
			}
			cryptScheme(string(stored))
		} else if ok, err := k.check(stored, []byte("fuzz")); ok && err != nil {
			t.Errorf("%s: matches with error %v", k.attribute, err)
		}
		if k, rest := splitHeader(stored); k == nil || len(rest) > len(stored) {
			t.Errorf("splitHeader: %v %q", k, rest)
		}
	})
}

func BenchmarkPassword(b *testing.B) {
	for _, kind := range []string{"cleartext", "nt", "ssha2", "pbkdf2", "crypt-sha512"} {
		attribute, value, err := HashPassword(kind, wonderland)
		if err != nil {
			b.Fatal(err)
		}
		k, stored := passwordKindNamed(attribute), []byte(value)
		if k == nil {
			k, stored = splitHeader(stored)
		}
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if ok, _ := k.check(stored, []byte(wonderland)); !ok {
					b.Fatal("no match")
				}
			}
		})
	}
}
