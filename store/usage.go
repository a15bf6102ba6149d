package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// The ledger of usage: radial.usage_daily has what each user used on each civil
// day that his sessions have left behind, radial.usage_session how much of a
// session stands in it. docs/decisions/0007-usage.md has the reasons; the rules are
//
//   - an open session's usage is its row in radacct, less what has been folded:
//     a Start and an interim write nothing here;
//   - the first record of a session on a new day folds what the days before had
//     (usageFold), the record that closes it folds the rest;
//   - what anybody else closes, changes or deletes is noted by triggers and folded
//     by a job (FoldUsage), and so is what was there before the ledger (BackfillUsage);
//   - so the days of a closed session come to the counters of its row: whatever
//     comes twice or late folds the difference.
//
// Lock order: rows of radacct, then those of usage_session, then addresses, and
// at last rows of usage_daily by (username, day).

// usageLock is the key of the advisory lock that BackfillUsage holds alone, and
// who changes rows that it has not passed yet shares: "usage".
const usageLock int64 = 504446936933

const (
	// What the ledger needs to know about days, and up to which radacctid rows of the
	// time before it wait for BackfillUsage.
	sqlReckoning = `
SELECT coalesce((SELECT value FROM radial.settings WHERE key = 'timezone'), 'UTC'), coalesce((SELECT upto FROM radial.usage_backfill), 0)`

	// $1 user names, $2 days since 1970, $3 seconds, $4 and $5 octets, $6 sessions: each
	// user and day once, in their order. Sums stay at the greatest value.
	sqlUsageAdd = `
INSERT INTO radial.usage_daily AS d (username, day, seconds, input, output, sessions)
SELECT e.username, 'epoch'::date + e.day, e.seconds, e.input, e.output, e.sessions
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS e (username, day, seconds, input, output, sessions)
ON CONFLICT (username, day) DO UPDATE
SET seconds = CASE WHEN excluded.seconds > 0 AND d.seconds > 9223372036854775807 - excluded.seconds THEN 9223372036854775807 ELSE d.seconds + excluded.seconds END,
    input = CASE WHEN excluded.input > 0 AND d.input > 9223372036854775807 - excluded.input THEN 9223372036854775807 ELSE d.input + excluded.input END,
    output = CASE WHEN excluded.output > 0 AND d.output > 9223372036854775807 - excluded.output THEN 9223372036854775807 ELSE d.output + excluded.output END,
    sessions = d.sessions + excluded.sessions`

	// What has been folded of sessions: $1 radacctids, $2 days, $3 seconds, $4 and $5 octets.
	sqlUsageKeep = `
INSERT INTO radial.usage_session (radacctid, day, seconds, input, output)
SELECT e.id, 'epoch'::date + e.day, e.seconds, e.input, e.output
FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[]) AS e (id, day, seconds, input, output)
ON CONFLICT (radacctid) DO UPDATE
SET day = excluded.day, seconds = excluded.seconds, input = excluded.input, output = excluded.output, pending = false, username = NULL`

	// All of these sessions has been folded.
	sqlUsageDrop = `DELETE FROM radial.usage_session WHERE radacctid = ANY ($1::bigint[])`

	// A condition of the ledger's own statements on radacct, true once for the whole
	// statement: from then on, until the transaction ends, the triggers leave the
	// folding to us. A statement that is not followed by it ends it before.
	usageKept      = `(SELECT set_config('radial.usage', 'kept', true)) = 'kept'`
	sqlUsageUnkept = `SELECT set_config('radial.usage', '', true)`

	// Until the transaction ends, BackfillUsage does not move on.
	sqlUsageShare = `SELECT pg_advisory_xact_lock_shared($1::bigint)`
)

// reckoning is how days are reckoned, as last read.
type reckoning struct {
	zone  *time.Location
	today [2]time.Time // its first instant, and that of the next day
	early int64        // rows up to this radacctid may wait for BackfillUsage
	read  time.Time
}

