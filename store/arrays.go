package store

import (
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Arrays of the statements that every login makes: pgx takes slices as they are,
// but reads those through reflection, and each element costs memory. These give
// it their elements by where they lie.
type (
	texts     []string
	longs     []int64
	integers  []int32
	prefixes  []netip.Prefix
	hosts     []*netip.Addr // nil: NULL, as in those that follow
	optionals []*netip.Prefix
	words     []*string
	wholes    []*int64
	times     []*time.Time
	spots     []pgtype.TID // of rows; one that is not valid: NULL
)

type (
	textAt   string
	longAt   int64
	intAt    int32
	prefixAt netip.Prefix
	hostAt   struct{ addr *netip.Addr }
	netAt    struct{ prefix *netip.Prefix }
	wordAt   struct{ text *string }
	numberAt struct{ n *int64 }
	timeAt   struct{ at *time.Time }
	spotAt   pgtype.TID
)

func oneDimension(n int) []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(n), LowerBound: 1}}
}

// Dimensions implements pgtype.ArrayGetter, as do the methods that follow.
func (a texts) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the text's place.
func (a texts) Index(i int) any { return (*textAt)(&a[i]) }

// IndexType returns what Index does.
func (a texts) IndexType() any { return new(textAt) }

// TextValue implements pgtype.TextValuer.
func (t *textAt) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: string(*t), Valid: true}, nil
}

// Dimensions tells how many there are.
func (a longs) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the number's place.
func (a longs) Index(i int) any { return (*longAt)(&a[i]) }

// IndexType returns what Index does.
func (a longs) IndexType() any { return new(longAt) }

// Int64Value implements pgtype.Int64Valuer.
func (n *longAt) Int64Value() (pgtype.Int8, error) {
	return pgtype.Int8{Int64: int64(*n), Valid: true}, nil
}

// Dimensions tells how many there are.
func (a integers) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the number's place.
func (a integers) Index(i int) any { return (*intAt)(&a[i]) }

// IndexType returns what Index does.
func (a integers) IndexType() any { return new(intAt) }

// Int64Value implements pgtype.Int64Valuer.
func (n *intAt) Int64Value() (pgtype.Int8, error) {
	return pgtype.Int8{Int64: int64(*n), Valid: true}, nil
}

// Dimensions tells how many there are.
func (a prefixes) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the prefix's place.
func (a prefixes) Index(i int) any { return (*prefixAt)(&a[i]) }

// IndexType returns what Index does.
func (a prefixes) IndexType() any { return new(prefixAt) }

// NetipPrefixValue implements pgtype.NetipPrefixValuer.
func (p *prefixAt) NetipPrefixValue() (netip.Prefix, error) { return netip.Prefix(*p), nil }

// Dimensions tells how many there are.
func (a hosts) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the host.
func (a hosts) Index(i int) any { return hostAt{a[i]} }

// IndexType returns what Index does.
func (a hosts) IndexType() any { return hostAt{} }

// NetipPrefixValue implements pgtype.NetipPrefixValuer; an invalid prefix is NULL.
func (h hostAt) NetipPrefixValue() (netip.Prefix, error) {
	if h.addr == nil {
		return netip.Prefix{}, nil
	}
	return netip.PrefixFrom(*h.addr, h.addr.BitLen()), nil
}

// Dimensions tells how many there are.
func (a optionals) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns one of them.
func (a optionals) Index(i int) any { return netAt{a[i]} }

// IndexType returns what Index does.
func (a optionals) IndexType() any { return netAt{} }

// NetipPrefixValue gives NULL for nil.
func (w netAt) NetipPrefixValue() (netip.Prefix, error) {
	if w.prefix == nil {
		return netip.Prefix{}, nil
	}
	return *w.prefix, nil
}

// Dimensions tells how many there are.
func (a words) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns one of them.
func (a words) Index(i int) any { return wordAt{a[i]} }

// IndexType returns what Index does.
func (a words) IndexType() any { return wordAt{} }

// TextValue gives NULL for nil.
func (w wordAt) TextValue() (pgtype.Text, error) {
	if w.text == nil {
		return pgtype.Text{}, nil
	}
	return pgtype.Text{String: *w.text, Valid: true}, nil
}

// Dimensions tells how many there are.
func (a wholes) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns one of them.
func (a wholes) Index(i int) any { return numberAt{a[i]} }

// IndexType returns what Index does.
func (a wholes) IndexType() any { return numberAt{} }

// Int64Value gives NULL for nil.
func (w numberAt) Int64Value() (pgtype.Int8, error) {
	if w.n == nil {
		return pgtype.Int8{}, nil
	}
	return pgtype.Int8{Int64: *w.n, Valid: true}, nil
}

// Dimensions tells how many there are.
func (a times) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns one of them.
func (a times) Index(i int) any { return timeAt{a[i]} }

// IndexType returns what Index does.
func (a times) IndexType() any { return timeAt{} }

// TimestamptzValue gives NULL for nil.
func (w timeAt) TimestamptzValue() (pgtype.Timestamptz, error) {
	if w.at == nil {
		return pgtype.Timestamptz{}, nil
	}
	return pgtype.Timestamptz{Time: *w.at, Valid: true}, nil
}

// Dimensions tells how many there are.
func (a spots) Dimensions() []pgtype.ArrayDimension { return oneDimension(len(a)) }

// Index returns the place's own.
func (a spots) Index(i int) any { return (*spotAt)(&a[i]) }

// IndexType returns what Index does.
func (a spots) IndexType() any { return new(spotAt) }

// TIDValue implements pgtype.TIDValuer.
func (s *spotAt) TIDValue() (pgtype.TID, error) { return pgtype.TID(*s), nil }
