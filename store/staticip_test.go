package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// reply puts a row into radreply as a panel would.
func reply(db *storetest.DB, user, attribute, op, value string) {
	db.Exec("INSERT INTO radreply (username, attribute, op, value) VALUES ($1, $2, $3, $4)", user, attribute, op, value)
}

// kept lists the addresses that are reserved as static ones, with their users.
func kept(db *storetest.DB) string {
	var all []string
	for _, row := range db.Rows("SELECT vrf_id, address, coalesce(username, '-') FROM radial.addresses WHERE state = 'reserved' AND reason = 'static' ORDER BY 1, 2") {
		all = append(all, strings.Join(row, " "))
	}
	return strings.Join(all, ", ")
}

func wantKept(t *testing.T, db *storetest.DB, when, want string) {
	t.Helper()
	if got := kept(db); got != want {
		t.Errorf("%s: kept are %q, want %q", when, got, want)
	}
}

// What the writer of a row means; whatever else he writes is let be.
func TestStaticAddressesOfReplyRows(t *testing.T) {
	db := storetest.New(t)
	for _, c := range []struct{ attribute, op, value, want string }{
		{"Framed-IP-Address", ":=", "10.0.0.5", "10.0.0.5/32"},
		{"framed-ip-address", "=", " 10.0.0.5 ", "10.0.0.5/32"},
		{"Framed-IP-Address", "+=", "10.0.0.5/32", "10.0.0.5/32"},
		{"Framed-IP-Address", ":=", "10.0.0.5/24", ""},
		{"Framed-IP-Address", ":=", "10.0.0.005", ""}, // octal to some
		{"Framed-IP-Address", ":=", "10.0.0.256", ""},
		{"Framed-IP-Address", ":=", "10.0.0", ""},
		{"Framed-IP-Address", ":=", "", ""},
		{"Framed-IP-Address", ":=", "2001:db8::1", ""},
		{"Framed-IP-Address", ":=", "%{sql:SELECT '10.0.0.5'}", ""},
		{"Framed-IP-Address", "==", "10.0.0.5", ""},
		{"Framed-IP-Address", "-=", "10.0.0.5", ""},
		{"Framed-IP-Netmask", ":=", "255.255.255.0", ""},
		{"Framed-IPv6-Address", ":=", "2001:DB8::5", "2001:db8::5/128"},
		{"Framed-IPv6-Address", ":=", "2001:db8::5/64", ""},
		{"Framed-IPv6-Address", ":=", "::ffff:10.0.0.5x", ""},
		{"Framed-IPv6-Address", ":=", ":::", ""},
		{"Framed-IPv6-Prefix", ":=", "2001:db8:0:7::/64", "2001:db8:0:7::/64"},
		{"Framed-IPv6-Prefix", ":=", "2001:db8:0:7::1/64", "2001:db8:0:7::/64"},
		{"Framed-IPv6-Prefix", ":=", "2001:db8:0:7::/129", ""},
		{"Delegated-IPv6-Prefix", ":=", "2001:db8:700::/56", "2001:db8:700::/56"},
		{"Delegated-IPv6-Prefix", ":=", "10.0.0.0/24", ""},
	} {
		db.Exec("TRUNCATE radreply")
		reply(db, "u", c.attribute, c.op, c.value)
		got := ""
		for _, row := range db.Rows("SELECT host(address) || '/' || masklen(address) FROM radial.static_addresses") {
			got += row[0]
		}
		if got != c.want {
			t.Errorf("%s %s %q gives %q, want %q", c.attribute, c.op, c.value, got, c.want)
		}
	}
	if n := db.Rows("SELECT count(*) FROM radreply")[0][0]; n != "1" {
		t.Errorf("the last row is not there: %s", n)
	}
}

