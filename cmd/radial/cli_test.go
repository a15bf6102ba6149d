package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"radial/store/journal"
	"radial/store/storetest"
	fake "radial/test/fakes/routeros"
)

// leakChecked is a testing.M that fails when goroutines are left.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestMain lets the test's binary be the command itself for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"radial": main})
}

var update = flag.Bool("update", false, "write what commands print into the scripts")

// TestScripts runs the real command against a database of each script's own.
// The verb sql asks that database past the command: `sql 'SELECT …'` puts the
// rows on stdout, columns with | between.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			db := storetest.New(env.T().(testing.TB))
			db.Exec("UPDATE radial.settings SET value = 'UTC' WHERE key = 'timezone'")
			env.Values["db"] = db
			env.Values["routers"] = map[string]*fake.Router{}
			env.Setenv("RADIAL_DATA_DIR", filepath.Join(env.WorkDir, "data")) // not the host's /var/lib/radial
			env.Setenv("RADIAL_DATABASE_URL", db.URL())
			env.Setenv("SUDO_USER", "tester")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command sleeps a second at its end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sql": runSQL, "journal": fillJournal, "fakerouter": playRouter, "routeritems": routerItems, "putitem": putItem, "setitem": setItem,
			"routerset": changeRouter, "routerdrop": dropItem, "routerfault": breakRouter, "routerdial": dialRouter,
		},
	})
}

// fillJournal: `journal DIR FILE` puts each line of a file into the journal in a
// folder.
func fillJournal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: journal DIR FILE")
	}
	j, err := journal.Open(ts.MkAbs(args[0]), journal.Options{}, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
	ts.Check(err)
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		ts.Check(j.Append([]byte(strings.TrimSpace(line))))
	}
	ts.Check(j.Close())
}

func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql 'statement'")
	}
	db := ts.Value("db").(*storetest.DB)
	if !strings.HasPrefix(args[0], "SELECT") {
		db.Exec(args[0])
		return
	}
	var b strings.Builder
	for _, row := range db.Rows(args[0]) {
		b.WriteString(strings.Join(row, "|") + "\n")
	}
	_, err := fmt.Fprint(ts.Stdout(), b.String())
	ts.Check(err)
}

func TestDemoIsMadeOnce(t *testing.T) {
	db := storetest.New(t)
	a := newApp()
	dict, err := a.dictionary()
	if err != nil {
		t.Fatal(err)
	}
	const all = `
SELECT 'check', username, attribute, value FROM radcheck UNION ALL SELECT 'member', username, groupname, priority::text FROM radusergroup
UNION ALL SELECT 'greply', groupname, attribute, value FROM radgroupreply UNION ALL SELECT 'gcheck', groupname, attribute, value FROM radgroupcheck
UNION ALL SELECT 'nas', nasname, type, secret FROM nas UNION ALL SELECT 'pool', name, '', '' FROM radial.pools ORDER BY 1, 2, 3`
	want := [][]string{
		{"check", "alice", "Cleartext-Password", "wonderland"}, {"gcheck", "gold", "Pool-Name", "demo"},
		{"greply", "gold", "Fall-Through", "Yes"}, {"greply", "gold", "Mikrotik-Rate-Limit", "20M/100M"},
		{"member", "alice", "gold", "100"}, {"nas", "127.0.0.0/8", "mikrotik", "testing123"}, {"nas", "::1", "mikrotik", "testing123"}, {"pool", "demo", "", ""},
	}
	for range 2 {
		if err := makeDemo(t.Context(), db.DB, dict, a.now().UTC().Location()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, db.Rows(all)); diff != "" {
			t.Fatal(diff)
		}
	}
}
