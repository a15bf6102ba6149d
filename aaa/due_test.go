package aaa

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/dictionaries"
	"radial/nas"
)

// watch is a workbench with a device at 10.0.0.1, whose logins become sessions.
type watch struct {
	*workbench
	device *nas.Device
	books  *Accounting
}

func newWatch(t testing.TB) *watch {
	w := &watch{workbench: newWorkbench(t), device: &nas.Device{Row: nas.Row{ID: 7, Type: "mikrotik"}}}
	w.config.Options.Mark = true
	w.config.Addresses, w.config.Meter = &pool{}, sessionMeter{}
	w.config.Devices = func(addr netip.Addr) *nas.Device {
		if addr == netip.MustParseAddr("10.0.0.1") {
			return w.device
		}
		return nil
	}
	var err error
	if w.books, err = NewAccounting(w.dict, nil, AccountingOptions{}, w.config.Now); err != nil {
		t.Fatal(err)
	}
	return w
}

// fullRequest is what a router says of a PPP session.
var fullRequest = []string{
	"NAS-IP-Address", "10.0.0.1", "NAS-Port-Id", "ether1", "NAS-Port-Type", "Ethernet", "Calling-Station-Id", "AA:BB:CC:DD:EE:FF", "Called-Station-Id", "isp",
	"Service-Type", "Framed-User", "Framed-Protocol", "PPP",
}

func (w *watch) ask(items []string) *Request {
	req := &Request{Device: w.device, Source: netip.MustParseAddrPort("10.0.0.1:1812"), Received: w.clock}
	for i := 0; i < len(items); i += 2 {
		p, err := w.dict.Pair(items[i], items[i+1])
		if err != nil {
			panic(err)
		}
		req.Pairs = append(req.Pairs, p)
	}
	return req
}

// session is what accounting tells of a session: items, and Class where the
// device echoes it.
func (w *watch) session(items []string, class []byte) *LiveSession {
	req := w.ask(append([]string{"Acct-Status-Type", "Start", "Acct-Session-Id", "81000007"}, items...))
	if class != nil {
		req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: w.dict.Must("Class"), Value: class})
	}
	r := w.books.Record(req)
	s := &LiveSession{ID: 1, SessionID: r.SessionID, NAS: r.NAS, Address: r.FramedIP, Login: OpenLogin{
		User: r.User, NAS: r.NAS.String(), PortType: r.PortType, CallingStation: r.CallingStation, CalledStation: r.CalledStation,
		ServiceType: r.ServiceType, FramedProtocol: r.FramedProtocol,
	}}
	if r.PortID != nil {
		s.Login.Port = *r.PortID
	}
	if r.Class != nil {
		s.Class = *r.Class
	}
	return s
}

// failing is a test, or a draw of one.
type failing interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}

// login logs in with password p1, and gives the session that follows.
func (w *watch) login(t failing, user string, items ...string) (*LiveSession, Decision) {
	items = append([]string{"User-Name", user}, items...)
	d, err := NewEngine(w.config).Authorize(context.Background(), w.ask(append(slices.Clone(items), "User-Password", "p1")))
	if err != nil {
		t.Fatal(err)
	}
	class, _ := d.Reply.Value(w.dict.Must("Class"))
	return w.session(items, class), d
}

