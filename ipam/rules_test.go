package ipam

import (
	"net/netip"
	"testing"
	"time"
)

func caller(user, mac, nas, port string) Caller {
	c := Caller{User: user, MAC: mac, Port: port}
	if nas != "" {
		c.NAS = netip.MustParseAddr(nas)
	}
	return c
}

// One case for each row of the first table of doc.go, in its order.
func TestJudge(t *testing.T) {
	alice := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.1", "ether1")
	moved := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.2", "ether9")
	other := caller("alice", "aa:bb:cc:dd:ee:00", "10.0.0.1", "ether1")
	vague, bob := caller("alice", "", "10.0.0.1", ""), caller("bob", "aa:bb:cc:dd:ee:ff", "10.0.0.1", "ether1")
	macOnly, portOnly := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.1", ""), caller("alice", "", "10.0.0.1", "7")
	for _, c := range []struct {
		name    string
		holding Holding
		caller  Caller
		session string
		want    Verdict
	}{
		{"offered, same", Holding{State: Offered, Caller: alice, SessionID: "1"}, alice, "2", Keep},
		{"offered, other port", Holding{State: Offered, Caller: alice}, moved, "", Pass},
		{"offered, other MAC", Holding{State: Offered, Caller: alice}, other, "", Pass},
		{"offer run out, same", Holding{State: Offered, RanOut: true, Caller: alice}, alice, "", Keep},
		{"offer run out, user and MAC", Holding{State: Offered, RanOut: true, Caller: alice}, moved, "", Sticks},
		{"offer run out, other", Holding{State: Offered, RanOut: true, Caller: alice}, other, "", Pass},
		{"bound, same session", Holding{State: Bound, Caller: alice, SessionID: "1"}, alice, "1", Keep},
		{"bound, no session asked", Holding{State: Bound, Caller: alice, SessionID: "1"}, alice, "", Keep},
		{"bound, no session known", Holding{State: Bound, Caller: alice}, alice, "1", Keep},
		{"bound, another session, MAC and port", Holding{State: Bound, Caller: alice, SessionID: "1"}, alice, "2", TakeOver},
		{"bound, another session, MAC", Holding{State: Bound, Caller: macOnly, SessionID: "1"}, macOnly, "2", TakeOver},
		{"bound, another session, port", Holding{State: Bound, Caller: portOnly, SessionID: "1"}, portOnly, "2", TakeOver},
		{"bound, another session, neither", Holding{State: Bound, Caller: vague, SessionID: "1"}, vague, "2", Pass},
		{"bound, other port", Holding{State: Bound, Caller: alice, SessionID: "1"}, moved, "1", Pass},
		{"bound, other MAC", Holding{State: Bound, Caller: alice, SessionID: "1"}, other, "1", Pass},
		{"free, user and MAC, other NAS", Holding{State: Free, Caller: alice}, moved, "", Sticks},
		{"free, other MAC", Holding{State: Free, Caller: alice}, other, "", Pass},
		{"free, never held", Holding{State: Free}, alice, "", Pass},
		{"cooling, last holder, other NAS", Holding{State: Cooling, Caller: alice}, moved, "", Sticks},
		{"cooling, other MAC", Holding{State: Cooling, Caller: alice}, other, "", Pass},
		{"cooled, other MAC", Holding{State: Cooling, RanOut: true, Caller: alice}, other, "", Pass},
		{"reserved, same", Holding{State: Reserved, Caller: alice}, alice, "", Pass},

		{"sticky user, other MAC", Holding{State: Free, Sticky: StickUser, Caller: alice}, other, "", Sticks},
		{"sticky user, other user", Holding{State: Free, Sticky: StickUser, Caller: alice}, bob, "", Pass},
		{"sticky user, no name", Holding{State: Free, Sticky: StickUser}, caller("", "aa:bb:cc:dd:ee:ff", "", ""), "", Pass},
		{"sticky MAC, other user", Holding{State: Free, Sticky: StickMAC, Caller: alice}, bob, "", Sticks},
		{"sticky MAC, other MAC", Holding{State: Free, Sticky: StickMAC, Caller: alice}, other, "", Pass},
		{"sticky MAC, none", Holding{State: Free, Sticky: StickMAC, Caller: vague}, vague, "", Pass},
		{"sticky none, same", Holding{State: Free, Sticky: StickNone, Caller: alice}, alice, "", Pass},
		{"sticky none, cooling", Holding{State: Cooling, Sticky: StickNone, Caller: alice}, alice, "", Pass},
		{"sticky none, offered, same", Holding{State: Offered, Sticky: StickNone, Caller: alice}, alice, "", Keep},

		{"draining, offered, same", Holding{State: Offered, Status: Draining, Caller: alice}, alice, "", Keep},
		{"draining, bound, another session", Holding{State: Bound, Status: Draining, Caller: alice, SessionID: "1"}, alice, "2", TakeOver},
		{"draining, free, last holder", Holding{State: Free, Status: Draining, Caller: alice}, alice, "", Pass},
		{"draining, run out, last holder", Holding{State: Offered, RanOut: true, Status: Draining, Caller: alice}, moved, "", Pass},
		{"inactive, offered, same", Holding{State: Offered, Status: Inactive, Caller: alice}, alice, "", Pass},
		{"inactive, bound, same", Holding{State: Bound, Status: Inactive, Caller: alice}, alice, "", Pass},
		{"inactive, free, last holder", Holding{State: Free, Status: Inactive, Caller: alice}, alice, "", Pass},
	} {
		if got := Judge(c.holding, Want{Caller: c.caller, SessionID: c.session}); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
	if Keep <= TakeOver || TakeOver <= Sticks || Sticks <= Pass {
		t.Error("the order of verdicts")
	}
}

// One case for each row of the second table of doc.go, in its order.
func TestSettle(t *testing.T) {
	alice := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.1", "ether1")
	bob := caller("bob", "00:00:00:00:00:01", "10.0.0.1", "ether2")
	this := Session{RadacctID: 5, Caller: alice, SessionID: "s5"}
	noMAC := Session{RadacctID: 5, Caller: caller("alice", "", "10.0.0.1", "x"), SessionID: "zz"}
	otherName := Session{RadacctID: 5, Caller: caller("alice@isp", "", "10.0.0.1", ""), SessionID: "s5"}
	byMAC := Session{RadacctID: 5, Caller: caller("alice@isp", "aa:bb:cc:dd:ee:ff", "10.0.0.1", ""), SessionID: "zz"}
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(s Session, after time.Duration) Session {
		s.At = noon.Add(after * time.Microsecond)
		return s
	}
	for _, c := range []struct {
		name    string
		holding Holding
		event   Event
		session Session
		want    Outcome
	}{
		{"bind free", Holding{State: Free, Caller: bob}, EventBind, this, Bind},
		{"bind another's cooling", Holding{State: Cooling, Caller: bob}, EventBind, this, Bind},
		{"renew cooling", Holding{State: Cooling, Caller: alice}, EventRenew, this, Bind},
		{"release cooling", Holding{State: Cooling, Caller: alice, SessionID: "s5"}, EventRelease, this, Leave},
		{"bind another's offer run out", Holding{State: Offered, RanOut: true, Caller: bob}, EventBind, this, Bind},
		{"bind own offer", Holding{State: Offered, Caller: alice, SessionID: "s5"}, EventBind, this, Bind},
		{"bind own offer by name", Holding{State: Offered, Caller: alice}, EventBind, noMAC, Bind},
		{"bind own offer by session id", Holding{State: Offered, Caller: alice, SessionID: "s5"}, EventBind, otherName, Bind},
		{"bind own offer by MAC", Holding{State: Offered, Caller: alice}, EventBind, byMAC, Bind},
		{"bind another's offer", Holding{State: Offered, Caller: bob, SessionID: "s9"}, EventBind, this, Conflict},
		{"bind again", Holding{State: Bound, Caller: alice, RadacctID: 5}, EventBind, this, Renew},
		{"bind over an older session", Holding{State: Bound, Caller: alice, SessionID: "s4", RadacctID: 4}, EventBind, this, Replace},
		{"late bind under a newer session", Holding{State: Bound, Caller: alice, SessionID: "s6", RadacctID: 6}, EventBind, this, Leave},
		{"bind over a session that began earlier", Holding{State: Bound, Caller: alice, SessionID: "s4", RadacctID: 4, Since: noon}, EventBind, at(this, 1), Replace},
		{"bind over one that began at the same moment", Holding{State: Bound, Caller: alice, SessionID: "s4", RadacctID: 4, Since: noon}, EventBind, at(this, 0), Replace},
		{"bind, told late, under a session that began since", Holding{State: Bound, Caller: alice, SessionID: "s4", RadacctID: 4, Since: noon}, EventBind, at(this, -1), Leave},
		{"renew that is the first of a lost Start, told late", Holding{State: Bound, Caller: alice, SessionID: "s4", RadacctID: 4, Since: noon}, EventRenew, at(this, -1), Leave},
		{"bind over one that was heard of later, and began earlier", Holding{State: Bound, Caller: alice, SessionID: "s6", RadacctID: 6, Since: noon}, EventBind, at(this, 1), Replace},
		{"late bind under one that began at the same moment", Holding{State: Bound, Caller: alice, SessionID: "s6", RadacctID: 6, Since: noon}, EventBind, at(this, 0), Leave},
		{"bind after the login of that very session, by a clock that is behind", Holding{State: Bound, Caller: alice, SessionID: "s5", RadacctID: 4, Since: noon}, EventBind, at(this, -1), Replace},
		{"bind with an id that another port's session has too, told late", Holding{State: Bound, Caller: alice, SessionID: "zz", RadacctID: 4, Since: noon}, EventBind, at(noMAC, -1), Leave},
		{"bind another's binding, later", Holding{State: Bound, Caller: bob, SessionID: "s4", RadacctID: 4, Since: noon}, EventBind, at(this, 1), Conflict},
		{"bind another's binding", Holding{State: Bound, Caller: bob, SessionID: "s4", RadacctID: 4}, EventBind, this, Conflict},
		{"renew free", Holding{State: Free}, EventRenew, this, Bind},
		{"renew own offer", Holding{State: Offered, Caller: alice}, EventRenew, this, Bind},
		{"renew another's offer", Holding{State: Offered, Caller: bob}, EventRenew, this, Conflict},
		{"renew", Holding{State: Bound, Caller: alice, RadacctID: 5}, EventRenew, this, Renew},
		{"renew, another session of the caller has it", Holding{State: Bound, Caller: alice, RadacctID: 4}, EventRenew, this, Leave},
		{"renew another's binding", Holding{State: Bound, Caller: bob, RadacctID: 4}, EventRenew, this, Conflict},
		{"release", Holding{State: Bound, Caller: alice, SessionID: "s5", RadacctID: 5}, EventRelease, this, Release},
		{"release after a login took over", Holding{State: Bound, Caller: alice, SessionID: "s6", RadacctID: 5}, EventRelease, this, Reoffer},
		{"release after a login that named no session", Holding{State: Bound, Caller: alice, RadacctID: 5}, EventRelease, this, Reoffer},
		{"release an offer whose Start was lost", Holding{State: Offered, Caller: alice, SessionID: "s5"}, EventRelease, this, Release},
		{"release an offer of another session", Holding{State: Offered, Caller: alice, SessionID: "s6"}, EventRelease, this, Leave},
		{"release an offer of no known session", Holding{State: Offered, Caller: alice}, EventRelease, this, Leave},
		{"release another's binding", Holding{State: Bound, Caller: bob, RadacctID: 4}, EventRelease, this, Leave},
		{"release under a newer session", Holding{State: Bound, Caller: alice, RadacctID: 6}, EventRelease, this, Leave},
		{"release free", Holding{State: Free, Caller: alice}, EventRelease, this, Leave},
		{"bind reserved for nobody", Holding{State: Reserved}, EventBind, this, Conflict},
		{"bind reserved for the user", Holding{State: Reserved, Caller: Caller{User: "alice"}}, EventBind, this, Leave},
		{"renew reserved for the user", Holding{State: Reserved, Caller: Caller{User: "alice"}}, EventRenew, this, Leave},
		{"bind reserved for the user and another device", Holding{State: Reserved, Caller: Caller{User: "alice", MAC: bob.MAC}}, EventBind, this, Leave},
		{"bind reserved for the name of his rows", Holding{State: Reserved, Caller: Caller{User: "alice"}}, EventBind, Session{RadacctID: 5, Caller: otherName.Caller, Account: "alice"}, Leave},
		{"bind reserved for another name", Holding{State: Reserved, Caller: Caller{User: "alice"}}, EventBind, otherName, Conflict},
		{"bind reserved for the device", Holding{State: Reserved, Caller: Caller{MAC: alice.MAC}}, EventBind, this, Leave},
		{"bind reserved for another device", Holding{State: Reserved, Caller: Caller{MAC: bob.MAC}}, EventBind, this, Conflict},
		{"bind reserved for another", Holding{State: Reserved, Caller: Caller{User: "bob"}}, EventBind, this, Conflict},
		{"renew reserved for another", Holding{State: Reserved, Caller: Caller{User: "bob"}}, EventRenew, this, Conflict},
		{"bind reserved, by a session without a name", Holding{State: Reserved, Caller: Caller{User: "bob"}}, EventBind, Session{RadacctID: 5, Caller: Caller{MAC: alice.MAC}}, Leave},
		{"release reserved for another", Holding{State: Reserved, Caller: Caller{User: "bob"}, SessionID: "s5"}, EventRelease, this, Leave},
		{"release reserved", Holding{State: Reserved, RadacctID: 5}, EventRelease, this, Leave},
	} {
		if got := Settle(c.holding, c.event, c.session); got != c.want {
			t.Errorf("%s: outcome %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSessionIDsCountAtOneNASOnly(t *testing.T) {
	h := Holding{State: Offered, Caller: caller("alice", "", "10.0.0.1", ""), SessionID: "81"}
	s := Session{RadacctID: 5, Caller: caller("bob", "", "10.0.0.2", ""), SessionID: "81"}
	if got := Settle(h, EventBind, s); got != Conflict {
		t.Errorf("outcome %d, want a conflict", got)
	}
}

func TestStates(t *testing.T) {
	for _, s := range []State{Free, Offered, Bound, Reserved} {
		if got, ok := ParseState(s.String()); !ok || got != s {
			t.Errorf("state %d reads back as %d, %v", s, got, ok)
		}
	}
	if _, ok := ParseState("x"); ok {
		t.Error("x is a state")
	}
}

func TestLoginStands(t *testing.T) {
	answer := time.Unix(1000, 0)
	caller := Caller{User: "u", MAC: "m", Port: "p"}
	old := Session{RadacctID: 1, Caller: caller, SessionID: "s1", Heard: answer.Add(-time.Second)}
	offer := Holding{State: Offered, Caller: caller, SessionID: "s2", Answered: answer}
	tests := map[string]struct {
		change func(h *Holding, s *Session)
		want   bool
	}{
		"a session from before":        {func(*Holding, *Session) {}, true},
		"of an offer that has run out": {func(h *Holding, _ *Session) { h.RanOut = true }, true},
		"the login named none":         {func(h *Holding, _ *Session) { h.SessionID = "" }, true},
		"it took over a bound row":     {func(h *Holding, _ *Session) { h.State, h.RadacctID = Bound, 7 }, true},
		"the login's own":              {func(_ *Holding, s *Session) { s.SessionID = "s2" }, false},
		"the same id at another NAS": {func(h *Holding, s *Session) {
			s.SessionID, h.Caller.NAS = "s2", netip.MustParseAddr("10.0.0.1")
		}, true},
		"one of after":                  {func(_ *Holding, s *Session) { s.Heard = answer.Add(time.Second) }, false},
		"at the same moment":            {func(_ *Holding, s *Session) { s.Heard = answer }, false},
		"one that a device tells now":   {func(_ *Holding, s *Session) { s.Heard = time.Time{} }, false},
		"now, and its clock is behind":  {func(_ *Holding, s *Session) { s.Heard, s.At = time.Time{}, time.Unix(9, 0) }, false},
		"whatever its clock says":       {func(_ *Holding, s *Session) { s.At = answer.Add(time.Hour) }, true},
		"nobody knows of a login":       {func(h *Holding, _ *Session) { h.Answered = time.Time{} }, false},
		"a stranger's":                  {func(_ *Holding, s *Session) { s.Caller = Caller{User: "v", MAC: "n"} }, false},
		"the row is free":               {func(h *Holding, _ *Session) { h.State = Free }, false},
		"the row cools off, and nobody": {func(h *Holding, _ *Session) { h.State = Cooling }, false},
	}
	for name, test := range tests {
		h, s := offer, old
		test.change(&h, &s)
		if got := LoginStands(h, s); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
