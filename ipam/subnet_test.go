package ipam

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// subnet makes a subnet of texts: a gateway, a range and exclusions may be "".
func subnet(t *testing.T, network, gateway, give, exclude string) Subnet {
	t.Helper()
	s := Subnet{Network: netip.MustParsePrefix(network)}
	if gateway != "" {
		s.Gateway = netip.MustParseAddr(gateway)
	}
	parse := func(text string) Range {
		r, err := ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if give != "" {
		s.Range = parse(give)
	}
	for _, x := range strings.Fields(exclude) {
		s.Excluded = append(s.Excluded, parse(x))
	}
	return s
}

// T-I2, T-I6: never the network's own address, its broadcast, the gateway, what
// is excluded or outside of the range; /31 and /32 work.
func TestRuns(t *testing.T) {
	for _, c := range []struct {
		network, gateway, give, exclude string
		length                          int
		want                            string
	}{
		{"192.0.2.0/24", "", "", "", 32, "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.1", "", "", 32, "192.0.2.2-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.254", "", "", 32, "192.0.2.1-192.0.2.253"},
		{"192.0.2.0/24", "192.0.2.100", "", "", 32, "192.0.2.1-192.0.2.99 192.0.2.101-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.0", "", "", 32, "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/24", "10.0.0.1", "", "", 32, "192.0.2.1-192.0.2.254"},
		{"192.0.2.0/30", "192.0.2.2", "", "", 32, "192.0.2.1"},
		{"192.0.2.2/31", "", "", "", 32, "192.0.2.2-192.0.2.3"},
		{"192.0.2.2/31", "192.0.2.2", "", "", 32, "192.0.2.3"},
		{"192.0.2.7/32", "", "", "", 32, "192.0.2.7"},
		{"192.0.2.7/32", "192.0.2.7", "", "", 32, ""},
		{"0.0.0.0/0", "", "", "", 32, "0.0.0.1-255.255.255.254"},
		{"255.255.255.0/24", "", "", "", 32, "255.255.255.1-255.255.255.254"},
		{"192.0.2.0/24", "192.0.2.1", "192.0.2.0-192.0.2.9", "", 32, "192.0.2.2-192.0.2.9"},
		{"192.0.2.0/24", "192.0.2.1", "192.0.2.250-192.0.2.255", "192.0.2.252", 32, "192.0.2.250-192.0.2.251 192.0.2.253-192.0.2.254"},
		{"192.0.2.0/24", "192.0.2.1", "192.0.2.10-192.0.2.20", "192.0.2.0/28 192.0.2.14-192.0.2.17 192.0.2.20", 32, "192.0.2.18-192.0.2.19"},
		{"192.0.2.0/24", "", "", "192.0.2.0/24", 32, ""},

		{"2001:db8::/40", "", "", "", 56, "2001:db8::-2001:db8:ff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db8::/40", "2001:db8::1", "", "2001:db8:0:280::/64", 56, "2001:db8:0:100::-2001:db8:0:1ff:ffff:ffff:ffff:ffff 2001:db8:0:300::-2001:db8:ff:ffff:ffff:ffff:ffff:ffff"},
		{"2001:db8::/40", "", "2001:db8:0:100::-2001:db8:0:200::", "", 56, "2001:db8:0:100::-2001:db8:0:2ff:ffff:ffff:ffff:ffff"},
		{"2001:db8::/56", "", "", "", 56, "2001:db8::-2001:db8:0:ff:ffff:ffff:ffff:ffff"},
		{"2001:db8::/120", "2001:db8::1", "", "", 128, "2001:db8::2-2001:db8::ff"},
		{"2001:db8::/127", "", "", "", 128, "2001:db8::-2001:db8::1"},
	} {
		s, err := subnet(t, c.network, c.gateway, c.give, c.exclude).Checked(c.length)
		if err != nil && c.gateway != "10.0.0.1" {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		var texts []string
		for _, r := range s.Runs(c.length) {
			texts = append(texts, r.String())
		}
		if got := strings.Join(texts, " "); got != c.want {
			t.Errorf("%+v: gives %s", c, got)
		}
	}
}

func TestCheckedRefusals(t *testing.T) {
	for _, c := range []struct {
		network, gateway, give, exclude string
		length                          int
		want                            string
	}{
		{"10.0.0.5/24", "", "", "", 32, "10.0.0.0/24"},
		{"10.0.0.0/24", "10.0.1.1", "", "", 32, "gateway 10.0.1.1"},
		{"10.0.0.0/24", "2001:db8::1", "", "", 32, "gateway 2001:db8::1"},
		{"10.0.0.0/24", "", "10.0.0.200-10.0.1.3", "", 32, "10.0.0.0-10.0.0.255"},
		{"10.0.0.0/24", "", "2001:db8::1", "", 32, "2001:db8::1"},
		{"10.0.0.0/24", "", "", "10.0.1.0", 32, "exclusion 10.0.1.0"},
		{"10.0.0.0/24", "", "", "", 64, "32 of IPv4"},
		{"2001:db8::/40", "", "", "", 129, "up to 128"},
		{"2001:db8::/40", "", "", "", 0, "/0"},
		{"2001:db8::/60", "", "", "", 56, "/56 or shorter"},
		{"2001:db8::/40", "", "", "", 128, "/64 or longer"},
		{"2001:db8::/40", "", "2001:db8:0:101::-2001:db8:0:200::", "", 56, "2001:db8:0:100::"},
		{"::ffff:10.0.0.0/120", "", "", "", 128, "want it as IPv4"},
	} {
		s, err := subnet(t, c.network, c.gateway, c.give, c.exclude).Checked(c.length)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %+v, %v; want an error with %q", c, s, err, c.want)
		}
	}
	if _, err := (Subnet{}).Checked(32); err == nil {
		t.Error("no network at all is good")
	}
	if _, err := (Subnet{Network: netip.MustParsePrefix("10.0.0.0/24"), Range: Range{host(9), host(3)}}).Checked(32); err == nil {
		t.Error("a range that begins after its end is good")
	}
}

func TestCheckGateway(t *testing.T) {
	for _, c := range []struct{ network, gateway, want string }{
		{"10.0.0.0/24", "10.0.0.0", "gateway 10.0.0.0: is the own address of network 10.0.0.0/24; want one of 10.0.0.1-10.0.0.254"},
		{"10.0.0.0/24", "10.0.0.255", "gateway 10.0.0.255: is the broadcast address of network 10.0.0.0/24; want one of 10.0.0.1-10.0.0.254"},
		{"10.0.0.4/30", "10.0.0.7", "gateway 10.0.0.7: is the broadcast address of network 10.0.0.4/30; want one of 10.0.0.5-10.0.0.6"},
		{"10.0.0.0/24", "10.0.0.1", ""},
		{"10.0.0.0/23", "10.0.0.255", ""},
		{"10.0.0.0/31", "10.0.0.0", ""},
		{"10.0.0.0/31", "10.0.0.1", ""},
		{"10.0.0.9/32", "10.0.0.9", ""},
		{"2001:db8::/64", "2001:db8::", ""},
	} {
		err := CheckGateway(netip.MustParsePrefix(c.network), netip.MustParseAddr(c.gateway))
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s of %s: %v, want %q", c.gateway, c.network, err, c.want)
		}
	}
	if err := CheckGateway(netip.MustParsePrefix("10.0.0.0/24"), netip.Addr{}); err != nil {
		t.Errorf("no gateway: %v", err)
	}
}

