package jobs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/nas/routeros"
	"radial/store"
	fake "radial/test/fakes/routeros"
)

func TestCompareSessions(t *testing.T) {
	at := time.Now()
	addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }
	on := func(user, id string, n int, up time.Duration) routeros.Active {
		return routeros.Active{User: user, SessionID: id, Address: addr(n), Uptime: routeros.Span(up), Radius: true}
	}
	row := func(id int64, user, session string, n int, age time.Duration) store.OpenAt {
		return store.OpenAt{ID: id, User: user, SessionID: session, Address: addr(n), Began: at.Add(-age), Here: true}
	}
	local := on("boss", "81000009", 9, time.Hour)
	local.Radius = false
	elsewhere := row(8, "carol", "81000005", 5, time.Hour)
	elsewhere.Here = false
	for name, c := range map[string]struct {
		active        []routeros.Active
		open          []store.OpenAt
		matched       int
		unknown, lost string
	}{
		"nothing":                       {nil, nil, 0, "", ""},
		"by id, in whatever case":       {[]routeros.Active{on("alice", "81A00001", 1, time.Hour)}, []store.OpenAt{row(1, "alice", "81a00001", 7, time.Hour)}, 1, "", ""},
		"an id of another user":         {[]routeros.Active{on("bob", "81A00001", 2, time.Hour)}, []store.OpenAt{row(1, "alice", "81A00001", 1, time.Hour)}, 0, "bob", "1"},
		"a hotspot, which has no id":    {[]routeros.Active{on("guest", "", 3, time.Hour)}, []store.OpenAt{row(1, "guest", "80000001", 3, time.Hour)}, 1, "", ""},
		"ids of another form":           {[]routeros.Active{on("alice", "1", 1, time.Hour)}, []store.OpenAt{row(1, "alice", "81000001", 1, time.Hour)}, 1, "", ""},
		"came back to the same address": {[]routeros.Active{on("alice", "81000002", 1, time.Hour)}, []store.OpenAt{row(1, "alice", "81000001", 1, 2*time.Hour), row(2, "alice", "81000002", 1, time.Hour)}, 1, "", "1"},
		"one row is not two sessions'":  {[]routeros.Active{on("alice", "", 1, time.Hour), on("alice", "", 1, time.Hour)}, []store.OpenAt{row(1, "alice", "x", 1, time.Hour)}, 1, "alice", ""},
		"just begun, on both sides":     {[]routeros.Active{on("alice", "81000001", 1, 59*time.Second)}, []store.OpenAt{row(2, "bob", "81000002", 2, 59*time.Second)}, 0, "", ""},
		"a minute old, on both sides":   {[]routeros.Active{on("alice", "81000001", 1, time.Minute)}, []store.OpenAt{row(2, "bob", "81000002", 2, time.Minute)}, 0, "alice", "2"},
		"by a secret of the router":     {[]routeros.Active{local}, nil, 0, "", ""},
		"under another address's NAS":   {[]routeros.Active{on("carol", "81000005", 5, time.Hour)}, []store.OpenAt{elsewhere}, 1, "", ""},
		"another NAS's row is not ours": {nil, []store.OpenAt{elsewhere}, 0, "", ""},
	} {
		m := compare("pop1", c.active, c.open, at)
		unknown, lost := "", ""
		for _, a := range m.Unknown {
			unknown += a.User
		}
		for _, o := range m.Lost {
			lost += fmt.Sprint(o.ID)
		}
		if m.Matched != c.matched || unknown != c.unknown || lost != c.lost {
			t.Errorf("%s: %d the same, unknown %q, lost %q; want %d, %q, %q", name, m.Matched, unknown, lost, c.matched, c.unknown, c.lost)
		}
	}
}

