package store_test

import (
	"net/url"
	"testing"

	"go.uber.org/zap"

	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// openAs opens the test's database as another role.
func openAs(t *testing.T, db *storetest.DB, role string, opts store.Options) *store.DB {
	t.Helper()
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()
	opts.URL = nas.Secret(u.String())
	other, err := store.Open(t.Context(), opts, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}