// A row of radreply that somebody writes past us keeps its address out of the
// pools at once, and gives it back with the last row that names it.
func TestStaticByWhoever(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	reply(db, "alice", "Framed-IP-Address", ":=", "10.0.0.5")
	wantKept(t, db, "insert", "1 10.0.0.5 alice")
	reply(db, "bob", "Framed-IP-Address", "=", "10.0.0.5")
	db.Exec("INSERT INTO radreply (username, attribute, op, value) SELECT 'u' || n, 'Framed-IP-Address', ':=', '10.0.0.' || n FROM generate_series(100, 102) n")
	wantKept(t, db, "many", "1 10.0.0.5 alice, 1 10.0.0.100 u100, 1 10.0.0.101 u101, 1 10.0.0.102 u102")
	db.Exec("UPDATE radreply SET value = '10.0.0.10' || (substr(value, 10)::int + 1) WHERE username LIKE 'u%'")
	db.Exec("DELETE FROM radreply WHERE username = 'u100'")
	wantKept(t, db, "update, delete", "1 10.0.0.5 alice, 1 10.0.0.102 u101, 1 10.0.0.103 u102")
	db.Exec("DELETE FROM radreply WHERE username = 'alice'")
	wantKept(t, db, "the other's row is left", "1 10.0.0.5 bob, 1 10.0.0.102 u101, 1 10.0.0.103 u102")
	db.Exec("UPDATE radreply SET attribute = 'Reply-Message'")
	wantKept(t, db, "another attribute", "")
	db.Exec("UPDATE radreply SET attribute = 'Framed-IP-Address' WHERE username = 'bob'")
	wantKept(t, db, "and back", "1 10.0.0.5 bob")
	db.Exec("TRUNCATE radreply")
	wantKept(t, db, "truncate", "")
	var told []string
	for _, row := range db.Rows("SELECT action, username FROM radial.address_history WHERE address = '10.0.0.5' ORDER BY id") {
		told = append(told, strings.Join(row, " "))
	}
	if diff := cmp.Diff([]string{"reserved alice", "reserved bob", "unreserved bob", "reserved bob", "unreserved bob"}, told); diff != "" {
		t.Error(diff)
	}
	// of groups, and what is nobody's
	db.Exec("INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('g', 'Framed-IP-Address', ':=', '10.0.0.5')")
	reply(db, "", "Framed-IP-Address", ":=", "10.0.0.5")
	reply(db, "x", "Framed-IP-Address", ":=", "10.9.9.9")
	wantKept(t, db, "no user's, no pool's", "")
}

// FreeRADIUS writes names with =HH; rows of ours have them as they are.
func TestStaticNamesAreRaw(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	esc := store.NewEscaper(store.EscapingSafe)
	for i, name := range []string{"alice", "a=b", `CORP\bob`, "žofie", "o'neil", "tail=", "a=C3"} {
		reply(db, esc.EscapeUser(name), "Framed-IP-Address", ":=", fmt.Sprintf("10.0.0.%d", 10+i))
		if got := db.Rows("SELECT username FROM radial.addresses WHERE address = $1::inet", fmt.Sprintf("10.0.0.%d", 10+i))[0][0]; got != name {
			t.Errorf("%q is %q", name, got)
		}
	}
	db.Exec("UPDATE radial.settings SET value = 'raw' WHERE key = 'escaping'")
	reply(db, "x=20y", "Framed-IP-Address", ":=", "10.0.0.50")
	if got := db.Rows("SELECT username FROM radial.addresses WHERE address = '10.0.0.50'")[0][0]; got != "x=20y" {
		t.Errorf("raw: %q", got)
	}
}

