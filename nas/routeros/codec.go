package routeros

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"radial/nas"
)

// encoder writes a typed object's fields as RouterOS takes them, and collects
// what no router would take. "" is a field that is not set.
type encoder struct {
	row  Row
	errs []error
}

func newEncoder() *encoder { return &encoder{row: Row{}} }

// done is the row, or all that is wrong, each with what would be right.
func (e *encoder) done(what string) (Row, error) {
	if len(e.errs) > 0 {
		return nil, fmt.Errorf("%s: %w", what, errors.Join(e.errs...))
	}
	return e.row, nil
}

func (e *encoder) wrong(field, value, want string) {
	e.errs = append(e.errs, &ValueError{Field: field, Value: value, Want: want})
}

// ValueError is a value that no router takes.
type ValueError struct{ Field, Value, Want string }

// Error names the field, the value and what would be right.
func (e *ValueError) Error() string { return fmt.Sprintf("%s %q: want %s", e.Field, e.Value, e.Want) }

func (e *encoder) text(field, v string) {
	if broken(v) {
		e.wrong(field, v, "a text without line breaks")
		return
	}
	e.row[field] = v
}

// broken tells whether a text has what none on a router may have.
func broken(v string) bool { return strings.ContainsAny(v, "\x00\r\n") }

// name judges an object's name, which is no field of its row (Identity).
func (e *encoder) name(v string) {
	switch {
	case v == "":
		e.wrong("name", v, "a name")
	case broken(v):
		e.wrong("name", v, "a text without line breaks")
	}
}

func (e *encoder) flag(field string, v bool) { e.row[field] = FormatBool(v) }

// secret is left out where it is empty: an object that is changed keeps it.
func (e *encoder) secret(field string, v nas.Secret) {
	if v != "" {
		e.text(field, v.Reveal())
	}
}

// oneOf takes one of some words; "" is fallback.
func (e *encoder) oneOf(field, v, fallback string, words ...string) {
	v = cmp.Or(v, fallback)
	if !slices.Contains(words, v) {
		e.wrong(field, v, "one of "+strings.Join(words, ", "))
		return
	}
	e.row[field] = v
}

func (e *encoder) duration(field string, s Span) {
	if s < 0 {
		e.wrong(field, time.Duration(s).String(), "a duration, not below 0")
	}
	e.row[field] = s.String()
}

func (e *encoder) count(field string, n uint64) { e.row[field] = strconv.FormatUint(n, 10) }

// address is an address, or "" for none.
func (e *encoder) address(field string, a netip.Addr) {
	if a.IsValid() {
		e.row[field] = a.String()
	} else {
		e.row[field] = ""
	}
}

// span reads an address, a network or a range, and returns its first address.
func span(s string) (first netip.Addr, ok bool) {
	if low, high, ok := strings.Cut(s, "-"); ok {
		a, errA := netip.ParseAddr(low)
		b, errB := netip.ParseAddr(high)
		return a, errA == nil && errB == nil && a.Is4() == b.Is4() && a.Compare(b) <= 0
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr(), p.Masked() == p
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// addressOrPool is an address, or the name of one of the router's pools.
func (e *encoder) addressOrPool(field, v string) {
	if strings.ContainsAny(v, " /,") {
		e.wrong(field, v, "an address or the name of a pool of the router")
		return
	}
	e.text(field, v)
}

// rates is upload/download in bits per second.
func (e *encoder) rates(field string, p RatePair) {
	if p.Up < 0 || p.Down < 0 {
		e.wrong(field, p.String(), "rates not below 0")
		return
	}
	e.row[field] = p.String()
}

// Span is a duration that JSON tells in whole seconds.
type Span time.Duration

// MarshalJSON is the number of seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, int64(time.Duration(s)/time.Second), 10), nil
}

// String is RouterOS's form, "" for none.
func (s Span) String() string {
	if s == 0 {
		return ""
	}
	return FormatDuration(time.Duration(s))
}

// RatePair is a rate in each direction, bits per second; 0 is unlimited. RouterOS
// writes upload/download, from its own side: what it receives stands first.
type RatePair struct {
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
}

// String is the pair as RouterOS takes it, in all versions.
func (p RatePair) String() string { return nas.FormatRate(p.Up) + "/" + nas.FormatRate(p.Down) }

// ParseRatePair reads what RouterOS writes: 20M/100M, 512000/512000; one value
// holds for both directions.
func ParseRatePair(s string) (p RatePair, err error) {
	if s == "" || s == "none" {
		return RatePair{}, nil
	}
	up, down := ParsePair(s)
	if p.Up, err = ParseRate(up); err != nil {
		return RatePair{}, err
	}
	p.Down, err = ParseRate(down)
	return p, err
}

// decoder reads a row's fields; what cannot be read is collected, and the rest
// is read all the same.
type decoder struct {
	row  Row
	errs []error
}

func (d *decoder) done(what string) error {
	if len(d.errs) > 0 {
		return fmt.Errorf("%s: %w", what, errors.Join(d.errs...))
	}
	return nil
}

func (d *decoder) failed(field string, err error) {
	if err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s: %w", field, err))
	}
}

func (d *decoder) text(field string) string { return d.row[field] }

// flag is false where the router does not tell.
func (d *decoder) flag(field string) bool {
	if d.row[field] == "" {
		return false
	}
	b, err := ParseBool(d.row[field])
	d.failed(field, err)
	return b
}

func (d *decoder) duration(field string) Span {
	t, err := ParseDuration(d.row[field])
	d.failed(field, err)
	return Span(t)
}

func (d *decoder) count(field string) uint64 {
	if d.row[field] == "" {
		return 0
	}
	n, err := strconv.ParseUint(d.row[field], 10, 64)
	d.failed(field, err)
	return n
}

func (d *decoder) address(field string) netip.Addr {
	if d.row[field] == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(d.row[field])
	d.failed(field, err)
	return a
}

func (d *decoder) rates(field string) RatePair {
	p, err := ParseRatePair(d.row[field])
	d.failed(field, err)
	return p
}

// words are a list with commas; none for "".
func (d *decoder) words(field string) []string {
	if d.row[field] == "" {
		return nil
	}
	return strings.Split(d.row[field], ",")
}
