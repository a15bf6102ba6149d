package aaa

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"radial/dictionaries"
	"radial/nas"
)

// postAuthRows is a PostAuthLog.
type postAuthRows []PostAuth

func (p *postAuthRows) Log(row PostAuth) { *p = append(*p, row) }

// A wrong password must neither count sessions nor take an address.
func TestAuthorizeWrongPasswordLeasesNothing(t *testing.T) {
	b := newWorkbench(t)
	p := &pool{}
	b.config.Addresses, b.config.Admissions = p, nil
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main", "Simultaneous-Use", ":=", "1")})
	d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "wrong"))
	if err != nil || d.Reason != ReasonBadPassword || len(p.wants) != 0 {
		t.Errorf("%v %q, %d leases", err, d.Reason, len(p.wants))
	}
}

// What is missing refuses; it never lets in without.
func TestAuthorizeNeverFailsOpen(t *testing.T) {
	for _, item := range [][]string{
		{"Pool-Name", ":=", "main"}, {"Simultaneous-Use", ":=", "3"}, {"Max-Daily-Session", ":=", "60"}, {"Max-All-Session", ":=", "60"},
		{"Expire-After", "+=", "60"}, {"Proxy-To-Realm", ":=", "x"}, {"Group", "!=", "staff"}, {"Packet-Dst-Port", "==", "1812"},
	} {
		b := newWorkbench(t)
		b.config.Admissions = nil
		if b.dict.Find(item[0]) == nil {
			t.Errorf("the dictionary lacks %s", item[0])
		}
		b.tables.set("alice", UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p1"}, item...)...)})
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if err != nil || d.Verdict != Reject || d.Reason != ReasonUnsupportedCheck || !strings.Contains(d.Detail, item[0]) {
			t.Errorf("%v: got %v %q %q, %v", item, d.Verdict, d.Reason, d.Detail, err)
		}
	}
}

// A limit whose value is made of the request refuses where nothing comes of it.
func TestAuthorizeExpansionNeverFailsOpen(t *testing.T) {
	for _, item := range [][]string{
		{"Expiration", ":=", "`%{Called-Station-Id}`"}, {"Simultaneous-Use", ":=", "`%{Called-Station-Id}`"}, {"Auth-Type", ":=", "`%{Called-Station-Id}`"},
	} {
		b := newWorkbench(t)
		b.tables.set("alice", UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p1"}, item...)...)})
		login := func(called string) Decision {
			d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1", "Called-Station-Id", called))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := login("rubbish"); d.Reason != ReasonUnparsableItem || !strings.Contains(d.Detail, item[0]) {
			t.Errorf("%v: got %v %q %q", item, d.Verdict, d.Reason, d.Detail)
		}
		good := map[string]string{"Expiration": "1 Jan 2030", "Simultaneous-Use": "3", "Auth-Type": "PAP"}[item[0]]
		if d := login(good); d.Verdict != Accept {
			t.Errorf("%v, %s: got %q %q", item, good, d.Reason, d.Detail)
		}
	}
}

func TestAuthorizeTroubleIsNoReject(t *testing.T) {
	b := newWorkbench(t)
	b.tables.err = errors.New("no database")
	b.cache.Down()
	reg := prometheus.NewRegistry()
	b.config.Metrics = NewMetrics(reg)
	log := postAuthRows{}
	b.config.PostAuth = &log
	if d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1")); !errors.Is(err, b.tables.err) {
		t.Errorf("got %+v, %v", d, err)
	}
	if len(log) != 0 {
		t.Error("trouble was logged as an outcome")
	}
	if n := counted(t, reg, "trouble", ""); n != 1 {
		t.Errorf("trouble counted %v times", n)
	}
}

// counted is the value of radial_logins_total.
func counted(t *testing.T, reg *prometheus.Registry, verdict, reason string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "radial_logins_total" && len(l) == 2 && l[0].GetValue() == reason && l[1].GetValue() == verdict {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func TestPostAuthLog(t *testing.T) {
	for _, test := range []struct {
		policy    string
		passwords bool
		want      []string // reply, reason, pass of each row
	}{
		{PostAuthAll, false, []string{"Access-Accept//", "Access-Reject/bad_password/"}},
		{PostAuthAll, true, []string{"Access-Accept//p1", "Access-Reject/bad_password/wrong"}},
		{PostAuthRejects, false, []string{"Access-Reject/bad_password/"}},
		{PostAuthNone, true, nil},
	} {
		b := newWorkbench(t)
		log := postAuthRows{}
		reg := prometheus.NewRegistry()
		b.config.PostAuth, b.config.Metrics = &log, NewMetrics(reg)
		b.config.Options.PostAuth = PostAuthOptions{Log: test.policy, Passwords: test.passwords}
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Class", "=", "0x41", "Framed-IP-Address", "=", "10.0.0.1")})
		e := NewEngine(b.config)
		for _, password := range []string{"p1", "wrong"} {
			if _, err := e.Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", password, "NAS-Port", "7")); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, r := range log {
			got = append(got, r.Reply+"/"+string(r.Reason)+"/"+r.Pass)
			if r.User != "alice" || r.NAS != "127.0.0.1" || r.NASPortID != "7" || !r.At.Equal(b.clock) {
				t.Errorf("row %+v", r)
			}
			if r.Reply == "Access-Accept" && (r.FramedIPAddress != "10.0.0.1" || r.Class != "0x41") {
				t.Errorf("row %+v", r)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.policy, got, test.want)
		}
		if a, r := counted(t, reg, "accept", ""), counted(t, reg, "reject", "bad_password"); a != 1 || r != 1 {
			t.Errorf("counted %v accepts and %v rejects", a, r)
		}
	}
}

func TestRejectDelay(t *testing.T) {
	own := 300 * time.Millisecond
	for _, test := range []struct {
		kind string
		own  *time.Duration
		want time.Duration
	}{{"other", nil, 2 * time.Second}, {"mikrotik", nil, 0}, {"mikrotik", &own, own}, {"cisco", &own, own}} {
		b := newWorkbench(t)
		b.config.Options.RejectDelay = 2 * time.Second
		req := b.request(t, "User-Name", "nobody", "User-Password", "x")
		req.Device = &nas.Device{Row: nas.Row{Type: test.kind, Settings: nas.Settings{RejectDelay: test.own}}}
		d, err := NewEngine(b.config).Authorize(t.Context(), req)
		if err != nil || d.Verdict != Reject || d.Delay != test.want {
			t.Errorf("%s: delay %v, %v", test.kind, d.Delay, err)
		}
	}
}

// The decision must not hold on to the packet, nor the policy's memory change.
func TestDecisionOwnsItsMemory(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", UserRows{
		Check: rows("Cleartext-Password", ":=", "p1", "Expiration", ":=", "21 Nov 2026 10:01:00"),
		Reply: rows("Reply-Message", "=", "`hi %{User-Name}`", "Session-Timeout", "=", "500"),
	})
	e := NewEngine(b.config)
	for range 2 {
		req := b.request(t, "User-Name", "alice", "User-Password", "p1")
		d, err := e.Authorize(t.Context(), req)
		if err != nil || d.Verdict != Accept {
			t.Fatal(d, err)
		}
		for _, p := range req.Pairs {
			clear(p.Value)
		}
		if got := textOf(d.Reply, b.dict.Must("Reply-Message")); got != "hi alice" || d.User != "alice" {
			t.Errorf("got %q", got)
		}
		if got := textOf(d.Reply, b.dict.Must("Session-Timeout")); got != "60" {
			t.Errorf("Session-Timeout %s", got)
		}
		b.clock = b.clock.Add(0)
	}
	u, _, err := b.cache.user(t.Context(), "alice")
	if err != nil || uint32Value(u.reply.rules[1].value) != 500 {
		t.Error("a login has changed the cached policy")
	}
}

func TestInternalItemsAreNeverSent(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", UserRows{
		Check: rows("Cleartext-Password", ":=", "p1"),
		Reply: rows("Fall-Through", "=", "Yes", "Pool-Name", "=", "x", "Simultaneous-Use", ":=", "1", "Cleartext-Password", ":=", "leak",
			"Filter-Id", "=", "", "Filter-Id", "+=", "ok"),
	})
	d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
	if err != nil || d.Verdict != Accept || len(d.Reply) != 1 || string(d.Reply[0].Value) != "ok" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestShapeSeesTheDevice(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Filter-Id", "=", "x")})
	b.config.Options.Shape = func(dev *nas.Device, ps dictionaries.Pairs) dictionaries.Pairs {
		if dev.Type != "other" || len(ps) != 1 {
			t.Errorf("shape got %q, %d items", dev.Type, len(ps))
		}
		return nil
	}
	d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
	if err != nil || len(d.Reply) != 0 {
		t.Errorf("got %+v, %v", d, err)
	}
}