func (w *watch) decide(t failing, s *LiveSession) (Action, Due) {
	t.Helper()
	due, err := NewEngine(w.config).Due(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	glance, err := NewEngine(w.config).Glance(context.Background(), s)
	if err != nil || glance.Mark != due.Mark || glance.Refused != due.Refused || glance.Unsure != due.Unsure {
		t.Errorf("at a glance %+v, %v; due %+v", glance, err, due)
	}
	return Decide(s, &due), due
}

// What is left of time and volume is due from the session's beginning on, as
// devices count; what rows give a session as it stands is not lengthened.
func TestDueLimits(t *testing.T) {
	w := newWatch(t)
	began := w.clock.Add(-time.Hour)
	w.config.Meter = sessionMeter{"alice": {
		{begin: began.Add(-time.Hour), end: began, input: 500, output: 500}, // another session, before it
		{begin: began, end: w.clock, input: 1000, output: 7000},
	}}
	for _, c := range []struct {
		name   string
		check  []Row
		reply  []Row
		quotas []Quota
		want   string
	}{
		{"none", nil, nil, nil, ""},
		{"an end", rows("Expiration", ":=", w.clock.Add(30*time.Minute).UTC().Format("02 Jan 2006 15:04:05")), nil, nil, "Session-Timeout = 5400\n"},
		{"all time", rows("Max-All-Session", ":=", "10000"), nil, nil, "Session-Timeout = 6400\n"},
		{"its own time, too", rows("Max-All-Session", ":=", "10000"), rows("Session-Timeout", "=", "4000"), nil, "Session-Timeout = 4000\n"},
		{"volume", nil, nil, []Quota{{Period: PeriodEver, Counts: CountsTotal, Octets: 20000}}, "Mikrotik-Total-Limit = 19000\n"},
		{"volume up and down", nil, nil, []Quota{{Period: PeriodEver, Counts: CountsUp, Octets: 2000}, {Period: PeriodEver, Counts: CountsDown, Octets: 9000}},
			"Mikrotik-Recv-Limit = 1500\nMikrotik-Xmit-Limit = 8500\n"},
	} {
		w.tables.users["alice"] = UserRows{Check: append(rows("Cleartext-Password", ":=", "p1"), c.check...), Reply: c.reply, Limits: UserLimits{Quotas: c.quotas}}
		w.cache.InvalidateAll()
		s, _ := w.login(t, "alice", fullRequest...)
		s.Began, s.Up, s.Down = began, 1000, 7000
		_, due := w.decide(t, s)
		var b strings.Builder
		for _, p := range nas.Limits(due.Device, due.Reply) {
			fmt.Fprintf(&b, "%s = %s\n", p.Attr.Name, p.Attr.Text(p.Value))
		}
		if b.String() != c.want {
			t.Errorf("%s: %swant %s", c.name, b.String(), c.want)
		}
	}
}

// What is done where rows are changed under a session.
func TestDueFollowsRows(t *testing.T) {
	base := func() UserRows {
		return UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "2M/10M"), Groups: []Membership{{Group: "gold"}}}
	}
	check := func(items ...string) func(*UserRows) {
		return func(u *UserRows) { u.Check = append(u.Check, rows(items...)...) }
	}
	reply := func(items ...string) func(*UserRows) {
		return func(u *UserRows) { u.Reply = append(u.Reply, rows(items...)...) }
	}
	none := func(*UserRows) {}
	for _, c := range []struct {
		name          string
		before, after func(*UserRows)
		want          Verb
		why           string
	}{
		{"nothing", none, none, VerbNone, ""},
		{"rate", none, func(u *UserRows) { u.Reply[0].Value = "5M/50M" }, VerbChange, ""},
		{"rate gone", none, func(u *UserRows) { u.Reply = nil }, VerbDisconnect, "cannot take away"},
		{"suspended", none, check("Auth-Type", ":=", "Reject"), VerbDisconnect, "auth_type_reject"},
		{"deleted", none, func(u *UserRows) { *u = UserRows{} }, VerbDisconnect, "unknown_user"},
		{"password gone", none, func(u *UserRows) { u.Check = rows("Auth-Type", ":=", "PAP") }, VerbDisconnect, "no_password"},
		{"password changed", none, func(u *UserRows) { u.Check[0].Value = "p2" }, VerbNone, ""},
		{"expired", none, check("Expiration", ":=", "1 Nov 2026"), VerbDisconnect, "expired"},
		{"expires later", none, check("Expiration", ":=", "1 Jan 2030"), VerbNone, ""},
		{"outside hours", none, check("Login-Time", ":=", "Al1100-1200"), VerbDisconnect, "outside_hours"},
		{"last half minute", none, check("Login-Time", ":=", "Al0900-0959"), VerbDisconnect, ""},
		{"hours nearly over", none, check("Login-Time", ":=", "Al0900-1000"), VerbNone, ""},
		{"no session allowed", none, check("Simultaneous-Use", ":=", "0"), VerbDisconnect, "simultaneous_use"},
		{"one session allowed, and it is this one", none, check("Simultaneous-Use", ":=", "1"), VerbNone, ""},
		{"time used", none, check("Max-All-Session", ":=", "0"), VerbDisconnect, "time_used_up"},
		{"other MAC", none, check("Calling-Station-Id", "==", "00:00:00:00:00:00"), VerbDisconnect, "check_failed"},
		{"its MAC", none, check("Calling-Station-Id", "==", "AA:BB:CC:DD:EE:FF"), VerbNone, ""},
		{"static address", none, reply("Framed-IP-Address", "=", "10.9.9.9"), VerbDisconnect, "address"},
		{"another static address", reply("Framed-IP-Address", "=", "10.9.9.8"), reply("Framed-IP-Address", "=", "10.9.9.9"), VerbDisconnect, "address"},
		{"the same static address", reply("Framed-IP-Address", "=", "10.9.9.9"), reply("Framed-IP-Address", "=", "10.9.9.9"), VerbNone, ""},
		{"another pool", check("Pool-Name", ":=", "main"), check("Pool-Name", ":=", "walled"), VerbDisconnect, "pool"},
		{"the same pool", check("Pool-Name", ":=", "main"), check("Pool-Name", ":=", "main"), VerbNone, ""},
		{"another package", none, func(u *UserRows) { u.Reply, u.Groups = nil, []Membership{{Group: "silver"}} }, VerbChange, ""},
		{"walled", none, func(u *UserRows) { u.Reply, u.Groups = nil, []Membership{{Group: "walled"}} }, VerbChange, ""},
		{"let out of the walled garden", func(u *UserRows) { u.Reply, u.Groups = nil, []Membership{{Group: "walled"}} }, none, VerbDisconnect, "cannot take away"},
		{"interims", none, reply("Acct-Interim-Interval", "=", "60"), VerbNone, ""},
		{"step of fair use", none, func(u *UserRows) {
			u.Limits.Quotas = []Quota{{Period: PeriodDay, Counts: CountsTotal, Octets: 0, RateDown: 1e6, RateUp: 1e6}}
		}, VerbChange, ""},
		{"quota", none, func(u *UserRows) {
			u.Limits.Quotas = []Quota{{Period: PeriodDay, Counts: CountsTotal, Octets: 0}}
		}, VerbDisconnect, "data_used_up"},
		// what must end no session
		{"row that cannot be read", none, check("No-Such-Attr", ":=", "1"), VerbNone, "unparsable_item"},
		{"reply row that cannot be read", none, reply("Framed-IP-Address", "=", "10.9.9.999"), VerbNone, "unparsable_item"},
		{"check without an engine", none, check("Group", "==", "staff"), VerbNone, "unsupported_check"},
		{"limit without an engine", none, check("Proxy-To-Realm", ":=", "x"), VerbNone, "unsupported_check"},
		{"what only packets tell", none, check("NAS-Identifier", "==", "mt1"), VerbNone, ""},
		{"what only packets tell, with suspension", none, check("NAS-Identifier", "==", "mt1", "Auth-Type", ":=", "Reject"), VerbDisconnect, "auth_type_reject"},
		{"port that only packets tell", none, check("NAS-Port", ">=", "10"), VerbNone, ""},
		{"huntgroup, as a login", none, check("Huntgroup-Name", "==", "x"), VerbDisconnect, "check_failed"},
		{"pool of the request", none, check("Pool-Name", ":=", "`%{NAS-Identifier}`"), VerbNone, "Pool-Name"},
		{"filter of the request", none, reply("Filter-Id", "=", "`%{NAS-Identifier}`"), VerbNone, ""},
	} {
		w := newWatch(t)
		w.tables.groups["gold"] = GroupRows{Reply: rows("Session-Timeout", "=", "100")}
		w.tables.groups["silver"] = GroupRows{Reply: rows("Mikrotik-Rate-Limit", "=", "1M/1M")}
		w.tables.groups["walled"] = GroupRows{Reply: rows("Mikrotik-Rate-Limit", "=", "64k/64k", "Mikrotik-Address-List", "=", "walled")}
		u := base()
		c.before(&u)
		w.tables.set("alice", u)
		s, d := w.login(t, "alice", fullRequest...)
		if d.Verdict != Accept {
			t.Fatalf("%s: %s", c.name, d.Detail)
		}
		u = base()
		c.after(&u)
		w.tables.set("alice", u)
		w.cache.Invalidate([]string{"alice"}, nil)
		if got, due := w.decide(t, s); got.Do != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %q (%s), want %q; %+v", c.name, got.Do, got.Why, c.want, due)
		}
	}
}

