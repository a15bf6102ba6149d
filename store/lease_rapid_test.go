package store_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// The same small network in two VRFs: five addresses for eight callers, and for
// two; two IPv6 prefixes for four. A second network comes and goes.
const (
	worldNetwork = "192.0.2.0/29"
	worldGateway = "192.0.2.1"
	worldMore    = "192.0.2.8/30"
	worldSix     = "2001:db8::/63"
)

// worldRounds is how many sequences of operations are played.
const worldRounds = 60

// Random operations of callers, NASes and operators at two servers, which are
// two processes. After each of them (or each batch that runs at once) what must
// be true of the rows is true: see world.
func TestLeaseOperations(t *testing.T) {
	db := storetest.New(t)
	ended := make(chan error, 1)
	here, err := newLocal(t.Context(), db.DB, ended)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { <-ended })
	there := startRemote(t, db)
	db.Exec(`INSERT INTO radial.vrfs (id, name) OVERRIDING SYSTEM VALUE VALUES (2, 'second')`)
	db.Exec(`INSERT INTO nas (nasname, shortname, secret) VALUES ('10.0.0.3', 'third', 's')`)
	db.Exec(`INSERT INTO radial.nas_settings (nas_id, vrf_id) SELECT id, 2 FROM nas`)
	round, broken := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > worldRounds && !broken { // each round is many database trips
			return
		}
		was := broken
		broken = true // unless it comes to its end
		w := newWorld(t, db, here, there)
		rt.Repeat(map[string]func(*rapid.T){
			"login":       w.login,
			"start":       w.begin,
			"late start":  w.lateStart,
			"interim":     w.interim,
			"stop":        w.stop,
			"reboot":      w.reboot,
			"offers end":  w.offersEnd,
			"wrong start": w.wrongStart,
			"drain":       w.drain,
			"reserve":     w.reserve,
			"unreserve":   w.unreserve,
			"exclude":     w.exclude,
			"include":     w.include,
			"grow":        w.growOrShrink,
			"cool":        w.cool,
			"at once":     w.atOnce,
			"":            w.check,
		})
		broken = was
	})
}

func newWorld(t *testing.T, db *storetest.DB, parties ...party) *world {
	w := &world{
		cutOff: parties[0].(*local).ledger,
		db:     db, parties: [2]party(parties), clock: time.Now().Add(-240 * time.Hour).Truncate(time.Second).UTC(), callers: newCallers(),
		sessions: map[string]*session{}, strangers: map[string]*session{}, spaces: map[int32]*space{},
	}
	db.Exec("TRUNCATE radacct, radial.address_history, radial.reboots; DELETE FROM radial.addresses; DELETE FROM radial.pools")
	for _, vrf := range []int32{1, 2} {
		err := db.CreatePool(t.Context(), store.PoolSpec{Name: "main", VRF: vrf, CIDRs: prefixes(worldNetwork), Gateway: netip.MustParseAddr(worldGateway)})
		if err != nil {
			t.Fatal(err)
		}
		w.spaces[vrf] = &space{vrf: vrf, may: prefixSet("192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32", "192.0.2.6/32"),
			reserved: map[netip.Prefix]bool{}, cooling: map[netip.Prefix]*caller{}}
	}
	err := db.CreatePool(t.Context(), store.PoolSpec{Name: "six", VRF: 1, Kind: ipam.IPv6Prefix, CIDRs: prefixes(worldSix)})
	if err != nil {
		t.Fatal(err)
	}
	w.spaces[1].six = prefixSet("2001:db8::/64", "2001:db8:0:1::/64")
	return w
}

func prefixSet(texts ...string) map[netip.Prefix]bool {
	set := map[netip.Prefix]bool{}
	for _, p := range prefixes(texts...) {
		set[p] = true
	}
	return set
}

func (w *world) drawCaller(rt *rapid.T) *caller {
	return rapid.SampledFrom(w.callers).Draw(rt, "caller")
}

func (w *world) drawParty(rt *rapid.T) party {
	return w.parties[rapid.IntRange(0, 1).Draw(rt, "server")]
}

// drawSession picks an open session.
func (w *world) drawSession(rt *rapid.T, of ...map[string]*session) *session {
	var all []*session
	for _, list := range of {
		all = append(all, slices.Collect(maps.Values(list))...)
	}
	if len(all) == 0 {
		rt.Skip("no session")
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.unique, b.unique) })
	return rapid.SampledFrom(all).Draw(rt, "session")
}

