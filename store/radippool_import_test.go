package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// radippool makes the table with FreeRADIUS's columns; rows are "pool address
// user station life" with the life as an interval from now.
func radippool(db *storetest.DB, rows ...string) {
	db.Exec(`CREATE TABLE IF NOT EXISTS radippool (id bigserial PRIMARY KEY, pool_name text NOT NULL, framedipaddress inet NOT NULL, nasipaddress text NOT NULL DEFAULT '',
		pool_key text NOT NULL DEFAULT '', calledstationid text NOT NULL DEFAULT '', callingstationid text NOT NULL DEFAULT '',
		expiry_time timestamp(0) without time zone NOT NULL DEFAULT now(), username text DEFAULT '')`)
	for _, r := range rows {
		f := strings.SplitN(r, " ", 5)
		if len(f) < 5 {
			f = append(f, "", "", "-1 day")
		}
		nas := ""
		if f[2] != "" {
			nas = "10.0.0.1"
		}
		db.Exec(`INSERT INTO radippool (pool_name, framedipaddress, nasipaddress, pool_key, callingstationid, username, expiry_time)
			VALUES ($1, $2::inet, $6, $4, $4, $3, localtimestamp(0) + $5::interval)`, f[0], f[1], f[2], f[3], f[4], nas)
	}
}

