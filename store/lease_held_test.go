package store_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// A candidate that another server is giving away at the moment is not given to
// a second caller when that one commits, and is when it does not.
func TestGiveRowBeingGiven(t *testing.T) {
	for _, statement := range []string{"give", "new"} {
		for end, given := range map[string]int64{"COMMIT": 0, "ROLLBACK": 1} {
			t.Run(statement+" "+end, func(t *testing.T) { giveHeld(t, statement, end, given) })
		}
	}
}

func giveHeld(t *testing.T, statement, end string, given int64) {
	db, try := heldCandidate(t)
	args := giveArgs(t, db, statement, try, "192.0.2.1")
	other := holdRow(t, db)
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	got := make(chan int64, 1)
	go func() {
		tag, err := conn.Exec(t.Context(), store.ClaimStatements()[statement], args...)
		if err != nil {
			t.Error(err)
		}
		got <- tag.RowsAffected()
	}()
	for len(db.Rows(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)) == 0 {
		select {
		case n := <-got:
			t.Fatalf("%d rows given without waiting", n)
		default:
		}
	}
	if _, err := other.Exec(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != given {
		t.Errorf("%d rows given, want %d", n, given)
	}
	holder := map[int64]string{1: "user1", 0: "another"}[given]
	if rows := db.Rows(`SELECT username, state FROM radial.addresses WHERE address = '192.0.2.1'`); rows[0][0] != holder || rows[0][1] != "offered" {
		t.Errorf("the row is %v, want %s's offer", rows[0], holder)
	}
}

// giveArgs are the arguments of sqlClaimGive for user1, or of sqlClaimNew, with
// the place of that address's row.
func giveArgs(t *testing.T, db *storetest.DB, statement string, try ipam.Try, placeOf string) []any {
	t.Helper()
	args := []any{
		[]int32{1}, []int64{try.Pool.ID}, try.Candidates, []string{"user1"}, []string{""}, []*netip.Addr{nil}, []string{""}, []string{""}, []int64{60e6},
	}
	if statement == "new" {
		var place pgtype.TID
		if err := db.Pool().QueryRow(t.Context(), `SELECT ctid FROM radial.addresses WHERE address = $1`, placeOf).Scan(&place); err != nil {
			t.Fatal(err)
		}
		args = append(args, []pgtype.TID{place})
	}
	return args
}

// Where a candidate's row stood is a hint: what stands there is given only if it
// is the candidate, and free.
func TestGiveAtPlace(t *testing.T) {
	db, try := heldCandidate(t)
	for _, c := range []struct {
		name, before, place string
		given               int64
	}{
		{"another's place", "", "192.0.2.2", 0},
		{"a place that has no row any more", "UPDATE radial.addresses SET reason = 'moved' WHERE address = '192.0.2.1'; VACUUM radial.addresses", "192.0.2.1", 0},
		{"taken there", "UPDATE radial.addresses SET state = 'bound' WHERE address = '192.0.2.1'", "192.0.2.1", 0},
		{"its own", "UPDATE radial.addresses SET state = 'free' WHERE address = '192.0.2.1'", "192.0.2.1", 1},
		{"its own, of a caller with a row", "UPDATE radial.addresses SET state = 'free' WHERE address = '192.0.2.1'; UPDATE radial.addresses SET username = 'user1' WHERE address = '192.0.2.9'", "192.0.2.1", 0},
	} {
		args := giveArgs(t, db, "new", try, c.place)
		for sql := range strings.SplitSeq(c.before, ";") {
			db.Exec(sql)
		}
		if !strings.Contains(c.name, "no row any more") {
			args = giveArgs(t, db, "new", try, c.place)
		}
		tag, err := db.Pool().Exec(t.Context(), store.ClaimStatements()["new"], args...)
		if err != nil || tag.RowsAffected() != c.given {
			t.Errorf("%s: %d given, %v; want %d", c.name, tag.RowsAffected(), err, c.given)
		}
	}
}

// Newcomers whose candidates' rows have moved since they were listed get them all
// the same, each one.
func TestNewcomersOfMovedRows(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/26")
	leases := store.NewLeases(db.DB)
	pool, err := leases.PoolNamed(t.Context(), 1, "main")
	if err != nil {
		t.Fatal(err)
	}
	free, err := leases.FreeAddresses(t.Context(), pool, netip.Addr{}, 40)
	if err != nil || len(free) != 40 {
		t.Fatal(len(free), err)
	}
	db.Exec(`UPDATE radial.addresses SET reason = NULL WHERE host(address)::inet - '192.0.2.0'::inet < 20`)
	leases.ExpectNewcomers()
	for n, a := range free {
		c, err := leases.Claim(t.Context(), []ipam.Try{{Want: want(n+1, ""), Pool: &pool, Candidates: []netip.Addr{a}}})
		if err != nil || c[0].Prefix.Addr() != a || c[0].Until.IsZero() {
			t.Errorf("%s: %v, %v", a, c, err)
		}
		leases.ExpectNewcomers()
	}
	if held := db.Rows(`SELECT count(*), count(DISTINCT username) FROM radial.addresses WHERE state = 'offered'`)[0]; held[0] != "40" || held[1] != "40" {
		t.Errorf("%v addresses are on offer to so many users", held)
	}
}

// A row that somebody holds for long does not hold up logins.
func TestClaimOfRowHeldLong(t *testing.T) {
	db, try := heldCandidate(t)
	holdRow(t, db)
	leases := store.NewLeases(db.DB)
	begin := time.Now()
	c, err := leases.Claim(t.Context(), []ipam.Try{try})
	if err != nil || c[0].Prefix.IsValid() {
		t.Errorf("claim: %v, %v", c, err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	try.Candidates = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	if c, err = leases.Claim(t.Context(), []ipam.Try{try}); err != nil || !c[0].Prefix.IsValid() {
		t.Errorf("claim of another: %v, %v", c, err)
	}
}

func heldCandidate(t *testing.T) (*storetest.DB, ipam.Try) {
	t.Helper()
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	pool, err := store.NewLeases(db.DB).PoolNamed(t.Context(), 1, "main")
	if err != nil {
		t.Fatal(err)
	}
	return db, ipam.Try{Want: want(1, ""), Pool: &pool, Candidates: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
}

// holdRow begins a transaction that gives 192.0.2.1 to another caller.
func holdRow(t *testing.T, db *storetest.DB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the transaction ends with it
	_, err = conn.Exec(t.Context(), `BEGIN; UPDATE radial.addresses SET state = 'offered', username = 'another', mac = '', until = now() + interval '1 minute' WHERE address = '192.0.2.1'`)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
