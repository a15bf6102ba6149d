package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

const plainTotal = "radial_accounting_plain_total"

// plainEvent is a record of a subscriber's session with one address.
func plainEvent(n int, session string, st aaa.Status, at int64, address string) *aaa.Record {
	c := want(n, session).Caller
	r := bareRecord(session, st, at, at, at)
	r.SessionID, r.User, r.Login, r.CallingStation, r.PortID, r.NAS = session, c.User, c.User, c.MAC, ptrTo(c.Port), c.NAS
	if address != "" {
		r.FramedIP = netip.MustParseAddr(address)
	}
	if st == aaa.StatusStart {
		r.SessionTime, r.Input, r.Output = nil, nil, nil
	}
	return r
}

// plainRounds is how many sequences of events are played.
const plainRounds = 20

// A world that both ways of settling are played on: four addresses of a pool and one that is in none.
const (
	plainSetUp = `
UPDATE radial.pools SET cooling_time = CASE WHEN $1 THEN interval '30 minutes' ELSE '0' END`
	plainClear = `
TRUNCATE radacct, radial.address_history, radial.address_conflicts;
UPDATE radial.addresses SET state = 'free', username = NULL, mac = NULL, nas = NULL, port = NULL, session_id = NULL, radacctid = NULL, until = NULL, since = NULL, reason = NULL`
	plainAddresses = `
SELECT host(address), state, username, mac, host(nas), port, session_id, coalesce((SELECT r.acctuniqueid FROM radacct r WHERE r.radacctid = a.radacctid), a.radacctid::text),
       since, round(extract(epoch FROM until - now()) / 600)
FROM radial.addresses a ORDER BY address`
	plainHistory = `
SELECT host(address), at, action, username, mac, host(nas), port, session_id, coalesce((SELECT r.acctuniqueid FROM radacct r WHERE r.radacctid = h.radacctid), h.radacctid::text), reason, actor, pool_id IS NULL
FROM radial.address_history h ORDER BY address, id`
	plainConflicts = `
SELECT host(address), (SELECT r.acctuniqueid FROM radacct r WHERE r.radacctid = c.radacctid), first_at, last_at, times, username, state, holder_username, holder_session_id
FROM radial.address_conflicts c ORDER BY 1, 2`
)

// outcomes counts what became of events.
type outcomes map[string]float64

func (o outcomes) since(before outcomes) outcomes {
	d := outcomes{}
	for outcome, n := range o {
		d[outcome] = n - before[outcome]
	}
	return d
}

