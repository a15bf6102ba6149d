package aaa

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Item is an attribute, an operator and a value as text: a row of
// FreeRADIUS's tables without the name it belongs to. The value is what stands
// in the column: fully quoted text is unquoted when it is read
// (radius-semantics §2.3).
type Item struct {
	Attribute string `json:"attribute"`
	Op        string `json:"op"`
	Value     string `json:"value"`
}

// String gives the item as ParseItem reads it; the value of a password is ***,
// also where its attribute is misspelt.
func (i Item) String() string {
	v := i.Value
	if SoundsSecret(i.Attribute) {
		v = "***"
	}
	return i.Attribute + " " + i.Op + " " + v
}

// operators are FreeRADIUS's, longest first, so that the first prefix that
// fits is the operator.
var operators = []string{":=", "==", "+=", "-=", "^=", "!=", ">=", "<=", "=~", "!~", "=*", "!*", "=", "<", ">"}

// ParseItem reads "Attribute op value", with or without blanks around the
// operator. An attribute may carry a tag: "Tunnel-Type:1 := VLAN". For =* and
// !* the value may be left out. Nothing is looked up: see checkItem and
// replyItem. Errors show no password.
func ParseItem(text string) (Item, error) {
	s := strings.TrimSpace(text)
	n := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune(" \t:=+-^!<>", r) && r != '-' })
	// A hyphen belongs to names; "Attr-=x" is the operator -= all the same.
	if i := strings.Index(s, "-="); i > 0 && (n < 0 || i < n) {
		n = i
	}
	if n > 0 && s[n] == ':' && n+1 < len(s) && s[n+1] >= '0' && s[n+1] <= '9' { // a tag
		for n++; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		}
	}
	if n <= 0 {
		return Item{}, fmt.Errorf("item %q: want 'Attribute op value', like 'Session-Timeout := 3600': %w", text, ErrInvalid)
	}
	it := Item{Attribute: s[:n]}
	rest := strings.TrimLeft(s[n:], " \t")
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			it.Op = op
			break
		}
	}
	if it.Op == "" {
		shown := text
		if SoundsSecret(it.Attribute) {
			shown = it.Attribute + " ***"
		}
		return Item{}, fmt.Errorf("item %q: no operator after %s; one of %s: %w", shown, it.Attribute, strings.Join(operators, " "), ErrInvalid)
	}
	it.Value = strings.TrimLeft(rest[len(it.Op):], " \t")
	if it.Value == "" {
		if it.Op != "=*" && it.Op != "!*" {
			return Item{}, fmt.Errorf("item %q: no value after %s: %w", text, it.Op, ErrInvalid)
		}
		it.Value = "ANY" // FreeRADIUS's own word for a value that does not matter
	}
	return it, nil
}

// passwordAttributes hold what a login is checked with (radius-semantics §2.5),
// in lower case. They are shown as *** and never go into a reply.
var passwordAttributes = map[string]bool{
	"cleartext-password": true, "user-password": true, "password": true, "chap-password": true,
	"nt-password": true, "lm-password": true, "ns-mta-md5-password": true, "crypt-password": true,
	"md5-password": true, "smd5-password": true, "sha-password": true, "sha1-password": true, "ssha-password": true,
	"ssha1-password": true, "sha2-password": true, "ssha2-password": true, "pbkdf2-password": true,
	"sha2-224-password": true, "sha2-256-password": true, "sha2-384-password": true, "sha2-512-password": true,
	"ssha2-224-password": true, "ssha2-256-password": true, "ssha2-384-password": true, "ssha2-512-password": true,
	"sha3-password": true, "sha3-224-password": true, "sha3-256-password": true, "sha3-384-password": true, "sha3-512-password": true,
	"ssha3-224-password": true, "ssha3-256-password": true, "ssha3-384-password": true, "ssha3-512-password": true,
	"password-with-header": true, "tunnel-password": true,
}

// IsPasswordAttribute tells whether the attribute's value is a secret of the
// subscriber, by name in any case.
func IsPasswordAttribute(name string) bool {
	name, _, _ = strings.Cut(strings.ToLower(name), ":")
	return passwordAttributes[name]
}

