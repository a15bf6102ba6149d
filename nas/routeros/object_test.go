package routeros_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

func span(d time.Duration) routeros.Span { return routeros.Span(d) }

// objects are one of each kind with all its fields, another form of it, and the
// one with as few fields as may be; each after those that it names.
func objects() []struct{ whole, other, bare routeros.Object } {
	at := netip.MustParseAddr
	return []struct{ whole, other, bare routeros.Object }{
		{
			routeros.IPPool{Name: "p", Ranges: []string{"10.0.0.2-10.0.0.9", "10.1.0.0/24"}}, routeros.IPPool{Name: "p", Ranges: []string{"10.0.0.2-10.0.0.20"}},
			routeros.IPPool{Name: "p", Ranges: []string{"10.0.0.7"}},
		},
		{
			routeros.Profile{
				Name: "gold", LocalAddress: "10.0.0.1", RemoteAddress: "p", RateLimit: "20M/100M 40M/200M 15M/75M 10/10 8 5M/25M", SessionTimeout: span(24 * time.Hour),
				IdleTimeout: span(90 * time.Second), OnlyOne: "yes", DNS: []netip.Addr{at("9.9.9.9"), at("2620:fe::fe")}, AddressList: "paying",
			},
			routeros.Profile{Name: "gold", RemoteAddress: "p", RateLimit: "5M/10M", SessionTimeout: span(time.Hour)}, routeros.Profile{Name: "gold"},
		},
		{
			routeros.Secret{
				Name: "älice smith", Service: "pppoe", Password: "p=w 1", Profile: "gold", CallerID: "00:00:5E:00:53:01", LocalAddress: at("10.0.0.1"),
				RemoteAddress: at("10.0.0.9"), RemoteIPv6Prefix: "2001:db8:1::/64", Routes: "10.9.0.0/24", LimitIn: 1 << 40, LimitOut: 7, Disabled: true,
			},
			routeros.Secret{Name: "älice smith", Service: "pppoe", Profile: "gold", RemoteAddress: at("10.0.0.10")}, routeros.Secret{Name: "älice smith", Service: "pppoe"},
		},
		{
			routeros.Secret{Name: "älice smith", Service: "sstp", Password: "other", Profile: "default", RemoteAddress: at("10.0.0.11")},
			routeros.Secret{Name: "älice smith", Service: "sstp", Disabled: true}, routeros.Secret{Name: "älice smith", Service: "sstp"},
		},
		{
			routeros.Queue{
				Name: "q", Target: []string{"10.0.0.9"}, MaxLimit: routeros.RatePair{Up: 20e6, Down: 100e6}, LimitAt: routeros.RatePair{Up: 1e6, Down: 2e6},
				BurstLimit: routeros.RatePair{Up: 40e6, Down: 200e6}, BurstThreshold: routeros.RatePair{Up: 15e6, Down: 75e6},
				BurstTime: routeros.DurationPair{Up: span(8 * time.Second), Down: span(16 * time.Second)}, Priority: routeros.IntPair{Up: 3, Down: 5}, Disabled: true,
			},
			routeros.Queue{Name: "q", Target: []string{"10.0.0.0/24", "ether2"}, MaxLimit: routeros.RatePair{Up: 512e3, Down: 1500}}, routeros.Queue{Name: "q", Target: []string{"ether2"}},
		},
		{
			routeros.HotspotUser{
				Name: "guest", Server: "all", Password: "x", Profile: "default", MAC: "00:00:5E:00:53:02", Address: at("10.5.0.2"), LimitUptime: span(2 * time.Hour), LimitIn: 1, LimitOut: 2, LimitTotal: 1 << 33,
				Email: "g@example.net", Disabled: true,
			},
			routeros.HotspotUser{Name: "guest", LimitUptime: span(time.Hour)}, routeros.HotspotUser{Name: "guest"},
		},
		{
			routeros.Rule{
				Name: "no-mail", Chain: "forward", Action: "drop", Protocol: "tcp", SrcAddress: "10.0.0.0/8", DstAddress: "!192.0.2.1-192.0.2.9", SrcPort: "1024-65535",
				DstPort: "25,587", InInterface: "ether2", OutInterface: "ether1", SrcAddressList: "paying", ConnectionState: []string{"new", "untracked"}, Log: true, LogPrefix: "mail", Disabled: true,
			},
			routeros.Rule{Name: "no-mail", Chain: "forward", Action: "reject", Protocol: "tcp", DstPort: "25", RejectWith: "tcp-reset"},
			routeros.Rule{Name: "no-mail", Chain: "forward", Action: "add-src-to-address-list", AddressList: "mailers", AddressListTimeout: span(time.Hour)},
		},
	}
}

