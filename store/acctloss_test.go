package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// Octets that go back within a session are kept at their greatest, counted, and
// told of by one line in a minute that names the devices; what is late, comes twice, or is of another
// session is none of that.
func TestLedgerTellsOfLostOctets(t *testing.T) {
	db := storetest.New(t)
	reg := prometheus.NewRegistry()
	core, logs := observer.New(zapcore.WarnLevel)
	now := time.Now()
	l, err := store.NewLedger(db.DB, store.LedgerOptions{}, store.NewLedgerMetrics(reg), zap.New(core), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	runLedger(t, l)
	apply := func(want float64, events ...*aaa.Record) {
		t.Helper()
		for _, ev := range events {
			if err := errors.Join(l.Apply(t.Context(), ev)...); err != nil {
				t.Fatal(err)
			}
		}
		if n := counterOf(t, reg, "radial_accounting_octets_lost_total"); n != want {
			t.Errorf("%v records counted, want %v", n, want)
		}
	}
	other := acctRecord("b", aaa.StatusInterim, 600, 600, 70)
	other.NAS = netip.MustParseAddr("10.0.0.7")
	first := acctRecord("b", aaa.StatusInterim, 300, 300, 80)
	first.NAS = other.NAS
	apply(0, acctRecord("a", aaa.StatusStart, 0, -1, -1), acctRecord("a", aaa.StatusInterim, 300, 300, 4_000_000_000), first)
	apply(1, acctRecord("a", aaa.StatusInterim, 600, 600, 3_705_032_704)) // without a look
	apply(1, acctRecord("a", aaa.StatusInterim, 600, 600, 3_705_032_704)) // twice
	apply(1, acctRecord("a", aaa.StatusInterim, 450, 450, 3_600_000_000)) // late
	apply(2, acctRecord("a", aaa.StatusInterim, 900, 900, 3_410_065_408)) // after a look
	apply(3, other)
	apply(3, acctRecord("a", aaa.StatusInterim, 2000, 100, 5)) // another session
	if got := fmt.Sprint(db.Rows(`SELECT max(acctinputoctets) FROM radacct WHERE acctsessionid = 'a'`)); got != "[[4000000000]]" {
		t.Errorf("stored: %s", got)
	}
	now = now.Add(time.Minute)
	apply(4, acctRecord("a", aaa.StatusStop, 2300, 400, 4))
	var lines []string
	for _, e := range logs.All() {
		lines = append(lines, fmt.Sprint(e.ContextMap()["nas"], " ", e.ContextMap()["records"]))
	}
	if want := "[10.0.0.9 (1) 1 10.0.0.9 (2), 10.0.0.7 (1) 3]"; fmt.Sprint(lines) != want {
		t.Errorf("told: %v, want %s", lines, want)
	}
}