// reckoningLasts is for how long what has been read is believed. A zone that an
// operator sets holds within that time.
const reckoningLasts = time.Minute

// reckon returns how days are reckoned now.
func (db *DB) reckon(ctx context.Context) (*reckoning, error) {
	now := db.now()
	known := db.reckoning.Load()
	if known != nil && now.Sub(known.read).Abs() < reckoningLasts && now.Before(known.today[1]) {
		return known, nil
	}
	r := &reckoning{read: now}
	var zone string
	err := db.pool.QueryRow(ctx, sqlReckoning).Scan(&zone, &r.early)
	if err != nil {
		return nil, wrapErr("time zone", err)
	}
	if known != nil && known.zone.String() == zone {
		r.zone = known.zone
	} else if r.zone, err = time.LoadLocation(zone); err != nil {
		return nil, fmt.Errorf("time zone of radial.settings: %w: %w", aaa.ErrInvalid, err)
	}
	today := aaa.DayOf(now, r.zone)
	r.today = [2]time.Time{today.Begin(r.zone), (today + 1).Begin(r.zone)}
	db.reckoning.Store(r)
	return r, nil
}

// laterDay tells whether b is on a later day than a.
func (r *reckoning) laterDay(a, b time.Time) bool {
	if !a.Before(r.today[0]) && b.Before(r.today[1]) {
		return false // nearly always
	}
	return aaa.DayOf(b, r.zone) > aaa.DayOf(a, r.zone)
}

// usageName is a user's name as the ledger has it, of one as radacct has it.
func usageName(esc Escaper, stored string) string { return storableText(esc.UnescapeUser(stored)) }

// usageKey is the primary key of usage_daily.
type usageKey struct {
	user string
	day  aaa.Day
}

// usageBook is what a transaction writes into the ledger.
type usageBook struct {
	zone *time.Location
	days map[usageKey]dayUse
	keep map[int64]folded // by radacctid
	drop []int64
}

// add folds a session of a user; nobody pays for one without a name. It returns
// what has been folded of it then.
func (b *usageBook) add(user string, l *lifetime, base folded, over bool) folded {
	days, now := l.fold(base, over, b.zone)
	for _, use := range days {
		if user == "" {
			break
		}
		key := usageKey{user, use.day}
		sum := b.days[key]
		sum.amounts, sum.sessions = sum.plus(use.amounts), sum.sessions+use.sessions
		if b.days == nil {
			b.days = map[usageKey]dayUse{}
		}
		b.days[key] = sum
	}
	return now
}

// queue adds the writes to a batch, in the order in which rows are locked.
func (b *usageBook) queue(batch *pgx.Batch) {
	if len(b.drop) > 0 {
		slices.Sort(b.drop)
		batch.Queue(sqlUsageDrop, b.drop)
	}
	if len(b.keep) > 0 {
		ids := sortedKeys(b.keep, cmp.Compare[int64])
		batch.Queue(sqlUsageKeep, ids,
			column(ids, func(id int64) int32 { return int32(b.keep[id].day) }),
			column(ids, func(id int64) int64 { return b.keep[id].seconds }),
			column(ids, func(id int64) int64 { return b.keep[id].input }),
			column(ids, func(id int64) int64 { return b.keep[id].output }))
	}
	if len(b.days) > 0 {
		keys := sortedKeys(b.days, func(a, b usageKey) int { return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.day, b.day)) })
		batch.Queue(sqlUsageAdd,
			column(keys, func(k usageKey) string { return k.user }),
			column(keys, func(k usageKey) int32 { return int32(k.day) }),
			column(keys, func(k usageKey) int64 { return b.days[k].seconds }),
			column(keys, func(k usageKey) int64 { return b.days[k].input }),
			column(keys, func(k usageKey) int64 { return b.days[k].output }),
			column(keys, func(k usageKey) int64 { return b.days[k].sessions }))
	}
}

// sortedKeys are the keys of a map in order.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}
