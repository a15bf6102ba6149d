package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// Most logins of a moment may be of callers that nobody has seen: of a new
// server, of guests, where nothing is sticky. Then it is not worth while to look
// what each had, to think it over, and to write in a second trip: whoever turns
// out to have no row at all gets his candidate at once, and the others are
// claimed for as ever, in a transaction of their own.

// sqlClaimNew is sqlClaimGive for those callers alone whose user has no row in
// the VRF, in whatever state: he has no lease, and had none that is remembered.
// The statement begins when the users are locked.
const sqlClaimNew = claimGive + `  AND (SELECT count(*) FROM (
              SELECT FROM radial.addresses k WHERE k.username = e.username AND k.vrf_id = e.vrf_id LIMIT 1) k) = 0
          OFFSET 0` + claimGiven

// newcomers tells whether nearly all of so many logins got a row that was not
// looked at before: then the next ones will, most likely.
func newcomers(got, of int) bool { return got*4 >= of*3 }

// claim is one transaction for a batch of logins, or two where most of them have
// turned out to be newcomers lately.
func (l *Leases) claim(ctx context.Context, logins [][]ipam.Try) (out [][]ipam.Claimed, err error) {
	c := newClaim(logins)
	if err := c.holdTo(ctx, l.db, logins); err != nil {
		return nil, err
	}
	if !l.newcomers.Load() {
		return l.claimAll(ctx, c)
	}
	rest, err := c.giveNew(ctx, l.db)
	switch {
	case waitedInVain(err) || retryable(err): // nobody has got anything
		return l.claimAll(ctx, c)
	case err != nil:
		return nil, err
	case len(rest) == 0:
		return c.out, nil
	case len(rest) == len(logins):
		return l.claimAll(ctx, c)
	}
	l.newcomers.Store(newcomers(len(logins)-len(rest), len(logins)))
	return c.out, l.claimRest(ctx, c.out, c.logins, rest)
}

// claimRest claims for those logins of a batch that are left, and tells of their
// trouble alone.
func (l *Leases) claimRest(ctx context.Context, out [][]ipam.Claimed, logins [][]ipam.Try, rest []int) error {
	left := make([][]ipam.Try, len(rest))
	for n, i := range rest {
		left[n] = logins[i]
	}
	got, err := l.claimAll(ctx, newClaim(left))
	items := make(ItemErrors, len(logins))
	for n, i := range rest {
		if err != nil {
			items[i] = err
		} else {
			out[i] = got[n]
		}
	}
	return orNil(items)
}

// giveNew gives newcomers among the logins their candidates, in one committed
// transaction of one trip, and returns which logins are left.
func (c *claim) giveNew(ctx context.Context, db *DB) (rest []int, err error) {
	c.out = make([][]ipam.Claimed, len(c.logins))
	if len(c.users) != len(c.logins) || c.admission != nil { // one of them twice: he must get the same lease
		return everyone(len(c.logins)), nil
	}
	asking := make([]int, 0, len(c.logins))
	for i, tries := range c.logins {
		if straight(tries) && tries[0].Pool.Sticky != ipam.StickMAC {
			asking = append(asking, i)
		}
	}
	slices.SortFunc(asking, func(i, j int) int { // as write has it
		a, b := &c.logins[i][0], &c.logins[j][0]
		return cmp.Or(cmp.Compare(a.Pool.VRF, b.Pool.VRF), a.Candidates[0].Compare(b.Candidates[0]))
	})
	var e writing
	e.reserve(len(asking))
	for _, i := range asking {
		t := &c.logins[i][0]
		e.put(leaseKey{t.Pool.VRF, candidate(t, t.Candidates[0])}, t.Pool.ID, t.Want.SessionID, t)
	}
	claimed := make([]ipam.Claimed, len(asking))
	given := func(n int, end time.Time) {
		claimed[n] = ipam.Claimed{Prefix: e.addrs[n], PoolID: e.pools[n], Until: end}
		c.out[asking[n]] = claimed[n : n+1 : n+1]
	}
	if err := e.giveNew(ctx, db, c.users, given); err != nil {
		return nil, err
	}
	for i := range c.logins {
		if c.out[i] == nil {
			rest = append(rest, i)
		}
	}
	return rest, nil
}

// giveNew makes one trip: begin, lock, write and commit. What it tells given does
// not hold where there is an error.
func (e *writing) giveNew(ctx context.Context, db *DB, users []int64, given func(n int, end time.Time)) error {
	if len(e.addrs) == 0 {
		return nil
	}
	return db.inTrips(ctx, func(conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue(tripBegin)
		b.Queue(sqlClaimUsers, longs(users))
		b.Queue(sqlClaimPatience)
		b.Queue(sqlClaimNew, e.given()...).Query(func(rows pgx.Rows) error { return eachGiven(rows, given) })
		b.Queue(tripCommit)
		return conn.SendBatch(ctx, b).Close()
	})
}

func everyone(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
