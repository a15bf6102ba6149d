package store_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// world is what must be true of the rows, whatever callers and accounting do:
// kept beside them by simple rules.
type world struct {
	db       *storetest.DB
	servers  []*ipam.Allocator
	sessions map[int64]session // open sessions
	next     int64             // the next radacctid
}

type session struct {
	caller  int
	id      string
	address netip.Addr
}

// Random operations of a few callers at two servers over a small pool. After
// each: no address has two holders, every open session holds its own address,
// and nothing else is bound.
func TestLeaseOperations(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/29") // six addresses for eight callers
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > 25 { // each round is many database trips
			return
		}
		db.Exec("UPDATE radial.addresses SET state = 'free', username = NULL, mac = NULL, nas = NULL, port = NULL, session_id = NULL, radacctid = NULL, until = NULL")
		w := &world{db: db, sessions: map[int64]session{}, next: int64(round)*1000 + 1}
		for range 2 {
			w.servers = append(w.servers, ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{Window: 4, Seed: 7}, nil))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"login":       w.login,
			"stop":        w.stop,
			"interim":     w.interim,
			"offers end":  w.offersEnd,
			"wrong start": w.wrongStart,
			"":            w.check,
		})
	})
}

// login leases, and mostly goes on to the Start of a session.
func (w *world) login(rt *rapid.T) {
	n := rapid.IntRange(0, 7).Draw(rt, "caller")
	id := fmt.Sprint("s", w.next)
	l, err := leaseOne(rt.Context(), w.servers[rapid.IntRange(0, 1).Draw(rt, "server")], want(n, id))
	if errors.Is(err, ipam.ErrPoolFull) {
		if rows := w.db.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'free' OR state = 'offered' AND until <= now()"); rows[0][0] != "0" {
			rt.Fatalf("the pool is full, with %s addresses free", rows[0][0])
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	for _, s := range w.sessions {
		if s.address == l.Address() && s.caller != n {
			rt.Fatalf("user%d is offered %s, which user%d's open session has", n, l.Address(), s.caller)
		}
	}
	if rapid.IntRange(0, 3).Draw(rt, "start") == 0 {
		return // the NAS never got our answer
	}
	for old, s := range w.sessions {
		if s.caller == n { // the same MAC and port: the old session is over
			delete(w.sessions, old)
		}
	}
	w.settle(rt, ipam.Bind, bind(l.Address(), w.next, want(n, id)))
	w.sessions[w.next] = session{caller: n, id: id, address: l.Address()}
	w.next++
}

func (w *world) draw(rt *rapid.T) (int64, session) {
	ids := slices.Sorted(maps.Keys(w.sessions))
	if len(ids) == 0 {
		rt.Skip("no session")
	}
	id := rapid.SampledFrom(ids).Draw(rt, "session")
	return id, w.sessions[id]
}

func (w *world) stop(rt *rapid.T) {
	id, s := w.draw(rt)
	w.settle(rt, ipam.Leave, release(s.address, id, want(s.caller, s.id)))
	delete(w.sessions, id)
}

func (w *world) interim(rt *rapid.T) {
	id, s := w.draw(rt)
	w.settle(rt, ipam.Leave, renew(s.address, id, want(s.caller, s.id)))
}

func (w *world) offersEnd(rt *rapid.T) {
	w.db.Exec("UPDATE radial.addresses SET until = now() - interval '1 second' WHERE state = 'offered'")
	if rapid.Bool().Draw(rt, "job") {
		if _, err := w.db.ExpireOffers(rt.Context(), 100); err != nil {
			rt.Fatal(err)
		}
	}
}

// wrongStart is a session of a stranger that claims an address in use.
func (w *world) wrongStart(rt *rapid.T) {
	_, s := w.draw(rt)
	w.settle(rt, ipam.Conflict, bind(s.address, w.next, want(99, "stranger")))
	w.next++
}

// settle applies an event; Leave stands for any outcome.
func (w *world) settle(rt *rapid.T, outcome ipam.Outcome, e store.LeaseEvent) {
	events := []store.LeaseEvent{e}
	if err := w.db.SettleLeases(rt.Context(), e.At, events); err != nil {
		rt.Fatal(err)
	}
	got := events[0].Outcome
	if got == ipam.Replace {
		got = ipam.Bind
	}
	if outcome != ipam.Leave && got != outcome {
		rt.Fatalf("outcome %s, want %s", got, outcome)
	}
}

func (w *world) check(rt *rapid.T) {
	bound := map[string]string{}
	for _, r := range w.db.Rows("SELECT host(address), username, radacctid FROM radial.addresses WHERE state = 'bound'") {
		bound[r[0]] = r[1] + " " + r[2]
	}
	for id, s := range w.sessions {
		if got, want := bound[s.address.String()], fmt.Sprint("user", s.caller, " ", id); got != want {
			rt.Fatalf("%s is bound to %q; the open session is %q", s.address, got, want)
		}
		delete(bound, s.address.String())
	}
	if len(bound) > 0 {
		rt.Fatalf("bound without an open session: %v", bound)
	}
	if rows := w.db.Rows("SELECT username, count(*) FROM radial.addresses WHERE state = 'offered' AND until > now() GROUP BY 1 HAVING count(*) > 1"); len(rows) > 0 {
		rt.Fatalf("a caller has two offers: %v", rows)
	}
}
