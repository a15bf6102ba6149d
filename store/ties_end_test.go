package store_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/ipam"
)

// A released address cools off where its pool says so: its last holder may come
// back, others wait, and a session that has it all the same is believed.
func TestReleasedAddressesCool(t *testing.T) {
	w := newTies(t)
	w.Exec("UPDATE radial.pools SET cooling_time = '10 minutes' WHERE name IN ('main', 'pd')")
	w.Exec("DELETE FROM radial.addresses WHERE address > '100.64.0.1' AND family(address) = 4") // one is left
	got := w.login(1, "s1", ipam.IPv4, ipam.IPv6Prefix, ipam.DelegatedPrefix)
	v4, pd := got[ipam.IPv4], got[ipam.DelegatedPrefix]
	w.send("s1", aaa.StatusStart, 0, got)
	w.send("s1", aaa.StatusStop, 100, nil)
	w.want("after the Stop", v4.Addr().String()+" cooling -, "+pd.String()+" cooling -")
	if rows := w.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'cooling' AND until BETWEEN now() + interval '9 minutes' AND now() + interval '10 minutes'"); rows[0][0] != "2" {
		t.Errorf("%v of 2 cool for ten minutes", rows)
	}
	w.wantHistory(v4, "bound s1, released s1")
	if _, err := w.allocator.Lease(t.Context(), wants(2, "s2", "ipv4:main")); err == nil {
		t.Error("another caller got the cooling address")
	}
	if again := w.login(1, "s3", ipam.IPv4)[ipam.IPv4]; again != v4 {
		t.Errorf("its last holder got %s", again)
	}
	w.send("s3", aaa.StatusStart, 200, got)
	w.send("s3", aaa.StatusStop, 300, nil)
	w.record(w.event(2, "s4", aaa.StatusStart, 400, got)) // whoever gave it
	w.want("a Start on cooling addresses", v4.Addr().String()+" bound s4, "+got[ipam.IPv6Prefix].String()+" bound s4, "+pd.String()+" bound s4")
	w.Exec("UPDATE radacct SET acctstoptime = now()") // closed behind our back
	if n, err := w.ReleaseEnded(t.Context(), 10); n != 3 || err != nil {
		t.Errorf("%d released, %v", n, err)
	}
	w.want("released by the job", v4.Addr().String()+" cooling -, "+pd.String()+" cooling -")
	w.login(2, "s5", ipam.IPv4)
	w.send("s9", aaa.StatusStop, 500, v4map(v4)) // not its own
	w.want("offered again", v4.Addr().String()+" offered -, "+pd.String()+" cooling -")
	w.record(w.event(2, "s5", aaa.StatusStop, 500, v4map(v4))) // its Start was lost
	w.want("a Stop alone", v4.Addr().String()+" cooling -, "+pd.String()+" cooling -")
}

func v4map(p netip.Prefix) map[ipam.Kind]netip.Prefix {
	return map[ipam.Kind]netip.Prefix{ipam.IPv4: p}
}

// Accounting-On frees what its NAS had, and touches no session that is back
// already, in whatever order the records come (radius-semantics 3.2, defect 10).
func TestRebootInAllOrders(t *testing.T) {
	// Subscriber 1 is back after the reboot at 100, 2 is not; 3 is at another NAS.
	other := netip.MustParseAddr("10.0.0.2")
	for order := range permutations([]int{0, 1, 2}) {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			w := newTies(t)
			kinds := []ipam.Kind{ipam.IPv4, ipam.DelegatedPrefix}
			one, two, three := w.login(1, "s1", kinds...), w.login(2, "s2", kinds...), w.login(3, "s3", kinds...)
			w.record(w.event(1, "s1", aaa.StatusStart, 0, only(one, ipam.IPv4)))
			w.record(w.event(2, "s2", aaa.StatusStart, 0, only(two, ipam.IPv4)))
			far := w.event(3, "s3", aaa.StatusStart, 0, three)
			far.NAS = other
			w.record(far)
			var back map[ipam.Kind]netip.Prefix
			steps := []func(){
				func() { w.record(w.event(0, "", aaa.StatusOn, 100, nil)) },
				func() { back = w.login(1, "t1", kinds...) },
				func() {
					carries := back
					if back == nil { // its Start is here before anybody has seen the login: at another server
						carries = one
					}
					w.record(w.event(1, "t1", aaa.StatusStart, 130, only(carries, ipam.IPv4)))
				},
			}
			for _, i := range order {
				steps[i]()
			}
			if back[ipam.IPv4] != one[ipam.IPv4] || back[ipam.DelegatedPrefix] != one[ipam.DelegatedPrefix] {
				t.Errorf("subscriber 1 is back with %v, had %v", back, one)
			}
			got := w.rows()
			if !strings.Contains(got, one[ipam.IPv4].Addr().String()+" bound t1") {
				t.Errorf("who is back lost his address: %s", got)
			}
			if !strings.Contains(got, one[ipam.DelegatedPrefix].String()+" bound t1") && !strings.Contains(got, one[ipam.DelegatedPrefix].String()+" offered -") {
				t.Errorf("who is back lost his prefix: %s", got)
			}
			for _, p := range []netip.Prefix{two[ipam.IPv4], two[ipam.DelegatedPrefix]} {
				if strings.Contains(got, strings.TrimSuffix(p.String(), "/32")+" ") {
					t.Errorf("%s is still held: %s", p, got)
				}
			}
			if !strings.Contains(got, three[ipam.IPv4].Addr().String()+" bound s3") || !strings.Contains(got, three[ipam.DelegatedPrefix].String()+" bound s3") {
				t.Errorf("the other NAS's session lost what it had: %s", got)
			}
		})
	}
}

