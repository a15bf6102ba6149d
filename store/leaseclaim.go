package store

import (
	"context"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// claimAll is one transaction for all that is asked; a deadlock (none is expected),
// a row that somebody holds for long, or an IPv6 subnet that was deleted just then,
// runs it again.
func (l *Leases) claimAll(ctx context.Context, c *claim) (out [][]ipam.Claimed, err error) {
	for range 3 {
		err = l.db.inTrips(ctx, func(conn *pgx.Conn) error { return c.run(ctx, conn) })
		if !retryable(err) && !waitedInVain(err) && !ownerGone(err) {
			break
		}
		c.careful = true
	}
	if err != nil {
		return nil, err
	}
	got := 0
	for _, o := range c.offers {
		if o.row.unseen && o.row.given {
			got++
		}
	}
	l.newcomers.Store(newcomers(got, len(c.logins)))
	return c.out, orNil(c.refused)
}

// claim is a batch of logins on its way through a transaction.
type claim struct {
	logins [][]ipam.Try
	users  []int64 // keys of their names, in order
	out    [][]ipam.Claimed

	admission *admitting // nil: no login is held to Simultaneous-Use
	refused   ItemErrors // by that

	known   []*leaseRow            // callers' own leases, then the ones they had last
	theirs  map[leaseKey]bool      // known by key
	ofUser  map[string][]*leaseRow // known by user name; and by MAC, for pools that stick to it
	ofMAC   map[string][]*leaseRow
	free    map[leaseKey]*leaseRow // candidates that are free
	missing map[leaseKey]int64     // candidates that are free and have no row yet: their pools
	made    []madeRow              // of missing, by this transaction

	careful bool // a row that somebody holds is not waited for

	given  map[callerKey]offer // to a login of this batch
	taken  map[leaseKey]bool   // by one of offers
	offers []offer
}

type offer struct {
	login, try int
	row        *leaseRow
	anew       bool // another holder than before
}

func newClaim(logins [][]ipam.Try) *claim {
	c := &claim{logins: slices.Clone(logins), users: make([]int64, 0, len(logins))}
	for i, tries := range logins {
		for j := range tries {
			w := &tries[j].Want
			caller, session := storable(w.Caller), storableText(w.SessionID)
			if caller != w.Caller || session != w.SessionID { // hardly ever; what is the caller's stays as it is
				c.logins[i] = slices.Clone(c.logins[i])
				w = &c.logins[i][j].Want
				w.Caller, w.SessionID = caller, session
			}
			c.users = append(c.users, userLock(caller.User))
		}
	}
	slices.Sort(c.users)
	c.users = slices.Compact(c.users)
	return c
}

// userLock is the key of the advisory lock of a user: the first in the order of
// locks (users, radacct, usage, addresses).
func userLock(user string) int64 {
	h := fnv.New64a()
	h.Write([]byte(user)) // a hash takes everything
	return int64(h.Sum64())
}

// run makes two trips: begin, lock and read; write and commit. One more comes
// between where IPv6 leases get their rows.
func (c *claim) run(ctx context.Context, conn *pgx.Conn) error {
	c.known, c.made = nil, nil
	c.free, c.missing = make(map[leaseKey]*leaseRow), nil
	var look pgx.Batch
	c.queueLook(&look)
	if err := conn.SendBatch(ctx, &look).Close(); err != nil {
		return err
	}
	c.decide()
	if made, err := c.make(ctx, conn); err != nil {
		return err
	} else if made {
		c.decide()
	}
	return c.write(ctx, conn)
}

// callers are arguments of the look-ups, one column each.
type callers struct {
	vrfs        []int32
	pools       []int64
	users, macs []string
	nass        []*netip.Addr
	ports       []string
	addrs       []netip.Prefix
}

func (c *claim) queueLook(b *pgx.Batch) {
	var ofUser, ofMAC, free, sparse callers
	known := withRoom(len(c.logins))
	for _, tries := range c.logins {
		for i := range tries {
			t := &tries[i]
			known.addCaller(t)
			if t.Pool.ID == 0 {
				continue // its own lease or nothing
			}
			switch t.Pool.Sticky {
			case ipam.StickUser:
				ofUser.addLast(t)
			case ipam.StickMAC:
				ofMAC.addLast(t)
			}
			if straight(tries) {
				continue
			}
			for _, a := range t.Candidates {
				free.vrfs, free.pools = append(free.vrfs, t.Pool.VRF), append(free.pools, t.Pool.ID)
				free.addrs = append(free.addrs, candidate(t, a))
			}
			if t.Pool.Kind.Sparse() {
				n := len(free.addrs) - len(t.Candidates)
				sparse.vrfs, sparse.pools = append(sparse.vrfs, free.vrfs[n:]...), append(sparse.pools, free.pools[n:]...)
				sparse.addrs = append(sparse.addrs, free.addrs[n:]...)
			}
		}
	}
	b.Queue(tripBegin)
	b.Queue(sqlClaimUsers, longs(c.users))
	if len(sparse.pools) > 0 {
		pools := slices.Clone(sparse.pools)
		slices.Sort(pools)
		b.Queue(sqlSparseHold, slices.Compact(pools))
	}
	if c.admission != nil {
		c.admission.queueLook(b)
	}
	b.Queue(sqlClaimKnown, known.vrfs, known.pools, texts(known.users), texts(known.macs), hosts(known.nass), texts(known.ports)).Query(collectClaim(&c.known))
	if len(ofUser.vrfs) > 0 {
		b.Queue(sqlClaimLastOfUser, ofUser.vrfs, ofUser.pools, ofUser.users).Query(collectClaim(&c.known))
	}
	if len(ofMAC.vrfs) > 0 {
		b.Queue(sqlClaimLastOfMAC, ofMAC.vrfs, ofMAC.pools, ofMAC.macs).Query(collectClaim(&c.known))
	}
	if len(free.vrfs) > 0 {
		b.Queue(sqlClaimFree, free.vrfs, free.pools, free.addrs).Query(func(rows pgx.Rows) error {
			var key leaseKey
			var pool int64
			_, err := pgx.ForEachRow(rows, []any{&key.vrf, &key.address, &pool}, func() error {
				c.free[key] = &leaseRow{leaseKey: key, pool: pool}
				return nil
			})
			return err
		})
	}
	if len(sparse.vrfs) > 0 {
		b.Queue(sqlSparseMissing, sparse.vrfs, sparse.pools, sparse.addrs).Query(func(rows pgx.Rows) (err error) {
			c.missing, err = collectKeys(rows)
			return err
		})
	}
}

// straight tells whether a login's candidate is not looked at before it is
// given: where it turns out not to be free, the login gets nothing, as that is
// all that it wants and nothing else is written of it.
func straight(tries []ipam.Try) bool {
	return len(tries) == 1 && len(tries[0].Candidates) == 1 && !tries[0].Pool.Kind.Sparse() && tries[0].Want.Admission == nil
}

// addCaller adds who asks. The wants of one login have one caller.
func (a *callers) addCaller(t *ipam.Try) {
	pool, c := t.Pool.ID, &t.Want.Caller
	if t.Pool.Sticky != ipam.StickUserMAC {
		pool = 0
	}
	a.vrfs, a.pools, a.users, a.macs = append(a.vrfs, t.Want.VRF), append(a.pools, pool), append(a.users, c.User), append(a.macs, c.MAC)
	a.nass, a.ports = append(a.nass, nasOf(c)), append(a.ports, c.Port)
}

// nasOf points to a storable caller's NAS, and nowhere where that is unknown.
func nasOf(c *ipam.Caller) *netip.Addr {
	if !c.NAS.IsValid() {
		return nil
	}
	return &c.NAS
}

// withRoom has room for so many rows of what all look-ups and writes name.
func withRoom(n int) callers {
	return callers{
		vrfs: make([]int32, 0, n), pools: make([]int64, 0, n), users: make([]string, 0, n), macs: make([]string, 0, n),
		nass: make([]*netip.Addr, 0, n), ports: make([]string, 0, n),
	}
}

func (a *callers) addLast(t *ipam.Try) {
	a.vrfs, a.pools = append(a.vrfs, t.Pool.VRF), append(a.pools, t.Pool.ID)
	a.users, a.macs = append(a.users, t.Want.Caller.User), append(a.macs, t.Want.Caller.MAC)
}

// candidate is the lease that begins with an address of the try's pool.
func candidate(t *ipam.Try, a netip.Addr) netip.Prefix {
	a = a.Unmap()
	if t.Pool.PrefixLength == 0 || a.Is4() {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(a, t.Pool.PrefixLength)
}

func collectClaim(into *[]*leaseRow) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanClaim)
		*into = append(*into, found...)
		return err
	}
}

