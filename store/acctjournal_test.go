package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
	"radial/store/journal"
	"radial/store/storetest"
)

// journalled is a ledger with a journal, and how to end it.
type journalled struct {
	*store.Ledger
	journal *journal.Journal
	reg     *prometheus.Registry
	stop    func()
}

func openJournal(t testing.TB, dir string, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, o, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// newJournalled runs a ledger with the journal in dir.
func newJournalled(t testing.TB, db *store.DB, dir string, o store.LedgerOptions, jo journal.Options) *journalled {
	t.Helper()
	j := &journalled{reg: prometheus.NewRegistry()}
	var err error
	if j.journal, err = journal.Open(dir, jo, journal.NewMetrics(j.reg), zap.NewNop(), time.Now); err != nil {
		t.Fatal(err)
	}
	if j.Ledger, err = store.NewLedger(db, o, store.NewLedgerMetrics(j.reg), zap.NewNop(), time.Now); err != nil {
		t.Fatal(err)
	}
	j.UseJournal(j.journal)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	j.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, j.journal.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(j.stop)
	return j
}

func (j *journalled) direct(t testing.TB) {
	t.Helper()
	eventually(t, "the journal is drained", func() bool { return !j.Journaling() })
	if s := j.journal.Stats(); s != (journal.Stats{}) {
		t.Errorf("drained, and it holds %+v", s)
	}
}

// Every field of a record comes back as it was, whatever is added to it.
func TestRecordEncoding(t *testing.T) {
	var r aaa.Record
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		var value any
		switch v.Field(i).Interface().(type) {
		case aaa.Status:
			value = aaa.StatusStop
		case string:
			value = fmt.Sprintf("\x00\xff\"%d", i)
		case *string:
			value = ptrTo(fmt.Sprintf("\x00\xff%d", i))
		case *int64:
			value = ptrTo(int64(i))
		case int64:
			value = int64(i)
		case int32:
			value = int32(i)
		case time.Time:
			value = time.Unix(1_790_000_000, int64(i)).UTC()
		case netip.Addr:
			value = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		case netip.Prefix:
			value = netip.PrefixFrom(netip.AddrFrom16([16]byte{32, byte(i)}), 64)
		default:
			t.Fatalf("aaa.Record.%s is a %s: say here and in encodeRecord how it is kept", v.Type().Field(i).Name, v.Field(i).Type())
		}
		v.Field(i).Set(reflect.ValueOf(value))
	}
	for _, want := range []*aaa.Record{&r, {}} {
		b, err := store.EncodeRecord(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := store.DecodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if _, err := store.DecodeRecord([]byte(`{"v":2}`)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
}

// Records of a time without the database are acknowledged, and are there when
// it is back: On and Off where they stood among them.
func TestLedgerJournals(t *testing.T) {
	db := storetest.New(t)
	l := newJournalled(t, db.DB, t.TempDir(), store.LedgerOptions{Patience: 5 * time.Second}, journal.Options{})
	record := func(r *aaa.Record) {
		t.Helper()
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	record(acctRecord("a", aaa.StatusStart, 0, -1, -1))
	db.Away(func() {
		record(acctRecord("a", aaa.StatusInterim, 60, 60, 6))
		if !l.Journaling() {
			t.Error("it does not journal")
		}
		record(acctRecord("b", aaa.StatusStart, 70, -1, -1))
		record(bareRecord("", aaa.StatusOn, 100, -1, -1))
		record(acctRecord("c", aaa.StatusStart, 110, -1, -1))
		record(acctRecord("c", aaa.StatusStop, 130, 20, 2))
		record(acctRecord("d", aaa.StatusStart, 140, -1, -1))
		if s := l.journal.Stats(); s.Records != 6 {
			t.Errorf("%+v", s)
		}
	})
	l.direct(t)
	record(acctRecord("d", aaa.StatusInterim, 200, 60, 1))
	got := map[string]string{}
	for _, r := range acctRows(db) {
		got[r["session"]] = r["start"] + " " + r["update"] + " " + r["stop"] + " " + r["cause"] + " " + r["in"]
	}
	want := map[string]string{"a": "0 100 100 NAS-Reboot 6", "b": "70 100 100 NAS-Reboot 0", "c": "110 130 130 User-Request 2", "d": "140 200 NULL NULL 1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
	if n := counterOf(t, l.reg, "radial_accounting_records_total", "journalled"); n != 6 {
		t.Errorf("journalled %v", n)
	}
	if n := counterOf(t, l.reg, "radial_accounting_records_total", "failed"); n != 0 {
		t.Errorf("failed %v", n)
	}
}

// A database that does not answer within the NAS's patience is away; what it
// does with the transaction later changes nothing.
func TestLedgerPatience(t *testing.T) {
	db := storetest.New(t)
	l := newJournalled(t, db.DB, t.TempDir(), store.LedgerOptions{Patience: 200 * time.Millisecond, Timeout: 2 * time.Second}, journal.Options{})
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i, r := range []*aaa.Record{acctRecord("s", aaa.StatusStart, 0, -1, -1), bareRecord("", aaa.StatusOff, 5, -1, -1), acctRecord("s", aaa.StatusStart, 10, -1, -1)} {
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(i, err)
		}
	}
	if d := time.Since(began); d < 150*time.Millisecond || d > 1500*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.direct(t)
	rows := acctRows(db)
	if len(rows) != 2 || rows[0]["stop"] != "5" || rows[1]["stop"] != "NULL" {
		t.Errorf("%v", rows)
	}
}

// A ledger that ends with a journal is followed by one that begins with it;
// what PostgreSQL refuses of it, and what nobody can read, goes into quarantine.
func TestLedgerBeginsWithTheJournal(t *testing.T) {
	db := storetest.New(t)
	dir := t.TempDir()
	first := newJournalled(t, db.DB, dir, store.LedgerOptions{}, journal.Options{})
	db.Away(func() {
		for i := range 30 {
			if err := first.Record(t.Context(), acctRecord(fmt.Sprint("s", i), aaa.StatusStart, int64(i), -1, -1)); err != nil {
				t.Fatal(err)
			}
		}
		bad := acctRecord("bad", aaa.StatusStart, 1, -1, -1)
		bad.CallingStation = "refuse me"
		if err := first.Record(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		first.stop()
	})
	j := openJournal(t, dir, journal.Options{})
	if err := errors.Join(j.Append([]byte("what nobody can read")), j.Close()); err != nil {
		t.Fatal(err)
	}
	db.Exec(`ALTER TABLE radacct ADD CHECK (callingstationid <> 'refuse me')`)
	second := newJournalled(t, db.DB, dir, store.LedgerOptions{}, journal.Options{})
	if err := second.Record(t.Context(), acctRecord("s7", aaa.StatusStop, 100, 93, 5)); err != nil {
		t.Fatal(err)
	}
	second.direct(t)
	rows := acctRows(db)
	if len(rows) != 30 {
		t.Fatalf("%d rows", len(rows))
	}
	if r := rows[7]; r["session"] != "s7" || r["stop"] != "100" || r["in"] != "5" {
		t.Errorf("%v", r)
	}
	if q := db.Rows(`SELECT error FROM radial.quarantine ORDER BY id`); len(q) != 2 || !strings.Contains(q[0][0], "check constraint") {
		t.Errorf("quarantine %q", q)
	}
	third := openJournal(t, dir, journal.Options{})
	if s := third.Stats(); s != (journal.Stats{}) {
		t.Errorf("afterwards %+v", s)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}

// At the journal's bound records are refused, until there is room.
func TestLedgerJournalFull(t *testing.T) {
	db := storetest.New(t)
	l := newJournalled(t, db.DB, t.TempDir(), store.LedgerOptions{}, journal.Options{MaxBytes: journal.MinMaxBytes})
	stored := map[string]bool{}
	db.Away(func() {
		var err error
		for i := 0; err == nil; i++ {
			r := acctRecord(fmt.Sprint("s", i), aaa.StatusStart, 0, -1, -1)
			r.ConnectInfo = strings.Repeat("x", 4000)
			if err = l.Record(t.Context(), r); err == nil {
				stored[r.SessionID] = true
			}
		}
		if !errors.Is(err, aaa.ErrUnavailable) || !errors.Is(err, journal.ErrFull) || len(stored) < 100 {
			t.Errorf("after %d: %v", len(stored), err)
		}
		if n := counterOf(t, l.reg, "radial_journal_refused_total"); n != 1 {
			t.Errorf("refused %v", n)
		}
	})
	l.direct(t)
	for _, r := range acctRows(db) {
		delete(stored, r["session"])
	}
	if len(stored) > 0 {
		t.Errorf("acknowledged and not stored: %v", stored)
	}
}

// Many sessions on two NASes, with reboots, while the database comes and goes:
// whatever was acknowledged is there, and no later record of a session was applied
// before an earlier one. A trigger in the table watches over that: counters never
// fall, and nothing of a session follows its Stop.
func TestLedgerOrderThroughOutages(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`CREATE TABLE applied (n bigserial, session text, input bigint, stopped bool)`)
	db.Exec(`CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO applied (session, input, stopped) VALUES (NEW.acctsessionid, NEW.acctinputoctets, NEW.acctstoptime IS NOT NULL); RETURN NULL; END $$`)
	db.Exec(`CREATE TRIGGER watch AFTER INSERT OR UPDATE ON radacct FOR EACH ROW EXECUTE FUNCTION watch()`)
	l := newJournalled(t, db.DB, t.TempDir(), store.LedgerOptions{Shards: 4, Batch: 8, Patience: 100 * time.Millisecond}, journal.Options{SegmentBytes: 20_000})
	const callers = 48
	var stop atomic.Bool
	want := make([]map[string]string, callers) // session → what was acknowledged last
	var g errgroup.Group
	for c := range callers {
		want[c] = map[string]string{}
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(7, uint64(c)))
			for s := 0; !stop.Load(); s++ {
				id := fmt.Sprintf("c%ds%d", c, s)
				for i, ev := range life(rng, id, 3, true) {
					ev.FramedIP, ev.FramedIPv6, ev.FramedIPv6Pfx, ev.DelegatedPrefix = netip.Addr{}, netip.Addr{}, netip.Prefix{}, netip.Prefix{}
					for l.Record(t.Context(), ev) != nil { // as a NAS does
						if t.Context().Err() != nil {
							return nil // the test has failed
						}
					}
					want[c][id] = fmt.Sprint(i == 4)
					if stop.Load() {
						break
					}
				}
			}
			return nil
		})
	}
	outages := 6
	if testing.Short() {
		outages = 2
	}
	for i := range outages {
		before := counterOf(t, l.reg, "radial_accounting_records_total")
		if i%2 == 0 {
			db.Away(func() {
				eventually(t, "records of the outage", func() bool { return counterOf(t, l.reg, "radial_accounting_records_total") > before+400 })
			})
		} else {
			tx, err := db.Pool().Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "records of the lock", func() bool { return counterOf(t, l.reg, "radial_accounting_records_total") > before+400 })
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "direct again under load", func() bool { return !l.Journaling() })
	}
	stop.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	l.direct(t)
	all := map[string]string{}
	for _, m := range want {
		maps.Copy(all, m)
	}
	got := map[string]string{}
	for _, r := range acctRows(db) {
		got[r["session"]] = fmt.Sprint(r["stop"] != "NULL")
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Errorf("acknowledged and stored (-want +got):\n%s", d)
	}
	for _, r := range db.Rows(`SELECT session, n, input, last, was FROM (
		SELECT *, lag(input) OVER w AS last, lag(stopped) OVER w AS was FROM applied WINDOW w AS (PARTITION BY session ORDER BY n)) x
		WHERE input < last OR was AND NOT stopped`) {
		t.Errorf("out of order: %v", r)
	}
	t.Logf("%d sessions, %v records through the journal", len(all), counterOf(t, l.reg, "radial_accounting_records_total", "journalled"))
}

// PostgreSQL is killed and paused under load, and killed again while the
// journal is drained.
func TestLedgerOutlivesPostgreSQL(t *testing.T) {
	db := storetest.NewOwn(t)
	l := newJournalled(t, db.DB.DB, t.TempDir(), store.LedgerOptions{Patience: 300 * time.Millisecond}, journal.Options{})
	var stop atomic.Bool
	var slowest atomic.Int64
	var g errgroup.Group
	want := make([]map[string]string, 16)
	for c := range want {
		want[c] = map[string]string{}
		g.Go(func() error {
			for s := 0; !stop.Load(); s++ {
				id := fmt.Sprintf("c%ds%d", c, s)
				for i, ev := range life(rand.New(rand.NewPCG(8, uint64(c*10_000+s))), id, 2, true) {
					began := time.Now()
					if err := l.Record(t.Context(), ev); err != nil {
						return err
					}
					slowest.Store(max(slowest.Load(), int64(time.Since(began))))
					want[c][id] = fmt.Sprint(i == 3)
				}
			}
			return nil
		})
	}
	for n, f := range []func(){
		func() { db.Kill() }, func() { db.Start() }, func() { db.Kill() }, func() { db.Start() }, func() { db.Pause() }, func() { db.Resume() },
	} {
		before := counterOf(t, l.reg, "radial_accounting_records_total")
		f()
		eventually(t, fmt.Sprint("records after step ", n), func() bool { return counterOf(t, l.reg, "radial_accounting_records_total") > before+300 })
	}
	eventually(t, "direct again under load", func() bool { return !l.Journaling() })
	stop.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	l.direct(t)
	all := map[string]string{}
	for _, m := range want {
		maps.Copy(all, m)
	}
	got := map[string]string{}
	for _, r := range acctRows(db.DB) {
		got[r["session"]] = fmt.Sprint(r["stop"] != "NULL")
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Errorf("acknowledged and stored (-want +got):\n%s", d)
	}
	t.Logf("%d sessions, %v records through the journal, slowest answer %v", len(all), counterOf(t, l.reg, "radial_accounting_records_total", "journalled"), time.Duration(slowest.Load()))
}

// Any prefix of a journal that is drained twice makes the same rows as one
// drain of all.
func TestJournalReplays(t *testing.T) {
	db := storetest.New(t)
	base := t.TempDir()
	round := 0
	drain := func(t *rapid.T, dir string) {
		j, err := journal.Open(dir, journal.Options{}, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		l, err := store.NewLedger(db.DB, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		l.UseJournal(j)
		if err := errors.Join(l.Drain(context.Background(), func(journal.Stats) {}), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(t *rapid.T, records []*aaa.Record) string {
		round++
		dir := filepath.Join(base, fmt.Sprint(round))
		j, err := journal.Open(dir, journal.Options{SegmentBytes: 2000}, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			b, err := store.EncodeRecord(r)
			if err := errors.Join(err, j.Append(b)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	rows := func() []map[string]string {
		defer db.Exec(`TRUNCATE radacct, radial.reboots`)
		all := acctRows(db)
		for _, r := range all { // what tells the order in which they came (TestLedgerRace)
			for _, k := range []string{"interval", "info", "infostop"} {
				delete(r, k)
			}
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		var records []*aaa.Record
		for i := range rapid.IntRange(1, 4).Draw(t, "sessions") {
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			s := life(rng, fmt.Sprint("s", i), rng.IntN(4), rng.IntN(2) == 0)
			records = append(records, s...)
		}
		records = rapid.Permutation(records).Draw(t, "order")
		for _, at := range rapid.SliceOfN(rapid.Int64Range(0, 900), 0, 3).Draw(t, "reboots") {
			on := bareRecord("", rapid.SampledFrom([]aaa.Status{aaa.StatusOn, aaa.StatusOff}).Draw(t, "status"), at, -1, -1)
			records = slices.Insert(records, rapid.IntRange(0, len(records)).Draw(t, "place"), on)
		}
		drain(t, fill(t, records))
		want := rows()
		prefix := records[:rapid.IntRange(0, len(records)).Draw(t, "prefix")]
		drain(t, fill(t, prefix))
		drain(t, fill(t, records))
		got := rows()
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-once +twice):\n%s", d)
		}
	})
}
