package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Step is one thing that happens in a case, in order: a login, or what comes
// before, between and after logins. One of its fields is set.
type Step struct {
	Line       int
	Login      int // index of Case.Logins; -1 where it is none
	Command    *Command
	Accounting *Accounting
	Expect     *Expect
}

// NAS is a router of a case: its packets come from Address.
type NAS struct {
	Name    string
	Address netip.Addr
}

// Command is a run of `radial`, as an operator types it. {SESSION.ATTRIBUTE} in
// it stands for what that session's login got.
type Command struct {
	Args   []string
	NAS    bool   // it is a nas add that lacks its secret
	Fails  bool   // it must end with an error
	Prints string // what it prints must have this; "" is anything
}

// Accounting is an Accounting-Request.
type Accounting struct {
	Status    string // start, interim, stop, on or off
	Session   string // "" with on and off
	User, NAS string // of a session that no login of the case began
	Attrs     []Attr // in place of what the session's login had and got
}

// Expect is what the tables hold of a session.
type Expect struct {
	Session string
	States  []string // of its row in radacct and of all its addresses
	History []string // the changes of holder of its addresses, in order; nil: not asked
}

// sessionStates are what `expect` may say: of the row in radacct, then of every
// address and prefix that the login got.
var sessionStates = []string{"open", "closed", "offered", "bound", "free", "cooling", "reserved"}

// Story tells whether a case is more than logins against rows of the policy
// tables: it needs a whole server, and one that leases.
func (c *Case) Story() bool { return len(c.NAS) > 0 || len(c.Steps) > len(c.Logins) }

// did adds a step that needs the whole server.
func (p *parser) did(s Step) error {
	c := p.current()
	if len(c.Logins) > 0 && !p.answered {
		return errors.New("the login before this line lacks its accept or reject")
	}
	s.Line, s.Login = p.line, -1
	c.Steps, c.Wire = append(c.Steps, s), true
	return nil
}

// last is the step that a line like fails or attr is about.
func (p *parser) last() *Step {
	if c := p.current(); len(c.Steps) > 0 {
		return &c.Steps[len(c.Steps)-1]
	}
	return &Step{Login: -1}
}

func (p *parser) radial(rest string) error {
	args, err := fields(rest)
	if err != nil || len(args) == 0 {
		return errors.Join(errors.New("want 'radial' and a command line"), err)
	}
	return p.did(Step{Command: &Command{Args: args}})
}

func (p *parser) pool(rest string) error {
	args, err := withOptions([]string{"pool", "add"}, "--cidr", rest)
	if err != nil {
		return errors.Join(errors.New("want 'pool NAME NETWORK [OPTION VALUE …]'"), err)
	}
	return p.did(Step{Command: &Command{Args: args}})
}

func (p *parser) nas(rest string) error {
	want := errors.New("want 'nas NAME ADDRESS [OPTION VALUE …]', the address one of 127.0.0.0/8")
	f := strings.Fields(rest)
	if len(f) < 2 {
		return want
	}
	addr, err := netip.ParseAddr(f[1])
	if err != nil || !addr.IsLoopback() {
		return want
	}
	args, err := withOptions([]string{"nas", "add"}, "--name", strings.Join(append([]string{f[1], f[0]}, f[2:]...), " "))
	if err != nil {
		return errors.Join(want, err)
	}
	c := p.current()
	c.NAS = append(c.NAS, NAS{Name: f[0], Address: addr})
	return p.did(Step{Command: &Command{Args: args, NAS: true}})
}

// withOptions makes "NAME FIRST [OPTION VALUE …]" a command line.
func withOptions(args []string, first, rest string) ([]string, error) {
	words, err := fields(rest)
	if err != nil || len(words) < 2 || len(words)%2 != 0 {
		return nil, errors.Join(errors.New("each option needs a value"), err)
	}
	args = append(args, words[0], first, words[1])
	for i := 2; i < len(words); i += 2 {
		args = append(args, "--"+words[i], words[i+1])
	}
	return args, nil
}

func (p *parser) fails(rest string) error { return p.outcome(rest, true) }

func (p *parser) prints(rest string) error { return p.outcome(rest, false) }

func (p *parser) outcome(text string, fails bool) error {
	s := p.last()
	if s.Command == nil {
		return errors.New("this belongs to a line that begins with radial, pool or nas")
	}
	s.Command.Fails, s.Command.Prints = fails, text
	return nil
}

