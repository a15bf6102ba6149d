package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Read returns the oldest records that have not been drained, in order, up to
// limit of them; none: there are none.
func (j *Journal) Read(limit int) ([]Record, error) {
	j.mu.Lock()
	segs := append([]segment(nil), j.segs...)
	from := j.cursor.at
	j.mu.Unlock()
	var records []Record
	for _, s := range segs {
		if s.number < from.Segment || len(records) >= limit {
			continue
		}
		var err error
		if records, err = j.readSegment(s, from, limit, records); err != nil {
			return nil, fmt.Errorf("journal: segment %s: %w", j.path(s.number), err)
		}
	}
	return records, nil
}

func (j *Journal) readSegment(s segment, from Position, limit int, records []Record) ([]Record, error) {
	f, err := os.Open(j.path(s.number))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := newReader(f, startOf(s.number, from), s.size)
	for len(records) < limit {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		records = append(records, record.clone())
	}
	return records, nil
}

// startOf is where a segment is read from.
func startOf(number uint64, from Position) Position {
	if number == from.Segment {
		return Position{number, max(from.Offset, headerSize)}
	}
	return Position{number, headerSize}
}

// Advance says that the oldest records, as Read returned them, are done with: the
// cursor is moved and synced, and segments that are drained are deleted. After
// an error they may come again.
func (j *Journal) Advance(done []Record) error {
	if len(done) == 0 {
		return nil
	}
	to := done[len(done)-1].Next
	if err := j.cursor.set(to); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	j.mu.Lock()
	j.stats.Records -= int64(len(done))
	j.stats.Oldest = done[len(done)-1].At // about: the next one came then or later
	j.mu.Unlock()
	if err := j.sweep(to); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// sweep deletes segments of which nothing is left; the turn is held.
func (j *Journal) sweep(to Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() {
		j.stats.Bytes = j.left()
		if len(j.segs) == 0 {
			j.stats = Stats{Disk: j.stats.Disk}
		}
		j.metrics.hold(j.stats)
	}()
	for len(j.segs) > 0 {
		s := j.segs[0]
		if to.before(Position{s.number, s.size}) {
			return nil
		}
		if len(j.segs) == 1 && j.active != nil {
			if err := j.active.Close(); err != nil {
				return err
			}
			j.active = nil
		}
		if err := os.Remove(j.path(s.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		j.segs = j.segs[1:]
		j.stats.Disk -= s.size
	}
	return nil
}

// GiveUp moves the cursor to the end: what Read does not return, since the disk
// has lost it, is left. Nobody may append meanwhile.
func (j *Journal) GiveUp() error {
	j.mu.Lock()
	lost := j.stats.Bytes
	var end Position
	if n := len(j.segs); n > 0 {
		end = Position{j.segs[n-1].number, j.segs[n-1].size}
	}
	j.mu.Unlock()
	if lost == 0 {
		return nil
	}
	j.metrics.damaged.Add(float64(lost))
	return j.Advance([]Record{{Next: end}})
}
