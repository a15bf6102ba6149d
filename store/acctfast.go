package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// sqlAcctArchiveEnd is the newest end that the archive has. Asked after an
// insert, it has what was moved before the insert could find it.
const sqlAcctArchiveEnd = `SELECT max(newest) FROM radial.archive_ends`

// errOutdated tells that what the ledger had assumed about pools or admissions
// is no longer so.
var errOutdated = errors.New("pools or admissions have changed")

// poolFacts are what the ledger knows of pools and admissions.
type poolFacts struct {
	sparse, admissions bool          // see sqlSparsePools
	archived           *time.Time    // see withArchived
	quiet              time.Duration // see quietest
	xid                uint32        // of the transaction that asked
}

func (f *poolFacts) queue(b *pgx.Batch) {
	b.Queue(sqlSparsePools).QueryRow(func(row pgx.Row) error {
		var seconds int64
		if err := row.Scan(nil, nil, &f.sparse, &f.admissions, &f.archived, &seconds, &f.xid); err != nil {
			return err
		}
		f.quiet = min(time.Duration(seconds)*time.Second/4, quietest)
		return nil
	})
}

// archives tells whether the archive may have the session of a record.
func (f *poolFacts) archives(r *aaa.Record) bool {
	return f.archived != nil && mayBeArchived(r, *f.archived)
}

// quietest is how long the addresses of a session that reports regularly are
// not looked at, at most: a quarter of the shortest lease time of any pool, and
// no longer than this.
const quietest = 10 * time.Minute

// swift is the part of a batch that needs no look at its sessions: Starts of
// sessions that the ledger has not heard of, and what comes regularly of those
// that it remembers.
type swift struct {
	rows             []*acctRow // in order of acctuniqueid
	rest             []*entry   // what is left for apply
	inserts, updates []*acctRow
	stops            bool // of updates, some are
	events           []leaseEvent
	usage            usageFold
	plainly          plainly

	xid  uint32   // of the transaction
	done []int64  // radacctids of updates that were as they were remembered
	user []string // as radacct has them, of those where some stop
}

// applyKnown stores what it can of a batch in one or two trips. It returns what is left for apply:
// all, where it fails.
func (l *Ledger) applyKnown(ctx context.Context, batch []*entry) (rest []*entry) {
	texts, err := l.texts(ctx)
	if err != nil || !texts.plain {
		return batch
	}
	days, err := l.db.reckon(ctx)
	if err != nil {
		return batch
	}
	s := l.sortOut(texts, days, batch)
	if len(s.rows) < len(batch)/2 || len(s.rows) == 0 { // not worth a transaction of its own
		return batch
	}
	var done *settlement
	began := time.Now()
	err = once(ctx, l.opts.Timeout, func(ctx context.Context) error {
		return l.db.inTrips(ctx, func(conn *pgx.Conn) error {
			done, err = l.swiftOn(ctx, conn, s)
			return err
		})
	})
	l.metrics.commit.Observe(time.Since(began).Seconds())
	if err != nil {
		l.distrust(err)
		for _, e := range batch {
			l.known.forget(e.rec.UniqueID)
		}
		return batch
	}
	l.settled(done)
	l.learn(s.rows, s.xid, done)
	stored := make([]*entry, 0, len(batch))
	for _, r := range s.rows {
		stored = append(stored, r.entries...)
	}
	l.metrics.known.Add(float64(len(stored)))
	l.finish(stored, nil)
	return s.rest
}

// distrust forgets all sessions after trouble: the database that is there next may
// be another one, which lacks what this one had committed.
func (l *Ledger) distrust(err error) {
	if !errors.Is(err, errOutdated) && !errors.Is(err, errMoved) && !waitedInVain(err) && !refused(err) && !retryable(err) {
		l.known.clear()
	}
}