func TestCheckHosts(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "", "100.64.0.0/10": "", "169.254.0.0/16": "", "240.0.0.0/8": "", "2000::/3": "", "fd00::/8": "",
		"0.0.0.0/0": "0.0.0.0/8", "0.1.0.0/24": "0.0.0.0/8", "127.0.0.0/24": "127.0.0.0/8", "224.0.0.0/3": "multicast", "239.1.0.0/16": "multicast",
		"255.255.255.255/32": "2865", "::/0": "::/127", "fe80::/64": "of one link", "ff3e::/32": "multicast",
	} {
		err := CheckHosts(netip.MustParsePrefix(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text)) {
			t.Errorf("%s: %v; want an error with %q and the network", text, err, want)
		}
	}
}

// The runs are what walking over the network address by address gives.
func TestRunsAgainstWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := func(name string) netip.Addr {
			return netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, name+" c"), rapid.Byte().Draw(t, name+" d")})
		}
		network := netip.PrefixFrom(addr("network"), rapid.IntRange(22, 32).Draw(t, "bits")).Masked()
		within := func(name string) netip.Addr {
			return toAddr(toUint(network.Addr()) + rapid.Uint32Range(0, uint32(RangeOf(network).Size()-1)).Draw(t, name))
		}
		span := func(name string) Range {
			a, b := within(name), within(name)
			if b.Less(a) {
				a, b = b, a
			}
			return Range{a, b}
		}
		s := Subnet{Network: network}
		if rapid.Bool().Draw(t, "range") {
			s.Range = span("range")
		}
		if rapid.Bool().Draw(t, "gateway") {
			s.Gateway = within("gateway")
		}
		for range rapid.IntRange(0, 3).Draw(t, "exclusions") {
			s.Excluded = append(s.Excluded, span("exclusion"))
		}
		s, err := s.Checked(32)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []netip.Addr
		for a := network.Addr(); network.Contains(a); a = a.Next() {
			edge := a == network.Addr() || !network.Contains(a.Next())
			give := s.Range.Contains(a) && a != s.Gateway && (!edge || network.Bits() >= 31)
			for _, x := range s.Excluded {
				give = give && !x.Contains(a)
			}
			if give {
				want = append(want, a)
			}
		}
		size := uint64(rapid.IntRange(1, 300).Draw(t, "chunk"))
		for _, run := range s.Runs(32) {
			for chunk := range run.Chunks(size) {
				if chunk.Size() > size {
					t.Fatalf("chunk of %d, at most %d are wanted", chunk.Size(), size)
				}
				for a := chunk.First; chunk.Contains(a); a = a.Next() {
					got = append(got, a)
				}
			}
		}
		if n := s.Capacity(32); n != uint64(len(want)) {
			t.Fatalf("capacity %d, want %d", n, len(want))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("gives %v, want %v", got, want)
		}
	})
}