// Whatever the rows are, and whoever has written them meanwhile: what is settled without a
// look at them is what a look and the rules (ipam.Settle) would have made of it.
func TestPlainIsWhatTheRulesSay(t *testing.T) {
	outer := t
	type side struct {
		*storetest.DB
		ledger *store.Ledger
		reg    *prometheus.Registry
	}
	var sides [2]side
	for i := range sides {
		db := storetest.New(t)
		rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")
		l, reg := newLedger(t, db, store.LedgerOptions{})
		sides[i] = side{db, l, reg}
	}
	sides[1].ledger.LookAtAll()
	both := func(sql string, args ...any) {
		for _, s := range sides {
			s.Exec(sql, args...)
		}
	}
	same := func(t *rapid.T, what, sql string) {
		t.Helper()
		if d := cmp.Diff(sides[1].Rows(sql), sides[0].Rows(sql)); d != "" {
			t.Fatalf("%s (-looked at +plain):\n%s", what, d)
		}
	}
	counts := func(side int) outcomes {
		of := outcomes{}
		for _, outcome := range []string{"bound", "renewed", "taken_over", "released", "offered", "conflict"} {
			of[outcome] = counterOf(outer, sides[side].reg, "radial_accounting_lease_events_total", outcome)
		}
		return of
	}
	addresses := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "203.0.113.1", ""}
	callers := func(t *rapid.T) int { return rapid.IntRange(0, 3).Draw(t, "caller") }
	round, wrong := 0, false
	rapid.Check(t, func(t *rapid.T) {
		defer func() { wrong = wrong || t.Failed() }() // then rapid looks for the shortest sequence
		if round++; round > plainRounds && !wrong {
			return
		}
		before := [2]outcomes{counts(0), counts(1)}
		both(plainClear)
		both(plainSetUp, rapid.Bool().Draw(t, "cooling"))
		type session struct {
			caller  int
			address string
			realm   string // that the name of his rows does not have
		}
		sessions := map[int]session{}
		clock := int64(0)
		// Where a row names a session that has another address, two events of a batch may
		// meet at it, and which of them is first depends on what the ledger has in memory.
		crossed := false
		for range rapid.IntRange(3, 15).Draw(t, "steps") {
			address := rapid.SampledFrom(addresses[:4]).Draw(t, "address")
			who := want(callers(t), "").Caller
			n := rapid.IntRange(0, 7).Draw(t, "id")
			id := fmt.Sprintf("%d-%d", round, n)
			others := rapid.IntRange(0, 9).Draw(t, "others")
			crossed = crossed || others <= 5 && others != 4 && sessions[n].address != address
			switch others {
			case 0, 1, 2: // a login
				both(`UPDATE radial.addresses SET state = 'offered', username = $2, mac = $3, nas = $4::inet, port = $5, session_id = $6, radacctid = NULL, since = '2026-01-01',
					until = now() + $7::int * interval '1 hour' WHERE address = $1::inet`, address, who.User, who.MAC, who.NAS.String(), who.Port,
					rapid.SampledFrom([]string{id, ""}).Draw(t, "named"), rapid.SampledFrom([]int{1, -1}).Draw(t, "run out"))
			case 3: // one that takes over
				both(`UPDATE radial.addresses SET session_id = $2 WHERE address = $1::inet AND state = 'bound'`, address, id)
			case 4:
				both(`UPDATE radial.addresses SET state = $2, radacctid = NULL, until = CASE WHEN $2 = 'cooling' THEN now() + interval '1 hour' END WHERE address = $1::inet`,
					address, rapid.SampledFrom([]string{"free", "cooling", "reserved"}).Draw(t, "state"))
			case 5: // somebody else's, or one more of the same session
				both(`UPDATE radial.addresses SET state = 'bound', radacctid = coalesce((SELECT max(r.radacctid) FROM radacct r WHERE r.acctsessionid = $2), 4711), session_id = $2, username = $3, mac = $4
					WHERE address = $1::inet`, address, id, who.User, who.MAC)
			case 6: // half of its time is gone
				both(`UPDATE radial.addresses SET until = now() + interval '20 minutes' WHERE state = 'bound'`)
			case 7:
				both(`UPDATE radacct SET acctinputoctets = coalesce(acctinputoctets, 0) + 1 WHERE acctsessionid = $1`, id)
			case 8:
				both(`INSERT INTO radial.address_conflicts (vrf_id, address, radacctid, first_at, last_at, state) SELECT 1, $1::inet, r.radacctid, '2026-01-01', '2026-01-01', 'bound'
					FROM radacct r WHERE r.acctsessionid = $2 ON CONFLICT DO NOTHING`, address, id)
			}
			var batch []*aaa.Record
			taken, held := map[int]bool{}, map[string]bool{}
			for range rapid.IntRange(1, 5).Draw(t, "records") {
				n := rapid.IntRange(0, 7).Draw(t, "session")
				if taken[n] || crossed && len(batch) > 0 {
					continue
				}
				s, known := sessions[n]
				if !known {
					s = session{callers(t), rapid.SampledFrom(addresses).Draw(t, "its address"), rapid.SampledFrom([]string{"", "", "@isp"}).Draw(t, "realm")}
				}
				// of two at one address, or of one caller, nobody says which comes first
				if held[s.address] && s.address != "" || held[fmt.Sprint(s.caller)] {
					continue
				}
				taken[n], held[s.address], held[fmt.Sprint(s.caller)], sessions[n] = true, true, true, s
				clock += rapid.Int64Range(0, 30).Draw(t, "seconds")
				status := aaa.StatusStart
				if known {
					status = rapid.SampledFrom([]aaa.Status{aaa.StatusInterim, aaa.StatusStop, aaa.StatusStop, aaa.StatusStart}).Draw(t, "status")
				}
				r := plainEvent(s.caller, fmt.Sprintf("%d-%d", round, n), status, clock, s.address)
				r.Login += s.realm
				if status == aaa.StatusStop {
					r.TerminateCause = rapid.SampledFrom([]string{"User-Request", ""}).Draw(t, "cause")
				}
				r.Received = r.At.Add(time.Duration(rapid.IntRange(0, 999).Draw(t, "ms")) * time.Millisecond)
				batch = append(batch, r)
			}
			sides[0].ledger.LookAtOdd()
			for _, s := range sides {
				var own []*aaa.Record
				for _, r := range batch {
					c := *r
					own = append(own, &c)
				}
				if err := errors.Join(s.ledger.Apply(t.Context(), own...)...); err != nil {
					t.Fatal(err)
				}
			}
			same(t, "addresses", plainAddresses)
			same(t, "history", plainHistory)
			same(t, "conflicts", plainConflicts)
			same(t, "sessions", `SELECT acctuniqueid, acctstoptime, acctterminatecause, acctinputoctets FROM radacct ORDER BY 1`)
			if a, b := counts(0).since(before[0]), counts(1).since(before[1]); !maps.Equal(a, b) {
				t.Fatalf("%v, %v where all is looked at", a, b)
			}
		}
	})
	plain, looked := counterOf(t, sides[0].reg, plainTotal), counterOf(t, sides[1].reg, plainTotal)
	if plain == 0 || looked != 0 {
		t.Errorf("%v addresses settled without a look, and %v where all are looked at: the test shows nothing", plain, looked)
	}
	t.Logf("%v addresses settled without a look", plain)
}

