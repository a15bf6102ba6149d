package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// Each of these has somebody wait for a row that the test's own transaction
// holds, and then that transaction go on in the order in which all lock: subnets,
// rows of addresses, new rows of addresses. It must get what it wants at once.

// waitsForLock returns when a statement of the database waits for a lock, or fails.
func waitsForLock(t *testing.T, db *storetest.DB) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if db.Rows("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()")[0][0] != "0" {
			return
		}
	}
	t.Fatal("nobody waits")
}

// holding begins a transaction that gives up rather than wait until a deadlock is found.
func holding(t *testing.T, db *storetest.DB, sql string, args ...any) pgx.Tx {
	t.Helper()
	tx, err := db.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // it is over already
	goOn(t, tx, "SET LOCAL lock_timeout = '500ms'")
	goOn(t, tx, sql, args...)
	return tx
}

func goOn(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Error(err)
	}
}

const makePrefix = `INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
	SELECT s.vrf_id, $1::inet, s.pool_id, s.id FROM radial.subnets s WHERE s.network >>= $1::inet ON CONFLICT DO NOTHING`

// A record with an address that a login holds and a prefix that it is making.
func TestPrefixesAreMadeAfterAddressesAreLocked(t *testing.T) {
	w := newTies(t)
	w.record(w.event(2, "s0", aaa.StatusStart, 0, nil)) // the ledger learns that there are pools of prefixes
	got := w.login(1, "s1", ipam.IPv4)
	got[ipam.DelegatedPrefix] = netip.MustParsePrefix("2001:db8:100::/56") // no pool gave it
	tx := holding(t, w.DB, "SELECT FROM radial.addresses WHERE address = $1 FOR UPDATE", got[ipam.IPv4])
	done := make(chan error, 1)
	go func() { done <- w.ledger.Record(t.Context(), w.event(1, "s1", aaa.StatusStart, 0, got)) }()
	waitsForLock(t, w.DB)
	goOn(t, tx, makePrefix, got[ipam.DelegatedPrefix])
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.want("after the Start", addressOf(got)+" bound s1, 2001:db8:100::/56 bound s1")
}

func addressOf(got map[ipam.Kind]netip.Prefix) string { return got[ipam.IPv4].Addr().String() }

