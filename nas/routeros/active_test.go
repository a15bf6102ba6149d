package routeros_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/nas"
	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

// dial logs a subscriber in by a secret of the router's own.
func dial(t *testing.T, r *fake.Router, name, address string) *fake.Session {
	t.Helper()
	if _, err := r.Put("/ppp/secret", map[string]string{"name": name, "service": "pppoe", "password": "x", "remote-address": address}); err != nil {
		t.Fatal(err)
	}
	s, err := r.Dial(t.Context(), fake.Subscriber{Name: name, Password: "x", MAC: "00:00:5E:00:53:01"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessions(t *testing.T) {
	for _, v := range versions {
		clock := time.Now()
		r, login := play(t, fake.Config{Version: v, Now: func() time.Time { return clock }}, nil)
		c := connect(t, login)
		if all, err := routeros.Sessions(t.Context(), c); err != nil || all == nil || len(all) != 0 {
			t.Fatalf("nobody: %v, %v", all, err)
		}
		alice := dial(t, r, "alice", "10.0.0.9")
		if err := alice.Transfer(t.Context(), 5<<32, 7); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Put("/ip/hotspot/active", map[string]string{"user": "guest", "address": "10.5.0.2", "mac-address": "00:00:5E:00:53:02", "server": "hs1", "bytes-in": "11", "bytes-out": "12", "uptime": "1w1h2m3s", "radius": "true"}); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Hour + 2*time.Minute + 3*time.Second)
		all, err := routeros.Sessions(t.Context(), c)
		if err != nil || len(all) != 2 {
			t.Fatalf("%+v, %v", all, err)
		}
		p, h := all[0], all[1]
		if p.User != "alice" || p.SessionID != alice.ID || p.Address != netip.MustParseAddr("10.0.0.9") || time.Duration(p.Uptime) != 3723*time.Second || p.Up != 5<<32 || p.Down != 7 || p.Radius {
			t.Errorf("%+v", p)
		}
		if h.User != "guest" || h.Menu != "hotspot" || time.Duration(h.Uptime) != 7*24*time.Hour+3723*time.Second || h.Up != 11 || h.Down != 12 || !h.Radius {
			t.Errorf("%+v", h)
		}
		for _, s := range []routeros.Seat{
			{User: "alice", SessionID: "81F00999", Address: netip.MustParseAddr("10.0.0.9")}, {User: "alice", Address: netip.MustParseAddr("10.0.0.8")}, {User: "bob"},
		} {
			if gone, err := routeros.End(t.Context(), c, s); err != nil || !gone {
				t.Errorf("%+v: gone %v, %v", s, gone, err)
			}
		}
		for _, s := range []routeros.Seat{{User: "guest", SessionID: "80000001", Address: netip.MustParseAddr("10.5.0.2")}, {User: "alice", SessionID: strings.ToLower(alice.ID)}} {
			for _, want := range []bool{false, true} {
				if gone, err := routeros.End(t.Context(), c, s); err != nil || gone != want {
					t.Errorf("%+v: gone %v, %v, want %v", s, gone, err, want)
				}
			}
		}
		for until := time.Now().Add(5 * time.Second); !alice.Ended(); {
			if time.Now().After(until) {
				t.Fatal("alice's session goes on")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestSetRate(t *testing.T) {
	limit, err := nas.ParseRateLimit("5M/10M 10M/20M 4M/8M 8/16 3 1M/2M")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		r, login := play(t, fake.Config{Version: v}, nil)
		c := connect(t, login)
		dial(t, r, "alice", "10.0.0.9")
		dial(t, r, "bob", "10.0.0.10")
		for name, queue := range map[string]map[string]string{
			"alice": {"name": "alice's", "target": "10.0.0.9/32", "max-limit": "1M/1M"}, "bob": {"name": "<pppoe-bob>", "target": "<pppoe-bob>", "dynamic": "true"},
		} {
			if _, err := r.Put("/queue/simple", queue); err != nil {
				t.Fatal(name, err)
			}
		}
		for range 2 {
			if gone, err := routeros.SetRate(t.Context(), c, routeros.Seat{User: "alice"}, limit); err != nil || gone {
				t.Fatalf("gone %v, %v", gone, err)
			}
		}
		for _, q := range r.Items("/queue/simple") {
			if q["name"] == "alice's" && (q["max-limit"] != "5000000/10000000" || q["burst-time"] != "8s/16s" || q["priority"] != "3/3" || q["limit-at"] != "1000000/2000000") {
				t.Errorf("%v", q)
			}
		}
		if n := len(r.Done()); n != 1 {
			t.Errorf("%d changes: %v", n, r.Done())
		}
		if _, err := routeros.SetRate(t.Context(), c, routeros.Seat{User: "bob"}, limit); !errors.Is(err, routeros.ErrFixedQueue) {
			t.Errorf("a queue of the router's own: %v", err)
		}
		if gone, err := routeros.SetRate(t.Context(), c, routeros.Seat{User: "carol"}, limit); err != nil || !gone {
			t.Errorf("nobody: gone %v, %v", gone, err)
		}
	}
}

func TestInterfaces(t *testing.T) {
	r, login := play(t, fake.Config{}, nil)
	c := connect(t, login)
	if err := r.Set("/interface", "ether2", map[string]string{"rx-byte": "18446744073709551615", "tx-drop": "3"}); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, r, "alice", "10.0.0.9").Transfer(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	all, err := routeros.Interfaces(t.Context(), c)
	if err != nil || len(all) != 6 {
		t.Fatalf("%+v, %v", all, err)
	}
	if e := all[1]; e.Name != "ether2" || e.RxByte != 1<<64-1 || e.TxDrop != 3 || !e.Running {
		t.Errorf("%+v", e)
	}
	if l := all[5]; l.Name != "<pppoe-alice>" || !l.Dynamic || l.RxByte != 1 || l.TxByte != 2 {
		t.Errorf("%+v", l)
	}
}
