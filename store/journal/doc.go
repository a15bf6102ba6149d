// Package journal keeps records on stable storage, in order, while they cannot
// go where they belong: an append-only journal in files. It knows nothing of
// what the records say; store's ledger puts accounting into it while PostgreSQL
// is away, and takes it out again.
//
// A journal is a folder of segments (0000000000000001.journal and so on) and a
// file named cursor. A segment begins with a header of 24 bytes: "radjrnl", the
// version of the format (1), its number, a checksum. Records follow: length,
// checksum (CRC32C), time of receipt in nanoseconds since 1970, payload; numbers are
// little-endian. The checksum covers the record's place as well, so that a
// record that strayed from elsewhere is none.
//
// Append returns when its records are synced to disk. Who comes while that runs
// waits, and all who waited are written and synced together. A segment that
// could not be written or synced is cut back to what was, and never written to again; neither is
// one of an earlier process. The journal is bounded: at the bound, Append
// refuses.
//
// What the reader meets that is no record is passed over up to the next
// record: at the end of a segment it is what a crash has torn, was never
// acknowledged, and is cut off when the journal is opened; elsewhere the disk
// has lost it, which is told.
//
// Advance moves the cursor, durably: what lies before it is done with, and
// segments before it are deleted. A cursor that is behind only makes records come
// again.
package journal