// Whoever did not log in by our rows is let be where they do not say so.
func TestDueOfStrangers(t *testing.T) {
	for _, c := range []struct {
		name string
		user UserRows
		want Verb
	}{
		{"unknown", UserRows{}, VerbNone},
		{"without password (EAP elsewhere)", UserRows{Check: rows("Simultaneous-Use", ":=", "1")}, VerbNone},
		{"other MAC", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Calling-Station-Id", "==", "x")}, VerbNone},
		{"suspended", UserRows{Check: rows("Auth-Type", ":=", "Reject")}, VerbDisconnect},
		{"expired", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Expiration", ":=", "1 Nov 2026")}, VerbDisconnect},
		{"known", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "1M/1M")}, VerbChange},
	} {
		w := newWatch(t)
		w.tables.set("carol", c.user)
		for _, class := range []string{"", "theirs"} {
			got, due := w.decide(t, w.session(append([]string{"User-Name", "carol"}, fullRequest...), []byte(class)))
			if got.Do != c.want || got.Do == VerbChange && !got.Gently {
				t.Errorf("%s: %+v; %+v", c.name, got, due)
			}
			if due.Believe(); c.name == "unknown" && Decide(&LiveSession{}, &due).Do != VerbDisconnect {
				t.Error("who has been deleted stays")
			}
		}
	}
}

