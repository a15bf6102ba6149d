package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"radial/ipam"
	"radial/store"
)

// addressColumns are the columns of an address file, as export writes them.
func addressColumns() []string {
	return []string{"address", "vrf", "pool", "state", "username", "mac", "nas", "port", "session_id", "since", "until", "reason"}
}

// columnNamed is the column that a title of a spreadsheet means.
func columnNamed(title string) string {
	title = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "_")
	switch title {
	case "ip", "ip_address":
		return "address"
	case "user", "owner":
		return "username"
	case "mac_address":
		return "mac"
	case "description", "note", "comment":
		return "reason"
	}
	return title
}

// addressFile reads addresses of a CSV: a header, then a line each; comma,
// semicolon or tab, with a byte order mark or without.
type addressFile struct {
	csv     *csvReader
	columns []string // by position; "": ignored
	vrfs    map[string]int32
	zone    *time.Location
	now     time.Time
}

// newAddressFile reads the header. Columns that it does not know are an error
// unless they are in ignore.
func newAddressFile(r io.Reader, vrfs map[int32]string, zone *time.Location, now time.Time, ignore []string) (*addressFile, error) {
	in, err := newCSVReader(r)
	if err != nil {
		return nil, err
	}
	f := &addressFile{csv: in, vrfs: make(map[string]int32, len(vrfs)), zone: zone, now: now}
	for id, name := range vrfs {
		f.vrfs[name] = id
	}
	titles, err := f.csv.read()
	if errors.Is(err, io.EOF) {
		return nil, usagef("the file is empty: want a header with columns of %s", strings.Join(addressColumns(), ", "))
	}
	if _, wrong := errors.AsType[store.LineError](err); wrong {
		return nil, usagef("%w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return f, f.header(titles, ignore)
}

func (f *addressFile) header(titles, ignore []string) error {
	var unknown []string
	for _, title := range titles {
		column := columnNamed(title)
		switch known := slices.Contains(addressColumns(), column); {
		case slices.ContainsFunc(ignore, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), strings.TrimSpace(title)) }), column == "":
			column = ""
		case !known:
			unknown = append(unknown, strings.TrimSpace(title))
			continue
		case slices.Contains(f.columns, column):
			return usagef("line 1: column %s is there twice", column)
		}
		f.columns = append(f.columns, column)
	}
	if len(unknown) > 0 {
		return usagef("line 1: unknown column %s: want some of %s (or --ignore %q)", `"`+strings.Join(unknown, `", "`)+`"`, strings.Join(addressColumns(), ", "),
			strings.Join(unknown, ","))
	}
	if !slices.Contains(f.columns, "address") {
		return usagef("line 1: there is no column address; want some of %s", strings.Join(addressColumns(), ", "))
	}
	return nil
}

// next reads a line; io.EOF is the end. A line that is wrong is a
// store.LineError, after which the next one can be read.
func (f *addressFile) next() (store.AddressLine, error) {
	cells, err := f.csv.read()
	if errors.Is(err, io.EOF) {
		return store.AddressLine{}, io.EOF
	}
	if _, wrong := errors.AsType[store.LineError](err); wrong {
		return store.AddressLine{}, err
	}
	if err != nil {
		return store.AddressLine{}, fmt.Errorf("read: %w", err)
	}
	line := f.csv.line
	if len(cells) > len(f.columns) {
		return store.AddressLine{}, store.LineError{Line: line, Err: fmt.Errorf("%d cells, and the header has %d", len(cells), len(f.columns))}
	}
	l, err := f.line(cells)
	if l.Line = line; err != nil {
		return l, store.LineError{Line: line, Err: err}
	}
	return l, nil
}

