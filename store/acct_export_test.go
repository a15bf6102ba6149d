package store

import (
	"context"

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

// DecodeRecord is decodeRecord.
func DecodeRecord(b []byte) (*aaa.Record, error) { return decodeRecord(b) }
