package scenario

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ParseFile reads a scenario file.
func ParseFile(path string) ([]Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(filepath.Base(path), string(text))
}

// Parse reads the cases of a file's text. An error names file, line and what
// would be right.
func Parse(file, text string) ([]Case, error) {
	p := parser{file: file, settings: map[string]string{}}
	for i, line := range strings.Split(text, "\n") {
		p.line = i + 1
		line = strings.TrimRight(strings.TrimLeft(line, " \t"), " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.statement(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %q: %w", file, p.line, line, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, p.line, err)
	}
	return p.cases, nil
}

// parser is the state between lines.
type parser struct {
	file     string
	line     int
	settings map[string]string // before the first case: for all
	cases    []Case
	answered bool // the last login has its accept or reject
}

// statements are the words that begin a line, and what reads the rest of it.
var statements = map[string]func(*parser, string) error{
	"case":          (*parser).caseLine,
	"setting":       (*parser).setting,
	"clock":         (*parser).clock,
	"wire":          (*parser).wire,
	"radcheck":      rowOf("radcheck"),
	"radreply":      rowOf("radreply"),
	"radgroupcheck": rowOf("radgroupcheck"),
	"radgroupreply": rowOf("radgroupreply"),
	"radusergroup":  (*parser).membership,
	"session":       (*parser).session,
	"nasreload":     (*parser).reload,
	"login":         (*parser).login,
	"attr":          (*parser).attr,
	"accept":        (*parser).accept,
	"reject":        (*parser).reject,
	"silence":       (*parser).silence,
	"radial":        (*parser).radial,
	"pool":          (*parser).pool,
	"nas":           (*parser).nas,
	"fails":         (*parser).fails,
	"prints":        (*parser).prints,
	"start":         accounting("start"),
	"interim":       accounting("interim"),
	"stop":          accounting("stop"),
	"on":            accounting("on"),
	"off":           accounting("off"),
	"expect":        (*parser).expect,
	"history":       (*parser).history,
	"same":          func(p *parser, rest string) error { return p.likeness("same", rest) },
	"other":         func(p *parser, rest string) error { return p.likeness("other", rest) },
}

func (p *parser) statement(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	if read, ok := statements[word]; ok {
		if len(p.cases) == 0 && word != "case" && word != "setting" {
			return errors.New("this belongs to a case: begin with 'case NUMBER TITLE'")
		}
		return read(p, strings.TrimLeft(rest, " \t"))
	}
	return p.item(line)
}

// finish looks at the case that ends.
func (p *parser) finish() error {
	if len(p.cases) == 0 {
		return nil
	}
	c := p.current()
	if len(c.Steps) == 0 || len(c.Logins) > 0 && !p.answered {
		return fmt.Errorf("case %s ends without a login and its accept or reject", c.Number)
	}
	return nil
}

func (p *parser) current() *Case { return &p.cases[len(p.cases)-1] }

func (p *parser) caseLine(rest string) error {
	if err := p.finish(); err != nil {
		return err
	}
	number, title, _ := strings.Cut(rest, " ")
	if number == "" || title == "" {
		return errors.New("want 'case NUMBER TITLE'; the number is that of the golden case, or -")
	}
	p.cases = append(p.cases, Case{File: p.file, Line: p.line, Number: number, Title: title, Settings: maps.Clone(p.settings)})
	p.answered = false
	return nil
}

