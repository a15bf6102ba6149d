package dictionaries

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// Text prints a value as FreeRADIUS stores it in SQL: value names (decimal
// digits where a number has none), addresses, dates in the dictionary's zone,
// octets as 0x and lower-case hex, strings as their bytes. A value that its
// type cannot hold prints as octets.
func (a *Attribute) Text(value []byte) string {
	if a.Type == TypeString {
		return string(value)
	}
	return string(a.AppendText(nil, value))
}

// AppendText is Text onto a buffer.
func (a *Attribute) AppendText(b, value []byte) []byte {
	if a.Type == TypeString {
		return append(b, value...)
	}
	if size := int(typeSizes[a.Type]); size > 0 && len(value) != size {
		return appendHex(b, value)
	}
	switch a.Type {
	case TypeInteger, TypeByte, TypeShort, TypeInteger64, TypeSigned:
		return a.appendNumber(b, value)
	case TypeDate:
		return time.Unix(int64(binary.BigEndian.Uint32(value)), 0).In(a.location()).AppendFormat(b, dateLayout)
	case TypeIPAddr, TypeIPv6Addr, TypeComboIP:
		if addr, ok := netip.AddrFromSlice(value); ok {
			return appendAddr(b, addr)
		}
	case TypeIPv4Prefix, TypeIPv6Prefix:
		addr, _ := netip.AddrFromSlice(value[2:])
		return strconv.AppendUint(append(appendAddr(b, addr), '/'), uint64(value[1]), 10)
	case TypeIfID:
		for i := 0; i < 8; i += 2 {
			if i > 0 {
				b = append(b, ':')
			}
			b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint16(value[i:])), 16)
		}
		return b
	case TypeEther:
		for i := range value {
			if i > 0 {
				b = append(b, ':')
			}
			b = hex.AppendEncode(b, value[i:i+1])
		}
		return b
	}
	return appendHex(b, value)
}

// appendAddr prints an address as the C library does, which FreeRADIUS uses:
// RFC 5952, but ::1.2.3.4 where only the last 32 bits are set.
func appendAddr(b []byte, addr netip.Addr) []byte {
	if addr.Is6() {
		w := addr.As16()
		if [12]byte(w[:12]) == [12]byte{} && w[12]|w[13] != 0 {
			return netip.AddrFrom4([4]byte(w[12:])).AppendTo(append(b, "::"...))
		}
	}
	return addr.AppendTo(b)
}

// appendNumber prints a number by name or in decimal.
func (a *Attribute) appendNumber(b, value []byte) []byte {
	n := number(value)
	if name, ok := a.ValueName(n); ok {
		return append(b, name...)
	}
	if a.Type == TypeSigned {
		return strconv.AppendInt(b, int64(int32(uint32(n))), 10)
	}
	return strconv.AppendUint(b, n, 10)
}

// number reads a big-endian number of up to eight octets.
func number(value []byte) (n uint64) {
	for _, c := range value {
		n = n<<8 | uint64(c)
	}
	return n
}

func appendHex(b, value []byte) []byte { return hex.AppendEncode(append(b, "0x"...), value) }

// String prints a pair as radclient does: `Name = value` or `Name:tag = value`,
// strings and dates in double quotes, with what cannot be printed escaped.
func (p Pair) String() string { return string(p.Append(nil)) }

// Append is String onto a buffer.
func (p Pair) Append(b []byte) []byte {
	if p.Attr == nil {
		return append(b, "(no attribute)"...)
	}
	b = append(b, p.Attr.Name...)
	if p.Tag != 0 {
		b = strconv.AppendUint(append(b, ':'), uint64(p.Tag), 10)
	}
	b = append(b, " = "...)
	switch p.Attr.Type {
	case TypeString:
		return append(appendEscaped(append(b, '"'), p.Value), '"')
	case TypeDate:
		return append(p.Attr.AppendText(append(b, '"'), p.Value), '"')
	}
	return p.Attr.AppendText(b, p.Value)
}

// appendEscaped escapes quotes, backslashes and whatever is not printable
// UTF-8, the latter as \ooo (FreeRADIUS's fr_prints).
func appendEscaped(b, text []byte) []byte {
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\t':
			b = append(b, `\t`...)
		case size == 1 && (c < ' ' || c == 0x7f || c == utf8.RuneError):
			o := text[0]
			b = append(b, '\\', '0'+o>>6, '0'+o>>3&7, '0'+o&7)
		default:
			b = append(b, text[:size]...)
		}
		text = text[size:]
	}
	return b
}
