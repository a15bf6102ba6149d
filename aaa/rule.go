package aaa

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"radial/dictionaries"
)

// op is an operator of a row.
type op uint8

// FreeRADIUS's operators; what each does is told in compare.go (check phase)
// and merge.go.
const (
	opEqual    op = iota // ==
	opIfAbsent           // =
	opSet                // :=
	opAdd                // +=
	opPrepend            // ^=
	opSubtract           // -=
	opNotEqual           // !=
	opLess               // <
	opAtMost             // <=
	opGreater            // >
	opAtLeast            // >=
	opMatch              // =~
	opNoMatch            // !~
	opPresent            // =*
	opAbsent             // !*
)

// opNames holds each operator's text at the place of its constant.
var opNames = [...]string{"==", "=", ":=", "+=", "^=", "-=", "!=", "<", "<=", ">", ">=", "=~", "!~", "=*", "!*"}

func (o op) String() string { return opNames[o] }

// parseOp reads the op column. An empty one is ==, as in FreeRADIUS.
func parseOp(text string) (op, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return opEqual, true
	}
	for i, name := range opNames {
		if text == name {
			return op(i), true
		}
	}
	return 0, false
}

// table names the table that a rule came from.
type table uint8

const (
	radcheck table = iota
	radreply
	radgroupcheck
	radgroupreply
)

// tableNames holds each table's name at the place of its constant.
var tableNames = [...]string{"radcheck", "radreply", "radgroupcheck", "radgroupreply"}

func (t table) String() string { return tableNames[t] }

// rule is a row of one of the four tables, compiled: the attribute found, the
// operator resolved, the value in wire form. Rules are immutable and shared by
// all logins that use them.
type rule struct {
	attr  *dictionaries.Attribute
	value []byte // canonical; nil where the operator ignores it, or regex or expand stand for it
	id    int64
	table table
	op    op
	tag   uint8
	how   virtual // how it is compared, where not with an attribute of the request
	// late holds what only few rules have.
	late *lateValue
}

// lateValue is a value that takes work when the rule is used.
type lateValue struct {
	regex  *regexp.Regexp
	expand template
	hours  LoginTime // Current-Time
	text   string    // of the regex or template, for messages
}

// String gives the rule as a person knows it; secrets are ***.
func (r *rule) String() string {
	name := r.attr.Name
	if r.tag != 0 {
		name = fmt.Sprintf("%s:%d", name, r.tag)
	}
	return fmt.Sprintf("%s %s %s (%s, id %d)", name, r.op, r.valueText(), r.table, r.id)
}

func (r *rule) valueText() string {
	switch {
	case r.op == opPresent || r.op == opAbsent:
		return "ANY"
	case hiddenAttribute(r.attr):
		return "***"
	case r.late != nil && r.late.text != "":
		return r.late.text
	}
	return r.attr.Text(r.value)
}

// hiddenAttribute tells whether values of a are never shown to anyone.
func hiddenAttribute(a *dictionaries.Attribute) bool {
	return a.Secret || a.Encrypt != dictionaries.EncryptNone || IsPasswordAttribute(a.Name) ||
		a.Name == "MS-CHAP-MPPE-Keys" || strings.HasPrefix(a.Name, "MS-MPPE-Send") || strings.HasPrefix(a.Name, "MS-MPPE-Recv")
}

// RowError says which row cannot be read and what would be right. A lookup
// that needs such a row fails as a whole, as in FreeRADIUS: the login is
// refused with ReasonUnparsableItem.
type RowError struct {
	Table   string
	Row     Row
	Problem string
	secret  bool // the value is never shown
}

func (e *RowError) Error() string {
	value := e.Row.Value
	if e.secret || SoundsSecret(e.Row.Attribute) {
		value = "***"
	}
	return fmt.Sprintf("%s id %d: %s %s %q: %s", e.Table, e.Row.ID, e.Row.Attribute, e.Row.Op, value, e.Problem)
}

// Compiler turns rows into rules. It is safe for concurrent use.
type Compiler struct {
	dict  *dictionaries.Dictionary
	words *vocabulary
	loc   *time.Location
}

// NewCompiler returns a compiler by the names of dict; dates without a zone
// are wall clock times of loc.
func NewCompiler(dict *dictionaries.Dictionary, loc *time.Location) *Compiler {
	return &Compiler{dict: dict, words: newVocabulary(dict), loc: loc}
}

// Check tells whether a row of the named table (radcheck, radreply,
// radgroupcheck, radgroupreply) can be read: nil or a *RowError.
func (c *Compiler) Check(tableName string, row Row) error {
	for t, name := range tableNames {
		if name != tableName {
			continue
		}
		if _, err := c.compile(table(t), row); err != nil {
			return err
		}
		return nil
	}
	return fmt.Errorf("check row: %q is not one of radcheck, radreply, radgroupcheck, radgroupreply", tableName)
}

