package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range texts {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func byTest(action string) store.Change { return store.Change{Actor: "test", Action: action} }

func TestCreatePool(t *testing.T) {
	db := storetest.New(t)
	var steps []string
	err := db.CreatePool(t.Context(), store.PoolSpec{
		Name: "main", CIDRs: prefixes("100.64.0.0/15", "192.0.2.0/30"), Gateway: netip.MustParseAddr("100.64.0.1"),
		PoolSettings: store.PoolSettings{Description: "d", OfferTime: 90 * time.Second, LeaseTime: 2 * time.Hour},
		Making:       store.Making{Progress: func(done, total uint64) { steps = append(steps, fmt.Sprint(done, "/", total)) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := db.PoolByName(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if p.Total != 131072-3+2 || p.Free != p.Total || p.OfferTime != 90*time.Second || p.LeaseTime != 2*time.Hour || p.Status != "active" || p.VRF != 1 {
		t.Errorf("pool %+v", p)
	}
	if got := strings.Join(steps, " "); got != "65536/131071 131069/131071 131071/131071" {
		t.Errorf("progress %s", got)
	}
	if rows := db.Rows("SELECT count(*) FROM radial.addresses WHERE address IN ('100.64.0.0', '100.64.0.1', '100.65.255.255', '192.0.2.0', '192.0.2.3')"); rows[0][0] != "0" {
		t.Error("network, gateway or broadcast addresses can be given")
	}
	if rows := db.Rows("SELECT masklen(address), count(*) FROM radial.addresses GROUP BY 1"); len(rows) != 1 || rows[0][0] != "32" {
		t.Errorf("mask lengths %v", rows)
	}
	pools, err := db.Pools(t.Context())
	if err != nil || len(pools) != 1 || pools[0].Name != "main" || fmt.Sprint(pools[0].Networks) != "[100.64.0.0/15 192.0.2.0/30]" {
		t.Errorf("pools %+v, %v", pools, err)
	}
}

func TestCreatePoolRefusals(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "first", "10.0.0.0/24")
	for _, c := range []struct {
		spec  store.PoolSpec
		kind  error
		names string
	}{
		{store.PoolSpec{Name: "", CIDRs: prefixes("10.1.0.0/24")}, aaa.ErrInvalid, "name"},
		{store.PoolSpec{Name: " x", CIDRs: prefixes("10.1.0.0/24")}, aaa.ErrInvalid, "name"},
		{store.PoolSpec{Name: "x\x00", CIDRs: prefixes("10.1.0.0/24")}, aaa.ErrInvalid, "name"},
		{store.PoolSpec{Name: "x"}, aaa.ErrInvalid, "CIDR"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.1/24")}, aaa.ErrInvalid, "10.1.0.0/24"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("2001:db8::/64")}, aaa.ErrInvalid, "want an IPv4 CIDR"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.0/24", "10.1.0.128/25")}, aaa.ErrInvalid, "10.1.0.128/25"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.0/24"), Gateway: netip.MustParseAddr("10.2.0.1")}, aaa.ErrInvalid, "10.2.0.1"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.1/32"), Gateway: netip.MustParseAddr("10.1.0.1")}, aaa.ErrInvalid, "no address"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.0.0.0/8")}, aaa.ErrInvalid, "16777214"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.0/24"), PoolSettings: store.PoolSettings{OfferTime: -1}}, aaa.ErrInvalid, "time"},
		{store.PoolSpec{Name: "x", CIDRs: prefixes("10.1.0.0/24", "10.0.0.128/26")}, aaa.ErrConflict, `10.0.0.128/26 overlaps 10.0.0.0/24 of pool "first"`},
		{store.PoolSpec{Name: "first", CIDRs: prefixes("10.1.0.0/24")}, aaa.ErrConflict, "10.0.0.0/24"},
		{store.PoolSpec{Name: "first", CIDRs: prefixes("10.0.0.0/24")}, aaa.ErrConflict, "first"},
	} {
		err := db.CreatePool(t.Context(), c.spec)
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%q %v: %v; want %v naming %q", c.spec.Name, c.spec.CIDRs, err, c.kind, c.names)
		}
	}
	if rows := db.Rows("SELECT count(*) FROM radial.pools"); rows[0][0] != "1" {
		t.Error("a refused pool left rows")
	}
	db.Exec("INSERT INTO radial.vrfs (id, name) VALUES (2, 'two')")
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "first", VRF: 2, CIDRs: prefixes("10.0.0.0/24")}); err != nil {
		t.Errorf("the same name and network in another VRF: %v", err)
	}
}

