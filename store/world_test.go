package store_test

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// world is what must be true of the rows, whatever callers, accounting and
// operators do: kept beside them by what the NASes were told, never by reading
// the rows.
type world struct {
	db        *storetest.DB
	parties   [2]party
	cutOff    *store.Ledger // whose journal is drained
	clock     time.Time     // of the NASes; each step is later than the one before
	serial    int
	callers   []*caller
	sessions  map[string]*session // all that are open, by acctuniqueid
	strangers map[string]*session // open ones that report an address which is another's
	spaces    map[int32]*space
}

// space is a VRF with its pools: main, and in VRF 1 six, of IPv6 prefixes.
type space struct {
	vrf      int32
	may      map[netip.Prefix]bool // what main consists of
	six      map[netip.Prefix]bool
	reserved map[netip.Prefix]bool
	cooling  map[netip.Prefix]*caller // who had it last
	draining bool                     // main
	cools    bool                     // what is released from main
}

// caller is a subscriber at a port of a NAS.
type caller struct {
	number int
	vrf    int32
	who    ipam.Caller
	dual   bool           // wants an IPv6 prefix beside his address
	told   []netip.Prefix // by his last login; none, when it is over
	fresh  bool           // told is an offer whose time is not over, or what his session has
	asked  string         // Acct-Session-Id of his last login, or of the Start after it; none: the login named none
	open   *session
}

// session is one whose Start was acknowledged, and whose Stop was not yet sent.
type session struct {
	caller        *caller
	id, unique    string
	addresses     []netip.Prefix
	nas           netip.Addr
	vrf           int32
	start, update time.Time
}

// Callers 0 to 7 are in VRF 1, at two NASes; 8 and 9 in VRF 2, which has the
// same addresses. 3 to 6 want an IPv6 prefix as well. 6 is user 0 with his MAC at another NAS, 7 user 1 with
// another MAC.
func newCallers() (list []*caller) {
	for n := range 10 {
		user, mac := n, n
		switch n {
		case 6:
			user, mac = 0, 0
		case 7:
			user = 1
		}
		c := &caller{number: n, vrf: 1, who: ipam.Caller{
			User: fmt.Sprint("user", user), MAC: fmt.Sprintf("02:00:00:00:00:%02x", mac), NAS: netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + n/4)}), Port: fmt.Sprint("eth", n),
		}}
		if n >= 8 {
			c.vrf = 2
		}
		c.dual = n >= 3 && n <= 6
		list = append(list, c)
	}
	return list
}

// GoString is what rapid tells of a caller that it drew.
func (c *caller) GoString() string {
	return fmt.Sprintf("%d (VRF %d, told %s, fresh %v, asked %q, open %#v)", c.number, c.vrf, c.told, c.fresh, c.asked, c.open)
}

// GoString is what rapid tells of a session that it drew.
func (s *session) GoString() string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%s of caller %d at %s, %s", s.id, s.caller.number, s.nas, s.addresses)
}

// tick is the time of the next event.
func (w *world) tick() time.Time {
	w.clock = w.clock.Add(20 * time.Second)
	return w.clock
}

func (w *world) name(prefix string) string {
	w.serial++
	return fmt.Sprint(prefix, w.serial)
}

// record is an accounting record of a session.
func (s *session) record(status aaa.Status, at time.Time) *aaa.Record {
	lived := int64(at.Sub(s.start) / time.Second)
	r := &aaa.Record{
		Status: status, UniqueID: s.unique, SessionID: s.id, User: s.caller.who.User, Login: s.caller.who.User, NAS: s.nas, VRF: s.vrf,
		PortID: &s.caller.who.Port, CallingStation: s.caller.who.MAC, At: at, Received: at, SessionTime: &lived, FramedIP: s.addresses[0].Addr(),
	}
	if len(s.addresses) > 1 {
		r.FramedIPv6Pfx = s.addresses[1]
	}
	return r
}

// ended is what the end of a session leaves to its caller: nothing, or the
// offer of a login that has come since.
func (w *world) ended(s *session) {
	c, held := s.caller, w.sessions[s.unique] == s
	delete(w.sessions, s.unique)
	delete(w.strangers, s.unique)
	if over := c.open != s || c.asked == s.id; held && over && w.spaces[s.vrf].cools {
		w.spaces[s.vrf].cooling[s.addresses[0]] = c
	}
	if c.open != s {
		return
	}
	c.open = nil
	if c.asked == s.id { // else he has logged in since, naming another session or none
		c.told, c.fresh = nil, false
	}
}

