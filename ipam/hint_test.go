package ipam

import (
	"context"
	"net/netip"
	"testing"
)

// slowAhead is a table whose second look for free addresses takes until it is
// let go.
type slowAhead struct {
	*table
	begun, letGo chan struct{}
	asked        int
	seesBefore   bool // it sees the rows as they were when it began
}

func (s *slowAhead) FreeAddresses(ctx context.Context, pool PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error) {
	if s.asked++; s.asked == 2 { // no two at once
		if s.seesBefore {
			free, err := s.table.FreeAddresses(ctx, pool, after, limit)
			close(s.begun)
			<-s.letGo
			return free, err
		}
		close(s.begun)
		select {
		case <-s.letGo:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.table.FreeAddresses(ctx, pool, after, limit)
}

// While one caller looks for what comes next, the others take what is left, and
// nobody gets what another has.
func TestHintLooksAhead(t *testing.T) {
	tab := &slowAhead{table: newTable(t, "10.0.0.0/22"), begun: make(chan struct{}), letGo: make(chan struct{})}
	a := NewAllocator(tab, AllocatorOptions{Window: 64, Seed: 1}, nil)
	had := map[netip.Addr]int{}
	get := func(n int) {
		t.Helper()
		l, err := leaseOne(t.Context(), a, user(n))
		if err != nil {
			t.Fatal(err)
		}
		if other, again := had[l.Address()]; again {
			t.Errorf("%s is given to %d and %d", l.Address(), other, n)
		}
		had[l.Address()] = n
	}
	get(0)
	left := len(a.hints[poolKey{1, "main"}].free)
	if left == 0 || left >= 64/4 {
		t.Fatalf("%d addresses are left of the first look", left)
	}
	looking := make(chan Lease, 1)
	go func() {
		l, err := leaseOne(t.Context(), a, user(1))
		if err != nil {
			t.Error(err)
		}
		looking <- l
	}()
	<-tab.begun
	for n := range left {
		get(2 + n) // does not wait
	}
	close(tab.letGo)
	l := <-looking
	had[l.Address()] = 1
	for n := range 32 {
		get(100 + n)
	}
	if want := 1 + left + 1 + 32; len(had) != want || tab.asked != 2 {
		t.Errorf("%d addresses of %d looks, want %d of 2", len(had), tab.asked, want)
	}
}

// What was leased while a look was under way is not taken for free, though the
// look has seen it so.
func TestHintLookSeesWhatWasThenFree(t *testing.T) {
	tab := &slowAhead{table: newTable(t, "10.0.0.0/24"), begun: make(chan struct{}), letGo: make(chan struct{}), seesBefore: true}
	a := NewAllocator(tab, AllocatorOptions{Window: 64, Seed: 1}, nil)
	had := map[netip.Addr]bool{}
	get := func(n int) {
		t.Helper()
		l, err := leaseOne(t.Context(), a, user(n))
		if err != nil {
			t.Fatal(err)
		}
		had[l.Address()] = true
	}
	get(0)
	h := a.hints[poolKey{1, "main"}]
	left := len(h.free)
	for i := range h.free { // they lie beyond the cursor, as what is left of a round before does
		h.free[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)})
	}
	h.cursor = netip.MustParseAddr("10.0.0.99")
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		if _, err := leaseOne(t.Context(), a, user(1)); err != nil {
			t.Error(err)
		}
	}()
	<-tab.begun
	for n := range left {
		get(2 + n)
	}
	close(tab.letGo)
	<-looking
	if len(h.free) == 0 || left == 0 {
		t.Fatalf("%d were left, %d have been found", left, len(h.free))
	}
	for _, free := range h.free {
		if had[free] {
			t.Errorf("%s is proposed, and has been leased since", free)
		}
	}
}

// A look ahead that fails costs nothing: the next one who finds nothing left looks.
func TestHintLookAheadFails(t *testing.T) {
	tab := &slowAhead{table: newTable(t, "10.0.0.0/22"), begun: make(chan struct{}), letGo: make(chan struct{})}
	a := NewAllocator(tab, AllocatorOptions{Window: 64, Seed: 1}, nil)
	if _, err := leaseOne(t.Context(), a, user(0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := leaseOne(ctx, a, user(1))
		gone <- err
	}()
	<-tab.begun
	cancel()
	<-gone // whether it got one does not matter
	for n := range 100 {
		if _, err := leaseOne(t.Context(), a, user(2+n)); err != nil {
			t.Fatal(err)
		}
	}
}
