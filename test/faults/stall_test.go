package faults

import (
	"net/netip"
	"testing"
	"time"

	"radial/load"
	"radial/store/storetest"
	"radial/test/harness"
)

// TestStallWithinPatience: PostgreSQL does not answer for 3 s (SIGSTOP: nobody
// is told). A NAS with RouterOS's patience, 300 ms and three tries, gives none of its
// accounting up, and every row is right in the end. On a machine that is
// busy the generator, or the disk of the journal, may be late once: one stall of five without a
// loss is wanted. Where records wait for too long each stall has some.
func TestStallWithinPatience(t *testing.T) {
	db := storetest.NewOwn(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	seed(t, server, db.DB)
	o := load.DefaultOptions() // 300 ms, three tries
	o.Mode, o.Rate, o.Secret, o.Users, o.KeepSessions = load.Acct, 60, "kill-s3cret", users, true
	o.Auth, o.Acct, o.Duration = netip.MustParseAddrPort(server.Auth), netip.MustParseAddrPort(server.Acct), time.Hour
	var counts []load.Counts
	for range 5 {
		o.Seed = uint64(time.Now().UnixNano())
		acct := background(o)
		<-time.After(time.Second)
		db.Pause()
		<-time.After(3 * time.Second)
		held := server.Metric(t, "radial_journal_records")
		db.Resume()
		<-time.After(time.Second)
		r := acct(t)
		drained(t, server)
		compareAtLeast(t, db.DB, 30, r.Sessions)
		t.Logf("%d answered, %d sent again, %d given up, %v records in the journal; %+v", r.Answered, r.Retransmitted, r.GivenUp, held, r.Latency)
		if held < 50 {
			t.Fatal("PostgreSQL was not stalled")
		}
		if r.GivenUp == 0 {
			return
		}
		counts = append(counts, r.Counts)
	}
	t.Errorf("each stall lost some: %+v", counts)
}
