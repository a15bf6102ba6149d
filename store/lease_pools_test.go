package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func from(t testing.TB, a *ipam.Allocator, ws []ipam.Want) string {
	t.Helper()
	leases, err := a.Lease(t.Context(), ws)
	if err != nil {
		t.Fatal(err)
	}
	return leases[0].Pool
}

// Pools in order, each with its own fallback list; a pool is asked once.
func TestPoolsInOrder(t *testing.T) {
	db := storetest.New(t)
	for i, name := range []string{"a", "b", "c", "d"} {
		rawPool(t, db, name, ipam.IPv4, 32, fmt.Sprintf("10.0.%d.0/30", i)) // two addresses
	}
	db.Exec("UPDATE radial.pools SET fallback = '{c,nope,a}' WHERE name = 'a'")
	db.Exec("UPDATE radial.pools SET fallback = '{d}' WHERE name = 'c'")
	reg := prometheus.NewRegistry()
	s := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, ipam.NewMetrics(reg))
	order := ""
	for n := range 8 {
		order += from(t, s, wants(n, "", "ipv4:a,b"))
	}
	if order != "aaccddbb" {
		t.Errorf("pools in order: %s", order)
	}
	refusal(t, s, wants(9, "", "ipv4:a,b"), "a", ipam.ErrPoolFull)
	refusal(t, s, wants(9, "", "ipv4:b,typo,a"), "typo", ipam.ErrPoolUnknown)
	refusal(t, s, wants(9, "", "ipv4:typo"), "typo", ipam.ErrPoolUnknown)
	if got := from(t, s, wants(7, "", "ipv4:a,b")); got != "b" {
		t.Errorf("the caller with a lease of b has one of %s", got)
	}

	// a caller with a lease of a later pool keeps it when an earlier one has room again
	db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL WHERE address <<= '10.0.0.0/30'")
	if got := from(t, s, wants(7, "", "ipv4:a,b")); got != "b" {
		t.Errorf("the caller with a lease of b took one of %s as well", got)
	}
	if got := from(t, s, wants(9, "", "ipv4:b,a")); got != "a" {
		t.Errorf("of b, then a: %s", got)
	}
	metrics, err := testutil.GatherAndCount(reg, "radial_ipam_fallbacks_total")
	if err != nil || metrics != 2 {
		t.Errorf("%d results of fallbacks, want taken and unknown (%v)", metrics, err)
	}
}

func TestPoolsThatGiveNothingNew(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "10.0.0.0/29")
	rawSubnet(db, "main", "10.0.1.0/29")
	rawPool(t, db, "spare", ipam.IPv4, 32, "10.0.2.0/29")
	set := func(sql string) { db.Exec(sql) }
	fresh := func() *ipam.Allocator { return ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil) }
	warm := fresh()
	has := lease(t, warm, want(1, "s1"))
	last := lease(t, warm, want(2, "s2"))
	set("UPDATE radial.addresses SET state = 'free', until = NULL WHERE address = '" + last.String() + "'")

	set("UPDATE radial.pools SET status = 'draining' WHERE name = 'main'")
	for _, a := range []*ipam.Allocator{warm, fresh()} { // with hints, and a pool that is believed active
		if got := lease(t, a, want(1, "s9")); got != has {
			t.Errorf("draining: a holder got %s, had %s", got, has)
		}
		refusal(t, a, wants(2, "", "ipv4:main"), "main", ipam.ErrPoolInactive)
		if got := from(t, a, wants(2, "", "ipv4:main,spare")); got != "spare" {
			t.Errorf("draining: the next pool is asked; got one of %s", got)
		}
		set("UPDATE radial.addresses SET state = 'free', until = NULL, username = NULL WHERE address <<= '10.0.2.0/29'")
	}
	warm = fresh()
	set("UPDATE radial.pools SET status = 'active' WHERE name = 'main'")
	lease(t, warm, want(1, ""))
	set("UPDATE radial.pools SET status = 'inactive' WHERE name = 'main'")
	for _, a := range []*ipam.Allocator{warm, fresh()} {
		refusal(t, a, wants(1, "s1", "ipv4:main"), "main", ipam.ErrPoolInactive) // not even its own
	}
	set("UPDATE radial.pools SET status = 'active' WHERE name = 'main'")
	if got := lease(t, warm, want(2, "")); got != last { // at once, though it was believed inactive
		t.Errorf("active again: got %s, had %s", got, last)
	}
	set("UPDATE radial.addresses SET state = 'free', until = NULL, username = NULL")

	set("UPDATE radial.subnets SET status = 'inactive' WHERE network = '10.0.0.0/29'")
	for _, a := range []*ipam.Allocator{warm, fresh()} {
		for n := range 3 {
			if got := lease(t, a, want(n, "")); !netip.MustParsePrefix("10.0.1.0/29").Contains(got) {
				t.Errorf("an inactive subnet gave %s", got)
			}
		}
	}
	set("UPDATE radial.subnets SET status = 'inactive' WHERE network = '10.0.1.0/29'")
	for _, a := range []*ipam.Allocator{warm, fresh()} {
		refusal(t, a, wants(1, "", "ipv4:main"), "main", ipam.ErrPoolInactive)
	}
}