// What is plain, by the count of what was settled without a look.
func TestPlainCases(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")
	l, reg := newLedger(t, db, store.LedgerOptions{})
	a := ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{}, nil)
	at := int64(0)
	step := func(what string, plain float64, state string, n int, session string, st aaa.Status, address string) {
		t.Helper()
		at += 10
		before := counterOf(t, reg, plainTotal)
		if err := errors.Join(l.Apply(t.Context(), plainEvent(n, session, st, at, address))...); err != nil {
			t.Fatal(err)
		}
		if got := counterOf(t, reg, plainTotal) - before; got != plain {
			t.Errorf("%s: %v settled without a look, want %v", what, got, plain)
		}
		if address != "" && address != "203.0.113.1" {
			if got := db.Rows("SELECT state FROM radial.addresses WHERE address = $1::inet", address)[0][0]; got != state {
				t.Errorf("%s: the row is %s, want %s", what, got, state)
			}
		}
	}
	addr := lease(t, a, want(1, "s1")).String()
	step("a Start after its login", 1, "bound", 1, "s1", aaa.StatusStart, addr)
	step("an interim that finds more than half of the time left", 0, "bound", 1, "s1", aaa.StatusInterim, addr)
	step("a Stop", 1, "free", 1, "s1", aaa.StatusStop, addr)
	step("a Start whose login was another server's", 1, "bound", 2, "s2", aaa.StatusStart, addr)
	step("a Start at another's address", 0, "bound", 3, "s3", aaa.StatusStart, addr)
	step("the Stop where another session reports the address", 0, "cooling", 2, "s2", aaa.StatusStop, addr)
	step("a Start with an address of no pool", 0, "", 4, "s4", aaa.StatusStart, "203.0.113.1")
	step("its Stop", 0, "", 4, "s4", aaa.StatusStop, "203.0.113.1")
	if db.Exec(`UPDATE radial.addresses SET state = 'reserved' WHERE address = '192.0.2.5'`); true {
		step("a Start with an address that is reserved", 0, "reserved", 5, "s5", aaa.StatusStart, "192.0.2.5")
	}
	if db.Exec(`UPDATE radial.addresses SET state = 'reserved', username = 'user6' WHERE address = '192.0.2.6'`); true {
		step("a Start with the user's own static address", 0, "reserved", 6, "s6", aaa.StatusStart, "192.0.2.6")
		step("an interim of it", 0, "reserved", 6, "s6", aaa.StatusInterim, "192.0.2.6")
		if n := db.Rows("SELECT count(*) FROM radial.address_conflicts WHERE session_id = 's6'")[0][0]; n != "0" {
			t.Errorf("%s conflicts of a user with his own address", n)
		}
	}
}

