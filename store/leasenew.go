package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"radial/ipam"
)

// Most logins of a moment may be of callers that nobody has seen: of a new
// server, of guests, where nothing is sticky. Then it is not worth while to look
// what each had, to think it over, and to write in a second trip: whoever turns
// out to have no row at all gets his candidate at once, and the others are
// claimed for as ever, in a transaction of their own.

const (
	// sqlClaimUsers for the statement after it alone: it waits for nobody for long,
	// as that one does not for a row.
	sqlClaimNewUsers = `
SELECT count(pg_advisory_xact_lock(k))
FROM (SELECT set_config('lock_timeout', '50ms', true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_memoize', 'off', true) OFFSET 0) g
CROSS JOIN unnest($1::bigint[]) AS u (k)`

	// Offers rows to those callers alone whose user has no row in the VRF, in
	// whatever state: he has no lease, and had none that is remembered. $1 to $9 as
	// sqlClaimGive has them, $10 where the rows stood when they were listed. What
	// stands there now must be the address, and free; one that another transaction
	// is writing is waited for, and judged by what that one has made of it. The
	// statement begins when the users are locked.
	sqlClaimNew = `
UPDATE radial.addresses l
SET state = 'offered', until = now() + e.offer * interval '1 microsecond', since = now(),
    username = e.username, mac = e.mac, nas = e.nas, port = e.port, session_id = e.session_id
FROM unnest($1::int[], $2::bigint[], $3::inet[], $4::text[], $5::text[], $6::inet[], $7::text[], $8::text[], $9::bigint[], $10::tid[])
    WITH ORDINALITY AS e (vrf_id, pool_id, address, username, mac, nas, port, session_id, offer, row, n)
WHERE l.ctid = e.row AND l.vrf_id = e.vrf_id AND l.address = e.address AND l.pool_id = e.pool_id
  AND ` + forAnybody + `
  AND (SELECT count(*) FROM (
          SELECT FROM radial.addresses k WHERE k.username COLLATE "C" = e.username AND k.vrf_id = e.vrf_id LIMIT 1) k) = 0
RETURNING e.n, l.until`
)

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
	rest, err := c.giveNew(ctx, l.db, &l.places)
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
func (c *claim) giveNew(ctx context.Context, db *DB, places *whereabouts) (rest []int, err error) {
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
	e.places = places.take(c.logins, asking, make([]pgtype.TID, 0, len(asking)))
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

// giveNew makes one trip of two statements, which are one transaction without a
// begin and commit of their own, as all are that are sent together. What it tells
// given does not hold where there is an error.
func (e *writing) giveNew(ctx context.Context, db *DB, users []int64, given func(n int, end time.Time)) error {
	if len(e.addrs) == 0 {
		return nil
	}
	return db.inTrips(ctx, func(conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue(sqlClaimNewUsers, longs(users))
		b.Queue(sqlClaimNew, append(e.given(), spots(e.places))...).Query(func(rows pgx.Rows) error { return eachGiven(rows, given) })
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
