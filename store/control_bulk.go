package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
)

// BulkVerb is what is wanted of many sessions.
type BulkVerb string

// The verbs of bulk orders.
const (
	BulkFollow     BulkVerb = "follow"     // what a login would be given now
	BulkChange     BulkVerb = "change"     // a rate, until something else changes
	BulkDisconnect BulkVerb = "disconnect" // whatever a login would be given
)

// defaultBulkRate is how many sessions a second a change of a package goes
// through.
const defaultBulkRate = 200

// MaxBulkRate bounds the pace that can be asked for.
const MaxBulkRate = 5000

const (
	sqlBulkAdd = `
INSERT INTO radial.bulk (verb, asked, actor, why, rate, rate_down, rate_up)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::int, nullif($6::bigint, 0), nullif($7::bigint, 0)) RETURNING id`
	// The open sessions that are meant: what is empty or NULL chooses all. $2 users (as radacct has them), $3 networks
	// of NASes, $4 pool, $5 groups, $6 radacctids.
	sqlBulkTargets = `
INSERT INTO radial.bulk_targets (bulk_id, radacctid, username, nas)
SELECT $1::bigint, r.radacctid, coalesce(r.username::text, ''), r.nasipaddress
FROM radacct r
WHERE r.acctstoptime IS NULL
  AND ($2::text[] IS NULL OR r.username = ANY ($2)) AND ($3::inet[] IS NULL OR r.nasipaddress <<= ANY ($3))
  AND ($4::text = '' OR EXISTS (SELECT FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.radacctid = r.radacctid AND p.name = $4))
  AND ($5::text[] IS NULL OR r.username IN (SELECT g.username FROM radusergroup g WHERE g.groupname = ANY ($5)))
  AND ($6::bigint[] IS NULL OR r.radacctid = ANY ($6))`
	sqlBulkTotal  = `UPDATE radial.bulk SET total = $2::int WHERE id = $1::bigint`
	sqlBulkDelete = `DELETE FROM radial.bulk WHERE id = $1::bigint`

	sqlBulkGet = `
SELECT b.id, b.verb, b.asked, b.actor, b.why, b.rate, coalesce(b.rate_down, 0), coalesce(b.rate_up, 0), b.total, b.made_at, b.finished_at, coalesce(b.cancelled_by, '')
FROM radial.bulk b WHERE b.id = $1::bigint`
	sqlBulkResults = `SELECT coalesce(result, ''), count(*)::int FROM radial.bulk_targets WHERE bulk_id = $1::bigint GROUP BY 1`
	sqlBulkTrouble = `
SELECT radacctid, username, nas, tries::int, coalesce(result, ''), coalesce(detail, '') FROM radial.bulk_targets
WHERE bulk_id = $1::bigint AND (result IS NULL AND (tries > 0 OR detail <> '') OR result NOT IN ('done', 'gone', 'nothing', 'over'))
ORDER BY radacctid LIMIT $2::int`

	// What a job that died has taken is due again.
	sqlBulkResume = `UPDATE radial.bulk_targets SET taken = false WHERE bulk_id = $1::bigint AND taken AND result IS NULL`
	// The next that are due.
	sqlBulkTake = `
WITH due AS (
    SELECT t.radacctid FROM radial.bulk_targets t
    WHERE t.bulk_id = $1::bigint AND t.result IS NULL AND NOT t.taken AND t.next_at <= now()
    ORDER BY t.next_at, t.radacctid LIMIT $2::int FOR UPDATE SKIP LOCKED)
UPDATE radial.bulk_targets t SET taken = true
FROM due WHERE t.bulk_id = $1 AND t.radacctid = due.radacctid
RETURNING t.radacctid, t.tries::int`
	// How long until the next is due; NULL: none is left.
	sqlBulkNext = `
SELECT extract(epoch FROM min(next_at) - now())::float8 FROM radial.bulk_targets WHERE bulk_id = $1::bigint AND result IS NULL`
	// What came of some: $3 results (empty: to be tried again), $5 in how many seconds, $6 whether a try is counted.
	sqlBulkResult = `
UPDATE radial.bulk_targets t
SET taken = false, result = nullif(e.result, ''), detail = e.detail, cause = nullif(e.cause, 0), tries = t.tries + e.tried::int, next_at = now() + make_interval(secs => e.again)
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::float8[], $6::bool[], $7::bigint[]) AS e (radacctid, result, detail, again, tried, cause)
WHERE t.bulk_id = $1::bigint AND t.radacctid = e.radacctid AND t.result IS NULL`
	sqlBulkFinish = `UPDATE radial.bulk SET finished_at = coalesce(finished_at, now()) WHERE id = $1::bigint`
	sqlBulkCancel = `
WITH b AS (UPDATE radial.bulk SET cancelled_by = $2::text, finished_at = now() WHERE id = $1::bigint AND finished_at IS NULL RETURNING id)
UPDATE radial.bulk_targets t SET result = 'cancelled' FROM b WHERE t.bulk_id = b.id AND t.result IS NULL`
	sqlBulkAgain = `
WITH b AS (UPDATE radial.bulk SET cancelled_by = NULL, finished_at = NULL WHERE id = $1::bigint RETURNING id)
UPDATE radial.bulk_targets t SET result = NULL, detail = NULL, cause = NULL, tries = 0, next_at = now()
FROM b WHERE t.bulk_id = b.id AND (t.result IS NULL OR t.result NOT IN ('done', 'gone', 'nothing', 'over'))`
	// Whether something of it is to be done again: what sqlBulkAgain takes.
	sqlBulkUnwell = `
SELECT EXISTS (SELECT FROM radial.bulk_targets t WHERE t.bulk_id = $1::bigint AND (t.result IS NULL OR t.result NOT IN ('done', 'gone', 'nothing', 'over')))`
	sqlBulkForget = `
DELETE FROM radial.bulk WHERE id IN (SELECT id FROM radial.bulk WHERE finished_at < now() - interval '7 days' OR made_at < now() - interval '30 days' ORDER BY id LIMIT 100)`
)

