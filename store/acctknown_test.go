package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

const knownTotal = "radial_accounting_known_total"

// knownBy tells how many records a step stored without a look at their rows.
func knownBy(t *testing.T, reg *prometheus.Registry, step func() []error) float64 {
	t.Helper()
	before := counterOf(t, reg, knownTotal)
	if err := errors.Join(step()...); err != nil {
		t.Fatal(err)
	}
	return counterOf(t, reg, knownTotal) - before
}

// A session that the ledger has begun goes on without a look at its row, unless
// somebody else has written it since, or something unusual comes.
func TestLedgerKnowsItsSessions(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	other, _ := newLedger(t, db, store.LedgerOptions{})
	moved := acctRecord("s", aaa.StatusInterim, 360, 360, 60)
	moved.FramedIP = moved.FramedIP.Next()
	steps := []struct {
		what  string
		event *aaa.Record
		harm  string
		on    *store.Ledger
		known float64
		want  []string
	}{
		{"a Start", acctRecord("s", aaa.StatusStart, 0, -1, -1), "", l, 1, nil},
		{"the same again", acctRecord("s", aaa.StatusStart, 0, -1, -1), "", l, 0, nil},
		{"an interim after a look that changed nothing", acctRecord("s", aaa.StatusInterim, 60, 60, 10), "", l, 0, []string{"update=60", "interval=60", "lived=60", "in=10", "out=20"}},
		{"an interim", acctRecord("s", aaa.StatusInterim, 120, 120, 20), "", l, 1, []string{"update=120", "interval=60", "lived=120", "in=20", "out=40"}},
		{"an interim that the other server gets", acctRecord("s", aaa.StatusInterim, 180, 180, 30), "", other, 0, []string{"update=180", "interval=60", "lived=180", "in=30", "out=60"}},
		{"an interim after it", acctRecord("s", aaa.StatusInterim, 240, 240, 40), "", l, 0, []string{"update=240", "interval=60", "lived=240", "in=40", "out=80"}},
		{"an interim after FreeRADIUS", acctRecord("s", aaa.StatusInterim, 300, 300, 50), `UPDATE radacct SET acctinputoctets = 45`, l, 0, []string{"update=300", "interval=60", "lived=300", "in=50", "out=100"}},
		{"another address", moved, "", l, 0, []string{"update=360", "interval=60", "lived=360", "in=60", "out=120", "ip=100.64.0.2"}},
		{"a late interim", acctRecord("s", aaa.StatusInterim, 330, 330, 55), "", l, 0, []string{"update=360", "interval=60", "lived=360", "in=60", "out=120", "ip=100.64.0.2"}},
		{"the first address again", acctRecord("s", aaa.StatusInterim, 420, 420, 70), "", l, 0, []string{"update=420", "interval=60", "lived=420", "in=70", "out=140"}},
		{"a Stop", acctRecord("s", aaa.StatusStop, 480, 480, 80), "", l, 1, []string{"update=480", "stop=480", "interval=60", "lived=480", "in=80", "out=160", "infostop=down", "cause=User-Request"}},
		{"its repetition", acctRecord("s", aaa.StatusStop, 480, 480, 80), "", l, 0, []string{"update=480", "stop=480", "interval=60", "lived=480", "in=80", "out=160", "infostop=down", "cause=User-Request"}},
	}
	for i, s := range steps {
		if s.harm != "" {
			db.Exec(s.harm)
		}
		known := knownBy(t, reg, func() []error { return s.on.Apply(t.Context(), s.event) })
		if known != s.known {
			t.Errorf("step %d, %s: %v records stored without a look, want %v", i, s.what, known, s.known)
		}
		if d := cmp.Diff([]map[string]string{acctRow("s", s.want...)}, acctRows(db)); d != "" {
			t.Fatalf("step %d, %s (-want +got):\n%s", i, s.what, d)
		}
	}
}

// A trigger that changes what is written makes the memory worthless.
func TestLedgerKnowsNothingBehindATrigger(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`CREATE FUNCTION half() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.acctinputoctets := NEW.acctinputoctets / 2; RETURN NEW; END $$;
		CREATE TRIGGER half BEFORE INSERT OR UPDATE ON radacct FOR EACH ROW EXECUTE FUNCTION half()`)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	for i, ev := range []*aaa.Record{
		acctRecord("s", aaa.StatusStart, 0, -1, -1), acctRecord("s", aaa.StatusInterim, 60, 60, 100), acctRecord("s", aaa.StatusInterim, 120, 120, 60),
	} {
		if n := knownBy(t, reg, func() []error { return l.Apply(t.Context(), ev) }); n != 0 {
			t.Errorf("event %d: stored without a look", i)
		}
	}
	if got := acctRows(db)[0]["in"]; got != "30" {
		t.Errorf("input %s, want the half of 60, which is more than the half of 100 as it stood there", got)
	}
}