// Who makes the row of a prefix has its subnet first.
func TestPrefixesAreMadeWhileTheirSubnetIsHeld(t *testing.T) {
	prefix := netip.MustParsePrefix("2001:db8:100::/56")
	for name, makes := range map[string]func(*ties) error{
		"a record": func(w *ties) error {
			return w.ledger.Record(w.t.Context(), w.event(1, "s1", aaa.StatusStart, 0, map[ipam.Kind]netip.Prefix{ipam.DelegatedPrefix: prefix}))
		},
		"an operator": func(w *ties) error {
			_, _, err := w.ReserveAddress(w.t.Context(), byTest("ip.reserve"), store.Reservation{Address: prefix, Reason: "router"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTies(t)
			tx := holding(t, w.DB, "SELECT FROM radial.subnets WHERE network >>= $1::inet FOR UPDATE", prefix)
			done := make(chan error, 1)
			go func() { done <- makes(w) }()
			waitsForLock(t, w.DB)
			goOn(t, tx, makePrefix, prefix)
			if err := tx.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := w.Rows("SELECT count(*) FROM radial.addresses WHERE address = $1 AND state IN ('bound', 'reserved')", prefix)[0][0]; n != "1" {
				t.Errorf("%s rows of the prefix are taken", n)
			}
		})
	}
}

// A subnet that gives more binds the open sessions that it finds and reserves
// static addresses, rows in two orders: it waits for none of them.
func TestSubnetThatGrowsWaitsForNobodysRow(t *testing.T) {
	w := newTies(t)
	main := subnetNamed(t, w.DB, "100.64.0.0/24")
	more := ipam.Range{First: netip.MustParseAddr("100.64.0.250"), Last: netip.MustParseAddr("100.64.0.250")}
	if _, err := w.SetSubnet(t.Context(), byTest("subnet.set"), main.ID, store.SubnetChange{Exclude: []store.Exclusion{{Range: more}}}, store.Making{}); err != nil {
		t.Fatal(err)
	}
	w.Exec("INSERT INTO radreply (username, attribute, op, value) VALUES ('user9', 'Framed-IP-Address', ':=', '100.64.0.5'), ('user8', 'Framed-IP-Address', ':=', '100.64.0.250')")
	w.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, framedipaddress)
		VALUES ('x', 'x', 'user7', '10.0.0.1', now(), '100.64.0.200')`)
	tx := holding(t, w.DB, "SELECT FROM radial.addresses WHERE address = '100.64.0.5' FOR UPDATE")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := w.SetSubnet(ctx, byTest("subnet.set"), main.ID, store.SubnetChange{Include: []ipam.Range{more}}, store.Making{}); err != nil {
		t.Fatal(err)
	}
	goOn(t, tx, "SELECT FROM radial.addresses WHERE address = '100.64.0.200' FOR UPDATE")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	w.want("after the subnet has grown", "100.64.0.5 reserved -, 100.64.0.200 bound x, 100.64.0.250 reserved -")
}

// Two ledgers, the jobs that fold usage and the archive of two servers, and somebody who
// closes sessions by hand, on the sessions of two users: nobody locks another out, and
// all usage is there, once.
func TestLedgersFoldAndArchiveDoNotLockEachOtherOut(t *testing.T) {
	db := storetest.New(t)
	db.Exec("ALTER DATABASE " + db.Rows("SELECT current_database()")[0][0] + " SET deadlock_timeout = '10ms'")
	db.Pool().Reset()
	one, reg1 := newLedger(t, db, store.LedgerOptions{Shards: 3, Batch: 20})
	two, reg2 := newLedger(t, db, store.LedgerOptions{Shards: 2, Batch: 50})
	var over atomic.Bool
	var moved, folded atomic.Int64
	var jobs, g errgroup.Group
	until := func(f func() error) {
		jobs.Go(func() error {
			for !over.Load() {
				if err := f(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fold := func() error {
		n, err := db.FoldUsage(t.Context(), 100)
		folded.Add(int64(n))
		return err
	}
	for range 2 {
		until(fold)
		until(func() error { _, err := db.RollUsage(t.Context(), 0, 100); return err })
		until(func() error {
			return db.Archive(t.Context(), acctAt(1<<20), 5, func(n int) error { moved.Add(int64(n)); return nil })
		})
	}
	until(func() error {
		_, err := db.Pool().Exec(t.Context(), `UPDATE radacct SET acctstoptime = acctupdatetime WHERE radacctid = (
			SELECT radacctid FROM radacct WHERE acctstoptime IS NULL ORDER BY radacctid DESC LIMIT 1 FOR UPDATE SKIP LOCKED)`)
		return err
	})
	g.SetLimit(24)
	for i := range 120 {
		g.Go(func() error {
			for k := range 5 {
				at := int64(k) * 40_000 // a new day each second or third time
				r := acctRecord(fmt.Sprintf("r%d", i), aaa.StatusInterim, at, at, at*10)
				r.User, r.Login = fmt.Sprintf("race%d", i%2), fmt.Sprintf("race%d", i%2)
				switch k {
				case 0:
					r.Status, r.SessionTime, r.Input, r.Output = aaa.StatusStart, nil, nil, nil
				case 4:
					r.Status = aaa.StatusStop
				}
				var both errgroup.Group
				both.Go(func() error { return one.Record(t.Context(), r) })
				both.Go(func() error { return two.Record(t.Context(), r) })
				if err := both.Wait(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	over.Store(true)
	if other := jobs.Wait(); err != nil || other != nil {
		t.Fatal(err, other)
	}
	if err := fold(); err != nil {
		t.Fatal(err)
	}
	if moved.Load() == 0 || folded.Load() == 0 {
		t.Errorf("%d archived, %d folded: the test shows little", moved.Load(), folded.Load())
	}
	want := db.Rows("SELECT username, sum(acctsessiontime), sum(acctinputoctets), sum(acctoutputoctets) FROM radial.radacct_all GROUP BY 1 ORDER BY 1")
	got := db.Rows("SELECT username, sum(seconds), sum(input), sum(output) FROM radial.usage_daily GROUP BY 1 ORDER BY 1")
	if len(want) != 2 || fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("sessions say %s, their days %s", want, got)
	}
	if n := counterOf(t, reg1, "radial_accounting_retries_total", "deadlock") + counterOf(t, reg2, "radial_accounting_retries_total", "deadlock"); n > 0 {
		t.Errorf("%v deadlocks of ledgers", n)
	}
	if n := db.Rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]; n != "0" {
		t.Errorf("%s deadlocks", n)
	}
}
