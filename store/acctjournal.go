package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/store/journal"
)

// outage is what a Ledger needs to go on without the database.
//
// It is in one of two modes. Direct: a batch goes to the database; when that
// cannot take it (any error but a refusal of what is in it, or no commit
// within the NAS's patience), the batch goes to the journal, and the ledger
// journals. Journalling: every record goes to the journal, in order of
// arrival, and the drainer takes the journal's records into the database, in
// order. When it has come to the end it holds up new records, takes the last ones, and
// the ledger is direct again.
//
// The invariant: of two records of a session, or of a session and an On or Off of
// its NAS, the later one is not applied before the earlier one. A session's
// records go through one shard, which looks at the mode when it has a batch
// and does one batch at a time; an On or Off has waited for all records of
// its NAS that came before it, and holds up those that come after. So what
// finds the mode direct has nothing of its own in the journal, since the mode becomes direct
// only while nobody appends and nothing is left.
//
// A transaction that ran out of patience may still commit while its records are
// in the journal: they are applied twice then, which changes nothing
// (aaa.Next), as a replay after a crash does.
type outage struct {
	journal *journal.Journal // nil: there is none, and trouble is silence
	wake    chan struct{}    // tells the drainer that the ledger journals; of capacity one

	mode       sync.RWMutex // read-held by who appends, held by who changes what follows
	journaling bool
	since      time.Time

	told     atomic.Int64 // when the log was last told of a change of mode, Unix seconds
	refusing atomic.Bool  // the log has been told that the journal takes nothing
}

// tellEvery is how often a change of the ledger's mode is worth a warning.
const tellEvery = time.Minute

// UseJournal gives the ledger a journal, before Run. What is in it is drained
// first.
func (l *Ledger) UseJournal(j *journal.Journal) {
	l.outage.journal = j
	if j.Stats().Bytes > 0 {
		l.outage.journaling, l.outage.since = true, l.now()
		l.outage.wake <- struct{}{}
	}
}

// Journaling tells whether records go to the journal.
func (l *Ledger) Journaling() bool {
	l.outage.mode.RLock()
	defer l.outage.mode.RUnlock()
	return l.outage.journaling
}

// patient bounds a direct transaction by the NAS's patience, where there is a
// journal to go to.
func (l *Ledger) patient(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if l.outage.journal == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, min(l.opts.Patience, limit))
}

// toJournal appends records if the ledger journals; ok tells whether it does.
func (l *Ledger) toJournal(batch ...*entry) (ok bool, err error) {
	o := &l.outage
	if o.journal == nil {
		return false, nil
	}
	o.mode.RLock()
	defer o.mode.RUnlock()
	if !o.journaling {
		return false, nil
	}
	payloads := make([][]byte, len(batch))
	for i, e := range batch {
		if payloads[i], err = encodeRecord(e.raw); err != nil {
			return true, fmt.Errorf("journal: session %s: %w", e.raw.UniqueID, err)
		}
	}
	if err := o.journal.Append(payloads...); err != nil {
		if !o.refusing.Swap(true) {
			l.log.Error("the journal takes no accounting: NAS devices are not answered until it does", zap.Error(err))
		}
		return true, fmt.Errorf("%w: %w", aaa.ErrUnavailable, err)
	}
	if o.refusing.Swap(false) {
		l.log.Info("the journal takes accounting again")
	}
	for _, e := range batch {
		e.journalled = true
	}
	return true, nil
}

// journalled answers a batch from the journal, if the ledger journals.
func (l *Ledger) journalled(batch []*entry) bool {
	ok, err := l.toJournal(batch...)
	if ok {
		l.finish(batch, err)
	}
	return ok
}

// divert answers a batch that the database did not take: from the journal,
// where there is one.
func (l *Ledger) divert(batch []*entry, cause error) {
	if l.outage.journal != nil {
		cause = l.insist(cause, batch...)
	}
	l.finish(batch, cause)
}

// insist makes the ledger journal, and these records with it.
func (l *Ledger) insist(cause error, batch ...*entry) error {
	for {
		l.beginOutage(cause)
		if ok, err := l.toJournal(batch...); ok {
			return err
		} // the drainer was quicker: nothing was in the journal
	}
}

func (l *Ledger) beginOutage(cause error) {
	o := &l.outage
	o.mode.Lock()
	began := !o.journaling
	if began {
		o.journaling, o.since = true, l.now()
	}
	o.mode.Unlock()
	if !began {
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	l.announce("the database takes no accounting: it goes to the journal", zap.Error(cause))
}

// announce logs a change of mode, as a warning once in a while: with a slow database
// there may be many.
func (l *Ledger) announce(what string, fields ...zap.Field) {
	now := l.now().Unix()
	last := l.outage.told.Load()
	if now-last >= int64(tellEvery.Seconds()) && l.outage.told.CompareAndSwap(last, now) {
		l.log.Warn(what, fields...)
		return
	}
	l.log.Debug(what, fields...)
}
