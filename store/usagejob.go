package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Sessions that somebody else than the ledger has closed: $1 how many at most.
	sqlUsagePending = `
SELECT radacctid FROM radial.usage_session WHERE pending ORDER BY radacctid LIMIT $1::int`

	// Open sessions after radacctid $1 that have reported on a later day than what has
	// been folded of them: another server than ours wrote that. $2 time zone, $3 how many at most.
	sqlUsageBehind = `
SELECT r.radacctid
FROM (SELECT o.radacctid, o.acctstarttime, o.acctupdatetime FROM radacct o
      WHERE o.acctstoptime IS NULL AND o.radacctid > $1::bigint AND isfinite(o.acctstarttime) AND isfinite(o.acctupdatetime) OFFSET 0) r
LEFT JOIN LATERAL (SELECT x.day FROM radial.usage_session x WHERE x.radacctid = r.radacctid OFFSET 0) s ON true
WHERE (r.acctupdatetime AT TIME ZONE $2::text)::date > coalesce(s.day, (r.acctstarttime AT TIME ZONE $2)::date)
ORDER BY r.radacctid LIMIT $3::int`

	// Their rows. One that someone holds is being written: it comes next time. $1 radacctids.
	sqlUsageRows = `
SELECT r.radacctid, coalesce(r.username, ''), CASE WHEN isfinite(r.acctstarttime) THEN r.acctstarttime END, CASE WHEN isfinite(r.acctupdatetime) THEN r.acctupdatetime END,
       r.acctstoptime IS NOT NULL, CASE WHEN isfinite(r.acctstoptime) THEN r.acctstoptime END, coalesce(r.acctsessiontime, 0), coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0)
FROM radacct r WHERE r.radacctid = ANY ($1::bigint[]) ORDER BY r.acctuniqueid FOR UPDATE SKIP LOCKED`

	// What is known of them, and of those that are not in radacct any more: $1 radacctids.
	sqlUsageKnown = `
SELECT s.radacctid, s.pending, s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), s.seconds, s.input, s.output,
       s.gone, coalesce(s.username, ''), CASE WHEN isfinite(s.gone_start) THEN s.gone_start END, CASE WHEN isfinite(s.gone_update) THEN s.gone_update END,
       coalesce(s.gone_seconds, 0), coalesce(s.gone_input, 0), coalesce(s.gone_output, 0)
FROM radial.usage_session s WHERE s.radacctid = ANY ($1::bigint[]) ORDER BY s.radacctid FOR UPDATE SKIP LOCKED`

	// Which of the radacctids $1 radacct does not have (all of it was truncated, say).
	sqlUsageLost = `
SELECT e.id FROM unnest($1::bigint[]) AS e (id)
WHERE NOT EXISTS (SELECT FROM (SELECT r.radacctid FROM radacct r WHERE r.radacctid = e.id OFFSET 0) r)`
)

// usageSession is a session as the jobs fold it.
type usageSession struct {
	user         string // as radacct has it
	start, until time.Time
	closed       bool
	amounts
}

// knownUse is a row of usage_session.
type knownUse struct {
	base          folded
	pending, gone bool
	was           usageSession // what is gone
}

// FoldUsage folds sessions that somebody else than the ledger has closed, changed or
// deleted, up to limit of them, and says how many. Those that somebody holds
// just now come the next time.
func (db *DB) FoldUsage(ctx context.Context, limit int) (n int, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		ids, err := collectIDs(tx.Query(ctx, sqlUsagePending, limit))
		if n = 0; err != nil || len(ids) == 0 {
			return err
		}
		n, err = db.foldSessions(ctx, tx, ids, true)
		return err
	})
	return n, wrapErr("fold usage", err)
}

// RollUsage folds the days that open sessions have left behind where no record
// of ours has: sessions that FreeRADIUS accounts. It looks at those after a
// radacctid (0: from the first on), up to limit, and returns the last one that
// it found; 0: there are no more.
func (db *DB) RollUsage(ctx context.Context, after int64, limit int) (last int64, err error) {
	days, err := db.reckon(ctx)
	if err != nil {
		return 0, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		ids, err := collectIDs(tx.Query(ctx, sqlUsageBehind, after, days.zone.String(), limit))
		if err != nil || len(ids) == 0 {
			return err
		}
		last = ids[len(ids)-1]
		_, err = db.foldSessions(ctx, tx, ids, false)
		return err
	})
	return last, wrapErr("fold usage of open sessions", err)
}

