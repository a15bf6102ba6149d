package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"radial/aaa"
	"radial/store"
)

// csvReader reads the records of a CSV by lines. A quote that is not closed
// takes nothing of other lines with it: where a cell may not go on in the next
// line, its line alone is wrong. encoding/csv knows no such bound.
type csvReader struct {
	in    *bufio.Reader
	comma string
	lists []bool   // by column: cells that may have several lines
	ahead []string // lines that were read and are not used yet
	line  int      // of the record that was read last, the first being 1
	lines int      // that record's
}

// newCSVReader passes by a byte order mark, and lets the first line tell what
// stands between columns: comma, semicolon or tab.
func newCSVReader(r io.Reader) (*csvReader, error) {
	c := &csvReader{in: bufio.NewReader(r), comma: ","}
	head, err := c.peek(0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	if err == nil {
		c.ahead[0] = strings.TrimPrefix(head, "\xef\xbb\xbf")
	}
	for _, sep := range []string{";", "\t"} {
		if strings.Count(head, sep) > strings.Count(head, c.comma) {
			c.comma = sep
		}
	}
	return c, nil
}

// peek is the nth line from here, without its end; io.EOF: there is none.
func (c *csvReader) peek(n int) (string, error) {
	for len(c.ahead) <= n {
		line, err := c.in.ReadString('\n')
		if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
			return "", err
		}
		c.ahead = append(c.ahead, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	}
	return c.ahead[n], nil
}

// read returns the cells of the next record; io.EOF is the end. One that is
// wrong is a store.LineError, after which the line behind its first is next.
// Lines of nothing but separators, as spreadsheets end with, are passed by.
func (c *csvReader) read() ([]string, error) {
	for {
		c.line, c.lines = c.line+max(c.lines, 1), 1
		cells, err := c.record()
		wrong, is := errors.AsType[cellError](err)
		if err != nil && !is {
			return nil, err
		}
		c.ahead = slices.Delete(c.ahead, 0, c.lines)
		if is {
			return nil, store.LineError{Line: c.line, Err: wrong}
		}
		if slices.ContainsFunc(cells, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			return cells, nil
		}
	}
}

// record takes the line that comes apart, and those that its cells go on in.
func (c *csvReader) record() ([]string, error) {
	rest, err := c.peek(0)
	if err != nil {
		return nil, err
	}
	var cells []string
	used := 1
	for {
		var cell string
		quoted, is := strings.CutPrefix(rest, `"`)
		if !is {
			var more bool
			cell, rest, more = strings.Cut(rest, c.comma)
			if cells = append(cells, cell); !more {
				break
			}
			continue
		}
		if cell, rest, err = c.quoted(quoted, len(cells), &used); err != nil {
			return nil, err
		}
		cells = append(cells, cell)
		if rest == "" {
			break
		}
		rest = rest[len(c.comma):]
	}
	c.lines = used
	return cells, nil
}

// cellError is what is wrong with a cell.
type cellError string

// Error tells it.
func (e cellError) Error() string { return string(e) }

// Unwrap: the input is wrong.
func (cellError) Unwrap() error { return aaa.ErrInvalid }

// quoted reads a cell from behind its quote: up to the one that closes it, which
// a separator or the line's end follows. Two of them are one that is meant.
func (c *csvReader) quoted(text string, column int, used *int) (cell, rest string, err error) {
	var b strings.Builder
	first := text
	for {
		before, after, closed := strings.Cut(text, `"`)
		b.WriteString(before)
		switch {
		case closed && strings.HasPrefix(after, `"`):
			b.WriteByte('"')
			text = after[1:]
		case closed && (after == "" || strings.HasPrefix(after, c.comma)):
			return b.String(), after, nil
		case closed:
			return "", "", cellError(fmt.Sprintf("cell %d: %.20q stands behind the quote that ends it: want %q or the end of the line there; a quote that is meant is written twice", column+1, after, c.comma))
		case column >= len(c.lists) || !c.lists[column]:
			return "", "", cellError(fmt.Sprintf("cell %d: the quote before %.20q is not closed in its line", column+1, first))
		default:
			if text, err = c.peek(*used); errors.Is(err, io.EOF) {
				return "", "", cellError(fmt.Sprintf("cell %d: the quote before %.20q is not closed", column+1, first))
			}
			if err != nil {
				return "", "", err
			}
			b.WriteByte('\n')
			*used++
		}
	}
}

// inOneLine is a text as it goes into a cell that is no list, with a blank for a
// line break: csvReader takes these in lists only.
func inOneLine(text string) string {
	if !strings.ContainsAny(text, "\r\n") {
		return text
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
