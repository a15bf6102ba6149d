package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// emptied is a pool of which every address is leased, by one allocator, and its rows.
func emptied(t *testing.T, network string) (*Allocator, *table) {
	t.Helper()
	tab := newTable(t, network)
	a := NewAllocator(tab, AllocatorOptions{Window: 16, Seed: 1}, nil)
	for n := range tab.order {
		if _, err := leaseOne(t.Context(), a, user(n)); err != nil {
			t.Fatal(err)
		}
	}
	return a, tab
}

// free frees the rows of some addresses.
func (tab *table) free(addresses []netip.Addr) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, a := range addresses {
		*tab.rows[a] = Holding{}
	}
}

// What this server has freed is leased without a look, and when that is used up
// the rows are asked again.
func TestFreedIsProposed(t *testing.T) {
	a, tab := emptied(t, "192.0.2.0/24")
	freed := []netip.Addr{tab.order[200], tab.order[7], tab.order[90]}
	tab.free(freed)
	if kept := a.Freed(1, freed); len(kept) != len(freed) {
		t.Errorf("%v kept of %v", kept, freed)
	}
	looks := tab.looks
	var got []netip.Addr
	for n := range freed {
		l, err := leaseOne(t.Context(), a, user(1000+n))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.Address())
	}
	slices.SortFunc(got, netip.Addr.Compare)
	slices.SortFunc(freed, netip.Addr.Compare)
	if !slices.Equal(got, freed) || tab.looks != looks {
		t.Errorf("leased %v with %d looks, want %v with none", got, tab.looks-looks, freed)
	}
	if _, err := leaseOne(t.Context(), a, user(2000)); !errors.Is(err, ErrPoolFull) {
		t.Errorf("an empty pool: %v", err)
	}
}

// It is believed no more than what a look has found: a row that somebody else has
// leased since is not given, and the next look goes on.
func TestFreedButTaken(t *testing.T) {
	a, tab := emptied(t, "192.0.2.0/24")
	a.Freed(1, tab.order[10:20]) // none of them is
	tab.free(tab.order[30:31])
	if l, err := leaseOne(t.Context(), a, user(1000)); err != nil || l.Address() != tab.order[30] {
		t.Errorf("%v, %v; want %v", l.Prefix, err, tab.order[30])
	}
}

func TestFreedKeepsSo(t *testing.T) {
	a, tab := emptied(t, "192.0.2.0/24")
	some := tab.order[:20]
	for _, c := range []struct {
		name string
		pool int64
		some []netip.Addr
		kept int
	}{
		{"of a pool that nobody asks", 2, some, 0},
		{"of ours", 1, some, 20},
		{"again", 1, some, 0},
		{"some again", 1, tab.order[10:30], 10},
		{"more than four windows", 1, tab.order, 64 - 30},
		{"with no room", 1, tab.order, 0},
	} {
		if kept := a.Freed(c.pool, c.some); len(kept) != c.kept {
			t.Errorf("%s: %d kept, want %d", c.name, len(kept), c.kept)
		}
	}
	h := a.hints[poolKey{1, "main"}]
	if n := len(h.free); n != 64 || len(distinct(slices.Clone(h.free))) != n {
		t.Errorf("%d at hand, some twice or too many", n)
	}
	h.pool.Kind = DelegatedPrefix
	h.free = nil
	if kept := a.Freed(1, some); kept != nil {
		t.Errorf("prefixes kept: %v", kept)
	}
}

// What is freed while a look is under way, or lies where the next one looks, is not
// proposed twice.
func TestFreedIsNotFoundAgain(t *testing.T) {
	tab := &slowAhead{table: newTable(t, "10.0.0.0/22"), begun: make(chan struct{}), letGo: make(chan struct{})}
	a := NewAllocator(tab, AllocatorOptions{Window: 64, Seed: 1}, nil)
	if _, err := leaseOne(t.Context(), a, user(0)); err != nil { // a look for a few; the next one looks ahead
		t.Fatal(err)
	}
	h := a.hints[poolKey{1, "main"}]
	last := slices.Index(tab.order, h.cursor)
	before, during := tab.order[last+3:last+7], tab.order[last+9:last+19]
	if kept := a.Freed(1, before); len(kept) != len(before) {
		t.Fatalf("%v kept", kept)
	}
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		if _, err := leaseOne(t.Context(), a, user(1)); err != nil {
			t.Error(err)
		}
	}()
	<-tab.begun
	if kept := a.Freed(1, during); len(kept) != len(during) {
		t.Errorf("%v kept", kept)
	}
	close(tab.letGo)
	<-looking
	if n := len(h.free); n < 64 || len(distinct(slices.Clone(h.free))) != n {
		t.Errorf("of %d addresses at hand some are there twice", n)
	}
}
