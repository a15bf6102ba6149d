package ipam

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// table is the rows in memory: what several allocators share.
type table struct {
	mu    sync.Mutex
	pool  PoolInfo
	rows  map[netip.Addr]*Holding
	order []netip.Addr
	fail  error

	claims, looks, reads int
}

func newTable(t *testing.T, network string) *table {
	t.Helper()
	p := netip.MustParsePrefix(network)
	runs := Subnet{Network: p}.Runs(32)
	tab := &table{pool: PoolInfo{ID: 1, Name: "main", VRF: 1, Networks: []netip.Prefix{p}}, rows: map[netip.Addr]*Holding{}}
	for a := runs[0].First; runs[0].Contains(a); a = a.Next() {
		tab.rows[a] = &Holding{}
		tab.order = append(tab.order, a)
	}
	return tab
}

func (tab *table) PoolNamed(_ context.Context, _ int32, name string) (PoolInfo, error) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.reads++
	if name != tab.pool.Name {
		return PoolInfo{}, ErrPoolUnknown
	}
	return tab.pool, nil
}

func (tab *table) FreeAddresses(_ context.Context, pool PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.looks++
	var free []netip.Addr
	for _, a := range tab.order {
		if len(free) < limit && pool.ID == tab.pool.ID && tab.rows[a].State == Free && (!after.IsValid() || after.Less(a)) {
			free = append(free, a)
		}
	}
	return free, nil
}

func (tab *table) Claim(_ context.Context, tries []Try) ([]Claimed, error) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.claims++
	if tab.fail != nil {
		return nil, tab.fail
	}
	out := make([]Claimed, len(tries))
	for i, try := range tries {
		for _, a := range tab.order {
			if Judge(*tab.rows[a], try.Want) == Keep {
				out[i] = Claimed{Prefix: netip.PrefixFrom(a, 32), PoolID: tab.pool.ID}
			}
		}
		for _, a := range try.Candidates {
			if row := tab.rows[a]; !out[i].Prefix.IsValid() && row != nil && row.State == Free {
				*row = Holding{State: Offered, Caller: try.Want.Caller}
				out[i] = Claimed{Prefix: netip.PrefixFrom(a, 32), PoolID: tab.pool.ID}
			}
		}
	}
	return out, nil
}

// leaseOne leases for a login that wants one thing.
func leaseOne(ctx context.Context, a *Allocator, w Want) (Lease, error) {
	leases, err := a.Lease(ctx, []Want{w})
	if err != nil {
		return Lease{}, err
	}
	return leases[0], nil
}

func user(n int) Want {
	return Want{Pools: []string{"main"}, VRF: 1, Caller: Caller{User: "u", Port: string(rune('a'+n%26)) + time.Duration(n).String()}}
}