// holder is who has an address of a VRF for sure: a session, or an offer whose
// time is not over.
func (w *world) holder(vrf int32, address netip.Prefix) *caller {
	for _, s := range w.sessions {
		if s.vrf == vrf && slices.Contains(s.addresses, address) {
			return s.caller
		}
	}
	for _, c := range w.callers {
		if c.vrf == vrf && c.fresh && slices.Contains(c.told, address) {
			return c
		}
	}
	return nil
}

// answered checks an answer to a caller's login and takes it down; had is what
// he had before, calm that nothing else happened meanwhile.
func (w *world) answered(rt *rapid.T, c *caller, l partyLogin, a partyAnswer, calm, kept bool) {
	s := w.spaces[c.vrf]
	if a.Refused != "" {
		if c.open != nil || c.fresh {
			rt.Fatalf("caller %d is refused (%s), though %s is his", c.number, a.Refused, c.told)
		}
		if a.Refused == "full" && calm && !s.draining {
			w.reallyFull(rt, c)
		}
		c.told, c.fresh = nil, false
		return
	}
	if (c.open != nil || c.fresh) && !slices.Equal(a.Leases, c.told) {
		rt.Fatalf("caller %d was given %s, and had %s", c.number, a.Leases, c.told)
	}
	for i, got := range a.Leases {
		if pool := [...]map[netip.Prefix]bool{s.may, s.six}[i]; !pool[got] || s.reserved[got] {
			rt.Fatalf("caller %d was given %s, which is nobody's to have", c.number, got)
		}
		if other := w.holder(c.vrf, got); other != nil && other != c {
			rt.Fatalf("caller %d was given %s, which caller %d has", c.number, got, other.number)
		}
		if last := s.cooling[got]; last != nil && (last.who.User != c.who.User || last.who.MAC != c.who.MAC) {
			rt.Fatalf("caller %d was given %s, which is cooling off after caller %d", c.number, got, last.number)
		}
		delete(s.cooling, got)
	}
	if calm && s.draining && !kept && c.open == nil && !c.fresh {
		rt.Fatalf("caller %d was given %s of a pool that is drained", c.number, a.Leases)
	}
	c.told, c.fresh, c.asked = a.Leases, true, l.Session
}

// reallyFull wants one of the pools that a caller asks to have nothing left for
// him.
func (w *world) reallyFull(rt *rapid.T, c *caller) {
	rows := w.db.Rows("SELECT count(*) FROM radial.addresses WHERE vrf_id = $1 AND family(address) = 4 AND (state = 'free' OR state IN ('offered', 'cooling') AND until <= now())", c.vrf)
	if rows[0][0] == "0" {
		return
	}
	taken := w.db.Rows("SELECT count(*) FROM radial.addresses WHERE vrf_id = $1 AND family(address) = 6 AND state <> 'free' AND NOT (state = 'offered' AND until <= now())", c.vrf)
	if !c.dual || taken[0][0] != fmt.Sprint(len(w.spaces[c.vrf].six)) {
		rt.Fatalf("the pool is full, with %s addresses free, and %s prefixes taken", rows[0][0], taken[0][0])
	}
}

// rebooted takes down what an Accounting-On or Off of that time has closed.
func (w *world) rebooted(nas netip.Addr, at time.Time) {
	for _, list := range []map[string]*session{w.sessions, w.strangers} {
		for _, s := range list {
			if s.nas == nas && !s.start.After(at) && !s.update.After(at.Add(aaa.NASDownGrace)) {
				w.ended(s)
			}
		}
	}
}

// check holds the rows against what is true.
func (w *world) check(rt *rapid.T) {
	w.checkSessions(rt)
	w.checkRows(rt)
	w.checkSums(rt)
	w.checkHistory(rt)
}

// checkSessions: what is open is what the NASes believe to be open.
func (w *world) checkSessions(rt *rapid.T) {
	open := map[string]bool{}
	for _, r := range w.db.Rows("SELECT acctuniqueid FROM radacct WHERE acctstoptime IS NULL") {
		open[r[0]] = true
	}
	for _, list := range []map[string]*session{w.sessions, w.strangers} {
		for unique := range list {
			if !open[unique] {
				rt.Fatalf("session %s is open, its row is not", unique)
			}
			delete(open, unique)
		}
	}
	if len(open) > 0 {
		rt.Fatalf("rows of sessions that are over: %v", open)
	}
}

