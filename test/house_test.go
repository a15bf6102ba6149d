package test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the import table of the house: each folder, and which of ours
// it may see. The arrows go one way, so that a reader of a package needs to
// know only those below it.
var mayImport = map[string][]string{
	"dictionaries": {},
	"ipam":         {},
	"nas":          {"dictionaries", "ipam"},
	"aaa":          {"dictionaries", "ipam", "nas"},
	"radius":       {"dictionaries", "ipam", "nas", "aaa"},
	"store":        {"dictionaries", "ipam", "nas", "aaa", "store"},
	"api":          {"dictionaries", "ipam", "nas", "aaa"},
	"jobs":         {"dictionaries", "ipam", "nas", "aaa", "store"},
	"load":         {"dictionaries", "aaa", "nas", "radius"},
	"config":       {"dictionaries", "ipam", "nas", "aaa", "radius", "store", "api", "jobs"},
	"cmd":          {"dictionaries", "ipam", "nas", "aaa", "radius", "store", "api", "jobs", "config", "load"},
	"test":         {"dictionaries", "nas", "aaa", "store", "radius", "load"},
}

// why says what an import that is not in the table would break.
const why = "imports go one way (docs/architecture.md): an interface belongs to its consumer, and cmd/radial/serve.go wires the parts"

// modules is the module table: which folders may import which third-party
// module. One place each, so that a module can be replaced by editing one room.
var modules = map[string][]string{
	"layeh.com/radius":                                   {"radius", "dictionaries", "_test"}, // in tests: an independent judge
	"github.com/jackc/pgx/v5":                            {"store", "jobs"},
	"github.com/pressly/goose/v3":                        {"store"},
	"github.com/riverqueue/river":                        {"store", "jobs"},
	"github.com/prometheus/client_golang":                {"radius", "store", "aaa", "ipam", "nas", "jobs", "api", "cmd"},
	"github.com/spf13/viper":                             {"config"},
	"github.com/spf13/cobra":                             {"cmd"},
	"github.com/spf13/pflag":                             {"cmd"},
	"go.uber.org/zap":                                    {"radius", "store", "jobs", "api", "cmd"},
	"github.com/coreos/go-systemd/v22":                   {"cmd"},
	"github.com/jedib0t/go-pretty/v6":                    {"cmd"},
	"github.com/go-crypt/crypt":                          {"aaa"},
	"github.com/go-routeros/routeros/v3":                 {"nas"},
	"golang.org/x/crypto":                                {"aaa", "store"},
	"golang.org/x/sys":                                   {"radius", "load", "store", "cmd"},
	"golang.org/x/sync":                                  {"cmd", "radius", "store", "jobs", "nas", "load"},
	"golang.org/x/time":                                  {"radius", "load", "jobs"},
	"pgregory.net/rapid":                                 {"_test"},
	"go.uber.org/goleak":                                 {"_test"},
	"github.com/google/go-cmp":                           {"_test"},
	"github.com/rogpeppe/go-internal":                    {"_test"},
	"github.com/riverqueue/river/riverdriver/riverpgxv5": {"store", "jobs"},
}

const maxDirectModules = 24

func TestImports(t *testing.T) {
	for _, f := range goFiles(t) {
		room := f.room()
		for _, spec := range f.ast.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasPrefix(p, "radial/"):
				to := strings.Split(p, "/")[1]
				if strings.HasPrefix(f.path, "cmd/radial-fakerouter/") && strings.HasPrefix(p, "radial/test/fakes/") {
					continue // a program for those who have no router; the product's own never sees a fake
				}
				if to == room || f.isTest() && (strings.HasPrefix(p, "radial/store/storetest") || strings.HasPrefix(p, "radial/test/scenario") || strings.HasPrefix(p, "radial/test/fakes/")) {
					continue
				}
				if !slices.Contains(mayImport[room], to) {
					t.Errorf("%s imports %s: %s may see only %v: %s", f.path, p, room, mayImport[room], why)
				}
			case strings.Contains(strings.Split(p, "/")[0], "."):
				checkModule(t, f, room, p)
			}
		}
	}
}

func checkModule(t *testing.T, f goFile, room, imported string) {
	t.Helper()
	best := ""
	for m := range modules {
		if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	rooms := modules[best]
	switch {
	case best == "":
		t.Errorf("%s imports %s: a module that is not in the table; the default answer is no (docs/decisions)", f.path, imported)
	case slices.Contains(rooms, "_test") && f.isTest():
	case f.isTest() && best == "go.uber.org/zap", f.isTest() && best == "github.com/prometheus/client_golang":
	case !slices.Contains(rooms, room):
		t.Errorf("%s imports %s: only %v may", f.path, imported, rooms)
	}
}

func TestDirectModules(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(mod)) {
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "// indirect") {
			n++
		}
	}
	if n == 0 || n > maxDirectModules {
		t.Errorf("go.mod has %d direct modules, at most %d are allowed: say in docs/decisions what a new one replaces", n, maxDirectModules)
	}
}

