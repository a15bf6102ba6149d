package aaa

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
)

// PasswordNone is the PasswordType of a subscriber whose device logs in by its
// MAC address alone, as DHCP and hotspots do: Auth-Type := Accept stands in
// place of a password, and Calling-Station-Id must be one of his.
const PasswordNone = "none"

// maxMACPattern bounds the check item of bound devices: what older columns hold.
const maxMACPattern = 253

// NormalMAC reads a MAC address in any usual form (with colons, hyphens, dots,
// or nothing between) and writes it as RouterOS does: AA:BB:CC:DD:EE:FF.
func NormalMAC(text string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(":-. ", r) {
			return -1
		}
		return r
	}, strings.ToUpper(strings.TrimSpace(text)))
	if len(digits) != 12 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("MAC address %q: want twelve hexadecimal digits, as AA:BB:CC:DD:EE:FF: %w", text, ErrInvalid)
	}
	var b strings.Builder
	for i := 0; i < 12; i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	if mac := b.String(); mac != "00:00:00:00:00:00" && mac != "FF:FF:FF:FF:FF:FF" {
		return mac, nil
	}
	return "", fmt.Errorf("MAC address %q: is no device's: %w", text, ErrInvalid)
}

// macPattern is the regular expression that a Calling-Station-Id of one of the
// devices matches, however the NAS writes it: in any case, with any separator or
// none, or as RouterOS writes the client-id of DHCP, with "1:" in front and no
// leading zeros. It means the same to POSIX, PCRE and Go.
func macPattern(macs []string) string {
	alternatives := make([]string, len(macs))
	for i, mac := range macs {
		var b strings.Builder
		for i, r := range mac {
			switch {
			case r == ':':
				b.WriteString("[:.-]?")
			case r == '0' && i%3 == 0:
				b.WriteString("0?")
			case r >= 'A':
				fmt.Fprintf(&b, "[%c%c]", r, r+'a'-'A')
			default:
				b.WriteRune(r)
			}
		}
		alternatives[i] = b.String()
	}
	return "^(1:)?(" + strings.Join(alternatives, "|") + ")$"
}

// macRows are the check items of bound devices, and of a login without password.
func macRows(s *Subscriber) []ProjectedRow {
	var rows []ProjectedRow
	if len(s.MACs) > 0 {
		rows = append(rows, ProjectedRow{Table: TableCheck, Name: s.Name, Item: Item{"Calling-Station-Id", "=~", macPattern(s.MACs)}})
	}
	if s.PasswordType == PasswordNone {
		rows = append(rows, ProjectedRow{Table: TableCheck, Name: s.Name, Item: Item{"Auth-Type", ":=", "Accept"}})
	}
	return rows
}

// validMACs holds bound devices to what a row takes, and a login without
// password to those that know the device.
func validMACs(s *Subscriber) error {
	for i, mac := range s.MACs {
		if normal, err := NormalMAC(mac); err != nil {
			return err
		} else if normal != mac || slices.Contains(s.MACs[:i], mac) {
			return fmt.Errorf("MAC address %q: given twice, or not as %s: %w", mac, normal, ErrInvalid)
		}
	}
	if n := len(macPattern(s.MACs)); len(s.MACs) > 0 && n > maxMACPattern {
		return fmt.Errorf("%d MAC addresses: too many for one check item (%d characters, %d at most); three always fit: %w", len(s.MACs), n, maxMACPattern, ErrInvalid)
	}
	if s.PasswordType != PasswordNone {
		return nil
	}
	switch {
	case len(s.MACs) == 0:
		return fmt.Errorf("user %q: without a password a device must be known by its MAC address: name the user by it, or give --mac: %w", s.Name, ErrInvalid)
	case slices.ContainsFunc(s.Checks, func(it Item) bool { return strings.EqualFold(it.Attribute, "Auth-Type") }):
		return fmt.Errorf("user %q: without a password Auth-Type is Accept already: %w", s.Name, ErrInvalid)
	}
	return nil
}

// validEmail refuses what no mail could be sent to; "" is none.
func validEmail(address string) error {
	if address == "" {
		return nil
	}
	if a, err := mail.ParseAddress(address); err != nil || a.Address != address || len(address) > 254 {
		return fmt.Errorf("e-mail address %q: want one like name@example.net: %w", address, ErrInvalid)
	}
	return nil
}
