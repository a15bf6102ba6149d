package ipam

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRuns(t *testing.T) {
	for _, c := range []struct{ network, gateway, want string }{
		{"192.0.2.0/24", "", "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.1", "192.0.2.2-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.254", "192.0.2.1-192.0.2.253"},
		{"192.0.2.0/24", "192.0.2.100", "192.0.2.1-192.0.2.99 192.0.2.101-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.0", "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/24", "10.0.0.1", "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/30", "192.0.2.2", "192.0.2.1-192.0.2.1"},
		{"192.0.2.2/31", "", "192.0.2.2-192.0.2.3"},
		{"192.0.2.2/31", "192.0.2.2", "192.0.2.3-192.0.2.3"},
		{"192.0.2.7/32", "", "192.0.2.7-192.0.2.7"},
		{"192.0.2.7/32", "192.0.2.7", ""},
		{"0.0.0.0/0", "", "0.0.0.1-255.255.255.254"},
		{"255.255.255.0/24", "", "255.255.255.1-255.255.255.254"},
	} {
		var gateway netip.Addr
		if c.gateway != "" {
			gateway = netip.MustParseAddr(c.gateway)
		}
		runs, err := Runs(netip.MustParsePrefix(c.network), gateway)
		if err != nil {
			t.Errorf("Runs(%s, %s): %v", c.network, c.gateway, err)
		}
		var texts []string
		for _, r := range runs {
			texts = append(texts, r.First.String()+"-"+r.Last.String())
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("Runs(%s, %s) = %s, want %s", c.network, c.gateway, got, c.want)
		}
	}
	for _, network := range []string{"2001:db8::/64", "10.0.0.5/24"} {
		if _, err := Usable(netip.MustParsePrefix(network)); err == nil || !strings.Contains(err.Error(), network) {
			t.Errorf("Usable(%s): %v, want an error that names it", network, err)
		}
	}
	if _, err := Usable(netip.Prefix{}); err == nil {
		t.Error("the zero prefix is usable")
	}
}

// The runs are what walking over the network address by address gives.
func TestRunsAgainstWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")}), rapid.IntRange(22, 32).Draw(t, "bits")).Masked()
		gateway := netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "gc"), rapid.Byte().Draw(t, "gd")})
		var want, got []netip.Addr
		for a := network.Addr(); network.Contains(a); a = a.Next() {
			edge := a == network.Addr() || !network.Contains(a.Next())
			if a != gateway && (!edge || network.Bits() >= 31) {
				want = append(want, a)
			}
		}
		runs, err := Runs(network, gateway)
		if err != nil {
			t.Fatal(err)
		}
		size := uint64(rapid.IntRange(1, 300).Draw(t, "chunk"))
		for _, run := range runs {
			for chunk := range run.Chunks(size) {
				if chunk.Size() > size {
					t.Fatalf("chunk of %d, at most %d are wanted", chunk.Size(), size)
				}
				for a := chunk.First; chunk.Contains(a); a = a.Next() {
					got = append(got, a)
				}
			}
		}
		if n, _ := Capacity(network, gateway); n != uint64(len(want)) {
			t.Fatalf("capacity %d, want %d", n, len(want))
		}
		if len(got) != len(want) {
			t.Fatalf("%d addresses, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("address %d is %s, want %s", i, got[i], want[i])
			}
		}
	})
}

func TestChunksAtTheEndOfTheSpace(t *testing.T) {
	n := 0
	for range (Range{First: netip.MustParseAddr("255.255.0.0"), Last: netip.MustParseAddr("255.255.255.255")}).Chunks(1 << 15) {
		if n++; n > 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d chunks, want 2", n)
	}
}
