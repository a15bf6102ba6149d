package dictionaries

import (
	"errors"
	"strconv"
	"strings"
)

// value reads `VALUE attribute name number`.
func (r *reader) value(at position, args []string) error {
	if len(args) != 3 {
		return at.errorf("VALUE has %d words after it; attribute, name and number would be right", len(args))
	}
	a := r.d.Find(args[0])
	if a == nil {
		r.late = append(r.late, lateValue{at: at, attr: args[0], name: args[1], num: args[2]})
		return nil
	}
	return r.addValue(at, a, args[1], args[2], false)
}

// addValue names a number of an attribute. The name defined last is the one
// that prints; the same name with another number is a clash.
func (r *reader) addValue(at position, a *Attribute, name, text string, late bool) error {
	if a.Type == TypeOctets {
		return nil // FreeRADIUS lets CableLabs name parts of its structures; nothing prints by them
	}
	if !a.Type.numeric() {
		return at.errorf("VALUE for %s, which is of type %s; only integer, byte, short, integer64 and signed have names", a.Name, a.Type)
	}
	n, err := valueNumber(a.Type, text)
	if err != nil {
		return at.errorf("number %q of %s %s: %w", text, a.Name, name, err)
	}
	if a.values == nil {
		a.values = &values{byName: make(map[string]uint64), byNumber: make(map[uint64]string)}
	}
	v := a.values
	if old, ok := v.byName[fold(name)]; ok {
		if old != n {
			return at.errorf("%s %s is already %d; %d needs another name", a.Name, name, old, n)
		}
		return nil
	}
	v.byName[name], v.byName[fold(name)] = n, n
	if _, named := v.byNumber[n]; !named || !late {
		v.byNumber[n] = name
	}
	v.order = append(v.order, valueName{name: name, number: n})
	return nil
}

// valueAlias reads `VALUE-ALIAS attribute other`: the attribute has the other's
// value names.
func (r *reader) valueAlias(at position, args []string) error {
	if len(args) != 2 {
		return at.errorf("VALUE-ALIAS has %d words after it; two attributes' names would be right", len(args))
	}
	a, other := r.d.Find(args[0]), r.d.Find(args[1])
	if a == nil || other == nil || !a.Type.numeric() || other.Type != a.Type {
		return at.errorf("VALUE-ALIAS %s %s: two attributes of the same numeric type, defined above, would be right", args[0], args[1])
	}
	for name, n := range other.ValueNames() {
		if err := r.addValue(at, a, name, strconv.FormatUint(n, 10), false); err != nil {
			return err
		}
	}
	return nil
}

// valueNumber reads a number that fits the type; for signed, in two's
// complement.
func valueNumber(t Type, text string) (uint64, error) {
	if t == TypeSigned && strings.HasPrefix(text, "-") {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return 0, errors.New("a number from -2147483648 to 4294967295 would be right")
		}
		return uint64(uint32(n)), nil
	}
	return parseUint(text, 1<<(8*uint(typeSizes[t]))-1)
}

// parseUint reads a decimal or 0x number of at most limit.
func parseUint(text string, limit uint64) (uint64, error) {
	base, digits := 10, text
	if len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X") {
		base, digits = 16, text[2:]
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil || n > limit || digits[0] == '+' {
		return 0, errors.New("a number from 0 to " + strconv.FormatUint(limit, 10) + " would be right")
	}
	return n, nil
}
