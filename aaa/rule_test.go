package aaa

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/dictionaries"
)

// Values as FreeRADIUS 3.2.1 read them from radreply and sent them.
func TestValueText(t *testing.T) {
	c := NewCompiler(dictionary(t), time.UTC)
	for _, test := range []struct{ column, want string }{
		{`plain`, "plain"},
		{`a\b`, `a\b`},
		{`a\\b`, `a\b`},
		{`a\tb`, "a\tb"},
		{`a\rb\nc`, "a\rb\nc"},
		{`a\101b`, "aAb"},
		{`a\1b`, `a\1b`},
		{`a\x41b`, `a\x41b`},
		{`a\"b`, `a"b`},
		{`a\'b`, `a\'b`},
		{`"a\\tb"`, `a\tb`},
		{`'a\tb'`, "a\tb"},
		{`'a\'b'`, `a'b`},
		{`"a`, `"a`},
		{`"a" b"`, `a`},
		{`"\101"`, `A`},
		{`'a\\b'`, `a\b`},
		{`"x\y"`, `x\y`},
		{`"a\tb\\"c"`, "a\tb\\"},
		{`  blanks  `, "  blanks  "},
		{``, ""},
		{`""`, ""},
	} {
		r, err := c.compile(radreply, Row{Attribute: "Filter-Id", Op: "=", Value: test.column})
		if err != nil || string(r.value) != test.want {
			t.Errorf("%s: got %q, %v; want %q", test.column, r.value, err, test.want)
		}
	}
}

// What provisioning quotes is read back as it was.
func TestQuotedRowIsReadBack(t *testing.T) {
	c := NewCompiler(dictionary(t), time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching("[a\"'`\\\\tn0-1 %{}]{1,8}").Draw(t, "text")
		r, err := c.compile(radcheck, Row{Attribute: "Cleartext-Password", Op: ":=", Value: QuoteValue(text)})
		if err != nil || string(r.value) != text {
			t.Fatalf("%q as %q: got %q, %v", text, QuoteValue(text), r.value, err)
		}
	})
}