// A reply that gives the session another name for accounting makes nobody else's
// rows speak of it.
func TestDueOfAnotherName(t *testing.T) {
	w := newWatch(t)
	w.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("User-Name", "=", "customer-7", "Filter-Id", "=", "x")})
	_, d := w.login(t, "alice", fullRequest...)
	class, _ := d.Reply.Value(w.dict.Must("Class"))
	s := w.session(append([]string{"User-Name", "customer-7"}, fullRequest...), class)
	for _, rows := range []UserRows{{}, {Check: rows("Auth-Type", ":=", "Reject")}} {
		w.tables.set("customer-7", rows)
		if got, due := w.decide(t, s); got.Do != VerbNone || due.Unsure == "" {
			t.Errorf("%+v; %+v", got, due)
		}
	}
}

// Trouble is no decision.
func TestDueTrouble(t *testing.T) {
	w := newWatch(t)
	w.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Max-Daily-Session", ":=", "100")})
	s, _ := w.login(t, "alice", fullRequest...)
	w.config.Meter = meterInTrouble{}
	if d, err := NewEngine(w.config).Due(t.Context(), s); !errors.Is(err, errMeter) {
		t.Errorf("%+v, %v", d, err)
	}
	w.config.Meter = nil
	if d, err := NewEngine(w.config).Due(t.Context(), s); err != nil || Decide(s, &d).Do != VerbNone {
		t.Errorf("%+v, %v", d, err)
	}
	w.tables.err = ErrUnavailable
	if d, err := NewEngine(w.config).Due(t.Context(), s); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%+v, %v", d, err)
	}
	w.tables.err = nil
	if d, err := NewEngine(w.config).Due(t.Context(), &LiveSession{}); err != nil || Decide(s, &d).Do != VerbNone {
		t.Errorf("%+v, %v", d, err)
	}
	s.NAS = netip.MustParseAddr("10.0.0.99") // a NAS that the table has lost
	if d, err := NewEngine(w.config).Due(t.Context(), s); err != nil || Decide(s, &d).Do != VerbNone {
		t.Errorf("%+v, %v", d, err)
	}
}

var errMeter = fmt.Errorf("%w: no meter today", ErrUnavailable)

type meterInTrouble struct{ sessionMeter }

func (meterInTrouble) Used(context.Context, string, []Span) ([]Usage, error) { return nil, errMeter }

// A device that has become another type was granted what it was.
func TestDueOfAnotherType(t *testing.T) {
	w := newWatch(t)
	w.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "2M/10M", "Mikrotik-Group", "=", "g", "Framed-Pool", "=", "p")})
	s, _ := w.login(t, "alice", fullRequest...)
	for _, kind := range []string{"other", "MikroTik", "nonsense"} {
		w.device = &nas.Device{Row: nas.Row{ID: 7, Type: kind}}
		if got, due := w.decide(t, s); got.Do != VerbNone {
			t.Errorf("%s: %+v; %+v", kind, got, due)
		}
	}
}

