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

// A session that FreeRADIUS or a hand closes in radacct gives its address back;
// one that lives, or a login that has taken the place over, keeps it.
func TestReleaseEnded(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "100.64.0.0/20")
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	const closed, alive, again, gone, archived = 1, 2, 3, 4, 5
	addr := map[int]netip.Addr{}
	for n := closed; n <= archived; n++ {
		w := want(n, fmt.Sprint("s=", n))
		addr[n] = lease(t, a, w)
		settle(t, db, bind(addr[n], int64(n), w))
		db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime)
			VALUES ($1::bigint, 's=3D' || $1, 'u' || $1, 'user' || $1, '10.0.0.1', $2::inet, now() - interval '1 hour')`, n, addr[n])
	}
	db.Exec("UPDATE radacct SET acctstoptime = now(), acctterminatecause = CASE radacctid WHEN 1 THEN 'Admin=3DReset' END WHERE radacctid IN (1, 3)")
	db.Exec("DELETE FROM radacct WHERE radacctid IN (4, 5)")
	db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second' WHERE radacctid IN (2, 4)")
	if got := lease(t, a, want(again, "next")); got != addr[again] {
		t.Fatalf("the caller got %s, not %s again", got, addr[again])
	}
	for range 2 { // the second time there is nothing to do
		if _, err := db.ReleaseEnded(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		for n, want := range map[int]string{
			closed: "free - s=1", alive: "bound 2 s=2", again: "offered - next", gone: "free - s=4", archived: "bound 5 s=5",
		} {
			if got := state(db, addr[n]); got != want {
				t.Errorf("session %d: the row is %q, want %q", n, got, want)
			}
		}
	}
	db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, nasipaddress) SELECT 1000 + n, 's', 'many' || n, '10.0.0.1' FROM generate_series(1, 5000) n`)
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 1, until = now() + interval '1 hour' WHERE username IS NULL; ANALYZE radacct; ANALYZE radial.addresses`)
	for _, line := range db.Rows("EXPLAIN " + strings.ReplaceAll(store.SQLEndedLeases, "$1", "2000")) {
		if strings.Contains(line[0], "Seq Scan on radacct") {
			t.Error("all of radacct is read: ", line[0])
		}
	}
	db.Exec(`UPDATE radial.addresses SET state = 'free', radacctid = NULL WHERE username IS NULL`)
	if got, want := history(db, addr[closed]), "bound user1 1, released user1 1"; got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	for n, want := range map[int]string{
		closed: "closed in radacct (Admin=Reset)", again: "closed in radacct (no cause told)", gone: "the lease has run out, and radacct has no such session",
	} {
		if got := db.Rows("SELECT reason FROM radial.address_history WHERE action = 'released' AND address = $1", addr[n])[0][0]; got != want {
			t.Errorf("session %d: released for %q, want %q", n, got, want)
		}
	}
	if n, err := db.ReleaseEnded(t.Context(), 100); n != 0 || err != nil {
		t.Errorf("%d found again, %v", n, err)
	}
}