func collectIDs(rows pgx.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// foldSessions folds sessions: of those that are pending all, or of open ones
// the days before their last report. It says how many that were.
func (db *DB) foldSessions(ctx context.Context, tx pgx.Tx, ids []int64, pending bool) (n int, err error) {
	days, err := db.reckon(ctx)
	if err != nil {
		return 0, err
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := usageSessions(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, sqlUsageShare, usageLock); err != nil { // upto stands still, and is read after that
		return 0, err
	}
	var early int64
	if err := tx.QueryRow(ctx, sqlReckoning).Scan(nil, &early); err != nil {
		return 0, err
	}
	known, err := knownUses(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	book := usageBook{zone: days.zone, keep: map[int64]folded{}}
	var lost []int64
	for _, id := range ids {
		k, noted := known[id]
		s, there := rows[id]
		switch {
		case pending && !(noted && k.pending): // somebody was quicker, or holds it
			continue
		case pending && k.gone:
			s = k.was
		case !there:
			lost = append(lost, id)
			continue
		case s.closed != pending:
			continue
		}
		now := book.addSession(usageName(esc, s.user), s, k.base, pending || k.gone)
		if !pending || id <= early && !k.gone {
			book.keep[id] = now
		} else {
			book.drop = append(book.drop, id)
		}
	}
	if pending && len(lost) > 0 {
		gone, err := collectIDs(tx.Query(ctx, sqlUsageLost, lost))
		if err != nil {
			return 0, err
		}
		book.drop = append(book.drop, gone...)
	}
	var write pgx.Batch
	if book.queue(&write); write.Len() == 0 {
		return 0, nil
	}
	return len(book.keep) + len(book.drop), tx.SendBatch(ctx, &write).Close()
}

// addSession is add of a session as its row stands.
func (b *usageBook) addSession(user string, s usageSession, base folded, over bool) folded {
	until := s.until
	if until.IsZero() {
		until = s.start
	}
	if until.IsZero() { // it tells no time at all: nothing can be said of it
		return folded{amounts: s.amounts, any: true, day: base.day}
	}
	l := lifetimeOf(s.start, s.seconds, base, b.zone, heard{at: until, input: s.input, output: s.output})
	return b.add(user, l, base, over)
}

// usageSessions locks and reads rows of radacct.
func usageSessions(ctx context.Context, tx pgx.Tx, ids []int64) (map[int64]usageSession, error) {
	found, err := tx.Query(ctx, sqlUsageRows, ids)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]usageSession, len(ids))
	var id int64
	var s usageSession
	var start, update, stop *time.Time
	_, err = pgx.ForEachRow(found, []any{&id, &s.user, &start, &update, &s.closed, &stop, &s.seconds, &s.input, &s.output}, func() error {
		s.start, s.until = timeOf(start), timeOf(update)
		if s.closed && stop != nil {
			s.until = timeOf(stop)
		}
		all[id] = s
		return nil
	})
	return all, err
}

// knownUses locks and reads rows of usage_session.
func knownUses(ctx context.Context, tx pgx.Tx, ids []int64) (map[int64]knownUse, error) {
	found, err := tx.Query(ctx, sqlUsageKnown, ids)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]knownUse, len(ids))
	var id int64
	var day int32
	var k knownUse
	var start, update *time.Time
	b, w := &k.base, &k.was
	_, err = pgx.ForEachRow(found, []any{
		&id, &k.pending, &b.any, &day, &b.seconds, &b.input, &b.output,
		&k.gone, &w.user, &start, &update, &w.seconds, &w.input, &w.output,
	}, func() error {
		b.day, w.start, w.until = aaa.Day(day), timeOf(start), timeOf(update)
		all[id] = k
		return nil
	})
	return all, err
}
