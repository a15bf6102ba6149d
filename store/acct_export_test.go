package store

import (
	"context"
	"net/netip"

	"radial/aaa"
)

// waiter waits for one record.
type waiter chan error

func (w waiter) Posted(ps []*aaa.Posting) {
	for _, p := range ps {
		w <- p.Err
	}
}

// Record posts a record and waits for its commit, or until ctx ends.
func (l *Ledger) Record(ctx context.Context, r *aaa.Record) error {
	w := make(waiter, 1)
	l.Post([]*aaa.Posting{{Record: r, To: w}})
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Apply commits records as one batch, as a shard does.
func (l *Ledger) Apply(ctx context.Context, records ...*aaa.Record) []error {
	var batch []*entry
	errs := make([]error, len(records))
	waiters := make([]waiter, len(records))
	for i, r := range records {
		waiters[i] = make(waiter, 1)
		batch = append(batch, &entry{raw: r, post: &aaa.Posting{Record: r, To: waiters[i]}})
		l.gates.hold(r.NAS)
	}
	l.commit(ctx, batch)
	for i, w := range waiters {
		errs[i] = <-w
	}
	return errs
}

// Down stores an Accounting-On or Off, which otherwise waits for its turn.
func (l *Ledger) Down(ctx context.Context, r *aaa.Record) error {
	return l.storeDown(ctx, &entry{raw: r})
}

// hold counts a record in that goes by no queue.
func (g *gates) hold(nas netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of[nas] == nil {
		g.of[nas] = &gate{}
	}
	g.of[nas].users++
	g.all++
}

// UnderWay tells how many records of a NAS are under way, and whether a barrier
// is up.
func (l *Ledger) UnderWay(nas netip.Addr) (records int, barrier bool) {
	l.gates.mu.Lock()
	defer l.gates.mu.Unlock()
	g := l.gates.of[nas]
	if g == nil {
		return 0, false
	}
	return g.users, g.barrier != nil
}

// BehindBarrier is how many records of a NAS wait for a barrier.
func (l *Ledger) BehindBarrier(nas netip.Addr) int {
	l.gates.mu.Lock()
	defer l.gates.mu.Unlock()
	if g := l.gates.of[nas]; g != nil {
		return len(g.queue)
	}
	return 0
}

// EncodeRecord is encodeRecord.
func EncodeRecord(r *aaa.Record) ([]byte, error) { return encodeRecord(r) }

// LookAtAll has the ledger look at all addresses before it writes them.
func (l *Ledger) LookAtAll() { l.odd.batches.Store(1 << 30) }

// LookAtOdd has it look at those alone that are not plain, in the next batch.
func (l *Ledger) LookAtOdd() { l.odd.batches.Store(0) }
