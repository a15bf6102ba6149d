package dictionaries

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load returns the embedded dictionary.
func load(t testing.TB) *Dictionary {
	t.Helper()
	d, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pair reads a pair that must be right.
func pair(t testing.TB, d *Dictionary, ref, text string) Pair {
	t.Helper()
	p, err := d.Pair(ref, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
