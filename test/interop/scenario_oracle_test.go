package interop

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
	"radial/test/scenario"
)

// verdict is an answer: accept or not, and the reply's items, one a line and
// sorted, without what signs and routes it.
type verdict struct {
	accept bool
	items  string
}

func (v verdict) String() string {
	if v.accept {
		return "accept\n" + v.items
	}
	return "reject\n" + v.items
}

// intended are the logins that FreeRADIUS 3.2.1 answers in another way than
// the scenario says, with what it answers. That we answer as the scenario says
// is what test.TestScenarios asserts.
var intended = map[string]verdict{
	// 3.2.1 wants Auth-Type := PAP beside it, or the header
	"passwords.txt/-: PBKDF2, bare and with a header, login alice p1 pap": {},
}

// judgedElsewhere are cases that this FreeRADIUS cannot judge, and why.
func judgedElsewhere(c scenario.Case) string {
	switch {
	case c.Clock != "":
		return "it has no clock to set"
	case c.Story():
		return "it tells of pools and sessions, which it keeps in other tables"
	case c.Settings["strip_realm"] == "on":
		return "its realms stand in proxy.conf"
	}
	return ""
}

// peerSettings are those of a scenario that are a FreeRADIUS's.
func peerSettings(c scenario.Case) string {
	var words []string
	for _, k := range []string{"filter_username", "ppp_defaults"} {
		if c.Settings[k] == "on" {
			words = append(words, k)
		}
	}
	return strings.Join(words, " and ")
}

// pppDefaults is the entry of the stock users file.
const pppDefaults = `DEFAULT	Framed-Protocol == PPP
	Framed-Protocol = PPP,
	Framed-Compression = Van-Jacobson-TCP-IP
`

// TestScenariosAtFreeRADIUS has the scenarios judged by FreeRADIUS itself, with
// the same rows: what test/scenarios says is what it answers.
func TestScenariosAtFreeRADIUS(t *testing.T) {
	needs(t, Config{SQLDSN: "any"})
	files, err := filepath.Glob("../scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	groups, golden := map[string][]scenario.Case{}, 0
	for _, file := range files {
		cases, err := scenario.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if judgedElsewhere(c) != "" {
				continue
			}
			groups[peerSettings(c)] = append(groups[peerSettings(c)], c)
			if c.Number != "-" {
				golden++
			}
		}
	}
	if golden < 40 {
		t.Errorf("only %d golden cases", golden)
	}
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		t.Run("with "+key, func(t *testing.T) {
			db := storetest.New(t)
			config := Config{SQLDSN: db.URL(), Secret: secret, FilterUsername: strings.Contains(key, "filter_username")}
			if strings.Contains(key, "ppp_defaults") {
				config.Users = pppDefaults
			}
			peer := StartFreeRADIUS(t, config)
			c, d := client(t, peer.AuthAddr, radius.ClientOptions{})
			for _, tc := range groups[key] {
				t.Run(tc.File+"/"+tc.Name(), func(t *testing.T) {
					harness.WriteCase(db, tc)
					for _, l := range tc.Logins {
						playAtPeer(t, c, d, tc, l, seen)
					}
				})
			}
		})
	}
	for name := range intended {
		if !seen[name] && !t.Failed() {
			t.Errorf("%s is in the list of differences and in no scenario", name)
		}
	}
}

func playAtPeer(t *testing.T, c *radius.Client, d *dictionaries.Dictionary, tc scenario.Case, l scenario.Login, seen map[string]bool) {
	t.Helper()
	pairs, err := l.Pairs(d)
	if err != nil {
		t.Fatal(err)
	}
	var reply *radius.Reply
	if l.Method == "none" {
		name := dictionaries.Pair{Attr: d.Must("User-Name"), Value: []byte(l.User)}
		reply, err = c.Exchange(context.Background(), radius.AccessRequest, append(dictionaries.Pairs{name}, pairs...))
	} else {
		reply, err = c.Login(context.Background(), radius.Login{User: l.User, Password: nas.Secret(l.Password), Method: radius.LoginMethod(l.Method), Pairs: pairs})
	}
	if err != nil {
		t.Errorf("line %d: %v", l.Line, err)
		return
	}
	accepted := reply.Code == radius.AccessAccept
	key := fmt.Sprintf("%s/%s, login %s %s %s", tc.File, tc.Name(), l.User, l.Password, l.Method)
	if want, ok := intended[key]; ok {
		seen[key] = true
		if got := (verdict{accepted, itemsOf(reply)}); got != want {
			t.Errorf("line %d: FreeRADIUS answers\n%v\nthe list of differences says\n%v", l.Line, got, want)
		}
		if accepted == l.Want.Accept && l.Want.Check(d, reply.Pairs) == nil {
			t.Errorf("line %d: no difference any more: take %q off the list", l.Line, key)
		}
		return
	}
	if accepted != l.Want.Accept {
		t.Errorf("line %d (%s): FreeRADIUS answers %v %v, the scenario says accept %v", l.Line, key, reply.Code, itemsOf(reply), l.Want.Accept)
		return
	}
	if err := l.Want.Check(d, reply.Pairs); err != nil {
		t.Errorf("line %d (%s): FreeRADIUS's reply: %v", l.Line, key, err)
	}
}

func itemsOf(r *radius.Reply) string {
	var lines []string
	for _, p := range r.Pairs {
		if n := p.Attr.Name; n != "Message-Authenticator" && n != "Proxy-State" {
			lines = append(lines, p.String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
