package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// rawPool makes a pool of any kind by its rows: what it may give is set by
// columns of radial.pools, such as "sticky = 'user'".
func rawPool(t testing.TB, db *storetest.DB, name string, kind ipam.Kind, length int, network string, set ...string) {
	t.Helper()
	db.Exec("INSERT INTO radial.pools (name, kind, prefix_length) VALUES ($1, $2, $3)", name, kind.String(), length)
	rawSubnet(db, name, network)
	for _, s := range set {
		db.Exec("UPDATE radial.pools SET "+s+" WHERE name = $1", name)
	}
}

func rawSubnet(db *storetest.DB, pool, network string) {
	db.Exec(`INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last)
		SELECT id, vrf_id, $2::cidr, host($2::cidr)::inet, host(broadcast($2::cidr))::inet FROM radial.pools WHERE name = $1`, pool, network)
	if strings.Contains(network, ".") {
		db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
			SELECT s.vrf_id, host(s.network)::inet + g, s.pool_id, s.id
			FROM radial.subnets s, generate_series(1, (broadcast(s.network) - host(s.network)::inet) - 1) g WHERE s.network = $1::cidr`, network)
	}
}

// wants is what a numbered subscriber asks of pools "kind:name,name".
func wants(n int, session string, pools ...string) []ipam.Want {
	var all []ipam.Want
	for _, p := range pools {
		kind, names, _ := strings.Cut(p, ":")
		w := want(n, session)
		w.Kind, _ = ipam.ParseKind(kind)
		w.Pools = strings.Split(names, ",")
		all = append(all, w)
	}
	return all
}

func leaseAll(t testing.TB, a *ipam.Allocator, ws []ipam.Want) []netip.Prefix {
	t.Helper()
	leases, err := a.Lease(t.Context(), ws)
	if err != nil {
		t.Fatal(err)
	}
	var prefixes []netip.Prefix
	for i, l := range leases {
		if l.Kind != ws[i].Kind {
			t.Errorf("lease %d is %s, want %s", i, l.Kind, ws[i].Kind)
		}
		prefixes = append(prefixes, l.Prefix)
	}
	return prefixes
}

// refusal checks that a login is refused, and of what.
func refusal(t testing.TB, a *ipam.Allocator, ws []ipam.Want, pool string, why error) {
	t.Helper()
	leases, err := a.Lease(t.Context(), ws)
	r, ok := errors.AsType[*ipam.Refusal](err)
	if !ok || r.Pool != pool || !errors.Is(r, why) {
		t.Errorf("got %v and %v, want a refusal of pool %s: %v", leases, err, pool, why)
	}
}

func servers(db *storetest.DB) []*ipam.Allocator {
	return []*ipam.Allocator{
		ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil),
	}
}

func count(db *storetest.DB, where string) string {
	return db.Rows("SELECT count(*) FROM radial.addresses WHERE " + where)[0][0]
}

func TestDualStack(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/30")
	rawPool(t, db, "wan", ipam.IPv6Prefix, 64, "2001:db8::/40", "interface_id = 'eui64'", "dns = '{2001:db8::53}'")
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8:8000::/40")
	s := servers(db)
	all := func(n int, session string) []ipam.Want {
		return wants(n, session, "ipv4:main", "ipv6_prefix:wan", "delegated_prefix:lan")
	}
	first := leaseAll(t, s[0], all(1, "s1"))
	if first[0].Bits() != 32 || first[1].Bits() != 64 || first[2].Bits() != 56 || first[2].Masked() != first[2] {
		t.Errorf("leases %v", first)
	}
	if again := leaseAll(t, s[1], all(1, "s1")); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("the same caller has %v and %v", first, again)
	}
	leases, err := s[0].Lease(t.Context(), all(1, "s1")[1:2])
	if err != nil || leases[0].InterfaceID != 0x0200_00ff_fe00_0001 || fmt.Sprint(leases[0].DNS) != "[2001:db8::53]" || leases[0].Pool != "wan" || leases[0].Until.Before(time.Now()) {
		t.Errorf("lease %+v, %v", leases, err)
	}
	if got := count(db, "true"); got != "4" { // two of them of the IPv4 pool
		t.Errorf("%s rows, want no row but what was leased", got)
	}
	// one transaction: the same time of offer
	if rows := db.Rows("SELECT count(DISTINCT since) FROM radial.addresses WHERE state = 'offered'"); rows[0][0] != "1" {
		t.Errorf("%s transactions", rows[0][0])
	}
	leaseAll(t, s[0], all(2, "s2"))
	before := db.Rows("SELECT * FROM radial.addresses ORDER BY address")
	refusal(t, s[0], all(3, "s3"), "main", ipam.ErrPoolFull)
	refusal(t, s[0], wants(3, "s3", "delegated_prefix:lan", "ipv6_prefix:wan", "ipv4:main"), "main", ipam.ErrPoolFull)
	refusal(t, s[1], wants(3, "s3", "ipv6_prefix:wan", "delegated_prefix:nope"), "nope", ipam.ErrPoolUnknown)
	refusal(t, s[1], wants(3, "s3", "ipv6_prefix:lan"), "lan", ipam.ErrPoolUnknown) // another kind
	if after := db.Rows("SELECT * FROM radial.addresses ORDER BY address"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a refused login left a trace:\n%v\n%v", before, after)
	}
}

// A /52 has 16 prefixes of /56, and two servers with many callers give each once.
func TestSparsePoolToTheLast(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8::/53")
	rawSubnet(db, "lan", "2001:db8:1::/53")
	s := servers(db)
	var mu sync.Mutex
	got := map[netip.Prefix]int{}
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			for range 2 { // a login that is repeated takes no second one
				leases, err := s[n%2].Lease(t.Context(), wants(n, "", "delegated_prefix:lan"))
				if errors.Is(err, ipam.ErrPoolFull) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[leases[0].Prefix]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(got) != 16 {
		t.Errorf("%d prefixes of 16: %v", len(got), got)
	}
	for p, n := range got {
		if n != 2 || p.Bits() != 56 {
			t.Errorf("%s was given %d times, want twice, to one caller", p, n)
		}
	}
	if n := count(db, "true"); n != "16" {
		t.Errorf("%s rows", n)
	}
	refusal(t, s[0], wants(99, "", "delegated_prefix:lan"), "lan", ipam.ErrPoolFull)

	// one is given back: it is found; its row goes: so is the gap
	db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL, since = now() - interval '9 days' WHERE address = '2001:db8:0:300::/56'")
	if p := leaseAll(t, s[0], wants(99, "", "delegated_prefix:lan"))[0]; p.String() != "2001:db8:0:300::/56" {
		t.Errorf("got %s", p)
	}
	refusal(t, s[1], wants(98, "", "delegated_prefix:lan"), "lan", ipam.ErrPoolFull)
	db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL, since = now() - interval '9 days' WHERE address = '2001:db8:1:700::/56'")
	if n, err := db.DropIdlePrefixes(t.Context(), 8*24*time.Hour, 10); n != 1 || err != nil {
		t.Errorf("%d rows dropped, %v", n, err)
	}
	if p := leaseAll(t, s[1], wants(98, "", "delegated_prefix:lan"))[0]; p.String() != "2001:db8:1:700::/56" {
		t.Errorf("got %s", p)
	}
	refusal(t, s[0], wants(97, "", "delegated_prefix:lan"), "lan", ipam.ErrPoolFull)
	rawSubnet(db, "lan", "2001:db8:2::/56") // grown by one
	if p := leaseAll(t, s[0], wants(97, "", "delegated_prefix:lan"))[0]; p.String() != "2001:db8:2::/56" {
		t.Errorf("got %s", p)
	}
}

// A pool that is believed to have room, and gives nothing since a moment ago,
// refuses: its free prefixes have no rows that could tell.
func TestSparseGivesNothingAnyMore(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.IPv6Prefix, 64, "2001:db8::/48")
	for i, change := range []string{"UPDATE radial.subnets SET status = 'inactive'", "UPDATE radial.pools SET status = 'inactive'", "UPDATE radial.pools SET status = 'draining'"} {
		db.Exec("UPDATE radial.subnets SET status = 'active'")
		db.Exec("UPDATE radial.pools SET status = 'active'")
		a := servers(db)[0]
		leaseAll(t, a, wants(2*i, "", "ipv6_prefix:lan"))
		db.Exec(change)
		refusal(t, a, wants(2*i+1, "", "ipv6_prefix:lan"), "lan", ipam.ErrPoolInactive)
	}
}

func TestSparseNeverGiven(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "hosts", ipam.IPv6Address, 128, "2001:db8::/124")
	db.Exec("UPDATE radial.subnets SET gateway = '2001:db8::1', last = '2001:db8::d'")
	db.Exec("INSERT INTO radial.exclusions (subnet_id, first, last) SELECT id, '2001:db8::5', '2001:db8::6' FROM radial.subnets")
	db.Exec("INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, reason) SELECT vrf_id, '2001:db8::8', pool_id, id, 'reserved', 'printer' FROM radial.subnets")
	s := servers(db)
	got := map[string]bool{}
	for n := range 9 {
		got[leaseAll(t, s[n%2], wants(n, "", "ipv6_address:hosts"))[0].String()] = true
	}
	refusal(t, s[0], wants(99, "", "ipv6_address:hosts"), "hosts", ipam.ErrPoolFull)
	for _, never := range []string{"0", "1", "5", "6", "8", "e", "f"} {
		if got["2001:db8::"+never+"/128"] || len(got) != 9 {
			t.Errorf("given: %v", got)
		}
	}
	// what is told to be free by a stale hint is judged by the rows' subnet
	leases := store.NewLeases(db.DB)
	pool, err := leases.PoolNamed(t.Context(), 1, "hosts")
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"::", "::1", "::5", "::8", "::e", ":1::", "::2:0"} {
		w := wants(50, "", "ipv6_address:hosts")[0]
		c, err := leases.Claim(t.Context(), []ipam.Try{{Want: w, Pool: &pool, Candidates: []netip.Addr{netip.MustParseAddr("2001:db8" + never)}}})
		if err != nil || c[0].Prefix.IsValid() {
			t.Errorf("%s: %v, %v", never, c, err)
		}
	}
	if n := count(db, "true"); n != "10" {
		t.Errorf("%s rows", n)
	}
}

// The same prefix again: by the row while it is there, by the caller's hash when
// it has gone.
func TestSparseSticky(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8::/32")
	s := servers(db)
	w := wants(1, "s1", "delegated_prefix:lan")
	first := leaseAll(t, s[0], w)[0]
	moved := wants(1, "s2", "delegated_prefix:lan")
	moved[0].Caller.NAS, moved[0].Caller.Port = netip.MustParseAddr("10.9.9.9"), "elsewhere"
	free := func() { db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL") }
	free()
	if again := leaseAll(t, s[1], moved)[0]; again != first {
		t.Errorf("%s after %s", again, first)
	}
	free()
	if n, err := db.DropIdlePrefixes(t.Context(), time.Hour, 10); n != 0 || err != nil {
		t.Errorf("%d fresh rows dropped, %v", n, err)
	}
	db.Exec("UPDATE radial.addresses SET since = now() - interval '2 hours'")
	db.Exec("INSERT INTO radial.address_history (vrf_id, address, action, at) SELECT vrf_id, address, 'released', now() - interval '30 minutes' FROM radial.addresses")
	if n, err := db.DropIdlePrefixes(t.Context(), time.Hour, 10); n != 0 || err != nil {
		t.Errorf("%d rows dropped that were released half an hour ago, %v", n, err)
	}
	if n, err := db.DropIdlePrefixes(t.Context(), 10*time.Minute, 10); n != 1 || err != nil {
		t.Errorf("%d idle rows dropped, %v", n, err)
	}
	if again := leaseAll(t, s[1], w)[0]; again != first {
		t.Errorf("%s after %s, whose row had gone", again, first)
	}
	if other := leaseAll(t, s[1], wants(2, "", "delegated_prefix:lan"))[0]; other == first {
		t.Error("two callers have one prefix")
	}
}

// A pool of 65,536 prefixes of which one is left: it is found, and then the pool
// is full, which is not found out by reading all of it each time.
func TestSparseNearlyFull(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8::/40")
	db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, username, mac, radacctid)
		SELECT s.vrf_id, format('2001:db8:%s:%s::/56', to_hex(g >> 8), to_hex((g & 255) << 8))::inet, s.pool_id, s.id, 'bound', 'x' || g, '', g
		FROM radial.subnets s, generate_series(0, 65535) g WHERE g <> 54321`)
	leases := store.NewLeases(db.DB)
	a := ipam.NewAllocator(leases, ipam.AllocatorOptions{}, nil)
	if p := leaseAll(t, a, wants(1, "", "delegated_prefix:lan"))[0]; p.String() != "2001:db8:d4:3100::/56" {
		t.Errorf("got %s", p)
	}
	if leases.KnownGapless() != 0 {
		t.Error("the pool is known to have no gap before anybody has looked")
	}
	for n := range 5 {
		refusal(t, a, wants(2+n, "", "delegated_prefix:lan"), "lan", ipam.ErrPoolFull)
		if leases.KnownGapless() != 1 {
			t.Error("the pool is read through for each login")
		}
	}
}

