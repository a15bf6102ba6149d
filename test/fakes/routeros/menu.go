package routeros

import (
	"bufio"
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed menus.txt
var menusText string

// menu is one path and what may stand in it.
type menu struct {
	path           string
	single         bool // settings, not a list
	fixed          bool // no add, no remove
	ordered        bool // place-before, move
	dup, nosuch    string
	since          version
	fields         []*field
	byName         map[string]*field
	removeByRouter func(r *Router, i *item) // what remove does beside removing: ends a session
}

// field is one value of an item.
type field struct {
	name             string
	kind             string // text, bool, int, …
	arg              string // what the kind needs: a range, words, a menu's path
	standard         string // default
	hasStandard      bool
	required, unique bool
	readOnly         bool
	since            version
}

var quotedOption = regexp.MustCompile(`(\w+)="([^"]*)"`)

// readMenus reads the table of menus.
func readMenus(text string) (map[string]*menu, error) {
	menus := map[string]*menu{}
	var at *menu
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if strings.HasPrefix(line, "/") {
			m, err := readMenu(line)
			if err != nil {
				return nil, fmt.Errorf("menus.txt:%d: %w", n, err)
			}
			at = m
			menus[m.path] = m
			continue
		}
		if at == nil {
			return nil, fmt.Errorf("menus.txt:%d: a field without a menu", n)
		}
		f, err := readField(line)
		if err != nil {
			return nil, fmt.Errorf("menus.txt:%d: %w", n, err)
		}
		at.fields = append(at.fields, f)
		at.byName[f.name] = f
	}
	for _, m := range menus {
		for _, f := range m.fields {
			if f.kind == "ref" && menus[f.arg] == nil {
				return nil, fmt.Errorf("menus.txt: %s %s: no menu %q", m.path, f.name, f.arg)
			}
		}
	}
	return menus, nil
}

func readMenu(line string) (*menu, error) {
	m := &menu{dup: "failure: already have such item", nosuch: "no such item", byName: map[string]*field{}}
	for _, o := range quotedOption.FindAllStringSubmatch(line, -1) {
		switch o[1] {
		case "dup":
			m.dup = o[2]
		case "nosuch":
			m.nosuch = o[2]
		default:
			return nil, fmt.Errorf("option %q: want dup or nosuch", o[1])
		}
	}
	words := strings.Fields(quotedOption.ReplaceAllString(line, ""))
	m.path = words[0]
	for _, w := range words[1:] {
		since, isSince := strings.CutPrefix(w, "since=")
		switch {
		case w == "list":
		case w == "single":
			m.single = true
		case w == "fixed":
			m.fixed = true
		case w == "order":
			m.ordered = true
		case isSince:
			m.since = parseVersion(since)
		default:
			return nil, fmt.Errorf("menu option %q: want list, single, fixed, order or since=", w)
		}
	}
	return m, nil
}

func readField(line string) (*field, error) {
	line = strings.TrimSpace(line)
	f := &field{}
	if i := strings.Index(line, " ="); i >= 0 { // the default goes to the end, but for since=
		rest := line[i+2:]
		if j := strings.Index(rest, " since="); j >= 0 {
			line, rest = line[:i]+rest[j:], rest[:j]
		} else {
			line = line[:i]
		}
		f.standard, f.hasStandard = rest, true
	}
	words := strings.Fields(line)
	if len(words) < 2 {
		return nil, fmt.Errorf("field %q: want a name and a kind", line)
	}
	f.name, f.kind, words = words[0], words[1], words[2:]
	switch f.kind {
	case "int", "enum", "enums", "ref", "pair":
		if len(words) == 0 {
			return nil, fmt.Errorf("field %s: %s wants a word more", f.name, f.kind)
		}
		f.arg, words = words[0], words[1:]
	case "text", "secret", "bool", "ip", "net", "ippool", "prefix6", "time", "rate", "ratelimit", "list", "ranges", "ports", "mac":
	default:
		return nil, fmt.Errorf("field %s: kind %q is unknown", f.name, f.kind)
	}
	for _, w := range words {
		since, isSince := strings.CutPrefix(w, "since=")
		switch {
		case w == "required":
			f.required = true
		case w == "unique":
			f.unique = true
		case w == "read":
			f.readOnly = true
		case isSince:
			f.since = parseVersion(since)
		default:
			return nil, fmt.Errorf("field %s: option %q is unknown", f.name, w)
		}
	}
	return f, nil
}

// version is a RouterOS version, for comparison: 7.15.3 is {7, 15, 3}.
type version [3]int

// parseVersion reads the numbers of "7.15.3 (stable)".
func parseVersion(s string) (v version) {
	s, _, _ = strings.Cut(s, " ")
	for i, part := range strings.SplitN(s, ".", 3) {
		if _, err := fmt.Sscanf(part, "%d", &v[i]); err != nil {
			break // 7.16rc1: the numbers that there are
		}
	}
	return v
}

func (v version) before(o version) bool {
	for i := range v {
		if v[i] != o[i] {
			return v[i] < o[i]
		}
	}
	return false
}
