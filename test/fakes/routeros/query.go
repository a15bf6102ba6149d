package routeros

import (
	"fmt"
	"strconv"
	"strings"
)

// matches judges an item by the query words of a print (MikroTik, "API",
// section Queries): each pushes true or false, operations work on the stack,
// and what is left in the end must all be true.
func matches(words []string, value func(name string) (string, bool)) (bool, error) {
	var stack []bool
	for _, w := range words {
		q := strings.TrimPrefix(w, "?")
		if ops, ok := strings.CutPrefix(q, "#"); ok {
			var err error
			if stack, err = operate(stack, ops); err != nil {
				return false, err
			}
			continue
		}
		stack = append(stack, asks(q, value))
	}
	for _, b := range stack {
		if !b {
			return false, nil
		}
	}
	return true, nil
}

// asks judges one question: name, -name, name=x, =name=x, <name=x, >name=x.
func asks(q string, value func(string) (string, bool)) bool {
	if name, ok := strings.CutPrefix(q, "-"); ok {
		_, has := value(name)
		return !has
	}
	op := byte('=')
	if q != "" && strings.IndexByte("=<>", q[0]) >= 0 {
		op, q = q[0], q[1:]
	}
	name, want, compared := strings.Cut(q, "=")
	have, has := value(name)
	switch {
	case !compared:
		return has
	case op == '=':
		return has && (have == want || have == "true" && want == "yes" || have == "false" && want == "no")
	}
	less, equal := compare(have, want)
	return has && !equal && less == (op == '<')
}

// compare compares as numbers where both are, else as texts.
func compare(a, b string) (less, equal bool) {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA == nil && errB == nil {
		return x < y, x == y
	}
	return a < b, a == b
}

// operate does the operations of one ?# word from left to right: ! & |; a
// number copies the value so far below the top, or, at the word's end, leaves
// it alone on the stack; . copies the top, after a number it does nothing.
func operate(stack []bool, ops string) ([]bool, error) {
	short := fmt.Errorf("query #%s: too few values on the stack", ops)
	for i := 0; i < len(ops); i++ {
		n, top := len(stack), len(stack)-1
		switch c := ops[i]; {
		case c >= '0' && c <= '9':
			j := i
			for j < len(ops) && ops[j] >= '0' && ops[j] <= '9' {
				j++
			}
			index, err := strconv.Atoi(ops[i:j])
			switch {
			case err != nil || index > top:
				return nil, short
			case j == len(ops):
				stack = []bool{stack[top-index]}
			default:
				stack = append(stack, stack[top-index])
			}
			if i = j - 1; j < len(ops) && ops[j] == '.' {
				i = j
			}
		case n < 1, n < 2 && c != '!' && c != '.':
			return nil, short
		case c == '!':
			stack[top] = !stack[top]
		case c == '&':
			stack = append(stack[:n-2], stack[n-2] && stack[top])
		case c == '|':
			stack = append(stack[:n-2], stack[n-2] || stack[top])
		case c == '.':
			stack = append(stack, stack[top])
		default:
			return nil, fmt.Errorf("query #%s: operation %q is unknown", ops, c)
		}
	}
	return stack, nil
}
