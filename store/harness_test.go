package store_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
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

// away takes the database away while f runs: it takes no connections, and those
// that were there are cut.
func away(t *testing.T, db *storetest.DB, f func()) {
	t.Helper()
	name := db.Rows(`SELECT current_database()`)[0][0]
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/postgres"
	admin, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	do := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND application_name = 'radial'")
	defer do("ALTER DATABASE " + name + " ALLOW_CONNECTIONS true")
	f()
}
