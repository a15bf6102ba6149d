package store_test

import (
	"context"
	"testing"

	"radial/aaa"
	"radial/store/storetest"
)

// BenchmarkLiveSessions is what the database and we need to read all of 100,000
// open sessions among 300,000 closed ones, by pages.
func BenchmarkLiveSessions(b *testing.B) {
	db := storetest.New(b)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, class, acctstarttime, acctstoptime)
		SELECT 's' || n, md5(n::text), 'u' || n % 100000, '10.0.0.1', 'p' || n, 'r1:EJai4Lr12wHL8pzkhCIjJdToESBfkovI', now(), CASE WHEN n > 100000 THEN now() END
		FROM generate_series(1, 400000) n`)
	db.Exec(`ANALYZE radacct`)
	for b.Loop() {
		seen := 0
		err := db.LiveSessions(b.Context(), 500, nil, func(_ context.Context, all []aaa.LiveSession) error {
			seen += len(all)
			return nil
		})
		if err != nil || seen != 100_000 {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100_000, "µs/session")
}
