package aaa

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"radial/nas"
)

// Fields are what a file says of one subscriber or package: texts by the names
// of SubscriberFields or PackageFields. One that is empty or absent says nothing;
// Taken takes the value away. Lists have a line for each entry.
type Fields map[string]string

// Taken is the text of a field whose value is to be taken away.
const Taken = "-"

// Field is one that a file may have.
type Field struct {
	Name string
	List bool
	Help string
}

// FieldError tells what is wrong with one field.
type FieldError struct {
	Field string
	Err   error
}

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

// fieldReader reads fields and collects all that is wrong with them.
type fieldReader struct {
	fields Fields
	errs   []error
}

// wrong notes an error of a field.
func (r *fieldReader) wrong(name string, err error) {
	r.errs = append(r.errs, &FieldError{name, err})
}

// lines are the entries of a list; said is false where the file says nothing of
// it. It is not nil where it is said.
func (r *fieldReader) lines(name string) (all []string, said bool) {
	text := strings.TrimSpace(r.fields[name])
	if text == "" {
		return nil, false
	}
	all = []string{}
	if text == Taken {
		return all, true
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, true
}

// words are the entries of a list whose entries have neither blanks nor commas.
func (r *fieldReader) words(name string) (all []string, said bool) {
	lines, said := r.lines(name)
	for _, line := range lines {
		all = append(all, strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(",; \t", c) })...)
	}
	if said && all == nil {
		all = []string{}
	}
	return all, said
}

// take reads a field of one value: to gets it, or the zero value where it is
// taken away, and is left where nothing is said.
func take[T any](r *fieldReader, name string, to **T, parse func(string) (T, error)) {
	text := strings.TrimSpace(r.fields[name])
	if text == "" {
		return
	}
	var v T
	if text != Taken {
		var err error
		if v, err = parse(text); err != nil {
			r.wrong(name, err)
			return
		}
	}
	*to = &v
}

// asText takes a text as it stands.
func asText[T ~string](text string) (T, error) { return T(text), nil }

// takeText is take for a text of which blanks are a part.
func takeText(r *fieldReader, name string, to **string) {
	take(r, name, to, func(string) (string, error) { return r.fields[name], nil })
}

// items reads a list of items of a table, and holds them to what it takes.
func (p *Provisioner) items(r *fieldReader, name string, table Table) (items []Item, said bool) {
	lines, said := r.lines(name)
	valid := p.replyItem
	if table == TableCheck || table == TableGroupCheck {
		valid = p.checkItem
	}
	for _, line := range lines {
		it, err := ParseItem(line)
		if err != nil {
			r.wrong(name, err)
			continue
		}
		items = append(items, it)
	}
	for _, it := range p.normalItems(items) {
		if err := valid(table, it); err != nil {
			r.wrong(name, err)
		}
	}
	return items, said
}

// quotas reads a list of quotas and steps.
func (r *fieldReader) quotas(name string) (c QuotaChange) {
	lines, said := r.lines(name)
	if said {
		c.Quotas, c.Steps = []Quota{}, []Quota{}
	}
	for _, line := range lines {
		q, err := ParseQuota(line)
		switch {
		case err != nil:
			r.wrong(name, err)
		case q.Step():
			c.Steps = append(c.Steps, q)
		default:
			c.Quotas = append(c.Quotas, q)
		}
	}
	return c
}

// asOneOf reads one of some words.
func asOneOf[T ~string](what string, all []T) func(string) (T, error) {
	return func(text string) (T, error) {
		if v := T(strings.ToLower(text)); slices.Contains(all, v) {
			return v, nil
		}
		return "", fmt.Errorf("%s %q: one of %s: %w", what, text, joined(all), ErrInvalid)
	}
}

// asNumber reads a whole number between two bounds.
func asNumber(what string, low, high int64) func(string) (int64, error) {
	return func(text string) (int64, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%s %q: want a number from %d to %d: %w", what, text, low, high, ErrInvalid)
		}
		return n, nil
	}
}

