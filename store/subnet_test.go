package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

func runOf(text string) ipam.Range {
	r, err := ipam.ParseRange(text)
	if err != nil {
		panic(err)
	}
	return r
}

// secondServer opens the test's database once more.
func secondServer(t testing.TB, db *storetest.DB) *store.DB {
	t.Helper()
	other, err := store.Open(t.Context(), store.Options{URL: nas.Secret(db.URL()), MaxConns: 8}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// subnetNamed finds a subnet by its network or range.
func subnetNamed(t testing.TB, db *storetest.DB, text string) store.Subnet {
	t.Helper()
	s, err := db.FindSubnet(t.Context(), 1, "", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// T-I2, T-I6, T-I10: the rows of a subnet are what may be given of it, whatever
// is changed and in whichever order: exclusions, range and gateway.
func TestRowsFollowTheSubnet(t *testing.T) {
	db := storetest.New(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), rapid.IntRange(26, 32).Draw(rt, "bits"))
		size := int(ipam.RangeOf(network).Size())
		at := func(name string) netip.Addr {
			b := network.Addr().As4()
			b[3] = byte(rapid.IntRange(0, size-1).Draw(rt, name))
			return netip.AddrFrom4(b)
		}
		span := func(name string) ipam.Range {
			a, b := at(name), at(name)
			if b.Less(a) {
				a, b = b, a
			}
			return ipam.Range{First: a, Last: b}
		}
		name := fmt.Sprint("pool", n)
		if err := db.CreatePool(t.Context(), store.PoolSpec{Name: name, CIDRs: []netip.Prefix{network}}); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(rt, "changes") {
			before := subnetNamed(t, db, network.String())
			var c store.SubnetChange
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				r := span("range")
				c.Range = &r
			case 1:
				c.Range = &ipam.Range{}
			case 2:
				g := at("gateway")
				c.Gateway = &g
			case 3:
				c.Exclude = []store.Exclusion{{Range: span("exclude")}}
			case 4:
				c.Include = []ipam.Range{span("include")}
			}
			_, err := db.SetSubnet(t.Context(), byTest("subnet.set"), before.ID, c, store.Making{})
			if err != nil && !errors.Is(err, aaa.ErrInvalid) { // nothing left, nothing to include, exclusions that overlap
				rt.Fatal(err)
			}
			checkRows(t, rt, db, subnetNamed(t, db, network.String()))
		}
	})
}

// checkRows compares the rows of a subnet with what walking over it gives.
func checkRows(t *testing.T, rt *rapid.T, db *storetest.DB, s store.Subnet) {
	t.Helper()
	var want []string
	for a := s.Range.First; s.Range.Contains(a); a = a.Next() {
		edge := s.Network.Bits() < 31 && (a == s.Network.Addr() || !s.Network.Contains(a.Next()))
		excluded := slices.ContainsFunc(s.Exclusions, func(x store.Exclusion) bool { return x.Range.Contains(a) })
		if !edge && !excluded && a != s.Gateway {
			want = append(want, a.String())
		}
	}
	var got []string
	for _, r := range db.Rows(`SELECT host(address) FROM radial.addresses WHERE address <<= $1 ORDER BY address`, s.Network) {
		got = append(got, r[0])
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("%+v\nhas rows  %v\nand gives %v", s.SubnetSpec, got, want)
	}
}

// The longest free run and the largest free network are those that a look at
// every address finds.
func TestFreeBlockAgainstWalk(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/26")
	s := subnetNamed(t, db, "10.0.0.0/26")
	rapid.Check(t, func(rt *rapid.T) {
		free := map[netip.Addr]bool{}
		taken := []string{}
		bias := rapid.IntRange(1, 12).Draw(rt, "bias")
		for i := 1; i < 63; i++ {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			if free[a] = rapid.IntRange(0, bias).Draw(rt, "taken") != 0; !free[a] {
				taken = append(taken, a.String())
			}
		}
		db.Exec(`UPDATE radial.addresses SET state = CASE WHEN host(address) = ANY ($1) THEN 'bound' ELSE 'free' END`, taken)
		got, err := db.FreeBlock(t.Context(), s)
		if err != nil {
			rt.Fatal(err)
		}
		var want store.FreeBlock
		for a := s.Range.First; s.Range.Contains(a); a = a.Next() {
			r := ipam.Range{First: a, Last: a}
			for free[r.Last.Next()] && free[a] {
				r.Last = r.Last.Next()
			}
			if free[a] && r.Size() > want.Run.Size() {
				want.Run = r
			}
			for bits := 32; free[a] && bits >= 26; bits-- {
				p := netip.PrefixFrom(a, bits)
				if p == p.Masked() && r.Covers(ipam.RangeOf(p)) && (!want.Prefix.IsValid() || bits < want.Prefix.Bits()) {
					want.Prefix = p
				}
			}
		}
		want.Leases = want.Run.Size()
		if got != want {
			rt.Fatalf("%v, want %v; taken are %v", got, want, taken)
		}
	})
}

