package scenario

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"radial/dictionaries"
)

func TestParseStory(t *testing.T) {
	cases, err := Parse("f.txt", `
case - a story
  pool main 100.64.0.0/30 gateway 100.64.0.1
  nas north 127.0.0.2 pool main
  radial user set bob --check 'Pool-Name := main'
    fails no such user
  login alice p1 pap from north as s1
    attr NAS-Port = 7
    accept
    Framed-IP-Address in 100.64.0.0/30
  start s1
    attr Acct-Delay-Time = 5
  interim s9 of carol from north
  login alice p1 pap
    accept
    same Framed-IP-Address as s1
    other Class than s1
  on north
  expect s1 closed free
  history s1 bound released
  login alice p1 pap
    silence
`)
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	if !c.Wire || !c.Story() {
		t.Errorf("wire %v, story %v", c.Wire, c.Story())
	}
	want := []Step{
		{Line: 3, Login: -1, Command: &Command{Args: []string{"pool", "add", "main", "--cidr", "100.64.0.0/30", "--gateway", "100.64.0.1"}}},
		{Line: 4, Login: -1, Command: &Command{NAS: true, Args: []string{"nas", "add", "127.0.0.2", "--name", "north", "--pool", "main"}}},
		{Line: 5, Login: -1, Command: &Command{Args: []string{"user", "set", "bob", "--check", "Pool-Name := main"}, Fails: true, Prints: "no such user"}},
		{Line: 7, Login: 0},
		{Line: 11, Login: -1, Accounting: &Accounting{Status: "start", Session: "s1", Attrs: []Attr{{"Acct-Delay-Time", "5"}}}},
		{Line: 13, Login: -1, Accounting: &Accounting{Status: "interim", Session: "s9", User: "carol", NAS: "north"}},
		{Line: 14, Login: 1},
		{Line: 18, Login: -1, Accounting: &Accounting{Status: "on", NAS: "north"}},
		{Line: 19, Login: -1, Expect: &Expect{Session: "s1", States: []string{"closed", "free"}}},
		{Line: 20, Login: -1, Expect: &Expect{Session: "s1", History: []string{"bound", "released"}}},
		{Line: 21, Login: 2},
	}
	if diff := cmp.Diff(want, c.Steps); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if want := (NAS{"north", netip.MustParseAddr("127.0.0.2")}); len(c.NAS) != 1 || c.NAS[0] != want {
		t.Errorf("%+v", c.NAS)
	}
	if l := c.Logins[0]; l.NAS != "north" || l.Session != "s1" || len(l.Attrs) != 1 || l.Want.Items[0].Within != netip.MustParsePrefix("100.64.0.0/30") {
		t.Errorf("%+v", l)
	}
	if diff := cmp.Diff([]Like{{16, "Framed-IP-Address", "s1", false}, {17, "Class", "s1", true}}, c.Logins[1].Want.Likes); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !c.Logins[2].Want.Silence {
		t.Errorf("%+v", c.Logins[2])
	}
}

func TestParseStoryErrors(t *testing.T) {
	for text, want := range map[string]string{
		"pool main":                               "NAME NETWORK",
		"pool main 10.0.0.0/8 gateway":            "each option needs a value",
		"nas north 10.0.0.1":                      "127.0.0.0/8",
		"nas north here":                          "127.0.0.0/8",
		"radial user set 'bob":                    "quote never ends",
		"radial":                                  "command line",
		"fails no such":                           "begins with radial",
		"start s1":                                "no login before this line is named s1",
		"start s1 of bob at north":                "SESSION [of USER]",
		"on north":                                "no router north",
		"login a b pap from north\naccept":        "no router north",
		"login a b pap as\naccept":                "[as SESSION]",
		"login a b pap\nstart s1 of bob":          "lacks its accept",
		"expect s1 open":                          "named by a login",
		"start s1 of bob\nexpect s1 happy":        `state "happy"`,
		"history s1 bound":                        "named by a login",
		"login a b pap\naccept\nsame Class as s1": "named s1",
		"login a b pap as s1\naccept\nsame Class than s1":      "same ATTRIBUTE as SESSION",
		"login a b pap\naccept\nFramed-IP-Address in 10.0.0.0": "LOW..HIGH",
	} {
		_, err := Parse("f.txt", "case 1 t\n"+text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestWantWithin(t *testing.T) {
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		attribute, value, network string
		fits                      bool
	}{
		{"Framed-IP-Address", "100.64.0.7", "100.64.0.0/24", true},
		{"Framed-IP-Address", "100.64.1.7", "100.64.0.0/24", false},
		{"Delegated-IPv6-Prefix", "2001:db8:0:100::/56", "2001:db8::/40", true},
		{"Delegated-IPv6-Prefix", "2001:db8::/32", "2001:db8::/40", false},
		{"Filter-Id", "x", "10.0.0.0/8", false},
	} {
		p, err := d.Pair(test.attribute, test.value)
		if err != nil {
			t.Fatal(err)
		}
		w := Want{Items: []Item{{Sign: '=', Ref: test.attribute, Within: netip.MustParsePrefix(test.network)}}}
		if got := w.Check(d, dictionaries.Pairs{p}); (got == nil) != test.fits {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
