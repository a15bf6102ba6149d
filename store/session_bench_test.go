package store_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

var (
	benchSessions = flag.Int("sessions", 5_000_000, "rows of radacct that BenchmarkSessions makes; about 1 KB of disk each")
	benchArchive  = flag.Bool("archive", true, "BenchmarkSessions archives what is older than two months, and asks again; half of the disk without")
)

const (
	benchOpen   = 100_000
	benchUsers  = 100_000
	benchMonths = 25
)

// BenchmarkSessions asks what a server and its people ask of radacct, first
// with all sessions of 25 months in it, then with those in the archive that
// were over two months ago, which it moves by the same code as the job does. 100,000
// sessions are open. Indexes are made before autovacuum comes by.
//
//	go test -v -run '^$' -bench 'Sessions$' -benchtime 500x -timeout 0 ./store -sessions 20000000
func BenchmarkSessions(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	db := storetest.New(b, storetest.Durable)
	end := fillSessions(b, db, *benchSessions)
	askSessions(b, db, "before", end)
	if !*benchArchive {
		return
	}
	begun, moved := time.Now(), 0
	if err := db.Archive(b.Context(), end.AddDate(0, -2, 0), 1000, func(n int) error { moved += n; return nil }); err != nil {
		b.Fatal(err)
	}
	b.Logf("moved %d sessions in %s: %d a second", moved, time.Since(begun).Round(time.Second), int(float64(moved)/time.Since(begun).Seconds()))
	for _, sql := range []string{`VACUUM (ANALYZE) radacct`, `VACUUM (ANALYZE) radial.radacct_archive`, `CHECKPOINT`} {
		db.Exec(sql)
	}
	askSessions(b, db, "after", end)
}

func benchID(i int) string {
	sum := md5.Sum(fmt.Append(nil, i))
	return hex.EncodeToString(sum[:])
}

// fillSessions writes sessions in order of their start, as accounting does; the
// last ones are open.
func fillSessions(b *testing.B, db *storetest.DB, rows int) (end time.Time) {
	end = time.Now().UTC().Truncate(time.Second)
	begin := end.AddDate(0, -benchMonths, 0)
	begun := time.Now()
	db.Exec(`SET synchronous_commit = off; SET maintenance_work_mem = '512MB'`)
	var later []string // made afterwards in a tenth of the time
	for _, ix := range db.Rows(`SELECT i.indexrelid::regclass, pg_get_indexdef(i.indexrelid), coalesce(c.conname, '') FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid WHERE i.indrelid = 'radacct'::regclass`) {
		if ix[2] != "" {
			db.Exec("ALTER TABLE radacct DROP CONSTRAINT " + ix[2])
		} else {
			db.Exec("DROP INDEX " + ix[0])
		}
		later = append(later, ix[1])
	}
	for from, chunk := 0, 500_000; from < rows; from += chunk {
		db.Exec(`INSERT INTO radacct (radacctid, acctsessionid, acctuniqueid, username, nasipaddress, nasportid, nasporttype, acctstarttime, acctupdatetime, acctstoptime,
				acctinterval, acctsessiontime, acctauthentic, connectinfo_start, connectinfo_stop, acctinputoctets, acctoutputoctets, calledstationid, callingstationid,
				acctterminatecause, servicetype, framedprotocol, framedipaddress)
			SELECT i + 1, '81' || lpad(to_hex(i), 6, '0'), md5(i::text), 'user' || lpad(u::text, 6, '0') || '@isp.example', inet '10.0.0.0' + u % 100, 'ether1-' || u % 4000, 'Ethernet',
				at, at + s.life, CASE WHEN i < $3::bigint - $4::bigint THEN at + s.life END, 300, 3600, 'RADIUS', '', CASE WHEN i < $3 - $4 THEN '' END, i * 1000, i * 9000, 'pppoe1',
				'02:00:5E:00:' || lpad(to_hex(u >> 8 & 255), 2, '0') || ':' || lpad(to_hex(u & 255), 2, '0'), CASE WHEN i < $3 - $4 THEN 'User-Request' END,
				'Framed-User', 'PPP', inet '100.64.0.0' + u
			FROM generate_series($5::bigint, $6::bigint - 1) i, LATERAL (SELECT i * 40503 % $7::bigint AS u, date_trunc('second', $1::timestamptz + ($2::timestamptz - $1::timestamptz) * (i / $3::float8)) AS at) v,
				LATERAL (SELECT make_interval(secs => least(3600, extract(epoch FROM $2 - v.at))) AS life) s`,
			begin, end, rows, min(benchOpen, rows/2), from, min(from+chunk, rows), benchUsers)
	}
	filled := time.Since(begun)
	for _, ddl := range later {
		db.Exec(ddl)
	}
	db.Exec(`SELECT setval('radacct_radacctid_seq', $1::bigint)`, rows+1)
	for _, sql := range []string{`VACUUM (ANALYZE) radacct`, `CHECKPOINT`} {
		db.Exec(sql)
	}
	b.Logf("%d rows in %s, indexes and all in %s", rows, filled.Round(time.Second), time.Since(begun).Round(time.Second))
	return end
}