// Whoever holds a static address of somebody else keeps it until he gives it
// back; then it is the static user's.
func TestStaticWaitsForTheHolder(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	set := func(address, state, user, until string) {
		db.Exec("UPDATE radial.addresses SET state = $2, username = $3, until = now() + $4::interval WHERE address = $1::inet", address, state, user, until)
	}
	set("10.0.0.1", "bound", "roamer", "1 hour")
	set("10.0.0.2", "offered", "roamer", "1 minute")
	set("10.0.0.3", "offered", "roamer", "-1 minute")
	set("10.0.0.4", "cooling", "roamer", "1 hour")
	set("10.0.0.5", "bound", "u5", "1 hour") // his own
	db.Exec("UPDATE radial.addresses SET state = 'reserved', reason = 'router' WHERE address = '10.0.0.6'")
	db.Exec("INSERT INTO radreply (username, attribute, op, value) SELECT 'u' || n, 'Framed-IP-Address', ':=', '10.0.0.' || n FROM generate_series(1, 6) n")
	wantKept(t, db, "held", "1 10.0.0.3 u3, 1 10.0.0.4 u4, 1 10.0.0.5 u5")
	if n, err := db.ReserveStaticIPs(t.Context()); n != 0 || err != nil {
		t.Errorf("%d reserved of somebody's, %v", n, err)
	}
	set("10.0.0.1", "free", "roamer", "0")
	set("10.0.0.2", "cooling", "roamer", "1 hour")
	if n, err := db.ReserveStaticIPs(t.Context()); n != 2 || err != nil {
		t.Errorf("%d reserved, %v", n, err)
	}
	wantKept(t, db, "given back", "1 10.0.0.1 u1, 1 10.0.0.2 u2, 1 10.0.0.3 u3, 1 10.0.0.4 u4, 1 10.0.0.5 u5")
	if row := db.Rows("SELECT state, reason FROM radial.addresses WHERE address = '10.0.0.6'")[0]; row[0] != "reserved" || row[1] != "router" {
		t.Errorf("an operator's reservation is now %v", row)
	}
}

// Rows written while the triggers were off (a restore) are found, and those
// that went; so is what a pool that was made later has.
func TestStaticRefresh(t *testing.T) {
	db := storetest.New(t)
	reply(db, "early", "Framed-IP-Address", ":=", "10.0.0.9")
	reply(db, "gone", "Framed-IP-Address", ":=", "10.0.0.8")
	makePool(t, db, "main", "10.0.0.0/24")
	if _, err := db.ReserveStaticIPs(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKept(t, db, "a pool made over them", "1 10.0.0.8 gone, 1 10.0.0.9 early")
	db.Exec("ALTER TABLE radreply DISABLE TRIGGER USER")
	db.Exec("DELETE FROM radreply WHERE username = 'gone'")
	reply(db, "new", "Framed-IP-Address", ":=", "10.0.0.7")
	db.Exec("UPDATE radreply SET username = 'renamed' WHERE username = 'early'")
	db.Exec("ALTER TABLE radreply ENABLE TRIGGER USER")
	if n, err := db.RefreshStaticIPs(t.Context()); n != 3 || err != nil {
		t.Errorf("%d changed, %v", n, err)
	}
	wantKept(t, db, "triggers were off", "1 10.0.0.7 new, 1 10.0.0.9 renamed")
	if n, err := db.RefreshStaticIPs(t.Context()); n != 0 || err != nil {
		t.Errorf("again: %d changed, %v", n, err)
	}
}

// A user's VRF is his NAS's business: no pool of any VRF gives his address.
func TestStaticInVRFs(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	red, err := db.MakeVRF(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "red", VRF: red, CIDRs: prefixes("10.0.0.0/25", "10.1.0.0/30")}); err != nil {
		t.Fatal(err)
	}
	reply(db, "alice", "Framed-IP-Address", ":=", "10.0.0.5")
	reply(db, "bob", "Framed-IP-Address", ":=", "10.1.0.1")
	wantKept(t, db, "two VRFs", fmt.Sprintf("1 10.0.0.5 alice, %d 10.0.0.5 alice, %[1]d 10.1.0.1 bob", red))
}