// BulkOrder is what is asked for. Of the sessions those are meant that fit all
// that is given; at least one must be.
type BulkOrder struct {
	Verb   BulkVerb
	Asked  string // in words, for people
	Why    string
	Rate   int           // sessions a second
	Limit  nas.RateLimit // with BulkChange
	Users  []string      // raw
	NAS    []netip.Prefix
	Pool   string
	Groups []string // packages, groups
	IDs    []int64  // radacctid
}

// Ordered is a bulk order that is queued; a dry run has but the total.
type Ordered struct {
	Bulk, Job int64
	Total     int // sessions
}

// OrderBulk queues one thing for all sessions that are open now and fit, with
// its audit row. aaa.ErrNotFound where none fits.
func (db *DB) OrderBulk(ctx context.Context, c Change, o BulkOrder) (Ordered, error) {
	if len(o.Users)+len(o.NAS)+len(o.Groups)+len(o.IDs) == 0 && o.Pool == "" {
		return Ordered{}, fmt.Errorf("which sessions? Want users, NASes, a pool, packages or ids: %w", aaa.ErrInvalid)
	}
	if o.Rate < 1 || o.Rate > MaxBulkRate {
		return Ordered{}, fmt.Errorf("%d sessions a second: want 1 to %d: %w", o.Rate, MaxBulkRate, aaa.ErrInvalid)
	}
	var made Ordered
	err := db.inTx(ctx, func(tx pgx.Tx) (err error) {
		if made, err = db.orderBulk(ctx, tx, c, &o); err != nil {
			return err
		}
		if made.Total == 0 {
			return fmt.Errorf("no open session of %s: %w", o.Asked, aaa.ErrNotFound)
		}
		audit := aaa.Audit{"do": string(o.Verb), "sessions": made.Total, "rate": o.Rate, "job": made.Job}
		if o.Verb == BulkChange {
			audit["limit"] = o.Limit.String()
		}
		if err := writeAudit(ctx, tx, c, o.Asked, audit); err != nil {
			return err
		}
		if c.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		return Ordered{Total: made.Total}, nil
	}
	return made, wrapPlain(c.Action+" "+o.Asked, err)
}

// orderBulk is OrderBulk in the transaction of a change; without a session that
// fits nothing is queued.
func (db *DB) orderBulk(ctx context.Context, tx pgx.Tx, c Change, o *BulkOrder) (made Ordered, err error) {
	const op = "bulk order"
	esc, err := db.Escaper(ctx)
	if err != nil {
		return made, err
	}
	var users []string
	for _, u := range o.Users {
		users = append(users, esc.EscapeUser(u))
	}
	if err := tx.QueryRow(ctx, sqlBulkAdd, string(o.Verb), o.Asked, c.Actor, o.Why, o.Rate, o.Limit.Down.Rate, o.Limit.Up.Rate).Scan(&made.Bulk); err != nil {
		return made, wrapErr(op, err)
	}
	tag, err := tx.Exec(ctx, sqlBulkTargets, made.Bulk, users, nullPrefixes(o.NAS), o.Pool, o.Groups, o.IDs)
	if err != nil {
		return made, wrapErr(op, err)
	}
	made.Total = int(tag.RowsAffected())
	if made.Total == 0 {
		_, err := tx.Exec(ctx, sqlBulkDelete, made.Bulk)
		return Ordered{}, wrapErr(op, err)
	}
	if _, err := tx.Exec(ctx, sqlBulkTotal, made.Bulk, made.Total); err != nil {
		return made, wrapErr(op, err)
	}
	ids, err := db.insertJobs(ctx, tx, []aaa.Job{aaa.FollowMany{Bulk: made.Bulk, Asked: o.Asked, Actor: c.Actor}}, time.Time{})
	if err == nil {
		made.Job = ids[0]
	}
	return made, err
}

// Bulk is a bulk order and how far it is.
type Bulk struct {
	ID        int64
	Verb      BulkVerb
	Asked     string
	Actor     string
	Why       string
	Rate      int
	Limit     nas.RateLimit
	Total     int
	Made      time.Time
	Finished  *time.Time
	Cancelled string         // by whom; "": by nobody
	Results   map[string]int // how many of each; "" are to be done
}

// Bulk returns a bulk order with its results so far.
func (db *DB) Bulk(ctx context.Context, id int64) (Bulk, error) {
	b, err := bulkOf(ctx, db.pool, id)
	if err != nil {
		return b, err
	}
	rows, err := db.pool.Query(ctx, sqlBulkResults, id)
	if err != nil {
		return b, wrapErr("bulk order", err)
	}
	b.Results = map[string]int{}
	var result string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&result, &n}, func() error {
		b.Results[result] = n
		return nil
	})
	return b, wrapErr("bulk order", err)
}