func TestCooling(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "10.0.0.0/30")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	one, two := lease(t, a, want(1, "")), lease(t, a, want(2, ""))
	db.Exec("UPDATE radial.addresses SET state = 'cooling', until = now() + interval '1 hour'")
	refusal(t, a, wants(3, "", "ipv4:main"), "main", ipam.ErrPoolFull)
	if got := lease(t, a, want(1, "new")); got != one {
		t.Errorf("the last holder got %s, had %s", got, one)
	}
	db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second' WHERE address = $1", two)
	if got := lease(t, a, want(3, "")); got != two { // before any job has come by
		t.Errorf("got %s, want %s, which has cooled", got, two)
	}
	refusal(t, a, wants(4, "", "ipv4:main"), "main", ipam.ErrPoolFull)
}

func TestStickyRules(t *testing.T) {
	for rule, want := range map[string][3]bool{ // same user other MAC, other user same MAC, both the same at another NAS
		"user_mac": {false, false, true}, "user": {true, false, true}, "mac": {false, true, true}, "none": {false, false, false},
	} {
		for _, kind := range []ipam.Kind{ipam.IPv4, ipam.DelegatedPrefix} {
			t.Run(rule+"/"+kind.String(), func(t *testing.T) {
				db := storetest.New(t)
				if kind == ipam.IPv4 {
					rawPool(t, db, "main", kind, 32, "10.0.0.0/20", "sticky = '"+rule+"'")
				} else {
					rawPool(t, db, "main", kind, 56, "2001:db8::/32", "sticky = '"+rule+"'")
				}
				s := servers(db)
				w := wants(1, "s1", kind.String()+":main")
				first := leaseAll(t, s[0], w)[0]
				e := store.LeaseEvent{Kind: ipam.EventBind, Prefix: first, RadacctID: 1, Caller: w[0].Caller, SessionID: "s1"}
				settle(t, db, e)
				e.Kind = ipam.EventRelease
				settle(t, db, e)
				// the hash alone would do for prefixes: another prefix is this caller's last
				if kind.Sparse() {
					db.Exec("UPDATE radial.addresses SET address = '2001:db8:77:7700::/56'")
					db.Exec("UPDATE radial.address_history SET address = '2001:db8:77:7700::/56'")
					first = netip.MustParsePrefix("2001:db8:77:7700::/56")
				}
				for i, change := range []func(*ipam.Caller){
					func(c *ipam.Caller) { c.MAC = "00:00:00:00:00:99" },
					func(c *ipam.Caller) { c.User = "other" },
					func(c *ipam.Caller) { c.NAS, c.Port = netip.MustParseAddr("10.9.9.9"), "x" },
				} {
					w := wants(1, "s2", kind.String()+":main")
					change(&w[0].Caller)
					got := leaseAll(t, s[i%2], w)[0]
					if (got == first) != want[i] {
						t.Errorf("caller %d: %s after %s, want the same: %t", i, got, first, want[i])
					}
					db.Exec("DELETE FROM radial.addresses WHERE address <> $1 AND family(address) = 6", first)
					db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL, username = NULL, mac = NULL WHERE address <> $1", first)
					db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL, username = 'user1', mac = '00:00:00:00:00:01' WHERE address = $1", first)
				}
			})
		}
	}
}

// Two logins of one user at two servers, several times: each caller has one
// lease of each kind, however the wants are ordered.
func TestManyWantsRace(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "10.0.0.0/27")
	rawPool(t, db, "wan", ipam.IPv6Prefix, 64, "2001:db8::/59")
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8:1::/48")
	s := servers(db)
	errs := make(chan error, 64)
	for i := range 64 {
		go func() {
			var err error
			for round := range 6 {
				ws := wants((i+round)%24, fmt.Sprint(i), "ipv4:main", "ipv6_prefix:wan", "delegated_prefix:lan")
				if i%2 == 0 {
					ws[0], ws[2] = ws[2], ws[0]
				}
				if _, e := s[(i+round)%2].Lease(t.Context(), ws); e != nil {
					err = errors.Join(err, e)
				}
			}
			errs <- err
		}()
	}
	for range 64 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, pool := range []string{"main", "wan", "lan"} {
		rows := db.Rows(`SELECT count(*), count(DISTINCT username) FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE p.name = $1 AND a.state = 'offered'`, pool)
		if rows[0][0] != "24" || rows[0][1] != "24" {
			t.Errorf("pool %s: offers and users: %v, want 24 each", pool, rows[0])
		}
	}
	if n := count(db, "state = 'free' AND family(address) = 6"); n != "0" {
		t.Errorf("%s rows of prefixes that nobody has", n)
	}
}
