package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// A record that PostgreSQL refuses stands alone in quarantine, whole; its
// neighbours in the batch are stored.
func TestLedgerQuarantine(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`ALTER TABLE radacct ADD CHECK (callingstationid <> 'refuse me')`)
	var batch []*aaa.Record
	for i := range 21 {
		batch = append(batch, acctRecord(fmt.Sprintf("q%02d", i), aaa.StatusStart, int64(i), -1, 0))
	}
	bad := batch[13]
	bad.CallingStation, bad.Login, bad.PortID, bad.SessionTime = "refuse me", "\x00\xff\"nobody", ptrTo("a\tb"), ptrTo(int64(0))
	if err := errors.Join(l.Apply(t.Context(), batch...)...); err != nil {
		t.Fatal(err)
	}
	if n := len(acctRows(db)); n != 20 {
		t.Errorf("%d rows, want 20", n)
	}
	rows := db.Rows(`SELECT kind, convert_from(payload, 'UTF8'), error FROM radial.quarantine`)
	if len(rows) != 1 || rows[0][0] != "accounting" || !strings.Contains(rows[0][2], "check constraint") {
		t.Fatalf("quarantine holds %q", rows)
	}
	got, err := store.DecodeRecord([]byte(rows[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(bad, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
		t.Errorf("record (-sent +quarantined):\n%s", d)
	}
	if n := counterOf(t, reg, "radial_accounting_quarantined_total"); n != 1 {
		t.Errorf("quarantined %v, want 1", n)
	}
}

// What a column cannot hold is escaped or cut, counted, and never refused.
func TestLedgerClamps(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`ALTER TABLE radacct ALTER calledstationid TYPE varchar(5), ALTER connectinfo_stop TYPE varchar(3), ALTER acctuniqueid TYPE varchar(32)`)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	r := acctRecord("s", aaa.StatusStart, 0, -1, -1)
	r.CalledStation, r.CallingStation = "ŽŽŽŽŽŽŽ", "nul\x00bad\xff"
	stop := acctRecord("s", aaa.StatusStop, 10, 10, 1<<61)
	if err := errors.Join(l.Record(t.Context(), r), l.Record(t.Context(), stop)); err != nil {
		t.Fatal(err)
	}
	want := acctRow("s", "called=ŽŽŽŽŽ", "calling=nul=00bad=FF", "update=10", "stop=10", "lived=10", "in=2305843009213693952",
		"out=4611686018427387904", "infostop=dow", "cause=User-Request")
	if d := cmp.Diff(want, acctRows(db)[0]); d != "" {
		t.Errorf("row (-want +got):\n%s", d)
	}
	for _, column := range []string{"calledstationid", "callingstationid", "connectinfo_start"} {
		if counterOf(t, reg, "radial_accounting_clamped_total", column) == 0 {
			t.Errorf("nothing counted for %s", column)
		}
	}
}

// A database that is away is an error (silence), never a record lost or
// quarantined; when it is back, so is the ledger.
func TestLedgerUnavailable(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{Timeout: 200 * time.Millisecond})
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), acctRecord("s", aaa.StatusStart, 0, -1, -1)); !errors.Is(err, aaa.ErrUnavailable) {
		t.Errorf("a database that does not answer: %v, want unavailable", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), acctRecord("s", aaa.StatusStart, 0, -1, -1)); err != nil {
		t.Errorf("back again: %v", err)
	}
	if n := counterOf(t, reg, "radial_accounting_records_total", "start", "failed"); n != 1 {
		t.Errorf("failed %v, want 1", n)
	}

	gone, err := store.Open(t.Context(), store.Options{URL: nas.Secret("postgres://127.0.0.1:1/none")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	away, _ := newLedger(t, &storetest.DB{DB: gone}, store.LedgerOptions{})
	for _, r := range []*aaa.Record{acctRecord("s", aaa.StatusStart, 0, -1, -1), bareRecord("", aaa.StatusOn, 0, -1, -1)} {
		if err := away.Record(t.Context(), r); !errors.Is(err, aaa.ErrUnavailable) {
			t.Errorf("no database: %v, want unavailable", err)
		}
	}
}

// A queue is bounded: what does not fit is refused at once.
func TestLedgerQueueFull(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{Shards: 1, Batch: 1, Queue: 2})
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE radacct IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 20)
	var g errgroup.Group
	for i := range 20 {
		g.Go(func() error {
			err := l.Record(t.Context(), acctRecord(fmt.Sprint(i), aaa.StatusStart, 0, -1, -1))
			if err != nil {
				refused <- err
			}
			return nil
		})
	}
	eventually(t, "17 refused", func() bool { return counterOf(t, reg, "radial_accounting_overload_total") >= 17 })
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	close(refused)
	n := len(refused)
	for err := range refused {
		if !errors.Is(err, aaa.ErrUnavailable) {
			t.Errorf("refused with %v, want unavailable", err)
		}
	}
	if rows := len(acctRows(db)); rows+n != 20 || rows < 2 {
		t.Errorf("%d rows and %d refused of 20", rows, n)
	}
}

