package dictionaries

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Parse reads a value from the text that stands in a policy row, without
// quotes, and returns its canonical form (see Pair). Strings are taken byte by
// byte; octets are 0x and hex digits, or the text's own bytes.
func (a *Attribute) Parse(text string) ([]byte, error) {
	value, err := a.parse(text)
	if err != nil {
		shown := fmt.Sprintf("%q", text)
		if a.Sensitive() {
			shown = "***"
		}
		return nil, fmt.Errorf("value %s of %s: %w", shown, a.Name, err)
	}
	return value, nil
}

func (a *Attribute) parse(text string) ([]byte, error) {
	switch a.Type {
	case TypeString:
		return []byte(text), nil
	case TypeOctets, TypeABinary:
		return a.parseOctets(text)
	case TypeInteger, TypeByte, TypeShort, TypeInteger64, TypeSigned:
		return a.parseNumber(strings.TrimSpace(text))
	case TypeDate:
		seconds, err := parseDate(text, a.location())
		return binary.BigEndian.AppendUint32(nil, seconds), err
	case TypeIPAddr, TypeIPv6Addr, TypeComboIP:
		return a.parseAddress(strings.TrimSpace(text))
	case TypeIPv4Prefix, TypeIPv6Prefix:
		return a.parsePrefix(strings.TrimSpace(text))
	case TypeIfID:
		return parseIfID(strings.TrimSpace(text))
	case TypeEther:
		mac, err := net.ParseMAC(strings.TrimSpace(text))
		if err != nil || len(mac) != 6 {
			return nil, errors.New("a MAC address such as 00:11:22:aa:bb:cc would be right")
		}
		return mac, nil
	}
	return nil, fmt.Errorf("type %s has no value of its own; name one of its members instead", a.Type)
}

func (a *Attribute) parseOctets(text string) ([]byte, error) {
	value := []byte(text)
	if len(text) >= 2 && (text[:2] == "0x" || text[:2] == "0X") {
		var err error
		if value, err = hex.DecodeString(text[2:]); err != nil {
			return nil, errors.New("0x and an even number of hex digits would be right")
		}
	}
	if a.Length > 0 && len(value) != a.Length {
		return nil, fmt.Errorf("%d octets; %d would be right", len(value), a.Length)
	}
	return value, nil
}

// parseNumber reads a number, else a value name, in FreeRADIUS's order.
func (a *Attribute) parseNumber(text string) ([]byte, error) {
	n, err := valueNumber(a.Type, text)
	if err != nil {
		named, ok := a.ValueNumber(text)
		if !ok {
			if a.values != nil {
				return nil, fmt.Errorf("no value name of this attribute, and %w", err)
			}
			return nil, err
		}
		n = named
	}
	b := make([]byte, typeSizes[a.Type])
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
	return b, nil
}

// parseAddress reads an address; a prefix of its full length says the same.
func (a *Attribute) parseAddress(text string) ([]byte, error) {
	addr, err := netip.ParseAddr(text)
	if p, perr := netip.ParsePrefix(text); err != nil && perr == nil && p.IsSingleIP() {
		addr, err = p.Addr(), nil
	}
	switch {
	case err != nil || addr.Zone() != "":
	case a.Type == TypeIPAddr && !addr.Is4(), a.Type == TypeIPv6Addr && addr.Is4():
	default:
		return addr.AsSlice(), nil
	}
	switch a.Type {
	case TypeIPAddr:
		return nil, errors.New("an IPv4 address such as 100.64.0.1 would be right")
	case TypeIPv6Addr:
		return nil, errors.New("an IPv6 address such as 2001:db8::1 would be right")
	}
	return nil, errors.New("an address such as 100.64.0.1 or 2001:db8::1 would be right")
}

// parsePrefix reads a prefix, or an address as the prefix of its full length,
// into the form of RFC 3162 §2.3 (RFC 6572 §4 for IPv4): a zero octet, the
// length, the whole address, with zeros after the prefix.
func (a *Attribute) parsePrefix(text string) ([]byte, error) {
	p, err := netip.ParsePrefix(text)
	if addr, aerr := netip.ParseAddr(text); err != nil && aerr == nil && addr.Zone() == "" {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || p.Addr().Is4() != (a.Type == TypeIPv4Prefix) {
		if a.Type == TypeIPv4Prefix {
			return nil, errors.New("an IPv4 prefix such as 100.64.0.0/24 would be right")
		}
		return nil, errors.New("an IPv6 prefix such as 2001:db8:1::/48 would be right")
	}
	return append([]byte{0, byte(p.Bits())}, p.Masked().Addr().AsSlice()...), nil
}

// parseIfID reads an interface identifier: four groups of hex digits.
func parseIfID(text string) ([]byte, error) {
	groups := strings.Split(text, ":")
	b := make([]byte, 0, 8)
	for _, g := range groups {
		n, err := parseUint("0x"+g, 0xffff)
		if err != nil || len(groups) != 4 {
			return nil, errors.New("four groups of hex digits such as 0:0:0:1 would be right")
		}
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return b, nil
}