// Of IPv6 the room is what lies between the leases.
func TestFreeBlockOfPrefixes(t *testing.T) {
	db := storetest.New(t)
	err := db.CreatePool(t.Context(), store.PoolSpec{Name: "pd", Kind: ipam.DelegatedPrefix, PoolSettings: store.PoolSettings{PrefixLength: 56}, Subnets: []store.SubnetSpec{
		{Network: netip.MustParsePrefix("2001:db8::/48")}, {Network: netip.MustParsePrefix("2001:db8:1::/52")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	check := func(network, run, prefix string, leases uint64) {
		t.Helper()
		subnets := poolNamed(t, db, "pd").Subnets
		if network != "" {
			subnets = []store.Subnet{subnetNamed(t, db, network)}
		}
		got, err := db.FreeBlock(t.Context(), subnets...)
		if err != nil || got.Run.String() != run || got.Prefix.String() != prefix || got.Leases != leases || got.AtLeast {
			t.Errorf("%s: %+v (%v), want %s %s %d", network, got, err, run, prefix, leases)
		}
	}
	check("", "2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8::/48", 256)
	for _, p := range []string{"2001:db8:0:7000::/56", "2001:db8:0:f000::/56", "2001:db8:1:800::/56"} {
		if _, _, err := db.ReserveAddress(t.Context(), by("ip.reserve"), store.Reservation{Address: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	check("", "2001:db8:0:7100::-2001:db8:0:efff:ffff:ffff:ffff:ffff", "2001:db8::/50", 127)
	check("2001:db8:1::/52", "2001:db8:1::-2001:db8:1:7ff:ffff:ffff:ffff:ffff", "2001:db8:1::/53", 8)
}

// Many make pools over the same addresses at once, at two servers: one has
// them, the others hear whose they are.
func TestOverlapRace(t *testing.T) {
	db := storetest.New(t)
	other := secondServer(t, db)
	for round := range 5 {
		var wg sync.WaitGroup
		errs := make([]error, 12)
		for i := range errs {
			wg.Go(func() {
				at := db.DB
				if i%2 == 1 {
					at = other
				}
				network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(round), 0, 0}), 22+i%3)
				errs[i] = at.CreatePool(t.Context(), store.PoolSpec{Name: fmt.Sprintf("round%d-%d", round, i), CIDRs: []netip.Prefix{network}})
			})
		}
		wg.Wait()
		winner := db.Rows(`SELECT name FROM radial.pools WHERE name LIKE $1`, fmt.Sprintf("round%d-%%", round))
		if len(winner) != 1 {
			t.Fatalf("%d pools of one network: %v", len(winner), errs)
		}
		made := 0
		for i, err := range errs {
			switch {
			case err == nil:
				made++
			case !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), `overlaps 10.`) || !strings.Contains(err.Error(), winner[0][0]):
				t.Errorf("pool %d: %v; want a conflict that names %s", i, err, winner[0][0])
			}
		}
		if made != 1 {
			t.Errorf("%d makers were told that they had it", made)
		}
	}
	if rows := db.Rows(`SELECT count(*) FROM radial.subnets a JOIN radial.subnets b ON a.id < b.id AND a.network && b.network`); rows[0][0] != "0" {
		t.Error("subnets overlap")
	}
}

// T-I3: containment both ways, in one VRF; other VRFs know nothing of it.
func TestOverlapIsRefused(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	red, err := db.MakeVRF(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec store.PoolSpec
		good bool
	}{
		{store.PoolSpec{CIDRs: prefixes("10.0.0.0/24")}, false},
		{store.PoolSpec{CIDRs: prefixes("10.0.0.64/28")}, false},
		{store.PoolSpec{CIDRs: prefixes("10.0.0.0/8"), Making: store.Making{Large: true}}, false},
		{store.PoolSpec{CIDRs: prefixes("10.0.0.0/24"), VRF: red}, true},
		{store.PoolSpec{CIDRs: prefixes("10.0.1.0/24")}, true},
	} {
		c.spec.Name = "other"
		err := db.CreatePool(t.Context(), c.spec)
		if c.good != (err == nil) || !c.good && (!errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), `overlaps 10.0.0.0/24 of pool "main"`)) {
			t.Errorf("%v in VRF %d: %v", c.spec.CIDRs, c.spec.VRF, err)
		}
	}
	// the database's own word, whatever the program thinks
	_, err = db.Pool().Exec(t.Context(), `INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '10.0.0.0/26', '10.0.0.0', '10.0.0.63' FROM radial.pools WHERE name = 'main'`)
	if err == nil || !strings.Contains(err.Error(), "23P01") {
		t.Errorf("a row that overlaps: %v", err)
	}
}

