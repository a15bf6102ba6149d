package aaa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fail makes every read fail, or none.
func (m *memoryTables) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

var errNoDatabase = fmt.Errorf("no connection: %w", ErrUnavailable)

// What memory last knew is served while the connection is down and the database
// does not answer, as long as it is not too old, and never again after that.
func TestCacheInAnOutage(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := newMemoryTables()
	var told []OutageNews
	c := NewCache(CacheConfig{
		Reader: m, Dict: dictionary(t), Now: func() time.Time { return clock }, OutageAge: time.Hour, Told: func(n OutageNews) { told = append(told, n) },
	})
	look := func(name, want string, wantKept bool, wantReads int) {
		t.Helper()
		before := m.reads
		u, kept, err := c.user(t.Context(), name)
		got := "error"
		if err == nil {
			got = password(u)
		}
		if got != want || kept != wantKept || m.reads-before != wantReads {
			t.Errorf("%s: got %q, kept %v, %d reads, %v; want %q, %v, %d", name, got, kept, m.reads-before, err, want, wantKept, wantReads)
		}
	}
	m.set("alice", withPassword("a"))
	m.set("carol", withPassword("c"))
	c.Echo(clock)
	look("alice", "a", false, 1)
	look("carol", "c", false, 1)
	look("nobody", "", false, 1) // known not to be there

	c.Down()
	look("carol", "c", false, 1) // the connection alone is down
	m.fail(errors.New("permission denied"))
	look("alice", "error", false, 1) // no outage
	m.fail(errNoDatabase)
	look("alice", "a", true, 1)
	look("alice", "a", true, 0) // it has just been tried
	look("nobody", "error", false, 1)
	look("bob", "error", false, 1)
	look("carol", "error", false, 1) // rows newer than memory's have been seen
	clock = clock.Add(outageProbe)
	look("alice", "a", true, 1)
	clock = clock.Add(time.Hour - outageProbe - time.Nanosecond)
	look("alice", "a", true, 1)
	clock = clock.Add(time.Nanosecond)
	look("alice", "error", false, 1) // too old
	if d := cmp.Diff([]OutageNews{{Heard: time.Unix(1_800_000_000, 0)}}, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}

	clock = time.Unix(1_800_000_010, 0)
	look("alice", "a", true, 1)
	c.InvalidateAll()                // the connection is back
	look("alice", "error", false, 1) // and nothing is left
	m.fail(nil)
	m.set("alice", withPassword("b"))
	look("alice", "b", false, 1)
	c.Echo(clock)
	look("alice", "b", false, 1)
	if len(told) != 2 || !told[1].Over {
		t.Errorf("told %+v", told)
	}

	// An echo that does not come is an outage as well; one that comes ends it.
	clock = clock.Add(EchoLife)
	m.fail(errNoDatabase)
	look("alice", "b", true, 1)
	c.Invalidate([]string{"alice"}, nil)
	c.Echo(clock)
	look("alice", "error", false, 1)
}

