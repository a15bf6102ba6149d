package store_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// A candidate that another server is giving away at the moment is not given to
// a second caller when that one commits, and is when it does not.
func TestGiveRowBeingGiven(t *testing.T) {
	for end, given := range map[string]int64{"COMMIT": 0, "ROLLBACK": 1} {
		t.Run(end, func(t *testing.T) {
			db, try := heldCandidate(t)
			other := holdRow(t, db)
			conn, err := pgx.Connect(t.Context(), db.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			got := make(chan int64, 1)
			go func() {
				tag, err := conn.Exec(t.Context(), store.ClaimStatements()["give"], []int32{1}, []int64{try.Pool.ID}, try.Candidates,
					[]string{"user1"}, []string{""}, []*netip.Addr{nil}, []string{""}, []string{""}, []int64{60e6})
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
		})
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
