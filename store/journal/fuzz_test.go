package journal_test

import (
	"bytes"
	"testing"
	"time"

	"radial/store/journal"
)

// FuzzReader: whatever a segment holds, reading it ends, and what it returns
// stands there as a whole record, each after the other.
func FuzzReader(f *testing.F) {
	at := time.Unix(1_790_000_000, 5).UTC()
	whole := journal.Encode([]journal.Record{{At: at, Payload: []byte("one")}, {At: at, Payload: bytes.Repeat([]byte{0}, 40)}, {At: at, Payload: []byte{255}}})
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole[:25]), whole...))
	f.Add(append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, whole...))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, end, skipped, err := journal.Scan(b)
		if err != nil {
			t.Fatal(err)
		}
		if end < 0 || end > int64(len(b)) || skipped < 0 {
			t.Fatalf("end %d of %d, skipped %d", end, len(b), skipped)
		}
		if len(records) > 0 && records[len(records)-1].Next.Offset != end {
			t.Fatalf("the last record ends at %v, the reader at %d", records[len(records)-1].Next, end)
		}
		if skipped == 0 && !bytes.Equal(journal.Encode(records), b[:end]) {
			t.Fatal("read something else than what stands there")
		}
	})
}