// scanClaim reads claimColumns.
func scanClaim(rows pgx.CollectableRow) (*leaseRow, error) {
	var status string
	r, err := scanLeaseAnd(rows, &status)
	if err == nil {
		r.Status, _ = ipam.ParseStatus(status) // the column's CHECK allows nothing else
	}
	return r, err
}

// callerKey tells apart who wants what.
type callerKey struct {
	vrf    int32
	kind   ipam.Kind
	caller ipam.Caller
}

func keyOf(t *ipam.Try) callerKey {
	return callerKey{vrf: t.Want.VRF, kind: t.Want.Kind, caller: t.Want.Caller}
}

// decide gives each login what the rules say, or nothing: for each of its tries
// the caller's own lease, its last address, else the first candidate that is free.
func (c *claim) decide() {
	c.out, c.offers = make([][]ipam.Claimed, len(c.logins)), make([]offer, 0, len(c.logins))
	c.given, c.taken = make(map[callerKey]offer, len(c.logins)), make(map[leaseKey]bool, len(c.logins))
	c.ofUser, c.ofMAC = make(map[string][]*leaseRow), make(map[string][]*leaseRow)
	c.refused = make(ItemErrors, len(c.logins))
	if c.admission != nil {
		c.admission.begin()
	}
	c.theirs = make(map[leaseKey]bool, len(c.known))
	for _, r := range c.known {
		c.theirs[r.leaseKey] = true
		c.ofUser[r.Caller.User] = append(c.ofUser[r.Caller.User], r)
		c.ofMAC[r.Caller.MAC] = append(c.ofMAC[r.Caller.MAC], r)
	}
	for i, tries := range c.logins {
		c.out[i] = make([]ipam.Claimed, len(tries))
		verdict, ok := c.mayLogIn(i)
		if !ok {
			continue
		}
		before, whole := len(c.offers), true
		for j := range tries {
			whole = c.try(i, j, &tries[j]) && whole
		}
		switch {
		case !whole:
			c.undo(before)
		case verdict != nil:
			c.admission.admit(i, *verdict)
		}
	}
}

