package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
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
	// journal, where there is one; 0 means 1 s.
	Patience time.Duration
}

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
		o.Patience = time.Second
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
		errs = append(errs, fmt.Errorf("patience %v: want a positive time, or 0 (1s)", o.Patience))
	}
	return errors.Join(errs...)
}

// The states in which a record is turned away at once.
var (
	errQueueFull = errors.New("the queue is full")
	errStopped   = errors.New("the ledger has stopped")
)

// Ledger writes accounting records into radacct (aaa.Ledger): group commit,
// answered after the commit. Records of one session go through one shard, so
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

	shards  []chan *entry
	seed    maphash.Seed
	gates   gates
	downs   chan struct{} // slots for Accounting-On and Off
	stopped chan struct{}

	conflicts conflictLog
	outage    outage
	known     known
	pools     atomic.Pointer[poolFacts] // as the last batch found them

	mu          sync.Mutex
	conventions *conventions // how this database keeps text; read once
}

// entry is a record that waits for its commit.
type entry struct {
	raw     *aaa.Record
	rec     aaa.Record // raw with its texts as they stand in radacct
	outcome aaa.Outcome
	done    chan error // one value, after the commit
	// journalled tells that it is acknowledged from the journal.
	journalled bool
}

// NewLedger makes a Ledger. It does nothing until Run runs.
func NewLedger(db *DB, opts LedgerOptions, m *LedgerMetrics, log *zap.Logger, now func() time.Time) (*Ledger, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("ledger options: %w: %w", aaa.ErrInvalid, err)
	}
	opts = opts.withDefaults()
	l := &Ledger{
		db: db, opts: opts, metrics: m, log: log, now: now,
		shards: make([]chan *entry, opts.Shards), seed: maphash.MakeSeed(),
		gates: gates{of: map[netip.Addr]*gate{}}, downs: make(chan struct{}, 2), stopped: make(chan struct{}),
		outage: outage{wake: make(chan struct{}, 1)},
	}
	l.pools.Store(&poolFacts{})
	for i := range l.shards {
		l.shards[i] = make(chan *entry, max(opts.Queue/opts.Shards, 1))
	}
	return l, nil
}

// Record stores a record and returns after its commit: nil means that it is on
// stable storage (in radacct, in quarantine, or in the journal). An error means
// that it may not be; it is aaa.ErrUnavailable when the database is away and the
// journal takes nothing, or the queue is full.
// The record may still be written after ctx ended: applying it again changes
// nothing. It must not be changed afterwards.
func (l *Ledger) Record(ctx context.Context, r *aaa.Record) error {
	switch r.Status {
	case aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop:
		return l.enqueue(ctx, r)
	case aaa.StatusOn, aaa.StatusOff:
		return l.down(ctx, r)
	default:
		l.metrics.record(&entry{raw: r}, nil)
		return nil
	}
}

func (l *Ledger) enqueue(ctx context.Context, r *aaa.Record) error {
	if err := l.gates.enter(ctx, r.NAS); err != nil {
		return fmt.Errorf("accounting of session %s: wait for the NAS's reboot: %w", r.UniqueID, err)
	}
	e := &entry{raw: r, done: make(chan error, 1)}
	select {
	case l.shards[maphash.String(l.seed, r.UniqueID)%uint64(len(l.shards))] <- e:
	default:
		l.gates.leave(r.NAS)
		l.metrics.overload.Inc()
		return fmt.Errorf("accounting of session %s: %w: %w", r.UniqueID, aaa.ErrUnavailable, errQueueFull)
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("accounting of session %s: %w", r.UniqueID, ctx.Err())
	case <-l.stopped:
	}
	select {
	case err := <-e.done: // committed by the last batch
		return err
	default:
		return fmt.Errorf("accounting of session %s: %w: %w", r.UniqueID, aaa.ErrUnavailable, errStopped)
	}
}

// finish answers whoever waits for the record.
func (l *Ledger) finish(e *entry, err error) {
	l.metrics.record(e, err)
	l.gates.leave(e.raw.NAS)
	e.done <- err
}

// Run commits what Record queues until ctx ends, then what is still queued; and
// drains the journal meanwhile. What is left in it then is drained first the
// next time.
func (l *Ledger) Run(ctx context.Context) error {
	defer close(l.stopped)
	var g errgroup.Group
	for _, queue := range l.shards {
		g.Go(func() error {
			l.work(ctx, queue)
			return nil
		})
	}
	if l.outage.journal != nil {
		g.Go(func() error {
			l.drain(ctx)
			return nil
		})
	}
	return g.Wait()
}

// work is one shard: no timer, a batch is what queued while the last one ran.
func (l *Ledger) work(ctx context.Context, queue chan *entry) {
	lasting := context.WithoutCancel(ctx) // a batch that has begun is finished
	var batch []*entry
	for {
		batch = batch[:0]
		select {
		case e := <-queue:
			batch = append(batch, e)
		case <-ctx.Done():
			select {
			case e := <-queue:
				batch = append(batch, e)
			default:
				return
			}
		}
	fill:
		for len(batch) < l.opts.Batch {
			select {
			case e := <-queue:
				batch = append(batch, e)
			default:
				break fill
			}
		}
		l.metrics.batch.Observe(float64(len(batch)))
		l.commit(lasting, batch)
		clear(batch)
	}
}