// The end of one session and the beginning of the next, of the same address in one batch.
func TestPlainLeavesTwoOfOneAddress(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")
	l, reg := newLedger(t, db, store.LedgerOptions{})
	addr := netip.MustParseAddr("192.0.2.3")
	for _, batch := range [][]*aaa.Record{
		{plainEvent(1, "s1", aaa.StatusStart, 1, addr.String())},
		{plainEvent(2, "s0", aaa.StatusStart, 9, addr.String()), plainEvent(1, "s1", aaa.StatusStop, 9, addr.String()), plainEvent(3, "s3", aaa.StatusStart, 9, "192.0.2.4"), plainEvent(4, "s4", aaa.StatusStart, 9, "192.0.2.5")},
	} {
		if err := errors.Join(l.Apply(t.Context(), batch...)...); err != nil {
			t.Fatal(err)
		}
	}
	if got := history(db, addr); got != "bound user1 1, released user1 1, bound user2 2" && got != "bound user1 1, released user1 1, bound user2 3" {
		t.Errorf("history %s", got)
	}
	if n := counterOf(t, reg, plainTotal); n != 3 {
		t.Errorf("%v settled without a look, want the first one and those two of which nobody else tells", n)
	}
}

// Somebody writes the row between the look and the update: what he has written counts.
func TestPlainWaitsAndLooksAgain(t *testing.T) {
	for name, c := range map[string]struct{ meanwhile, want string }{
		"taken":      {`UPDATE radial.addresses SET state = 'reserved', reason = 'router' WHERE address = '192.0.2.3'`, "reserved -"},
		"only held":  {`SELECT FROM radial.addresses WHERE address = '192.0.2.3' FOR UPDATE`, "bound s1"},
		"taken away": {`DELETE FROM radial.addresses WHERE address = '192.0.2.3'`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")
			l, _ := newLedger(t, db, store.LedgerOptions{})
			tx := holding(t, db, c.meanwhile)
			done := make(chan error, 1)
			go func() { done <- l.Record(t.Context(), plainEvent(1, "s1", aaa.StatusStart, 1, "192.0.2.3")) }()
			waitsForLock(t, db)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, r := range db.Rows("SELECT state || ' ' || coalesce(session_id, '-') FROM radial.addresses WHERE address = '192.0.2.3'") {
				got = r[0]
			}
			if got != c.want {
				t.Errorf("the row is %q, want %q", got, c.want)
			}
			if n := db.Rows("SELECT count(*) FROM radacct WHERE acctsessionid = 's1'")[0][0]; n != "1" {
				t.Errorf("%s rows of the session", n)
			}
		})
	}
}

// An address that is not plain is looked at after others have been locked: who
// holds it is not waited for then, but in the order of addresses.
func TestOddIsNotWaitedFor(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "192.0.2.0/29")
	l, _ := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 4711, username = 'eve', mac = 'x', session_id = 'z' WHERE address = '192.0.2.2'`)
	tx := holding(t, db, `SELECT FROM radial.addresses WHERE address = '192.0.2.2' FOR UPDATE`)
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(l.Apply(t.Context(), plainEvent(1, "s1", aaa.StatusStart, 1, "192.0.2.1"),
			plainEvent(2, "s2", aaa.StatusStart, 1, "192.0.2.2"), plainEvent(3, "s3", aaa.StatusStart, 1, "192.0.2.3"))...)
	}()
	waitsForLock(t, db)
	goOn(t, tx, `SELECT FROM radial.addresses WHERE address = '192.0.2.3' FOR UPDATE`) // higher, so not held yet
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(db.Rows(`SELECT session_id FROM radial.addresses WHERE state = 'bound' ORDER BY address`)); got != "[[s1] [z] [s3]]" {
		t.Errorf("bound to %s", got)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.address_conflicts`)[0][0]; n != "1" {
		t.Errorf("%s conflicts", n)
	}
}

