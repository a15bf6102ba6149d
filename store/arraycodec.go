package store

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Our arrays write themselves in PostgreSQL's binary form: pgx asks for each
// element by itself, finds out what it is, and lets its buffer grow on the way,
// which takes as long as PostgreSQL takes to read them. TestArraysEncode holds
// the two against each other.

// selfWriting is an array of ours, of one dimension.
type selfWriting interface {
	size() (elements, bytes int) // bytes of all elements without their lengths, at most
	appendTo(buf []byte, i int) []byte
}

// useOurArrays has a connection encode our arrays by themselves; all else goes
// pgx's way, and so do they where parameters are text.
func useOurArrays(_ context.Context, conn *pgx.Conn) error {
	teachArrays(conn.TypeMap())
	return nil
}

func teachArrays(m *pgtype.Map) {
	for _, oid := range []uint32{
		pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.TextArrayOID, pgtype.InetArrayOID, pgtype.TIDArrayOID, pgtype.TimestamptzArrayOID,
	} {
		t, known := m.TypeForOID(oid)
		if !known {
			continue
		}
		if pgxs, is := t.Codec.(*pgtype.ArrayCodec); is {
			m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{pgxs}})
		}
	}
}

// arrayCodec is pgx's but for arrays that write themselves.
type arrayCodec struct{ *pgtype.ArrayCodec }

// PlanEncode implements pgtype.Codec.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ours := value.(selfWriting); ours && format == pgtype.BinaryFormatCode {
		return encodeSelf(c.ElementType.OID)
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

// encodeSelf is the plan for an array with elements of this type.
type encodeSelf uint32

const (
	arrayHeaderSize = 20 // dimensions, whether there may be NULLs, type; length and lower bound of the first
	nullElement     = 0xffffffff
)

// Encode implements pgtype.EncodePlan.
func (element encodeSelf) Encode(value any, buf []byte) ([]byte, error) {
	a := value.(selfWriting) // PlanEncode has seen its type
	n, bytes := a.size()
	if need := arrayHeaderSize + 4*n + bytes; cap(buf)-len(buf) < need {
		buf = slices.Grow(buf, 4*need) // others follow, as a rule
	}
	start := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, 1)
	buf = binary.BigEndian.AppendUint32(buf, 0)
	buf = binary.BigEndian.AppendUint32(buf, uint32(element))
	buf = binary.BigEndian.AppendUint32(buf, uint32(n))
	buf = binary.BigEndian.AppendUint32(buf, 1)
	for i := range n {
		at := len(buf)
		buf = binary.BigEndian.AppendUint32(buf, nullElement)
		if buf = a.appendTo(buf, i); len(buf) > at+4 || notNull(a, i) {
			binary.BigEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
		} else {
			buf[start+7] = 1
		}
	}
	return buf, nil
}

// notNull tells of an element without bytes whether it is an empty text.
func notNull(a selfWriting, i int) bool {
	switch a := a.(type) {
	case texts:
		return true
	case words:
		return a[i] != nil
	}
	return false
}

func (a texts) size() (n, bytes int) {
	for i := range a {
		bytes += len(a[i])
	}
	return len(a), bytes
}

func (a texts) appendTo(buf []byte, i int) []byte { return append(buf, a[i]...) }

func (a words) size() (n, bytes int) {
	for _, w := range a {
		if w != nil {
			bytes += len(*w)
		}
	}
	return len(a), bytes
}

func (a words) appendTo(buf []byte, i int) []byte {
	if a[i] == nil {
		return buf
	}
	return append(buf, *a[i]...)
}

func (a integers) size() (n, bytes int) { return len(a), 4 * len(a) }

func (a integers) appendTo(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint32(buf, uint32(a[i]))
}

func (a longs) size() (n, bytes int) { return len(a), 8 * len(a) }

func (a longs) appendTo(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(buf, uint64(a[i]))
}

func (a wholes) size() (n, bytes int) { return len(a), 8 * len(a) }

func (a wholes) appendTo(buf []byte, i int) []byte {
	if a[i] == nil {
		return buf
	}
	return binary.BigEndian.AppendUint64(buf, uint64(*a[i]))
}

func (a times) size() (n, bytes int) { return len(a), 8 * len(a) }

// appendTo writes microseconds since the year 2000.
func (a times) appendTo(buf []byte, i int) []byte {
	if a[i] == nil {
		return buf
	}
	const year2000 = 946684800
	t := *a[i]
	return binary.BigEndian.AppendUint64(buf, uint64((t.Unix()-year2000)*int64(time.Second/time.Microsecond)+int64(t.Nanosecond())/int64(time.Microsecond)))
}

func (a spots) size() (n, bytes int) { return len(a), 6 * len(a) }

func (a spots) appendTo(buf []byte, i int) []byte {
	if !a[i].Valid {
		return buf
	}
	buf = binary.BigEndian.AppendUint32(buf, a[i].BlockNumber)
	return binary.BigEndian.AppendUint16(buf, a[i].OffsetNumber)
}

// inetSize is that of an IPv6 address with its head; of IPv4 it is 8.
const inetSize = 20

func (a prefixes) size() (n, bytes int) { return len(a), inetSize * len(a) }

func (a prefixes) appendTo(buf []byte, i int) []byte { return appendInet(buf, a[i]) }

func (a hosts) size() (n, bytes int) { return len(a), inetSize * len(a) }

func (a hosts) appendTo(buf []byte, i int) []byte {
	if a[i] == nil {
		return buf
	}
	return appendInet(buf, netip.PrefixFrom(*a[i], a[i].BitLen()))
}

func (a optionals) size() (n, bytes int) { return len(a), inetSize * len(a) }

func (a optionals) appendTo(buf []byte, i int) []byte {
	if a[i] == nil {
		return buf
	}
	return appendInet(buf, *a[i])
}

// appendInet appends family, bits, a byte that PostgreSQL does not read, length
// and address; nothing, which is NULL, for a prefix that is not valid.
func appendInet(buf []byte, p netip.Prefix) []byte {
	const inet4, inet6 = 2, 3 // PostgreSQL's own
	switch a := p.Addr(); {
	case !p.IsValid():
		return buf
	case a.Is4():
		b := a.As4()
		return append(append(buf, inet4, byte(p.Bits()), 0, 4), b[:]...)
	default:
		b := a.As16()
		return append(append(buf, inet6, byte(p.Bits()), 0, 16), b[:]...)
	}
}