func bulkOf(ctx context.Context, q querier, id int64) (Bulk, error) {
	var b Bulk
	err := q.QueryRow(ctx, sqlBulkGet, id).Scan(&b.ID, &b.Verb, &b.Asked, &b.Actor, &b.Why, &b.Rate, &b.Limit.Down.Rate, &b.Limit.Up.Rate,
		&b.Total, &b.Made, &b.Finished, &b.Cancelled)
	return b, wrapErr(fmt.Sprintf("bulk order %d", id), err)
}

// BulkTarget is a session of a bulk order.
type BulkTarget struct {
	Session int64
	User    string
	NAS     netip.Addr
	Tries   int
	Result  string // "": to be done
	Detail  string
	Cause   uint32
	Again   time.Duration // with Result "": in what time
	Tried   bool          // counts as a try
}

// BulkTrouble lists sessions of a bulk order of which not all is well, at most
// limit.
func (db *DB) BulkTrouble(ctx context.Context, id int64, limit int) ([]BulkTarget, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.pool.Query(ctx, sqlBulkTrouble, id, limit)
	if err != nil {
		return nil, wrapErr("bulk order", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t BulkTarget, err error) {
		err = row.Scan(&t.Session, &t.User, &t.NAS, &t.Tries, &t.Result, &t.Detail)
		t.User = esc.UnescapeUser(t.User)
		return t, err
	})
	return all, wrapErr("bulk order", err)
}

// ResumeBulk is what a job does at its beginning: one that has died has left
// sessions taken.
func (db *DB) ResumeBulk(ctx context.Context, id int64) error {
	_, err := db.pool.Exec(ctx, sqlBulkResume, id)
	return wrapErr("bulk order", err)
}

// TakeBulk takes up to n sessions of a bulk order that are due, until their
// results are written.
func (db *DB) TakeBulk(ctx context.Context, id int64, n int) ([]BulkTarget, error) {
	rows, err := db.pool.Query(ctx, sqlBulkTake, id, n)
	if err != nil {
		return nil, wrapErr("bulk order", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t BulkTarget, err error) {
		return t, row.Scan(&t.Session, &t.Tries)
	})
	return all, wrapErr("bulk order", err)
}

// BulkLeft tells when the next session of a bulk order is due; false: none is
// left.
func (db *DB) BulkLeft(ctx context.Context, id int64) (time.Duration, bool, error) {
	var seconds *float64
	if err := db.pool.QueryRow(ctx, sqlBulkNext, id).Scan(&seconds); err != nil || seconds == nil {
		return 0, false, wrapErr("bulk order", err)
	}
	return max(time.Duration(*seconds*float64(time.Second)), 0), true, nil
}

// SettleBulk writes what came of sessions of a bulk order, and of their deeds, in
// one transaction (SettleDeeds). Then it gives the claims back to which nothing was
// done: in the same one their rows would be locked out of order.
func (db *DB) SettleBulk(ctx context.Context, id int64, who string, closeAfter time.Duration, deeds []Deed, targets []BulkTarget) error {
	var b pgx.Batch
	if len(deeds) > 0 {
		if err := queueDeeds(&b, who, closeAfter, deeds); err != nil {
			return err
		}
	}
	n := len(targets)
	ids, results, details, again, tried, causes := make([]int64, n), make([]string, n), make([]string, n), make([]float64, n), make([]bool, n), make([]int64, n)
	var idle []int64
	acted := make(map[int64]bool, len(deeds))
	for i := range deeds {
		acted[deeds[i].Session.ID] = true
	}
	for i, t := range targets {
		ids[i], results[i], details[i], again[i], tried[i], causes[i] = t.Session, t.Result, t.Detail, t.Again.Seconds(), t.Tried, int64(t.Cause)
		if !acted[t.Session] {
			idle = append(idle, t.Session)
		}
	}
	b.Queue(sqlBulkResult, id, ids, results, details, again, tried, causes)
	if err := db.inTx(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &b).Close() }); err != nil {
		return wrapErr("settle bulk order", err)
	}
	return db.ReleaseSessions(ctx, idle, who)
}

// FinishBulk says that nothing is left of a bulk order.
func (db *DB) FinishBulk(ctx context.Context, id int64) error {
	_, err := db.pool.Exec(ctx, sqlBulkFinish, id)
	return wrapErr("bulk order", err)
}
