package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"radial/aaa"
	"radial/store"
)

// record is one subscriber or package of a file, and the line it begins on.
type record struct {
	line   int
	fields aaa.Fields
}

// fieldsFile is a file of subscribers or packages: CSV with a header, or JSON,
// an array of objects or one object after the other.
type fieldsFile struct {
	name    string
	known   []aaa.Field
	ignore  []string
	records []record
	wrong   []store.LineError
}

// readFields reads a whole file, or stdin for "-". What is wrong with single
// records is noted in the result; a header that cannot be used is an error.
func (a *app) readFields(name, format string, known []aaa.Field, ignore []string) (*fieldsFile, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(a.stdin)
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, usagef("%w", err)
	}
	f := &fieldsFile{name: filepath.Base(name), known: known, ignore: ignore}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if format == "" {
		format = "csv"
		if start := bytes.TrimSpace(data); len(start) > 0 && (start[0] == '[' || start[0] == '{') {
			format = "json"
		}
	}
	switch {
	case format != "json" && format != "csv":
		err = usagef("--format %q: csv or json", format)
	case len(bytes.TrimSpace(data)) == 0:
		err = usagef("%s is empty", f.name)
	case format == "json":
		err = f.json(data)
	default:
		err = f.csv(data)
	}
	return f, err
}

func (f *fieldsFile) note(line int, err error) {
	f.wrong = append(f.wrong, store.LineError{Line: line, Err: err})
}

// field is the name of a field that a title means; ok is false where nothing is
// known by it, and "" is one that does not matter.
func (f *fieldsFile) field(title string) (name string, ok bool) {
	title = strings.TrimSpace(title)
	if title == "" || slices.ContainsFunc(f.ignore, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), title) }) {
		return "", true
	}
	name = strings.ReplaceAll(strings.ToLower(title), " ", "_")
	if other, is := map[string]string{"user": "username", "e-mail": "email", "mac": "macs", "ip": "static_ip", "expires": "expires_at", "mac_address": "macs"}[name]; is {
		name = other
	}
	return name, slices.ContainsFunc(f.known, func(k aaa.Field) bool { return k.Name == name })
}

func (f *fieldsFile) names() string { return strings.Join(fieldNames(f.known), ", ") }

func fieldNames(known []aaa.Field) []string {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.Name
	}
	return names
}

func (f *fieldsFile) csv(data []byte) error {
	r, err := newCSVReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	titles, err := r.read()
	if _, wrong := errors.AsType[store.LineError](err); wrong {
		return usagef("%s: %w", f.name, err)
	}
	if err != nil {
		return usagef("%s: there is no header; want one with some of %s", f.name, f.names())
	}
	r.lists = make([]bool, len(titles))
	columns := make([]string, len(titles))
	var unknown []string
	for i, title := range titles {
		name, ok := f.field(title)
		if !ok {
			unknown = append(unknown, strings.TrimSpace(title))
		}
		if name != "" && slices.Contains(columns[:i], name) {
			return usagef("%s: line 1: column %s is there twice", f.name, name)
		}
		columns[i] = name
		r.lists[i] = slices.ContainsFunc(f.known, func(k aaa.Field) bool { return k.List && k.Name == name })
	}
	if len(unknown) > 0 {
		return usagef("%s: line 1: unknown column %q: want some of %s (or --ignore %q)", f.name, strings.Join(unknown, ", "), f.names(), strings.Join(unknown, ","))
	}
	if !slices.Contains(columns, f.known[0].Name) {
		return usagef("%s: line 1: there is no column %s; want some of %s", f.name, f.known[0].Name, f.names())
	}
	for {
		cells, err := r.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if wrong, ok := errors.AsType[store.LineError](err); ok {
			f.wrong = append(f.wrong, wrong)
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		line := r.line
		if len(cells) > len(columns) {
			f.note(line, fmt.Errorf("%d cells, and the header has %d: %w", len(cells), len(columns), aaa.ErrInvalid))
			continue
		}
		fields := aaa.Fields{}
		for i, cell := range cells {
			if columns[i] != "" {
				fields[columns[i]] = cell
			}
		}
		f.records = append(f.records, record{line, fields})
	}
}

func (f *fieldsFile) json(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	line := lineCounter{data: data}
	array := bytes.TrimSpace(data)[0] == '['
	if array {
		if _, err := d.Token(); err != nil {
			return usagef("%s: %w", f.name, err)
		}
	}
	for d.More() {
		at := line.of(d.InputOffset(), true)
		var object map[string]any
		if err := d.Decode(&object); err != nil {
			if _, kind := errors.AsType[*json.UnmarshalTypeError](err); kind {
				f.note(at, fmt.Errorf("want an object like {%q: …}: %w", f.known[0].Name, aaa.ErrInvalid))
				continue
			}
			return usagef("%s: line %d: %w", f.name, line.of(d.InputOffset(), false), err)
		}
		fields, ok := aaa.Fields{}, true
		for _, key := range sortedKeys(object) {
			name, known := f.field(key)
			text, err := fieldText(object[key])
			if !known {
				err = fmt.Errorf("unknown; want some of %s: %w", f.names(), aaa.ErrInvalid)
			}
			if err != nil {
				ok = false
				f.note(at, fmt.Errorf("field %q: %w", key, err))
			} else if name != "" {
				fields[name] = text
			}
		}
		if ok {
			f.records = append(f.records, record{at, fields})
		}
	}
	if array {
		if _, err := d.Token(); err != nil {
			return usagef("%s: line %d: the list does not end with ]", f.name, line.of(int64(len(data)), false))
		}
	}
	return nil
}

// fieldText is the text of a value of JSON: a list has a line for each entry,
// null says nothing.
func fieldText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return fmt.Sprint(v), nil
	case []any:
		texts := make([]string, len(v))
		for i, one := range v {
			text, ok := one.(string)
			if !ok || strings.Contains(text, "\n") {
				return "", fmt.Errorf("%v: want texts in the list: %w", one, aaa.ErrInvalid)
			}
			texts[i] = text
		}
		return strings.Join(texts, "\n"), nil
	}
	return "", fmt.Errorf("want a text, a number or a list of texts: %w", aaa.ErrInvalid)
}

// lineCounter tells lines of rising offsets.
type lineCounter struct {
	data []byte
	at   int
	line int
}

// of is the line of an offset, or where next is set, of what begins behind it.
func (c *lineCounter) of(offset int64, next bool) int {
	end := min(int(offset), len(c.data))
	for next && end < len(c.data) && strings.IndexByte(" \t\r\n,", c.data[end]) >= 0 {
		end++
	}
	if end > c.at {
		c.line += bytes.Count(c.data[c.at:end], []byte("\n"))
		c.at = end
	}
	return c.line + 1
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// refused tells all that is wrong, by line.
func (f *fieldsFile) refused() error {
	slices.SortStableFunc(f.wrong, func(a, b store.LineError) int { return a.Line - b.Line })
	var errs []error
	for i, w := range f.wrong {
		if i == maxLineErrors {
			errs = append(errs, fmt.Errorf("and %d more", len(f.wrong)-i))
			break
		}
		errs = append(errs, fmt.Errorf("line %d: %s", w.Line, strings.ReplaceAll(errorText(w.Err), "\n", "; ")))
	}
	errs = append(errs, fmt.Errorf("nothing was changed: %w", aaa.ErrInvalid))
	return fmt.Errorf("%s: %w", f.name, errors.Join(errs...))
}
