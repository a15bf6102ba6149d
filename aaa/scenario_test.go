package aaa

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/ipam"
	"radial/nas"
	"radial/test/scenario"
)

// TestScenarios runs test/scenarios in process: memory for the tables, no
// socket.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../test/scenarios/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("scenario files: %d, %v", len(files), err)
	}
	d := dictionary(t)
	for _, file := range files {
		cases, err := scenario.ParseFile(file)
		if err != nil {
			t.Error(err)
		}
		for _, c := range cases {
			t.Run(strings.TrimSuffix(c.File, ".txt")+"/"+c.Name(), func(t *testing.T) {
				if c.Wire {
					t.Skip("needs the whole server")
				}
				runScenario(t, d, &c)
			})
		}
	}
}

func runScenario(t *testing.T, d *dictionaries.Dictionary, c *scenario.Case) {
	clock := time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)
	if c.Clock != "" {
		var err error
		if clock, err = time.ParseInLocation(time.DateTime, c.Clock, time.UTC); err != nil {
			t.Fatalf("%s:%d: clock: %v", c.File, c.Line, err)
		}
	}
	now := func() time.Time { return clock }
	cache := NewCache(CacheConfig{Reader: scenarioTables(c), Dict: d, Location: time.UTC, Now: now})
	cache.Echo(clock)
	e := NewEngine(EngineConfig{
		Dict: d, Policies: cache, Verifier: NewVerifier(d), Admissions: scenarioSessions(c), Meter: scenarioMeter(c, clock), Options: scenarioOptions(t, c),
		Now: now, Location: time.UTC,
	})
	for i := range c.Logins {
		l := &c.Logins[i]
		got, err := e.Authorize(t.Context(), scenarioRequest(t, d, l))
		if err != nil {
			t.Fatalf("%s:%d: %v", c.File, l.Line, err)
		}
		if l.Want.Accept != (got.Verdict == Accept) || l.Want.Reason != "" && l.Want.Reason != string(got.Reason) {
			t.Errorf("%s:%d: login %s: got accept %v, reason %q: %s", c.File, l.Line, l.User, got.Verdict == Accept, got.Reason, got.Detail)
		}
		if err := l.Want.Check(d, got.Reply); err != nil {
			t.Errorf("%s: login %s: %v", c.File, l.User, err)
		}
		// so does what memory alone decides
		if now, ok := e.AuthorizeNow(scenarioRequest(t, d, l)); ok && (now.Verdict != got.Verdict || now.Reason != got.Reason || now.Detail != got.Detail || len(now.Reply) != len(got.Reply)) {
			t.Errorf("%s:%d: AuthorizeNow differs from Authorize: %+v, want %+v", c.File, l.Line, now, got)
		}
		// Explain walks the same way
		x, err := e.Explain(t.Context(), scenarioRequest(t, d, l))
		if err != nil || x.Decision.Verdict != got.Verdict || x.Decision.Reason != got.Reason || len(x.Decision.Reply) != len(got.Reply) {
			t.Errorf("%s:%d: Explain differs from Authorize: %v\n%s", c.File, l.Line, err, x.Text())
		}
		if l.Password != "" && strings.Contains(x.Text(), " "+l.Password+" ") {
			t.Errorf("%s:%d: the explanation shows the password:\n%s", c.File, l.Line, x.Text())
		}
	}
}

func scenarioTables(c *scenario.Case) *memoryTables {
	m := newMemoryTables()
	for i, r := range c.Rows {
		row := Row{ID: int64(i + 1), Attribute: r.Attribute, Op: r.Op, Value: r.Value}
		u, g := m.users[r.Name], m.groups[r.Name]
		switch r.Table {
		case "radcheck":
			u.Check = append(u.Check, row)
		case "radreply":
			u.Reply = append(u.Reply, row)
		case "radgroupcheck":
			g.Check = append(g.Check, row)
		case "radgroupreply":
			g.Reply = append(g.Reply, row)
		}
		m.users[r.Name], m.groups[r.Name] = u, g
	}
	for i, g := range c.Groups {
		u := m.users[g.User]
		at := len(u.Groups)
		for at > 0 && u.Groups[at-1].Priority > g.Priority {
			at--
		}
		u.Groups = append(u.Groups[:at:at], append([]Membership{{ID: int64(i + 1), Group: g.Group, Priority: g.Priority}}, u.Groups[at:]...)...)
		m.users[g.User] = u
	}
	return m
}

