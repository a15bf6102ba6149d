package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// offer makes an address an offer that runs out in so many seconds.
func offer(db *storetest.DB, address string, seconds int) {
	db.Exec("UPDATE radial.addresses SET state = 'offered', username = 'u', mac = 'm', session_id = 's', until = now() + make_interval(secs => $2) WHERE address = $1", address, seconds)
}

func offered(db *storetest.DB) string {
	var texts []string
	for _, r := range db.Rows("SELECT host(address), round(extract(epoch FROM until - now()) / 10) * 10 FROM radial.addresses WHERE state = 'offered' ORDER BY address") {
		texts = append(texts, strings.Join(r, " "))
	}
	return strings.Join(texts, ", ")
}

func expire(t *testing.T, db *storetest.DB, want int) {
	t.Helper()
	if n, err := db.ExpireOffers(t.Context(), 100); n != want || err != nil {
		t.Errorf("%d offers freed, want %d; %v", n, want, err)
	}
}

// Offers whose Start could reach nobody outlive the gap by a minute; others
// that have run out do not, and nothing is shortened.
func TestOffersOutliveAGap(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	db.Exec("INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) SELECT gen_random_uuid(), n, '1', now(), now() - s::interval FROM (VALUES ('a', '300 s'), ('b', '5000 s')) AS v (n, s)")
	db.Exec("UPDATE radial.servers SET stopped_at = heartbeat_at WHERE name = 'b'") // signed off
	offer(db, "192.0.2.1", -301)                                                    // ran out before the gap
	offer(db, "192.0.2.2", -200)
	offer(db, "192.0.2.3", 20)
	offer(db, "192.0.2.4", 110)
	expire(t, db, 0) // no server: nobody has looked yet
	id := "8b7c3f9e-0000-4000-8000-000000000001"
	p := &store.Presence{DB: db.DB, ID: id, Name: "c", Version: "1", Log: zap.NewNop()}
	if err := db.RestoreLearnt(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	const want = "192.0.2.1 -300, 192.0.2.2 60, 192.0.2.3 60, 192.0.2.4 110"
	if got := offered(db); got != want {
		t.Errorf("a server starts: %s\nwant %s", got, want)
	}
	expire(t, db, 0) // no heartbeat yet
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	eventually(t, "heartbeat", func() bool { return db.Rows("SELECT count(*) FROM radial.servers WHERE name = 'c'")[0][0] == "1" })
	expire(t, db, 0) // a may have a journal
	forget(t, db, "a")
	expire(t, db, 1)

	// The database goes away for longer than an offer lives, and comes back.
	db.Exec("UPDATE radial.servers SET heartbeat_at = now() - interval '10 minutes'")
	offer(db, "192.0.2.5", -100)
	eventually(t, "heartbeat after the gap", func() bool {
		return db.Rows("SELECT count(*) FROM radial.servers WHERE name = 'c' AND heartbeat_at > now() - interval '5 seconds'")[0][0] == "1"
	})
	if got := offered(db); !strings.HasSuffix(got, ", 192.0.2.5 60") {
		t.Errorf("after the gap: %s", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second' WHERE state = 'offered'")
	db.Exec("UPDATE radial.servers SET journal_bytes = 1 WHERE name = 'b'")
	expire(t, db, 0) // its journal may hold the Starts
	forget(t, db, "b")
	expire(t, db, 4)
}

func forget(t *testing.T, db *storetest.DB, name string) {
	t.Helper()
	if err := db.ForgetServer(t.Context(), store.Change{Actor: "cli:test", Action: "server.forget"}, name); err != nil {
		t.Fatal(err)
	}
}

// A server that is silent may be cut off from the database and take Starts into
// its journal: what runs out waits for it, and for a journal that is reported,
// until it is empty or forgotten. What had run out before then does not.
func TestOffersWaitForASilentServer(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	db.Exec("INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) SELECT gen_random_uuid(), n, '1', now(), now() - s::interval FROM (VALUES ('silent', '9 s'), ('alive', '6 s')) AS v (n, s)")
	offer(db, "192.0.2.1", -1)
	spare := func(want string) {
		t.Helper()
		if err := db.SpareOffers(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := offered(db); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	awaited := func(want ...string) {
		t.Helper()
		all, err := db.Awaited(t.Context())
		var got []string
		for _, s := range all {
			got = append(got, s.Name)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("awaited %v, want %v; %v", got, want, err)
		}
	}
	spare("192.0.2.1 0")
	awaited()
	expire(t, db, 1)

	db.Exec("UPDATE radial.servers SET heartbeat_at = now() - interval '100 s' WHERE name = 'silent'")
	offer(db, "192.0.2.1", -110)
	offer(db, "192.0.2.2", -50)
	offer(db, "192.0.2.3", 10)
	offer(db, "192.0.2.4", 40)
	spare("192.0.2.1 -110, 192.0.2.2 60, 192.0.2.3 60, 192.0.2.4 40")
	awaited("silent")
	expire(t, db, 0)
	db.Exec("UPDATE radial.servers SET heartbeat_at = now(), journal_bytes = 7 WHERE name = 'silent'")
	awaited("silent") // back, and it drains
	expire(t, db, 0)
	db.Exec("UPDATE radial.servers SET stopped_at = now() WHERE name = 'silent'")
	awaited("silent") // it signed off with a journal
	findings, err := db.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last := findings[len(findings)-1]; last.Severity != store.Problem || !strings.Contains(last.Value, "silent: stopped 0s ago with 7 bytes in its journal") {
		t.Errorf("doctor: %+v", last)
	}
	db.Exec("UPDATE radial.servers SET journal_bytes = 0 WHERE name = 'silent'")
	awaited()
	expire(t, db, 1)
	spare("192.0.2.2 60, 192.0.2.3 60, 192.0.2.4 40")
}

func TestEndCooling(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	db.Exec("UPDATE radial.addresses SET state = 'cooling', username = 'u', session_id = 's', until = now() + make_interval(secs => 100 * (address - '192.0.2.3')::int) WHERE address <= '192.0.2.5'")
	for _, want := range []int{2, 1, 0} { // .1, .2 and .3
		if n, err := db.EndCooling(t.Context(), 2); n != want || err != nil {
			t.Errorf("%d ended, want %d; %v", n, want, err)
		}
	}
	rows := db.Rows("SELECT state, count(*), count(until), min(username) FROM radial.addresses WHERE address <= '192.0.2.5' GROUP BY state ORDER BY state")
	if got, want := fmt.Sprint(rows), "[[cooling 2 2 u] [free 3 0 u]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The clock's work finds its rows by their times, however many others there are.
func TestClockPlans(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/18")
	db.Exec("UPDATE radial.addresses SET state = 'offered', until = now() - interval '1 second' WHERE address < '10.0.1.0'")
	db.Exec("UPDATE radial.addresses SET state = 'cooling', until = now() - interval '1 second' WHERE address >= '10.0.63.0'")
	db.Exec("ANALYZE radial.addresses")
	for name, sql := range map[string]string{"expire": store.SQLExpireOffers, "cooling": store.SQLEndCooling} {
		plan := ""
		for _, line := range db.Rows("EXPLAIN " + strings.ReplaceAll(sql, "$1", "100")) {
			plan += line[0] + "\n"
		}
		if strings.Contains(plan, "Seq Scan on addresses") || !strings.Contains(plan, "addresses_until_idx") {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
}

func TestDropConflicts(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.address_conflicts (vrf_id, address, radacctid, first_at, last_at, state)
		SELECT 1, '192.0.2.1', n, now() - interval '9 days', now() - make_interval(days => n), 'bound' FROM generate_series(1, 5) n`)
	before := time.Now().Add(-60 * time.Hour) // 3, 4 and 5 days ago
	for _, want := range []int{2, 1, 0} {
		if n, err := db.DropConflicts(t.Context(), before, 2); n != want || err != nil {
			t.Errorf("%d dropped, want %d; %v", n, want, err)
		}
	}
	if rows := db.Rows("SELECT radacctid FROM radial.address_conflicts ORDER BY 1"); fmt.Sprint(rows) != "[[1] [2]]" {
		t.Errorf("%v left", rows)
	}
}

// Nor does a login get an address whose Start may be in a server's journal; its
// own caller gets it at once.
func TestRunOutOffersWaitForJournals(t *testing.T) {
	for _, sticky := range []string{"user_mac", "user", "mac", "none"} {
		t.Run(sticky, func(t *testing.T) {
			db := storetest.New(t)
			makePool(t, db, "main", "192.0.2.1/32")
			db.Exec("UPDATE radial.pools SET sticky = $1", sticky)
			db.Exec("INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, journal_bytes) VALUES (gen_random_uuid(), 'b', '1', now(), now(), 1)")
			a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
			first := want(1, "")
			lease(t, a, first)
			db.Exec("UPDATE radial.addresses SET until = now() - interval '1 minute'")
			other := want(2, "")
			other.Caller.User = first.Caller.User // who had it last, where names alone count
			if l, err := leaseOne(t.Context(), a, other); !errors.Is(err, ipam.ErrPoolFull) {
				t.Errorf("%v, %v: want the pool full", l, err)
			}
			lease(t, a, first)
			db.Exec("UPDATE radial.addresses SET until = now() - interval '1 minute'")
			db.Exec("UPDATE radial.servers SET journal_bytes = 0, heartbeat_at = now() - interval '1 minute'")
			if l, err := leaseOne(t.Context(), a, other); !errors.Is(err, ipam.ErrPoolFull) {
				t.Errorf("a server is silent: %v, %v: want the pool full", l, err)
			}
			db.Exec("UPDATE radial.servers SET heartbeat_at = now()")
			lease(t, a, other)
		})
	}
}