// IPv6 pools have no rows until they are needed: a static prefix, or an address
// within one, makes its own.
func TestStaticIPv6(t *testing.T) {
	db := storetest.New(t)
	pool := func(name, kind, network string, length int) {
		db.Exec(`WITH p AS (INSERT INTO radial.pools (name, kind, prefix_length) VALUES ($1, $2, $4) RETURNING id)
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last)
SELECT p.id, 1, $3::cidr, host($3::cidr)::inet, host(broadcast($3::cidr))::inet FROM p`, name, kind, network, length)
	}
	pool("wan", "ipv6_prefix", "2001:db8:1::/48", 64)
	pool("pd", "delegated_prefix", "2001:db8:f000::/40", 56)
	pool("na", "ipv6_address", "2001:db8:2::/64", 128)
	reply(db, "alice", "Framed-IPv6-Prefix", ":=", "2001:db8:1:5::/64")
	reply(db, "alice", "Framed-IPv6-Address", ":=", "2001:db8:1:5::1")
	reply(db, "alice", "Delegated-IPv6-Prefix", ":=", "2001:db8:f000:100::/56")
	reply(db, "bob", "Framed-IPv6-Address", ":=", "2001:db8:2::b")
	reply(db, "carl", "Delegated-IPv6-Prefix", ":=", "2001:db8:f000:200::/60")
	reply(db, "dave", "Delegated-IPv6-Prefix", ":=", "2001:db8:f001::/48") // holds many leases
	all := "1 2001:db8:1:5::/64 alice, 1 2001:db8:2::b bob, 1 2001:db8:f000:100::/56 alice, 1 2001:db8:f000:200::/56 carl"
	wantKept(t, db, "IPv6", all)
	db.Exec("DELETE FROM radreply WHERE attribute = 'Framed-IPv6-Prefix'")
	wantKept(t, db, "the address within is left", all)
	db.Exec("DELETE FROM radreply WHERE username = 'alice'")
	wantKept(t, db, "given back", "1 2001:db8:2::b bob, 1 2001:db8:f000:200::/56 carl")
	if n, err := db.ReserveStaticIPs(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing was to do: %d, %v", n, err)
	}
	db.Exec("DELETE FROM radial.addresses")
	if n, err := db.ReserveStaticIPs(t.Context()); n != 2 || err != nil {
		t.Errorf("rows are missing: %d, %v", n, err)
	}
}

// What a pool of IPv6 never gives gets no row: nobody reserves it by hand, and a
// user's static prefix there takes nothing of the pool's.
func TestExcludedPrefixIsNoLease(t *testing.T) {
	db := storetest.New(t)
	spec := store.PoolSpec{Name: "pd", Kind: ipam.DelegatedPrefix}
	spec.PoolSettings.PrefixLength = 56
	spec.Subnets = []store.SubnetSpec{{
		Network: netip.MustParsePrefix("2001:db8:f000::/40"), Gateway: netip.MustParseAddr("2001:db8:f001::1"),
		Exclusions: []store.Exclusion{{Range: ipam.RangeOf(netip.MustParsePrefix("2001:db8:f000::/48"))}},
	}}
	if err := db.CreatePool(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	reply(db, "alice", "Delegated-IPv6-Prefix", ":=", "2001:db8:f000:100::/56")
	for _, text := range []string{"2001:db8:f000:200::/56", "2001:db8:f000::7/128", "2001:db8:f001::/56"} {
		if _, _, err := db.ReserveAddress(t.Context(), store.Change{Actor: "test"}, store.Reservation{Address: netip.MustParsePrefix(text)}); !errors.Is(err, aaa.ErrNotFound) {
			t.Errorf("reserve %s: %v, want that the pool never gives it", text, err)
		}
		if a, err := db.AddressAt(t.Context(), 0, netip.MustParsePrefix(text)); !errors.Is(err, aaa.ErrNotFound) {
			t.Errorf("%s is %+v, %v; want that the pool never gives it", text, a, err)
		}
	}
	if n := db.Rows("SELECT count(*) FROM radial.addresses")[0][0]; n != "0" {
		t.Errorf("%s rows were made of what is never given", n)
	}
	a, err := db.AddressAt(t.Context(), 0, netip.MustParsePrefix("2001:db8:f002::5/128"))
	if want := netip.MustParsePrefix("2001:db8:f000::/40"); err != nil || a.Subnet != want || a.State != "free" {
		t.Errorf("one without a row: %+v, %v; want it free in %s", a, err, want)
	}
}

// Provisioning says who has an address; whose own lease it is may keep it.
func TestStaticAtProvisioning(t *testing.T) {
	o := newOffice(t)
	makePool(t, o.DB, "main", "10.0.0.0/24")
	o.Exec("UPDATE radial.addresses SET state = 'bound', username = 'roamer', radacctid = 7 WHERE address = '10.0.0.1'")
	o.Exec("UPDATE radial.addresses SET state = 'reserved', reason = 'old router' WHERE address = '10.0.0.2'")
	o.Exec("UPDATE radial.addresses SET state = 'reserved', username = 'own', reason = 'promised' WHERE address = '10.0.0.3'")
	reply(o.DB, "panel", "Framed-IPv6-Prefix", ":=", "2001:db8::/64")
	ip := func(text string) aaa.SubscriberChange {
		return aaa.SubscriberChange{StaticIP: new(netip.MustParseAddr(text))}
	}
	item := func(attribute, value string) aaa.SubscriberChange {
		return aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: attribute, Op: ":=", Value: value}}}
	}
	for _, c := range []struct {
		change aaa.SubscriberChange
		says   string
	}{
		{ip("10.0.0.1"), `10.0.0.1 is bound for user "roamer" now`},
		{ip("10.0.0.2"), "10.0.0.2 is reserved (old router)"},
		{ip("10.0.0.3"), `10.0.0.3 is reserved for "own" (promised)`},
		{item("Framed-IP-Address", "10.0.0.1"), `10.0.0.1 is bound for user "roamer" now`},
		{ip("2001:db8::7"), `2001:db8::7 is user "panel"'s already`},
		{item("Delegated-IPv6-Prefix", "2001:db8::/48"), `2001:db8::/48 is user "panel"'s already`},
	} {
		if err := o.addUser("x", c.change); !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
	wantKept(t, o.DB, "refused", "")
	o.must(o.addUser("own", ip("10.0.0.3")))
	o.must(o.addUser("roamer", ip("10.0.0.1")))
	wantKept(t, o.DB, "his own lease", "1 10.0.0.1 roamer")
	o.must(o.setUser("roamer", ip("10.0.0.9")))
	wantKept(t, o.DB, "moved", "1 10.0.0.9 roamer")
	o.must(o.setUser("own", aaa.SubscriberChange{StaticIP: new(netip.Addr)}))
	if row := o.Rows("SELECT state, reason FROM radial.addresses WHERE address = '10.0.0.3'")[0]; row[0] != "reserved" || row[1] != "promised" {
		t.Errorf("an operator's reservation is now %v", row)
	}
}

