package aaa

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"radial/dictionaries"
)

// template is a back-quoted value: text with expansions, made when it is used.
// Nil is no template.
type template []templatePart

// templatePart is one piece: text, or an attribute of a list, or a choice.
type templatePart struct {
	text string
	attr *dictionaries.Attribute
	list listName
	// %{%{A}:-B}: first where it is not empty, else second
	first, second template
}

// listName says where an expansion finds its attribute.
type listName uint8

const (
	listRequest listName = iota
	listControl
	listReply
)

// expandInput is what expansions see.
type expandInput struct {
	request, control, reply dictionaries.Pairs
	now                     time.Time
}

// errTemplate is what an expansion that is not known here is refused with: a
// reply item that silently lost its value could open what it was to limit.
var errTemplate = errors.New("known expansions are %{Attribute}, %{request:Attribute}, %{control:Attribute}, %{reply:Attribute}, %{%{A}:-text} and %%")

// parseTemplate reads the text between back-quotes.
func (c *Compiler) parseTemplate(text string) (template, error) {
	t, rest, err := c.templateUntil(text, "", 0)
	if err == nil && rest != "" {
		err = errTemplate
	}
	if err != nil {
		return nil, fmt.Errorf("expansion %q: %w", text, err)
	}
	if t == nil {
		t = template{{}}
	}
	return t, nil
}

// templateUntil reads parts up to (and without) the first stop that is not
// inside an expansion, or to the end when stop is empty.
func (c *Compiler) templateUntil(s, stop string, depth int) (t template, rest string, err error) {
	if depth > 8 {
		return nil, "", errors.New("nested too deeply")
	}
	var lit strings.Builder
	flush := func() error {
		text, err := unescape(lit.String())
		if err == nil && text != "" {
			t = append(t, templatePart{text: text})
		}
		lit.Reset()
		return err
	}
	for s != "" {
		switch {
		case stop != "" && strings.HasPrefix(s, stop):
			return t, s, flush()
		case strings.HasPrefix(s, "%%"):
			lit.WriteByte('%')
			s = s[2:]
		case strings.HasPrefix(s, "%{"):
			if err := flush(); err != nil {
				return nil, "", err
			}
			var part templatePart
			if part, s, err = c.templatePart(s[2:], depth); err != nil {
				return nil, "", err
			}
			t = append(t, part)
		case s[0] == '%':
			return nil, "", errTemplate
		default:
			lit.WriteByte(s[0])
			s = s[1:]
		}
	}
	if stop != "" {
		return nil, "", errors.New("an expansion never ends: a } is missing")
	}
	return t, "", flush()
}

// templatePart reads an expansion behind its %{ and returns what follows it.
func (c *Compiler) templatePart(s string, depth int) (part templatePart, rest string, err error) {
	if strings.HasPrefix(s, "%{") {
		if part.first, s, err = c.templateUntil(s, ":-", depth+1); err != nil {
			return part, "", err
		}
		if part.second, s, err = c.templateUntil(s[len(":-"):], "}", depth+1); err != nil {
			return part, "", err
		}
		return part, s[1:], nil
	}
	name, rest, ok := strings.Cut(s, "}")
	if !ok {
		return part, "", errors.New("an expansion never ends: a } is missing")
	}
	if list, of, found := strings.Cut(name, ":"); found {
		switch list {
		case "request":
		case "control":
			part.list = listControl
		case "reply":
			part.list = listReply
		default:
			return part, "", errTemplate
		}
		name = of
	}
	if part.attr = c.dict.Find(strings.TrimPrefix(name, "&")); part.attr == nil {
		return part, "", errTemplate
	}
	return part, rest, nil
}

// appendTo appends the expansion's text; an absent attribute is empty.
func (t template) appendTo(b []byte, in expandInput) []byte {
	for i := range t {
		p := &t[i]
		switch {
		case p.attr != nil:
			list := in.request
			switch p.list {
			case listControl:
				list = in.control
			case listReply:
				list = in.reply
			}
			if pair := list.First(p.attr); pair != nil {
				if p.attr.Type == dictionaries.TypeString {
					b = append(b, pair.Value...)
				} else {
					b = append(b, p.attr.Text(pair.Value)...)
				}
			}
		case p.first != nil:
			n := len(b)
			if b = p.first.appendTo(b, in); len(b) == n {
				b = p.second.appendTo(b, in)
			}
		default:
			b = append(b, p.text...)
		}
	}
	return b
}

// unexpandable returns the first rule that would set an item to a text that is
// no value of it. Left out, an Expiration or a Simultaneous-Use would let in
// what it is there to keep out.
func (e *Engine) unexpandable(rules []rule, in expandInput) *rule {
	for i := range rules {
		if r := &rules[i]; r.late != nil && r.late.expand != nil && r.op.adds() {
			if _, ok := e.expandValue(r, in); !ok {
				return r
			}
		}
	}
	return nil
}

// firstMade is the first rule whose value is made when it is used.
func firstMade(rules []rule) *rule {
	for i := range rules {
		if r := &rules[i]; r.late != nil && r.late.expand != nil {
			return r
		}
	}
	return nil
}

// expandValue makes a rule's value from its template; ok is false where the
// text is no value of the attribute's type.
func (e *Engine) expandValue(r *rule, in expandInput) (value []byte, ok bool) {
	text := r.late.expand.appendTo(nil, in)
	if r.attr.Type == dictionaries.TypeString {
		return text, true
	}
	value, err := e.words.parseValue(r.attr, string(text), in.now.Location())
	return value, err == nil
}
