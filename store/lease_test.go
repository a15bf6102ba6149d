package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func makePool(t testing.TB, db *storetest.DB, name, cidr string) {
	t.Helper()
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: name, CIDRs: []netip.Prefix{netip.MustParsePrefix(cidr)}}); err != nil {
		t.Fatal(err)
	}
}

// want is the request of a numbered subscriber.
func want(n int, session string) ipam.Want {
	return ipam.Want{Pools: []string{"main"}, VRF: 1, SessionID: session, Caller: ipam.Caller{
		User: fmt.Sprintf("user%d", n), MAC: fmt.Sprintf("00:00:00:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255), NAS: netip.MustParseAddr("10.0.0.1"), Port: fmt.Sprint("eth", n),
	}}
}

// leaseOne leases for a login that wants one thing.
func leaseOne(ctx context.Context, a *ipam.Allocator, w ipam.Want) (ipam.Lease, error) {
	leases, err := a.Lease(ctx, []ipam.Want{w})
	if err != nil {
		return ipam.Lease{}, err
	}
	return leases[0], nil
}

func lease(t testing.TB, a *ipam.Allocator, w ipam.Want) netip.Addr {
	t.Helper()
	l, err := leaseOne(t.Context(), a, w)
	if err != nil {
		t.Fatal(err)
	}
	return l.Address()
}

// Two servers with 64 callers each empty a pool.
func TestLeaseRace(t *testing.T) {
	for _, c := range []struct {
		cidr string
		size int
	}{{"192.0.2.0/24", 254}, {"10.20.0.0/22", 1022}} {
		t.Run(strings.ReplaceAll(c.cidr, "/", "-"), func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", c.cidr)
			servers := []*ipam.Allocator{
				ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil),
			}
			numbers := make(chan int)
			var mu sync.Mutex
			got := make(map[netip.Addr]int)
			var wg sync.WaitGroup
			for i := range 2 * 64 {
				wg.Go(func() {
					for n := range numbers {
						l, err := leaseOne(t.Context(), servers[i%2], want(n, ""))
						if err != nil {
							t.Errorf("user%d: %v", n, err)
						}
						mu.Lock()
						got[l.Address()]++
						mu.Unlock()
					}
				})
			}
			for n := range c.size {
				numbers <- n
			}
			close(numbers)
			wg.Wait()
			if len(got) != c.size {
				t.Errorf("%d addresses for %d callers", len(got), c.size)
			}
			for _, a := range servers {
				if _, err := leaseOne(t.Context(), a, want(5000, "")); !errors.Is(err, ipam.ErrPoolFull) {
					t.Errorf("the next caller: %v, want ErrPoolFull", err)
				}
			}
			if rows := db.Rows("SELECT count(*), count(DISTINCT username) FROM radial.addresses WHERE state = 'offered'"); rows[0][0] != rows[0][1] {
				t.Errorf("offered rows and users: %v", rows)
			}
		})
	}
}

