package store_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// A database of the version before pools were what they are keeps its leases,
// reservations and history, by a role that is no superuser, while FreeRADIUS
// writes into its tables.
func TestMigrateKeepsLeases(t *testing.T) {
	db := storetest.Empty(t)
	role := "owner_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec("CREATE ROLE " + role + " LOGIN; GRANT CREATE ON DATABASE " + db.Rows(`SELECT current_database()`)[0][0] + " TO " + role + "; GRANT CREATE, USAGE ON SCHEMA public TO " + role)
	t.Cleanup(func() {
		db.Exec("REASSIGN OWNED BY " + role + " TO current_user; DROP OWNED BY " + role + "; DROP ROLE " + role)
	})
	owner := openAs(t, db, role, store.Options{})
	if err := owner.MigrateTo(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	db.Exec(`
INSERT INTO radial.vrfs (name) VALUES ('red');
INSERT INTO radial.pools (name, vrf_id) VALUES ('main', 1), ('red', 2);
INSERT INTO radial.subnets (pool_id, vrf_id, network, gateway) VALUES (1, 1, '10.0.0.0/29', '10.0.0.1'), (1, 1, '10.0.0.8/31', NULL), (1, 1, '10.0.0.10/32', NULL), (2, 2, '10.0.0.0/29', NULL);
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 1, '10.0.0.0'::inet + n, 1, CASE WHEN n < 8 THEN 1 WHEN n < 10 THEN 2 ELSE 3 END FROM unnest('{2,3,4,5,6,8,9,10}'::int[]) n;
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 2, '10.0.0.0'::inet + n, 2, 4 FROM generate_series(1, 6) n;
UPDATE radial.addresses SET state = 'bound', username = 'user1', mac = '00:00:00:00:00:01', nas = '10.0.0.1', port = 'eth1', session_id = 's1', radacctid = 7, until = now() + interval '1 hour', since = now() WHERE vrf_id = 1 AND address = '10.0.0.2';
UPDATE radial.addresses SET state = 'offered', username = 'user2', mac = '00:00:00:00:00:02', nas = '10.0.0.1', port = 'eth2', until = now() + interval '1 minute', since = now() WHERE vrf_id = 1 AND address = '10.0.0.3';
UPDATE radial.addresses SET state = 'reserved', username = 'fixed' WHERE vrf_id = 1 AND address = '10.0.0.4';
UPDATE radial.addresses SET state = 'reserved', username = 'gone' WHERE vrf_id = 1 AND address = '10.0.0.5';
UPDATE radial.addresses SET username = 'user6', mac = '00:00:00:00:00:06', since = now() WHERE vrf_id = 1 AND address = '10.0.0.6';
INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, radacctid)
    VALUES ('2025-11-30 23:59:59+00', 1, '10.0.0.2', 1, 'bound', 'old', 1), ('2025-12-01 00:00:00+00', 1, '10.0.0.2', 1, 'released', 'old', 1), (now(), 1, '10.0.0.2', 1, 'bound', 'user1', 7);
INSERT INTO radreply (username, attribute, op, value) VALUES ('fixed', 'Framed-IP-Address', ':=', '10.0.0.4'), ('late', 'Framed-IP-Address', ':=', '10.0.0.9');
INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress) VALUES (7, 's1', 'u1', 'user1', '10.0.0.1', now(), '10.0.0.2')`)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, sql := range []string{
		"UPDATE radacct SET acctupdatetime = now() WHERE radacctid = 7",
		"UPDATE radreply SET op = ':=' WHERE username = 'fixed'",
		"INSERT INTO radpostauth (username, reply) VALUES ('user1', 'Access-Accept')",
	} {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.Pool().Exec(context.WithoutCancel(ctx), sql); err != nil {
					t.Errorf("FreeRADIUS: %s: %v", sql, err)
					return
				}
			}
		})
	}
	report, err := owner.Migrate(t.Context())
	cancel()
	wg.Wait()
	if err != nil || len(report.Applied) < 6 {
		t.Fatalf("%+v, %v", report, err)
	}
	if err := owner.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := owner.ReserveStaticIPs(t.Context()); err != nil {
		t.Error(err)
	}
	rows := [][]string{
		{"10.0.0.2", "bound", "user1", ""}, {"10.0.0.3", "offered", "user2", ""}, {"10.0.0.4", "reserved", "fixed", "static"}, {"10.0.0.5", "cooling", "gone", ""},
		{"10.0.0.6", "free", "user6", ""}, {"10.0.0.8", "free", "", ""}, {"10.0.0.9", "reserved", "late", "static"}, {"10.0.0.10", "free", "", ""},
	}
	if d := cmp.Diff(rows, db.Rows("SELECT address, state, coalesce(username, ''), coalesce(reason, '') FROM radial.addresses WHERE vrf_id = 1 ORDER BY address")); d != "" {
		t.Error("rows (-want +got)\n", d)
	}
	if d := cmp.Diff([][]string{{"10.0.0.0/29", "10.0.0.0", "10.0.0.7"}, {"10.0.0.8/31", "10.0.0.8", "10.0.0.9"}, {"10.0.0.10/32", "10.0.0.10", "10.0.0.10"}},
		db.Rows("SELECT network, first, last FROM radial.subnets WHERE vrf_id = 1 ORDER BY network")); d != "" {
		t.Error("subnets (-want +got)\n", d)
	}
	if d := cmp.Diff([][]string{{"1", "old", "address_history_2025_11"}, {"2", "old", "address_history_2025_12"}},
		db.Rows("SELECT id, username, (SELECT relname FROM pg_class c WHERE c.oid = h.tableoid) FROM radial.address_history h WHERE id < 3 ORDER BY id")); d != "" {
		t.Error("history (-want +got)\n", d)
	}
	if got := db.Rows("SELECT username FROM radial.address_history WHERE id = 3 AND tableoid <> 'radial.address_history_default'::regclass"); len(got) != 1 || got[0][0] != "user1" {
		t.Errorf("this month's row: %v", got)
	}
	if got := db.Rows("SELECT min(id) > 3 FROM radial.address_history WHERE id NOT IN (1, 2, 3)"); got[0][0] != "t" {
		t.Errorf("ids go on: %v", got)
	}
	a := ipam.NewAllocator(store.NewLeases(owner), ipam.AllocatorOptions{}, nil)
	for n, address := range map[int]string{1: "10.0.0.2", 2: "10.0.0.3"} {
		w := want(n, "")
		if got := lease(t, a, w); got != netip.MustParseAddr(address) {
			t.Errorf("caller %d has %s, had %s", n, got, address)
		}
	}
}
