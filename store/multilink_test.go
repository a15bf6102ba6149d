package store_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"radial/store"
	"radial/store/storetest"
)

func TestSameLine(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, callingstationid, acctstoptime) VALUES
		('1', '1', 'al=27ice', '10.0.0.1', '100.64.0.1', 'AA:BB:CC:DD:EE:F1', NULL), ('2', '2', 'al=27ice', '10.0.0.1', '100.64.0.2', '11:22:33:44:55:66', now())`)
	p := store.NewPolicy(db.DB, store.NewMetrics(prometheus.NewRegistry()))
	for _, c := range []struct {
		what, user, address, calling string
		want                         bool
	}{
		{"the same address", "al'ice", "100.64.0.1", "", true},
		{"the first 16 characters", "al'ice", "", "AA:BB:CC:DD:EE:F9", true},
		{"15 alike", "al'ice", "", "AA:BB:CC:DD:EE:01", false},
		{"nothing to go by", "al'ice", "", "", false},
		{"a closed session", "al'ice", "100.64.0.2", "11:22:33:44:55:66", false},
		{"another user", "bob", "100.64.0.1", "AA:BB:CC:DD:EE:F1", false},
		{"no address at all", "al'ice", "nonsense", "", false},
	} {
		if got, err := p.SameLine(context.Background(), c.user, c.address, c.calling); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
	}
}
