package routeros_test

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// everything is a set-up with all parts.
func everything() routeros.Setup {
	return routeros.Setup{
		Parts:   routeros.Parts(),
		Servers: []routeros.Server{{netip.MustParseAddr("192.0.2.1"), 1812, 1813}, {netip.MustParseAddr("192.0.2.2"), 11812, 11813}},
		Secret:  "s3cret of both", CoAPort: 3799, APIPort: 8729, Interim: 5 * time.Minute, Source: netip.MustParseAddr("198.51.100.7"),
		Pools:        []routeros.AddressPool{{Name: "radial-hotspot", Ranges: "10.5.50.2-10.5.50.254"}},
		LocalAddress: "100.64.0.1", DNS: []string{"192.0.2.53", "192.0.2.54"}, MaxLimit: "1G/2G", Target: "100.64.0.0/10",
		PPPoE: []string{"ether2", "ether3"}, Hotspot: "ether4", HotspotAddress: "10.5.50.1", HotspotPool: "radial-hotspot",
	}
}

// livedIn is a router on which somebody has worked before us: what is his must
// stay as it is.
func livedIn(t *testing.T, r *fake.Router) {
	t.Helper()
	put := func(path string, values ...string) {
		t.Helper()
		m := map[string]string{}
		for i := 0; i < len(values); i += 2 {
			m[values[i]] = values[i+1]
		}
		if _, err := r.Put(path, m); err != nil {
			t.Fatal(err)
		}
	}
	put("/radius", "service", "ppp,login", "address", "203.0.113.9", "secret", "his", "comment", "the old server")
	put("/radius", "service", "ppp", "address", "192.0.2.9", "secret", "ours of last year", "comment", "radial ppp 192.0.2.9")
	put("/radius", "service", "wireless", "address", "192.0.2.1", "secret", "his", "comment", "radially yours")
	put("/ip/address", "address", "198.51.100.7/24", "interface", "ether1")
	put("/ip/firewall/filter", "chain", "forward", "action", "drop", "comment", "his, of another chain")
	put("/ip/firewall/filter", "chain", "input", "action", "accept", "protocol", "tcp", "dst-port", "22")
	put("/ip/firewall/filter", "chain", "input", "action", "drop", "comment", "his wall")
	put("/ppp/profile", "name", "gold", "rate-limit", "20M/100M")
	put("/ip/pool", "name", "lan", "ranges", "192.168.88.10-192.168.88.254")
	put("/queue/simple", "name", "office", "target", "10.9.0.0/24", "max-limit", "10M/10M")
	put("/interface/pppoe-server/server", "service-name", "old", "interface", "ether5", "disabled", "false")
	if err := r.Set("/ppp/aaa", "", map[string]string{"interim-update": "10m"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Set("/radius/incoming", "", map[string]string{"port": "1700"}); err != nil {
		t.Fatal(err)
	}
}

// paths are the menus that configure touches.
var paths = []string{
	"/ip/pool", "/queue/type", "/queue/simple", "/ppp/profile", "/interface/pppoe-server/server", "/ip/hotspot/profile", "/ip/hotspot", "/radius",
	"/ppp/aaa", "/radius/incoming", "/ip/firewall/filter",
}

// stateOf is what stands in them, without ids.
func stateOf(r *fake.Router) map[string][]map[string]string {
	state := map[string][]map[string]string{}
	for _, p := range paths {
		state[p] = strip(r.Items(p))
	}
	return state
}

// foreign is what is not ours in a state.
func foreign(state map[string][]map[string]string) map[string][]map[string]string {
	out := map[string][]map[string]string{}
	for p, items := range state {
		for _, i := range items {
			name := i["name"] + i["service-name"]
			if p != "/ppp/aaa" && p != "/radius/incoming" && !strings.HasPrefix(i["comment"], "radial ") && name != "radial" && !strings.HasPrefix(name, "radial-") {
				out[p] = append(out[p], i)
			}
		}
	}
	return out
}

func transcript(b *strings.Builder, title string, done []routeros.Applied, err error) {
	fmt.Fprintf(b, "== %s\n", title)
	if err != nil {
		fmt.Fprintf(b, "error: %v\n", err)
	}
	if len(done) == 0 {
		b.WriteString("nothing to change\n")
	}
	for _, a := range done {
		b.WriteString(a.Text())
	}
}

// What configure shows, sends, and finds done; what undo takes back: on routers
// of both ages, fresh ones and one that somebody has lived in.
func TestConfigureTranscripts(t *testing.T) {
	for name, version := range map[string]string{"v6": "6.49.17 (long-term)", "v7": "7.18.2 (stable)"} {
		t.Run(name, func(t *testing.T) {
			r, login := play(t, fake.Config{Version: version}, nil)
			livedIn(t, r)
			c := connect(t, login)
			before := stateOf(r)
			var b strings.Builder
			s := everything()
			would, err := routeros.Configure(t.Context(), c, s, true)
			transcript(&b, "RouterOS "+version+": dry run", would, err)
			if diff := cmp.Diff(before, stateOf(r)); diff != "" {
				t.Errorf("a dry run has changed: %s", diff)
			}
			did, err := routeros.Configure(t.Context(), c, s, false)
			if diff := cmp.Diff(would, did); diff != "" || err != nil {
				t.Errorf("what is done is not what was shown (%v): %s", err, diff)
			}
			after := stateOf(r)
			if diff := cmp.Diff(foreign(before), foreign(after)); diff != "" {
				t.Errorf("items of others: %s", diff)
			}
			fmt.Fprintf(&b, "== sent\n%s\n", strings.Join(r.Done(), "\n"))
			sent := len(r.Done())
			again, err := routeros.Configure(t.Context(), c, s, false)
			transcript(&b, "again", again, err)
			if len(r.Done()) != sent || len(again) != 0 {
				t.Errorf("a second run has changed something: %v", r.Done()[sent:])
			}
			b.WriteString("== the router\n")
			for _, p := range paths {
				for _, i := range after[p] {
					fmt.Fprintf(&b, "%s%s\n", p, itemText(i))
				}
			}
			back, left, err := routeros.Undo(t.Context(), c, did, false)
			transcript(&b, "undo", back, err)
			for _, l := range left {
				fmt.Fprintf(&b, "left: %s\n", l)
			}
			if diff := cmp.Diff(before, stateOf(r)); diff != "" {
				t.Errorf("after undo: %s", diff)
			}
			if back, _, err := routeros.Undo(t.Context(), c, did, false); err != nil || len(back) != 0 {
				t.Errorf("undo again: %v, %v", back, err)
			}
			golden(t, name+".txt", b.String())
		})
	}
}

func itemText(i map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(i)) {
		v := i[k]
		if routeros.IsSecret(k) {
			v = "***"
		}
		fmt.Fprintf(&b, " %s=%q", k, v)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "configure", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-update writes it anew): %s", path, diff)
	}
}

