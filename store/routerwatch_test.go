package store_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"radial/store"
	"radial/store/storetest"
)

func TestRouterWatch(t *testing.T) {
	db, reg := storetest.New(t), prometheus.NewRegistry()
	core, logs := observer.New(zap.WarnLevel)
	w := store.NewRouterWatch(db.DB, store.NewRouterMetrics(reg), zap.New(core))
	shows := func(what string, up, down, unknown, inactive, looked string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP radial_known_routers Routers of radial router list by what the last look found: up, down, unknown (none yet), inactive (nobody looks).
# TYPE radial_known_routers gauge
radial_known_routers{state="down"} `+down+`
radial_known_routers{state="inactive"} `+inactive+`
radial_known_routers{state="unknown"} `+unknown+`
radial_known_routers{state="up"} `+up+`
# HELP radial_routers_checked_timestamp_seconds When the router that has waited longest for a look was looked at, or made known; 0: there is none to look at.
# TYPE radial_routers_checked_timestamp_seconds gauge
radial_routers_checked_timestamp_seconds `+looked+`
`)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	look := func() {
		t.Helper()
		if err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	shows("none", "0", "0", "0", "0", "0")
	db.Exec(`
INSERT INTO radial.routers (name, address, api_port, tls, username, password, status, checked_at, created_at)
SELECT n, '10.0.0.1', 8728, false, 'radial', ''::bytea, s, to_timestamp(at), to_timestamp(1000) FROM (VALUES
    ('good', 'active', 5000), ('fine', 'active', 6000), ('silent', 'error', 4000), ('new', 'active', NULL), ('old', 'inactive', 500)) v (n, s, at)`)
	look()
	shows("of all kinds", "2", "1", "1", "1", "1000")
	db.Exec(`UPDATE radial.routers SET checked_at = to_timestamp(7000) WHERE name = 'new'`)
	look()
	shows("looked at", "3", "1", "0", "1", "4000")

	db.Exec(`DELETE FROM radial.routers`)
	db.Away(func() {
		if w.Look(t.Context()) == nil {
			t.Error("counted while the database was away")
		}
	})
	shows("while the database is away", "3", "1", "0", "1", "4000")
	if logs.Len() != 0 {
		t.Errorf("the look told: %v", logs.All())
	}
}