// A ledger that stops commits what was queued; later records are refused.
func TestLedgerStops(t *testing.T) {
	db := storetest.New(t)
	reg := prometheus.NewRegistry()
	l, err := store.NewLedger(db.DB, store.LedgerOptions{Shards: 1, Batch: 1}, store.NewLedgerMetrics(reg), zap.NewNop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range 10 {
		g.Go(func() error { return l.Record(t.Context(), acctRecord(fmt.Sprint(i), aaa.StatusStart, 0, -1, -1)) })
	}
	eventually(t, "ten queued", func() bool { n, _ := l.UnderWay(netip.MustParseAddr("10.0.0.9")); return n == 10 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(l.Run(ctx), g.Wait()); err != nil {
		t.Fatal(err)
	}
	if n := len(acctRows(db)); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
	if err := l.Record(t.Context(), acctRecord("late", aaa.StatusStart, 0, -1, -1)); !errors.Is(err, aaa.ErrUnavailable) {
		t.Errorf("after the end: %v, want unavailable", err)
	}
}

// Sessions are shared with a FreeRADIUS on the same tables: what its queries
// do, said in its own words by statements like those that it sends.
func TestLedgerSharesWithFreeRADIUS(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctsessiontime,
		acctauthentic, connectinfo_start, acctinputoctets, acctoutputoctets, framedipaddress, framedipv6prefix)
		VALUES ('s', $1, 'o=27brien', '10.0.0.9', to_timestamp(1790000000), to_timestamp(1790000000), 0, 'RADIUS', 'a=28b', 0, 0,
		'100.64.0.7', '2001:db8:7::/64')`, acctRecord("s", aaa.StatusStart, 0, -1, -1).UniqueID)
	stop := bareRecord("s", aaa.StatusStop, 90, 90, 5)
	if err := l.Record(t.Context(), stop); err != nil {
		t.Fatal(err)
	}
	want := acctRow("s", "user=o=27brien", "realm=NULL", "port=NULL", "porttype=NULL", "info=a=28b", "called=NULL", "calling=NULL", "service=NULL",
		"protocol=NULL", "ip=100.64.0.7", "ipv6=NULL", "prefix=2001:db8:7::/64", "ifid=NULL", "delegated=NULL",
		"update=90", "stop=90", "lived=90", "in=5", "out=10", "infostop=", "cause=")
	if d := cmp.Diff([]map[string]string{want}, acctRows(db)); d != "" {
		t.Errorf("begun by FreeRADIUS (-want +got):\n%s", d)
	}
	if err := l.Record(t.Context(), acctRecord("ours", aaa.StatusStart, 200, -1, -1)); err != nil {
		t.Fatal(err)
	}
	if n := db.Exec(`UPDATE radacct SET acctstoptime = to_timestamp(1790000300), acctupdatetime = to_timestamp(1790000300)
		WHERE acctuniqueid = $1 AND acctstoptime IS NULL`, acctRecord("ours", aaa.StatusStop, 0, -1, -1).UniqueID); n != 1 {
		t.Errorf("FreeRADIUS's Stop found %d rows, want 1", n)
	}
	if err := l.Record(t.Context(), acctRecord("ours", aaa.StatusInterim, 250, 50, 9)); err != nil {
		t.Fatal(err)
	}
	if got := acctRows(db)[1]; got["stop"] != "300" || got["in"] != "0" {
		t.Errorf("closed by FreeRADIUS, then an interim: stop %s, in %s; want it unchanged", got["stop"], got["in"])
	}
}

// An address is bound by the Start, kept by interims and released by the Stop,
// in the session's own transaction.
func TestLedgerSettlesLeases(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`
INSERT INTO radial.pools (name) VALUES ('main');
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '100.64.0.0/24', '100.64.0.0', '100.64.0.255' FROM radial.pools;
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
SELECT 1, ip::inet, p.id, s.id FROM radial.pools p, radial.subnets s, unnest('{100.64.0.1,100.64.0.2}'::text[]) ip;`)
	const sqlLease = `
SELECT state, a.radacctid IS NOT NULL, coalesce(a.radacctid = (SELECT radacctid FROM radacct WHERE acctuniqueid = $1 ), false), coalesce(a.username, ''), coalesce(a.mac, '')
FROM radial.addresses a WHERE address = '100.64.0.1'`
	unique := acctRecord("s", aaa.StatusStart, 0, -1, -1).UniqueID
	steps := []struct {
		event *aaa.Record
		want  []string
	}{
		{acctRecord("s", aaa.StatusStart, 0, -1, -1), []string{"bound", "t", "t", "bob@isp", "aa:bb:cc:dd:ee:ff"}},
		{acctRecord("s", aaa.StatusInterim, 60, 60, 5), []string{"bound", "t", "t", "bob@isp", "aa:bb:cc:dd:ee:ff"}},
		{bareRecord("s", aaa.StatusStop, 90, 90, 5), []string{"free", "f", "f", "bob@isp", "aa:bb:cc:dd:ee:ff"}},
		{acctRecord("s", aaa.StatusStart, 200, -1, -1), []string{"bound", "t", "t", "bob@isp", "aa:bb:cc:dd:ee:ff"}}, // reused id
		{acctRecord("s", aaa.StatusInterim, 260, 60, 5), []string{"bound", "t", "t", "bob@isp", "aa:bb:cc:dd:ee:ff"}},
		{acctRecord("s", aaa.StatusStart, 400, -1, -1), []string{"bound", "t", "t", "bob@isp", "aa:bb:cc:dd:ee:ff"}}, // Stop lost
		{bareRecord("", aaa.StatusOn, 500, -1, -1), []string{"free", "f", "f", "bob@isp", "aa:bb:cc:dd:ee:ff"}},
	}
	for i, s := range steps {
		if err := l.Record(t.Context(), s.event); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s.want, db.Rows(sqlLease, unique)[0]); d != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, d)
		}
	}
	if err := errors.Join(l.Apply(t.Context(), acctRecord("t", aaa.StatusStart, 600, -1, -1), acctRecord("t", aaa.StatusStop, 700, 100, 1))...); err != nil {
		t.Fatal(err)
	}
	if got := db.Rows(sqlLease, unique)[0][0]; got != "free" {
		t.Errorf("begun and ended in one batch: %s, want free", got)
	}
	// radacct and its lease are one transaction
	db.Exec(`ALTER TABLE radial.addresses ADD CHECK (state <> 'bound')`)
	if err := l.Record(t.Context(), acctRecord("u", aaa.StatusStart, 800, -1, -1)); err != nil {
		t.Fatal(err)
	}
	if n := db.Rows(`SELECT count(*) FROM radacct WHERE acctsessionid = 'u'`)[0][0]; n != "0" {
		t.Errorf("%s rows of a session whose lease was refused, want none", n)
	}
}

// An interim is a HOT update only while no index has a column that it writes.
func TestLedgerInterimIsHOT(t *testing.T) {
	db := storetest.New(t)
	rows := db.Rows(`SELECT i.indexrelid::regclass, a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
		WHERE i.indrelid = 'radacct'::regclass
		  AND a.attname IN ('acctupdatetime', 'acctinterval', 'acctsessiontime', 'acctinputoctets', 'acctoutputoctets')`)
	if len(rows) > 0 {
		t.Errorf("indexes on columns of an interim: %v", rows)
	}
	l, _ := newLedger(t, db, store.LedgerOptions{})
	if err := l.Record(t.Context(), acctRecord("s", aaa.StatusStart, 0, -1, -1)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		if err := l.Record(t.Context(), acctRecord("s", aaa.StatusInterim, 60*i+60, 60*i+60, i)); err != nil {
			t.Fatal(err)
		}
	}
	// all versions of the row in the page where it began
	if at := db.Rows(`SELECT ctid FROM radacct`)[0][0]; !strings.HasPrefix(at, "(0,") {
		t.Errorf("the row moved to %s", at)
	}
}
