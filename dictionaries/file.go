package dictionaries

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// maxInclude bounds how deep $INCLUDE may nest.
const maxInclude = 32

// reader reads files of FreeRADIUS's dictionary syntax into a Dictionary.
type reader struct {
	d      *Dictionary
	read   func(path string) ([]byte, error)
	files  []string // the files that are being read, outermost first
	late   []lateValue
	origin origin
}

// origin says which rules hold for redefinitions.
type origin uint8

const (
	embedded origin = iota // our own files: nothing may be defined twice
	operator               // on top of ours: may repeat, not change
	tree                   // a FreeRADIUS tree by itself: FreeRADIUS's rules, the last one wins
)

// lateValue is a VALUE line that stood before its attribute.
type lateValue struct {
	at              position
	attr, name, num string
}

// position is a place in a file, for errors.
type position struct {
	file string
	line int
}

// lineError is an error with its place.
type lineError struct {
	at  position
	err error
}

func (e *lineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.at.file, e.at.line, e.err) }

func (e *lineError) Unwrap() error { return e.err }

func (p position) errorf(format string, args ...any) error {
	return &lineError{at: p, err: fmt.Errorf(format, args...)}
}

// block is what BEGIN-… lines have opened in one file.
type block struct {
	vendor   *Vendor
	vendorAt int
	parent   *Attribute   // the evs of BEGIN-VENDOR … format=, or the innermost BEGIN-TLV
	evs      *Attribute   // parent outside of all BEGIN-TLV
	tlvs     []*Attribute // open BEGIN-TLV, outermost first
	internal bool         // FLAGS internal
}

// file reads one file and what it includes.
func (r *reader) file(path string) error {
	if slices.Contains(r.files, path) {
		return fmt.Errorf("%s includes itself (by way of %s)", path, strings.Join(r.files, ", "))
	}
	if len(r.files) >= maxInclude {
		return fmt.Errorf("%s: $INCLUDE nests deeper than %d files", path, maxInclude)
	}
	text, err := r.read(path)
	if err != nil {
		return fmt.Errorf("read dictionary: %w", err)
	}
	r.files = append(r.files, path)
	defer func() { r.files = r.files[:len(r.files)-1] }()

	var b block
	at := position{file: path}
	for line := range strings.Lines(string(text)) {
		at.line++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := r.line(at, &b, words); err != nil {
			return err
		}
	}
	if n := len(b.tlvs); n > 0 {
		return at.errorf("end of file inside BEGIN-TLV %s; END-TLV %[1]s is missing", b.tlvs[n-1].Name)
	}
	if b.vendor != nil {
		return at.errorf("end of file inside BEGIN-VENDOR %s (line %d); END-VENDOR %[1]s is missing", b.vendor.Name, b.vendorAt)
	}
	return nil
}

// line reads one line that is not empty.
func (r *reader) line(at position, b *block, words []string) error {
	keyword, args := strings.ToUpper(words[0]), words[1:]
	switch keyword {
	case "ATTRIBUTE":
		return r.attribute(at, b, args)
	case "VALUE":
		return r.value(at, args)
	case "VALUE-ALIAS":
		return r.valueAlias(at, args)
	case "VENDOR":
		return r.vendor(at, args)
	case "BEGIN-VENDOR":
		return r.beginVendor(at, b, args)
	case "END-VENDOR":
		return r.endVendor(at, b, args)
	case "BEGIN-TLV":
		return r.beginTLV(at, b, args)
	case "END-TLV":
		return r.endTLV(at, b, args)
	case "FLAGS":
		return r.flags(at, b, args)
	case "$INCLUDE", "$INCLUDE-":
		return r.include(at, keyword == "$INCLUDE-", args)
	}
	return at.errorf("%q is no keyword of a dictionary; ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR, "+
		"BEGIN-TLV, END-TLV, $INCLUDE or $INCLUDE- would be right", words[0])
}

// include reads a file named by $INCLUDE, relative to the file it stands in;
// $INCLUDE- passes over a file that is not there.
func (r *reader) include(at position, optional bool, args []string) error {
	if len(args) != 1 {
		return at.errorf("$INCLUDE has %d words after it; one file name would be right", len(args))
	}
	path := args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(at.file), path)
	}
	err := r.file(path)
	var inside *lineError
	switch {
	case err == nil || errors.As(err, &inside):
		return err // inside names its own file and line
	case optional && errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return at.errorf("$INCLUDE %s: %w", args[0], err)
}

// flags reads `FLAGS internal` and `FLAGS !internal`, which newer FreeRADIUS
// files put before attributes that are never sent.
func (r *reader) flags(at position, b *block, args []string) error {
	for _, word := range args {
		switch word {
		case "internal":
			b.internal = true
		case "!internal":
			b.internal = false
		default:
			return at.errorf("flag %q is unknown; internal or !internal would be right", word)
		}
	}
	return nil
}

// finish resolves the VALUE lines that stood before their attributes. Such a
// name never prints where a name of the usual order stands for the same number
// (this is how FreeRADIUS keeps old names readable).
func (r *reader) finish() error {
	for _, v := range r.late {
		a := r.d.Find(v.attr)
		if a == nil {
			return v.at.errorf("VALUE for %q, which no ATTRIBUTE line defines", v.attr)
		}
		if err := r.addValue(v.at, a, v.name, v.num, true); err != nil {
			return err
		}
	}
	r.late = nil
	return nil
}