// The writer's statement never fails and never waits for long: a row that is
// locked is left to the next look.
func TestStaticNeverFailsTheWriter(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "SELECT FROM radial.addresses WHERE address = '10.0.0.5' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	reply(db, "alice", "Framed-IP-Address", ":=", "10.0.0.5")
	wantKept(t, db, "locked", "")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := db.ReserveStaticIPs(t.Context()); n != 1 || err != nil {
		t.Errorf("%d reserved, %v", n, err)
	}
	wantKept(t, db, "free again", "1 10.0.0.5 alice")

	// a role that knows nothing of schema radial, as FreeRADIUS's
	role := strings.Replace(db.Rows("SELECT current_database()")[0][0], "test_", "panel_", 1)
	db.Exec("CREATE ROLE " + role + " LOGIN")
	t.Cleanup(func() { db.Exec("DROP OWNED BY " + role); db.Exec("DROP ROLE " + role) })
	db.Exec("GRANT SELECT, INSERT, DELETE ON radreply TO " + role)
	db.Exec("GRANT USAGE ON SEQUENCE radreply_id_seq TO " + role)
	other := openAs(t, db, role, store.Options{})
	if _, err := other.Pool().Exec(t.Context(), "INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Framed-IP-Address', ':=', '10.0.0.6')"); err != nil {
		t.Fatal(err)
	}
	wantKept(t, db, "by another role", "1 10.0.0.5 alice, 1 10.0.0.6 bob")
}

