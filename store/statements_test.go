package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"radial/store/storetest"
)

// notPreparable lists the constants named sql… that PREPARE does not take, with
// the reason. DDL is named ddl… and is not looked at.
var notPreparable = map[string]string{}

// Every statement of the package is prepared against the migrated schema: a
// misspelt column or a parameter without a type fails here, not at night.
func TestEveryStatementPrepares(t *testing.T) {
	consts := map[string]ast.Expr{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, id := range v.Names {
					if i < len(v.Values) {
						consts[id.Name] = v.Values[i]
					}
				}
			}
		}
	}
	db := storetest.New(t)
	db.Exec(`SELECT radial.set_mirror(true, 'user-name', false)`) // makes radippool
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	n := 0
	for name, expr := range consts {
		if !strings.HasPrefix(name, "sql") || len(name) < 4 || name[3] < 'A' || name[3] > 'Z' {
			continue
		}
		if _, ok := notPreparable[name]; ok {
			continue
		}
		text, ok := evaluate(expr, consts)
		if !ok {
			t.Errorf("%s is no string constant that can be read here", name)
			continue
		}
		n++
		if _, err := conn.Prepare(t.Context(), name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n < 30 {
		t.Errorf("%d statements: the search is broken", n)
	}
	for name := range notPreparable {
		if _, ok := consts[name]; !ok {
			t.Errorf("%s is on the list and not in the code", name)
		}
	}
}

// evaluate computes a constant made of literals, other constants and +.
func evaluate(e ast.Expr, consts map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		l, ok1 := evaluate(e.X, consts)
		r, ok2 := evaluate(e.Y, consts)
		return l + r, ok1 && ok2 && e.Op == token.ADD
	case *ast.ParenExpr:
		return evaluate(e.X, consts)
	case *ast.Ident:
		if other, ok := consts[e.Name]; ok {
			return evaluate(other, consts)
		}
	}
	return "", false
}
