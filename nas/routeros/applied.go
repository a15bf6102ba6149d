package routeros

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// signs are how changes stand in a diff.
var signs = map[Action]string{Added: "+", Changed: "~", Removed: "-", Moved: "^"}

// Text is the change as a diff for people, a line for the thing and one for each
// field; secrets are ***.
func (a Applied) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", signs[a.Action], strings.TrimSpace(a.Path+" "+keyText(a.Key)))
	names := map[string]bool{}
	for _, r := range []Row{a.Before, a.After} {
		for name := range r {
			if _, isKey := a.Key[name]; !isKey {
				names[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := shown(name, a.Before[name]), shown(name, a.After[name])
		switch a.Action {
		case Changed:
			fmt.Fprintf(&b, "    %s: %s -> %s\n", name, before, after)
		case Removed:
			fmt.Fprintf(&b, "    %s: %s\n", name, before)
		default:
			fmt.Fprintf(&b, "    %s: %s\n", name, after)
		}
	}
	return b.String()
}

// shown is a value as it is printed: of a field that has none a dash, a boolean
// as people write it.
func shown(field, value string) string {
	switch {
	case value == "":
		return "-"
	case IsSecret(field):
		return "***"
	}
	if v, err := ParseBool(value); err == nil {
		return FormatBool(v)
	}
	return value
}