// Sessions that begin together report together: their rows' new versions find room in the same
// pages, so that no index is written anew.
func TestRowsHaveRoomForTheirNextVersions(t *testing.T) {
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	pages := func(status aaa.Status, n int64) [][]string {
		t.Helper()
		all := make([]*aaa.Record, 500)
		for i := range all {
			all[i] = acctRecord(fmt.Sprint("8030", i), status, n, n, n)
			all[i].FramedIPv6, all[i].FramedIPv6Pfx, all[i].DelegatedPrefix, all[i].InterfaceID = netip.Addr{}, netip.Prefix{}, netip.Prefix{}, nil
		}
		for _, err := range l.Apply(t.Context(), all...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		return db.Rows(`SELECT (ctid::text::point)[0], count(*) FROM radacct GROUP BY 1 ORDER BY 1`)
	}
	began := pages(aaa.StatusStart, 0)
	if d := cmp.Diff(began, pages(aaa.StatusInterim, 300)); d != "" {
		t.Error("pages and rows in them (-at first +after the first interim)\n", d)
	}
	if len(began) < 10 {
		t.Errorf("%d pages", len(began))
	}
}

// A session whose place another one of the same caller takes is closed in that
// one's transaction, also where both are in a batch.
func TestLedgerForgetsReplacedSessions(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`
INSERT INTO radial.pools (name) VALUES ('main');
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '100.64.0.0/24', '100.64.0.0', '100.64.0.255' FROM radial.pools;
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 1, '100.64.0.1', p.id, s.id FROM radial.pools p, radial.subnets s`)
	apply := func(events ...*aaa.Record) float64 {
		return knownBy(t, reg, func() []error { return l.Apply(t.Context(), events...) })
	}
	apply(acctRecord("old", aaa.StatusStart, 0, -1, -1))
	if n := apply(acctRecord("old", aaa.StatusInterim, 60, 60, 10), acctRecord("new", aaa.StatusStart, 70, -1, -1)); n != 2 {
		t.Fatalf("%v stored without a look, want both", n)
	}
	const sqlOld = `SELECT acctstoptime IS NOT NULL, coalesce(acctterminatecause, ''), acctinputoctets FROM radacct WHERE acctsessionid = 'old'`
	if got := fmt.Sprint(db.Rows(sqlOld)); got != "[[t Session-Replaced 10]]" {
		t.Fatalf("the old session: %s", got)
	}
	// what it still says is of a closed session
	if n := apply(acctRecord("old", aaa.StatusInterim, 80, 80, 20)); n != 0 {
		t.Error("an interim of the replaced session was stored without a look")
	}
	if got := fmt.Sprint(db.Rows(sqlOld)); got != "[[t Session-Replaced 20]]" {
		t.Errorf("the old session after an interim: %s", got)
	}
}

// A router lost its power: neither the Stop nor the next Start with the id arrived.
// Of both sessions all that was acknowledged stands in radacct, also where the ledger
// remembers the first, and whatever comes twice.
func TestLedgerSessionBegunAnew(t *testing.T) {
	db := storetest.New(t)
	l, reg := newLedger(t, db, store.LedgerOptions{})
	db.Exec(`
INSERT INTO radial.pools (name) VALUES ('main');
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '100.64.0.0/24', '100.64.0.0', '100.64.0.255' FROM radial.pools;
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 1, '100.64.0.1', p.id, s.id FROM radial.pools p, radial.subnets s`)
	events := []*aaa.Record{
		acctRecord("rs1", aaa.StatusStart, 0, -1, -1), acctRecord("rs1", aaa.StatusInterim, 900, 900, 900),
		acctRecord("rs1", aaa.StatusInterim, 1300, 100, 100), acctRecord("rs1", aaa.StatusInterim, 1600, 400, 400), acctRecord("rs1", aaa.StatusStop, 1900, 700, 700),
	}
	known := knownBy(t, reg, func() (errs []error) {
		for _, ev := range events {
			errs = append(errs, l.Apply(t.Context(), ev)...)
			if ev == events[2] { // the address went over
				got := fmt.Sprint(db.Rows(`SELECT r.acctstarttime = to_timestamp($1) FROM radial.addresses a JOIN radacct r USING (radacctid) WHERE r.acctstoptime IS NULL`, acctZero+1200))
				if got != "[[t]]" {
					t.Errorf("the address is the new session's: %s", got)
				}
			}
		}
		return errs
	})
	if known != 4 {
		t.Errorf("%v stored without a look, want all but the one that began anew", known)
	}
	want := []map[string]string{
		acctRow("rs1", "unique="+retiredID("rs1", 0, 900), "update=900", "stop=900", "interval=900", "lived=900", "in=900", "out=1800", "cause=NAS-Reboot"),
		acctRow("rs1", "start=1200", "update=1900", "stop=1900", "interval=300", "lived=700", "in=700", "out=1400", "infostop=down", "cause=User-Request"),
	}
	if d := cmp.Diff(want, acctRows(db)); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
	if err := errors.Join(l.Apply(t.Context(), events...)...); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, acctRows(db)); d != "" {
		t.Errorf("rows after a repetition (-want +got):\n%s", d)
	}
}