// Each kind, on each version: made, found the same, changed, emptied, taken.
func TestPut(t *testing.T) {
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			r, login := play(t, fake.Config{Version: v}, nil)
			c := connect(t, login)
			for _, o := range objects() {
				for _, step := range []struct {
					put    routeros.Object
					dry    bool
					action routeros.Action
				}{
					{o.whole, true, routeros.Added},
					{o.whole, false, routeros.Added},
					{o.whole, false, routeros.Unchanged},
					{o.other, true, routeros.Changed},
					{o.other, false, routeros.Changed},
					{o.other, false, routeros.Unchanged},
					{o.whole, false, routeros.Changed},
					{o.bare, false, routeros.Changed},
					{o.bare, false, routeros.Unchanged},
				} {
					said := len(r.Done())
					got, err := routeros.Put(t.Context(), c, step.put, routeros.How{Known: true, DryRun: step.dry})
					if err != nil || got.Action != step.action {
						t.Fatalf("%T %+v: %+v, %v, want %s", o.whole, step.put, got, err, step.action)
					}
					if n := len(r.Done()) - said; (n == 0) != (step.dry || step.action == routeros.Unchanged) {
						t.Errorf("%+v, dry %v: %d commands that change something", step.put, step.dry, n)
					}
				}
			}
			if reply, err := c.Run(t.Context(), "/ppp/secret/print"); err != nil || len(reply.Rows) != 2 {
				t.Errorf("one name, two services: %v, %v", reply, err)
			}
			for _, o := range slices.Backward(objects()) {
				name, scope := o.bare.Identity()
				for _, action := range []routeros.Action{routeros.Removed, routeros.Unchanged} {
					got, err := routeros.Take(t.Context(), c, o.bare.Kind(), name, scope, routeros.How{Known: true})
					if err != nil || got.Action != action {
						t.Errorf("take %s %q: %+v, %v, want %s", o.bare.Kind(), name, got, err, action)
					}
				}
				if left, err := routeros.List(t.Context(), c, o.bare.Kind()); err != nil || left == nil || slices.ContainsFunc(left, func(i routeros.Item) bool { return i.Name == name }) {
					t.Errorf("%s: %v, %v", o.bare.Kind(), left, err)
				}
			}
		})
	}
}