// askSessions asks what there is to ask, each question many times of random
// sessions, users and devices.
func askSessions(b *testing.B, db *storetest.DB, phase string, end time.Time) {
	rows, open := *benchSessions, min(benchOpen, *benchSessions/2)
	for _, r := range db.Rows(`SELECT c.relname || ': ' || c.reltuples::bigint || ' rows, ' || pg_relation_size(c.oid) / 1048576 || ' MiB, its indexes ' || pg_indexes_size(c.oid) / 1048576 || ' MiB'
			FROM pg_class c WHERE c.oid = 'radacct'::regclass
		UNION ALL SELECT 'archive: ' || sum(c.reltuples)::bigint || ' rows in ' || count(*) || ' months, ' || sum(pg_relation_size(c.oid)) / 1048576 || ' MiB, its indexes ' || sum(pg_indexes_size(c.oid)) / 1048576 || ' MiB'
			FROM pg_class c WHERE c.relname ~ '^radacct_archive_\d' AND c.relkind = 'r' HAVING count(*) > 0
		UNION ALL SELECT i.relname || ': ' || pg_relation_size(i.oid) / 1048576 || ' MiB' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = 'radacct'::regclass`) {
		b.Logf("%s: %s", phase, r[0])
	}
	anyOpen := func() int { return rows - 1 - rand.IntN(open) }
	user := func(i int) string { return fmt.Sprintf("user%06d@isp.example", i*40503%benchUsers) }
	ctx := context.Background()
	ledger, _ := newLedger(b, db, store.LedgerOptions{})
	lived := int64(3600)
	ask := func(name string, f func() (int, error)) {
		b.Run(phase+"/"+name, func(b *testing.B) {
			for range 20 {
				if _, err := f(); err != nil {
					b.Fatal(err)
				}
			}
			found := 0
			measure(b, func() time.Duration {
				begun := time.Now()
				n, err := f()
				if found += n; err != nil {
					b.Fatal(err)
				}
				return time.Since(begun)
			})
			b.ReportMetric(float64(found)/float64(b.N), "rows")
		})
	}
	run := func(sql string, args ...any) (int, error) {
		tag, err := db.Pool().Exec(ctx, sql, args...)
		return int(tag.RowsAffected()), err
	}
	ask("session of a record", func() (int, error) { return run(store.SQLAcctLock, []string{benchID(anyOpen())}) })
	ask("open ones of a user", func() (int, error) {
		all, err := db.OpenSessions(ctx, store.SessionQuery{User: user(anyOpen()), Limit: 100})
		return len(all), err
	})
	ask("open ones of a NAS", func() (int, error) {
		nas := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rand.IntN(100))}), 32)
		all, err := db.OpenSessions(ctx, store.SessionQuery{NAS: []netip.Prefix{nas}, Limit: 100})
		return len(all), err
	})
	ask("look at all that are open", func() (int, error) { return run(store.SessionStatements()["open, habits"]) })
	ask("100 interims", func() (int, error) {
		lived++
		var batch []*aaa.Record
		for range 100 {
			r := acctRecord("s", aaa.StatusInterim, 0, lived, lived<<20)
			r.UniqueID, r.At = benchID(anyOpen()), end.Add(time.Duration(lived)*time.Second)
			batch = append(batch, r)
		}
		for _, err := range ledger.Apply(ctx, batch...) {
			if err != nil {
				return 0, err
			}
		}
		return len(batch), nil
	})
	ask("history of a user", func() (int, error) {
		all, err := db.UserSessions(ctx, store.UserSessionsQuery{User: user(rand.IntN(rows)), Limit: 20})
		return len(all), err
	})
	ask("history of a user a year ago", func() (int, error) {
		all, err := db.UserSessions(ctx, store.UserSessionsQuery{User: user(rand.IntN(rows)), Until: end.AddDate(-1, 0, 0), Limit: 20})
		return len(all), err
	})
	b.Run(phase+"/plans", func(b *testing.B) {
		for b.Loop() {
		}
		logSessions(b, db, map[string]string{
			"session of a record": fmt.Sprintf(`SELECT radacctid FROM radacct WHERE acctuniqueid = ANY ('{%s}') ORDER BY acctuniqueid FOR UPDATE`, benchID(anyOpen())),
			"open ones of a user": fmt.Sprintf(`SELECT radacctid FROM radacct WHERE username = '%s' AND acctstoptime IS NULL`, user(anyOpen())),
			"look for silence":    `SELECT nasipaddress, percentile_disc(0.9) WITHIN GROUP (ORDER BY acctinterval) FROM radacct WHERE acctstoptime IS NULL AND acctinterval > 0 GROUP BY nasipaddress`,
			"history of a user":   fmt.Sprintf(`SELECT radacctid FROM radial.radacct_all WHERE username = '%s' ORDER BY acctstarttime DESC LIMIT 20`, user(rand.IntN(rows))),
		})
	})
}

// logSessions prints how many pages a question reads, and its plan without the
// months that it did not get to.
func logSessions(b *testing.B, db *storetest.DB, questions map[string]string) {
	db.Exec(`SET enable_seqscan = off; SET jit = off`)
	for name, sql := range questions {
		var plan []string
		for _, r := range db.Rows(`EXPLAIN (ANALYZE, BUFFERS, COSTS off) ` + sql) {
			plan = append(plan, r[0])
		}
		b.Logf("%s\n%s", name, strings.Join(plan, "\n"))
	}
}
