package pgdev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MinVersion is the oldest PostgreSQL that will do.
const MinVersion = 15

// ErrNoPostgres says that no usable PostgreSQL is installed.
var ErrNoPostgres = errors.New("no PostgreSQL found")

// binaries is one installed PostgreSQL.
type binaries struct {
	dir     string // of initdb, postgres and pg_ctl
	version int    // major
}

// find looks for PostgreSQL in the folders given, on PATH and where Debian,
// Red Hat and others put it. With want 0 it returns the newest of 15 or later,
// else the one of major version want.
func find(further []string, want int) (binaries, error) {
	var found []binaries
	for _, dir := range candidates(further) {
		if b, ok := inspect(dir); ok && !slices.ContainsFunc(found, func(f binaries) bool { return f.version == b.version }) {
			found = append(found, b)
		}
	}
	best := binaries{}
	for _, b := range found {
		if want == 0 && b.version >= MinVersion && b.version > best.version || want != 0 && b.version == want {
			best = b
		}
	}
	if best.dir != "" {
		return best, nil
	}
	return binaries{}, notFound(found, want)
}

func notFound(found []binaries, want int) error {
	var have []string
	for _, b := range found {
		have = append(have, fmt.Sprintf("%d in %s", b.version, b.dir))
	}
	switch {
	case want != 0:
		return fmt.Errorf("%w: the cluster was made by version %d; installed: %s: install the Debian package postgresql-%d, or move the cluster over with pg_upgrade",
			ErrNoPostgres, want, orNone(have), want)
	case len(found) > 0:
		return fmt.Errorf("%w: %s is too old, version %d or newer is needed: install the Debian package postgresql, run make tools-run, or set database.url",
			ErrNoPostgres, strings.Join(have, ", "), MinVersion)
	default:
		return fmt.Errorf("%w (looked for initdb, postgres and pg_ctl on PATH and in /usr/lib/postgresql/*/bin): install the Debian package postgresql, run make tools-run, or set database.url",
			ErrNoPostgres)
	}
}

func orNone(have []string) string {
	if len(have) == 0 {
		return "none"
	}
	return strings.Join(have, ", ")
}

func candidates(further []string) []string {
	dirs := slices.Clone(further)
	if p, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/usr/libexec/postgresql*"} {
		m, err := filepath.Glob(pattern)
		if err != nil {
			continue // the pattern is ours and well-formed
		}
		dirs = append(dirs, m...)
	}
	return dirs
}

// inspect tells whether dir holds a whole server, and which.
func inspect(dir string) (binaries, bool) {
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
			return binaries{}, false
		}
	}
	b := binaries{dir: dir}
	cmd := exec.Command(filepath.Join(dir, "postgres"), "--version")
	cmd.Env = b.env()
	out, err := cmd.Output()
	if err != nil {
		return binaries{}, false
	}
	b.version = majorVersion(string(out))
	return b, b.version > 0
}

// majorVersion reads `postgres (PostgreSQL) 15.8 (Debian …)`; 0 is unknown.
func majorVersion(s string) int {
	_, s, _ = strings.Cut(s, "(PostgreSQL) ")
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		return 0
	}
	v, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0
	}
	return v
}

// env is the environment that the binaries run with: little, so that nothing
// of the caller's (PGDATA, LC_ALL …) changes what they do. Debian's package
// unpacked into a folder of its own brings its libraries along.
func (b binaries) env() []string {
	env := []string{"PATH=" + b.dir + ":/usr/bin:/bin", "LC_ALL=C", "LANG=C"}
	if root, ok := strings.CutSuffix(filepath.Clean(b.dir), fmt.Sprintf("/usr/lib/postgresql/%s/bin", filepath.Base(filepath.Dir(b.dir)))); ok && root != "" {
		libs, err := filepath.Glob(root + "/usr/lib/*-linux-gnu*")
		if err == nil && len(libs) > 0 {
			env = append(env, "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
		}
	}
	return env
}
