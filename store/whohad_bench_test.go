package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

const (
	historyRows      = 10_000_000
	historyAddresses = 1 << 16
	historyMonths    = 24
)

// BenchmarkWhoHad asks who had random addresses at random times of 24 months
// with 10 million changes of holders in them, and prints the size of the tables
// and the plan. Filling takes some minutes and 3 GB of disk, which are given back.
//
//	go test -run '^$' -bench WhoHad -benchtime 2000x ./store
func BenchmarkWhoHad(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	db := storetest.New(b, storetest.Durable)
	begin, end := fillHistory(b, db)
	ask := func(on *store.DB) time.Duration {
		n := rand.IntN(historyAddresses)
		q := store.WhoHadQuery{
			Address: netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)}), // as the rows have it
			At:      begin.Add(time.Duration(rand.Int64N(int64(end.Sub(begin))))),
		}
		begun := time.Now()
		all, err := on.WhoHad(context.Background(), q)
		took := time.Since(begun)
		if err != nil || len(all) != 1 {
			b.Fatalf("%+v: %+v, %v", q, all, err)
		}
		return took
	}
	b.Run("warm", func(b *testing.B) {
		for range 200 {
			ask(db.DB)
		}
		measure(b, func() time.Duration { return ask(db.DB) })
	})
	b.Run("cold", func(b *testing.B) { // each question finds nothing of its pages in the system's memory
		measure(b, func() time.Duration {
			forgetFiles(b, db)
			return ask(db.DB)
		})
	})
	b.Run("first", func(b *testing.B) { // of a connection, as the command line asks it, with the connection
		measure(b, func() time.Duration {
			begun := time.Now()
			fresh, err := store.Open(context.Background(), store.Options{URL: nas.Secret(db.URL())}, zap.NewNop())
			if err != nil {
				b.Fatal(err)
			}
			defer fresh.Close()
			ask(fresh)
			return time.Since(begun)
		})
	})
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
		}
		logHistory(b, db, begin.Add(end.Sub(begin)*2/3))
	})
}

// logHistory prints the size of the table, and the plan of the question at a time.
func logHistory(b *testing.B, db *storetest.DB, at time.Time) {
	for _, r := range db.Rows(`SELECT 'history: ' || sum(pg_total_relation_size(i.inhrelid)) / 1048576 || ' MiB, of which ' || sum(pg_relation_size(i.inhrelid)) / 1048576
		|| ' MiB rows; ' || sum(c.reltuples::bigint) || ' rows in ' || count(*) || ' partitions; shared_buffers ' || current_setting('shared_buffers')
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'radial.address_history'::regclass`) {
		b.Log(r[0])
	}
	db.Exec(`SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan; DEALLOCATE ALL; PREPARE q AS ` + store.SQLWhoHadBefore)
	for _, r := range db.Rows(fmt.Sprintf(`EXPLAIN (ANALYZE, BUFFERS, COSTS off) EXECUTE q ('{1}', '{100.64.3.7}', '%s', '%s', 8)`,
		at.Format(time.RFC3339), at.AddDate(0, 0, -45).Format(time.RFC3339))) {
		b.Log(r[0])
	}
}

// fillHistory writes sessions that follow each other on each address, in order
// of time, as accounting does.
func fillHistory(b *testing.B, db *storetest.DB) (begin, end time.Time) {
	end = time.Now().UTC()
	begin = time.Date(end.Year(), end.Month()-historyMonths+1, 1, 0, 0, 0, 0, time.UTC)
	for m := range historyMonths {
		if err := db.MakeHistoryMonth(b.Context(), begin.AddDate(0, m, 0)); err != nil {
			b.Fatal(err)
		}
	}
	makePool(b, db, "main", "100.64.0.0/16")
	begun := time.Now()
	db.Exec(`SET synchronous_commit = off; SET maintenance_work_mem = '512MB'`)
	indexes := db.Rows(`SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'radial.address_history'::regclass`)
	for _, ix := range indexes { // made afterwards in a tenth of the time
		db.Exec("DROP INDEX " + ix[0])
	}
	const chunk = historyRows / 20
	for from := 0; from < historyRows; from += chunk {
		db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid)
			SELECT $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (n / $3::float8), 1, inet '100.64.0.0' + a, p.id,
			       CASE round % 2 WHEN 0 THEN 'bound' ELSE 'released' END, 'user' || lpad(a::text, 6, '0') || '@isp.example',
			       '02:00:5e:00:' || lpad(to_hex(a >> 8), 2, '0') || ':' || lpad(to_hex(a & 255), 2, '0'), inet '10.0.0.0' + a % 40,
			       'ether1-' || a % 4000, '81' || lpad(to_hex(round / 2 * 65536 + a), 6, '0'), round / 2 * 65536 + a + 1
			FROM generate_series($4::bigint, $5::bigint - 1) n, LATERAL (SELECT n * 40503 % 65536 AS a, n / 65536 AS round) s, radial.pools p`,
			begin, end, historyRows, from, from+chunk)
	}
	for _, ix := range indexes {
		db.Exec(strings.Replace(ix[1], " ON ONLY ", " ON ", 1))
	}
	db.Exec(`UPDATE radial.addresses a SET state = 'bound', username = h.username, mac = h.mac, radacctid = h.radacctid, session_id = h.session_id, since = h.at
		FROM (SELECT DISTINCT ON (address) * FROM radial.address_history WHERE at > $1::timestamptz - interval '12 days' ORDER BY address, at DESC) h
		WHERE a.vrf_id = 1 AND a.address = h.address AND h.action = 'bound'`, end)
	for _, sql := range []string{`VACUUM ANALYZE radial.addresses`, `VACUUM ANALYZE radial.address_history`, `CHECKPOINT`} {
		db.Exec(sql)
	}
	b.Logf("filled in %s", time.Since(begun).Round(time.Second))
	return begin, end
}

// measure reports minimum (nothing else at work), median, 99th percentile and maximum.
func measure(b *testing.B, ask func() time.Duration) {
	var took []time.Duration
	for b.Loop() {
		took = append(took, ask())
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[0]), "min-ms")
	b.ReportMetric(ms(took[len(took)/2]), "median-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), "max-ms")
}

// forgetFiles has the system drop the pages of the database's files; what
// PostgreSQL itself holds (shared_buffers) stays.
func forgetFiles(b *testing.B, db *storetest.DB) {
	dir := db.Rows(`SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()`)[0][0]
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil || len(files) == 0 {
		b.Skip("the database's files are not to be seen: ", err)
	}
	for _, name := range files {
		if strings.Contains(filepath.Base(name), "_") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			b.Skip("the database's files cannot be read: ", err)
		}
		if err := errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
