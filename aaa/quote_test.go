package aaa

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLineValue: whatever a value is, it is read the same from a line of a file.
func TestLineValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.SampledFrom([]rune(" ab\\\"'\n\r\t\u00a0n1")), 0, 12, -1).Draw(t, "value")
		line := lineValue(value)
		text, _, err := unquote(value)
		if err == nil {
			_, err = unescape(text)
		}
		switch {
		case err != nil:
		case !readsAs(line, value):
			t.Fatalf("%q is written as %q", value, line)
		case line != value && (strings.ContainsAny(line, "\r\n") || strings.TrimSpace(line) != line):
			t.Fatalf("%q is written as %q, which a line does not keep", value, line)
		case line == value && value != "" && value[0] != '\'' && (strings.ContainsAny(line, "\r\n") || strings.TrimSpace(line) != line):
			t.Fatalf("%q is written as it stands", value)
		}
	})
}