// The connection that comes back while a read fails leaves nothing to serve.
func TestCacheOutageEndsUnderARead(t *testing.T) {
	c, s, _ := newSlowCache(t)
	c.outage.maxAge = time.Hour
	s.set("alice", withPassword("a"))
	s.release <- struct{}{}
	if _, _, err := c.user(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	<-s.looked
	c.Down()
	s.fail(errNoDatabase)
	failed := make(chan error)
	go func() {
		_, _, err := c.user(t.Context(), "alice")
		failed <- err
	}()
	within(t, s.looked)
	c.InvalidateAll()
	s.release <- struct{}{}
	if err := within(t, failed); !errors.Is(err, errNoDatabase) {
		t.Errorf("got %v", err)
	}
}

// hanging never answers.
type hanging struct{ PolicyReader }

func (hanging) UserRows(ctx context.Context, _ string) (UserRows, error) {
	<-ctx.Done()
	return UserRows{}, ctx.Err()
}

// A database that hangs holds up whom memory knows for a moment, and one of
// them in a second; a caller that gives up gets no old rows.
func TestCacheOutageIsBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemoryTables()
		m.set("alice", withPassword("a"))
		c := NewCache(CacheConfig{Reader: m, Dict: dictionary(t), OutageAge: time.Hour})
		c.Echo(time.Now())
		if _, _, err := c.user(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		c.reader = hanging{}
		c.Down()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := c.user(gone, "alice"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		var waits []time.Duration
		for range 16 {
			began := time.Now()
			if _, kept, err := c.user(t.Context(), "alice"); !kept || err != nil {
				t.Fatal(kept, err)
			}
			waits = append(waits, time.Since(began))
			time.Sleep(100 * time.Millisecond)
		}
		want := make([]time.Duration, 16)
		want[0], want[10] = outagePatience, outagePatience
		if d := cmp.Diff(want, waits); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// Without the database a login is accepted by rows from memory where it needs
// nothing else, and gets no answer in all other cases.
func TestAuthorizeInAnOutage(t *testing.T) {
	b := newWorkbench(t)
	b.cache.outage.maxAge = time.Hour
	reg := prometheus.NewRegistry()
	p := &pool{}
	log := postAuthRows{}
	b.config.Addresses, b.config.PostAuth, b.config.Metrics = p, &log, NewMetrics(reg)
	b.config.Options.Outage = OutageCached
	user := func(name string, more ...string) {
		b.tables.set(name, UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p"}, more...)...), Reply: rows("Framed-IP-Address", "=", "192.0.2.7"), Groups: []Membership{{Group: "gold"}}})
	}
	user("plain")
	user("late", "Expiration", ":=", "1 Jan 2020")
	user("off", "Auth-Type", ":=", "Reject")
	user("limited", "Simultaneous-Use", ":=", "1")
	user("static", "Pool-Name", ":=", "main")
	b.tables.set("pooled", UserRows{Check: rows("Cleartext-Password", ":=", "p", "Pool-Name", ":=", "main")})
	user("stranger")
	b.tables.groups["gold"] = GroupRows{Reply: rows("Filter-Id", "=", "gold")}
	e := NewEngine(b.config)
	login := func(name, password string) (Decision, error) {
		return e.Authorize(t.Context(), b.request(t, "User-Name", name, "User-Password", password))
	}
	for _, name := range []string{"plain", "late", "off", "limited", "static", "pooled"} {
		if _, err := login(name, "p"); err != nil {
			t.Fatal(name, err)
		}
	}
	log, p.wants = nil, nil
	b.cache.Down()
	b.tables.fail(errNoDatabase)
	for _, c := range []struct{ name, password, want string }{
		{"plain", "p", ""},
		{"plain", "wrong", "would refuse (bad_password)"},
		{"static", "p", ""}, // its address stands in the items
		{"late", "p", "would refuse (expired)"},
		{"off", "p", "would refuse (auth_type_reject)"},
		{"limited", "p", "a count of sessions"},
		{"pooled", "p", "a lease of a pool"},
		{"stranger", "p", "no connection"},
		{"nobody", "p", "no connection"},
	} {
		d, err := login(c.name, c.password)
		switch {
		case c.want == "" && (err != nil || d.Verdict != Accept || d.Detail == "" || textOf(d.Reply, b.dict.Must("Filter-Id")) != "gold"):
			t.Errorf("%s: %+v, %v; want an accept", c.name, d, err)
		case c.want != "" && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s, password %s: %+v, %v; want trouble with %q", c.name, c.password, d, err, c.want)
		}
	}
	if len(p.wants) > 0 || len(log) != 2 {
		t.Errorf("%d leases were asked for, %d rows logged", len(p.wants), len(log))
	}
	want := `
# HELP radial_logins_from_memory_total Logins by rows from memory while the database was away (policy.outage: cached): accept, or none (no answer: a refusal, or it needs the database).
# TYPE radial_logins_from_memory_total counter
radial_logins_from_memory_total{answer="accept"} 2
radial_logins_from_memory_total{answer="none"} 5
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "radial_logins_from_memory_total"); err != nil {
		t.Error(err)
	}
	var news []OutageNews
	b.cache.outage.told = func(n OutageNews) { news = append(news, n) }
	b.cache.InvalidateAll()
	if len(news) != 1 || news[0].Accepted != 2 || news[0].Silent != 5 {
		t.Errorf("told %+v", news)
	}
}

func TestExplainTellsOfOutages(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("plain", withPassword("p"))
	b.tables.set("limited", UserRows{Check: rows("Cleartext-Password", ":=", "p", "Simultaneous-Use", ":=", "1", "Pool-Name", ":=", "main")})
	b.tables.set("late", UserRows{Check: rows("Cleartext-Password", ":=", "p", "Expiration", ":=", "1 Jan 2020")})
	for _, c := range []struct{ mode, user, want string }{
		{OutageCached, "plain", "accepted by a server that has these rows in memory, for 1h0m0s"},
		{OutageCached, "limited", "not answered: it needs a count of sessions (Simultaneous-Use) and a lease of a pool"},
		{OutageCached, "late", "not answered: refusals"},
		{OutageSilence, "plain", ""},
	} {
		b.config.Options.Outage = c.mode
		x, err := NewEngine(b.config).Explain(t.Context(), b.request(t, "User-Name", c.user))
		if err != nil {
			t.Fatal(err)
		}
		if text := x.Text(); c.want == "" && strings.Contains(text, "without the database") || !strings.Contains(text, c.want) {
			t.Errorf("%s, %s:\n%s", c.mode, c.user, text)
		}
	}
}