// slow tells whether the race detector is on, which makes a hundred runs take
// minutes.
func slow() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}

// Wherever the connection breaks, before or after the router has acted, or in
// the middle of its answer: the next run ends in the same router, with nothing
// twice and nothing of others touched. So does undo. With the race detector one
// sentence of seven has to do.
func TestConfigureAfterEveryBreak(t *testing.T) {
	step := 1
	if slow() {
		step = 7
	}
	run := func(login routeros.Login, f func(*routeros.Conn) error) error {
		c, err := routeros.Dial(t.Context(), login)
		if err != nil {
			return err
		}
		defer c.Close()
		return f(c)
	}
	apply := func(c *routeros.Conn) error {
		_, err := routeros.Configure(t.Context(), c, everything(), false)
		return err
	}
	for version, breaks := range map[string][]fake.Breaking{"6.49.17 (long-term)": {fake.Cut}, "7.18.2 (stable)": {fake.Drop, fake.Lose}} {
		whole, login := play(t, fake.Config{Version: version}, nil)
		livedIn(t, whole)
		before := stateOf(whole)
		var planned []routeros.Applied
		if err := run(login, func(c *routeros.Conn) (err error) {
			planned, err = routeros.Configure(t.Context(), c, everything(), true)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		undo := func(c *routeros.Conn) error {
			_, _, err := routeros.Undo(t.Context(), c, planned, false)
			return err
		}
		from := whole.Sentences()
		if err := run(login, apply); err != nil {
			t.Fatal(err)
		}
		sentences := whole.Sentences() - from
		after := stateOf(whole)
		from = whole.Sentences()
		if err := run(login, undo); err != nil {
			t.Fatal(err)
		}
		undoing := whole.Sentences() - from
		for _, how := range breaks {
			for n := 0; n < sentences; n += step {
				r, login := play(t, fake.Config{Version: version}, nil)
				livedIn(t, r)
				r.Break(fake.Fault{Skip: n, How: how})
				if err := run(login, apply); err == nil {
					t.Errorf("%s: break %d at sentence %d was not told", version, how, n)
				}
				if n%11 == 0 { // what was planned takes back also what was done in part
					if err := run(login, undo); err != nil {
						t.Errorf("%s: undo after break %d at sentence %d: %v", version, how, n, err)
					}
					if diff := cmp.Diff(before, stateOf(r)); diff != "" {
						t.Errorf("%s: undo after break %d at sentence %d: %s", version, how, n, diff)
					}
				}
				if err := run(login, apply); err != nil {
					t.Errorf("%s: after break %d at sentence %d: %v", version, how, n, err)
				}
				if diff := cmp.Diff(after, stateOf(r)); diff != "" {
					t.Errorf("%s: after break %d at sentence %d: %s", version, how, n, diff)
				}
			}
			for n := 0; n < undoing; n += step {
				if how != fake.Lose {
					break // what differs is seen there
				}
				r, login := play(t, fake.Config{Version: version}, nil)
				livedIn(t, r)
				if err := run(login, apply); err != nil {
					t.Fatal(err)
				}
				r.Break(fake.Fault{Skip: n, How: how})
				if err := run(login, undo); err == nil {
					t.Errorf("%s: break %d at sentence %d of undo was not told", version, how, n)
				}
				if err := run(login, undo); err != nil {
					t.Errorf("%s: undo after break %d at its sentence %d: %v", version, how, n, err)
				}
				if diff := cmp.Diff(before, stateOf(r)); diff != "" {
					t.Errorf("%s: undo after break %d at its sentence %d: %s", version, how, n, diff)
				}
			}
		}
	}
}
