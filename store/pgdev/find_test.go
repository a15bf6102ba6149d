package pgdev

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake makes a folder with programs that say they are a version of PostgreSQL.
func fake(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindTakesTheNewest(t *testing.T) {
	t.Setenv("PATH", "/usr/bin:/bin")
	v14, v98, v99 := fake(t, "14.2"), fake(t, "98beta1"), fake(t, "99.1 (Debian 99.1-1)")
	b, err := find([]string{v14, v99, v98}, 0)
	if err != nil || b.dir != v99 || b.version != 99 {
		t.Errorf("newest: %+v, %v", b, err)
	}
	b, err = find([]string{v14, v99, v98}, 14)
	if err != nil || b.dir != v14 {
		t.Errorf("the one that made the cluster: %+v, %v", b, err)
	}
}

func TestNotFoundSaysWhatToDo(t *testing.T) {
	for name, err := range map[string]error{
		"none":    notFound(nil, 0),
		"too old": notFound([]binaries{{"/opt/pg13", 13}}, 0),
	} {
		if !errors.Is(err, ErrNoPostgres) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{"Debian package postgresql", "make tools-run", "database.url"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v: does not name %s", name, err, want)
			}
		}
	}
	if err := notFound([]binaries{{"/opt/pg13", 13}}, 0); !strings.Contains(err.Error(), "13 in /opt/pg13 is too old") {
		t.Error(err)
	}
}

func TestUnpackedPackageBringsItsLibraries(t *testing.T) {
	root := t.TempDir()
	libs := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	if err := os.MkdirAll(libs, 0o755); err != nil {
		t.Fatal(err)
	}
	env := strings.Join(binaries{dir: filepath.Join(root, "usr/lib/postgresql/15/bin")}.env(), "\n")
	if !strings.Contains(env, "LD_LIBRARY_PATH="+libs) {
		t.Error(env)
	}
	env = strings.Join(binaries{dir: "/usr/lib/postgresql/15/bin"}.env(), "\n")
	if strings.Contains(env, "LD_LIBRARY_PATH") {
		t.Error(env)
	}
}
