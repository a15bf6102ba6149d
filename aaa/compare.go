package aaa

import (
	"bytes"
	"time"

	"radial/dictionaries"
)

// checkInput is what check rows are compared with.
type checkInput struct {
	req    *Request
	pairs  dictionaries.Pairs // of the request, with what preprocessing added
	groups []Membership       // of the user, for SQL-Group
	now    time.Time          // in the engine's location
	doubt  *doubt             // nil at logins: they tell all
}

// outcome is what comparing one rule found.
type outcome uint8

const (
	matched outcome = iota
	mismatched
	// unevaluable: the rule asks for something that this engine cannot know.
	// Such a login is refused: a check never fails open.
	unevaluable
)

// compareRules is the check phase: every rule must match. On anything else it
// returns the rule that decided.
func (e *Engine) compareRules(in *checkInput, rules []rule) (outcome, *rule) {
	for i := range rules {
		if o := e.compareRule(in, &rules[i]); o != matched {
			return o, &rules[i]
		}
	}
	return matched, nil
}

// compareRule compares one rule with the request as FreeRADIUS 3.2 does
// (radius-semantics: operators on check rows): any instance of the attribute
// may satisfy it; without an instance only !* matches, and != and !~ do not.
func (e *Engine) compareRule(in *checkInput, r *rule) outcome {
	if in.doubt != nil {
		return e.compareInDoubt(in, r)
	}
	return e.compareKnown(in, r)
}

// compareKnown compares with what is in the request.
func (e *Engine) compareKnown(in *checkInput, r *rule) outcome {
	if r.op == opSet || r.op == opAdd || e.words.neverCompared[r.attr] {
		return matched
	}
	// a request without User-Password (CHAP) skips such rows
	if r.attr == e.words.userPassword && !in.pairs.Has(r.attr) {
		return matched
	}
	if r.how != virtualNone {
		return e.compareVirtual(in, r)
	}
	found := false
	for i := range in.pairs {
		p := &in.pairs[i]
		if p.Attr != r.attr {
			continue
		}
		found = true
		if r.op == opAbsent {
			return mismatched
		}
		if e.satisfies(in, r, p) {
			return matched
		}
	}
	if !found && r.op == opAbsent {
		return matched
	}
	return mismatched
}

// satisfies compares one instance with the rule's value. = and the operators
// that make sense only when merging are taken for ==.
func (e *Engine) satisfies(in *checkInput, r *rule, p *dictionaries.Pair) bool {
	if r.op == opPresent {
		return true
	}
	if r.late != nil && r.late.regex != nil {
		text := p.Value
		if p.Attr.Type != dictionaries.TypeString {
			text = []byte(p.Attr.Text(p.Value))
		}
		return r.late.regex.Match(text) == (r.op == opMatch)
	}
	value := r.value
	if r.late != nil && r.late.expand != nil {
		v, ok := e.expandValue(r, expandInput{request: in.pairs, now: in.now})
		if !ok {
			return false
		}
		value = v
	}
	if r.tag != 0 && p.Tag != r.tag { // a row without a tag takes any
		return r.op.holds(int(p.Tag) - int(r.tag))
	}
	if r.op == opEqual {
		return bytes.Equal(p.Value, value)
	}
	return r.op.holds(compareValues(r.attr, p.Value, value))
}

// compareValues orders two values of an attribute as FreeRADIUS does: octets of
// different lengths are never in order, the first counts as the greater.
func compareValues(a *dictionaries.Attribute, x, y []byte) int {
	switch {
	case bytes.Equal(x, y):
		return 0
	case a.Type == dictionaries.TypeOctets && len(x) != len(y):
		return 1
	}
	return a.Compare(x, y)
}

// holds tells whether the operator accepts the sign of (request - row).
func (o op) holds(sign int) bool {
	switch o {
	case opNotEqual:
		return sign != 0
	case opLess:
		return sign < 0
	case opAtMost:
		return sign <= 0
	case opGreater:
		return sign > 0
	case opAtLeast:
		return sign >= 0
	}
	return sign == 0
}
