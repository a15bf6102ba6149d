package store_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"radial/store"
	"radial/store/storetest"
)

func TestSessionsOfPrefix(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime, acctinputoctets, acctoutputoctets) VALUES
		('00abcdef00000000', 'a', 'u', '10.0.0.1', now(), NULL, NULL, NULL),
		('00abcdefffffffff', 'b', 'u', '10.0.0.1', now(), now(), 5, 1::bigint << 40),
		('00abcdef0000000a', 'c', 'u', '10.0.0.1', NULL, NULL, 1, 2),
		('00abcdee00000001', 'd', 'u', '10.0.0.1', now(), NULL, 1, 2),
		('00abcdf000000001', 'e', 'u', '10.0.0.1', now(), NULL, 1, 2)`)
	var got []store.StoredSession
	if err := db.SessionsOfPrefix(t.Context(), "00abcdef", func(s store.StoredSession) error {
		got = append(got, s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b store.StoredSession) int { return int(a.Input - b.Input) })
	want := []store.StoredSession{{"00abcdef00000000", true, false, 0, 0}, {"00abcdef0000000a", false, false, 1, 2}, {"00abcdefffffffff", true, true, 5, 1 << 40}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