// What is read back is what was put.
func TestItems(t *testing.T) {
	_, login := play(t, fake.Config{}, nil)
	c := connect(t, login)
	for _, o := range objects() {
		if _, err := routeros.Put(t.Context(), c, o.whole, routeros.How{Note: "by hand"}); err != nil {
			t.Fatal(err)
		}
		items, err := routeros.List(t.Context(), c, o.whole.Kind())
		if err != nil {
			t.Fatal(err)
		}
		name, _ := o.whole.Identity()
		i := items[slices.IndexFunc(items, func(i routeros.Item) bool { return i.Name == name })]
		if !i.Ours || i.Note != "by hand" || !strings.HasPrefix(i.ID, "*") {
			t.Errorf("%+v", i)
		}
		got, err := read(i)
		if q, is := got.(routeros.Queue); is {
			q.Target[0] = strings.TrimSuffix(q.Target[0], "/32") // the router's form
			got = q
		}
		if diff := cmp.Diff(o.whole, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
}

func read(i routeros.Item) (o routeros.Object, err error) {
	switch i.Kind {
	case routeros.KindSecret, routeros.KindVPN:
		o, err = routeros.SecretOf(i)
	case routeros.KindProfile:
		o, err = routeros.ProfileOf(i)
	case routeros.KindIPPool:
		o, err = routeros.IPPoolOf(i)
	case routeros.KindQueue:
		o, err = routeros.QueueOf(i)
	case routeros.KindHotspot:
		o, err = routeros.HotspotUserOf(i)
	case routeros.KindFirewall:
		o, err = routeros.RuleOf(i)
	}
	return o, err
}

// A change sends what changes and nothing else: no password for a new profile,
// and the item is named by its .id.
func TestPutSendsTheDifference(t *testing.T) {
	r, login := play(t, fake.Config{}, nil)
	c := connect(t, login)
	s := routeros.Secret{Name: "alice", Service: "pppoe", Password: "pw"}
	made, err := routeros.Put(t.Context(), c, s, routeros.How{})
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = "default-encryption"
	before := len(r.Done())
	if _, err := routeros.Put(t.Context(), c, s, routeros.How{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/ppp/secret/set profile=default-encryption .id=" + made.ID}, r.Done()[before:]); diff != "" {
		t.Error(diff)
	}
}

// What is not ours is not touched.
func TestForeign(t *testing.T) {
	for v, pool := range map[string]bool{"6.49.17 (long-term)": true, "7.15.3 (stable)": false} {
		r, login := play(t, fake.Config{Version: v}, nil)
		c := connect(t, login)
		for path, values := range map[string]map[string]string{
			"/ppp/secret": {"name": "bob", "service": "pppoe", "comment": "the boss"}, "/ip/pool": {"name": "own", "ranges": "10.0.0.2"},
			"/ip/firewall/filter": {"chain": "forward", "action": "accept", "comment": "rule:open"},
		} {
			if _, err := r.Put(path, values); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range []routeros.Object{
			routeros.Secret{Name: "bob", Service: "pppoe", Profile: "default-encryption"}, routeros.IPPool{Name: "own", Ranges: []string{"10.0.0.3"}}, routeros.Profile{Name: "default", RateLimit: "1M/1M"},
		} {
			name, scope := o.Identity()
			if _, err := routeros.Put(t.Context(), c, o, routeros.How{}); !errors.Is(err, routeros.ErrForeign) {
				t.Errorf("%s: put %s %q: %v", v, o.Kind(), name, err)
			}
			if _, err := routeros.Take(t.Context(), c, o.Kind(), name, scope, routeros.How{}); !errors.Is(err, routeros.ErrForeign) {
				t.Errorf("%s: take %s %q: %v", v, o.Kind(), name, err)
			}
		}
		if got, err := routeros.Take(t.Context(), c, routeros.KindFirewall, "open", "", routeros.How{}); err != nil || got.Action != routeros.Unchanged {
			t.Errorf("a rule that somebody calls like ours: %+v, %v", got, err)
		}
		if got := len(r.Done()); got != 0 {
			t.Errorf("%s: %v", v, r.Done())
		}
		_, err := routeros.Put(t.Context(), c, routeros.IPPool{Name: "own", Ranges: []string{"10.0.0.3"}}, routeros.How{Known: true})
		if pool != (err == nil) {
			t.Errorf("%s: a pool that we remember as ours: %v", v, err)
		}
		adopted, err := routeros.Put(t.Context(), c, routeros.Secret{Name: "bob", Service: "pppoe"}, routeros.How{Adopt: true, Note: "adopted"})
		if err != nil || adopted.After["comment"] != "radial adopted" || adopted.Before["comment"] != "the boss" {
			t.Errorf("%+v, %v", adopted, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for want, o := range map[string]routeros.Object{
		`name "": want a name`:                                 routeros.Secret{Service: "pppoe"},
		`service "pppoa": want one of any`:                     routeros.Secret{Name: "a", Service: "pppoa"},
		`remote-ipv6-prefix "10.0.0.0/8": want an IPv6 prefix`: routeros.Secret{Name: "a", RemoteIPv6Prefix: "10.0.0.0/8"},
		`want a text without line breaks`:                      routeros.Secret{Name: "a", Password: "b\n=c=d"},
		`rate-limit "fast": want upload/download`:              routeros.Profile{Name: "a", RateLimit: "fast"},
		`session-timeout "-1s": want a duration`:               routeros.Profile{Name: "a", SessionTimeout: span(-time.Second)},
		`remote-address "10.0.0.0/8": want an address or`:      routeros.Profile{Name: "a", RemoteAddress: "10.0.0.0/8"},
		`ranges "10.0.0.9-10.0.0.2": want IPv4`:                routeros.IPPool{Name: "a", Ranges: []string{"10.0.0.9-10.0.0.2"}},
		`ranges "2001:db8::/64": want IPv4`:                    routeros.IPPool{Name: "a", Ranges: []string{"2001:db8::/64"}},
		`ranges "": want one range`:                            routeros.IPPool{Name: "a"},
		`target "": want an address`:                           routeros.Queue{Name: "a"},
		`priority "9": want 1 (best) to 8`:                     routeros.Queue{Name: "a", Target: []string{"ether1"}, Priority: routeros.IntPair{Up: 9}},
		`mac-address "00:00": want a MAC`:                      routeros.HotspotUser{Name: "a", MAC: "00:00"},
		`name "a b": want letters`:                             routeros.Rule{Name: "a b", Chain: "input", Action: "drop"},
		`chain "in put": want input`:                           routeros.Rule{Name: "a", Chain: "in put", Action: "drop"},
		`action "block": want one of accept`:                   routeros.Rule{Name: "a", Chain: "input", Action: "block"},
		`dst-port "25": want a protocol with ports`:            routeros.Rule{Name: "a", Chain: "input", Action: "drop", DstPort: "25"},
		`dst-port "70000": want ports`:                         routeros.Rule{Name: "a", Chain: "input", Action: "drop", Protocol: "tcp", DstPort: "70000"},
		`src-address "10.0.0.1/8": want an address`:            routeros.Rule{Name: "a", Chain: "input", Action: "drop", SrcAddress: "10.0.0.1/8"},
		`jump-target "": want a chain`:                         routeros.Rule{Name: "a", Chain: "input", Action: "jump"},
		`jump-target "x": want a chain`:                        routeros.Rule{Name: "a", Chain: "input", Action: "drop", JumpTarget: "x"},
		`address-list "": want a list`:                         routeros.Rule{Name: "a", Chain: "input", Action: "add-src-to-address-list"},
		`reject-with "tcp-reset": want the action reject`:      routeros.Rule{Name: "a", Chain: "input", Action: "drop", RejectWith: "tcp-reset"},
		`connection-state "old": want established`:             routeros.Rule{Name: "a", Chain: "input", Action: "drop", ConnectionState: []string{"old"}},
	} {
		_, err := o.Row()
		var wrong *routeros.ValueError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &wrong) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

// Rules stand where they were asked to stand, and are moved there.
func TestRulePlace(t *testing.T) {
	for _, v := range versions {
		r, login := play(t, fake.Config{Version: v}, nil)
		c := connect(t, login)
		last, err := r.Put("/ip/firewall/filter", map[string]string{"chain": "forward", "action": "drop", "comment": "all else"})
		if err != nil {
			t.Fatal(err)
		}
		put := func(name, before string, action routeros.Action) {
			t.Helper()
			got, err := routeros.Put(t.Context(), c, routeros.Rule{Name: name, Chain: "forward", Action: "accept"}, routeros.How{Before: before})
			if err != nil || got.Action != action {
				t.Fatalf("%s before %q: %+v, %v", name, before, got, err)
			}
		}
		order := func(want ...string) {
			t.Helper()
			var got []string
			for _, i := range r.Items("/ip/firewall/filter") {
				got = append(got, strings.TrimPrefix(i["comment"], "radial rule:"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(v, diff)
			}
		}
		put("a", "", routeros.Added)
		put("b", "first", routeros.Added)
		put("c", last, routeros.Added)
		order("b", "c", "all else", "a")
		put("a", "b", routeros.Changed)
		put("a", "b", routeros.Unchanged)
		put("a", last, routeros.Unchanged)
		put("c", "first", routeros.Changed)
		put("c", "", routeros.Unchanged)
		order("c", "a", "b", "all else")
		if _, err := routeros.Put(t.Context(), c, routeros.Rule{Name: "d", Chain: "forward", Action: "accept"}, routeros.How{Before: "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Error(err)
		}
	}
}

func TestVPNServers(t *testing.T) {
	for _, v := range versions {
		_, login := play(t, fake.Config{Version: v}, nil)
		c := connect(t, login)
		on := true
		want := routeros.VPNServer{Service: "l2tp", Enabled: &on, Profile: "default", Authentication: []string{"mschap2"}, IPsec: "required", IPsecSecret: "s3cret"}
		for _, action := range []routeros.Action{routeros.Changed, routeros.Unchanged} {
			if got, err := routeros.PutVPNServer(t.Context(), c, want, false); err != nil || got.Action != action || strings.Contains(got.Masked().After["ipsec-secret"], "s3c") {
				t.Errorf("%+v, %v, want %s", got, err, action)
			}
		}
		all, err := routeros.VPNServers(t.Context(), c)
		if err != nil || len(all) != 4 {
			t.Fatalf("%+v, %v", all, err)
		}
		if diff := cmp.Diff(want, all[0]); diff != "" || *all[1].Enabled {
			t.Error(diff)
		}
		for _, bad := range []routeros.VPNServer{{Service: "ipsec"}, {Service: "pptp", IPsec: "yes"}, {Service: "l2tp", Certificate: "x"}, {Service: "sstp", Authentication: []string{"md5"}}} {
			if _, err := routeros.PutVPNServer(t.Context(), c, bad, true); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	}
}
