package dictionaries

import (
	"bytes"
	"cmp"
)

// Compare orders two values by the attribute's type, as FreeRADIUS does for <,
// <=, > and >= (radius-semantics: operators on check rows): numbers, dates and
// addresses by size, strings and octets byte by byte, prefixes by address,
// then length.
func (a *Attribute) Compare(x, y []byte) int {
	switch a.Type {
	case TypeSigned:
		if len(x) == 4 && len(y) == 4 {
			return cmp.Compare(int32(uint32(number(x))), int32(uint32(number(y))))
		}
	case TypeIPv4Prefix, TypeIPv6Prefix:
		if len(x) > 2 && len(y) > 2 {
			if c := bytes.Compare(x[2:], y[2:]); c != 0 {
				return c
			}
			return cmp.Compare(x[1], y[1])
		}
	case TypeComboIP:
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
	}
	return bytes.Compare(x, y)
}
