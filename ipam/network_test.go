package ipam

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"10.0.0.10-10.0.0.200", "10.0.0.10-10.0.0.200"},
		{" 10.0.0.10 - 10.0.0.200 ", "10.0.0.10-10.0.0.200"},
		{"10.0.0.10", "10.0.0.10"},
		{"10.0.0.10-10.0.0.10", "10.0.0.10"},
		{"10.0.0.0/30", "10.0.0.0-10.0.0.3"},
		{"10.0.0.7/32", "10.0.0.7"},
		{"::ffff:10.0.0.7", "10.0.0.7"},
		{"2001:db8::-2001:db8::ff", "2001:db8::-2001:db8::ff"},
		{"2001:db8::/120", "2001:db8::-2001:db8::ff"},
		{"2001:db8::/49", "2001:db8::-2001:db8:0:7fff:ffff:ffff:ffff:ffff"},
		{"::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	} {
		r, err := ParseRange(c.text)
		if err != nil || r.String() != c.want {
			t.Errorf("ParseRange(%q) = %s, %v; want %s", c.text, r, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"10.0.0.200-10.0.0.10", "10.0.0.10-10.0.0.200"}, // what would be right
		{"10.0.0.5/24", "10.0.0.0/24"},
		{"10.0.0.1-2001:db8::1", "one family"},
		{"fe80::1%eth0-fe80::2", "zone"},
		{"10.0.0", "10.0.0.10-10.0.0.200"},
		{"10.0.0.1-", "10.0.0.10-10.0.0.200"},
		{"", "10.0.0.10-10.0.0.200"},
	} {
		if r, err := ParseRange(c.text); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("ParseRange(%q) = %s, %v; want an error that names it and %q", c.text, r, err, c.want)
		}
	}
}

func TestLeasesOfRanges(t *testing.T) {
	for _, c := range []struct {
		text   string
		length int
		want   uint64
	}{
		{"10.0.0.0/24", 32, 256},
		{"0.0.0.0/0", 32, 1 << 32},
		{"2001:db8::/40", 56, 1 << 16},
		{"2001:db8::/64", 64, 1},
		{"2001:db8::/64", 128, math.MaxUint64}, // 2^64, which no number of 64 bits holds
		{"2001:db8::/65", 128, 1 << 63},
		{"2001:db8::1-2001:db8::ff", 128, 255},
		{"2001:db8::/32", 64, 1 << 32},
		{"2001:db8:0:ff00::-2001:db8:1:ff:ffff:ffff:ffff:ffff", 56, 2},
		{"::/0", 64, math.MaxUint64},
		{"::/0", 63, 1 << 63},
	} {
		r, err := ParseRange(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Leases(c.length); got != c.want {
			t.Errorf("%s has %d of /%d, want %d", c.text, got, c.length, c.want)
		}
	}
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

// What is subtracted is gone, what is not is there, and nothing twice.
func TestSubtractAgainstWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []Range {
			var all []Range
			for range rapid.IntRange(0, 5).Draw(t, name) {
				a, b := rapid.Byte().Draw(t, "a"), rapid.Byte().Draw(t, "b")
				all = append(all, Range{host(min(a, b)), host(max(a, b))})
			}
			return merged(all)
		}
		from, take := draw("from"), draw("take")
		left := Subtract(from, take)
		in := func(all []Range, a netip.Addr) bool {
			return slices.ContainsFunc(all, func(r Range) bool { return r.Contains(a) })
		}
		for i := range 256 {
			a := host(byte(i))
			if want := in(from, a) && !in(take, a); in(left, a) != want {
				t.Fatalf("%v less %v is %v: %s is in it: %v", from, take, left, a, !want)
			}
		}
		for i := 1; i < len(left); i++ {
			if !left[i-1].Last.Less(left[i].First) {
				t.Fatalf("%v is not in order", left)
			}
		}
	})
}

func host(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }

func TestLargestPrefix(t *testing.T) {
	for r, want := range map[Range]string{
		{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:ffff:ffff:ffff")}:      "2001:db8:0:0:8000::/65",
		{netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8:2:ffff:ffff:ffff:ffff:ffff")}: "2001:db8::/47",
		{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("2001:db8::5")}:                        "2001:db8::5/128",
		{netip.MustParseAddr("ffff::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}: "ffff::/16",
	} {
		if got := r.LargestPrefix(); got.String() != want {
			t.Errorf("%s: %s, want %s", r, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint32().Draw(t, "a"), rapid.Uint32().Draw(t, "b")
		r := Range{toAddr(min(a, b)), toAddr(max(a, b))}
		p := r.LargestPrefix()
		if !r.Covers(RangeOf(p)) || p != p.Masked() {
			t.Fatalf("%s: %s", r, p)
		}
		// A network of twice the size fits nowhere: of those that begin in the
		// range the first one ends beyond it.
		if size := 33 - p.Bits(); size <= 32 {
			step := uint64(1) << size
			if begin := (uint64(min(a, b)) + step - 1) / step * step; begin+step-1 <= uint64(max(a, b)) {
				t.Fatalf("%s: %s, though there is one of /%d", r, p, p.Bits()-1)
			}
		}
	})
}