// Prefixes that are given lie in the run whole, and hold nothing that is not given.
func TestRunsOfPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(49, 60).Draw(t, "length")
		network := netip.MustParsePrefix("2001:db8:1::/48")
		at := func(name string) netip.Addr {
			b := network.Addr().As16()
			b[6], b[7], b[15] = rapid.Byte().Draw(t, name+" 6"), rapid.Byte().Draw(t, name+" 7"), rapid.Byte().Draw(t, name+" 15")
			return netip.AddrFrom16(b)
		}
		s := Subnet{Network: network, Gateway: at("gateway")}
		a, b := at("a"), at("b")
		if b.Less(a) {
			a, b = b, a
		}
		s.Excluded = []Range{{a, b}}
		s, err := s.Checked(length)
		if err != nil {
			t.Fatal(err)
		}
		var want uint64
		for p := netip.PrefixFrom(network.Addr(), length); network.Contains(p.Addr()); p = netip.PrefixFrom(lastOf(p).Next(), length) {
			if !p.Contains(s.Gateway) && !RangeOf(p).Overlaps(s.Excluded[0]) {
				want++
			}
		}
		var got uint64
		for _, r := range s.Runs(length) {
			got += r.Leases(length)
			for _, end := range []netip.Addr{r.First, r.Last} {
				p := netip.PrefixFrom(end, length).Masked()
				if !r.Covers(RangeOf(p)) || p.Contains(s.Gateway) || RangeOf(p).Overlaps(s.Excluded[0]) {
					t.Fatalf("%s of %s is given", p, r)
				}
			}
		}
		if got != want || s.Capacity(length) != want {
			t.Fatalf("%d prefixes, capacity %d, want %d", got, s.Capacity(length), want)
		}
	})
}

func TestCapacityBeyondNumbers(t *testing.T) {
	s, err := Subnet{Network: netip.MustParsePrefix("2001:db8::/64")}.Checked(128)
	if err != nil || s.Capacity(128) != math.MaxUint64 {
		t.Errorf("%d, %v", s.Capacity(128), err)
	}
	if n := AddLeases(math.MaxUint64-1, 2); n != math.MaxUint64 {
		t.Errorf("%d", n)
	}
	if n := AddLeases(1, 2); n != 3 {
		t.Errorf("%d", n)
	}
}
