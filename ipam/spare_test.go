package ipam

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// spareTable has a pool of another kind, and says that it is full, beside
// table's own.
type spareTable struct{ *table }

func (s spareTable) PoolNamed(ctx context.Context, vrf int32, name string) (PoolInfo, error) {
	switch name {
	case "full":
		return PoolInfo{ID: 2, Name: "full", VRF: 1}, nil
	case "wan":
		return PoolInfo{ID: 3, Name: "wan", VRF: 1, Kind: IPv6Prefix, PrefixLength: 64}, nil
	}
	return s.table.PoolNamed(ctx, vrf, name)
}

// Spare pools come last; what is none of this VRF or kind is passed over, and
// asked of the rows once in PoolLife alone.
func TestAllocatorSparePools(t *testing.T) {
	tab := newTable(t, "192.0.2.0/30")
	now := time.Unix(1, 0)
	a := NewAllocator(spareTable{tab}, AllocatorOptions{Now: func() time.Time { return now }}, nil)
	want := func(n int) Want {
		w := user(n)
		w.Pools, w.Spare = []string{"full"}, []string{"gone", "wan", "main", "gone"}
		return w
	}
	for i := range 2 {
		l, err := leaseOne(t.Context(), a, want(i))
		if err != nil || l.Pool != "main" || !netip.MustParsePrefix("192.0.2.0/30").Contains(l.Address()) {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	if tab.reads != 2 { // gone and main
		t.Errorf("the rows were asked %d times for two names", tab.reads)
	}
	var r *Refusal
	if _, err := leaseOne(t.Context(), a, want(3)); !errors.As(err, &r) || r.Pool != "full" || !errors.Is(err, ErrPoolFull) {
		t.Errorf("full: %v", err)
	}
	misspelt := want(4)
	misspelt.Pools = []string{"fuul"}
	if _, err := leaseOne(t.Context(), a, misspelt); !errors.Is(err, ErrPoolUnknown) {
		t.Errorf("a misspelt pool falls through: %v", err)
	}
	// a pool that is made later is found in time
	tab.pool.Name = "gone"
	now = now.Add(time.Minute)
	if l, err := leaseOne(t.Context(), a, want(0)); err != nil || l.Pool != "gone" {
		t.Errorf("%+v, %v", l, err)
	}
}