func (c *claim) try(login, try int, t *ipam.Try) bool {
	unseen := straight(c.logins[login])
	if first, ok := c.given[keyOf(t)]; ok && asks(t, first.row.pool) {
		// A caller asks twice at once: the second is the first, seen again.
		if first.row.unseen && !unseen {
			return false // what is sure must not hang on what is not
		}
		c.offers = append(c.offers, offer{login: login, try: try, row: first.row, anew: first.anew})
		c.out[login][try] = ipam.Claimed{Prefix: first.row.address, PoolID: first.row.pool}
		return true
	}
	if r, anew := c.ownOrLast(t); r != nil {
		c.give(login, try, r, anew)
		return true
	}
	for _, a := range t.Candidates {
		key := leaseKey{t.Pool.VRF, candidate(t, a)}
		if c.taken[key] {
			continue
		}
		if unseen {
			if c.theirs[key] {
				continue // not free, or of a caller who may be here too
			}
			c.give(login, try, &leaseRow{leaseKey: key, pool: t.Pool.ID, unseen: true}, true)
			return true
		}
		if r := c.free[key]; r != nil && r.pool == t.Pool.ID {
			c.give(login, try, r, true)
			return true
		}
		if pool, ok := c.missing[key]; ok && pool == t.Pool.ID {
			c.give(login, try, &leaseRow{leaseKey: key, pool: pool}, true)
			return true
		}
	}
	return false
}

func (c *claim) ownOrLast(t *ipam.Try) (best *leaseRow, anew bool) {
	verdict := ipam.Pass
	caller := t.Want.Caller
	known := [][]*leaseRow{c.ofUser[caller.User], nil}
	if t.Pool.Sticky == ipam.StickMAC {
		known[1] = c.ofMAC[caller.MAC]
	}
	for _, rows := range known {
		for _, r := range rows {
			if r.vrf != t.Want.VRF || !asks(t, r.pool) || c.taken[r.leaseKey] {
				continue
			}
			h := r.Holding
			h.Sticky = t.Pool.Sticky
			if v := ipam.Judge(h, t.Want); v > verdict && (v != ipam.Sticks || r.pool == t.Pool.ID && gives(t, r)) {
				best, verdict = r, v
			}
		}
	}
	return best, verdict == ipam.Sticks
}

// gives tells whether the pool still gives what a row is. Rows of IPv4 are there
// for that alone.
func gives(t *ipam.Try, r *leaseRow) bool { return !t.Pool.Kind.Sparse() || t.Pool.Gives(r.address) }

// asks tells whether a lease of that pool is an answer to the try.
func asks(t *ipam.Try, pool int64) bool { return pool == t.Pool.ID || slices.Contains(t.Others, pool) }

func (c *claim) give(login, try int, r *leaseRow, anew bool) {
	o := offer{login: login, try: try, row: r, anew: anew}
	t := &c.logins[login][try]
	c.taken[r.leaseKey] = true
	c.given[keyOf(t)] = o
	c.offers = append(c.offers, o)
	c.out[login][try] = ipam.Claimed{Prefix: r.address, PoolID: r.pool}
}

// undo takes back what a login was given that cannot have all it wants.
func (c *claim) undo(to int) {
	for _, o := range c.offers[to:] {
		t := &c.logins[o.login][o.try]
		if who := keyOf(t); c.given[who].login == o.login {
			delete(c.given, who)
			delete(c.taken, o.row.leaseKey)
		}
	}
	c.offers = c.offers[:to]
}