// asRate reads bits per second.
func asRate(text string) (int64, error) {
	bits, err := nas.ParseRate(text)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if bits > 0 && bits < 1000 {
		return 0, fmt.Errorf("rate %q: that is %d bits per second; write %sM for megabits: %w", text, bits, text, ErrInvalid)
	}
	return bits, nil
}

// ParseQuota reads VOLUME[:period[:counts]], for a step with =DOWN/UP behind it,
// for what is carried over with +carry: "100G:month:total+carry",
// "50G:month=10M/2M", "unlimited:day". Without a word the period is a month, and
// all octets count; "unlimited" alone is LiftAll.
func ParseQuota(text string) (q Quota, err error) {
	bad := func() (Quota, error) {
		return Quota{}, fmt.Errorf("quota %q: want VOLUME[:period[:counts]], as 100G or 5G:day:down, or a step, as 100G:month=10M/2M: %w", text, ErrInvalid)
	}
	rest, carry := strings.CutSuffix(strings.TrimSpace(text), "+carry")
	if rest == unlimited {
		return LiftAll(), nil
	}
	rest, rates, step := strings.Cut(rest, "=")
	volume, rest, _ := strings.Cut(rest, ":")
	period, counts, _ := strings.Cut(rest, ":")
	q = Quota{Period: PeriodMonth, Counts: CountsTotal, CarryOver: carry}
	if period != "" {
		q.Period = Period(period)
	}
	if counts != "" {
		q.Counts = Counts(counts)
	}
	if !slices.Contains(Periods, q.Period) || !slices.Contains(AllCounts, q.Counts) {
		return bad()
	}
	if step {
		down, up, both := strings.Cut(rates, "/")
		var errUp error
		q.RateDown, err = asRate(down)
		q.RateUp, errUp = asRate(up)
		if !both || err != nil || errUp != nil || !q.Step() {
			return bad()
		}
	}
	if volume == unlimited && !step {
		q.Octets = Unlimited
		return q, nil
	}
	if q.Octets, err = ParseOctets(volume); err != nil || q.Octets == 0 {
		return bad()
	}
	return q, nil
}

// unlimited is the word for Unlimited.
const unlimited = "unlimited"

// Text writes a quota as ParseQuota reads it, to the octet.
func (q *Quota) Text() string {
	if *q == LiftAll() {
		return unlimited
	}
	volume := strconv.FormatInt(q.Octets, 10)
	switch {
	case q.Octets == Unlimited:
		volume = unlimited
	case q.Octets%1e9 == 0:
		volume = strconv.FormatInt(q.Octets/1e9, 10) + "G"
	case q.Octets%1e6 == 0:
		volume = strconv.FormatInt(q.Octets/1e6, 10) + "M"
	}
	text := volume + ":" + string(q.Period) + ":" + string(q.Counts)
	if q.Step() {
		text += "=" + nas.FormatRate(q.RateDown) + "/" + nas.FormatRate(q.RateUp)
	}
	if q.CarryOver {
		text += "+carry"
	}
	return text
}

// quotaLines writes a list of them.
func quotaLines(all []Quota) string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].Text()
	}
	return strings.Join(texts, "\n")
}

// asStored gives items that read as what is there already the words that it has there:
// saying it once more is no change.
func asStored(items, have []Item) []Item {
	out := slices.Clone(items)
	for i, it := range out {
		for _, h := range have {
			if h.Attribute == it.Attribute && h.Op == it.Op && readsAs(h.Value, it.Value) {
				out[i].Value = h.Value
			}
		}
	}
	return out
}

// itemLines writes items as ParseItem reads them, secrets in clear.
func itemLines(all []Item) string {
	texts := make([]string, len(all))
	for i, it := range all {
		texts[i] = it.Attribute + " " + it.Op + " " + lineValue(it.Value)
	}
	return strings.Join(texts, "\n")
}
