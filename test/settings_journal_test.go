package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"radial/test/harness"
)

func journalEffects() effectGroup {
	return effectGroup{
		name: "journal",
		set:  map[string]string{"accounting.patience": "3s", "journal.max_bytes": "1048576"},
		effects: map[string]func(*testing.T, *world){
			"accounting.patience": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					c, began := w.starts(t, "patient", 1), time.Now()
					if c.receive(patience) == nil {
						t.Fatal("no answer")
					}
					if d := time.Since(began); d < 2*time.Second { // the default is 1 s
						t.Errorf("answered from the journal after %v", d)
					}
				})
				harness.Eventually(t, patience, "the journal is drained", func() bool { return w.Metric(t, "radial_journal_records") == 0 })
			},
			"journal.max_bytes": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					w.starts(t, "full", 1)
					harness.Eventually(t, patience, "it journals", func() bool { return w.Metric(t, "radial_journal_records") > 0 })
					for n := 0; w.Metric(t, "radial_journal_refused_total") == 0; n++ {
						if n > 20 {
							t.Fatalf("%v bytes, and it takes more", w.Metric(t, "radial_journal_bytes"))
						}
						c := dial(t, "", w.Acct, wireSecret)
						for i := range 250 {
							attrs := slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, "bob"), av(acctSessionID, fmt.Sprintf("full%d-%d", n, i)))
							c.send(request{code: accountingRequest, id: byte(i), secret: wireSecret, attrs: attrs}.bytes())
						}
						harness.Eventually(t, patience, "all are done with", func() bool { return w.Metric(t, "radial_radius_in_flight_requests") == 0 })
					}
				})
			},
		},
	}
}
