package store

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Escaping is how text of users stands in FreeRADIUS's tables.
type Escaping uint8

// The modes (radius-semantics §1.3).
const (
	EscapingAuto Escaping = iota // as detected at the first migrate
	EscapingSafe                 // FreeRADIUS's default: =HH outside its safe_characters
	EscapingRaw                  // FreeRADIUS's auto_escape = yes: text as it is
)

// String returns the name that options and radial.settings use.
func (e Escaping) String() string {
	switch e {
	case EscapingSafe:
		return "safe-characters"
	case EscapingRaw:
		return "raw"
	default:
		return "auto"
	}
}

// parseEscaping reads a mode's name; empty means auto.
func parseEscaping(s string) (Escaping, error) {
	switch s {
	case "", "auto":
		return EscapingAuto, nil
	case "safe-characters":
		return EscapingSafe, nil
	case "raw":
		return EscapingRaw, nil
	default:
		return EscapingAuto, fmt.Errorf("escaping %q: want auto, safe-characters or raw", s)
	}
}

// Escaper writes text of users into FreeRADIUS's tables, and reads it back, in
// the way that rlm_sql does. It has no parameters for its queries, so every
// byte outside its safe_characters is written as =HH, in look-ups as well as
// in inserts; valid multi-byte UTF-8 stays. The zero Escaper is the default
// mode, safe-characters.
//
// Which method for which column:
//   - EscapeUser: username, everywhere (rlm_sql's SQL-User-Name).
//   - Escape: every other text of a packet in radacct and radpostauth, and
//     groupname in radgroupcheck and radgroupreply (radusergroup.groupname is
//     only ever read, so it holds plain text).
//   - EscapeTwice: radacct.nasportid and radpostauth.pass, whose queries have
//     a nested fallback.
//
// Policy items (attribute, op, value) and the nas table are plain text.
type Escaper struct {
	raw bool
}

// NewEscaper returns the Escaper of a mode; auto counts as safe-characters.
func NewEscaper(mode Escaping) Escaper { return Escaper{raw: mode == EscapingRaw} }

// Mode tells which mode it is.
func (e Escaper) Mode() Escaping {
	if e.raw {
		return EscapingRaw
	}
	return EscapingSafe
}

const upperHex = "0123456789ABCDEF"

// safe tells whether rlm_sql's default safe_characters hold c.
func safe(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '@', '.', '-', '_', ':', ' ', '/':
		return true
	}
	return false
}

// Escape escapes a text once. What PostgreSQL cannot hold (NUL, bytes that are
// no UTF-8) is written as =HH in raw mode too. NULs at the end are dropped, as
// rlm_sql does; in the middle it cuts the text there, which we do not. A line
// break or tab at the very end makes it read on behind the text: nor do we.
func (e Escaper) Escape(s string) string {
	s = strings.TrimRight(s, "\x00")
	i := 0
	for i < len(s) && safe(s[i]) {
		i++
	}
	if i == len(s) {
		return s // nearly always: MAC addresses, session ids, names
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteString(s[:i])
	for i < len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			if _, n := utf8.DecodeRuneInString(s[i:]); n > 1 {
				b.WriteString(s[i : i+n])
				i += n
				continue
			}
			writeHex(&b, c)
			i++
			continue
		}
		if e.raw {
			if c == 0 {
				writeHex(&b, c)
			} else {
				b.WriteByte(c)
			}
			i++
			continue
		}
		i++
		short := shortEscape(c)
		if short == 0 {
			writeSafe(&b, c)
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(short)
		// rlm_sql goes on with the next byte as a byte, whatever it is.
		if i < len(s) {
			writeSafe(&b, s[i])
			i++
		}
	}
	return b.String()
}

// shortEscape returns the letter of \n, \r or \t, or 0.
func shortEscape(c byte) byte {
	switch c {
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	}
	return 0
}

func writeSafe(b *strings.Builder, c byte) {
	if safe(c) {
		b.WriteByte(c)
		return
	}
	writeHex(b, c)
}

func writeHex(b *strings.Builder, c byte) {
	b.WriteByte('=')
	b.WriteByte(upperHex[c>>4])
	b.WriteByte(upperHex[c&15])
}

// Unescape is the inverse of Escape. Text that Escape would not have written
// (rows of a panel or of a person) comes back as it stands.
func (e Escaper) Unescape(s string) string {
	if e.raw || strings.IndexByte(s, '=') < 0 && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '=' && i+2 < len(s) && isUpperHex(s[i+1]) && isUpperHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte("nrt", s[i+1]) >= 0:
			b.WriteByte(map3(s[i+1]))
			i++
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// map3 is the inverse of shortEscape.
func map3(letter byte) byte {
	switch letter {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	default:
		return '\t'
	}
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

// EscapeTwice is Escape of Escape.
func (e Escaper) EscapeTwice(s string) string { return e.Escape(e.Escape(s)) }

// UnescapeTwice is the inverse of EscapeTwice.
func (e Escaper) UnescapeTwice(s string) string { return e.Unescape(e.Unescape(s)) }

// EscapeUser escapes a user name. SQL-User-Name is first printed as the inside
// of a double-quoted string (backslash and quote get a backslash, control
// characters and bytes that are no UTF-8 become \n, \r, \t or three octal
// digits, one trailing NUL is dropped), then escaped.
func (e Escaper) EscapeUser(s string) string { return e.Escape(quoteUser(s)) }

// UnescapeUser is the inverse of EscapeUser.
func (e Escaper) UnescapeUser(s string) string { return unquoteUser(e.Unescape(s)) }

func plainInQuotes(c byte) bool { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' }

func quoteUser(s string) string {
	i := 0
	for i < len(s) && plainInQuotes(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	s = strings.TrimSuffix(s, "\x00")
	var b strings.Builder
	b.Grow(len(s) + 8)
	b.WriteString(s[:i])
	for i < len(s) {
		c := s[i]
		if _, n := utf8.DecodeRuneInString(s[i:]); n > 1 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case shortEscape(c) != 0:
			b.WriteByte('\\')
			b.WriteByte(shortEscape(c))
		case plainInQuotes(c):
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte('0' + c>>6)
			b.WriteByte('0' + c>>3&7)
			b.WriteByte('0' + c&7)
		}
	}
	return b.String()
}

func unquoteUser(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		rest := s[i+1:]
		switch {
		case s[i] != '\\' || rest == "":
			b.WriteByte(s[i])
		case rest[0] == '"' || rest[0] == '\\':
			b.WriteByte(rest[0])
			i++
		case strings.IndexByte("nrt", rest[0]) >= 0:
			b.WriteByte(map3(rest[0]))
			i++
		case len(rest) >= 3 && rest[0] <= '3' && isOctal(rest[0]) && isOctal(rest[1]) && isOctal(rest[2]):
			b.WriteByte((rest[0]-'0')<<6 | (rest[1]-'0')<<3 | (rest[2] - '0'))
			i += 3
		default:
			b.WriteByte('\\')
		}
	}
	return b.String()
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }
