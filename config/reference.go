package config

import (
	"fmt"
	"io"
	"strings"
)

// Key describes one setting, for documents, completion and tests.
type Key struct {
	Name   string `json:"name"`
	Env    string `json:"env"`
	Value  string `json:"value"`
	Doc    string `json:"doc"`
	Want   string `json:"want"`
	Reload bool   `json:"reload"`
	Secret bool   `json:"secret"`
}

// Keys lists all settings with c's values, in the order of the reference;
// secrets are masked.
func (c *Config) Keys() []Key {
	var keys []Key
	for _, s := range settings(c) {
		keys = append(keys, Key{Name: s.key, Env: EnvName(s.key), Value: s.get(), Doc: s.doc, Want: s.want, Reload: s.reload, Secret: s.secret})
	}
	return keys
}

// WriteReference writes the body of docs/configuration.md: every key with its
// default.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	for _, k := range Default().Keys() {
		value := "empty"
		if k.Value != "" {
			value = "`" + k.Value + "`"
		}
		fmt.Fprintf(&b, "### `%s`\n\n%s\n\n- value: %s\n- default: %s\n- environment: `%s`\n", k.Name, k.Doc, k.Want, value, k.Env)
		if k.Reload {
			b.WriteString("- taken over by SIGHUP\n")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Changes names the keys whose values differ between two configurations:
// those that a running server takes over, and those that need a restart.
func Changes(old, next *Config) (taken, restart []string) {
	before, after := settings(old), settings(next)
	for i, s := range after {
		same := s.get() == before[i].get() && (s.raw == nil || s.raw() == before[i].raw())
		switch {
		case same:
		case s.reload:
			taken = append(taken, s.key)
		default:
			restart = append(restart, s.key)
		}
	}
	return taken, restart
}