// The address of a session that reports regularly is looked at again after a
// quarter of the lease time; a conflict each time.
func TestLedgerLooksAtAddressesInTime(t *testing.T) {
	db := storetest.New(t)
	clock := acctAt(1000)
	l, err := store.NewLedger(db.DB, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zaptest.NewLogger(t), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(`
INSERT INTO radial.pools (name, lease_time) VALUES ('main', '8 minutes');
INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '100.64.0.0/24', '100.64.0.0', '100.64.0.255' FROM radial.pools;
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) SELECT 1, '100.64.0.1', p.id, s.id FROM radial.pools p, radial.subnets s`)
	n := int64(0)
	interim := func() {
		t.Helper()
		n++
		if err := errors.Join(l.Apply(t.Context(), acctRecord("s", aaa.StatusInterim, n, n, n))...); err != nil {
			t.Fatal(err)
		}
	}
	state := func() string {
		return fmt.Sprint(db.Rows(`SELECT state, (SELECT coalesce(sum(times), 0) FROM radial.address_conflicts) FROM radial.addresses`)[0])
	}
	interim() // without a Start: binds
	interim() // remembered, and looked at once
	db.Exec(`UPDATE radial.addresses SET state = 'free', radacctid = NULL`)
	interim()
	if got := state(); got != "[free 0]" {
		t.Errorf("looked at within the time: %s", got)
	}
	clock = clock.Add(121 * time.Second)
	interim()
	if got := state(); got != "[bound 0]" {
		t.Errorf("after two minutes: %s", got)
	}
	db.Exec(`UPDATE radial.addresses SET radacctid = 4711, username = 'eve', mac = 'x', session_id = 'z'`)
	clock = clock.Add(121 * time.Second)
	for range 3 {
		interim()
	}
	if got := state(); got != "[bound 3]" {
		t.Errorf("three interims with the address of another: %s", got)
	}
}

// Whatever comes, in whatever order, at whichever of two servers, and with
// others at work on the rows: they are what aaa.Next makes of the events.
func TestLedgerKnownIsNext(t *testing.T) {
	db := storetest.New(t)
	one, reg := newLedger(t, db, store.LedgerOptions{})
	two, _ := newLedger(t, db, store.LedgerOptions{})
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		db.Exec("TRUNCATE radacct")
		model := map[string]*aaa.Session{}
		clock := int64(0)
		for range rapid.IntRange(5, 25).Draw(t, "batches") {
			l := one
			if rapid.IntRange(0, 5).Draw(t, "server") == 0 {
				l = two
			}
			var batch []*aaa.Record
			taken := map[string]bool{}
			for range rapid.IntRange(1, 6).Draw(t, "records") {
				s := fmt.Sprintf("%d-%d", round, rapid.IntRange(0, 4).Draw(t, "session"))
				if taken[s] { // order within a batch is of the times: foldBatch's own tests
					continue
				}
				taken[s] = true
				clock += rapid.Int64Range(0, 60).Draw(t, "step")
				at := max(clock-rapid.SampledFrom([]int64{0, 0, 0, 0, 100}).Draw(t, "late"), 0)
				status := rapid.SampledFrom([]aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusInterim, aaa.StatusInterim, aaa.StatusStop}).Draw(t, "status")
				octets := rapid.Int64Range(-1, 50).Draw(t, "octets") + at
				ev := acctRecord(s, status, at, rapid.Int64Range(-1, at).Draw(t, "lived"), octets)
				batch = append(batch, ev)
				next := aaa.Next(model[s], ev)
				model[s] = &next.Row
			}
			if err := errors.Join(l.Apply(t.Context(), batch...)...); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(t, "others") == 0 { // as FreeRADIUS, on the rows of all
				db.Exec("UPDATE radacct SET acctinputoctets = acctinputoctets + 7 WHERE acctstoptime IS NULL")
				for _, s := range model {
					if s.Open() && s.Input != nil {
						s.Input = ptrTo(*s.Input + 7)
					}
				}
			}
		}
		for _, got := range acctRows(db) {
			s := model[got["session"]]
			if s == nil || got["unique"] != s.UniqueID {
				continue // retired
			}
			want := fmt.Sprintln(s.Start.Unix()-acctZero, s.Update.Unix()-acctZero, stopOf(s), number(s.Interval), number(s.SessionTime), number(s.Input), number(s.Output), causeOf(s))
			have := fmt.Sprintln(got["start"], got["update"], got["stop"], got["interval"], got["lived"], got["in"], got["out"], got["cause"])
			if want != have {
				t.Fatalf("session %s:\nhave %s\nwant %s", got["session"], have, want)
			}
			delete(model, got["session"])
		}
		if len(model) > 0 {
			t.Fatalf("no rows of %v", model)
		}
	})
	if counterOf(t, reg, knownTotal) == 0 {
		t.Error("every record was stored after a look: the test shows nothing")
	}
}

func number(n *int64) string {
	if n == nil {
		return "NULL"
	}
	return fmt.Sprint(*n)
}
