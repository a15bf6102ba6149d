package store

import (
	"context"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/store/journal"
)

const (
	// drainBatch is how many records of the journal share a transaction at most.
	drainBatch = 2000
	// drainTail is how many records are drained at most while new ones are held
	// up: the last of the journal, or where they come faster than they go.
	drainTail = 500
	// drainHold is how long that last transaction should take at most, as far as
	// the one before tells; where the database is slow for long, drainEnds times
	// in a row, it may take the NAS's patience.
	drainHold = 100 * time.Millisecond
	drainEnds = 20
	// The drainer's waits after an error.
	minDrainWait, maxDrainWait = 50 * time.Millisecond, time.Second
)

// drain takes the journal into the database whenever the ledger journals,
// until ctx ends.
func (l *Ledger) drain(ctx context.Context) {
	for {
		select {
		case <-l.outage.wake:
		case <-ctx.Done():
			return
		}
		d := drainer{Ledger: l, limit: drainBatch}
		wait := minDrainWait
		for l.Journaling() && ctx.Err() == nil {
			err := d.step(context.WithoutCancel(ctx))
			if err == nil {
				wait = minDrainWait
				continue
			}
			l.log.Debug("draining the journal", zap.Error(err))
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait = min(2*wait, maxDrainWait)
		}
	}
}

// Drain takes the whole journal into the database, for a ledger that does not
// run. watch is told after each batch what is left.
func (l *Ledger) Drain(ctx context.Context, watch func(left journal.Stats)) error {
	d := drainer{Ledger: l, limit: drainBatch}
	for l.Journaling() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		watch(l.outage.journal.Stats())
	}
	return nil
}

// drainer is one drain of the journal, from the first record to the last.
type drainer struct {
	*Ledger
	limit  int  // records to a transaction
	failed bool // the last step failed: the database is asked first
	total  int
	put    int // times that the end was put off

	left   int64 // bytes of the journal after the last batch
	losing bool  // more came than went: new records are held up for each batch
	tail   int   // records to a transaction that holds new ones up
}

// step drains a batch; at the journal's end it ends the outage.
func (d *drainer) step(ctx context.Context) (err error) {
	defer func() { d.failed = err != nil }()
	if d.failed {
		if err := d.reachable(ctx); err != nil {
			return err
		}
	}
	if d.losing {
		return d.end(ctx)
	}
	records, err := d.outage.journal.Read(d.limit)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.replay(ctx, records, d.opts.Timeout); err != nil {
		if time.Since(began) >= d.opts.Timeout/2 { // too much at once
			d.limit = max(d.limit/4, 10)
		}
		return err
	}
	if len(records) == d.limit {
		d.limit = min(2*d.limit, drainBatch)
		left := d.outage.journal.Stats().Bytes
		d.losing = d.left > 0 && left >= d.left
		d.left = left
		return nil
	}
	if len(records) == 0 { // nothing has shown that the database is there
		if err := d.reachable(ctx); err != nil {
			return err
		}
	} else if time.Since(began) > drainHold && d.put < drainEnds {
		d.put++ // new records would wait for as long: fewer are left next time
		return nil
	}
	return d.end(ctx)
}

// reachable asks the database for a sign of life, on whichever connection.
func (d *drainer) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(d.opts.Patience, time.Second))
	defer cancel()
	return d.db.Ping(ctx)
}

// end drains records while new ones wait, and has the ledger go direct if they
// were the last. Where they were not, those who waited go on for a moment: so a
// journal into which more comes than the database takes is emptied all the same,
// and what is too much is slowed down by so little that devices do not give up.
func (d *drainer) end(ctx context.Context) error {
	o := &d.outage
	o.mode.Lock()
	defer o.mode.Unlock()
	if d.tail == 0 {
		d.tail = drainTail
	}
	rest, err := o.journal.Read(d.tail)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.Patience)
	defer cancel()
	began := time.Now()
	if err := d.replay(ctx, rest, d.opts.Patience); err != nil {
		d.tail = max(d.tail/4, 10)
		return err
	}
	if len(rest) == d.tail {
		if time.Since(began) > drainHold {
			d.tail = max(d.tail/2, 10)
		} else {
			d.tail = min(2*d.tail, drainTail)
		}
		return nil
	}
	if lost := o.journal.Stats().Bytes; lost > 0 {
		if err := o.journal.GiveUp(); err != nil {
			return err
		}
		d.log.Error("journal: its last part cannot be read", zap.Int64("bytes", lost))
	}
	o.journaling = false
	d.log.Info("the journal is drained: accounting goes to the database again", zap.Int("records", d.total), zap.Duration("after", d.now().Sub(o.since)))
	return nil
}

// replay applies records of the journal in order and moves the cursor behind
// them, On and Off each by itself.
func (d *drainer) replay(ctx context.Context, records []journal.Record, limit time.Duration) error {
	var batch []*entry
	begin := 0
	flush := func(end int) error {
		if len(batch) > 0 {
			if _, err := d.write(ctx, batch, limit); err != nil {
				return err
			}
			d.count(batch...)
			batch = nil
		}
		if err := d.outage.journal.Advance(records[begin:end]); err != nil {
			return err
		}
		d.total += end - begin
		begin = end
		return nil
	}
	for i := range records {
		r, err := DecodeRecord(records[i].Payload)
		switch {
		case err != nil:
			if err := flush(i); err != nil {
				return err
			}
			if err := d.isolate(ctx, records[i].Payload, err); err != nil {
				return err
			}
			d.log.Error("a record of the journal cannot be read: kept in radial.quarantine", zap.Error(err))
		case r.Status == aaa.StatusOn || r.Status == aaa.StatusOff:
			e := &entry{raw: r}
			if err := flush(i); err != nil {
				return err
			}
			if err := d.writeDown(ctx, e, downTimeouts*limit); err != nil {
				return err
			}
			d.count(e)
			if err := flush(i + 1); err != nil {
				return err
			}
		default:
			batch = append(batch, &entry{raw: r, drained: true})
		}
	}
	return flush(len(records))
}

func (d *drainer) count(batch ...*entry) {
	for _, e := range batch {
		d.tally(e, nil)
	}
}