// Two servers, callers that come and go on few addresses, jobs and operators: nobody gets a
// deadlock, and what is bound at the end is what goes on.
func TestPlainAtOnce(t *testing.T) {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "100.64.0.0/26")
	db.Exec("UPDATE radial.pools SET offer_time = '100 milliseconds', cooling_time = '20 milliseconds'")
	db.Exec("ALTER DATABASE " + db.Rows("SELECT current_database()")[0][0] + " SET deadlock_timeout = '10ms'")
	db.Pool().Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var sessions, jobs atomic.Int64
	busy := func(count *atomic.Int64, f func(r *rand.Rand) error) {
		seed := rand.Uint64()
		wg.Go(func() {
			for r := rand.New(rand.NewPCG(seed, 0)); ctx.Err() == nil; count.Add(1) {
				if err := f(r); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	var regs []*prometheus.Registry
	for _, server := range []*store.DB{db.DB, secondServer(t, db)} {
		reg := prometheus.NewRegistry()
		regs = append(regs, reg)
		l, err := store.NewLedger(server, store.LedgerOptions{Shards: 3}, store.NewLedgerMetrics(reg), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(running) }()
		t.Cleanup(func() { stop(); <-ended })
		a := ipam.NewAllocator(store.NewLeases(server), ipam.AllocatorOptions{Window: 16}, nil)
		for range 16 {
			busy(&sessions, func(r *rand.Rand) error {
				n, session := r.IntN(120), fmt.Sprintf("s%d", r.Uint32())
				le, err := leaseOne(ctx, a, want(n, session))
				if err != nil {
					if _, ok := errors.AsType[*ipam.Refusal](err); ok {
						return nil
					}
					return err
				}
				address := le.Prefix.Addr().String()
				if r.IntN(8) == 0 { // somebody else's, perhaps
					address = fmt.Sprintf("100.64.0.%d", r.IntN(64))
				}
				for j, st := range []aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop} {
					if err := l.Record(context.WithoutCancel(ctx), plainEvent(n, session, st, int64(10+j), address)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		busy(&jobs, func(r *rand.Rand) error {
			_, err1 := server.ExpireOffers(ctx, 100)
			_, err2 := server.EndCooling(ctx, 100)
			_, err3 := server.ReleaseEnded(ctx, 100)
			return errors.Join(err1, err2, err3)
		})
		busy(&jobs, func(r *rand.Rand) error {
			address := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, byte(r.IntN(64))}), 32)
			_, _, err1 := server.ReserveAddress(ctx, byTest("ip.reserve"), store.Reservation{Address: address, Reason: "router"})
			_, _, err2 := server.ReleaseAddress(ctx, byTest("ip.release"), 0, address, "", false)
			for _, err := range []error{err1, err2} {
				if err != nil && !errors.Is(err, aaa.ErrConflict) && !errors.Is(err, aaa.ErrNotFound) {
					return err
				}
			}
			return nil
		})
	}
	wg.Wait()
	if sessions.Load() == 0 || jobs.Load() == 0 || counterOf(t, regs[0], plainTotal)+counterOf(t, regs[1], plainTotal) == 0 {
		t.Errorf("%d sessions, %d jobs: the test shows little", sessions.Load(), jobs.Load())
	}
	if n := db.Rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]; n != "0" {
		t.Errorf("%s deadlocks", n)
	}
	if _, err := db.ReleaseEnded(t.Context(), 1000); err != nil {
		t.Error(err)
	}
	if left := db.Rows(`SELECT a.address, a.session_id FROM radial.addresses a LEFT JOIN radacct r ON r.radacctid = a.radacctid AND r.acctstoptime IS NULL WHERE a.state = 'bound' AND r.radacctid IS NULL`); len(left) > 0 {
		t.Errorf("bound to sessions that are over: %v", left)
	}
	t.Logf("%d sessions, %v of their addresses settled without a look", sessions.Load(), counterOf(t, regs[0], plainTotal)+counterOf(t, regs[1], plainTotal))
}
