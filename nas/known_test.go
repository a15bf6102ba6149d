package nas_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/nas"
)

// filled is a row that has a value in every field, whatever is added to it.
func filled(t *testing.T, v reflect.Value, n int) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Struct:
			filled(t, f, n+10)
		case reflect.String:
			f.SetString("text\x00 of " + v.Type().Field(i).Name)
		case reflect.Int64, reflect.Int32:
			f.SetInt(int64(n + i))
		case reflect.Uint8, reflect.Uint16:
			f.SetUint(uint64(n%2 + 1))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			if f.Elem().CanInt() {
				f.Elem().SetInt(int64(time.Second))
			}
		default:
			t.Fatalf("%s.%s is a %s: say here how it is filled", v.Type(), v.Type().Field(i).Name, f.Type())
		}
	}
}

func knownFile(t *testing.T, path string, key byte) *nas.KnownFile {
	t.Helper()
	f, err := nas.NewKnownFile(path, bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Every field comes back, secrets too, and none stands in the file in clear.
func TestKnownFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	f := knownFile(t, path, 1)
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first: %v", err)
	}
	var row nas.Row
	filled(t, reflect.ValueOf(&row).Elem(), 1)
	want := nas.Known{Zone: "Europe/Prague", Rows: []nas.Row{row, {ID: 2, Name: "10.0.0.0/8", Secret: "s3cret"}}}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := knownFile(t, path, 1).Load()
	if err != nil {
		t.Fatal(err)
	}
	// Secrets look alike to everything but Reveal.
	reveal := cmp.Transformer("reveal", func(s nas.Secret) string { return s.Reveal() })
	if d := cmp.Diff(want, got, reveal); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("s3cret")) || bytes.Contains(raw, []byte("10.0.0.0")) {
		t.Error("the file is in clear")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}

	// The same again is not written; something else is.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written again: %v", err)
	}
	want.Rows = want.Rows[:1]
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Load(); err != nil || len(got.Rows) != 1 {
		t.Errorf("%d rows, %v", len(got.Rows), err)
	}
}

// A file that is not ours is no devices, and says so.
func TestKnownFileDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	if err := knownFile(t, path, 1).Save(nas.Known{Zone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := knownFile(t, path, 2).Load(); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
	for n := range good {
		bad := bytes.Clone(good)
		bad[n] ^= 1
		for _, b := range [][]byte{bad, good[:n]} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if k, err := knownFile(t, path, 1).Load(); err == nil {
				t.Fatalf("byte %d: read %+v", n, k)
			}
		}
	}
}