var (
	badNames  = regexp.MustCompile(`^(util|utils|common|helpers?|models?|types|base|services?|managers?|internal|pkg|misc)$`)
	sqlInText = regexp.MustCompile(`(?is)^\s*(select|insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\w+.*\bas\s*\(|create\s+(table|index|schema|trigger)|alter\s+table|truncate\s|listen\s|notify\s|begin;?$)`)
)

func TestShapeOfCode(t *testing.T) {
	docs := map[string]bool{}
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if path.Base(f.path) == "doc.go" && f.ast.Doc != nil {
			docs[dir] = true
		} else if _, seen := docs[dir]; !seen && !f.isTest() {
			docs[dir] = false
		}
		if badNames.MatchString(path.Base(dir)) {
			t.Errorf("%s: a package is a noun of the domain, not %q", f.path, path.Base(dir))
		}
		if n := f.lines(f.ast.Pos(), f.ast.End()); n > 400 && !f.isTest() {
			t.Errorf("%s has %d lines: at most 400, one noun per file", f.path, n)
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: func init: cmd/radial/serve.go builds everything", f.at(d))
				}
				if n := f.lines(d.Pos(), d.End()); n > 80 && !f.isTest() {
					t.Errorf("%s: %s has %d lines: at most 80", f.at(d), d.Name.Name, n)
				}
			case *ast.GenDecl:
				checkDecl(t, f, d)
			}
		}
		if !f.isTest() {
			checkStrings(t, f)
		}
	}
	for dir, ok := range docs {
		if !ok && !strings.HasPrefix(dir, "test/fakes") {
			t.Errorf("%s has no doc.go with a package comment", dir)
		}
	}
}

// checkDecl: no wide interfaces, no global state.
func checkDecl(t *testing.T, f goFile, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if it, ok := spec.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > 4 {
				t.Errorf("%s: interface %s has %d methods: at most 4", f.at(spec), spec.Name.Name, it.Methods.NumFields())
			}
		case *ast.ValueSpec:
			if d.Tok == token.VAR && !f.isTest() && len(spec.Values) == 0 && !embeds(d, spec) && spec.Names[0].Name != "_" && !f.isMain() {
				t.Errorf("%s: package-level var %s has no value: state belongs into a struct that a constructor makes", f.at(spec), spec.Names[0].Name)
			}
		}
	}
}

func embeds(d *ast.GenDecl, spec *ast.ValueSpec) bool {
	for _, g := range []*ast.CommentGroup{d.Doc, spec.Doc} {
		if g != nil && slices.ContainsFunc(g.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") }) {
			return true
		}
	}
	return false
}

// checkStrings: SQL stands in store alone.
func checkStrings(t *testing.T, f goFile) {
	t.Helper()
	if f.room() == "store" || f.room() == "test" {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && sqlInText.MatchString(s) && strings.Contains(s, " ") && strings.ToUpper(firstWord(s)) == firstWord(s) {
				t.Errorf("%s: SQL outside store: %.60q", f.at(lit), s)
			}
		}
		return true
	})
}

func firstWord(s string) string { return strings.Fields(s + " x")[0] }

// TestNothingOfThisMachine: no developer's path, no registry's host and no
// private key in what git has.
func TestNothingOfThisMachine(t *testing.T) {
	bad := regexp.MustCompile(`/(root|home/[a-z]\w*)/|/wor[k]/|BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY|(proxy\.golang|deb\.debian|registry\.npmjs)\.org`)
	for _, name := range tracked(t) {
		if name == "go.sum" || name == "test/house_test.go" || strings.Contains(name, "testdata/fuzz/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			continue // deleted in the work tree
		}
		s := bufio.NewScanner(bytes.NewReader(b))
		s.Buffer(nil, 1<<24)
		for n := 1; s.Scan(); n++ {
			if m := bad.FindString(s.Text()); m != "" {
				t.Errorf("%s:%d has %q", name, n, m)
			}
		}
	}
}

// goFile is one parsed file of the tree.
type goFile struct {
	path string
	ast  *ast.File
	fset *token.FileSet
}

func (f goFile) room() string { return strings.Split(f.path, "/")[0] }
func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") || f.room() == "test" }
func (f goFile) isMain() bool { return f.ast.Name.Name == "main" && path.Base(f.path) == "main.go" }
func (f goFile) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}
func (f goFile) lines(from, to token.Pos) int {
	return f.fset.Position(to).Line - f.fset.Position(from).Line + 1
}

func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		fset := token.NewFileSet()
		a, err := parser.ParseFile(fset, filepath.Join("..", name), nil, parser.ParseComments)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{name, a, fset})
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files", len(files))
	}
	return files
}

// tracked lists the files that git has, and those that it does not ignore.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.Fields(string(out))
}
