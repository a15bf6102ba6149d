package store

import (
	"net/netip"

	"github.com/jackc/pgx/v5/pgtype"
)

// Arrays of the statements that every login makes: pgx takes slices as they are,
// but reads those through reflection, and each element costs memory. These give
// it their elements by where they lie.
type (
	texts    []string
	longs    []int64
	prefixes []netip.Prefix
	hosts    []*netip.Addr // nil: NULL
)

type (
	textAt   string
	longAt   int64
	prefixAt netip.Prefix
	hostAt   struct{ addr *netip.Addr }
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