// drawLogin is a login with no session id, with that of the caller's session,
// or with a new one.
func (w *world) drawLogin(rt *rapid.T, c *caller) partyLogin {
	l := partyLogin{VRF: c.vrf, Kinds: []ipam.Kind{ipam.IPv4}, Pools: []string{"main"}, Caller: c.who}
	if c.dual {
		l.Kinds, l.Pools = append(l.Kinds, ipam.IPv6Prefix), append(l.Pools, "six")
	}
	switch rapid.IntRange(0, 2).Draw(rt, "session id") {
	case 1:
		l.Session = w.name("s")
	case 2:
		if c.open != nil {
			l.Session = c.open.id
		}
	}
	return l
}

// login is one login, sometimes of a caller whose NAS asks both servers.
func (w *world) login(rt *rapid.T) { w.loginOf(rt, w.drawCaller(rt)) }

func (w *world) loginOf(rt *rapid.T, c *caller) {
	l := w.drawLogin(rt, c)
	var kept bool // his own offer whose time is over, not yet taken away
	for _, r := range w.db.Rows(`SELECT 1 WHERE EXISTS (SELECT FROM radial.addresses WHERE vrf_id = $1 AND state = 'offered' AND family(address) = 4 AND username = $2 AND mac = $3 AND port = $4)`, c.vrf, c.who.User, c.who.MAC, c.who.Port) {
		kept = r != nil
	}
	a, err := w.drawParty(rt).login(rt.Context(), l)
	if err != nil {
		rt.Fatal(err)
	}
	w.answered(rt, c, l, a, true, kept)
}

// begin is the Start that follows a login, perhaps so late that the offer is
// over, if nobody has the address then. The caller's older session is over.
func (w *world) begin(rt *rapid.T) {
	c := w.drawCaller(rt)
	gone := func(a netip.Prefix) bool {
		s := w.spaces[c.vrf]
		return !c.fresh && w.holder(c.vrf, a) != nil || s.reserved[a] || !s.may[a] && !s.six[a]
	}
	if c.told == nil || slices.ContainsFunc(c.told, gone) || c.open != nil && c.asked == c.open.id {
		rt.Skip("no login that it could follow")
	}
	at := w.tick()
	s := &session{caller: c, id: c.asked, addresses: c.told, nas: c.who.NAS, vrf: c.vrf, start: at, update: at}
	if s.id == "" {
		s.id = w.name("s")
	}
	s.unique = fmt.Sprintf("%032s", s.id)
	w.send(rt, s.record(aaa.StatusStart, at))
	if c.open != nil {
		delete(w.sessions, c.open.unique)
	}
	delete(w.spaces[c.vrf].cooling, c.told[0])
	c.open, c.asked, c.fresh, w.sessions[s.unique] = s, s.id, true, s
}

// lateStart is that of a session which a cut off server has in its journal, and which was over when its
// caller was last answered; its Stop will come too. Until then it has what he was told, and he when it has.
func (w *world) lateStart(rt *rapid.T) {
	c := w.drawCaller(rt)
	if !c.fresh || c.open != nil && c.asked == c.open.id {
		rt.Skip("no login that stands")
	}
	at := w.tick()
	s := &session{caller: c, id: w.name("l"), addresses: c.told, nas: c.who.NAS, vrf: c.vrf, start: at, update: at}
	s.unique = fmt.Sprintf("%032s", s.id)
	for range rapid.IntRange(1, 2).Draw(rt, "times") {
		if err := w.cutOff.ApplyDrained(rt.Context(), s.record(aaa.StatusStart, at)); err != nil {
			rt.Fatal(err)
		}
	}
	if c.open != nil {
		delete(w.sessions, c.open.unique)
	}
	c.open, w.sessions[s.unique] = s, s
}

// send has a record stored, by either server, and sometimes by both.
func (w *world) send(rt *rapid.T, r *aaa.Record) {
	times := 1
	if rapid.IntRange(0, 4).Draw(rt, "sent again") == 0 {
		times = 2
	}
	for range times {
		if err := w.drawParty(rt).record(rt.Context(), r); err != nil {
			rt.Fatal(err)
		}
	}
}

// interim is that of an open session; a stranger's that finds its address free
// has it from then on.
func (w *world) interim(rt *rapid.T) {
	s := w.drawSession(rt, w.sessions, w.strangers)
	s.update = w.tick()
	w.send(rt, s.record(aaa.StatusInterim, s.update))
	w.found(s)
}

// found gives a stranger's session its address, if nobody has it.
func (w *world) found(s *session) {
	space, a := w.spaces[s.vrf], s.addresses[0]
	if w.holder(s.vrf, a) == nil && space.may[a] && !space.reserved[a] {
		delete(w.strangers, s.unique)
		delete(space.cooling, a)
		w.sessions[s.unique] = s
	}
}

