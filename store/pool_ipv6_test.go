package store_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// What open sessions and subscribers have of an IPv6 pool that is made over it
// is not given to others; nor is it when it comes into the pool later.
func TestIPv6PoolKeepsWhatIsInUse(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, callingstationid, delegatedipv6prefix, framedipv6prefix, acctstarttime, acctstoptime) VALUES
		('s1', 'u1', 'alice', '10.0.0.1', 'eth1', '00:0C:42:00:00:01', '2001:db8:0:100::/56', '2001:db8:ff::/64', now(), NULL),
		('s2', 'u2', 'bob', '10.0.0.1', 'eth2', '00:0C:42:00:00:02', '2001:db8:0:200::/56', NULL, now(), now()),
		('s3', 'u3', 'carol', '10.0.0.1', 'eth3', '', '2001:db8:0:300::/60', NULL, now(), NULL),
		('s4', 'u4', 'dave', '10.0.0.1', 'eth4', '', '2001:db8:0:900::/56', NULL, now(), NULL)`)
	db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ('erin', 'Delegated-IPv6-Prefix', ':=', '2001:db8::/56')`)
	vlan := int32(9)
	_, err := db.AddPool(t.Context(), byTest("pool.add"), store.PoolSpec{
		Name: "main", Kind: ipam.DelegatedPrefix, PoolSettings: store.PoolSettings{VLAN: vlan},
		Subnets: []store.SubnetSpec{{Network: netip.MustParsePrefix("2001:db8::/48"), Range: runOf("2001:db8::-2001:db8:0:300::")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := func() string {
		return fmt.Sprint(db.Rows(`SELECT address, state, username FROM radial.addresses ORDER BY address`))
	}
	if got, want := rows(), "[[2001:db8::/56 reserved erin] [2001:db8:0:100::/56 bound alice]]"; got != want {
		t.Errorf("rows %s\nwant %s", got, want)
	}
	p, err := db.PoolByName(t.Context(), "main")
	if err != nil || p.Total != 4 || p.Free != 2 || p.Reserved != 1 || p.Bound != 1 || p.Percent() != 50 {
		t.Errorf("%+v, %v", p.Use, err)
	}
	whole := ipam.Range{}
	if _, err := db.SetSubnet(t.Context(), byTest("subnet.set"), p.Subnets[0].ID, store.SubnetChange{Range: &whole}, store.Making{}); err != nil {
		t.Fatal(err)
	}
	if got := rows(); !strings.Contains(got, "[2001:db8:0:900::/56 bound dave]") {
		t.Errorf("rows %s", got)
	}
	if n, err := db.BindOpenSessions(t.Context()); err != nil || n != 2 {
		t.Errorf("%d open sessions, %v", n, err)
	}
}

// Two ranges of one network are two subnets: both give.
func TestIPv6RangesOfOneNetwork(t *testing.T) {
	db := storetest.New(t)
	network := netip.MustParsePrefix("2001:db8::/48")
	_, err := db.AddPool(t.Context(), byTest("pool.add"), store.PoolSpec{
		Name: "main", Kind: ipam.DelegatedPrefix,
		Subnets: []store.SubnetSpec{{Network: network, Range: runOf("2001:db8::/56")}, {Network: network, Range: runOf("2001:db8:0:100::/56")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	got := map[netip.Addr]bool{}
	for i := range 2 {
		w := want(i, "s")
		w.Kind = ipam.DelegatedPrefix
		got[lease(t, a, w)] = true
	}
	if len(got) != 2 {
		t.Errorf("given: %v", got)
	}
	if rows := db.Rows(`SELECT count(DISTINCT subnet_id) FROM radial.addresses`); rows[0][0] != "2" {
		t.Errorf("both rows are of one subnet")
	}
}
