package store

import (
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// What the ledger of usage has of sessions whose rows are locked: $1 radacctids.
// With each whether its row still waits for BackfillUsage.
const sqlUsageLook = `
SELECT e.id, coalesce(r.username, ''), s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), coalesce(s.seconds, 0), coalesce(s.input, 0), coalesce(s.output, 0),
       s.radacctid IS NOT NULL, e.id <= (SELECT b.upto FROM radial.usage_backfill b)
FROM unnest($1::bigint[]) AS e (id)
LEFT JOIN LATERAL (SELECT r.username FROM radacct r WHERE r.radacctid = e.id OFFSET 0) r ON true
LEFT JOIN LATERAL (SELECT u.* FROM radial.usage_session u WHERE u.radacctid = e.id OFFSET 0 FOR UPDATE) s ON true`

// sqlUsageLookKnown is the same without the names of users, which the update of their rows has told.
const sqlUsageLookKnown = `
SELECT e.id, '', s.day IS NOT NULL, coalesce(s.day - 'epoch'::date, 0), coalesce(s.seconds, 0), coalesce(s.input, 0), coalesce(s.output, 0),
       s.radacctid IS NOT NULL, e.id <= (SELECT b.upto FROM radial.usage_backfill b)
FROM unnest($1::bigint[]) AS e (id)
LEFT JOIN LATERAL (SELECT u.* FROM radial.usage_session u WHERE u.radacctid = e.id OFFSET 0 FOR UPDATE) s ON true`

// usageRow is what the ledger of usage knows of a session.
type usageRow struct {
	user  string // as radacct has it
	base  folded
	kept  bool // there is a row of usage_session
	early bool // its row of radacct waits for BackfillUsage
}

// usageFold is what a batch of the ledger means for usage: of most batches of
// interims nothing.
type usageFold struct {
	reckoning *reckoning
	esc       Escaper
	rows      []*acctRow // that fold something
	known     map[int64]usageRow
}

// take finds the rows that fold something: those that are closed, or were and
// are corrected, and those that a new day has found open. It forgets those that
// it has taken before.
func (u *usageFold) take(rows []*acctRow) {
	u.rows = u.rows[:0]
	for _, row := range rows {
		u.consider(row)
	}
}

// turns tells whether a row has reported on a new day.
func (u *usageFold) turns(row *acctRow) bool {
	before := row.before
	if row.isNew() {
		before.Update = row.Start
	}
	return u.reckoning.laterDay(lastReport(&before), lastReport(&row.Session))
}

func (u *usageFold) consider(row *acctRow) {
	switch b := &row.before; {
	case row.Open():
		if row.Session == *b || !u.turns(row) {
			return
		}
	case !row.isNew() && !b.Open() && sameUse(b, &row.Session):
		return
	}
	u.rows = append(u.rows, row)
}

// sameUse tells that a correction of a closed row changes no usage.
func sameUse(a, b *aaa.Session) bool {
	return amountsOf(a) == amountsOf(b)
}

func amountsOf(s *aaa.Session) amounts {
	return amounts{orNone(s.SessionTime), orNone(s.Input), orNone(s.Output)}
}

func orNone(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// lastReport is when a row was last heard of.
func lastReport(s *aaa.Session) time.Time {
	switch {
	case !s.Stop.IsZero():
		return s.Stop
	case !s.Update.IsZero():
		return s.Update
	default:
		return s.Start
	}
}

func heardOf(s *aaa.Session) heard {
	return heard{at: lastReport(s), input: orNone(s.Input), output: orNone(s.Output)}
}

// queueLook adds the look for what is known of these sessions, after the
// statements that have locked their rows: sqlUsageLook, or one like it.
func (u *usageFold) queueLook(b *pgx.Batch, look string) {
	var ids []int64
	early := false
	for _, row := range u.rows {
		if !row.isNew() {
			ids = append(ids, row.ID)
			early = early || row.ID <= u.reckoning.early
		}
	}
	if len(ids) == 0 {
		return
	}
	if early {
		b.Queue(sqlUsageShare, usageLock)
	}
	b.Queue(look, ids).Query(u.collect)
}

func (u *usageFold) collect(rows pgx.Rows) error {
	u.known = make(map[int64]usageRow, len(u.rows))
	var id int64
	var day int32
	var k usageRow
	_, err := pgx.ForEachRow(rows, []any{&id, &k.user, &k.base.any, &day, &k.base.seconds, &k.base.input, &k.base.output, &k.kept, &k.early}, func() error {
		k.base.day = aaa.Day(day)
		u.known[id] = k
		return nil
	})
	return err
}

// name tells the users of sessions as radacct has them.
func (u *usageFold) name(ids []int64, users []string) {
	for i, id := range ids {
		if k, ok := u.known[id]; ok {
			k.user = users[i]
			u.known[id] = k
		}
	}
}

// queueWrite adds what the ledger of usage learns, when new rows have their
// radacctid: as the last of the transaction.
func (u *usageFold) queueWrite(b *pgx.Batch) {
	if len(u.rows) == 0 {
		return
	}
	book := usageBook{zone: u.reckoning.zone, keep: map[int64]folded{}}
	for _, row := range u.rows {
		u.fold(&book, row)
	}
	book.queue(b)
}

func (u *usageFold) fold(book *usageBook, row *acctRow) {
	s, over := &row.Session, !row.Open()
	if row.isNew() {
		l := lifetimeOf(s.Start, orNone(s.SessionTime), folded{}, book.zone, heardOf(s))
		if now := book.add(usageName(u.esc, row.First.User), l, folded{}, over); !over {
			book.keep[row.ID] = now
		}
		return
	}
	k := u.known[row.ID]
	if row.archived { // its row has left radacct, and what was not folded is noted as gone
		k.user, k.early = row.by.rec.User, false
	}
	if !k.kept && !row.before.Open() && !k.early { // all that the closed row was has been folded
		k.base = folded{amounts: amountsOf(&row.before), day: aaa.DayOf(lastReport(&row.before), book.zone), any: true}
	}
	l := lifetimeOf(s.Start, orNone(s.SessionTime), k.base, book.zone, heardOf(&row.before), heardOf(s))
	now := book.add(usageName(u.esc, k.user), l, k.base, over)
	switch {
	case !over || k.early:
		book.keep[row.ID] = now
	case k.kept:
		book.drop = append(book.drop, row.ID)
	}
}