// SoundsSecret tells whether a value is better not shown: a password
// attribute, or what somebody took for one (Cleartext-Pasword).
func SoundsSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"pass", "pasw", "pwd", "secret"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return IsPasswordAttribute(name)
}

// QuoteValue writes raw text so that both FreeRADIUS and Radial read exactly
// that text from a value column: rows are taken for double-quoted text, where a
// backslash escapes, and a value that is wrapped in quotes loses them (in
// back-quotes it would even be expanded).
func QuoteValue(raw string) string {
	s := strings.ReplaceAll(raw, `\`, `\\`)
	if raw == "" || raw[0] != raw[len(raw)-1] {
		return s
	}
	switch raw[0] {
	case '"':
		return `\` + s // the text no longer begins with a quote
	case '\'', '`':
		return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	return s
}

// checkOps and replyOps are the operators that do something in a check list
// and in a reply list (radius-semantics §2.3, §2.4).
var (
	checkOps = []string{":=", "+=", "==", "!=", "<", "<=", ">", ">=", "=~", "!~", "=*", "!*"}
	replyOps = []string{":=", "=", "+=", "^=", "-=", "<=", ">=", "!*"}
)

// checkItem holds an item to what a check list can do, so that no typing error
// becomes a login that nobody wanted, or that nobody gets.
func (p *Provisioner) checkItem(table Table, it Item) error {
	if !slices.Contains(checkOps, it.Op) {
		hint := ""
		if it.Op == "=" {
			hint = " (:= sets, == compares)"
		}
		return fmt.Errorf("check %q: operator %s does nothing there; one of %s%s: %w", it, it.Op, strings.Join(checkOps, " "), hint, ErrInvalid)
	}
	return p.readable(table, "check", it)
}

// replyItem holds an item to what a reply list can do. A password in a reply
// would be sent to the device: it is refused.
func (p *Provisioner) replyItem(table Table, it Item) error {
	if IsPasswordAttribute(it.Attribute) && !strings.HasPrefix(strings.ToLower(it.Attribute), "tunnel-password") {
		return fmt.Errorf("reply %q: a password in a reply would be sent to the device; set it with --password: %w", it, ErrInvalid)
	}
	if !slices.Contains(replyOps, it.Op) {
		hint := ""
		if it.Op == "==" {
			hint = " (= adds where there is none, := replaces)"
		}
		return fmt.Errorf("reply %q: operator %s does nothing there; one of %s%s: %w", it, it.Op, strings.Join(replyOps, " "), hint, ErrInvalid)
	}
	return p.readable(table, "reply", it)
}

func (p *Provisioner) readable(table Table, what string, it Item) error {
	err := p.Rows.Check(string(table), Row{Attribute: it.Attribute, Op: it.Op, Value: it.Value})
	if err == nil {
		return strictLoginTime(what, it)
	}
	why := err.Error()
	var row *RowError
	if errors.As(err, &row) {
		why = row.Problem // the row has no id yet, and what names it stands before
	}
	return fmt.Errorf("%s %q: %s: %w", what, it, why, ErrInvalid)
}

// strictLoginTime refuses hours of which a part cannot be read: logins leave
// such a part out, as FreeRADIUS does, and nobody would see why.
func strictLoginTime(what string, it Item) error {
	if !strings.EqualFold(it.Attribute, "Login-Time") || it.Op == "=~" || it.Op == "!~" || it.Op == "=*" || it.Op == "!*" {
		return nil
	}
	text, quote, err := unquote(it.Value)
	if err != nil || quote == '`' { // a template has no hours before it is expanded
		return err
	}
	if err := CheckLoginTime(text); err != nil {
		return fmt.Errorf("%s %q: %w: %w", what, it, err, ErrInvalid)
	}
	return nil
}

// normalItems puts dates that are given in ISO 8601 into the form that
// FreeRADIUS reads.
func (p *Provisioner) normalItems(items []Item) []Item {
	out := slices.Clone(items)
	for i, it := range out {
		if !strings.EqualFold(it.Attribute, "Expiration") {
			continue
		}
		if t, err := ParseISOOrFreeRADIUS(it.Value, p.Zone); err == nil {
			out[i].Value = FormatExpiration(t, p.Zone)
		}
	}
	return out
}