func importPools(t *testing.T, db *storetest.DB, networks map[string][]netip.Prefix) (*store.RadippoolPlan, store.Taken) {
	t.Helper()
	plan, err := db.LookRadippool(t.Context(), networks)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := db.ImportRadippool(t.Context(), store.Change{Actor: "test", Action: "ip.import-radippool"}, plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan, taken
}

func TestImportRadippool(t *testing.T) {
	db := storetest.New(t)
	m := func(n int) string { return strings.ToUpper(want(n, "").Caller.MAC) }
	radippool(db,
		"main 192.0.2.10 user1 "+m(1)+" 1 hour", "main 192.0.2.11 user2 "+m(2)+" 1 hour", "main 192.0.2.12 user3 "+m(3)+" -1 hour", "main 192.0.2.13",
		"main 192.0.2.15", "other 198.51.100.0", "other 198.51.100.1 o=27br "+m(4)+" 1 hour", "other 198.51.100.2", "other 198.51.100.3", "six 2001:db8::1")
	id := openRow(db, "s1", "user1", m(1), "192.0.2.10")
	plan, _ := importPools(t, db, nil)
	if len(plan.Pools) != 2 || fmt.Sprint(plan.IPv6) != "[six]" {
		t.Fatalf("plan %+v", plan)
	}
	if p := plan.Pools[0]; p.Name != "main" || p.Rows != 5 || p.Leased != 2 || p.Holders != 1 || p.Bound != 1 || p.Kept != 1 ||
		fmt.Sprint(p.Networks) != "[192.0.2.10-192.0.2.13 of 192.0.2.8/29 192.0.2.15/32]" {
		t.Errorf("main: %+v", p)
	}
	if p := plan.Pools[1]; p.Name != "other" || fmt.Sprint(p.Networks) != "[198.51.100.0/32 198.51.100.3/32 198.51.100.1-198.51.100.2 of 198.51.100.0/30]" {
		t.Errorf("other: %+v", p)
	}
	rows := db.Rows(`SELECT host(address), state, coalesce(username, ''), coalesce(radacctid, 0) FROM radial.addresses ORDER BY address`)
	for i, want := range []string{
		fmt.Sprint("192.0.2.10 bound user1 ", id), "192.0.2.11 cooling user2 0", "192.0.2.12 free user3 0", "192.0.2.13 free  0", "192.0.2.15 free  0",
		"198.51.100.0 free  0", "198.51.100.1 cooling o'br 0", "198.51.100.2 free  0", "198.51.100.3 free  0",
	} {
		if i >= len(rows) || strings.Join(rows[i], " ") != want {
			t.Errorf("%v, want %s", rows, want)
			break
		}
	}
	if rows := db.Rows(`SELECT DISTINCT status, description FROM radial.pools`); fmt.Sprint(rows) != "[[active from radippool]]" {
		t.Errorf("the pools are %v", rows)
	}
	// who had a lease or an address comes back to it; a stranger gets neither
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	for n, want2 := range map[int]string{2: "192.0.2.11", 3: "192.0.2.12"} {
		if got := lease(t, a, want(n, "")); got.String() != want2 {
			t.Errorf("user%d gets %s, want %s", n, got, want2)
		}
	}
	if got := lease(t, a, want(9, "")); got.String() == "192.0.2.11" {
		t.Errorf("a stranger gets %s", got)
	}
	// FreeRADIUS has gone on: the same command takes it over
	db.Exec(`UPDATE radippool SET username = 'user7', callingstationid = $1, nasipaddress = '10.0.0.1', expiry_time = localtimestamp(0) + interval '1 hour' WHERE framedipaddress = '192.0.2.15'`, m(7))
	db.Exec(`UPDATE radial.addresses SET state = 'free' WHERE state = 'offered'`)
	plan, taken := importPools(t, db, nil)
	if !plan.Pools[0].There || taken.Kept == 0 {
		t.Errorf("a second time: %+v, %+v", plan.Pools[0], taken)
	}
	if got := lease(t, a, want(7, "")); got.String() != "192.0.2.15" {
		t.Errorf("user7 gets %s", got)
	}
}

func TestImportRadippoolNetworks(t *testing.T) {
	db := storetest.New(t)
	radippool(db, "main 192.0.2.2", "main 192.0.2.4", "main 192.0.2.5")
	one := map[string][]netip.Prefix{"main": prefixes("192.0.2.0/28")}
	plan, _ := importPools(t, db, one)
	if rows := db.Rows(`SELECT host(address) FROM radial.addresses ORDER BY 1`); fmt.Sprint(rows) != "[[192.0.2.2] [192.0.2.4] [192.0.2.5]]" || len(plan.Pools[0].Networks) != 1 {
		t.Errorf("rows %v, plan %+v", rows, plan.Pools[0])
	}
}

func TestImportRadippoolMistakes(t *testing.T) {
	db := storetest.New(t)
	look := func(networks map[string][]netip.Prefix, sentinel error, want ...string) {
		t.Helper()
		_, err := db.LookRadippool(t.Context(), networks)
		if !errors.Is(err, sentinel) {
			t.Errorf("%v, want %v", err, sentinel)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("the error lacks %q:\n%v", w, err)
			}
		}
	}
	look(nil, aaa.ErrNotFound, "no such table")
	radippool(db, "main 192.0.2.2", "main 192.0.2.2", "main 192.0.2.3", "other 192.0.2.3", "main 192.0.2.4/24", "main 0.0.0.0")
	db.Exec(`INSERT INTO radippool (pool_name, framedipaddress) VALUES (' x', '192.0.2.9')`)
	look(nil, aaa.ErrInvalid, "1 addresses stand twice in pool main: 192.0.2.2", "stand in several pools (main, other): 192.0.2.3", "no address of a host", "192.0.2.4/24", "0.0.0.0", "blanks around: ' x': 192.0.2.9")
	db.Exec(`TRUNCATE radippool`)
	radippool(db, "main 192.0.2.2", "main 198.51.100.7", "mine 203.0.113.2", "mine 203.0.113.99")
	makePool(t, db, "theirs", "192.0.2.0/24")
	makePool(t, db, "mine", "203.0.113.0/28")
	look(nil, aaa.ErrInvalid, `192.0.2.2 of pool "main" lies in 192.0.2.0/24 of Radial's pool "theirs"`, `1 addresses of pool "mine" are not in Radial's pool of that name: 203.0.113.99`)
	db.Exec(`DELETE FROM radial.pools`)
	look(map[string][]netip.Prefix{"main": prefixes("192.0.2.0/30"), "nopool": prefixes("10.0.0.0/8")}, aaa.ErrInvalid, `outside of its --pool networks: 198.51.100.7`, `no pool "nopool"`)
	look(map[string][]netip.Prefix{"main": prefixes("192.0.2.2/31", "198.51.100.4/30")}, aaa.ErrInvalid, `broadcast`)
	if rows := db.Rows(`SELECT count(*) FROM radial.pools`); rows[0][0] != "0" {
		t.Error("something was done")
	}
	makePool(t, db, "main", "192.0.2.0/24")
	db.Exec(`TRUNCATE radippool`)
	mirrorOn(t, db, store.PoolKeyUser)
	look(nil, aaa.ErrConflict, "take-back")
}
