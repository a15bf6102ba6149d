package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"radial/dictionaries"
)

// Case is one story: what the tables hold, and logins with their answers.
type Case struct {
	File     string
	Line     int
	Number   string // of the golden case it proves ("16"), or "-"
	Title    string
	Clock    string            // wall clock of the server, "2026-11-21 10:00:00", or "" for any
	Wire     bool              // needs the whole server: says nothing to an engine alone
	Settings map[string]string // settings that the answer needs, by key
	Rows     []Row             // of the four policy tables, in order
	Groups   []Membership
	Sessions []Session
	Reloads  []Reload
	Logins   []Login
	NAS      []NAS
	Steps    []Step // all that happens, logins among it, in order
}

// Name is short and unique within a file.
func (c *Case) Name() string { return fmt.Sprintf("%s: %s", c.Number, c.Title) }

// Row is a row of radcheck, radreply, radgroupcheck or radgroupreply.
type Row struct {
	Table, Name, Attribute, Op, Value string
}

// Membership is a row of radusergroup.
type Membership struct {
	User, Group string
	Priority    int32
}

// Session is an open row of radacct. One that tells what it has used began Time
// seconds before now; any other began some time ago, and has reported nothing.
type Session struct {
	User, NAS, Calling string
	Used               bool
	Time, Up, Down     int64 // seconds, octets
}

// Reload is a row of nasreload, newer than the first Before sessions.
type Reload struct {
	NAS    string
	Before int
}

// Login is a request and the answer that is wanted.
type Login struct {
	Line           int
	User, Password string
	Method         string // pap, chap, mschapv1, mschapv2, none
	NAS            string // of Case.NAS; "" is 127.0.0.1
	Session        string // what the session that it begins is called; "" for none
	Attrs          []Attr
	Want           Want
}

// Attr is an attribute of the request, as text.
type Attr struct {
	Ref, Value string // Ref is a name, or name:tag
}

// Want is the answer.
type Want struct {
	Accept  bool
	Silence bool   // there must be no answer at all
	Reason  string // of a reject; "" for any
	Items   []Item
	Likes   []Like
}

// Item is a line about the reply: what it holds, also holds ('+'), or does not
// hold ('-').
type Item struct {
	Line       int
	Sign       byte // '=' one item of the whole reply, '+' or '-'
	Ref, Value string
	Low, High  uint64 // with Range: bounds of a number
	Range      bool
	Within     netip.Prefix // when valid: the network of an address or prefix
}

// Pairs reads the attributes of a login, without its name and password.
func (l *Login) Pairs(d *dictionaries.Dictionary) (dictionaries.Pairs, error) {
	var ps dictionaries.Pairs
	for _, a := range l.Attrs {
		p, err := d.Pair(a.Ref, a.Value)
		if err != nil {
			return nil, fmt.Errorf("line %d: attr %s: %w", l.Line, a.Ref, err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// signing are attributes that a server adds to sign or route a reply.
var signing = []string{"Message-Authenticator", "Proxy-State"}

// Check compares a reply with the wanted items; what a server adds to sign and
// route it does not count unless it is asked for. Lines without a sign name the
// whole reply: every item, in order within one attribute. Lines with + or -
// alone leave the rest open. No line at all means an empty reply.
func (w *Want) Check(d *dictionaries.Dictionary, reply dictionaries.Pairs) error {
	left := slices.Clone(reply)
	whole := len(w.Items) == 0 && len(w.Likes) == 0
	for _, item := range w.Items {
		attr, tag, err := d.Ref(item.Ref)
		if err != nil {
			return fmt.Errorf("line %d: %w", item.Line, err)
		}
		i := slices.IndexFunc(left, func(p dictionaries.Pair) bool {
			return p.Attr == attr && p.Tag == tag && (item.Sign == '=' || item.fits(p))
		})
		switch {
		case item.Sign == '-' && i >= 0:
			return fmt.Errorf("line %d: the reply must not have %s, and has %s", item.Line, item.Ref, show(left[i:i+1]))
		case item.Sign == '-':
			continue
		case i < 0 || !item.fits(left[i]):
			return fmt.Errorf("line %d: the reply lacks %s; it is:\n%s", item.Line, item.text(), show(reply))
		}
		whole = whole || item.Sign == '='
		left = slices.Delete(left, i, i+1)
	}
	left = slices.DeleteFunc(left, func(p dictionaries.Pair) bool { return slices.Contains(signing, p.Attr.Name) })
	if whole && len(left) > 0 {
		return fmt.Errorf("the reply has more than is wanted:\n%s", show(left))
	}
	return nil
}

// fits tells whether a pair has the item's value; "-" lines have none.
func (i *Item) fits(p dictionaries.Pair) bool {
	if i.Within.IsValid() {
		return within(i.Within, p)
	}
	if i.Range {
		var n uint64
		for _, b := range p.Value {
			n = n<<8 | uint64(b)
		}
		return n >= i.Low && n <= i.High
	}
	if i.Sign == '-' && i.Value == "" {
		return true
	}
	v, err := p.Attr.Parse(i.Value)
	return err == nil && string(v) == string(p.Value)
}

// within tells whether an address or a prefix lies in a network.
func within(network netip.Prefix, p dictionaries.Pair) bool {
	text := p.Attr.Text(p.Value)
	if a, err := netip.ParseAddr(text); err == nil {
		return network.Contains(a)
	}
	inner, err := netip.ParsePrefix(text)
	return err == nil && inner.Bits() >= network.Bits() && network.Contains(inner.Addr())
}

func (i *Item) text() string {
	if i.Within.IsValid() {
		return i.Ref + " in " + i.Within.String()
	}
	if i.Range {
		return fmt.Sprintf("%s in %d..%d", i.Ref, i.Low, i.High)
	}
	return i.Ref + " = " + i.Value
}

func show(ps dictionaries.Pairs) string {
	if len(ps) == 0 {
		return "  (empty)"
	}
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, "  %s", p.Attr.Name)
		if p.Tag != 0 {
			fmt.Fprintf(&b, ":%d", p.Tag)
		}
		fmt.Fprintf(&b, " = %s\n", p.Attr.Text(p.Value))
	}
	return strings.TrimRight(b.String(), "\n")
}
