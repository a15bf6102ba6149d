package routeros_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

// comments are those of a menu's items, in their order.
func comments(r *fake.Router, path string) []string {
	var all []string
	for _, i := range r.Items(path) {
		all = append(all, i["comment"])
	}
	return all
}

func actions(done []routeros.Applied) []string {
	var all []string
	for _, a := range done {
		all = append(all, string(a.Action)+" "+a.Path+" "+a.Key["comment"])
	}
	return all
}

func wantActions(t *testing.T, what string, done []routeros.Applied, err error, want ...string) {
	t.Helper()
	if err != nil || !slices.Equal(actions(done), want) {
		t.Errorf("%s: %q, %v, want %q", what, actions(done), err, want)
	}
}

// What somebody has put out of order is put right; servers that are not wanted
// any more go, and come in the order in which they are to be asked.
func TestConfigureKeepsItsPlace(t *testing.T) {
	r, login := play(t, fake.Config{}, nil)
	c := connect(t, login)
	s := everything()
	s.Parts = []routeros.Part{routeros.PartRADIUS}
	if _, err := routeros.Configure(t.Context(), c, s, false); err != nil {
		t.Fatal(err)
	}
	// two CoA doors; somebody's wall is put before the first of them
	id, err := r.Put("/ip/firewall/filter", map[string]string{"chain": "input", "action": "drop", "comment": "his wall"})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := routeros.Configure(t.Context(), c, s, false); err != nil || len(done) != 0 {
		t.Fatalf("%v, %v", actions(done), err)
	}
	first := r.Items("/ip/firewall/filter")[0][".id"]
	if _, err := c.Run(t.Context(), "/ip/firewall/filter/move", "=numbers="+id, "=destination="+first); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		done, err := routeros.Configure(t.Context(), c, s, dryRun)
		wantActions(t, "a wall before ours", done, err, "moved /ip/firewall/filter radial coa 192.0.2.1", "moved /ip/firewall/filter radial coa 192.0.2.2")
	}
	if got := comments(r, "/ip/firewall/filter"); !slices.Equal(got, []string{"radial coa 192.0.2.1", "radial coa 192.0.2.2", "his wall"}) {
		t.Errorf("rules: %q", got)
	}

	slices.Reverse(s.Servers)
	done, err := routeros.Configure(t.Context(), c, s, false)
	wantActions(t, "the other server first", done, err, "moved /radius radial ppp 192.0.2.2", "moved /radius radial ppp 192.0.2.1")
	if got := comments(r, "/radius"); !slices.Equal(got, []string{"radial ppp 192.0.2.2", "radial ppp 192.0.2.1"}) {
		t.Errorf("servers: %q", got)
	}
	if done, err := routeros.Configure(t.Context(), c, s, false); err != nil || len(done) != 0 {
		t.Errorf("again: %q, %v", actions(done), err)
	}

	s.Servers = []routeros.Server{s.Servers[0], {netip.MustParseAddr("2001:db8::1"), 1812, 1813}}
	done, err = routeros.Configure(t.Context(), c, s, false)
	wantActions(t, "one by IPv6 in place of the other", done, err,
		"added /radius radial ppp 2001:db8::1", "removed /radius radial ppp 192.0.2.1", "removed /ip/firewall/filter radial coa 192.0.2.1")
	if done, err := routeros.Configure(t.Context(), c, s, false); err != nil || len(done) != 0 {
		t.Errorf("again: %q, %v", actions(done), err)
	}
}

// A user who may only read can show the difference, and nothing is done.
func TestConfigureWithoutRights(t *testing.T) {
	r, login := play(t, fake.Config{ReadOnly: true}, nil)
	c := connect(t, login)
	would, err := routeros.Configure(t.Context(), c, everything(), true)
	if err != nil || len(would) == 0 {
		t.Fatalf("dry run: %v, %v", would, err)
	}
	done, err := routeros.Configure(t.Context(), c, everything(), false)
	if !isTrap(4, "not enough permissions")(err) || len(done) != 0 || !strings.HasPrefix(err.Error(), "pools: ") || len(r.Done()) != 0 {
		t.Errorf("%v, %v, %v", done, err, r.Done())
	}
}

