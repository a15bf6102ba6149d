package store

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"radial/ipam"
)

// write stores the offers and commits. Of several tries of one caller the last
// one that names a session tells which is kept.
func (c *claim) write(ctx context.Context, conn *pgx.Conn) error {
	for _, o := range c.offers {
		o.row.session = cmp.Or(c.logins[o.login][o.try].Want.SessionID, o.row.session)
	}
	// All claims write in the same order, so that none waits for one that waits for it.
	slices.SortStableFunc(c.offers, func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.row.vrf, b.row.vrf), a.row.address.Addr().Compare(b.row.address.Addr()))
	})
	var seen, unseen writing
	unseen.reserve(len(c.offers)) // nearly all
	for _, o := range c.offers {
		if o.row.queued {
			continue
		}
		o.row.queued = true
		if t := &c.logins[o.login][o.try]; o.row.unseen {
			unseen.add(o, t)
		} else {
			seen.add(o, t)
		}
	}
	b := &pgx.Batch{}
	if e := &seen; len(e.rows) > 0 {
		b.Queue(sqlClaimOffer, e.vrfs, prefixes(e.addrs), texts(e.users), texts(e.macs), hosts(e.nass), texts(e.ports), texts(e.sessions), e.anew).Query(e.collect)
	}
	if e := &unseen; len(e.rows) > 0 {
		statement := sqlClaimGive
		if c.careful || len(c.known)+len(seen.rows)+len(c.free)+len(c.made) > 0 { // with rows in hand one waits for none
			statement = sqlClaimGiveFree
		} else {
			b.Queue(sqlClaimPatience)
		}
		b.Queue(statement, e.given()...).Query(e.collect)
	}
	c.queueUnmake(b)
	if c.admission != nil {
		c.admission.queueWrite(b)
	}
	b.Queue(tripCommit)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	for _, o := range c.offers {
		switch out := &c.out[o.login][o.try]; {
		case o.row.given:
			out.Until = o.row.end
		case o.row.unseen:
			*out = ipam.Claimed{}
		default:
			return errors.New("an offered row has gone")
		}
	}
	return nil
}

// writing is the arguments of sqlClaimOffer or sqlClaimGive.
type writing struct {
	callers
	sessions []string
	places   []pgtype.TID // of newcomers alone
	lasts    []int64      // how long an offer of the pool lasts, in microseconds
	anew     []bool
	rows     []*leaseRow // in the same order
}

func (e *writing) reserve(n int) {
	e.callers = withRoom(n)
	e.addrs, e.sessions, e.lasts = make([]netip.Prefix, 0, n), make([]string, 0, n), make([]int64, 0, n)
}

// add appends the row of an offer, which is of the try's own pool unless the row
// was looked at before.
func (e *writing) add(o offer, t *ipam.Try) {
	e.rows, e.anew = append(e.rows, o.row), append(e.anew, o.anew)
	e.put(o.row.leaseKey, o.row.pool, o.row.session, t)
}

// put appends what is written of a lease.
func (e *writing) put(k leaseKey, pool int64, session string, t *ipam.Try) {
	c := &t.Want.Caller
	e.vrfs, e.pools, e.addrs = append(e.vrfs, k.vrf), append(e.pools, pool), append(e.addrs, k.address)
	e.users, e.macs, e.ports = append(e.users, c.User), append(e.macs, c.MAC), append(e.ports, c.Port)
	e.nass, e.sessions = append(e.nass, nasOf(c)), append(e.sessions, session)
	e.lasts = append(e.lasts, t.Pool.OfferTime.Microseconds())
}

// given are the arguments of sqlClaimGive and its like.
func (e *writing) given() []any {
	return []any{integers(e.vrfs), longs(e.pools), prefixes(e.addrs), texts(e.users), texts(e.macs), hosts(e.nass), texts(e.ports), texts(e.sessions), longs(e.lasts)}
}

// collect reads which rows were written, and until when they are held.
func (e *writing) collect(rows pgx.Rows) error {
	return eachGiven(rows, func(i int, end time.Time) { e.rows[i].given, e.rows[i].end = true, end })
}

// eachGiven reads what sqlClaimGive and its like return: the number of a row
// among those that were asked for, and when its offer ends.
func eachGiven(rows pgx.Rows, f func(i int, end time.Time)) error {
	var n int64
	var end *time.Time
	_, err := pgx.ForEachRow(rows, []any{&n, &end}, func() error {
		var at time.Time
		if end != nil {
			at = *end
		}
		f(int(n-1), at)
		return nil
	})
	return err
}