// accounting reads SESSION [of USER] [from NAS], or, for a whole NAS, its name.
func accounting(status string) func(*parser, string) error {
	return func(p *parser, rest string) error {
		f := strings.Fields(rest)
		if len(f) == 0 {
			return fmt.Errorf("want '%s NAME'", status)
		}
		a := Accounting{Status: status, Session: f[0]}
		f = f[1:]
		if status == "on" || status == "off" {
			a.Session, a.NAS = "", a.Session
		}
		for ; len(f) >= 2; f = f[2:] {
			switch f[0] {
			case "of":
				a.User = f[1]
			case "from":
				a.NAS = f[1]
			default:
				return fmt.Errorf("want '%s SESSION [of USER] [from NAS]'", status)
			}
		}
		if len(f) != 0 {
			return fmt.Errorf("want '%s SESSION [of USER] [from NAS]'", status)
		}
		if err := p.knownNAS(a.NAS); err != nil {
			return err
		}
		if a.Session != "" && a.User == "" && !p.named(a.Session) {
			return fmt.Errorf("no login before this line is named %s: write 'login … as %s', or '%s %s of USER'", a.Session, a.Session, status, a.Session)
		}
		return p.did(Step{Accounting: &a})
	}
}

// named tells whether a login or an accounting packet has begun the session.
func (p *parser) named(session string) bool {
	c := p.current()
	return slices.ContainsFunc(c.Logins, func(l Login) bool { return l.Session == session }) ||
		slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Accounting != nil && s.Accounting.Session == session })
}

func (p *parser) knownNAS(name string) error {
	if name == "" || slices.ContainsFunc(p.current().NAS, func(n NAS) bool { return n.Name == name }) {
		return nil
	}
	return fmt.Errorf("there is no router %s: write 'nas %s 127.0.0.2' before", name, name)
}

func (p *parser) expect(rest string) error {
	f := strings.Fields(rest)
	if len(f) < 2 || !p.named(f[0]) {
		return errors.New("want 'expect SESSION STATE …', the session named by a login before")
	}
	for _, s := range f[1:] {
		if !slices.Contains(sessionStates, s) {
			return fmt.Errorf("state %q: want some of %s", s, strings.Join(sessionStates, ", "))
		}
	}
	return p.did(Step{Expect: &Expect{Session: f[0], States: f[1:]}})
}

func (p *parser) history(rest string) error {
	f := strings.Fields(rest)
	if len(f) == 0 || !p.named(f[0]) {
		return errors.New("want 'history SESSION ACTION …', the session named by a login before")
	}
	return p.did(Step{Expect: &Expect{Session: f[0], History: append([]string{}, f[1:]...)}})
}

// route reads what follows the method of a login: [from NAS] [as SESSION].
func (p *parser) route(l *Login, f []string) error {
	for ; len(f) >= 2; f = f[2:] {
		switch f[0] {
		case "from":
			l.NAS = f[1]
		case "as":
			l.Session = f[1]
		default:
			return errors.New("want 'login USER PASSWORD METHOD [from NAS] [as SESSION]'")
		}
	}
	if len(f) != 0 {
		return errors.New("want 'login USER PASSWORD METHOD [from NAS] [as SESSION]'")
	}
	return p.knownNAS(l.NAS)
}

// likeness reads "same ATTRIBUTE as SESSION" and "other ATTRIBUTE than SESSION".
func (p *parser) likeness(word, rest string) error {
	f := strings.Fields(rest)
	joint := map[string]string{"same": "as", "other": "than"}[word]
	if len(f) != 3 || f[1] != joint || !p.answered || len(p.current().Logins) == 0 {
		return fmt.Errorf("want '%s ATTRIBUTE %s SESSION' after accept", word, joint)
	}
	if !p.named(f[2]) {
		return fmt.Errorf("no login before this line is named %s", f[2])
	}
	l := &p.current().Logins[len(p.current().Logins)-1]
	l.Want.Likes = append(l.Want.Likes, Like{Line: p.line, Ref: f[0], Session: f[2], Other: word == "other"})
	return nil
}

// Like wants an attribute to be the same as that of another login, or another.
type Like struct {
	Line         int
	Ref, Session string
	Other        bool
}

// fields splits a command line at blanks; quotes of both kinds hold words
// together.
func fields(s string) (words []string, err error) {
	for s = strings.TrimLeft(s, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		var w strings.Builder
		for s != "" && s[0] != ' ' && s[0] != '\t' {
			if q := s[0]; q == '"' || q == '\'' {
				end := strings.IndexByte(s[1:], q)
				if end < 0 {
					return nil, errors.New("a quote never ends")
				}
				w.WriteString(s[1 : 1+end])
				s = s[end+2:]
				continue
			}
			w.WriteByte(s[0])
			s = s[1:]
		}
		words = append(words, w.String())
	}
	return words, nil
}