func TestAllocatorEmptiesPool(t *testing.T) {
	tab := newTable(t, "192.0.2.0/24")
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	// two servers on one table
	servers := []*Allocator{NewAllocator(tab, AllocatorOptions{Window: 16}, metrics), NewAllocator(tab, AllocatorOptions{Window: 16}, metrics)}
	var mu sync.Mutex
	got := map[netip.Addr]int{}
	var wg sync.WaitGroup
	for n := range 254 {
		wg.Go(func() {
			lease, err := leaseOne(t.Context(), servers[n%2], user(n))
			if err != nil {
				t.Errorf("caller %d: %v", n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[lease.Address()]++
		})
	}
	wg.Wait()
	if len(got) != 254 {
		t.Errorf("%d addresses for 254 callers", len(got))
	}
	if _, err := leaseOne(t.Context(), servers[0], user(999)); !errors.Is(err, ErrPoolFull) {
		t.Errorf("the next one: %v, want ErrPoolFull", err)
	}
	again, err := leaseOne(t.Context(), servers[1], user(5))
	if err != nil || got[again.Address()] != 1 {
		t.Errorf("a caller who has one, when the pool is full: %v %v", again, err)
	}
	if n, err := testutil.GatherAndCount(reg, "radial_ipam_lease_requests_total"); err != nil || n != 2 {
		t.Errorf("%d results counted, want leased and full (%v)", n, err)
	}
}

func TestAllocatorGivesHintsBack(t *testing.T) {
	tab := newTable(t, "192.0.2.0/28")
	a := NewAllocator(tab, AllocatorOptions{Candidates: 3}, nil)
	for range 50 { // would use up the hints if they were lost
		if _, err := leaseOne(t.Context(), a, user(1)); err != nil {
			t.Fatal(err)
		}
	}
	if tab.looks > 2 { // one from a place of its own, perhaps one from the first address
		t.Errorf("%d looks for one address", tab.looks)
	}
	tab.fail = errors.New("database is away")
	for range 10 {
		if _, err := leaseOne(t.Context(), a, user(2)); !errors.Is(err, tab.fail) {
			t.Fatalf("got %v, want trouble", err)
		}
	}
	if tab.fail = nil; tab.looks > 2 {
		t.Errorf("trouble used the hints up: %d looks", tab.looks)
	}
}

func TestAllocatorStaleHints(t *testing.T) {
	tab := newTable(t, "192.0.2.0/24")
	a, b := NewAllocator(tab, AllocatorOptions{Window: 254}, nil), NewAllocator(tab, AllocatorOptions{Window: 254}, nil)
	if _, err := leaseOne(t.Context(), a, user(0)); err != nil { // a has a full window now
		t.Fatal(err)
	}
	for n := 1; n < 200; n++ {
		if _, err := leaseOne(t.Context(), b, user(n)); err != nil {
			t.Fatal(err)
		}
	}
	for n := 200; n < 254; n++ {
		if _, err := leaseOne(t.Context(), a, user(n)); err != nil {
			t.Fatalf("caller %d with stale hints: %v", n, err)
		}
	}
	// one becomes free again: full is said by the rows alone
	for addr := range tab.rows {
		*tab.rows[addr] = Holding{}
		break
	}
	if _, err := leaseOne(t.Context(), b, user(300)); err != nil {
		t.Errorf("an address that became free is not found: %v", err)
	}
}

func TestAllocatorUnknownAndReplacedPool(t *testing.T) {
	tab := newTable(t, "192.0.2.0/30")
	now := time.Unix(1000, 0)
	a := NewAllocator(tab, AllocatorOptions{Now: func() time.Time { return now }}, nil)
	if _, err := leaseOne(t.Context(), a, Want{Pools: []string{"nope"}, VRF: 1}); !errors.Is(err, ErrPoolUnknown) {
		t.Errorf("got %v, want ErrPoolUnknown", err)
	}
	if len(a.hints) != 0 {
		t.Error("an unknown pool is remembered")
	}
	for n := range 2 {
		if _, err := leaseOne(t.Context(), a, user(n)); err != nil {
			t.Fatal(err)
		}
	}
	// deleted and made anew under the same name, with other addresses
	fresh := newTable(t, "198.51.100.0/30")
	tab.mu.Lock()
	tab.pool, tab.rows, tab.order = PoolInfo{ID: 2, Name: "main", VRF: 1, Networks: fresh.pool.Networks}, fresh.rows, fresh.order
	tab.mu.Unlock()
	lease, err := leaseOne(t.Context(), a, user(7))
	if err != nil || !fresh.pool.Networks[0].Contains(lease.Address()) {
		t.Errorf("from the new pool: %v, %v", lease, err)
	}
	reads := tab.reads
	for range 5 {
		if _, err := leaseOne(t.Context(), a, user(7)); err != nil {
			t.Fatal(err)
		}
	}
	if tab.reads != reads {
		t.Error("the pool's row is read for each lease")
	}
	now = now.Add(time.Minute)
	if _, err := leaseOne(t.Context(), a, user(7)); err != nil || tab.reads != reads+1 {
		t.Errorf("an old row is believed: %d reads, %v", tab.reads-reads, err)
	}
}

func TestAllocatorsBeginApart(t *testing.T) {
	tab := newTable(t, "10.0.0.0/16")
	begin := func(seed uint64) []netip.Addr {
		a := NewAllocator(tab, AllocatorOptions{Seed: seed, Window: 64}, nil)
		lease, err := leaseOne(t.Context(), a, user(int(seed)))
		if err != nil {
			t.Fatal(err)
		}
		return append(slices.Clone(a.hints[poolKey{1, "main"}].free), lease.Address())
	}
	one, two := begin(1), begin(2)
	for _, a := range one {
		if slices.Contains(two, a) {
			t.Fatalf("two servers propose %s", a)
		}
	}
}

func TestAllocatorWaitEndsWithContext(t *testing.T) {
	tab := newTable(t, "192.0.2.0/24")
	a := NewAllocator(tab, AllocatorOptions{}, nil)
	h := a.hint(poolKey{1, "main"}, false)
	h.busy = make(chan struct{}) // somebody looks, for ever
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := leaseOne(ctx, a, user(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Near the end of a pool a look shows what others here are trying: they are left
// to it, and a pool is full only when the rows have nothing left.
func TestAllocatorLeavesOthersTheirCandidates(t *testing.T) {
	tab := newTable(t, "192.0.2.0/28")
	a := NewAllocator(tab, AllocatorOptions{Candidates: 3, Window: 14, Seed: 3}, nil)
	h := a.hint(poolKey{1, "main"}, false)
	pool, err := h.info(t.Context(), a, false)
	if err != nil {
		t.Fatal(err)
	}
	var all []netip.Addr
	trying := map[netip.Addr]int{}
	for range 14 {
		got, empty, err := h.take(t.Context(), a, pool, 1)
		if err != nil || empty || len(got) != 1 {
			t.Fatalf("%v, %t, %v", got, empty, err)
		}
		all = append(all, got...)
		trying[got[0]]++
	}
	if len(trying) != 14 {
		t.Errorf("%d of 14 addresses are tried: %v", len(trying), trying)
	}
	h.giveBack(all[:2], all[0]) // one was had, the other was not needed
	tab.rows[all[0]].State = Bound
	h.free = nil // as if it had been lost
	if got, empty, err := h.take(t.Context(), a, pool, 5); err != nil || empty || len(got) != 1 || got[0] != all[1] {
		t.Errorf("what nobody tries is %v (empty %t, %v), want %s", got, empty, err, all[1])
	}
	if got, empty, err := h.take(t.Context(), a, pool, 5); err != nil || empty || len(got) != 5 {
		t.Errorf("what others try is all there is: %v, empty %t, %v", got, empty, err)
	}
}
