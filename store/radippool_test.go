package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

func mirrorOn(t testing.TB, db *storetest.DB, key string) store.Mirror {
	t.Helper()
	m, err := db.MirrorOn(t.Context(), store.Change{Actor: "test", Action: "ip.mirror"}, key, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// poolRow is a row of radippool in words: "nas key station user life", with the
// life in whole minutes from FreeRADIUS's now; "none" where there is no row.
func poolRow(db *storetest.DB, addr string) string {
	rows := db.Rows(`SELECT nasipaddress, pool_key, callingstationid, username,
		CASE WHEN expiry_time < localtimestamp(0) THEN 'expired' ELSE round(extract(epoch FROM expiry_time - localtimestamp(0)) / 60)::text END
		FROM radippool WHERE framedipaddress = $1`, addr)
	switch len(rows) {
	case 0:
		return "none"
	case 1:
		return strings.Join(rows[0], "|")
	}
	return fmt.Sprint(len(rows), " rows")
}

// openRow is a row of radacct of an open session.
func openRow(db *storetest.DB, session, user, station, addr string) int64 {
	id := int64(0)
	for _, r := range db.Rows(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, callingstationid, framedipaddress)
		VALUES ($1, md5($1), $2, '10.0.0.1', 'eth1', now() - interval '5 minutes', $3, $4::inet) RETURNING radacctid`, session, user, station, addr) {
		fmt.Sscan(r[0], &id)
	}
	return id
}

func TestMirrorFollowsLeases(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/29")
	if m := mirrorOn(t, db, store.PoolKeyStation); !m.On || !m.Filled || m.Total != 6 || m.Rows != 6 || m.Leased != 0 {
		t.Fatalf("the mirror is %+v", m)
	}
	if rows := db.Rows(`SELECT DISTINCT expiry_time, pool_name FROM radippool`); fmt.Sprint(rows) != "[[1970-01-01 00:00:00 main]]" {
		t.Errorf("addresses that nobody had: %v", rows)
	}
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	w := want(1, "s1")
	addr := lease(t, a, w)
	is := func(what, want string) {
		t.Helper()
		if got := poolRow(db, addr.String()); got != want {
			t.Errorf("%s: radippool has %q, want %q", what, got, want)
		}
	}
	const station = "00:00:00:00:00:01"
	is("offered", "10.0.0.1|"+station+"|"+station+"|user1|2")
	id := openRow(db, "s1", "user1", "00-00-00-00-00-01", addr.String())
	settle(t, db, bind(addr, id, w))
	db.Exec(`UPDATE radippool SET expiry_time = localtimestamp(0) + interval '1 day' WHERE username = 'user1'`)
	if n, err := db.RefreshMirror(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("%d rows were about to expire, %v", n, err)
	}
	is("bound: as the NAS sends it", "10.0.0.1|00-00-00-00-00-01|00-00-00-00-00-01|user1|10080")
	db.Exec(`UPDATE radacct SET acctstoptime = now()`)
	settle(t, db, release(addr, id, w))
	is("released", "10.0.0.1|00-00-00-00-00-01|00-00-00-00-00-01|user1|expired")
	again := lease(t, a, w)
	if again != addr {
		t.Fatalf("not sticky: %s after %s", again, addr)
	}
	is("offered again", "10.0.0.1|00-00-00-00-00-01|00-00-00-00-00-01|user1|2")
	db.Exec(`UPDATE radial.addresses SET state = 'reserved' WHERE address = $1`, addr)
	is("reserved", "none")
	db.Exec(`UPDATE radial.addresses SET state = 'cooling', until = now() + interval '10 minutes', username = E'o''br"+\\ é', mac = '10.1.1.1' WHERE address = $1`, addr)
	is("cooling, a strange caller", "10.0.0.1|10.1.1.1|10.1.1.1|"+store.Escaper{}.EscapeUser("o'br\"+\\ é")+"|10")

	db.Exec(`UPDATE radial.pools SET status = 'draining'`)
	if n := db.Rows(`SELECT count(*) FROM radippool`)[0][0]; n != "1" {
		t.Errorf("of a draining pool %s rows are left, want that of the lease", n)
	}
	db.Exec(`UPDATE radial.pools SET status = 'active', name = 'other'`)
	if rows := db.Rows(`SELECT pool_name, count(*) FROM radippool GROUP BY 1`); fmt.Sprint(rows) != "[[other 6]]" {
		t.Errorf("a renamed pool: %v", rows)
	}
	db.Exec(`UPDATE radial.subnets SET status = 'inactive'`)
	if n := db.Rows(`SELECT count(*) FROM radippool`)[0][0]; n != "1" {
		t.Errorf("of an inactive subnet %s rows are left", n)
	}
	db.Exec(`DELETE FROM radial.addresses WHERE address = $1`, addr)
	is("deleted", "none")
	db.Exec(`INSERT INTO radippool (pool_name, framedipaddress) VALUES ('foreign', '192.0.2.2')`)
	db.Exec(`UPDATE radial.subnets SET status = 'active'; DELETE FROM radial.pools`)
	if rows := db.Rows(`SELECT pool_name FROM radippool`); fmt.Sprint(rows) != "[[foreign]]" {
		t.Errorf("after its pool was deleted: %v", rows)
	}
	if err := db.MirrorOff(t.Context(), store.Change{Actor: "test", Action: "ip.mirror"}); err != nil {
		t.Fatal(err)
	}
	if n, err := db.RefreshMirror(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("off: %d rows, %v", n, err)
	}
	if m, err := db.MirrorState(t.Context()); err != nil || m.On {
		t.Errorf("off: %+v, %v", m, err)
	}
	if rows := db.Rows(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mirror%'`); rows[0][0] != "0" {
		t.Error("there are triggers left")
	}
}

// Text in SQL is escaped as the Escaper does it.
func TestMirrorEscaping(t *testing.T) {
	db := storetest.New(t)
	for _, text := range []string{"", "alice@isp.net", "o'br+ien<x>", `a\b"c`, "Žofia é", "t\tn\nx", "h=1;z", "\x01\x7f", "=2B", "AA:BB/..-_"} {
		for _, mode := range []store.Escaping{store.EscapingSafe, store.EscapingRaw} {
			e := store.NewEscaper(mode)
			row := db.Rows(`SELECT radial.escape_text($1, $2), radial.escape_user($1, $2)`, text, mode == store.EscapingRaw)[0]
			if row[0] != e.Escape(text) || row[1] != e.EscapeUser(text) {
				t.Errorf("%q %s: SQL has %q and %q, the Escaper %q and %q", text, mode, row[0], row[1], e.Escape(text), e.EscapeUser(text))
			}
		}
	}
}

// The times in radippool are local times of the database's zone, whatever zone
// the connection that changes an address has.
func TestMirrorZone(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/29")
	name := db.Rows(`SELECT current_database()`)[0][0]
	db.Exec(`ALTER DATABASE ` + name + ` SET timezone = 'Asia/Kathmandu'`)
	if m := mirrorOn(t, db, store.PoolKeyUser); m.Zone != "Asia/Kathmandu" || m.ZoneNow != m.Zone {
		t.Fatalf("the mirror reckons in %q", m.Zone)
	}
	db.Exec(`SET timezone = 'America/Lima'`)
	db.Exec(`UPDATE radial.addresses SET state = 'offered', username = 'u', until = now() + interval '10 minutes' WHERE address = '192.0.2.3'`)
	db.Exec(`SET timezone = 'Asia/Kathmandu'`)
	if got := poolRow(db, "192.0.2.3"); got != "|u||u|10" {
		t.Errorf("radippool has %q", got)
	}
}

func TestMirrorOnMistakes(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/29")
	c := store.Change{Actor: "test", Action: "ip.mirror"}
	if _, err := db.MirrorOn(t.Context(), c, "port", false, nil); !errors.Is(err, aaa.ErrInvalid) || !strings.Contains(err.Error(), "nas-port") {
		t.Errorf("pool key port: %v", err)
	}
	mirrorOn(t, db, store.PoolKeyStation)
	if err := db.MirrorOff(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	db.Exec(`UPDATE radippool SET username = 'x', expiry_time = localtimestamp(0) + interval '1 hour' WHERE framedipaddress = '192.0.2.2'`)
	if _, err := db.MirrorOn(t.Context(), c, store.PoolKeyStation, false, nil); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("a lease that is not ours: %v", err)
	}
	if got := poolRow(db, "192.0.2.2"); !strings.HasSuffix(got, "|x|60") {
		t.Errorf("it is %q now", got)
	}
	db.Exec(`INSERT INTO radippool (pool_name, framedipaddress, expiry_time) VALUES ('main', '192.0.2.2', now() - interval '1 day'), ('main', '192.0.2.99', now())`)
	m, err := db.MirrorOn(t.Context(), c, store.PoolKeyStation, true, nil)
	if err != nil || m.Removed != 1 || m.Rows != 6 {
		t.Errorf("overwritten: %+v, %v", m, err)
	}
	if got := poolRow(db, "192.0.2.2"); got != "||||expired" {
		t.Errorf("overwritten, it is %q", got)
	}
}

// FreeRADIUS ran on the mirror: what it did becomes ours.
func TestTakeBack(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/28")
	mirrorOn(t, db, store.PoolKeyStation)
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	at := map[int]netip.Addr{}
	for n := 1; n <= 4; n++ {
		w := want(n, fmt.Sprint("s", n))
		at[n] = lease(t, a, w)
		settle(t, db, bind(at[n], openRow(db, fmt.Sprint("s", n), fmt.Sprint("user", n), w.Caller.MAC, at[n].String()), w))
	}
	c := store.Change{Actor: "test", Action: "ip.mirror"}
	taken := func() store.Taken {
		t.Helper()
		got, err := db.TakeBack(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := taken(); got != (store.Taken{}) {
		t.Errorf("nothing had happened, and it took %+v", got)
	}
	lend := func(addr netip.Addr, user, station, life string) {
		db.Exec(`UPDATE radippool SET username = $2, callingstationid = $3, pool_key = $3, nasipaddress = '10.0.0.1', expiry_time = localtimestamp(0) + $4::interval
			WHERE framedipaddress = $1`, addr, user, station, life)
	}
	m := func(n int) string { return strings.ToUpper(want(n, "").Caller.MAC) }
	// 1 stopped and nobody came; 2 stopped and came back; 3 stopped, and 5 has its address; 4 lives on
	db.Exec(`UPDATE radacct SET acctstoptime = now() - interval '1 minute' WHERE acctsessionid IN ('s1', 's2', 's3')`)
	lend(at[1], "user1", m(1), "-1 second")
	lend(at[2], "user2", m(2), "1 hour")
	openRow(db, "s2b", "user2", m(2), at[2].String())
	lend(at[3], "user5", m(5), "1 hour")
	openRow(db, "s5", "user5", m(5), at[3].String())
	lend(at[4], "user4", m(4), "1 hour")
	// 6 logged in and has not started; 7 came and went
	free := db.Rows(`SELECT host(address) FROM radial.addresses WHERE state = 'free' LIMIT 2`)
	six, seven := netip.MustParseAddr(free[0][0]), netip.MustParseAddr(free[1][0])
	lend(six, "user6", m(6), "1 hour")
	lend(seven, "user7", m(7), "-1 second")
	openRow(db, "s7", "user7", m(7), seven.String())
	db.Exec(`UPDATE radacct SET acctstarttime = now() + interval '2 seconds', acctstoptime = now() + interval '3 seconds' WHERE acctsessionid = 's7'`)

	if got, want := taken(), (store.Taken{Bound: 2, Kept: 1, Released: 1, Holders: 1, History: 7}); got != want {
		t.Errorf("took %+v, want %+v", got, want)
	}
	for addr, want := range map[netip.Addr]string{at[1]: "free user1", at[2]: "bound user2", at[3]: "bound user5", at[4]: "bound user4", six: "cooling user6", seven: "free user7"} {
		row := db.Rows(`SELECT state, username FROM radial.addresses WHERE address = $1`, addr)[0]
		if got := strings.Join(row, " "); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
	if got := taken(); got != (store.Taken{}) {
		t.Errorf("a second time it took %+v", got)
	}
	if got := poolRow(db, at[3].String()); got != "10.0.0.1|"+m(5)+"|"+m(5)+"|user5|10080" {
		t.Errorf("radippool has %q", got)
	}
	if rows := db.Rows(`SELECT action, username FROM radial.address_history WHERE address = $1 ORDER BY id`, at[3]); fmt.Sprint(rows) != "[[bound user3] [released user3] [bound user5]]" {
		t.Errorf("history of %s: %v", at[3], rows)
	}
	if rows := db.Rows(`SELECT action, username FROM radial.address_history WHERE address = $1 ORDER BY id`, seven); fmt.Sprint(rows) != "[[bound user7] [released user7]]" {
		t.Errorf("history of %s: %v", seven, rows)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.audit WHERE key = 'radippool'`)[0][0]; n != "2" {
		t.Errorf("%s rows of audit", n)
	}
}

// Two servers lease, bind and release at once: every row of radippool says what
// its address says.
func TestMirrorInStorm(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/26")
	mirrorOn(t, db, store.PoolKeyStation)
	servers := []*ipam.Allocator{
		ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil), ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil),
	}
	var wg sync.WaitGroup
	var id atomic.Int64
	for i := range 32 {
		wg.Go(func() {
			for round := range 6 {
				w := want(i+32*(round%2), fmt.Sprint("s", i, "-", round))
				l, err := leaseOne(t.Context(), servers[(i+round)%2], w)
				if err != nil {
					t.Errorf("user%d: %v", i, err)
					return
				}
				if round%3 == 0 {
					continue // no Start follows
				}
				n := id.Add(1)
				settle(t, db, bind(l.Address(), n, w))
				if round%3 == 1 {
					settle(t, db, release(l.Address(), n, w))
				}
			}
		})
	}
	wg.Wait()
	if rows := db.Rows(`SELECT a.address, a.state, a.username, r.username, r.expiry_time FROM radial.addresses a LEFT JOIN radippool r ON r.framedipaddress = a.address AND r.pool_name = 'main'
		WHERE coalesce(a.username, '') IS DISTINCT FROM r.username OR upper(coalesce(a.mac, '')) <> r.callingstationid OR r.pool_key <> r.callingstationid
		   OR (r.expiry_time > localtimestamp(0)) <> (a.state IN ('bound', 'offered'))`); len(rows) > 0 {
		t.Errorf("not the same: %v", rows)
	}
	if n := db.Rows(`SELECT count(*) FROM radippool`)[0][0]; n != "62" {
		t.Errorf("%s rows of 62", n)
	}
}
