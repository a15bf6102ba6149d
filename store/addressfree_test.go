package store_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func runsText(runs []store.FreeRun) string {
	texts := make([]string, len(runs))
	for i, r := range runs {
		texts[i] = fmt.Sprintf("%s (%d)", r.Range, r.Leases)
	}
	return strings.Join(texts, ", ")
}

func poolNamed(t *testing.T, db *storetest.DB, name string) store.Pool {
	t.Helper()
	p, err := db.FindPool(t.Context(), 1, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is free is listed as runs, in pages, and never as a list of addresses
// (T-I5); against a count by hand.
func TestFreeRuns(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/22")
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 4 {
		db.Exec("UPDATE radial.addresses SET state = 'free'")
		taken := map[netip.Addr]bool{}
		for range []int{0, 3, 200, 900}[round] {
			a := netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(256))})
			taken[a] = true
			db.Exec("UPDATE radial.addresses SET state = $2, until = now() + interval '1 hour' WHERE address = $1::inet", a.String(), []string{"bound", "reserved", "offered", "cooling"}[rng.IntN(4)])
		}
		var want []string
		var run ipam.Range
		end := func() {
			if run.IsValid() {
				want = append(want, fmt.Sprintf("%s (%d)", run, run.Size()))
			}
			run = ipam.Range{}
		}
		for a := netip.MustParseAddr("10.0.0.1"); a != netip.MustParseAddr("10.0.3.255"); a = a.Next() {
			if taken[a] {
				end()
				continue
			}
			if !run.IsValid() {
				run.First = a
			}
			run.Last = a
		}
		end()
		p := poolNamed(t, db, "main")
		for _, limit := range []int{1, 2, 7, 1000} {
			var got []store.FreeRun
			for after := (netip.Addr{}); ; {
				page, err := db.FreeRuns(t.Context(), p, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				if limit == 1 && len(page) == 1 && len(got) > 0 && got[len(got)-1].Range.Last.Next() == page[0].Range.First {
					got[len(got)-1].Range.Last = page[0].Range.Last // one alone is not followed to its end
					got[len(got)-1].Leases += page[0].Leases
				} else {
					got = append(got, page...)
				}
				if len(page) < limit {
					break
				}
				after = page[len(page)-1].Range.Last
			}
			if runsText(got) != strings.Join(want, ", ") {
				t.Fatalf("round %d, limit %d: got %s, want %s", round, limit, runsText(got), strings.Join(want, ", "))
			}
		}
	}
}

// What has run out is free for a login before its row says so, but for offers
// whose Starts a silent server may have.
func TestFreeRunsOfWhatRanOut(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/29")
	db.Exec("UPDATE radial.addresses SET state = 'offered', until = now() - interval '1 second', username = 'u'")
	db.Exec("UPDATE radial.addresses SET state = 'cooling' WHERE address IN ('10.0.0.3', '10.0.0.4')")
	db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL WHERE address = '10.0.0.5'")
	db.Exec("UPDATE radial.addresses SET until = now() + interval '1 hour' WHERE address = '10.0.0.6'")
	check := func(when, want string) {
		t.Helper()
		got, err := db.FreeRuns(t.Context(), poolNamed(t, db, "main"), netip.Addr{}, 10)
		if err != nil || runsText(got) != want {
			t.Errorf("%s: got %s (%v), want %s", when, runsText(got), err, want)
		}
	}
	check("all is known", "10.0.0.1-10.0.0.5 (5)")
	db.Exec("INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES (gen_random_uuid(), 'gone', '', now() - interval '2 hours', now() - interval '1 hour')")
	check("a server is silent", "10.0.0.3-10.0.0.5 (3)")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	for n := range 3 {
		if at := lease(t, a, want(n, "")); at.Compare(netip.MustParseAddr("10.0.0.3")) < 0 {
			t.Errorf("a login got %s", at)
		}
	}
	if _, err := leaseOne(t.Context(), a, want(9, "")); !errors.Is(err, ipam.ErrPoolFull) {
		t.Errorf("the fourth login: %v", err)
	}
}

// IPv6 pools have no rows of what is free: gaps between those that somebody has.
func TestFreeRunsOfPrefixes(t *testing.T) {
	db := storetest.New(t)
	err := db.CreatePool(t.Context(), store.PoolSpec{Name: "pd", Kind: ipam.DelegatedPrefix, PoolSettings: store.PoolSettings{PrefixLength: 56}, Subnets: []store.SubnetSpec{{
		Network:    netip.MustParsePrefix("2001:db8::/48"),
		Exclusions: []store.Exclusion{{Range: ipam.RangeOf(netip.MustParsePrefix("2001:db8:0:1000::/52"))}},
	}, {Network: netip.MustParsePrefix("2001:db8:1::/56")}}})
	if err != nil {
		t.Fatal(err)
	}
	p := poolNamed(t, db, "pd")
	check := func(when string, after netip.Addr, limit int, want string) {
		t.Helper()
		got, err := db.FreeRuns(t.Context(), p, after, limit)
		if err != nil || runsText(got) != want {
			t.Errorf("%s: got %s (%v), want %s", when, runsText(got), err, want)
		}
	}
	check("empty", netip.Addr{}, 10, "2001:db8::-2001:db8:0:fff:ffff:ffff:ffff:ffff (16), 2001:db8:0:2000::-2001:db8:0:ffff:ffff:ffff:ffff:ffff (224), 2001:db8:1::-2001:db8:1:ff:ffff:ffff:ffff:ffff (1)")
	db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, until)
SELECT 1, v.address, s.pool_id, s.id, v.state, now() FROM radial.subnets s, (VALUES ('2001:db8::/56'::inet, 'bound'), ('2001:db8:0:200::/56', 'reserved'),
    ('2001:db8:0:300::/56', 'free'), ('2001:db8:0:400::/56', 'offered'), ('2001:db8:0:2000::/56', 'bound')) v (address, state) WHERE s.network >> v.address`)
	check("some leased", netip.Addr{}, 2, "2001:db8:0:100::-2001:db8:0:1ff:ffff:ffff:ffff:ffff (1), 2001:db8:0:300::-2001:db8:0:fff:ffff:ffff:ffff:ffff (13)")
	check("next page", netip.MustParseAddr("2001:db8:0:fff:ffff:ffff:ffff:ffff"), 1, "2001:db8:0:2100::-2001:db8:0:ffff:ffff:ffff:ffff:ffff (223)")
	check("after a prefix", netip.MustParseAddr("2001:db8:0:300::"), 1, "2001:db8:0:400::-2001:db8:0:fff:ffff:ffff:ffff:ffff (12)")
	check("at the end", netip.MustParseAddr("2001:db8:0:ff00::"), 5, "2001:db8:1::-2001:db8:1:ff:ffff:ffff:ffff:ffff (1)")

	err = db.CreatePool(t.Context(), store.PoolSpec{Name: "na", Kind: ipam.IPv6Address, PoolSettings: store.PoolSettings{PrefixLength: 128}, Subnets: []store.SubnetSpec{{Network: netip.MustParsePrefix("2001:db8:2::/64")}}})
	if err != nil {
		t.Fatal(err)
	}
	p = poolNamed(t, db, "na")
	got, err := db.FreeRuns(t.Context(), p, netip.Addr{}, 1)
	if err != nil || len(got) != 1 || got[0].Leases < math.MaxUint64-1 || got[0].Range.First != netip.MustParseAddr("2001:db8:2::1") {
		t.Errorf("a /64 of addresses: %v, %v", got, err)
	}
}