// permutations yields every order of some numbers.
func permutations(of []int) func(func([]int) bool) {
	return func(yield func([]int) bool) {
		var walk func(done, left []int) bool
		walk = func(done, left []int) bool {
			if len(left) == 0 {
				return yield(slices.Clone(done))
			}
			for i, n := range left {
				if !walk(append(slices.Clone(done), n), slices.Delete(slices.Clone(left), i, i+1)) {
					return false
				}
			}
			return true
		}
		walk(nil, of)
	}
}

// Two VRFs have an address each, and a session's records move its own alone
// (radius-semantics 3.2, defect 3).
func TestVRFsAreApart(t *testing.T) {
	w := newTies(t)
	w.Exec("INSERT INTO radial.vrfs (id, name) VALUES (2, 'two'); INSERT INTO radial.pools (name, vrf_id) VALUES ('main', 2)")
	w.Exec(`INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 2, '100.64.0.0/24', '100.64.0.0', '100.64.0.255' FROM radial.pools WHERE vrf_id = 2`)
	w.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 2, '100.64.0.9', pool_id, id FROM radial.subnets WHERE vrf_id = 2`)
	p := netip.MustParsePrefix("100.64.0.9/32")
	in2 := func(session string, st aaa.Status, at int64) {
		r := w.event(2, session, st, at, v4map(p))
		r.VRF = 2
		w.record(r)
	}
	w.send("s1", aaa.StatusStart, 0, v4map(p))
	in2("s2", aaa.StatusStart, 10)
	w.want("both", "100.64.0.9 bound s1, 100.64.0.9 bound s2")
	in2("s2", aaa.StatusStop, 20)
	w.want("one", "100.64.0.9 bound s1")
	if n := w.Rows("SELECT count(*) FROM radial.address_conflicts")[0][0]; n != "0" {
		t.Errorf("%s conflicts between VRFs", n)
	}
}

// A Stop releases whatever its session has, also where user name, MAC or address
// have changed or are missing (radius-semantics 3.2, defect 8).
func TestStopReleasesWhateverItSays(t *testing.T) {
	w := newTies(t)
	for i, change := range []func(*aaa.Record){
		func(r *aaa.Record) { r.User, r.Login = "renamed", "renamed" },
		func(r *aaa.Record) { r.CallingStation = "02:02:02:02:02:02" },
		func(r *aaa.Record) { r.FramedIP = netip.Addr{} },
		func(r *aaa.Record) { r.FramedIP = netip.MustParseAddr("203.0.113.1") },
		func(r *aaa.Record) { r.PortID = nil },
		func(r *aaa.Record) { r.VRF = 9 },
	} {
		session := fmt.Sprint("s", i)
		got := w.login(i, session, ipam.IPv4, ipam.IPv6Prefix)
		w.record(w.event(i, session, aaa.StatusStart, 0, only(got, ipam.IPv4)))
		stop := w.event(i, session, aaa.StatusStop, 100, only(got, ipam.IPv4))
		change(stop)
		w.record(stop)
		w.want(fmt.Sprint("Stop ", i), "")
	}
}

// Many a NAS names no session when it asks. A caller who is back before its old
// session's end is told (a reboot, a Stop that was late, another server's) has
// been answered with its address: the end gives it to nobody else.
func TestLateEndAfterALoginWithoutSession(t *testing.T) {
	for name, end := range map[string]func(w *ties, got map[ipam.Kind]netip.Prefix){
		"Stop": func(w *ties, got map[ipam.Kind]netip.Prefix) { w.send("s1", aaa.StatusStop, 100, got) },
		"Accounting-On": func(w *ties, _ map[ipam.Kind]netip.Prefix) {
			on := bareRecord("", aaa.StatusOn, 100, 100, 0)
			on.NAS, on.SessionTime, on.Input, on.Output = want(1, "").Caller.NAS, nil, nil, nil
			w.record(on)
		},
		"another server": func(w *ties, _ map[ipam.Kind]netip.Prefix) {
			w.Exec("UPDATE radacct SET acctstoptime = now()")
			if _, err := w.ReleaseEnded(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTies(t)
			w.Exec("DELETE FROM radial.addresses WHERE address > '100.64.0.1' AND family(address) = 4") // one is left
			got := w.login(1, "", ipam.IPv4)
			w.send("s1", aaa.StatusStart, 0, got)
			if again := w.login(1, "", ipam.IPv4); again[ipam.IPv4] != got[ipam.IPv4] {
				t.Fatalf("%s, had %s", again, got)
			}
			end(w, got)
			if l, err := w.allocator.Lease(t.Context(), wants(2, "", "ipv4:main")); err == nil {
				t.Errorf("another got %s, with which a login was answered", l[0].Prefix)
			}
			w.record(w.event(2, "thief", aaa.StatusStart, 102, got))
			w.record(w.event(2, "thief", aaa.StatusInterim, 104, got))
			w.want("a stranger reports it", "100.64.0.1 offered -")
			w.record(w.event(2, "thief", aaa.StatusStop, 106, got))
			w.want("the stranger is gone", "100.64.0.1 offered -")
			w.send("s2", aaa.StatusStart, 110, got)
			w.want("the new session", "100.64.0.1 bound s2")
			w.send("s2", aaa.StatusStop, 120, got)
			w.want("its Stop frees it", "")
		})
	}
}

// The history says why a session has let go of its address, whichever way it was settled.
func TestReleasesSayWhy(t *testing.T) {
	for way, plain := range map[string]bool{"plain": true, "looked at": false} {
		t.Run(way, func(t *testing.T) {
			w := newTies(t)
			if plain {
				w.Exec("DELETE FROM radial.pools WHERE kind <> 'ipv4'")
			}
			for i, c := range []struct {
				end         aaa.Status
				cause, want string
			}{
				{aaa.StatusStop, "User-Request", "User-Request"}, {aaa.StatusStop, "", "stopped, no cause told"}, {aaa.StatusOn, "", "NAS-Reboot: Accounting-On"},
				{aaa.StatusOff, "Admin-Reboot", "Admin-Reboot: Accounting-Off"}, {aaa.StatusStart, "", "NAS-Reboot: another session of its id has begun"},
			} {
				session, at := fmt.Sprint("s", i), int64(i*10000)
				got := w.login(i+1, session, ipam.IPv4)
				w.record(w.event(i+1, session, aaa.StatusStart, at, got))
				end := w.event(i+1, session, c.end, at+300, got)
				if c.end == aaa.StatusOn || c.end == aaa.StatusOff {
					end = bareRecord("", c.end, at+300, -1, -1)
					end.NAS = want(i+1, "").Caller.NAS
				}
				if c.end == aaa.StatusStart { // of another session with another address
					w.record(w.event(i+1, session, aaa.StatusInterim, at+100, got))
					end = w.event(i+1, session, c.end, at+5000, map[ipam.Kind]netip.Prefix{ipam.IPv4: netip.MustParsePrefix("100.64.0.200/32")})
				}
				end.TerminateCause = c.cause
				before := counterOf(t, w.reg, plainTotal)
				w.record(end)
				if c.end == aaa.StatusStop && (counterOf(t, w.reg, plainTotal) > before) != plain {
					t.Errorf("%v: %v settled without a look", c, counterOf(t, w.reg, plainTotal)-before)
				}
				rows := w.Rows("SELECT action, coalesce(reason, '-') FROM radial.address_history WHERE address = $1 ORDER BY id", got[ipam.IPv4])
				if d := cmp.Diff([][]string{{"bound", "-"}, {"released", c.want}}, rows); d != "" {
					t.Errorf("%v (-want +got):\n%s", c, d)
				}
			}
		})
	}
}
