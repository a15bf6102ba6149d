package journal

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Append adds records and returns when they are synced to disk. After an error
// none of them counts as stored (some may be there all the same). The payloads must
// not change meanwhile.
func (j *Journal) Append(payloads ...[]byte) error {
	for _, p := range payloads {
		if len(p) == 0 || len(p) > MaxRecord {
			j.metrics.refused.Add(float64(len(payloads)))
			return fmt.Errorf("%w: not %d", ErrTooLong, len(p))
		}
	}
	w := &write{payloads: payloads, done: make(chan struct{})}
	j.mu.Lock()
	j.queue = append(j.queue, w)
	j.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case j.turn <- struct{}{}:
	}
	defer func() { <-j.turn }()
	select {
	case <-w.done: // by who had the turn before
	default:
		j.writeAll()
	}
	return w.err
}

// writeAll writes all that is queued, and answers. The turn is held.
func (j *Journal) writeAll() {
	j.mu.Lock()
	queue := j.queue
	j.queue = nil
	j.mu.Unlock()
	began := time.Now()
	err := j.write(queue)
	j.metrics.sync.Observe(time.Since(began).Seconds())
	for _, w := range queue {
		if err != nil {
			w.err = err
			j.metrics.refused.Add(float64(len(w.payloads)))
		}
		close(w.done)
	}
}

// write puts records behind the last one and syncs.
func (j *Journal) write(queue []*write) error {
	var size, records int64
	for _, w := range queue {
		records += int64(len(w.payloads))
		for _, p := range w.payloads {
			size += recordHead + int64(len(p))
		}
	}
	at, err := j.place(size)
	if err != nil {
		return err
	}
	now := j.now()
	b := j.scratch[:0]
	for _, w := range queue {
		for _, p := range w.payloads {
			b = appendRecord(b, Position{at.Segment, at.Offset + int64(len(b))}, now, p)
		}
	}
	if cap(b) <= 4<<20 { // a burst's buffer is not kept
		j.scratch = b
	}
	if err := j.put(b, at); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segs[len(j.segs)-1].size += size
	j.stats.Bytes += size
	j.stats.Disk += size
	j.stats.Records += records
	if j.stats.Oldest.IsZero() {
		j.stats.Oldest = now
	}
	j.metrics.hold(j.stats)
	return nil
}

// place is where so many bytes go: behind the last record, or into a new
// segment.
func (j *Journal) place(size int64) (Position, error) {
	j.mu.Lock()
	disk := j.stats.Disk
	var last segment
	if j.active != nil {
		last = j.segs[len(j.segs)-1]
	}
	j.mu.Unlock()
	if disk+size+headerSize > j.opts.MaxBytes {
		return Position{}, fmt.Errorf("%w: %d of %d bytes (journal.max_bytes)", ErrFull, disk, j.opts.MaxBytes)
	}
	if j.active != nil && (last.size == headerSize || last.size+size <= j.opts.SegmentBytes) {
		return Position{last.number, last.size}, nil
	}
	if err := j.begin(); err != nil {
		return Position{}, fmt.Errorf("new segment: %w", err)
	}
	return Position{j.last, headerSize}, nil
}

// begin makes a new segment, which is there after a crash as well.
func (j *Journal) begin() error {
	if err := j.retire(); err != nil {
		return err
	}
	n := j.last + 1
	f, err := os.OpenFile(j.path(n), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	j.last = n
	_, err = f.WriteAt(appendHeader(nil, n), 0)
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	j.active = f
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segs = append(j.segs, segment{n, headerSize})
	j.stats.Disk += headerSize
	return nil
}

// retire ends the active segment, if there is one.
func (j *Journal) retire() error {
	f := j.active
	if f == nil {
		return nil
	}
	j.active = nil
	err := f.Close()
	j.mu.Lock()
	last := j.segs[len(j.segs)-1]
	empty := last.size == headerSize
	if empty {
		j.segs = j.segs[:len(j.segs)-1]
		j.stats.Disk -= last.size
	}
	j.mu.Unlock()
	if empty {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// put writes and syncs. Where that fails, the segment ends where it ended
// before: after a failed sync nobody knows what the disk has, so it is not
// written to again.
func (j *Journal) put(b []byte, at Position) error {
	_, err := j.active.WriteAt(b, at.Offset)
	if err == nil {
		err = j.active.Sync()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write: %w", err)
	if cut := j.active.Truncate(at.Offset); cut != nil {
		err = errors.Join(err, cut) // the records are whole or none; what is there of them is harmless
	}
	return errors.Join(err, j.retire())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