// A login from a row of nas that the session's NAS-IP-Address does not lead to
// was marked by that row's type: nothing is known of what it has.
func TestDueOfAnotherDevice(t *testing.T) {
	w := newWatch(t)
	w.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "2M/10M", "Framed-Pool", "=", "p", "Cisco-AVPair", "=", "x=y")})
	s, _ := w.login(t, "alice", fullRequest...)
	w.device = &nas.Device{Row: nas.Row{ID: 8, Type: "huawei"}}
	if got, due := w.decide(t, s); got.Do != VerbChange || !got.Gently {
		t.Errorf("%+v; %+v", got, due)
	}
	s.Applied = Mark{1 << 8, 1}
	if got, due := w.decide(t, s); got.Do != VerbDisconnect {
		t.Errorf("after a CoA of ours: %+v; %+v", got, due)
	}
	w.tables.set("alice", UserRows{})
	w.cache.InvalidateAll()
	if got, due := w.decide(t, s); got.Do != VerbDisconnect {
		t.Errorf("deleted: %+v; %+v", got, due)
	}
}

// randomRows draws rows of every kind that a login can meet.
func randomRows(t *rapid.T) (UserRows, map[string]GroupRows) {
	check := rapid.SliceOfN(rapid.SampledFrom([][3]string{
		{"Calling-Station-Id", "==", "AA:BB:CC:DD:EE:FF"}, {"Calling-Station-Id", "!=", "00:00:00:00:00:00"}, {"NAS-Identifier", "==", "mt1"}, {"NAS-Identifier", "!*", ""},
		{"NAS-Port-Id", "=~", "^ether"}, {"NAS-Port", "<", "10"}, {"Service-Type", "==", "Framed-User"}, {"Framed-Protocol", "!*", ""}, {"NAS-Port-Type", "==", "Virtual"},
		{"Pool-Name", ":=", "main"}, {"Pool-Name", "+=", "spare"}, {"Pool-Name", ":=", "`%{NAS-Identifier}`"}, {"Framed-IPv6-Pool", ":=", "v6"},
		{"Expiration", ":=", "1 Jan 2030"}, {"Login-Time", ":=", "Al0900-1800"}, {"Simultaneous-Use", ":=", "1"}, {"Max-Daily-Session", ":=", "3600"},
		{"User-Profile", ":=", "profile"}, {"User-Name", "=~", "ali"}, {"Client-Shortname", "==", "r1"}, {"Packet-Src-IP-Address", "==", "10.0.0.1"}, {"Current-Time", "==", "Al0900-1800"},
	}), 0, 3)
	reply := rapid.SliceOfN(rapid.SampledFrom([][3]string{
		{"Mikrotik-Rate-Limit", "=", "1M/1M"}, {"Mikrotik-Rate-Limit", ":=", "2M/2M"}, {"Mikrotik-Address-List", "+=", "a"}, {"Mikrotik-Address-List", "+=", "b"},
		{"Framed-Pool", "=", "p"}, {"Framed-Route", "+=", "10.1.0.0/24"}, {"Framed-IP-Address", "=", "10.9.9.9"}, {"Framed-IP-Address", "=", "255.255.255.254"}, {"Filter-Id", "=", "`%{NAS-Identifier}`"},
		{"Session-Timeout", "=", "100"}, {"Idle-Timeout", "=", "60"}, {"Reply-Message", "=", "hello"}, {"Fall-Through", "=", "Yes"}, {"Cisco-AVPair", "+=", "x=y"},
	}), 0, 4)
	list := func(all [][3]string) (out []Row) {
		for _, r := range all {
			out = append(out, rows(r[:]...)...)
		}
		return out
	}
	u := UserRows{Check: append(rows("Cleartext-Password", ":=", "p1"), list(check.Draw(t, "check"))...), Reply: list(reply.Draw(t, "reply"))}
	groups := map[string]GroupRows{}
	for _, g := range []string{"a", "b", "c"} {
		groups[g] = GroupRows{Check: list(check.Draw(t, "group check")), Reply: list(reply.Draw(t, "group reply"))}
		if rapid.Bool().Draw(t, "member") {
			u.Groups = append(u.Groups, Membership{Group: g})
		}
	}
	return u, groups
}

