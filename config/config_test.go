package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// other returns a right value for a key that differs from its default.
func other(k Key) string {
	switch {
	case k.Want == "true or false":
		return map[string]string{"true": "false", "false": "true"}[k.Value]
	case strings.HasPrefix(k.Want, "one of "):
		for w := range strings.SplitSeq(strings.TrimPrefix(k.Want, "one of "), ", ") {
			if w != k.Value {
				return w
			}
		}
	case strings.HasPrefix(k.Want, "a whole number"):
		words := strings.Fields(k.Want)
		if words[4] != k.Value {
			return words[4]
		}
		return words[6]
	case strings.HasPrefix(k.Want, "a time from"), strings.HasPrefix(k.Want, "0, or a time from"):
		words := strings.Fields(strings.TrimPrefix(k.Want, "0, or "))
		if words[3] != k.Value {
			return words[3]
		}
		return words[5]
	case strings.HasPrefix(k.Want, "host:port"):
		return "127.0.0.9:4242"
	case strings.HasPrefix(k.Want, "an IANA name"):
		return "Europe/Prague"
	}
	switch k.Name {
	case "api.listen":
		return "127.0.0.9:4242"
	case "ipam.thresholds":
		return "7, 70"
	case "control.source":
		return "192.0.2.9"
	case "routers.radius_servers":
		return "192.0.2.1, 192.0.2.2:11812:11813"
	case "dictionaries":
		return os.TempDir()
	}
	return "/somewhere/else"
}

// TestEveryKeyIsRead: each key changes the configuration from each source, and
// flags win over environment, environment over file.
func TestEveryKeyIsRead(t *testing.T) {
	for _, k := range Default().Keys() {
		t.Run(k.Name, func(t *testing.T) {
			value := other(k)
			if value == "" || value == k.Value {
				t.Fatalf("no other value than %q for %+v", k.Value, k)
			}
			file := filepath.Join(t.TempDir(), "radial.yaml")
			if err := os.WriteFile(file, []byte(k.Name+": "+value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			extra := map[string]string{}
			switch k.Name { // what validate wants beside it
			case "database.pooler":
				extra = map[string]string{"database.direct_url": "postgres://x", "database.url": "postgres://y"}
			case "database.direct_url":
				extra = map[string]string{"database.url": "postgres://y"}
			}
			flags := map[string]string{k.Name: value}
			for key, v := range extra {
				flags[key] = v
			}
			for name, src := range map[string]Source{
				"file": {File: file, Flags: extra},
				"env":  {File: os.DevNull, Env: []string{k.Env + "=" + value}, Flags: extra},
				"flag": {File: os.DevNull, Env: []string{k.Env + "=" + k.Value}, Flags: flags},
			} {
				c, err := Load(src)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				want := value
				if k.Secret {
					want = "***"
				}
				for _, got := range c.Keys() {
					if got.Name == k.Name && got.Value != want {
						t.Errorf("%s: %q, want %q", name, got.Value, want)
					}
				}
			}
			if k.Secret && strings.Contains(loadError(t, k.Name), "hunter2") {
				t.Error("an error shows the secret")
			}
		})
	}
}

func loadError(t *testing.T, key string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "radial.yaml")
	if err := os.WriteFile(file, []byte(key+": [hunter2, hunter2]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Source{File: file})
	if err == nil {
		t.Fatal("a list was taken for a text")
	}
	return err.Error()
}

// TestBadFiles: each testdata/bad/NAME.yaml gives exactly NAME.txt.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(Source{File: file})
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.TrimSpace(string(want)), err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	_, err := Load(Source{File: os.DevNull, Env: []string{"RADIAL_LOG_LEVEL=loud", "RADIAL_NO_SUCH=1", "HOME=/x", "RADIAL_SECRET_KEY=k"}})
	want := `log.level = "loud" (environment, RADIAL_LOG_LEVEL): want one of debug, info, warn, error (not "loud")
RADIAL_NO_SUCH (environment): no such setting; ` + "`radial check-config --keys` lists them"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestFileNotThere(t *testing.T) {
	if _, err := Load(Source{File: "testdata/none.yaml"}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestReferenceTellsEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	for _, k := range Default().Keys() {
		if !strings.Contains(b.String(), "### `"+k.Name+"`") || k.Doc == "" {
			t.Errorf("%s is not told", k.Name)
		}
	}
}
