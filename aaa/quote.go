package aaa

import (
	"errors"
	"strings"
)

// unquote takes the quotes off a value that is fully wrapped in "…", '…' or
// `…`, and tells which they were (0: none). As FreeRADIUS's tokenizer it stops
// at the first bare quote (`"a" b"` is a), and a backslash before the quote
// takes it literally. All other escapes stay: see unescape.
func unquote(text string) (string, byte, error) {
	if text == "" {
		return "", 0, nil
	}
	q := text[0]
	if (q != '"' && q != '\'' && q != '`') || text[len(text)-1] != q {
		return text, 0, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == q:
			return b.String(), q, nil
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == q && q != '"':
			// inside "…" unescape does it
			i++
			b.WriteByte(q)
		case text[i] == '\\' && i+1 < len(text):
			b.WriteByte('\\')
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	return "", 0, errors.New("the value begins with a quote that never ends")
}

// lineValue writes an item's value as it can end a line of text: one with blanks at
// its ends, or with line ends, stands in quotes there, in which it is read as before.
func lineValue(value string) string {
	if value != "" && strings.TrimSpace(value) == value && !strings.ContainsAny(value, "\r\n") {
		return value
	}
	inner, quote, err := unquote(value)
	if err == nil {
		_, err = unescape(inner)
	}
	if err != nil || quote != 0 && quote != '"' {
		return value // nothing that a login reads, or a kind of quotes that has no word for a line's end
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '\\' && inner[i+1] != '\n' && inner[i+1] != '\r': // it is not the last: that is no escape
			b.WriteString(inner[i : i+2])
			i++
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '"':
			b.WriteString(`\"`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// readsAs tells whether a login reads the same of two values.
func readsAs(a, b string) bool {
	if a == b {
		return true
	}
	read := func(value string) (text string, template bool, err error) {
		text, quote, err := unquote(value)
		if err == nil {
			text, err = unescape(text)
		}
		return text, quote == '`', err
	}
	textA, templateA, errA := read(a)
	textB, templateB, errB := read(b)
	return errA == nil && errB == nil && textA == textB && templateA == templateB
}

// unescape resolves the backslashes of a string value as FreeRADIUS 3.2 does,
// quoted or not: \t \n \r \\ \" and three octal digits; any other backslash
// stands for itself. (Seen with 3.2.1.)
func unescape(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 == len(text) {
			return "", errors.New(`the value ends in a single backslash: write \\`)
		}
		switch c := text[i+1]; {
		case c == 't':
			b.WriteByte('\t')
		case c == 'n':
			b.WriteByte('\n')
		case c == 'r':
			b.WriteByte('\r')
		case c == '\\' || c == '"':
			b.WriteByte(c)
		case isOctal(text, i+1):
			b.WriteByte((c-'0')<<6 | (text[i+2]-'0')<<3 | (text[i+3] - '0'))
			i += 2
		default:
			b.WriteByte('\\')
			continue
		}
		i++
	}
	return b.String(), nil
}

func isOctal(s string, i int) bool {
	if i+2 >= len(s) || s[i] > '3' {
		return false
	}
	for _, c := range []byte(s[i : i+3]) {
		if c < '0' || c > '7' {
			return false
		}
	}
	return true
}
