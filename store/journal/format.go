package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// The format of a segment.
const (
	magic      = "radjrnl"
	version    = 1
	headerSize = 24
	recordHead = 16
	// MaxRecord is the longest payload, in bytes.
	MaxRecord = 256 << 10
)

// errVersion is a segment that a later Radial has written.
var errVersion = errors.New("unknown version of the format")

// castagnoli is the table of CRC32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Position is a place in a journal: where a record begins, or where the next
// one will.
type Position struct {
	Segment uint64
	Offset  int64
}

// before tells that p comes earlier than q.
func (p Position) before(q Position) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

// Record is what was appended.
type Record struct {
	At      time.Time // when it was appended
	Payload []byte
	Next    Position // where the record after it begins
}

func appendHeader(b []byte, segment uint64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, version)
	b = binary.LittleEndian.AppendUint64(b, segment)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, 0, 0, 0, 0)
}

// checkHeader tells whether b begins with the header of a segment; an error
// means that the segment is not for this version.
func checkHeader(b []byte, segment uint64) (ok bool, err error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic || binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return false, nil
	}
	if v := b[len(magic)]; v != version {
		return false, fmt.Errorf("%w: %d (this Radial knows %d)", errVersion, v, version)
	}
	return binary.LittleEndian.Uint64(b[8:]) == segment, nil
}

// appendRecord adds a record that will stand at p.
func appendRecord(b []byte, p Position, at time.Time, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(p, b[start:]))
	return b
}

// checksum is that of a record that stands at p: of its place and of all of it
// but the checksum.
func checksum(p Position, record []byte) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], p.Segment)
	binary.LittleEndian.PutUint64(place[8:], uint64(p.Offset))
	sum := crc32.Update(0, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, record[:4])
	return crc32.Update(sum, castagnoli, record[8:])
}

// lengthOf is the length of the record whose head b begins with, head
// included; ok is false when it cannot be one.
func lengthOf(b []byte) (n int, ok bool) {
	length := binary.LittleEndian.Uint32(b)
	return recordHead + int(length), length > 0 && length <= MaxRecord
}

// reader reads the records of a segment, in order.
type reader struct {
	r       io.ReaderAt
	at      Position // of the next record
	size    int64    // of the segment
	skipped int64    // bytes passed over between records

	buffer *bufio.Reader
	record []byte
}

// newReader reads from p up to size.
func newReader(r io.ReaderAt, p Position, size int64) *reader {
	s := &reader{r: r, size: size, buffer: bufio.NewReaderSize(nil, 256<<10)}
	s.seek(p)
	return s
}

func (s *reader) seek(p Position) {
	s.at = p
	s.buffer.Reset(io.NewSectionReader(s.r, p.Offset, max(s.size-p.Offset, 0)))
}

// next returns a record, whose payload is overwritten by the following one;
// io.EOF when none is left: then s.at is where the last one ended.
func (s *reader) next() (Record, error) {
	r, ok, err := s.read()
	if err != nil || ok {
		return r, err
	}
	p, err := s.find()
	if err != nil {
		return Record{}, err
	}
	s.skipped += p.Offset - s.at.Offset
	s.seek(p)
	r, ok, err = s.read()
	if err == nil && !ok {
		err = io.EOF // the file was cut meanwhile
	}
	return r, err
}

// read reads the record at s.at; ok is false when there is none.
func (s *reader) read() (_ Record, ok bool, err error) {
	head, err := s.buffer.Peek(recordHead)
	if err != nil {
		return Record{}, false, unlessEnd(err)
	}
	n, ok := lengthOf(head)
	if !ok || int64(n) > s.size-s.at.Offset {
		return Record{}, false, nil
	}
	s.record = append(s.record[:0], make([]byte, n)...)
	if _, err := io.ReadFull(s.buffer, s.record); err != nil {
		return Record{}, false, unlessEnd(err)
	}
	r, ok := parse(s.at, s.record)
	if ok {
		s.at = r.Next
	}
	return r, ok, nil
}

// unlessEnd drops the errors that say that the file is over.
func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// parse checks a whole record that stands at p.
func parse(p Position, b []byte) (Record, bool) {
	if binary.LittleEndian.Uint32(b[4:]) != checksum(p, b) {
		return Record{}, false
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:]))).UTC()
	return Record{At: at, Payload: b[recordHead:], Next: Position{p.Segment, p.Offset + int64(len(b))}}, true
}

// find looks for the first record after s.at; io.EOF: there is none.
func (s *reader) find() (Position, error) {
	rest := make([]byte, max(s.size-s.at.Offset, 0))
	n, err := s.r.ReadAt(rest, s.at.Offset)
	if unlessEnd(err) != nil {
		return Position{}, err
	}
	rest = rest[:n]
	for i := 1; i+recordHead < len(rest); i++ {
		length, ok := lengthOf(rest[i:])
		if !ok || length > len(rest)-i {
			continue
		}
		p := Position{s.at.Segment, s.at.Offset + int64(i)}
		if _, ok := parse(p, rest[i:i+length]); ok {
			return p, nil
		}
	}
	return Position{}, io.EOF
}

// clone makes a record's payload the caller's own.
func (r Record) clone() Record {
	r.Payload = bytes.Clone(r.Payload)
	return r
}