// A panel reserves while logins take: each address is a lease or somebody's
// own, as the row's lock decides, and nobody sees a deadlock.
func TestStaticAgainstClaims(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	var wg sync.WaitGroup
	failed := make(chan error, 64)
	for w := range 4 {
		wg.Go(func() {
			for i := range 60 {
				n := 1 + (i*4+w)%250
				_, err := db.Pool().Exec(context.Background(), "INSERT INTO radreply (username, attribute, op, value) VALUES ($1, 'Framed-IP-Address', ':=', $2)",
					fmt.Sprintf("s%d", n), fmt.Sprintf("10.0.0.%d", n))
				if err != nil {
					failed <- err
				}
			}
		})
		wg.Go(func() {
			for i := range 60 {
				n := 250 - (i*4+w)%250
				err := pgx.BeginFunc(context.Background(), db.Pool(), func(tx pgx.Tx) error {
					_, err := tx.Exec(context.Background(), `UPDATE radial.addresses a SET state = 'bound', username = $2
FROM (SELECT vrf_id, address FROM radial.addresses WHERE address = $1::inet AND state = 'free' FOR UPDATE SKIP LOCKED) f
WHERE a.vrf_id = f.vrf_id AND a.address = f.address`, fmt.Sprintf("10.0.0.%d", n), fmt.Sprintf("roamer%d", n))
					return err
				})
				if err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	// free is no address that is somebody's own
	if n := db.Rows(`SELECT count(*) FROM radial.addresses a JOIN radial.static_addresses s USING (address) WHERE a.state = 'free'`)[0][0]; n != "0" {
		t.Errorf("%s static addresses are free", n)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.addresses WHERE state = 'reserved' AND username NOT LIKE 's%' OR state = 'bound' AND username NOT LIKE 'roamer%'`)[0][0]; n != "0" {
		t.Errorf("%s rows are of nobody who took them", n)
	}
}

// A panel's row costs a few look-ups, however large the pools are and whatever
// the planner knows of them.
func TestStaticReadsFewRows(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/18")
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "SET LOCAL enable_seqscan = on; SET CONSTRAINTS ALL IMMEDIATE"); err != nil { // as a panel's connection has it; each a commit of its own
		t.Fatal(err)
	}
	for i := range 12 { // plans are kept after some
		if _, err := tx.Exec(t.Context(), "INSERT INTO radreply (username, attribute, op, value) VALUES ('u', 'Framed-IP-Address', ':=', $1)", fmt.Sprintf("10.0.7.%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(t.Context(), "DELETE FROM radreply"); err != nil {
		t.Fatal(err)
	}
	var read int64
	if err := tx.QueryRow(t.Context(), "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'radial.addresses'::regclass").Scan(&read); err != nil {
		t.Fatal(err)
	}
	if read == 0 || read > 1000 {
		t.Errorf("%d rows of 16,382 were read for 24 changes", read)
	}
}

// The history names who made an address somebody's own and who took it away: the change's actor, or the database's role where
// radreply was written past us. A role that may not write the history cannot say that it is somebody else.
func TestStaticSaysWho(t *testing.T) {
	o := newOffice(t)
	makePool(t, o.DB, "main", "10.0.0.0/24")
	o.must(o.addUser("alice", aaa.SubscriberChange{StaticIP: new(netip.MustParseAddr("10.0.0.5"))}))
	o.must(o.setUser("alice", aaa.SubscriberChange{StaticIP: new(netip.MustParseAddr("10.0.0.6"))}))
	rule := o.rules.SetSubscriber(aaa.SubscriberChange{StaticIP: new(netip.MustParseAddr("10.0.0.7"))}, nil)
	_, wrong, err := o.ImportSubscribers(t.Context(), store.Change{Actor: "cli:clerk", Action: "user.import"},
		[]store.SubscriberLine{{Line: 2, Name: "alice", Rule: rule}}, func(string, int) {})
	if err != nil || len(wrong) > 0 {
		t.Fatal(wrong, err)
	}
	reply(o.DB, "panel", "Framed-IP-Address", ":=", "10.0.0.8")
	var told []string
	for _, row := range o.Rows("SELECT action, host(address), actor = 'db:' || session_user, CASE WHEN actor <> 'db:' || session_user THEN actor END FROM radial.address_history ORDER BY id") {
		told = append(told, strings.Join(row, " "))
	}
	want := []string{"reserved 10.0.0.5 f cli:test", "unreserved 10.0.0.5 f cli:test", "reserved 10.0.0.6 f cli:test",
		"unreserved 10.0.0.6 f cli:clerk", "reserved 10.0.0.7 f cli:clerk", "reserved 10.0.0.8 t NULL"}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	o.Exec("GRANT USAGE ON SCHEMA radial TO pg_monitor")
	o.Exec("SET SESSION AUTHORIZATION pg_monitor; SET radial.actor = 'cli:root'")
	if got := o.Rows("SELECT radial.actor()")[0][0]; got != "db:pg_monitor" {
		t.Errorf("a role without rights says that it is %s", got)
	}
	o.Exec("RESET SESSION AUTHORIZATION")
}
