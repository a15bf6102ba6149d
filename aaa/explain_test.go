package aaa

import (
	"strings"
	"testing"
)

func TestExplainTellsTheWay(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", UserRows{
		Check:  rows("Cleartext-Password", ":=", "hunter2", "Pool-Name", ":=", "main", "Simultaneous-Use", ":=", "2"),
		Groups: []Membership{{Group: "day", Priority: 1}, {Group: "gold", Priority: 2}, {Group: "late", Priority: 3}},
	})
	b.tables.groups["day"] = GroupRows{Check: rows("NAS-Port-Id", "==", "ether9")}
	b.tables.groups["gold"] = GroupRows{Reply: rows("Mikrotik-Rate-Limit", "=", "20M/100M", "Tunnel-Password:1", "=", "hunter2")}
	p := &pool{}
	log := postAuthRows{}
	b.config.Addresses, b.config.PostAuth, b.config.Admissions = p, &log, openSessions{"alice": {{ID: 1, SessionID: "81a"}}}
	x, err := NewEngine(b.config).Explain(t.Context(), b.request(t, "User-Name", "alice", "NAS-Port-Id", "ether1"))
	if err != nil {
		t.Fatal(err)
	}
	text := x.Text()
	for _, want := range []string{
		`the tables are asked for "alice"`,
		"+ matches: Cleartext-Password := *** (radcheck, id 1)",
		`- check does not match: NAS-Port-Id == ether9 (radgroupcheck, id 1); the request has "ether1"`,
		"+ group gold applies",
		"1 more groups are not read: no Fall-Through = Yes in gold",
		"no password was given to try",
		"1 open sessions, 2 allowed",
		"an IPv4 address of pool main would be leased",
		"answer: Access-Accept",
		"groups: gold",
		"Mikrotik-Rate-Limit = 20M/100M",
		"Tunnel-Password:1 = ***",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Error("shows a secret")
	}
	if len(p.wants) != 0 || len(log) != 0 {
		t.Errorf("%d leases, %d log rows", len(p.wants), len(log))
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestExplainRefusals(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("late", UserRows{Check: rows("Cleartext-Password", ":=", "p", "Expiration", ":=", "1 Jan 2020")})
	b.tables.set("odd", UserRows{Check: rows("Cleartext-Password", ":=", "p", "No-Such-Attr", ":=", "x")})
	for name, want := range map[string]string{
		"late": "reason expired", "odd": "radcheck id 2: No-Such-Attr", "nobody": "reason unknown_user",
	} {
		x, err := NewEngine(b.config).Explain(t.Context(), b.request(t, "User-Name", name))
		if err != nil || !strings.Contains(x.Text(), want) {
			t.Errorf("%s: lacks %q: %v\n%s", name, want, err, x.Text())
		}
	}
}