func (p *parser) setting(rest string) error {
	key, value, ok := strings.Cut(rest, "=")
	if !ok {
		return errors.New("want 'setting KEY = VALUE'")
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if len(p.cases) == 0 {
		p.settings[key] = value
	} else {
		p.current().Settings[key] = value
	}
	return nil
}

func (p *parser) clock(rest string) error {
	p.current().Clock = rest
	return nil
}

func (p *parser) wire(string) error {
	p.current().Wire = true
	return nil
}

// rowOf reads NAME ATTRIBUTE OP VALUE; the value is the rest of the line as it
// stands in the column.
func rowOf(table string) func(*parser, string) error {
	return func(p *parser, rest string) error {
		name, rest, err := word(rest)
		if err != nil {
			return err
		}
		attribute, rest, _ := strings.Cut(rest, " ")
		op, value, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		if attribute == "" || op == "" {
			return fmt.Errorf("want '%s NAME ATTRIBUTE OP VALUE'", table)
		}
		if op == "(none)" {
			op = ""
		}
		value = strings.TrimLeft(value, " ")
		if value == "(empty)" {
			value = ""
		}
		p.current().Rows = append(p.current().Rows, Row{Table: table, Name: name, Attribute: attribute, Op: op, Value: value})
		return nil
	}
}

func (p *parser) membership(rest string) error {
	want := errors.New("want 'radusergroup USER GROUP PRIORITY'")
	user, rest, err := word(rest)
	if err != nil {
		return err
	}
	f := strings.Fields(rest)
	if len(f) != 2 {
		return want
	}
	n, err := strconv.ParseInt(f[1], 10, 32)
	if err != nil {
		return want
	}
	p.current().Groups = append(p.current().Groups, Membership{User: user, Group: f[0], Priority: int32(n)})
	return nil
}

func (p *parser) session(rest string) error {
	user, rest, err := word(rest)
	if err != nil {
		return err
	}
	s := Session{User: user, NAS: "10.0.0.1"}
	f := strings.Fields(rest)
	for i := 0; i < len(f); i += 2 {
		numbers := map[string]*int64{"time": &s.Time, "up": &s.Up, "down": &s.Down}
		var err error
		switch {
		case i+1 < len(f) && f[i] == "nas":
			s.NAS = f[i+1]
		case i+1 < len(f) && f[i] == "mac":
			s.Calling = f[i+1]
		case i+1 < len(f) && numbers[f[i]] != nil:
			s.Used = true
			*numbers[f[i]], err = strconv.ParseInt(f[i+1], 10, 64)
		default:
			err = errors.New("no such word")
		}
		if err != nil {
			return errors.New("want 'session USER [nas ADDRESS] [mac CALLING-STATION-ID] [time SECONDS] [up OCTETS] [down OCTETS]'")
		}
	}
	p.current().Sessions = append(p.current().Sessions, s)
	return nil
}

func (p *parser) reload(rest string) error {
	if rest == "" {
		return errors.New("want 'nasreload ADDRESS'")
	}
	p.current().Reloads = append(p.current().Reloads, Reload{NAS: rest, Before: len(p.current().Sessions)})
	return nil
}

// methods are the ways to send a password.
var methods = []string{"pap", "chap", "mschapv1", "mschapv2", "none"}

func (p *parser) login(rest string) error {
	c := p.current()
	if len(c.Logins) > 0 && !p.answered {
		return errors.New("the login before this one lacks its accept or reject")
	}
	user, rest, err := word(rest)
	if err != nil {
		return err
	}
	password, rest, err := word(rest)
	if err != nil {
		return err
	}
	method, rest, _ := strings.Cut(rest, " ")
	if !slices.Contains(methods, method) {
		return fmt.Errorf("want 'login USER PASSWORD METHOD [from NAS] [as SESSION]', the method one of %s", strings.Join(methods, ", "))
	}
	l := Login{Line: p.line, User: user, Password: password, Method: method}
	if err := p.route(&l, strings.Fields(rest)); err != nil {
		return err
	}
	c.Steps = append(c.Steps, Step{Line: p.line, Login: len(c.Logins)})
	c.Logins = append(c.Logins, l)
	p.answered = false
	return nil
}

// open returns the login that has no answer yet.
func (p *parser) open() (*Login, error) {
	c := p.current()
	if len(c.Logins) == 0 || p.answered {
		return nil, errors.New("this belongs to a login that has no accept or reject yet")
	}
	return &c.Logins[len(c.Logins)-1], nil
}

func (p *parser) attr(rest string) error {
	ref, value, ok := strings.Cut(rest, " = ")
	if !ok {
		return errors.New("want 'attr ATTRIBUTE = VALUE'")
	}
	a := Attr{Ref: strings.TrimSpace(ref), Value: value}
	if acct := p.last().Accounting; acct != nil {
		acct.Attrs = append(acct.Attrs, a)
		return nil
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	l.Attrs = append(l.Attrs, a)
	return nil
}

func (p *parser) accept(rest string) error { return p.answer(Want{Accept: true}, rest == "") }

func (p *parser) reject(rest string) error {
	return p.answer(Want{Reason: rest}, !strings.Contains(rest, " "))
}

func (p *parser) silence(rest string) error {
	p.current().Wire = true
	return p.answer(Want{Silence: true}, rest == "")
}

func (p *parser) answer(w Want, ok bool) error {
	if !ok {
		return errors.New("want 'accept', 'reject REASON' or 'silence', with the items on lines of their own")
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	l.Want, p.answered = w, true
	return nil
}

// item reads a line about the reply.
func (p *parser) item(line string) error {
	if len(p.cases) == 0 || !p.answered {
		return fmt.Errorf("unknown word; a line begins with one of %s, or is an item of a reply after accept or reject",
			strings.Join(slices.Sorted(maps.Keys(statements)), ", "))
	}
	it := Item{Line: p.line, Sign: '='}
	if line[0] == '+' || line[0] == '-' {
		it.Sign, line = line[0], strings.TrimLeft(line[1:], " ")
	}
	if ref, bounds, ok := strings.Cut(line, " in "); ok && !strings.Contains(ref, " ") {
		it.Ref = ref
		if n, err := netip.ParsePrefix(bounds); err == nil {
			it.Within = n
		} else if it.Range = true; !ranges(&it, bounds) {
			return errors.New("want 'ATTRIBUTE in LOW..HIGH', or 'ATTRIBUTE in NETWORK'")
		}
	} else if ref, value, ok := strings.Cut(line, " = "); ok {
		it.Ref, it.Value = ref, value
	} else if it.Sign == '-' && !strings.Contains(line, " ") {
		it.Ref = line
	} else {
		return errors.New("want '[+|-] ATTRIBUTE = VALUE', 'ATTRIBUTE in LOW..HIGH' or '- ATTRIBUTE'")
	}
	l := &p.current().Logins[len(p.current().Logins)-1]
	l.Want.Items = append(l.Want.Items, it)
	return nil
}

func ranges(it *Item, bounds string) bool {
	_, err := fmt.Sscanf(bounds, "%d..%d", &it.Low, &it.High)
	return err == nil
}

// word takes a bare word, or one in double quotes (as Go writes strings), from
// the front.
func word(s string) (w, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		w, rest, _ = strings.Cut(s, " ")
		if w == "" {
			return "", "", errors.New(`a name is missing; write "" for an empty one`)
		}
		return w, strings.TrimLeft(rest, " "), nil
	}
	q, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", errors.New("a quote never ends")
	}
	w, err = strconv.Unquote(q)
	return w, strings.TrimLeft(s[len(q):], " "), err
}
