package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// cursorFile has two slots, written in turn, so that one that was torn leaves the
// other: count, segment, offset, checksum, each little-endian.
const (
	cursorFile = "cursor"
	slotSize   = 32
)

// cursor is the file that says up to where a journal has been drained.
type cursor struct {
	file  *os.File
	count uint64 // of the slot that was written last
	at    Position
}

// openCursor opens a journal's cursor, and makes it where there is none.
func openCursor(dir string) (*cursor, error) {
	at, count, err := readCursor(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, cursorFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	c := &cursor{file: f, count: count, at: at}
	if count == 0 { // its room is taken now, not when the disk is full
		if _, err := f.WriteAt(make([]byte, 2*slotSize), 0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return c, nil
}

// readCursor reads where a journal's cursor stands; none, or one that cannot be
// read, stands at the beginning: then records come again.
func readCursor(dir string) (at Position, count uint64, err error) {
	b, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Position{}, 0, err
	}
	for ; len(b) >= slotSize; b = b[slotSize:] {
		n := binary.LittleEndian.Uint64(b)
		if n > count && binary.LittleEndian.Uint32(b[24:]) == crc32.Checksum(b[:24], castagnoli) {
			count = n
			at = Position{binary.LittleEndian.Uint64(b[8:]), int64(binary.LittleEndian.Uint64(b[16:]))}
		}
	}
	return at, count, nil
}

// set moves the cursor and syncs it.
func (c *cursor) set(p Position) error {
	b := make([]byte, slotSize)
	binary.LittleEndian.PutUint64(b, c.count+1)
	binary.LittleEndian.PutUint64(b[8:], p.Segment)
	binary.LittleEndian.PutUint64(b[16:], uint64(p.Offset))
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	if _, err := c.file.WriteAt(b, int64((c.count+1)%2)*slotSize); err != nil {
		return fmt.Errorf("cursor: %w", err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("cursor: %w", err)
	}
	c.count, c.at = c.count+1, p
	return nil
}