// Where overlap is allowed, an address still has one row, whoever made it first.
func TestOverlapAllowed(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "first", "10.0.0.0/25")
	made, err := db.AddPool(t.Context(), byTest("pool.add"), store.PoolSpec{Name: "second", CIDRs: prefixes("10.0.0.0/24"), Making: store.Making{AllowOverlap: true}})
	if err != nil || made.LeftOut != 126 {
		t.Fatalf("%+v, %v", made, err)
	}
	if p, err := db.PoolByName(t.Context(), "second"); err != nil || p.Total != 128 || !p.Subnets[0].Overlap {
		t.Errorf("%+v, %v", p, err)
	}
	// what was allowed once allows nobody else
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "third", CIDRs: prefixes("10.0.0.192/28")}); !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), "second") {
		t.Errorf("over the second: %v", err)
	}
	if err := db.DeletePool(t.Context(), byTest("pool.del"), 0, "first"); err != nil {
		t.Fatal(err)
	}
	s := subnetNamed(t, db, "10.0.0.0/24")
	vlan := int32(7)
	if _, err := db.SetSubnet(t.Context(), byTest("subnet.set"), s.ID, store.SubnetChange{VLAN: &vlan}, store.Making{}); err != nil {
		t.Fatal(err)
	}
	if p, err := db.PoolByName(t.Context(), "second"); err != nil || p.Total != 254 {
		t.Errorf("after the first has gone: %d, %v", p.Total, err)
	}
}

// A command that makes rows is cut short, and said again; and one that is
// overtaken by a change of the subnet does not undo it.
func TestFillGoesOn(t *testing.T) {
	db := storetest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	spec := store.PoolSpec{Name: "main", CIDRs: prefixes("10.0.0.0/14"), Making: store.Making{Progress: func(done, _ uint64) {
		if done > 65536 {
			cancel()
		}
	}}}
	if _, err := db.AddPool(ctx, byTest("pool.add"), spec); !errors.Is(err, context.Canceled) {
		t.Fatalf("cut short: %v", err)
	}
	p, err := db.PoolByName(t.Context(), "main")
	if err != nil || p.Total != 131072 {
		t.Fatalf("%d rows, %v", p.Total, err)
	}
	exclude := store.SubnetChange{Exclude: []store.Exclusion{{Range: runOf("10.3.0.0/16")}}}
	spec.Progress = func(done, _ uint64) {
		if done == 65536 {
			if _, err := db.SetSubnet(t.Context(), byTest("subnet.set"), p.Subnets[0].ID, exclude, store.Making{}); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := db.AddPool(t.Context(), byTest("pool.add"), spec); !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("overtaken: %v", err)
	}
	if p, err = db.PoolByName(t.Context(), "main"); err != nil || p.Total != 3<<16-1 {
		t.Errorf("%d rows, %v", p.Total, err)
	}
	if rows := db.Rows(`SELECT count(*) FROM radial.audit WHERE action = 'pool.add'`); rows[0][0] != "1" {
		t.Errorf("%s audit rows of one pool", rows[0][0])
	}
}