func (w *world) stop(rt *rapid.T) {
	s := w.drawSession(rt, w.sessions, w.strangers)
	w.send(rt, s.record(aaa.StatusStop, w.tick()))
	w.ended(s)
}

// reboot is a NAS's Accounting-On or Off, perhaps one that comes late.
func (w *world) reboot(rt *rapid.T) {
	nas := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(rt, "NAS"))})
	at := w.tick().Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 50, 130}).Draw(rt, "seconds late")) * time.Second)
	status := rapid.SampledFrom([]aaa.Status{aaa.StatusOn, aaa.StatusOff}).Draw(rt, "status")
	w.send(rt, &aaa.Record{Status: status, NAS: nas, VRF: 1 + int32(nas.As4()[3]/3), At: at, Received: at})
	w.rebooted(nas, at)
}

// offersEnd lets time pass: all offers are over, and what cooled off is cold.
func (w *world) offersEnd(rt *rapid.T) {
	w.db.Exec("UPDATE radial.addresses SET until = until - interval '1 day' WHERE state IN ('offered', 'cooling')")
	for _, s := range w.spaces {
		clear(s.cooling)
	}
	for _, c := range w.callers {
		c.fresh = c.open != nil
	}
	if rapid.Bool().Draw(rt, "job") {
		if _, err := w.db.ExpireOffers(rt.Context(), 100); err != nil {
			rt.Fatal(err)
		}
		if _, err := w.db.EndCooling(rt.Context(), 100); err != nil {
			rt.Fatal(err)
		}
	}
}

// wrongStart is a session of a stranger who claims an address in use.
func (w *world) wrongStart(rt *rapid.T) {
	s := w.drawSession(rt, w.sessions)
	at := w.tick()
	id := w.name("x")
	stranger := &caller{number: 99, vrf: s.vrf, who: s.caller.who}
	stranger.who.User, stranger.who.MAC, stranger.who.Port = "stranger "+id, "no MAC "+id, "port of "+id
	x := &session{caller: stranger, id: id, unique: fmt.Sprintf("%032s", id), addresses: s.addresses[:1], nas: s.nas, vrf: s.vrf, start: at, update: at}
	w.send(rt, x.record(aaa.StatusStart, at))
	w.strangers[x.unique] = x
}

// atOnce are logins at both servers at the same time, some of the same callers,
// beside Stops of other callers' sessions.
func (w *world) atOnce(rt *rapid.T) {
	var group sync.WaitGroup
	type asked struct {
		c *caller
		l partyLogin
		a partyAnswer
		e error
	}
	var logins []*asked
	busy := map[*caller]int{} // how many logins each has
	var work []func()
	for range rapid.IntRange(2, 10).Draw(rt, "logins") {
		c := w.drawCaller(rt)
		x, p := &asked{c: c, l: w.drawLogin(rt, c)}, w.drawParty(rt)
		if busy[c]++; busy[c] > 1 {
			x.l.Session = ""
		}
		logins = append(logins, x)
		work = append(work, func() { x.a, x.e = p.login(rt.Context(), x.l) })
	}
	var stopped []*session
	failed := make(chan error, len(w.sessions))
	for _, s := range slices.SortedFunc(maps.Values(w.sessions), func(a, b *session) int { return cmp.Compare(a.unique, b.unique) }) {
		if busy[s.caller] > 0 || !rapid.Bool().Draw(rt, "stops") {
			continue
		}
		r, p := s.record(aaa.StatusStop, w.tick()), w.drawParty(rt)
		stopped = append(stopped, s)
		work = append(work, func() { failed <- p.record(rt.Context(), r) })
	}
	for _, f := range work {
		group.Go(f)
	}
	group.Wait()
	for _, s := range stopped {
		if err := <-failed; err != nil {
			rt.Fatal(err)
		}
		w.ended(s)
	}
	// First what was given, of which a caller may have been told only one thing;
	// a refusal beside it would be the pool's that was full a moment before.
	slices.SortStableFunc(logins, func(a, b *asked) int { return cmp.Compare(a.a.Refused, b.a.Refused) })
	for _, x := range logins {
		if x.e != nil {
			rt.Fatal(x.e)
		}
		if x.a.Refused != "" && x.c.fresh {
			continue
		}
		w.answered(rt, x.c, x.l, x.a, false, false)
	}
	for _, c := range w.callers {
		if c.open != nil && busy[c] > 1 { // which of them was the last is not known; this one is
			w.loginOf(rt, c)
		}
	}
}