// sortOut folds the sessions of a batch of which nothing has to be looked up.
func (l *Ledger) sortOut(texts *conventions, days *reckoning, batch []*entry) *swift {
	w := writer{conventions: texts, metrics: l.metrics}
	order := slices.Clone(batch)
	for _, e := range order {
		if e.rec.UniqueID == "" {
			w.write(&e.rec, e.raw)
		}
	}
	slices.SortStableFunc(order, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.rec.UniqueID, b.rec.UniqueID), a.rec.At.Compare(b.rec.At))
	})
	s := &swift{usage: usageFold{reckoning: days, esc: texts.escape}}
	rows := make([]acctRow, len(order))
	for len(order) > 0 {
		n := 1
		for n < len(order) && order[n].rec.UniqueID == order[0].rec.UniqueID {
			n++
		}
		row := &rows[len(s.rows)]
		row.entries, order = order[:n:n], order[n:]
		if l.fold(row) && (!row.Open() || !s.usage.turns(row)) {
			s.rows = append(s.rows, row)
			continue
		}
		l.known.forget(row.entries[0].rec.UniqueID)
		s.rest = append(s.rest, row.entries...)
		*row = acctRow{}
	}
	return s
}

// fold applies the events of one session; false where that takes a look at its row.
func (l *Ledger) fold(row *acctRow) bool {
	for i, e := range row.entries {
		if i == 0 && !l.known.recall(e.rec.UniqueID, row) {
			if e.rec.Status != aaa.StatusStart || l.pools.Load().archives(&e.rec) {
				return false
			}
			t := aaa.Next(nil, &e.rec)
			row.Session, row.by, row.opener, row.binds, e.outcome = t.Row, e, e, true, t.Outcome
			continue
		}
		t := aaa.Next(&row.Session, &e.rec)
		if t.Outcome != aaa.Updated && t.Outcome != aaa.Closed {
			return false
		}
		e.loses = e.rec.LosesOctets(&row.Session, t.Outcome)
		row.Session, row.by, e.outcome = t.Row, e, t.Outcome
	}
	if row.isNew() {
		return row.Open()
	}
	b := row.counted()
	b.Stop, b.TerminateCause, b.ConnectInfoStop = row.Stop, row.TerminateCause, row.ConnectInfoStop
	return b == row.Session
}

// swiftOn makes two trips: begin, write the sessions and what is plain about their
// addresses; write usage and commit. Where no address needs a look it is one trip, which commits by
// itself; where an address is not as it was left (sqlSettlePlain), three. Sessions whose
// rows are not as they were remembered go into the rest.
func (l *Ledger) swiftOn(ctx context.Context, conn *pgx.Conn, s *swift) (*settlement, error) {
	now := l.now()
	s.split(now)
	assumed := l.pools.Load()
	st := newSettlement()
	var write, settle pgx.Batch
	var found poolFacts
	var started starting
	if s.alone() {
		s.queueUpdates(&write)
	} else {
		write.Queue(tripBegin)
		found.queue(&write)
		s.queueUpdates(&write)
		s.queueInserts(&write)
		if len(s.inserts) > 0 { // once more: a session may just have been moved there
			write.Queue(sqlAcctArchiveEnd).QueryRow(func(row pgx.Row) error { return row.Scan(&found.archived) })
		}
		s.usage.take(s.updates)
		s.usage.queueLook(&write, sqlUsageLookKnown)
		if len(s.events) > 0 {
			l.queueSettle(&write, s, st, assumed, now)
			if assumed.admissions {
				started.queue(&write, s.events, now)
			}
		}
	}
	if err := conn.SendBatch(ctx, &write).Close(); err != nil {
		return nil, err
	}
	if s.alone() {
		s.sift(&l.known)
		return st, nil
	}
	l.pools.Store(&found)
	s.xid = found.xid
	if found.sparse != assumed.sparse || found.admissions != assumed.admissions ||
		slices.ContainsFunc(s.inserts, func(r *acctRow) bool { return found.archives(r.First) }) {
		return nil, errOutdated
	}
	if err := s.plainly.settled(st); err != nil {
		return nil, err
	}
	l.odd.note(&s.plainly)
	s.sift(&l.known)
	if err := s.lookAtOdd(ctx, conn, st); err != nil {
		return nil, err
	}
	st.replaced = started.replaced
	st.settle(s.events, now)
	st.queueWrite(&settle)
	s.usage.name(s.done, s.user)
	s.usage.take(s.rows) // that were written
	s.usage.queueWrite(&settle)
	settle.Queue(tripCommit)
	return st, conn.SendBatch(ctx, &settle).Close()
}