// compile compiles one row.
func (c *Compiler) compile(t table, row Row) (rule, *RowError) {
	bad := func(format string, args ...any) (rule, *RowError) {
		return rule{}, &RowError{Table: t.String(), Row: row, Problem: fmt.Sprintf(format, args...)}
	}
	o, ok := parseOp(row.Op)
	if !ok {
		return bad("%q is not an operator: use one of %s", row.Op, strings.Join(opNames[:], " "))
	}
	attr, tag, err := c.dict.Ref(row.Attribute)
	if err != nil {
		return bad("%v", err)
	}
	if hiddenAttribute(attr) {
		bad = c.badSecret(t, row)
	}
	r := rule{attr: attr, tag: tag, op: o, id: row.ID, table: t}
	if t == radcheck || t == radgroupcheck {
		r.how = c.words.virtual[attr]
	}
	if o == opPresent || o == opAbsent {
		return r, nil
	}
	text, quote, err := unquote(row.Value)
	if err != nil {
		return bad("%v", err)
	}
	if err := c.setValue(&r, text, quote); err != nil {
		return bad("%v", err)
	}
	return r, nil
}

// badSecret reports a row whose value must not show, neither as itself nor in
// the message of what refused it.
func (c *Compiler) badSecret(t table, row Row) func(string, ...any) (rule, *RowError) {
	return func(string, ...any) (rule, *RowError) {
		return rule{}, &RowError{Table: t.String(), Row: row, Problem: "the value cannot be read as this attribute's type", secret: true}
	}
}

// setValue parses the unquoted text into the rule.
func (c *Compiler) setValue(r *rule, text string, quote byte) error {
	if quote == '`' {
		tmpl, err := c.parseTemplate(text)
		if err != nil {
			return err
		}
		r.late = &lateValue{expand: tmpl, text: "`" + text + "`"}
		return nil
	}
	if r.op == opMatch || r.op == opNoMatch {
		text, err := unescape(text)
		if err != nil {
			return err
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return fmt.Errorf("the regular expression cannot be used (%w); back-references and look-around are not known here", err)
		}
		r.late = &lateValue{regex: re, text: text}
		return nil
	}
	value, err := c.words.parseValue(r.attr, text, c.loc)
	if err != nil {
		return err
	}
	r.value = value
	if r.how == virtualCurrentTime || r.attr == c.words.loginTime {
		hours, err := ParseLoginTime(string(value))
		if err != nil {
			return err
		}
		if r.how == virtualCurrentTime {
			r.late = &lateValue{hours: hours}
		}
	}
	if r.how == virtualTimeOfDay {
		_, err := secondsOfDay(string(value))
		return err
	}
	return nil
}

// ruleList is a compiled list of rows of one table and one name.
type ruleList struct {
	rules []rule
	// bad is the first row that cannot be read; the list is then of no use.
	bad *RowError
	// fallThrough is the first Fall-Through item of a reply list.
	fallThrough fallThrough
	// limit is the first rule that sets something no engine here can enforce.
	limit *rule
	// counted tells that a rule of a check list sets an item of counters.
	counted bool
	// made are the attributes whose values are made when they are used.
	made []*dictionaries.Attribute
}

// list compiles rows, which are in the order of their ids.
func (c *Compiler) list(t table, rows []Row) ruleList {
	if len(rows) == 0 {
		return ruleList{}
	}
	l := ruleList{rules: make([]rule, 0, len(rows))}
	for _, row := range rows {
		r, err := c.compile(t, row)
		if err != nil {
			return ruleList{bad: err}
		}
		if r.attr == c.words.fallThrough && l.fallThrough == fallThroughUnset {
			l.fallThrough = fallThroughNo
			if len(r.value) == 4 && r.value[3] == 1 {
				l.fallThrough = fallThroughYes
			}
		}
		l.rules = append(l.rules, r) // within its capacity: pointers stay good
		l.counted = l.counted || (t == radcheck || t == radgroupcheck) && slices.Contains(c.words.counters, r.attr)
		if r.late != nil && r.late.expand != nil {
			l.made = append(l.made, r.attr)
		}
		if l.limit == nil && r.op.adds() && c.words.unsupported[r.attr] {
			l.limit = &l.rules[len(l.rules)-1]
		}
	}
	return l
}

// size is the memory that the list takes, about, in bytes.
func (l *ruleList) size() int {
	n := 64 + len(l.rules)*64
	for i := range l.rules {
		n += len(l.rules[i].value)
		if l.rules[i].late != nil {
			n += 2048 // a week of minutes, a regular expression
		}
	}
	return n
}
