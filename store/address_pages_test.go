package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// layout makes pools of one or several subnets: ranges of a network, networks
// in networks, over each other where that is allowed, in several VRFs, IPv6.
type layout struct {
	ctx   context.Context
	db    *storetest.DB
	names []string
}

// network draws one of a few networks, so that they meet, and perhaps a range of it.
func (l *layout) network(t *rapid.T, kind ipam.Kind) store.SubnetSpec {
	nets := []string{"10.0.0.0/24", "10.0.0.0/25", "10.0.0.128/26", "10.0.0.0/28", "10.0.1.0/30", "10.0.1.0/24"}
	bits := 32
	if kind.Sparse() {
		nets, bits = []string{"2001:db8::/40", "2001:db8::/48", "2001:db8:40::/48", "2001:db8:40:1000::/52"}, 56
	}
	s := store.SubnetSpec{Network: netip.MustParsePrefix(rapid.SampledFrom(nets).Draw(t, "network"))}
	if rapid.Bool().Draw(t, "ranged") {
		all := ipam.RangeOf(s.Network)
		n := min(all.Leases(bits), 256)
		first := rapid.Uint64Range(0, n-1).Draw(t, "first")
		last := rapid.Uint64Range(first, n-1).Draw(t, "last")
		s.Range = ipam.Range{First: leaseNo(s.Network, bits, first).Addr(), Last: leaseNo(s.Network, bits, last).Addr()}
	}
	return s
}

// leaseNo is the nth lease of a network.
func leaseNo(network netip.Prefix, bits int, n uint64) netip.Prefix {
	b := network.Addr().AsSlice()
	for i, shift := bits/8-1, 0; shift < 64 && i >= 0; i, shift = i-1, shift+8 {
		b[i] |= byte(n >> shift)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, bits)
}

func (l *layout) make(t *rapid.T) {
	ctx := l.ctx
	l.db.Exec("DELETE FROM radial.pools")
	l.names = []string{"a", "b", "c"}
	for i := range rapid.IntRange(1, 5).Draw(t, "pools") {
		kind := rapid.SampledFrom([]ipam.Kind{ipam.IPv4, ipam.IPv4, ipam.DelegatedPrefix}).Draw(t, "kind")
		m := store.Making{AllowOverlap: rapid.Bool().Draw(t, "overlap")}
		spec := store.PoolSpec{Name: l.names[i%3], VRF: int32(1 + i/3), Kind: kind, Making: m}
		spec.Subnets = []store.SubnetSpec{l.network(t, kind)}
		if err := l.db.CreatePool(ctx, spec); err != nil {
			continue // over others, or nothing to give
		}
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			_, _ = l.db.AddSubnet(ctx, by("subnet.add"), spec.VRF, spec.Name, l.network(t, kind), m)
		}
	}
	l.db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state)
SELECT s.vrf_id, set_masklen(s.first, 56) , s.pool_id, s.id, 'bound' FROM radial.subnets s WHERE family(s.network) = 6
UNION SELECT s.vrf_id, network(set_masklen(s.last, 56))::inet, s.pool_id, s.id, 'bound' FROM radial.subnets s WHERE family(s.network) = 6
ON CONFLICT DO NOTHING`)
}

// The pages of a listing, put together, are the rows that were asked for, each
// once and in order, however the subnets lie.
func TestAddressPagesOfAnyLayout(t *testing.T) {
	db := storetest.New(t)
	if _, err := db.MakeVRF(t.Context(), "red"); err != nil {
		t.Fatal(err)
	}
	l := &layout{ctx: t.Context(), db: db}
	rapid.Check(t, func(t *rapid.T) {
		l.make(t)
		for _, name := range append([]string{""}, l.names...) {
			f := store.AddressFilter{Pool: name}
			where := "true"
			if name != "" {
				where = "p.name = '" + name + "'"
			}
			if rapid.Bool().Draw(t, "within") {
				f.Within = netip.MustParsePrefix(rapid.SampledFrom([]string{"10.0.0.0/26", "10.0.1.0/24", "0.0.0.0/0", "10.0.0.7/32", "2001:db8:40::/47"}).Draw(t, "part"))
				where += " AND a.address <<= '" + f.Within.String() + "'"
			}
			if rapid.Bool().Draw(t, "one vrf") {
				f.VRF = rapid.Int32Range(1, 2).Draw(t, "vrf")
				where += fmt.Sprint(" AND a.vrf_id = ", f.VRF)
			}
			want := db.Rows("SELECT a.vrf_id || ' ' || host(a.address) || '/' || masklen(a.address) || ' ' || p.name FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE " +
				where + " ORDER BY a.vrf_id, a.address")
			limit := rapid.SampledFrom([]int{1, 3, 40, 1000}).Draw(t, "limit")
			if limit < 40 && len(want) > 60 {
				limit = 40
			}
			var got, wanted []string
			for _, row := range want {
				wanted = append(wanted, row[0])
			}
			for after := (store.AddressKey{}); ; {
				page, err := db.Addresses(l.ctx, f, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range page {
					got = append(got, fmt.Sprintf("%d %s %s", a.VRF, a.Address, a.Pool))
				}
				if len(page) < limit || len(got) > len(want) {
					break
				}
				after = page[limit-1].Key()
			}
			if strings.Join(got, ",") != strings.Join(wanted, ",") {
				t.Fatalf("%+v by %d: %d rows, want %d: %v, want %v", f, limit, len(got), len(want), got, wanted)
			}
		}
	})
}
