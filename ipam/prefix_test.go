package ipam

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawPool draws a pool of a few subnets with exclusions, and a gateway.
func drawPool(t *rapid.T) PoolInfo {
	length := rapid.IntRange(20, 128).Draw(t, "length")
	p := PoolInfo{ID: rapid.Int64Range(1, 9).Draw(t, "id"), PrefixLength: length, Sticky: Sticky(rapid.IntRange(0, 3).Draw(t, "sticky"))}
	n := rapid.IntRange(1, 3).Draw(t, "subnets")
	for i := range n {
		bitsLong := max(length-rapid.IntRange(0, 64).Draw(t, "spare"), 16)
		network := netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("20%02x:db8:1234:5678:9abc:def0:1234:5678", i)), bitsLong).Masked()
		s := Subnet{Network: network}
		all := PoolInfo{PrefixLength: length, Runs: s.Runs(length)}
		for range rapid.IntRange(0, 3).Draw(t, "exclusions") {
			if size := all.Capacity(); size > 0 {
				if a, ok := all.nth(rapid.Uint64Max(size-1).Draw(t, "excluded")); ok {
					s.Excluded = append(s.Excluded, Range{a, a})
				}
			}
		}
		p.Runs = append(p.Runs, s.Runs(length)...)
	}
	return p
}

func TestNthAndIndexAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t)
		size := p.Capacity()
		if size == 0 {
			if _, ok := p.nth(0); ok {
				t.Fatal("an empty pool has a first lease")
			}
			return
		}
		n := rapid.Uint64Max(size-1).Draw(t, "n")
		a, ok := p.nth(n)
		if !ok && size != math.MaxUint64 {
			t.Fatalf("no lease %d of %d", n, size)
		}
		if !ok {
			return
		}
		if lease := netip.PrefixFrom(a, p.PrefixLength); lease.Masked() != lease || !p.Gives(lease) {
			t.Fatalf("lease %d is %s", n, lease)
		}
		if back, ok := p.index(a); !ok || back != n {
			t.Fatalf("lease %d is %s, and that is number %d", n, a, back)
		}
		if _, ok := p.nth(size); ok && size != math.MaxUint64 {
			t.Fatalf("lease %d of %d", size, size)
		}
		for _, c := range p.usual(Caller{User: "u"}, 4) {
			if !p.Gives(netip.PrefixFrom(c, p.PrefixLength)) {
				t.Fatalf("a candidate outside of the pool: %s", c)
			}
		}
	})
}

func TestGapsAreWhatIsNotTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t)
		var all, taken, want []netip.Addr
		for n := range min(p.Capacity(), 40) {
			a, _ := p.nth(n)
			all = append(all, a)
		}
		if len(all) == 0 {
			return
		}
		after := netip.Addr{}
		from := rapid.IntRange(0, len(all)-1).Draw(t, "from")
		if from > 0 {
			after = all[from-1]
		}
		limit := rapid.IntRange(0, 50).Draw(t, "limit")
		through := all[rapid.IntRange(from, len(all)-1).Draw(t, "through")]
		for i, a := range all {
			if rapid.Bool().Draw(t, "taken") {
				taken = append(taken, a)
			} else if i >= from && !through.Less(a) && len(want) < limit {
				want = append(want, a)
			}
		}
		if got := p.Gaps(after, through, taken, limit); !slices.Equal(got, want) {
			t.Fatalf("gaps %v, want %v", got, want)
		}
	})
}

func TestUsualCandidates(t *testing.T) {
	p := PoolInfo{ID: 1, PrefixLength: 56, Runs: Subnet{Network: netip.MustParsePrefix("2001:db8::/32")}.Runs(56)}
	alice, bob := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.1", "1"), caller("bob", "aa:bb:cc:dd:ee:ff", "10.0.0.1", "1")
	moved := caller("alice", "aa:bb:cc:dd:ee:ff", "10.0.0.2", "7")
	first := p.usual(alice, 2)
	if !slices.Equal(first, p.usual(moved, 2)) {
		t.Error("the same user and MAC at another NAS has other candidates")
	}
	if slices.Equal(first, p.usual(bob, 2)) || first[0] == first[1] {
		t.Error("another caller has the same ones, or the second is the first")
	}
	other := p
	other.ID = 2
	if slices.Equal(first, other.usual(alice, 2)) {
		t.Error("another pool has the same ones")
	}
	if got := (&PoolInfo{PrefixLength: 64}).usual(alice, 2); len(got) != 0 {
		t.Errorf("of no networks: %v", got)
	}
	whole := PoolInfo{PrefixLength: 128, Runs: Subnet{Network: netip.MustParsePrefix("2001:db8::/64")}.Runs(128)}
	if got := whole.usual(alice, 2); len(got) != 2 {
		t.Errorf("of 2^64 addresses: %v", got)
	}
	// evenly: 16 prefixes for 1,600 callers
	small, seen := PoolInfo{PrefixLength: 56, Runs: Subnet{Network: netip.MustParsePrefix("2001:db8::/52")}.Runs(56)}, map[netip.Addr]int{}
	for n := range 1600 {
		seen[small.usual(Caller{User: fmt.Sprint(n)}, 1)[0]]++
	}
	for a, n := range seen {
		if len(seen) != 16 || n < 50 || n > 200 {
			t.Errorf("%s is first for %d of 1600, of %d prefixes", a, n, len(seen))
		}
	}
}

func TestInterfaceID(t *testing.T) {
	mac := Caller{User: "alice", MAC: "34:56:78:9a:bc:de"}
	for _, c := range []struct {
		name   string
		policy InterfaceIDPolicy
		caller Caller
		want   uint64
	}{
		{"none", InterfaceIDNone, mac, 0},
		{"RFC 4291 appendix A", InterfaceIDEUI64, mac, 0x3656_78ff_fe9a_bcde},
		{"no MAC", InterfaceIDEUI64, Caller{User: "alice", MAC: "10.0.0.7"}, 0},
		{"no MAC, as long as one", InterfaceIDEUI64, Caller{MAC: "sip:alice@isp.net"}, 0},
	} {
		if got := InterfaceID(c.policy, c.caller); got != c.want {
			t.Errorf("%s: %016x, want %016x", c.name, got, c.want)
		}
	}
	stable := InterfaceID(InterfaceIDStable, mac)
	if stable == 0 || stable != InterfaceID(InterfaceIDStable, mac) || stable == InterfaceID(InterfaceIDStable, Caller{User: "bob", MAC: mac.MAC}) {
		t.Errorf("stable: %016x", stable)
	}
	if iana := InterfaceID(InterfaceIDEUI64, Caller{MAC: "00:00:5e:00:53:01"}); iana == 0 || reservedInterfaceID(iana) {
		t.Errorf("a MAC of IANA's block: %016x", iana)
	}
	for id, want := range map[uint64]bool{
		0: true, 1: false, 0x02005efffe000000: true, 0x02005efffe005213: true, 0x02005efffeffffff: true, 0x02005effff000000: false,
		0xfdffffffffffff7f: false, 0xfdffffffffffff80: true, 0xfdffffffffffffff: true, 0xfe00000000000000: false,
	} {
		if reservedInterfaceID(id) != want {
			t.Errorf("%016x is reserved: %t", id, !want)
		}
	}
}
