package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const suffix = ".journal"

func segmentName(n uint64) string { return fmt.Sprintf("%016x%s", n, suffix) }

// segments are the numbers of the segments in a folder, in order.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(name, 16, 64)
		if err != nil || segmentName(n) != e.Name() {
			return nil, fmt.Errorf("%s is no segment of a journal: move it away", e.Name())
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// surveyed is what a segment holds from a position on.
type surveyed struct {
	records int64
	oldest  time.Time
	end     int64 // of its last record
	torn    int64 // bytes after that
	skipped int64 // bytes before that which are no records
}

// survey looks through a segment without changing it.
func survey(path string, number uint64, from Position) (s surveyed, err error) {
	err = walk(path, number, from, &s, func(Record) error { return nil })
	return s, err
}

// walk goes through the records of a segment from a position on.
func walk(path string, number uint64, from Position, s *surveyed, visit func(Record) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, headerSize)
	n, err := f.ReadAt(head, 0)
	if unlessEnd(err) != nil {
		return err
	}
	ok, err := checkHeader(head[:n], number)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r := newReader(f, startOf(number, from), st.Size())
	if !ok {
		s.skipped += min(headerSize, st.Size())
	}
	for {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if s.records++; s.records == 1 {
			s.oldest = record.At
		}
		if err := visit(record); err != nil {
			return err
		}
	}
	s.end, s.torn = r.at.Offset, max(st.Size()-r.at.Offset, 0)
	s.skipped += r.skipped
	if s.records == 0 { // made, and nothing acknowledged in it
		s.skipped = 0
	}
	return nil
}

// Look tells what the journal in a folder holds, without changing anything,
// also while a server writes and drains it. A folder that is not there
// holds nothing. visit, where it is not nil, gets each record until it returns false.
func Look(dir string, visit func(Record) bool) (Stats, error) {
	var total Stats
	at, _, err := readCursor(dir)
	if err != nil {
		return total, fmt.Errorf("journal %s: %w", dir, err)
	}
	numbers, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return total, nil
	}
	if err != nil {
		return total, fmt.Errorf("journal %s: %w", dir, err)
	}
	for _, n := range numbers {
		if n < at.Segment {
			continue
		}
		var s surveyed
		more := visit != nil
		err := walk(filepath.Join(dir, segmentName(n)), n, at, &s, func(r Record) error {
			more = more && visit(r)
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) { // drained meanwhile
			continue
		}
		if err != nil {
			return total, fmt.Errorf("journal %s: %w", dir, err)
		}
		if !more {
			visit = nil
		}
		total.Disk += s.end + s.torn
		total.Records += s.records
		if s.records > 0 {
			total.Bytes += s.end - startOf(n, at).Offset
		}
		if total.Oldest.IsZero() {
			total.Oldest = s.oldest
		}
	}
	return total, nil
}
