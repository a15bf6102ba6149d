package scenario

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"radial/dictionaries"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	got, err := Parse("f.txt", `
# all of it
setting filter_username = on
case 7 a title
  setting realms = a b
  clock 2026-11-21 10:00:00
  wire
  radcheck "a b" Cleartext-Password := "p # 1"
  radreply alice Filter-Id (none) (empty)
  radusergroup alice g1 -2
  session alice nas 10.0.0.2 mac AA:BB
  nasreload 10.0.0.2
  login "a\"b" "" chap
    attr Tunnel-Type:1 = VLAN
    accept
    Session-Timeout in 1..60
    + Filter-Id = a = b
    - Class
  login bob p1 pap
    reject bad_password
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{{
		File: "f.txt", Line: 4, Number: "7", Title: "a title", Clock: "2026-11-21 10:00:00", Wire: true,
		Settings: map[string]string{"filter_username": "on", "realms": "a b"},
		Rows: []Row{
			{Table: "radcheck", Name: "a b", Attribute: "Cleartext-Password", Op: ":=", Value: `"p # 1"`},
			{Table: "radreply", Name: "alice", Attribute: "Filter-Id"},
		},
		Groups:   []Membership{{User: "alice", Group: "g1", Priority: -2}},
		Sessions: []Session{{User: "alice", NAS: "10.0.0.2", Calling: "AA:BB"}},
		Reloads:  []Reload{{NAS: "10.0.0.2", Before: 1}},
		Logins: []Login{
			{Line: 13, User: `a"b`, Method: "chap", Attrs: []Attr{{"Tunnel-Type:1", "VLAN"}}, Want: Want{Accept: true, Items: []Item{
				{Line: 16, Sign: '=', Ref: "Session-Timeout", Range: true, Low: 1, High: 60},
				{Line: 17, Sign: '+', Ref: "Filter-Id", Value: "a = b"},
				{Line: 18, Sign: '-', Ref: "Class"},
			}}},
			{Line: 19, User: "bob", Password: "p1", Method: "pap", Want: Want{Reason: "bad_password"}},
		},
		Steps: []Step{{Line: 13, Login: 0}, {Line: 19, Login: 1}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"radcheck a B := c":                          "f.txt:1:",
		"case 1":                                     "case NUMBER TITLE",
		"case 1 t\nlogin a b pap":                    "without a login and its accept or reject",
		"case 1 t":                                   "without a login",
		"case 1 t\nlogin a b smoke":                  "pap, chap",
		"case 1 t\nlogin a b pap\nlogin a c pap":     "lacks its accept",
		"case 1 t\nradcheck a B":                     "NAME ATTRIBUTE OP VALUE",
		"case 1 t\nradusergroup a g x":               "USER GROUP PRIORITY",
		"case 1 t\nlogin a b pap\naccept\nwhat":      "ATTRIBUTE = VALUE",
		"case 1 t\nwhat":                             "unknown word",
		"case 1 t\nlogin a b pap\naccept\naccept":    "belongs to a login",
		"case 1 t\nlogin a b pap\nreject for ever":   "reject REASON",
		"case 1 t\nlogin \"a b pap":                  "quote never ends",
		"case 1 t\nattr A = b":                       "belongs to a login",
		"case 1 t\nlogin a b pap\naccept\nX in 1-2":  "LOW..HIGH",
		"case 1 t\nsetting x":                        "KEY = VALUE",
		"case 1 t\nsession a b":                      "session USER",
		"case 1 t\nnasreload":                        "nasreload ADDRESS",
		"case 1 t\nlogin a b pap\nattr A\naccept\n":  "attr ATTRIBUTE = VALUE",
		"case 1 t\nlogin a b pap\naccept\n+ X Y = z": "",
	} {
		_, err := Parse("f.txt", text)
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestWantCheck(t *testing.T) {
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	reply := func(items ...string) (ps dictionaries.Pairs) {
		for i := 0; i < len(items); i += 2 {
			p, err := d.Pair(items[i], items[i+1])
			if err != nil {
				t.Fatal(err)
			}
			ps = append(ps, p)
		}
		return ps
	}
	two := reply("Filter-Id", "one", "Session-Timeout", "50", "Filter-Id", "two", "Proxy-State", "0x01")
	for _, test := range []struct {
		items string
		reply dictionaries.Pairs
		bad   string // part of the complaint, or "" for none
	}{
		{"", nil, ""},
		{"", reply("Proxy-State", "0x01"), ""},
		{"", two, "more than is wanted"},
		{"Filter-Id = one\nFilter-Id = two\nSession-Timeout = 50", two, ""},
		{"Filter-Id = two\nFilter-Id = one\nSession-Timeout = 50", two, "lacks Filter-Id = two"},
		{"Filter-Id = one\nSession-Timeout = 50", two, "more than is wanted"},
		{"+ Filter-Id = two", two, ""},
		{"+ Filter-Id = three", two, "lacks"},
		{"+ Proxy-State = 0x01", two, ""},
		{"+ Session-Timeout in 40..60", two, ""},
		{"+ Session-Timeout in 60..70", two, "lacks Session-Timeout in 60..70"},
		{"- Class", two, ""},
		{"- Filter-Id", two, "must not have"},
		{"- Filter-Id = three", two, ""},
		{"- Filter-Id = two", two, "must not have"},
		{"+ No-Such = 1", two, "No-Such"},
	} {
		cases, err := Parse("f", "case 1 t\nlogin a b pap\naccept\n"+test.items)
		if err != nil {
			t.Fatal(err)
		}
		err = cases[0].Logins[0].Want.Check(d, test.reply)
		if (err == nil) != (test.bad == "") || err != nil && !strings.Contains(err.Error(), test.bad) {
			t.Errorf("%q: got %v, want %q", test.items, err, test.bad)
		}
	}
}