// checkRows: every open session has its address and nothing else is bound, each
// offer is there once and there are no others, and no address has a row that should have none.
func (w *world) checkRows(rt *rapid.T) {
	bound := map[string]string{}
	offers := map[string][]netip.Prefix{}
	seen := map[int32]int{}
	for _, r := range w.db.Rows(`SELECT a.vrf_id, a.address::text, a.state, coalesce(a.until > now(), false), coalesce(a.username || ' ' || a.mac || ' ' || a.port, ''), coalesce(c.acctuniqueid, '')
		FROM radial.addresses a LEFT JOIN radacct c ON c.radacctid = a.radacctid ORDER BY family(a.address)`) {
		var vrf int32
		if _, err := fmt.Sscan(r[0], &vrf); err != nil {
			rt.Fatal(err)
		}
		address := netip.MustParsePrefix(r[1])
		s := w.spaces[vrf]
		if seen[vrf]++; address.Addr().Is6() {
			seen[vrf]--
		}
		if !s.may[address] && !s.six[address] {
			rt.Fatalf("VRF %d has a row of %s, which nobody may have", vrf, address)
		}
		if (r[2] == "reserved") != s.reserved[address] {
			rt.Fatalf("VRF %d: %s is %s; reserved: %v", vrf, address, r[2], s.reserved)
		}
		switch {
		case r[2] == "bound":
			bound[fmt.Sprint(vrf, " ", address)] = r[5]
		case r[2] == "offered" && r[3] == "t":
			key := fmt.Sprint(vrf, " ", r[4])
			if offers[key] = append(offers[key], address); len(offers[key]) > 1 && offers[key][0].Addr().Is4() == address.Addr().Is4() {
				rt.Fatalf("%s is offered %s", key, offers[key])
			}
		}
	}
	for vrf, s := range w.spaces {
		if seen[vrf] != len(s.may) {
			rt.Fatalf("VRF %d has %d rows, and should have %d", vrf, seen[vrf], len(s.may))
		}
	}
	for _, s := range w.sessions {
		for _, a := range s.addresses {
			key := fmt.Sprint(s.vrf, " ", a)
			if bound[key] != s.unique {
				rt.Fatalf("%s is bound to %q; its open session is %q", key, bound[key], s.unique)
			}
			delete(bound, key)
		}
	}
	if len(bound) > 0 {
		rt.Fatalf("bound without an open session: %v", bound)
	}
	for _, c := range w.callers {
		key := fmt.Sprint(c.vrf, " ", c.who.User, " ", c.who.MAC, " ", c.who.Port)
		if c.open != nil || !c.fresh {
			continue
		}
		if got := offers[key]; !slices.Equal(got, c.told) {
			rt.Fatalf("caller %d was offered %s; the rows say %v", c.number, c.told, got)
		}
		delete(offers, key)
	}
	if len(offers) > 0 {
		rt.Fatalf("offered to nobody who was told so: %v", offers)
	}
}

// checkSums: the states of a pool add up to its rows.
func (w *world) checkSums(rt *rapid.T) {
	pools, err := w.db.Pools(rt.Context())
	if err != nil {
		rt.Fatal(err)
	}
	for _, p := range pools {
		s := w.spaces[p.VRF]
		all, reserved := len(s.may), len(s.reserved)
		if p.Kind != ipam.IPv4 {
			all, reserved = len(s.six), 0
		}
		if p.Free+p.Offered+p.Bound+p.Reserved+p.Cooling != p.Total || p.Total != uint64(all) || p.Reserved != uint64(reserved) {
			rt.Fatalf("VRF %d: %+v; pool %s has %d, %d of them reserved", p.VRF, p.Use, p.Name, all, reserved)
		}
	}
}

// checkHistory: history, read from its beginning, leads to the holders of now.
func (w *world) checkHistory(rt *rapid.T) {
	holds := map[string]string{}
	for _, r := range w.db.Rows(`SELECT vrf_id || ' ' || address::text, action, coalesce(radacctid, 0) FROM radial.address_history ORDER BY id`) {
		switch r[1] {
		case "bound", "taken_over":
			holds[r[0]] = "bound " + r[2]
		case "reserved":
			holds[r[0]] = "reserved"
		default:
			delete(holds, r[0])
		}
	}
	for _, r := range w.db.Rows(`SELECT vrf_id || ' ' || address::text, CASE state WHEN 'bound' THEN 'bound ' || coalesce(radacctid, 0) ELSE state END FROM radial.addresses WHERE state IN ('bound', 'reserved')`) {
		if holds[r[0]] != r[1] {
			rt.Fatalf("%s is %q, its history ends with %q", r[0], r[1], holds[r[0]])
		}
		delete(holds, r[0])
	}
	if len(holds) > 0 {
		rt.Fatalf("held by history alone: %v", holds)
	}
}