// Many logins whose IPv4 pool is full: of their prefixes not one is taken, nor
// has one got a row.
func TestRefusedLoginsLeaveNothing(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")                // six addresses
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 60, "2001:db8::/56")     // sixteen prefixes
	rawPool(t, db, "wan", ipam.IPv6Prefix, 64, "2001:db8:1::/60")        // sixteen
	rawPool(t, db, "spare", ipam.DelegatedPrefix, 60, "2001:db8:2::/56") // after lan
	db.Exec("UPDATE radial.pools SET fallback = '{spare}' WHERE name = 'lan'")
	s := servers(db)
	var given, refused atomic.Int64
	var wg sync.WaitGroup
	for n := range 48 {
		wg.Go(func() {
			for range 2 {
				_, err := s[n%2].Lease(t.Context(), wants(n, "", "delegated_prefix:lan", "ipv6_prefix:wan", "ipv4:main"))
				switch {
				case err == nil:
					given.Add(1)
				case errors.Is(err, ipam.ErrPoolFull):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if given.Load() != 12 || refused.Load() != 84 {
		t.Errorf("%d logins got all, %d were refused; want 6 and 42 callers, twice each", given.Load(), refused.Load())
	}
	if all, offered := count(db, "family(address) = 6"), count(db, "family(address) = 6 AND state = 'offered'"); all != "12" || offered != "12" {
		t.Errorf("%s rows of prefixes, %s offered; want 12 of six callers", all, offered)
	}
	if rows := db.Rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); rows[0][0] != "0" {
		t.Errorf("%s deadlocks", rows[0][0])
	}
}

// Ranges of one network, and a network within another's: each prefix once, and
// then the pool is full.
func TestSparseRangesOfOneNetwork(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8::/48")
	db.Exec("UPDATE radial.subnets SET first = '2001:db8:0:8000::', last = '2001:db8:0:81ff:ffff:ffff:ffff:ffff'") // two
	rawSubnet(db, "lan", "2001:db8:0:2000::/55")                                                                   // two, before these
	db.Exec(`INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last)
		SELECT pool_id, vrf_id, network, '2001:db8:0:1000::', '2001:db8:0:10ff:ffff:ffff:ffff:ffff' FROM radial.subnets WHERE masklen(network) = 48`) // one, the first
	s := servers(db)
	got := map[string]bool{}
	for n := range 5 {
		got[leaseAll(t, s[n%2], wants(n, "", "delegated_prefix:lan"))[0].String()] = true
	}
	for _, a := range s {
		refusal(t, a, wants(9, "", "delegated_prefix:lan"), "lan", ipam.ErrPoolFull)
	}
	for _, p := range []string{"1000", "2000", "2100", "8000", "8100"} {
		if !got["2001:db8:0:"+p+"::/56"] || len(got) != 5 {
			t.Errorf("%s is not among %v", p, got)
		}
	}
}

// A static prefix that is wider than the pool's leases takes all of them out of
// the pool's hands: also a candidate that was chosen before the row was written.
func TestWideStaticPrefixIsNotLeasedFrom(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "lan", ipam.DelegatedPrefix, 56, "2001:db8:f000::/52")
	reply(db, "dave", "Delegated-IPv6-Prefix", ":=", "2001:db8:f000::/53") // half of its 16
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	taken := netip.MustParsePrefix("2001:db8:f000::/53")
	for n := range 8 {
		for _, p := range leaseAll(t, a, wants(n, "", "delegated_prefix:lan")) {
			if taken.Overlaps(p) {
				t.Errorf("caller %d got %s, which is within dave's %s", n, p, taken)
			}
		}
	}
	if _, err := a.Lease(t.Context(), wants(9, "", "delegated_prefix:lan")); !errors.Is(err, ipam.ErrPoolFull) {
		t.Errorf("a ninth: %v, want that the pool is full", err)
	}
}
