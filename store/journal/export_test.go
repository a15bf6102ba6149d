package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// HeaderOf is a segment's header of any version.
func HeaderOf(segment uint64, version byte) []byte {
	b := appendHeader(nil, segment)
	b[len(magic)] = version
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
	return b
}

// Scan reads what it can of a segment's bytes after the header.
func Scan(b []byte) (records []Record, end, skipped int64, err error) {
	r := newReader(bytes.NewReader(b), Position{1, 0}, int64(len(b)))
	for {
		record, err := r.next()
		if errors.Is(err, io.EOF) {
			return records, r.at.Offset, r.skipped, nil
		}
		if err != nil {
			return nil, 0, 0, err
		}
		records = append(records, record.clone())
	}
}

// Encode is records as they stand in a segment from its offset 0 on.
func Encode(records []Record) (b []byte) {
	for _, r := range records {
		b = appendRecord(b, Position{1, int64(len(b))}, r.At, r.Payload)
	}
	return b
}
