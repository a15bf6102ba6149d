package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// A subnet shrinks while two servers lease of it: what has gone nobody has, and
// what somebody has does not go.
func TestShrinkAgainstClaims(t *testing.T) {
	db := storetest.New(t)
	other := secondServer(t, db)
	makePool(t, db, "main", "10.0.0.0/24")
	s := subnetNamed(t, db, "10.0.0.0/24")
	var mu sync.Mutex
	given := map[netip.Addr]bool{}
	var wg sync.WaitGroup
	for server, at := range []*store.DB{db.DB, other} {
		a := ipam.NewAllocator(store.NewLeases(at), ipam.AllocatorOptions{Window: 32}, nil)
		for client := range 4 {
			wg.Go(func() {
				for i := range 15 {
					l, err := leaseOne(t.Context(), a, want(server<<16|client<<8|i, "s"))
					if errors.Is(err, ipam.ErrPoolFull) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					given[l.Address()] = true
					mu.Unlock()
				}
			})
		}
	}
	gone := map[netip.Addr]bool{}
	refused := 0
	for _, i := range rand.Perm(254)[:100] {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		_, err := db.SetSubnet(context.WithoutCancel(t.Context()), byTest("subnet.set"), s.ID, store.SubnetChange{Exclude: []store.Exclusion{{Range: ipam.Range{First: a, Last: a}}}}, store.Making{})
		switch {
		case err == nil:
			gone[a] = true
		case errors.Is(err, aaa.ErrConflict):
			refused++
		default:
			t.Fatal(err)
		}
	}
	wg.Wait()
	for a := range given {
		if gone[a] {
			t.Errorf("%s was given, and taken out of the pool", a)
		}
	}
	if len(given) < 100 || len(gone) < 20 {
		t.Errorf("%d given, %d gone, %d refused: too little of a race", len(given), len(gone), refused)
	}
	if rows := db.Rows(`SELECT count(*) FROM radial.addresses a JOIN radial.exclusions x ON a.address BETWEEN x.first AND x.last`); rows[0][0] != "0" {
		t.Errorf("%s excluded addresses have rows", rows[0][0])
	}
}

// An address that is being leased at the moment is waited for, and stays.
func TestShrinkWaitsForAClaim(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/24")
	s := subnetNamed(t, db, "10.0.0.0/24")
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context())) // it is committed by then
	_, err = tx.Exec(t.Context(), `UPDATE radial.addresses SET state = 'offered', username = 'alice', until = now() + interval '2 minutes' WHERE address = '10.0.0.7'`)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := db.SetSubnet(t.Context(), byTest("subnet.set"), s.ID, store.SubnetChange{Exclude: []store.Exclusion{{Range: runOf("10.0.0.0/25")}}}, store.Making{})
		done <- err
	}()
	deadline := time.Now().Add(20 * time.Second)
	for len(db.Rows(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)) == 0 {
		select {
		case err := <-done:
			t.Fatalf("the claim was not waited for: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), `1 of the addresses that would go are leased or reserved: 10.0.0.7 offered for "alice"`) {
		t.Errorf("%v; want a conflict that names 10.0.0.7", err)
	}
	if rows := db.Rows(`SELECT count(*) FROM radial.addresses`); rows[0][0] != "254" {
		t.Errorf("%s rows are left of 254", rows[0][0])
	}
}