// Which address a router's accounting comes from.
func TestHomeOfRouter(t *testing.T) {
	devices := []aaa.Device{{ID: 1, Name: "10.0.0.1"}, {ID: 2, Name: "10.1.0.0/16"}, {ID: 3, Name: "router.example.net"}}
	got := map[string]string{}
	for name, r := range map[string]aaa.Router{
		"its device's": {NASID: 1, Address: "192.0.2.1"}, "own in a network": {NASID: 2, Address: "10.1.2.3"}, "not in it": {NASID: 2, Address: "192.0.2.1"},
		"a host": {NASID: 3, Address: "10.2.0.1"}, "hosts": {NASID: 3, Address: "r.example.net"}, "none": {Address: "10.0.0.1"}, "gone": {NASID: 9, Address: "10.0.0.1"},
	} {
		p, err := homeOf(r, devices)
		got[name] = p.String()
		if err != nil {
			got[name] = "error"
		}
	}
	want := map[string]string{
		"its device's": "10.0.0.1/32", "own in a network": "10.1.2.3/32", "not in it": "error", "a host": "10.2.0.1/32", "hosts": "error", "none": "error", "gone": "error",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A session that was last heard of before its router began is of before that; one that
// was heard of since is not, nor is anything known of a router that does not tell.
func TestRouterRebootedSince(t *testing.T) {
	up := time.Now()
	for ago, want := range map[time.Duration]bool{time.Hour: true, 6 * time.Second: true, 4 * time.Second: false, 0: false, -time.Hour: false} {
		if got := (onRouter{up: up}).rebootedSince(up.Add(-ago)); got != want {
			t.Errorf("heard of %v before: %v", ago, got)
		}
	}
	if (onRouter{}).rebootedSince(up) {
		t.Error("no uptime")
	}
}

// loneRouter is a router of ours, and radacct as far as it is of it.
type loneRouter struct {
	login routeros.Login
	open  []store.OpenAt
}

func (l loneRouter) Login(context.Context, string) (routeros.Login, error) { return l.login, nil }
func (l loneRouter) OfNAS(context.Context, int64) (string, error)          { return "pop1", nil }
func (l loneRouter) Routers(context.Context) ([]aaa.Router, error) {
	return []aaa.Router{{Name: "pop1", Address: "127.0.0.1", NASID: 1}}, nil
}

func (l loneRouter) Devices(context.Context) ([]aaa.Device, error) {
	return []aaa.Device{{ID: 1, Name: "10.0.0.1"}}, nil
}

func (l loneRouter) OpenAtNAS(context.Context, []netip.Prefix, []string) ([]store.OpenAt, error) {
	return slices.Clone(l.open), nil
}

// A router that is up for 20 minutes tells so of the sessions that were heard of
// before, when the silent ones are looked at and when all are compared.
func TestRouterTellsOfItsReboot(t *testing.T) {
	var later atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	_, api := fake.Play(t, fake.Config{Password: "geheim", Now: now}, nil)
	later.Store(int64(20 * time.Minute)) // since it was switched on
	here := netip.MustParseAddr("10.0.0.1")
	session := func(id int64, heard time.Duration, nas netip.Addr) store.OpenAt {
		return store.OpenAt{ID: id, User: fmt.Sprint("u", id), NAS: nas, Began: now().Add(-time.Hour), Heard: now().Add(-heard), Here: nas == here}
	}
	lone := loneRouter{
		login: routeros.Login{Address: api, User: "admin", Password: "geheim"},
		open:  []store.OpenAt{session(1, 30*time.Minute, here), session(2, 10*time.Minute, here), session(3, 30*time.Minute, here.Next())},
	}
	rs := &RouterSessions{db: lone, fleet: routeros.NewFleet(lone, 2, now), now: now}
	known, err := rs.Live(t.Context(), lone.open)
	if err != nil || len(known.live) != 0 || !slices.Equal(known.rebooted, []int64{1}) {
		t.Errorf("%+v, %v", known, err)
	}
	m, err := rs.Compare(t.Context(), aaa.Router{Name: "pop1", NASID: 1}, []aaa.Device{{ID: 1, Name: "10.0.0.1"}})
	if err != nil || len(m.Lost) != 2 || !m.Lost[0].Rebooted || m.Lost[1].Rebooted {
		t.Errorf("%+v, %v", m, err)
	}
}
