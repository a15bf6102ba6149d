package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// Operators and panels keep addresses back while logins take them: the row's
// lock decides, each address is one's alone, and what was told holds.
func TestReserveAgainstLogins(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	servers := []*ipam.Allocator{ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)}
	var mu sync.Mutex
	leased, reserved := map[netip.Addr]string{}, map[netip.Addr]bool{}
	var wg sync.WaitGroup
	for n := range 160 {
		wg.Go(func() {
			l, err := leaseOne(context.Background(), servers[n%2], want(n, ""))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("login %d: %v", n, err)
			} else if who := leased[l.Address()]; who != "" {
				t.Errorf("%s is %s's and login %d's", l.Address(), who, n)
			} else {
				leased[l.Address()] = fmt.Sprint("login ", n)
			}
		})
	}
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				a := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i*12 + w*3)})
				_, changed, err := db.ReserveAddress(context.Background(), by("ip.reserve"), store.Reservation{Address: netip.PrefixFrom(a, 32), Reason: "mast"})
				switch {
				case err == nil && changed:
					mu.Lock()
					reserved[a] = true
					mu.Unlock()
				case !errors.Is(err, aaa.ErrConflict):
					t.Errorf("reserve %s: %v, changed %t", a, err, changed)
				}
			}
		})
		wg.Go(func() {
			for i := range 20 {
				a := netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + i*12 + w*3)})
				if _, err := db.Pool().Exec(context.Background(), "INSERT INTO radreply (username, attribute, op, value) VALUES ($1, 'Framed-IP-Address', ':=', $2)", fmt.Sprint("static", a), a.String()); err != nil {
					t.Errorf("panel: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for a := range reserved {
		if leased[a] != "" {
			t.Errorf("%s was reserved, and is %s's", a, leased[a])
		}
	}
	for _, row := range db.Rows("SELECT host(address), state, coalesce(reason, '') FROM radial.addresses") {
		a := netip.MustParseAddr(row[0])
		switch {
		case row[1] == "offered" && leased[a] == "", row[1] != "offered" && leased[a] != "":
			t.Errorf("%s is %s, and leased to %q", a, row[1], leased[a])
		case row[2] == "mast" && !reserved[a], row[2] == "" && row[1] == "reserved":
			t.Errorf("%s is reserved for %q by nobody", a, row[2])
		}
	}
	if n := db.Rows("SELECT count(*) FROM radial.addresses a JOIN radial.static_addresses s USING (address) WHERE a.state = 'free'")[0][0]; n != "0" {
		t.Errorf("%s static addresses are free", n)
	}
	if len(reserved) == 0 || len(leased) == 0 {
		t.Errorf("no race: %d reserved, %d leased", len(reserved), len(leased))
	}
}

// A session of an address that is reserved goes on, is answered, and leaves the
// reservation as it is (trap of FreeRADIUS: its update matches no row).
func TestSessionOfReservedAddress(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	reply(db, "alice", "Framed-IP-Address", ":=", "192.0.2.7")
	before := db.Rows("SELECT * FROM radial.addresses WHERE address = '192.0.2.7'")[0]
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	for n := range 253 {
		lease(t, a, want(n, ""))
	}
	if _, err := leaseOne(t.Context(), a, want(999, "")); !errors.Is(err, ipam.ErrPoolFull) {
		t.Errorf("the 254th login of 253 addresses: %v", err)
	}
	if after := db.Rows("SELECT * FROM radial.addresses WHERE address = '192.0.2.7'")[0]; strings.Join(before, "|") != strings.Join(after, "|") {
		t.Errorf("%v became %v", before, after)
	}
}

// Pages follow each other without a gap, over VRFs and IPv6, whatever is asked
// for; no page reads a whole table.
func TestAddressPages(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/23")
	makePool(t, db, "small", "192.0.2.0/28")
	red, err := db.MakeVRF(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "red", VRF: red, CIDRs: prefixes("10.0.0.0/26")}); err != nil {
		t.Fatal(err)
	}
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "pd", Kind: ipam.DelegatedPrefix, CIDRs: prefixes("2001:db8::/40")}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"2001:db8::/56", "2001:db8:0:100::/56", "2001:db8:ff:ff00::/56"} {
		if _, _, err := db.ReserveAddress(t.Context(), by("ip.reserve"), store.Reservation{Address: netip.MustParsePrefix(p), User: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	db.Exec("UPDATE radial.addresses SET state = 'bound', username = 'u', mac = '02:00:00:00:00:01' WHERE family(address) = 4 AND host(address) LIKE '%7'")
	for _, c := range []struct {
		filter store.AddressFilter
		where  string
	}{
		{store.AddressFilter{}, "true"},
		{store.AddressFilter{VRF: red}, "vrf_id <> 1"},
		{store.AddressFilter{Pool: "main"}, "vrf_id = 1 AND address << '10.0.0.0/23'"},
		{store.AddressFilter{Pool: "pd"}, "family(address) = 6"},
		{store.AddressFilter{User: "u"}, "username = 'u'"},
		{store.AddressFilter{User: "u", Pool: "small"}, "username = 'u' AND address << '192.0.2.0/28'"},
		{store.AddressFilter{MAC: "02:00:00:00:00:01", States: []string{"bound"}}, "mac IS NOT NULL"},
		{store.AddressFilter{Within: netip.MustParsePrefix("10.0.0.0/27")}, "address <<= '10.0.0.0/27'"},
		{store.AddressFilter{Within: netip.MustParsePrefix("10.0.0.7/32")}, "address = '10.0.0.7'"},
		{store.AddressFilter{Within: netip.MustParsePrefix("2001:db8::/44")}, "address <<= '2001:db8::/44'"},
		{store.AddressFilter{States: []string{"reserved", "bound"}}, "state IN ('reserved', 'bound')"},
	} {
		var want []string
		for _, row := range db.Rows("SELECT vrf_id, host(address) || '/' || masklen(address) FROM radial.addresses WHERE " + c.where + " ORDER BY vrf_id, address") {
			want = append(want, row[0]+" "+row[1])
		}
		var got []string
		for after := (store.AddressKey{}); ; {
			page, err := db.Addresses(t.Context(), c.filter, after, 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page {
				got = append(got, fmt.Sprintf("%d %s", a.VRF, a.Address))
			}
			if len(page) < 50 {
				break
			}
			after = page[49].Key()
		}
		if len(want) == 0 || strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: %d rows %v, want %d %v", c.where, len(got), got, len(want), want)
		}
	}
}