// queueSettle adds what settles the addresses of a batch: where most of it may be plain,
// the statement for that; else the look at all of them.
func (l *Ledger) queueSettle(b *pgx.Batch, s *swift, st *settlement, assumed *poolFacts, now time.Time) {
	if !assumed.sparse && !l.odd.mostly() {
		for i := range s.events {
			s.events[i].prepare(now)
		}
		s.plainly.choose(s.events)
	}
	if len(s.plainly.events) < len(s.events)/2 || len(s.plainly.events) == 0 {
		s.plainly.events = nil
		st.queueLock(b, s.events, assumed.sparse)
		return
	}
	s.plainly.made, s.plainly.known = len(s.inserts), len(s.updates)
	s.plainly.queue(b, s.inserts)
}

// split tells what is to be written of each row.
func (s *swift) split(now time.Time) {
	looks := 0
	for _, r := range s.rows {
		if r.isNew() {
			s.inserts = append(s.inserts, r)
		} else {
			s.updates = append(s.updates, r)
			s.stops = s.stops || !r.Open()
		}
		if r.looked = !r.Open() || r.isNew() || r.quiet <= now.Unix(); r.looked {
			looks++
		}
	}
	s.events = make([]leaseEvent, 0, looks)
	for _, open := range []bool{false, true} { // ended ones first: the next may have their address
		for _, r := range s.rows {
			if r.looked && r.Open() == open {
				s.events = r.leases(s.events)
			}
		}
	}
}

// alone tells that the update of known rows is all there is to do.
func (s *swift) alone() bool { return len(s.inserts) == 0 && len(s.events) == 0 && !s.stops }

// sift puts the sessions of which nothing was written into the rest, and gives
// the events of the others the radacctids that new rows have got.
func (s *swift) sift(k *known) {
	written := func(*acctRow) bool { return true }
	if len(s.done) < len(s.updates) {
		there := make(map[int64]bool, len(s.done))
		for _, id := range s.done {
			there[id] = true
		}
		written = func(r *acctRow) bool { return r.isNew() || there[r.ID] }
	}
	gone := map[*acctRow]bool{}
	s.rows = slices.DeleteFunc(s.rows, func(r *acctRow) bool {
		if r.ID != 0 && written(r) {
			return false
		}
		k.forget(r.UniqueID)
		s.rest = append(s.rest, r.entries...)
		gone[r] = true
		return true
	})
	if len(gone) > 0 {
		s.events = slices.DeleteFunc(s.events, func(ev leaseEvent) bool { return gone[ev.row] })
	}
	for i := range s.events {
		s.events[i].radacctid = s.events[i].row.ID
	}
}

// learn remembers what a transaction has left of its rows. What another
// session of the transaction has replaced is not what the rows say.
func (l *Ledger) learn(rows []*acctRow, xid uint32, st *settlement) {
	look := l.now().Add(l.pools.Load().quiet).Unix()
	for _, r := range rows {
		quiet := r.quiet
		switch {
		case slices.ContainsFunc(st.replaced, func(old replaced) bool { return old.radacctid == r.ID }):
			l.known.forget(r.UniqueID)
			continue
		case st.contested(r.ID):
			quiet = 0
		case r.looked:
			quiet = look
		}
		l.known.learn(&r.Session, xid, quiet)
	}
}

// contested tells whether a session reports an address that is another's.
func (s *settlement) contested(radacctid int64) bool {
	for key := range s.conflicts {
		if key.radacctid == radacctid {
			return true
		}
	}
	return false
}