// randomLogin draws what a login says, and what of it accounting says.
func randomLogin(t *rapid.T) (login, accounting []string) {
	all := append(slices.Clone(fullRequest), "NAS-Identifier", "mt1", "NAS-Port", "15", "Acct-Session-Id", "81000007")
	for i := 0; i < len(all); i += 2 {
		if rapid.IntRange(0, 9).Draw(t, "login has "+all[i]) > 0 {
			login = append(login, all[i], all[i+1])
		}
		if all[i] != "Acct-Session-Id" && rapid.IntRange(0, 9).Draw(t, "accounting has "+all[i]) > 0 {
			accounting = append(accounting, all[i], all[i+1])
		}
	}
	return login, accounting
}

// The one promise that matters most: while no row is changed, no session is
// touched, whatever rows there are and whatever its accounting leaves out.
func TestDueLeavesAlone(t *testing.T) {
	w := newWatch(t)
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		w.cache.InvalidateAll()
		u, groups := randomRows(t)
		w.tables.users["alice"], w.tables.groups = u, groups
		w.tables.users["profile"] = UserRows{Groups: []Membership{{Group: "c"}}}
		login, accounting := randomLogin(t)
		_, d := w.login(t, "alice", login...)
		if d.Verdict != Accept {
			return
		}
		accepted++
		class, _ := d.Reply.Value(w.dict.Must("Class"))
		s := w.session(append([]string{"User-Name", "alice"}, accounting...), class)
		if got, due := w.decide(t, s); got.Do != VerbNone {
			t.Fatalf("%s: %s; due %+v", got.Do, got.Why, due)
		}
		s.Class = "" // a device that does not echo it
		if got, due := w.decide(t, s); got.Do != VerbNone && !got.Gently {
			t.Fatalf("without a mark: %s: %s; due %+v", got.Do, got.Why, due)
		}
	})
	if accepted < 10 {
		t.Errorf("only %d logins were accepted", accepted)
	}
}

// Where accounting tells all that the login did, a session follows whatever is
// changed, as far as that is certain; once it has what is due, it is let be.
func TestDueFollows(t *testing.T) {
	w := newWatch(t)
	acted := 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func() {
			w.cache.InvalidateAll()
			w.tables.users["alice"], w.tables.groups = randomRows(t)
			w.tables.users["profile"] = UserRows{Groups: []Membership{{Group: "c"}}}
			if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
				w.tables.users["alice"] = UserRows{}
			}
		}
		draw()
		s, d := w.login(t, "alice", fullRequest...)
		if d.Verdict != Accept {
			return
		}
		draw()
		again, now := w.login(t, "alice", fullRequest...)
		action, due := w.decide(t, s)
		if due.Unsure != "" || due.doubtful != nil {
			return
		}
		if accepted := now.Verdict == Accept; accepted != (due.Refused == ReasonNone) {
			t.Fatalf("a login now: %v %s; due %+v", now.Verdict, now.Detail, due)
		}
		has := MarkOfClass(again.Class)
		switch {
		case now.Verdict != Accept:
			if action.Do != VerbDisconnect {
				t.Fatalf("%q, though it would be refused: %s", action.Do, now.Detail)
			}
		case has != due.Mark:
			t.Fatalf("a login now has the mark %+v; due %+v", has, due)
		case (action.Do == VerbNone) != (s.Mark() == has):
			t.Fatalf("%q (%s): has %+v, due %+v", action.Do, action.Why, s.Mark(), has)
		case action.Do == VerbChange:
			s.Applied = due.Mark
			if got, _ := w.decide(t, s); got.Do != VerbNone {
				t.Fatalf("%q after it was done", got.Do)
			}
		}
		if action.Do != VerbNone {
			acted++
		}
	})
	if acted < 10 {
		t.Errorf("only %d sessions had to follow", acted)
	}
}

// BenchmarkGlance is what a look at all sessions costs for each, where its rows
// are in memory.
func BenchmarkGlance(b *testing.B) {
	w := newWatch(b)
	w.tables.users["alice"] = UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Groups: []Membership{{Group: "gold"}}}
	w.tables.groups["gold"] = GroupRows{Reply: rows("Mikrotik-Rate-Limit", "=", "2M/10M", "Session-Timeout", "=", "100", "Framed-Pool", "=", "p")}
	s, _ := w.login(b, "alice", fullRequest...)
	e := NewEngine(w.config)
	b.ReportAllocs()
	for b.Loop() {
		due, err := e.Glance(b.Context(), s)
		if err != nil || Decide(s, &due).Do != VerbNone {
			b.Fatal(due, err)
		}
	}
}