// The exception for another link of a line, by the Port-Limit of the reply.
func TestMultilink(t *testing.T) {
	for _, test := range []struct {
		portLimit, calling, address string
		accept                      bool
	}{
		{"2", "AA:BB:CC:DD:EE:F9", "", true}, {"2", "AA:BB:CC:DD:EF:F1", "", false}, {"2", "x", "100.64.0.1", true}, {"2", "x", "100.64.0.2", false},
		{"1", "AA:BB:CC:DD:EE:F9", "100.64.0.1", false},
	} {
		b := newWorkbench(t)
		b.config.Admissions = openSessions{"alice": {{ID: 1, Calling: "AA:BB:CC:DD:EE:F1", FramedIP: netip.MustParseAddr("100.64.0.1")}}}
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Simultaneous-Use", ":=", "1"), Reply: rows("Port-Limit", "=", test.portLimit)})
		items := []string{"User-Name", "alice", "User-Password", "p1", "Calling-Station-Id", test.calling}
		if test.address != "" {
			items = append(items, "Framed-IP-Address", test.address)
		}
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, items...))
		if err != nil || (d.Verdict == Accept) != test.accept {
			t.Errorf("%+v: got %v, %v", test, d.Verdict, err)
		}
	}
}

// BenchmarkAuthorize is a cached PAP login with a package's reply items.
// cachedLogin is a subscriber of a package, whose rows are in memory, and a
// request of his.
func cachedLogin(t testing.TB) (*Engine, *Request) {
	w := newWorkbench(t)
	w.tables.users["alice"] = UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "20M/100M"), Groups: []Membership{{Group: "gold", Priority: 100}}}
	w.tables.groups["gold"] = GroupRows{Reply: rows("Session-Timeout", "=", "86400", "Idle-Timeout", "=", "600", "Acct-Interim-Interval", "=", "300", "Fall-Through", "=", "Yes")}
	w.config.Metrics = NewMetrics(prometheus.NewRegistry())
	w.config.Options.Mark = true
	req := w.request(t, "User-Name", "alice", "User-Password", "p1", "NAS-IP-Address", "10.0.0.1", "NAS-Port", "7", "NAS-Port-Id", "ether1",
		"Calling-Station-Id", "AA:BB:CC:DD:EE:FF", "Service-Type", "Framed-User", "Framed-Protocol", "PPP", "NAS-Identifier", "mt1")
	req.Room = &Room{}
	e := NewEngine(w.config)
	if d, err := e.Authorize(t.Context(), req); err != nil || d.Verdict != Accept {
		t.Fatal(d, err)
	}
	return e, req
}

