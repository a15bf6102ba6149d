package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
)

// LedgerOptions bound the ledger's work.
type LedgerOptions struct {
	// Shards is how many batches are committed at a time, each on a connection
	// of its own; 0 means half of the processors, 2 to 8: more shards make
	// smaller batches, which cost PostgreSQL more for each record.
	Shards int
	// Batch is how many records one transaction takes at most; 0 means 500.
	Batch int
	// Queue is how many records may wait in all; a record more is refused at
	// once (silence: the NAS asks again). 0 means 20,000.
	Queue int
	// Timeout bounds one transaction; 0 means 15 s. An Accounting-On
	// or Off has four times as long.
	Timeout time.Duration
	// Patience is how long records wait for their commit before they go to the
	// journal, where there is one; 0 means DefaultPatience.
	Patience time.Duration
}

// DefaultPatience leaves time for the journal and the way back of what RouterOS
// waits: 300 ms, three times, and 900 ms in all.
const DefaultPatience = 600 * time.Millisecond

// withDefaults fills in what is 0.
func (o LedgerOptions) withDefaults() LedgerOptions {
	if o.Shards == 0 {
		o.Shards = min(max(runtime.NumCPU()/2, 2), 8)
	}
	if o.Batch == 0 {
		o.Batch = 500
	}
	if o.Queue == 0 {
		o.Queue = 20_000
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	return o
}

// Validate lists everything that is wrong with the options.
func (o LedgerOptions) Validate() error {
	var errs []error
	if o.Shards < 0 || o.Shards > 64 {
		errs = append(errs, fmt.Errorf("shards %d: want 1 to 64, or 0 (by the processors)", o.Shards))
	}
	if o.Batch < 0 || o.Batch > 10_000 {
		errs = append(errs, fmt.Errorf("batch %d: want 1 to 10000, or 0 (500)", o.Batch))
	}
	if o.Queue < 0 {
		errs = append(errs, fmt.Errorf("queue %d: want 1 or more, or 0 (20000)", o.Queue))
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout %v: want a positive time, or 0 (15s)", o.Timeout))
	}
	if o.Patience < 0 {
		errs = append(errs, fmt.Errorf("patience %v: want a positive time, or 0 (%v)", o.Patience, DefaultPatience))
	}
	return errors.Join(errs...)
}

// The states in which a record is turned away at once.
var (
	errQueueFull = fmt.Errorf("accounting: %w: the queue is full", aaa.ErrUnavailable)
	errStopped   = fmt.Errorf("accounting: %w: the ledger has stopped", aaa.ErrUnavailable)
)

// Ledger writes accounting records into radacct (aaa.Ledger): group commit,
// answered after the commit. No goroutine waits for a record: the shard that has
// committed it tells (docs/decisions/0015-postings.md). Records of one session go through one shard, so
// that they stay in order; each shard makes one transaction of all that queued
// while its last one ran. An Accounting-On or Off is a barrier over its NAS: it
// waits for what came before it, and what comes after waits for it.
//
// A record that PostgreSQL refuses never fails its neighbours: its batch is
// halved until it stands alone, and it goes whole into radial.quarantine.
//
// While the database cannot commit, records go to the journal, where there is
// one (outage).
type Ledger struct {
	db      *DB
	opts    LedgerOptions
	metrics *LedgerMetrics
	log     *zap.Logger
	now     func() time.Time

	shards []*entryQueue
	seed   maphash.Seed
	gates  gates
	downs  *entryQueue // Accounting-On and Off

	conflicts conflictLog
	losses    lossLog
	outage    outage
	known     known
	odd       oddly
	pools     atomic.Pointer[poolFacts] // as the last batch found them

	mu          sync.Mutex
	conventions *conventions // how this database keeps text; read once
}

// entry is a record that waits for its commit.
type entry struct {
	post    *aaa.Posting // nil: nobody waits for it
	raw     *aaa.Record
	rec     aaa.Record // raw with its texts as they stand in radacct
	outcome aaa.Outcome
	err     error
	loses   bool // octets: see aaa.Record.LosesOctets
	// journalled tells that it is acknowledged from the journal.
	journalled bool
	// drained tells that it comes out of the journal.
	drained bool
}

// NewLedger makes a Ledger. It does nothing until Run runs.
func NewLedger(db *DB, opts LedgerOptions, m *LedgerMetrics, log *zap.Logger, now func() time.Time) (*Ledger, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("ledger options: %w: %w", aaa.ErrInvalid, err)
	}
	opts = opts.withDefaults()
	l := &Ledger{
		db: db, opts: opts, metrics: m, log: log, now: now,
		shards: make([]*entryQueue, opts.Shards), seed: maphash.MakeSeed(), downs: newEntryQueue(opts.Queue),
		outage: outage{wake: make(chan struct{}, 1)},
	}
	l.gates = newGates(opts.Queue, l.forward)
	l.pools.Store(&poolFacts{})
	for i := range l.shards {
		l.shards[i] = newEntryQueue(max(opts.Queue/opts.Shards, 1))
	}
	return l, nil
}

