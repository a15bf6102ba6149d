package aaa

import (
	"slices"

	"radial/dictionaries"
)

// mergeRules is the merge phase: it applies the rules to a list (control, or
// reply) and returns the list. Operators see what the list held before this
// batch, not each other's work, so two rows "Session-Timeout = 100" and
// "Session-Timeout := 200" of one user are both sent, as FreeRADIUS does.
//
// One oddity of FreeRADIUS (seen with 3.2.1) is kept: <= and >= append their
// value also where an old value within the limit stands, which is kept too.
func (e *Engine) mergeRules(m *merging, list dictionaries.Pairs, rules []rule, in expandInput) dictionaries.Pairs {
	if len(rules) == 0 {
		return list
	}
	m.begin(list)
	for i := range rules {
		r := &rules[i]
		value, ok := r.value, true
		if r.late != nil && r.late.expand != nil {
			value, ok = e.expandValue(r, in)
		}
		if ok {
			m.apply(r, dictionaries.Pair{Attr: r.attr, Tag: r.tag, Value: value})
		}
	}
	return m.result()
}

// adds tells whether the operator adds its value where there is no old one.
func (o op) adds() bool {
	switch o {
	case opIfAbsent, opSet, opAdd, opPrepend, opAtMost, opAtLeast:
		return true
	}
	return false
}

// merging is one batch at work: the list as it was, and what became of it. Its
// memory serves one batch after the other.
type merging struct {
	old           dictionaries.Pairs
	edited        []bool // replaced by this batch: no later rule sees it
	gone          []bool // removed
	before, after dictionaries.Pairs
	spare         dictionaries.Pairs // the result is written here
}

// begin begins a batch.
func (m *merging) begin(list dictionaries.Pairs) {
	m.old = list
	m.edited = slices.Grow(m.edited[:0], len(list))[:len(list)]
	m.gone = slices.Grow(m.gone[:0], len(list))[:len(list)]
	clear(m.edited)
	clear(m.gone)
	m.before, m.after = m.before[:0], m.after[:0]
}

// apply applies one rule with its value p.
func (m *merging) apply(r *rule, p dictionaries.Pair) {
	switch r.op {
	case opAdd:
		m.after = append(m.after, p)
		return
	case opPrepend:
		m.before = append(m.before, p)
		return
	}
	for i := range m.old {
		if m.edited[i] || m.gone[i] || m.old[i].Attr != p.Attr {
			continue
		}
		switch r.op {
		case opIfAbsent:
			return
		case opSet:
			m.replace(i, p)
			return
		case opAbsent:
			m.gone[i] = true
		case opSubtract:
			m.gone[i] = compareOld(&m.old[i], &p) == 0
		case opEqual:
			m.gone[i] = compareOld(&m.old[i], &p) != 0
		case opAtMost:
			if compareOld(&m.old[i], &p) > 0 {
				m.replace(i, p)
				return
			}
		case opAtLeast:
			if compareOld(&m.old[i], &p) < 0 {
				m.replace(i, p)
				return
			}
		}
		// != < > =~ !~ =* do nothing here (FreeRADIUS would abort)
	}
	if r.op.adds() {
		m.after = append(m.after, p)
	}
}

func (m *merging) replace(i int, p dictionaries.Pair) {
	m.old[i], m.edited[i] = p, true
}

// result returns the new list; the old one's memory is the next result's.
func (m *merging) result() dictionaries.Pairs {
	out := m.spare[:0]
	for i := len(m.before) - 1; i >= 0; i-- {
		out = append(out, m.before[i])
	}
	for i := range m.old {
		if !m.gone[i] {
			out = append(out, m.old[i])
		}
	}
	m.spare = m.old
	return append(out, m.after...)
}

// compareOld orders an old value and a rule's. A tag decides first, where the
// rule has one.
func compareOld(old, p *dictionaries.Pair) int {
	if p.Tag != 0 && old.Tag != p.Tag {
		return int(old.Tag) - int(p.Tag)
	}
	return compareValues(old.Attr, old.Value, p.Value)
}
