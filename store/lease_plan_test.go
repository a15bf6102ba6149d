package store_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"radial/store"
	"radial/store/storetest"
)

// A plan that was made while there were no addresses must serve when there are
// millions: each address is looked up, whatever the statistics say.
func TestClaimPlansLookUp(t *testing.T) { plansLookUp(t, store.ClaimStatements()) }

// The same of an accounting transaction, and of its sessions.
func TestLedgerPlansLookUp(t *testing.T) { plansLookUp(t, store.LedgerStatements()) }

// The same of the clock's work.
func TestTimedPlansLookUp(t *testing.T) { plansLookUp(t, store.TimedStatements()) }

func plansLookUp(t *testing.T, statements map[string]string) {
	for name, world := range map[string]func(*storetest.DB){
		"nothing known": func(*storetest.DB) {},
		"all are free": func(db *storetest.DB) { // as the statistics have it after pool add: indexes of what is held are empty
			if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "big", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/18")}}); err != nil {
				t.Fatal(err)
			}
			db.Exec(`ANALYZE radial.addresses`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			world(db)
			plansLookUpIn(t, db, statements)
		})
	}
}

func plansLookUpIn(t *testing.T, db *storetest.DB, statements map[string]string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	for name, sql := range statements {
		stmt, err := conn.Prepare(t.Context(), name, sql)
		if err != nil {
			t.Fatal(err)
		}
		nulls := ""
		if n := len(stmt.ParamOIDs); n > 0 {
			nulls = "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
		}
		rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE "+name+nulls)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		scans := 0
		for i, line := range lines {
			if !regexp.MustCompile(`Scan .*on (admissions|addresses|address_history\w*|radacct)\b`).MatchString(line) {
				continue
			}
			scans++
			if next := strings.Join(lines[i+1:min(i+2, len(lines))], ""); !strings.Contains(next, "Index Cond") && !strings.Contains(next, "Recheck Cond") && !strings.Contains(next, "TID Cond") {
				t.Errorf("%s reads a whole table: %s\n%s", name, line, strings.Join(lines, "\n"))
			}
		}
		if scans == 0 {
			t.Errorf("%s looks at no address:\n%s", name, strings.Join(lines, "\n"))
		}
	}
}