func BenchmarkAuthorize(b *testing.B) {
	for _, mark := range []bool{true, false} {
		b.Run(fmt.Sprint("mark=", mark), func(b *testing.B) {
			e, req := cachedLogin(b)
			e.opts.Mark = mark
			b.ReportAllocs()
			for b.Loop() {
				if d, ok := e.AuthorizeNow(req); !ok || d.Verdict != Accept {
					b.Fatal(d, ok)
				}
			}
		})
	}
}

// A cached login makes one piece of garbage, its user's name.
func TestAuthorizeAllocations(t *testing.T) {
	e, req := cachedLogin(t)
	if n := testing.AllocsPerRun(1000, func() { e.AuthorizeNow(req) }); n > 1 {
		t.Errorf("%v allocations for a login, at most 1 is allowed", n)
	}
}

// One Room serves logins one after the other, and each gets what it gets by
// itself.
func TestRoom(t *testing.T) {
	b := newWorkbench(t)
	b.tables.users["alice"] = UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Session-Timeout", "=", "1", "Class", "+=", "a", "Class", "+=", "b"), Groups: []Membership{{Group: "gold"}}}
	b.tables.users["bob"] = UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Reply-Message", "^=", "x"), Groups: []Membership{{Group: "gold"}, {Group: "more"}}}
	b.tables.groups["gold"] = GroupRows{Reply: rows("Session-Timeout", ":=", "2", "Idle-Timeout", "=", "600", "Fall-Through", "=", "Yes")}
	b.tables.groups["more"] = GroupRows{Check: rows("Service-Type", "==", "Framed-User"), Reply: rows("Idle-Timeout", "-=", "600", "Class", "^=", "c")}
	e := NewEngine(b.config)
	room := &Room{}
	rapid.Check(t, func(rt *rapid.T) {
		user := rapid.SampledFrom([]string{"alice", "bob", "nobody"}).Draw(rt, "user")
		items := []string{"User-Name", user, "User-Password", rapid.SampledFrom([]string{"p1", "p2"}).Draw(rt, "password")}
		if rapid.Bool().Draw(rt, "framed") {
			items = append(items, "Framed-Protocol", "PPP")
		}
		want, err := e.Authorize(t.Context(), b.request(t, items...))
		if err != nil {
			rt.Fatal(err)
		}
		req := b.request(t, items...)
		req.Room = room
		got, err := e.Authorize(t.Context(), req)
		if err != nil || got.Verdict != want.Verdict || got.Reason != want.Reason || fmt.Sprint(got.Reply) != fmt.Sprint(want.Reply) {
			rt.Errorf("in a room %+v, %v; alone %+v", got, err, want)
		}
	})
}

func TestMinimumTimeout(t *testing.T) {
	b := newWorkbench(t) // 10:00
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Login-Time", ":=", "Al0900-1003")})
	for least, want := range map[time.Duration]Reason{4 * time.Minute: ReasonNone, 4*time.Minute + time.Second: ReasonOutsideHours} {
		b.config.Options.MinimumTimeout = least
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if err != nil || d.Reason != want {
			t.Errorf("%v: got %q (%s), %v", least, d.Reason, d.Detail, err)
		}
	}
}

// What preprocessing adds must not land in the request's own memory.
func TestAuthorizeLeavesTheRequestAlone(t *testing.T) {
	b := newWorkbench(t)
	req := b.request(t, "User-Name", "alice", "User-Password", "p1", "Framed-Protocol", "PPP")
	req.Pairs = append(make(dictionaries.Pairs, 0, 10), req.Pairs...)
	if _, err := NewEngine(b.config).Authorize(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for _, p := range req.Pairs[len(req.Pairs):cap(req.Pairs)] {
		if p.Attr != nil {
			t.Errorf("%s was written behind the request", p.Attr.Name)
		}
	}
}
