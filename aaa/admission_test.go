package aaa

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/ipam"
)

const (
	phone, router = "aa:aa:aa:00:00:01", "aa:aa:aa:00:00:02"
	noon          = 1_790_000_000
)

// callerAt is a caller at NAS 10.0.0.n.
func callerAt(n byte, port, mac string) ipam.Caller {
	return ipam.Caller{User: "alice", NAS: netip.AddrFrom4([4]byte{10, 0, 0, n}), Port: port, MAC: mac}
}

func secs(n int64) time.Time { return time.Unix(noon+n, 0) }

func TestAdmit(t *testing.T) {
	open := func(id, start int64, c ipam.Caller, session string) OpenSession {
		return OpenSession{ID: id, Caller: c, SessionID: session, Calling: c.MAC, Start: secs(start)}
	}
	waiting := func(id, made int64, c ipam.Caller, session string, replaces ...int64) WaitingLogin {
		return WaitingLogin{ID: id, Caller: c, SessionID: session, Replaces: replaces, Made: secs(made)}
	}
	home := callerAt(1, "ether1", router)
	for _, c := range []struct {
		what    string
		login   ipam.Admission // its limit is 1 unless it says another
		never   bool
		open    []OpenSession
		waiting []WaitingLogin

		ok                   bool
		countOpen, countWait int
		replaces, renews     []int64
	}{
		{what: "nobody is there", login: ipam.Admission{Caller: home}, ok: true},
		{what: "another device has a session", login: ipam.Admission{Caller: home},
			open: []OpenSession{open(7, 0, callerAt(1, "ether1", phone), "s1")}, countOpen: 1},
		{what: "power loss: the same port and MAC are back", login: ipam.Admission{Caller: home, SessionID: "s2"},
			open: []OpenSession{open(7, 0, home, "s1")}, ok: true, replaces: []int64{7}},
		{what: "the same, and never", login: ipam.Admission{Caller: home, SessionID: "s2"}, never: true,
			open: []OpenSession{open(7, 0, home, "s1")}, countOpen: 1},
		{what: "a port without a MAC is back", login: ipam.Admission{Caller: callerAt(1, "ether1", ""), SessionID: "s2"},
			open: []OpenSession{open(7, 0, callerAt(1, "ether1", ""), "s1")}, ok: true, replaces: []int64{7}},
		{what: "another port without a MAC", login: ipam.Admission{Caller: callerAt(1, "ether2", "")},
			open: []OpenSession{open(7, 0, callerAt(1, "ether1", ""), "s1")}, countOpen: 1},
		{what: "nobody knows who it is", login: ipam.Admission{Caller: callerAt(1, "", "")},
			open: []OpenSession{open(7, 0, callerAt(1, "", ""), "s1")}, countOpen: 1},
		{what: "the session itself is authenticated again", login: ipam.Admission{Caller: callerAt(1, "", ""), SessionID: "s1"},
			open: []OpenSession{open(7, 0, callerAt(1, "", ""), "s1")}, ok: true},
		{what: "the same id at another NAS", login: ipam.Admission{Caller: callerAt(2, "", ""), SessionID: "s1"},
			open: []OpenSession{open(7, 0, callerAt(1, "", ""), "s1")}, countOpen: 1},
		{what: "the same MAC at another NAS", login: ipam.Admission{Caller: callerAt(2, "ether9", router)},
			open: []OpenSession{open(7, 0, home, "s1")}, ok: true, replaces: []int64{7}},
		{what: "the same MAC elsewhere, and there is room", login: ipam.Admission{Caller: callerAt(2, "ether9", router), Limit: 2},
			open: []OpenSession{open(7, 0, home, "s1")}, ok: true, countOpen: 1},
		{what: "the same MAC elsewhere twice: the older one goes", login: ipam.Admission{Caller: callerAt(2, "ether9", router), Limit: 2},
			open: []OpenSession{open(8, 5, home, "s1"), open(7, 0, callerAt(1, "ether2", router), "s2")}, ok: true, countOpen: 1, replaces: []int64{7}},
		{what: "clients behind one address", login: ipam.Admission{Caller: callerAt(1, "8", "203.0.113.9")},
			open: []OpenSession{open(7, 0, callerAt(1, "7", "203.0.113.9"), "s1")}, countOpen: 1},
		{what: "own and another's", login: ipam.Admission{Caller: home, Limit: 2},
			open: []OpenSession{open(7, 0, home, "s1"), open(8, 0, callerAt(1, "ether1", phone), "s2")}, ok: true, countOpen: 1, replaces: []int64{7}},
		{what: "several links: another port of the MAC is none of a dead session", login: ipam.Admission{Caller: callerAt(1, "ether2", router), Links: 2, Limit: 2},
			open: []OpenSession{open(7, 0, home, "s1"), open(8, 0, callerAt(3, "x", phone), "s2")}, countOpen: 2},
		{what: "Port-Limit above the limit: another link of the line", login: ipam.Admission{Caller: callerAt(1, "ether2", router), Calling: router, Links: 2},
			open: []OpenSession{open(7, 0, home, "s1")}, ok: true, countOpen: 1},

		{what: "another device was let in and has not started", login: ipam.Admission{Caller: home},
			waiting: []WaitingLogin{waiting(3, 0, callerAt(1, "ether1", phone), "s1")}, countWait: 1},
		{what: "the same caller asks again", login: ipam.Admission{Caller: home, SessionID: "s1"}, never: true,
			waiting: []WaitingLogin{waiting(3, 0, home, "s1")}, ok: true, renews: []int64{3}},
		{what: "the same caller dials again", login: ipam.Admission{Caller: home, SessionID: "s2"}, never: true,
			waiting: []WaitingLogin{waiting(3, 0, home, "s1")}, ok: true, renews: []int64{3}},
		{what: "a port that several may have", login: ipam.Admission{Caller: callerAt(1, "0", ""), SessionID: "s2"},
			waiting: []WaitingLogin{waiting(3, 0, callerAt(1, "0", ""), "s1")}, countWait: 1},
		{what: "nobody knows who was let in", login: ipam.Admission{Caller: callerAt(1, "", "")},
			waiting: []WaitingLogin{waiting(3, 0, callerAt(1, "", ""), "")}, countWait: 1},
		{what: "let in, and the session is there", login: ipam.Admission{Caller: callerAt(1, "ether5", phone), Limit: 2}, never: true,
			open: []OpenSession{open(7, 1, home, "s1")}, waiting: []WaitingLogin{waiting(3, 0, home, "s1")}, ok: true, countOpen: 1},
		{what: "let in, and started under another id", login: ipam.Admission{Caller: callerAt(1, "ether5", phone), Limit: 2}, never: true,
			open: []OpenSession{open(7, 1, home, "s1")}, waiting: []WaitingLogin{waiting(3, 0, home, "")}, ok: true, countOpen: 1},
		{what: "let in beside an older session", login: ipam.Admission{Caller: callerAt(1, "ether5", phone), Limit: 2}, never: true,
			open: []OpenSession{open(7, -9, home, "s1")}, waiting: []WaitingLogin{waiting(3, 0, home, "")}, countOpen: 1, countWait: 1},
		{what: "let in, in the place of a dead one: both are one", login: ipam.Admission{Caller: callerAt(1, "ether5", phone), Limit: 2},
			open: []OpenSession{open(7, -9, home, "s1")}, waiting: []WaitingLogin{waiting(3, 0, home, "s2", 7)}, ok: true, countOpen: 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.login.Replace = !c.never
			c.login.Limit = max(c.login.Limit, 1)
			r := Admit(&c.login, c.open, c.waiting)
			if r.OK != c.ok || r.Open != c.countOpen || r.Waiting != c.countWait || !slices.Equal(r.ReplacedIDs(), c.replaces) && len(c.replaces)+len(r.Replaces) > 0 || !slices.Equal(r.Renews, c.renews) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// Whatever is there: a login is never let in above the limit but as a link of a
// line; with never, what counts is at least the open sessions; nothing both counts
// and is replaced.
func TestAdmitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		caller := rapid.Custom(func(t *rapid.T) ipam.Caller {
			return callerAt(rapid.Byte().Draw(t, "nas")%2, rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "port"), rapid.SampledFrom([]string{"", phone, router, "203.0.113.9"}).Draw(t, "mac"))
		})
		id := rapid.SampledFrom([]string{"", "s1", "s2", "s3"})
		login := ipam.Admission{
			Caller: caller.Draw(t, "caller"), SessionID: id.Draw(t, "id"), Limit: uint32(rapid.IntRange(1, 3).Draw(t, "limit")),
			Replace: rapid.Bool().Draw(t, "replace"), Links: uint32(rapid.IntRange(0, 3).Draw(t, "links")),
		}
		var open []OpenSession
		for i := range rapid.IntRange(0, 4).Draw(t, "open") {
			open = append(open, OpenSession{ID: int64(i + 1), Caller: caller.Draw(t, "caller"), SessionID: id.Draw(t, "id"), Start: secs(int64(i))})
		}
		var waiting []WaitingLogin
		for i := range rapid.IntRange(0, 4).Draw(t, "waiting") {
			waiting = append(waiting, WaitingLogin{ID: int64(i + 1), Caller: caller.Draw(t, "caller"), SessionID: id.Draw(t, "id"), Made: secs(2)})
		}
		r := Admit(&login, open, waiting)
		if r.OK != (r.Line || r.Open+r.Waiting < int(login.Limit)) {
			t.Fatalf("%+v of %d", r, login.Limit)
		}
		if !login.Replace && (r.Open != len(open) || len(r.Replaces) > 0) {
			t.Fatalf("never, and %+v", r)
		}
		if r.Open+len(r.Replaces) > len(open) || r.Waiting+len(r.Renews) > len(waiting) {
			t.Fatalf("counted and replaced: %+v", r)
		}
	})
}