// What an undo cannot know, or what is somebody else's by now, it leaves.
func TestUndoLeaves(t *testing.T) {
	r, login := play(t, fake.Config{}, nil)
	c := connect(t, login)
	for _, v := range []map[string]string{
		{"service": "ppp", "address": "192.0.2.1", "secret": "ours", "timeout": "3s", "comment": "radial ppp 192.0.2.1"},
		{"service": "ppp", "address": "192.0.2.2", "secret": "his by now", "timeout": "3s", "comment": "mine"},
	} {
		if _, err := r.Put("/radius", v); err != nil {
			t.Fatal(err)
		}
	}
	change := func(comment string) routeros.Applied {
		return routeros.Applied{
			Part: routeros.PartRADIUS, Action: routeros.Changed, Path: "/radius", Key: routeros.Row{"comment": comment},
			Before: routeros.Row{"secret": "*****", "timeout": "1100ms"}, After: routeros.Row{"secret": "ours", "timeout": "3s"},
		}
	}
	done, left, err := routeros.Undo(t.Context(), c, []routeros.Applied{
		change("mine"), change("gone"), change("radial ppp 192.0.2.1"),
		{Action: routeros.Added, Path: "/radius", Key: routeros.Row{"comment": "radial gone"}},
		{Action: routeros.Removed, Path: "/radius", Key: routeros.Row{"comment": "radial ppp 192.0.2.9"}, Next: "*99",
			Before: routeros.Row{"service": "ppp", "address": "192.0.2.9", "secret": "", "comment": "radial ppp 192.0.2.9"}},
		{Action: routeros.Moved, Path: "/radius", Key: routeros.Row{"comment": "radial ppp 192.0.2.1"}},
	}, false)
	wantActions(t, "undo", done, err, "added /radius radial ppp 192.0.2.9", "changed /radius radial ppp 192.0.2.1")
	want := []string{
		`/radius comment="radial ppp 192.0.2.9": its secret could not be read when it was removed, and is not set`,
		`/radius comment="radial ppp 192.0.2.1": the secret that it had could not be read, and is not set`,
		`/radius comment="mine": it is not ours any more`,
	}
	if !slices.Equal(left, want) {
		t.Errorf("left: %q", left)
	}
	items := r.Items("/radius")
	if items[0]["secret"] != "ours" || items[0]["timeout"] != "1s100ms" || items[1]["timeout"] != "3s" {
		t.Errorf("%v", items)
	}
}

func TestSetupCheck(t *testing.T) {
	good := everything()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*routeros.Setup){
		"nothing to configure":                func(s *routeros.Setup) { s.Parts = nil },
		"pools: no pool is named":             func(s *routeros.Setup) { s.Pools = nil },
		`pool "lan": want a name`:             func(s *routeros.Setup) { s.Pools = []routeros.AddressPool{{Name: "lan"}} },
		"pppoe: no interface is named":        func(s *routeros.Setup) { s.PPPoE = nil },
		"hotspot: no interface is named":      func(s *routeros.Setup) { s.Hotspot = "" },
		"radius: no server, or no secret":     func(s *routeros.Setup) { s.Secret = "" },
		"firewall: no server whose packets":   func(s *routeros.Setup) { s.APIPort = 0 },
		"radius: no port for CoA":             func(s *routeros.Setup) { s.CoAPort = 0 },
		"queue: a limit without the networks": func(s *routeros.Setup) { s.Target = "" },
	} {
		s := everything()
		spoil(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]routeros.Server{
		"192.0.2.1":               {netip.MustParseAddr("192.0.2.1"), 1, 2},
		"192.0.2.1:1812:1813":     {netip.MustParseAddr("192.0.2.1"), 1812, 1813},
		"::ffff:192.0.2.1":        {netip.MustParseAddr("192.0.2.1"), 1, 2},
		"2001:db8::1":             {netip.MustParseAddr("2001:db8::1"), 1, 2},
		"[2001:db8::1]:1812:1813": {netip.MustParseAddr("2001:db8::1"), 1812, 1813},
	} {
		if got, err := routeros.ParseServer(text, 1, 2); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "radius", "192.0.2.1:1812", "192.0.2.1:0:1813", "192.0.2.1:1812:65536", "fe80::1%eth0", "192.0.2.1:1812:1813:1"} {
		if got, err := routeros.ParseServer(bad, 1, 2); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}