// line reads the cells of a line, all that is wrong with them at once.
func (f *addressFile) line(cells []string) (store.AddressLine, error) {
	l := store.AddressLine{Address: store.Address{VRF: 1}}
	var errs []error
	for i, text := range cells {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if err := f.cell(&l, f.columns[i], strings.Clone(text)); err != nil {
			errs = append(errs, err)
		}
	}
	if !l.Address.Address.IsValid() && len(errs) == 0 {
		errs = append(errs, errors.New("the address is missing"))
	}
	if l.State == "" {
		l.State = "reserved"
	}
	if len(errs) == 0 {
		errs = append(errs, f.possible(&l))
	}
	return l, errors.Join(errs...)
}

func (f *addressFile) cell(l *store.AddressLine, column, text string) (err error) {
	switch column {
	case "address":
		l.Address.Address, err = parseWhere(text)
		if given, e := netip.ParsePrefix(text); err == nil && e == nil && given != l.Address.Address {
			err = fmt.Errorf("address %s: host bits are set: want %s, or %s without a length", text, l.Address.Address, given.Addr())
		}
	case "vrf":
		id, ok := f.vrfs[text]
		if l.VRF = id; !ok {
			err = fmt.Errorf("there is no VRF %q", text)
		}
	case "pool":
		l.Pool = text
	case "state":
		if l.State = strings.ToLower(text); !slices.Contains(addressStates(), l.State) {
			err = fmt.Errorf("state %q: want one of %s", text, strings.Join(addressStates(), ", "))
		}
	case "username":
		l.User = text
	case "mac":
		l.MAC = ipam.NormaliseMAC(text)
	case "nas":
		if l.NAS, err = netip.ParseAddr(text); err != nil {
			err = fmt.Errorf("nas %q: want an address", text)
		}
	case "port":
		l.Port = text
	case "session_id":
		l.Session = text
	case "since":
		l.Since, err = f.time(column, text)
	case "until":
		l.Until, err = f.time(column, text)
	case "reason":
		l.Reason = text
	}
	return err
}

// time reads a time as whohad does. How long ago something ends is no word for
// when it will.
func (f *addressFile) time(column, text string) (*time.Time, error) {
	if _, ago := parseAgo(text); ago && column == "until" {
		return nil, fmt.Errorf("%s %q: that is so long before now: want the time itself, like 2026-11-03T02:14:00+01:00", column, text)
	}
	t, err := parseMoment(text, f.zone, f.now)
	if err != nil {
		return nil, fmt.Errorf("%s %w", column, err)
	}
	return &t, nil
}

// clockDifference is how far the clocks of two systems may be apart.
const clockDifference = time.Minute

// possible tells of a lease that nobody can have, and of times that cannot be.
func (f *addressFile) possible(l *store.AddressLine) error {
	var errs []error
	if (l.State == "bound" || l.State == "offered") && l.User == "" && l.MAC == "" {
		errs = append(errs, fmt.Errorf("state %s: nobody has it: want a username or a mac", l.State))
	}
	if l.Since != nil && l.Since.After(f.now.Add(clockDifference)) {
		errs = append(errs, fmt.Errorf("since %s is yet to come: want when it began", stamp(*l.Since, f.zone)))
	}
	if l.Since != nil && l.Until != nil && !l.Since.Before(*l.Until) {
		errs = append(errs, fmt.Errorf("since %s is not before until %s", stamp(*l.Since, f.zone), stamp(*l.Until, f.zone)))
	}
	return errors.Join(errs...)
}

// addressCells are the cells of an address, in the order of addressColumns.
func addressCells(a store.Address, vrfs map[int32]string) []string {
	cells := []string{addressText(a.Address), vrfs[a.VRF], a.Pool, a.State, a.User, a.MAC, "", a.Port, a.Session, timeCell(a.Since), timeCell(a.Until), a.Reason}
	if a.NAS.IsValid() {
		cells[6] = a.NAS.String()
	}
	if a.State == "free" {
		cells[8], cells[10] = "", ""
	}
	for i := range cells {
		cells[i] = inOneLine(cells[i])
	}
	return cells
}

func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