// Post stores records, and tells each posting's To when it is done with: Err nil
// means that the record is on stable storage (in radacct, in quarantine, or in the
// journal). An error means that it may not be; it is aaa.ErrUnavailable when the
// database is away and the journal takes nothing, or the queue is full. Records must
// not be changed afterwards.
func (l *Ledger) Post(ps []*aaa.Posting) {
	entries := make([]entry, len(ps))
	batch := make([]*entry, 0, len(ps))
	var done []*entry
	for i, p := range ps {
		e := &entries[i]
		e.post, e.raw = p, p.Record
		switch e.raw.Status {
		case aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop, aaa.StatusOn, aaa.StatusOff:
			batch = append(batch, e)
		default:
			l.metrics.record(e, nil)
			done = append(done, e)
		}
	}
	l.tell(append(done, l.turnedAway(l.gates.enter(batch))...))
}

// forward puts an entry where it is worked on; false: the queue is full.
func (l *Ledger) forward(e *entry) bool {
	if e.down() {
		return l.downs.put(e)
	}
	return l.shards[maphash.String(l.seed, e.raw.UniqueID)%uint64(len(l.shards))].put(e)
}

// turnedAway counts what has not been let in.
func (l *Ledger) turnedAway(refused []*entry) []*entry {
	for _, e := range refused {
		if errors.Is(e.err, errQueueFull) {
			l.metrics.overload.Inc()
		}
	}
	return refused
}

// finish answers whoever waits for records; what has waited for them goes on.
func (l *Ledger) finish(batch []*entry, err error) {
	for _, e := range batch {
		e.err = err
		l.tally(e, err)
	}
	refused := l.turnedAway(l.gates.leave(batch))
	l.tell(batch)
	l.tell(refused)
}

// tell tells how entries have ended.
func (l *Ledger) tell(batch []*entry) {
	if len(batch) == 0 {
		return
	}
	ps := make([]*aaa.Posting, len(batch))
	for i, e := range batch {
		ps[i] = e.post
		ps[i].Err = e.err
	}
	aaa.TellPosted(ps)
}

// Run commits what Post queues until ctx ends, then what is still under way; and
// drains the journal meanwhile. What is left in it then is drained first the
// next time.
func (l *Ledger) Run(ctx context.Context) error {
	lasting := context.WithoutCancel(ctx) // what has been taken is finished
	var g errgroup.Group
	work := func(q *entryQueue, do func(context.Context, *entryQueue)) {
		g.Go(func() error {
			do(lasting, q)
			return nil
		})
	}
	for _, q := range l.shards {
		work(q, l.work)
	}
	for range downsAtATime {
		work(l.downs, l.workDowns)
	}
	if l.outage.journal != nil {
		g.Go(func() error {
			l.drain(ctx)
			return nil
		})
	}
	<-ctx.Done()
	l.gates.close()
	for _, q := range l.shards {
		q.close()
	}
	l.downs.close()
	return g.Wait()
}

// work is one shard: no timer, a batch is what queued while the last one ran.
func (l *Ledger) work(ctx context.Context, q *entryQueue) {
	var batch []*entry
	for {
		clear(batch)
		if batch = q.take(batch, l.opts.Batch); len(batch) == 0 {
			return
		}
		l.metrics.batch.Observe(float64(len(batch)))
		l.commit(ctx, batch)
	}
}
