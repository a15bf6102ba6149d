package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Options bound a journal.
type Options struct {
	// MaxBytes is how much of the disk its segments may take; 0 means 4 GiB.
	MaxBytes int64
	// SegmentBytes is how long a segment gets, about; 0 means 64 MiB, or an eighth of
	// MaxBytes where that is less.
	SegmentBytes int64
}

// The bounds of Options.MaxBytes, and what 0 means.
const (
	MinMaxBytes     = 1 << 20
	DefaultMaxBytes = 4 << 30
)

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	if o.MaxBytes != 0 && o.MaxBytes < MinMaxBytes {
		return fmt.Errorf("journal of %d bytes at most: want %d or more, or 0 (%d)", o.MaxBytes, MinMaxBytes, int64(DefaultMaxBytes))
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = min(64<<20, o.MaxBytes/8)
	}
	return o
}

// The states in which Append refuses.
var (
	// ErrFull tells that the journal has reached its bound.
	ErrFull = errors.New("the journal is full")
	// ErrTooLong tells of a record longer than MaxRecord, or of an empty one.
	ErrTooLong = errors.New("a record of the journal has 1 to 262144 bytes")
)

// Stats is what a journal holds that has not been drained.
type Stats struct {
	Bytes   int64 // 0 only when nothing is left
	Records int64
	Oldest  time.Time // when the oldest record was appended; zero: there is none
	Disk    int64     // what the segments take
}

// Journal is an open journal. Its methods may be called by several goroutines;
// Read and Advance are for one, who drains.
type Journal struct {
	dir     string
	opts    Options
	metrics *Metrics
	log     *zap.Logger
	now     func() time.Time

	turn    chan struct{} // held by who writes segments
	active  *os.File      // the last segment while it may be written to; of the turn's holder
	last    uint64        // the highest number a segment has had; of the turn's holder
	scratch []byte        // of the turn's holder

	mu     sync.Mutex // guards what follows
	queue  []*write
	segs   []segment // oldest first
	cursor *cursor
	stats  Stats
}

// segment is a file of the journal.
type segment struct {
	number uint64
	size   int64 // up to the end of its last record
}

// write is a call of Append.
type write struct {
	payloads [][]byte
	done     chan struct{}
	err      error
}

// Open opens the journal in a folder, which is made where it is not there, and
// cuts off what a crash has torn. Only one process may have it open.
func Open(dir string, opts Options, m *Metrics, log *zap.Logger, now func() time.Time) (*Journal, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, opts: opts.withDefaults(), metrics: m, log: log, now: now, turn: make(chan struct{}, 1)}
	if err := j.open(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	return j, nil
}

func (j *Journal) open() (err error) {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	if j.cursor, err = openCursor(j.dir); err != nil {
		return err
	}
	numbers, err := segments(j.dir)
	if err != nil {
		return errors.Join(err, j.cursor.file.Close())
	}
	j.last = j.cursor.at.Segment
	for i, n := range numbers {
		j.last = max(j.last, n)
		if err := j.adopt(n, i == len(numbers)-1); err != nil {
			return errors.Join(err, j.cursor.file.Close())
		}
	}
	j.metrics.hold(j.stats)
	return nil
}

// adopt takes over a segment of an earlier process, or removes it where
// nothing in it is to be drained. Only the last one can have been torn.
func (j *Journal) adopt(n uint64, last bool) error {
	path := j.path(n)
	if n < j.cursor.at.Segment {
		return os.Remove(path)
	}
	s, err := survey(path, n, j.cursor.at)
	if err != nil {
		return err
	}
	if !last {
		s.skipped += s.torn
	}
	if s.torn > 0 && last {
		j.log.Info("journal: cut off what was being written when the server ended", zap.String("segment", path), zap.Int64("bytes", s.torn))
	}
	if s.torn > 0 {
		if err := os.Truncate(path, s.end); err != nil {
			return err
		}
	}
	if s.skipped > 0 {
		j.metrics.damaged.Add(float64(s.skipped))
		j.log.Error("journal: the disk has lost a part of it; what follows is drained", zap.String("segment", path), zap.Int64("bytes", s.skipped))
	}
	if s.records == 0 {
		return os.Remove(path)
	}
	j.segs = append(j.segs, segment{n, s.end})
	j.stats.Records += s.records
	j.stats.Disk += s.end
	if j.stats.Oldest.IsZero() {
		j.stats.Oldest = s.oldest
	}
	j.stats.Bytes = j.left()
	return nil
}

// left is how many bytes are not drained; mu is held, or nobody else is there.
func (j *Journal) left() (n int64) {
	for _, s := range j.segs {
		from := int64(headerSize)
		if s.number == j.cursor.at.Segment {
			from = max(from, j.cursor.at.Offset)
		}
		if s.number >= j.cursor.at.Segment {
			n += max(s.size-from, 0)
		}
	}
	return n
}

// Stats tells what has not been drained.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stats
}

// Close closes the files; nobody may be in another method.
func (j *Journal) Close() error {
	err := j.cursor.file.Close()
	if j.active != nil {
		err = errors.Join(err, j.active.Close())
	}
	return err
}

func (j *Journal) path(n uint64) string { return filepath.Join(j.dir, segmentName(n)) }
