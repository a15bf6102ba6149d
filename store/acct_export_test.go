package store

import (
	"context"
	"net/netip"

	"radial/aaa"
)

// Apply commits records as one batch, as a shard does.
func (l *Ledger) Apply(ctx context.Context, records ...*aaa.Record) []error {
	batch := make([]*entry, len(records))
	for i, r := range records {
		batch[i] = &entry{raw: r, done: make(chan error, 1)}
		if err := l.gates.enter(ctx, r.NAS); err != nil {
			return []error{err}
		}
	}
	l.commit(ctx, batch)
	errs := make([]error, len(batch))
	for i, e := range batch {
		errs[i] = <-e.done
	}
	return errs
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

// EncodeRecord is encodeRecord.
func EncodeRecord(r *aaa.Record) ([]byte, error) { return encodeRecord(r) }