// The same callers log in again and again, at two servers at once: none of them
// takes a second address.
func TestLeaseStorm(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	servers := []*ipam.Allocator{
		ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil),
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := make(map[int]map[netip.Addr]bool)
	for i := range 64 {
		wg.Go(func() {
			for round := range 8 {
				n := (i + round) % 10
				a := lease(t, servers[(i+round)%2], want(n, fmt.Sprint(i, "-", round)))
				mu.Lock()
				if got[n] == nil {
					got[n] = make(map[netip.Addr]bool)
				}
				got[n][a] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for n, addrs := range got {
		if len(addrs) != 1 {
			t.Errorf("user%d has had %v", n, addrs)
		}
	}
	if rows := db.Rows("SELECT count(*) FROM radial.addresses WHERE state <> 'free'"); rows[0][0] != "10" {
		t.Errorf("%s addresses for 10 callers", rows[0][0])
	}
}

func TestLeaseUnknownPool(t *testing.T) {
	db := storetest.New(t)
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	if _, err := leaseOne(t.Context(), a, want(1, "")); !errors.Is(err, ipam.ErrPoolUnknown) {
		t.Errorf("got %v, want ErrPoolUnknown", err)
	}
	makePool(t, db, "main", "192.0.2.0/30")
	if lease(t, a, want(1, "")); t.Failed() {
		t.Error("a pool that was just made is not seen")
	}
}

func TestLeaseTextsThatCannotBeStored(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s\x00\xff")
	w.Caller.User, w.Caller.Port = "a\x00b\xff", "p\x00"
	first := lease(t, a, w)
	if again := lease(t, a, w); again != first {
		t.Errorf("the same caller has %s and %s", first, again)
	}
}

func TestClaimManyAtOnce(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	leases := store.NewLeases(db.DB)
	pool, err := leases.PoolNamed(t.Context(), 1, "main")
	if err != nil {
		t.Fatal(err)
	}
	if pool.OfferTime != 2*time.Minute || pool.LeaseTime != time.Hour || len(pool.Networks) != 1 {
		t.Errorf("pool %+v", pool)
	}
	a1, a2 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	claim := func(tries ...ipam.Try) []ipam.Claimed {
		t.Helper()
		got, err := leases.Claim(t.Context(), tries)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := claim(ipam.Try{Want: want(1, ""), Pool: &pool, Candidates: []netip.Addr{a1}})
	for i, c := range []struct {
		try ipam.Try
		got netip.Addr
	}{
		{ipam.Try{Want: want(2, ""), Pool: &pool, Candidates: []netip.Addr{a1, a2}}, a2}, // a1 is gone by then
		{ipam.Try{Want: want(3, ""), Pool: &pool, Candidates: []netip.Addr{a1, a2}}, netip.Addr{}},
		{ipam.Try{Want: want(1, ""), Pool: &pool, Candidates: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}, a1},
		{ipam.Try{Want: want(4, ""), Pool: &pool, Candidates: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}, netip.Addr{}}, // no row
	} {
		if got := claim(c.try); got[0].Prefix.Addr() != c.got {
			t.Errorf("try %d got %v, want %v", i, got[0].Prefix, c.got)
		}
	}
	if left := time.Until(got[0].Until); left < time.Minute || left > 3*time.Minute {
		t.Errorf("the offer ends in %s", left)
	}
	if _, err := leases.PoolNamed(t.Context(), 1, "x"); !errors.Is(err, ipam.ErrPoolUnknown) {
		t.Errorf("pool x: %v", err)
	}
}

// The rows of ipam's table of cases that need rows: what a caller gets who
// comes back.
func TestLeaseOfReturningCaller(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	first := lease(t, a, w)
	check := func(what string, w ipam.Want, same bool) netip.Addr {
		t.Helper()
		got := lease(t, a, w)
		if (got == first) != same {
			t.Errorf("%s: %s after %s", what, got, first)
		}
		return got
	}
	check("offered, another session id", want(1, "s2"), true)
	otherPort := w
	otherPort.Caller.Port = "eth99"
	check("offered, other port", otherPort, false)

	// bound to session s1
	settle(t, db, bind(first, 7, w))
	check("bound, same session", w, true)
	check("bound, no session id", want(1, ""), true)
	if rows := db.Rows("SELECT state, session_id FROM radial.addresses WHERE address = $1", first); rows[0][0] != "bound" || rows[0][1] != "NULL" {
		t.Errorf("a kept row, whose old session may end any time, is %v", rows)
	}
	check("bound, another session: taken over", want(1, "s3"), true)
	if rows := db.Rows("SELECT state, session_id, radacctid FROM radial.addresses WHERE address = $1", first); strings.Join(rows[0], " ") != "bound s3 7" {
		t.Errorf("a taken over row is %v", rows)
	}
	vague := w
	vague.Caller.MAC, vague.Caller.Port, vague.SessionID = "", "", "v1"
	v := lease(t, a, vague)
	settle(t, db, bind(v, 8, vague))
	again := vague
	again.SessionID = "v2"
	if got := lease(t, a, again); got == v {
		t.Error("bound, another session, neither MAC nor port known: must not be taken over")
	}
}

func TestLeaseSticky(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.9.0.0/22")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	first := lease(t, a, w)
	settle(t, db, bind(first, 1, w))
	settle(t, db, release(first, 1, w))
	moved := want(1, "s2")
	moved.Caller.NAS, moved.Caller.Port = netip.MustParseAddr("10.0.0.2"), "x"
	if got := lease(t, a, moved); got != first {
		t.Errorf("at another NAS: %s, had %s", got, first)
	}
	// while the address is taken by another, a new one; never that one's
	db.Exec("UPDATE radial.addresses SET state = 'free', until = NULL WHERE address = $1", first)
	db.Exec("UPDATE radial.addresses SET state = 'bound', username = 'user1', mac = $2, nas = '10.0.0.9', port = 'other', radacctid = 99 WHERE address = $1", first, w.Caller.MAC)
	if got := lease(t, a, w); got == first {
		t.Error("stickiness took an address that is not free")
	}
}

func TestOffersExpire(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/30")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	one, two := lease(t, a, want(1, "")), lease(t, a, want(2, ""))
	settle(t, db, bind(two, 2, want(2, "")))
	if n, err := db.ExpireOffers(t.Context(), 100); n != 0 || err != nil {
		t.Errorf("%d living offers expired, %v", n, err)
	}
	db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second'")

	// reusable before the job has come by
	if got := lease(t, a, want(3, "")); got != one {
		t.Errorf("got %s, want the address whose offer ran out, %s", got, one)
	}
	db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second'")
	if n, err := db.ExpireOffers(t.Context(), 100); n != 1 || err != nil {
		t.Errorf("%d offers expired, %v; want 1: only offers end by the clock", n, err)
	}
	if rows := db.Rows("SELECT state, count(*) FROM radial.addresses GROUP BY state ORDER BY state"); fmt.Sprint(rows) != "[[bound 1] [free 1]]" {
		t.Errorf("states %v", rows)
	}
}

func TestLeaseTrouble(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{PoolLife: time.Hour}, nil)
	lease(t, a, want(1, ""))
	db.Exec("ALTER TABLE radial.addresses RENAME TO away")
	_, err := leaseOne(t.Context(), a, want(2, ""))
	if err == nil || errors.Is(err, ipam.ErrPoolFull) || errors.Is(err, ipam.ErrPoolUnknown) {
		t.Errorf("trouble looks like a decision: %v", err)
	}
	db.Exec("ALTER TABLE radial.away RENAME TO addresses")
	lease(t, a, want(2, ""))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := leaseOne(ctx, a, want(3, "")); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller: %v", err)
	}
	db.Close()
	if _, err := leaseOne(t.Context(), a, want(4, "")); err == nil || errors.Is(err, ipam.ErrPoolFull) || errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("a closed database looks like a decision: %v", err)
	}
}
