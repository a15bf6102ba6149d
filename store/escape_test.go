package store_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"radial/store"
)

// What FreeRADIUS 3.2.1 wrote into the tables (radius-semantics §1.3).
func TestEscapeGolden(t *testing.T) {
	e := store.NewEscaper(store.EscapingSafe)
	user, once, twice := e.EscapeUser, e.Escape, e.EscapeTwice
	for _, c := range []struct {
		how        func(string) string
		sent, want string
	}{
		{user, "o'br+ien<x>", "o=27br=2Bien=3Cx=3E"},
		{user, "a'b", "a=27b"},
		{user, `a\b`, "a=5C=5Cb"},
		{user, `a"b`, "a=5C=22b"},
		{user, "t\tn\nx", "t=5Ctn=5Cnx"},
		{user, "Žofia Nováková", "Žofia Nováková"},
		{user, "bob@isp.example", "bob@isp.example"},
		{user, "bell\a", "bell=5C007"},
		{user, "latin\xe9", "latin=5C351"},
		{user, "trail\x00", "trail"},
		{once, "V4#1", "V4=231"},
		{once, "h=1;z", "h=3D1=3Bz"},
		{once, "50000/10000 (x=y)", "50000/10000 =28x=3Dy=29"},
		{once, "00:0C:42:aa-bb.cc_dd/1 @", "00:0C:42:aa-bb.cc_dd/1 @"},
		{once, "2001:db8::1", "2001:db8::1"},
		{once, "a\nb", `a\nb`},
		{once, "a\n\nb", `a\n=0Ab`},
		{once, "latin\xe9", "latin=E9"},
		{once, "nul\x00x", "nul=00x"},
		{twice, "<pppoe-x>", "=3D3Cpppoe-x=3D3E"},
		{twice, "p#1=x é", "p=3D231=3D3Dx é"},
		{twice, "ether1/1.100", "ether1/1.100"},
		{once, "", ""},
		// seen with packets made byte by byte
		{user, "a\"b\a", "a=5C=22b=5C007"},
		{user, "lat\xe9x", "lat=5C351x"},
		{user, "nul\x00in", "nul=5C000in"},
		{user, "\xc5\xbdof\x80", "Žof=5C200"},
		{once, `b\s`, "b=5Cs"},
		{once, `\\`, "=5C=5C"},
		{once, "tab\tq\\n", `tab\tq=5Cn`},
		{once, "\xe9t\xe9", "=E9t=E9"},
		{once, "\abell", "=07bell"},
		{once, "\x7f", "=7F"},
		{once, "\xed\xa0\x80 sur", "=ED=A0=80 sur"},
		{once, "\r\n", `\r=0A`},
		{once, "q\nŽx", `q\n=C5=BDx`},
		{once, "trail\x00", "trail"},
		{twice, "p\tq", "p=5Ctq"},
		{twice, `b\s`, "b=3D5Cs"},
		{twice, "\xe9", "=3DE9"},
		{twice, "a\nb", "a=5Cnb"},
	} {
		if got := c.how(c.sent); got != c.want {
			t.Errorf("%q: %q, want %q", c.sent, got, c.want)
		}
	}
}

func TestEscapeRaw(t *testing.T) {
	e := store.NewEscaper(store.EscapingRaw)
	for sent, want := range map[string]string{
		"o'br+ien<x>": "o'br+ien<x>", "a=2Bb": "a=2Bb", "a\tb": "a\tb", "a\x00b": "a=00b", "a\xe9b": "a=E9b",
	} {
		if got := e.Escape(sent); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
	if got := e.EscapeUser(`a\b`); got != `a\\b` {
		t.Errorf(`a\b: %q`, got)
	}
	if got := e.Unescape("a=2Bb"); got != "a=2Bb" {
		t.Errorf("raw text was un-escaped: %q", got)
	}
}

// Unescape gives back what Escape took, and what is not escaped stays.
func TestUnescape(t *testing.T) {
	e := store.NewEscaper(store.EscapingSafe)
	for stored, want := range map[string]string{
		"50%": "50%", "a=b": "a=b", "a=2b": "a=2b", "a=2": "a=2", "x=": "x=", "=2B": "+", "plain": "plain",
	} {
		if got := e.Unescape(stored); got != want {
			t.Errorf("%q: %q, want %q", stored, got, want)
		}
	}
	if got := e.UnescapeUser(`o'brien\q`); got != `o'brien\q` {
		t.Errorf("a name as a person wrote it: %q", got)
	}
}

func TestEscapeIsReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "text") {
			s = rapid.String().Draw(t, "string")
		}
		for _, mode := range []store.Escaping{store.EscapingSafe, store.EscapingRaw} {
			e := store.NewEscaper(mode)
			for name, stored := range map[string]string{"once": e.Escape(s), "twice": e.EscapeTwice(s), "user": e.EscapeUser(s)} {
				if !utf8.ValidString(stored) || strings.ContainsRune(stored, 0) {
					t.Errorf("%s, %v: PostgreSQL cannot hold %q", name, mode, stored)
				}
			}
			if mode == store.EscapingRaw {
				continue
			}
			whole := strings.TrimRight(s, "\x00")
			if back := e.Unescape(e.Escape(s)); back != whole {
				t.Errorf("%q came back as %q", s, back)
			}
			if back := e.UnescapeTwice(e.EscapeTwice(s)); back != whole {
				t.Errorf("twice: %q came back as %q", s, back)
			}
			if back := e.UnescapeUser(e.EscapeUser(s)); back != strings.TrimSuffix(s, "\x00") {
				t.Errorf("user: %q came back as %q", s, back)
			}
		}
	})
}

func BenchmarkEscapePlain(b *testing.B) {
	e := store.NewEscaper(store.EscapingSafe)
	b.ReportAllocs()
	for b.Loop() {
		e.EscapeUser("bob@isp.example")
	}
}