func scenarioSessions(c *scenario.Case) openSessions {
	open := openSessions{}
	for i, s := range c.Sessions {
		reloaded := false
		for _, r := range c.Reloads {
			reloaded = reloaded || r.NAS == s.NAS && i < r.Before
		}
		if !reloaded {
			open[s.User] = append(open[s.User], OpenSession{
				ID: int64(i + 1), SessionID: fmt.Sprint("s", i), Calling: s.Calling,
				Caller: ipam.Caller{NAS: netip.MustParseAddr(cmp.Or(s.NAS, "127.0.0.1")), MAC: ipam.NormaliseMAC(s.Calling)},
			})
		}
	}
	return open
}

// scenarioMeter counts the sessions that tell what they have used.
func scenarioMeter(c *scenario.Case, clock time.Time) sessionMeter {
	m := sessionMeter{}
	for _, s := range c.Sessions {
		if s.Used {
			m[s.User] = append(m[s.User], meteredSession{
				begin: clock.Add(-time.Duration(s.Time) * time.Second), end: clock, input: uint64(s.Up), output: uint64(s.Down),
			})
		}
	}
	return m
}

func scenarioOptions(t *testing.T, c *scenario.Case) Options {
	o := DefaultOptions()
	o.Mark = false
	for key, value := range c.Settings {
		on := value == "on"
		switch key {
		case "filter_username":
			o.FilterUsername = on
		case "strip_realm":
			o.StripRealm = on
		case "realms":
			o.Realms = strings.Fields(value)
		case "read_groups":
			o.ReadGroups = on
		case "read_profiles":
			o.ReadProfiles = on
		case "default_user_profile":
			o.DefaultUserProfile = value
		case "ppp_defaults":
			o.PPPDefaults = on
		case "counters.week_begins":
			o.Counters.WeekBegins = value
		case "counters.month_day":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatalf("%s:%d: counters.month_day: %v", c.File, c.Line, err)
			}
			o.Counters.MonthDay = n
		case "simultaneous_use.replace":
			o.SimultaneousUseReplace = value
		default:
			t.Fatalf("%s:%d: unknown setting %q", c.File, c.Line, key)
		}
	}
	return o
}

func scenarioRequest(t *testing.T, d *dictionaries.Dictionary, l *scenario.Login) *Request {
	ps, err := l.Pairs(d)
	if err != nil {
		t.Fatal(err)
	}
	req := &Request{
		Device: &nas.Device{Row: nas.Row{Type: "other"}}, Source: netip.MustParseAddrPort("127.0.0.1:40000"),
		Authenticator: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	}
	add := func(name string, value []byte) {
		req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: d.Must(name), Value: value})
	}
	add("User-Name", []byte(l.User))
	switch l.Method {
	case "pap":
		add("User-Password", []byte(l.Password))
	case "chap":
		sum := md5.Sum(append(append([]byte{7}, l.Password...), req.Authenticator[:]...))
		add("CHAP-Password", append([]byte{7}, sum[:]...))
	case "mschapv1":
		hash, err := NTHash([]byte(l.Password))
		if err != nil {
			t.Fatal(err)
		}
		challenge := [8]byte(req.Authenticator[:8])
		response := MSCHAPv1Response(challenge, hash)
		add("MS-CHAP-Challenge", challenge[:])
		add("MS-CHAP-Response", append(append([]byte{1, 1}, make([]byte, 24)...), response[:]...))
	case "mschapv2":
		hash, err := NTHash([]byte(l.Password))
		if err != nil {
			t.Fatal(err)
		}
		peer := [16]byte{16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
		response := MSCHAPv2Response(req.Authenticator, peer, l.User, hash)
		add("MS-CHAP-Challenge", req.Authenticator[:])
		add("MS-CHAP2-Response", append(append(append([]byte{1, 0}, peer[:]...), make([]byte, 8)...), response[:]...))
	}
	req.Pairs = append(req.Pairs, ps...)
	return req
}
