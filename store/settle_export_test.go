package store

import (
	"context"

	"radial/aaa"
)

// ApplyDrained commits records as one batch, as the drain of a journal does.
func (l *Ledger) ApplyDrained(ctx context.Context, records ...*aaa.Record) error {
	batch := make([]*entry, len(records))
	for i, r := range records {
		batch[i] = &entry{raw: r, drained: true}
	}
	_, err := l.write(ctx, batch, l.opts.Timeout)
	return err
}