func TestCreatePoolGoesOn(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	db.Exec("DELETE FROM radial.addresses WHERE address > '10.0.0.99'") // as if it had been cut short
	makePool(t, db, "main", "10.0.0.0/24")
	if p, err := db.PoolByName(t.Context(), "main"); err != nil || p.Total != 254 {
		t.Errorf("pool %+v, %v", p, err)
	}
}

func TestDeletePool(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	addr := lease(t, a, w)
	if err := db.DeletePool(t.Context(), byTest("pool.del"), 0, "main"); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("offered: %v, want a conflict", err)
	}
	settle(t, db, bind(addr, 1, w))
	if err := db.DeletePool(t.Context(), byTest("pool.del"), 0, "main"); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("bound: %v, want a conflict", err)
	}
	if got := lease(t, a, w); got != addr {
		t.Error("a refused deletion changed the pool")
	}
	settle(t, db, release(addr, 1, w))
	if err := db.DeletePool(t.Context(), byTest("pool.del"), 0, "main"); err != nil {
		t.Fatal(err)
	}
	if rows := db.Rows("SELECT (SELECT count(*) FROM radial.addresses), (SELECT count(*) FROM radial.address_history)"); fmt.Sprint(rows) != "[[0 2]]" {
		t.Errorf("addresses and history: %v", rows)
	}
	if err := db.DeletePool(t.Context(), byTest("pool.del"), 0, "main"); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("again: %v, want not found", err)
	}
	if _, err := leaseOne(t.Context(), a, w); !errors.Is(err, ipam.ErrPoolUnknown) {
		t.Errorf("a lease from it: %v, want ErrPoolUnknown", err)
	}
}

// An adopted database has open sessions: their addresses are not free.
func TestPoolBindsOpenSessions(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, callingstationid, framedipaddress, acctstarttime, acctstoptime) VALUES
		('s=3D1', 'u1', 'al=27ice', '10.0.0.1', 'eth1', '00:0C:42:00:00:01', '192.0.2.5', now(), NULL),
		('s2', 'u2', 'bob', '10.0.0.1', 'eth2', '00:0C:42:00:00:02', '192.0.2.6', now(), now()),
		('s3', 'u3', 'old', '10.0.0.1', 'eth3', '', '192.0.2.7', now() - interval '1 day', NULL),
		('s4', 'u4', 'new', '10.0.0.1', 'eth4', '', '192.0.2.7', now(), NULL),
		('s5', 'u5', 'else', '10.0.0.1', 'eth4', '', '203.0.113.7', now(), NULL)`)
	makePool(t, db, "main", "192.0.2.0/24")
	rows := db.Rows("SELECT host(address), username, mac, port, session_id, state FROM radial.addresses WHERE state <> 'free' ORDER BY address")
	if got, want := fmt.Sprint(rows), "[[192.0.2.5 al'ice 00:0c:42:00:00:01 eth1 s=1 bound] [192.0.2.7 new  eth4 s4 bound]]"; got != want {
		t.Errorf("bound %s\nwant  %s", got, want)
	}
	// a session that began behind our back
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime) VALUES ('s6', 'u6', 'carol', '10.0.0.1', '192.0.2.9', now())`)
	if n, err := db.BindOpenSessions(t.Context()); err != nil || n != 4 {
		t.Errorf("found %d open sessions in pools, %v", n, err)
	}
	if got := state(db, netip.MustParseAddr("192.0.2.9")); !strings.HasPrefix(got, "bound") {
		t.Errorf("carol's address is %s", got)
	}
}