// Every row that cannot be read says which it is and what would be right, and
// never shows a password.
func TestRowErrors(t *testing.T) {
	c := NewCompiler(dictionary(t), time.UTC)
	for _, test := range []struct {
		row  Row
		want string // part of the message
	}{
		{Row{Attribute: "No-Such-Attr", Op: ":=", Value: "x"}, "No-Such-Attr"},
		{Row{Attribute: "Session-Timeout", Op: "~", Value: "1"}, "use one of =="},
		{Row{Attribute: "Session-Timeout", Op: "=", Value: "soon"}, "soon"},
		{Row{Attribute: "Session-Timeout", Op: "=", Value: ""}, "Session-Timeout"},
		{Row{Attribute: "Framed-IP-Address", Op: "=", Value: "10.0.0.300"}, "10.0.0.300"},
		{Row{Attribute: "Expiration", Op: ":=", Value: "2026-11-30"}, "Nov 30 2026"},
		{Row{Attribute: "Login-Time", Op: ":=", Value: "Xx0900"}, "Xx"},
		{Row{Attribute: "Time-Of-Day", Op: ">", Value: "25:00"}, "HH:MM"},
		{Row{Attribute: "Filter-Id", Op: "=~", Value: "(a"}, "regular expression"},
		{Row{Attribute: "Filter-Id", Op: "=~", Value: `(a)\\1`}, "back-references"},
		{Row{Attribute: "Filter-Id", Op: "=", Value: `a\`}, "backslash"},
		{Row{Attribute: "Filter-Id", Op: "=", Value: "`%{sql:SELECT 1}`"}, "known expansions"},
		{Row{Attribute: "Filter-Id", Op: "=", Value: "`%{User-Name`"}, "never ends"},
		{Row{Attribute: "Session-Timeout:1", Op: "=", Value: "1"}, "no tags"},
		{Row{Attribute: "NT-Password", Op: ":", Value: "hunter2"}, "***"},
		{Row{Attribute: "", Op: "=", Value: "1"}, "radcheck id 42"},
	} {
		test.row.ID = 42
		_, err := c.compile(radcheck, test.row)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "radcheck id 42") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v", test.row, err)
		}
	}
	if err := c.Check("radreply", Row{Attribute: "Session-Timeout", Op: "=", Value: "60"}); err != nil {
		t.Error(err)
	}
	if c.Check("radreply", Row{Attribute: "Session-Timeout", Op: "=", Value: "x"}) == nil || c.Check("radacct", Row{Attribute: "Session-Timeout", Value: "6"}) == nil {
		t.Error("a bad row or table passes")
	}
}

func TestVirtualItems(t *testing.T) {
	b := newWorkbench(t) // Saturday 2026-11-21 10:00:00 UTC, from 127.0.0.1:1812
	e := NewEngine(b.config)
	req := b.request(t, "User-Name", "alice@isp")
	in := &checkInput{req: req, pairs: req.Pairs, now: b.clock, groups: []Membership{{Group: "g1"}, {Group: "g2"}}}
	for _, test := range []struct {
		attr, op, value string
		want            outcome
	}{
		{"SQL-Group", "==", "g2", matched}, {"SQL-Group", "==", "G2", mismatched}, {"SQL-Group", "!=", "g3", matched}, {"SQL-Group", "!=", "g1", mismatched},
		{"Huntgroup-Name", "==", "x", mismatched}, {"Huntgroup-Name", "!=", "x", mismatched}, {"Huntgroup-Name", "!*", "x", matched},
		{"Expiration", "==", "21 Nov 2026 10:00:00", matched}, {"Expiration", "==", "21 Nov 2026 09:59:59", mismatched},
		{"Current-Time", "==", "Sa1000", matched}, {"Current-Time", "==", "Su", mismatched}, {"Current-Time", "!=", "Su", matched},
		{"Time-Of-Day", ">=", "10:00:00", matched}, {"Time-Of-Day", "<", "10:00", mismatched}, {"Time-Of-Day", "<", "10:00:01", matched},
		{"Prefix", "==", "ali", matched}, {"Prefix", "==", "bob", mismatched}, {"Suffix", "==", "@isp", matched}, {"Suffix", "==", "@x", mismatched},
		{"Suffix", "<", "@isq", matched}, {"Suffix", "<", "@iso", mismatched}, {"Prefix", "!=", "a name that is longer", matched},
		{"Client-IP-Address", "==", "127.0.0.1", matched}, {"Client-IP-Address", "==", "127.0.0.2", mismatched},
		{"Packet-Src-IP-Address", "<", "127.0.0.2", matched}, {"Packet-Src-IPv6-Address", "==", "::1", mismatched}, {"Packet-Src-IPv6-Address", "!=", "::1", mismatched},
		{"Packet-Src-Port", "==", "1812", matched}, {"Packet-Src-Port", ">", "1812", mismatched},
		{"Virtual-Server", "==", "default", matched}, {"Virtual-Server", "==", "other", mismatched},
		{"Group", "==", "x", unevaluable}, {"Group", "!=", "x", unevaluable}, {"Group", ":=", "x", matched},
	} {
		r, err := b.cache.comp.compile(radcheck, Row{Attribute: test.attr, Op: test.op, Value: test.value})
		if err != nil {
			t.Errorf("%s: %v", test.attr, err)
			continue
		}
		if got := e.compareRule(in, &r); got != test.want {
			t.Errorf("%s %s %s: got %d, want %d", test.attr, test.op, test.value, got, test.want)
		}
	}
}

func TestExpansions(t *testing.T) {
	b := newWorkbench(t)
	e := NewEngine(b.config)
	request := b.request(t, "User-Name", `a\t%{x}`, "NAS-Port", "7").Pairs
	in := expandInput{
		request: request, now: b.clock,
		control: b.request(t, "Pool-Name", "main").Pairs, reply: b.request(t, "Filter-Id", "f").Pairs,
	}
	for _, test := range []struct{ column, want string }{
		{"`hello %{User-Name}`", `hello a\t%{x}`}, // what the user sent is not read again
		{"`%{request:NAS-Port}/%{reply:Filter-Id}/%{control:Pool-Name}`", "7/f/main"},
		{"`[%{Framed-Pool}]`", "[]"},
		{"`%{%{Framed-Pool}:-none}`", "none"},
		{"`%{%{NAS-Port}:-none}`", "7"},
		{"`%{%{Framed-Pool}:-%{%{Filter-Id}:-deep %{NAS-Port}}}`", "deep 7"},
		{"`100%% \\t|`", "100% \t|"},
		{"``", ""},
	} {
		r, err := b.cache.comp.compile(radreply, Row{Attribute: "Filter-Id", Op: "=", Value: test.column})
		if err != nil {
			t.Errorf("%s: %v", test.column, err)
			continue
		}
		if got, ok := e.expandValue(&r, in); !ok || string(got) != test.want {
			t.Errorf("%s: got %q, %v; want %q", test.column, got, ok, test.want)
		}
	}
	r, err := b.cache.comp.compile(radreply, Row{Attribute: "Session-Timeout", Op: "=", Value: "`%{NAS-Port}0`"})
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := e.expandValue(&r, in); !ok || uint32Value(v) != 70 {
		t.Errorf("a number: got %v, %v", v, ok)
	}
	in.request = nil
	if got := e.mergeRules(&merging{}, nil, []rule{r}, expandInput{request: request[:1], now: b.clock}); len(got) != 1 || uint32Value(got[0].Value) != 0 {
		t.Errorf("0 is a number: got %v", got)
	}
}

// Merging into an empty list is merging into one that holds nothing of the kind.
func TestMergeWays(t *testing.T) {
	b := newWorkbench(t)
	e := NewEngine(b.config)
	rapid.Check(t, func(t *rapid.T) {
		var batch []rule
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			row := Row{
				Attribute: rapid.SampledFrom([]string{"Session-Timeout", "Idle-Timeout", "Port-Limit"}).Draw(t, "attr"),
				Op:        rapid.SampledFrom(opNames[:]).Draw(t, "op"), Value: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value"),
			}
			r, err := b.cache.comp.compile(radreply, row)
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, r)
		}
		short := e.mergeRules(&merging{}, nil, batch, expandInput{})
		// a list of another attribute takes the long way
		other := dictionaries.Pairs{{Attr: b.dict.Must("Filter-Id"), Value: []byte("x")}}
		long := e.mergeRules(&merging{}, other, batch, expandInput{})
		long = slices.DeleteFunc(long, func(p dictionaries.Pair) bool { return p.Attr == b.dict.Must("Filter-Id") })
		same := slices.EqualFunc(short, long, func(a, b dictionaries.Pair) bool { return a.Attr == b.Attr && string(a.Value) == string(b.Value) })
		if !same {
			t.Fatalf("short %v, long %v", short, long)
		}
	})
}

func TestOddUsername(t *testing.T) {
	for name, odd := range map[string]bool{
		"alice": false, "a.b": false, "x@y.z": false, "MAC aa": true, "x@y": true, "x@y@z.a": true, "a..b": true, "a.": true, "x@.y": true,
		"x@y.z.": true, "@y.z": false, "": false, "Žofia": false,
	} {
		if got := oddUsername(name); (got != "") != odd {
			t.Errorf("%q: %q", name, got)
		}
	}
}
