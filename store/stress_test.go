package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

// Everybody at once on few addresses: two servers' logins and sessions, panels
// that write static addresses in long statements, subnets that shrink and grow,
// operators, the clock. Nobody gets a deadlock, and nothing is in vain.
func TestEverybodyAtOnce(t *testing.T) {
	w := newTies(t)
	w.Exec("UPDATE radial.pools SET offer_time = '200 milliseconds', cooling_time = '100 milliseconds'")
	rawPool(t, w.DB, "tiny", ipam.DelegatedPrefix, 60, "2001:dba::/56")
	// before anybody's patience ends (lock_timeout), so that what that would hide is seen
	w.Exec("ALTER DATABASE " + w.Rows("SELECT current_database()")[0][0] + " SET deadlock_timeout = '10ms'")
	w.Pool().Reset()
	other := secondServer(t, w.DB)
	before := w.Rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var done [6]atomic.Int64
	busy := func(what int, f func(r *rand.Rand) error) {
		seed := rand.Uint64()
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 0))
			for ctx.Err() == nil {
				switch err := f(r); {
				case err == nil:
					done[what].Add(1)
				case ctx.Err() == nil:
					t.Errorf("%d: %v", what, err)
				}
			}
		})
	}
	for i, db := range []*store.DB{w.DB.DB, other} {
		rows := store.NewLeases(db)
		a := ipam.NewAllocator(rows, ipam.AllocatorOptions{Window: 16}, nil)
		rows.TellFreed(a.Freed)
		l := w.ledger
		if i > 0 {
			var err error
			if l, err = store.NewLedger(db, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now); err != nil {
				t.Fatal(err)
			}
		}
		for range 12 {
			busy(0, func(r *rand.Rand) error {
				n, session := r.IntN(300), fmt.Sprintf("s%d", r.Uint32())
				ws := wants(n, session, "ipv4:main", "delegated_prefix:tiny", "ipv6_prefix:wan")
				ws = ws[r.IntN(2):][:1+r.IntN(2)]
				leases, err := a.Lease(ctx, ws)
				if _, ok := errors.AsType[*ipam.Refusal](err); ok {
					return nil
				}
				if err != nil || r.IntN(3) == 0 {
					return err
				}
				carries := map[ipam.Kind]netip.Prefix{}
				for _, le := range leases {
					if r.IntN(4) > 0 {
						carries[le.Kind] = le.Prefix
					}
				}
				if r.IntN(4) == 0 { // what no pool gave: reported all the same
					carries[ipam.DelegatedPrefix] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xba, 0, 0, 0, byte(r.IntN(16) << 4)}), 60)
				}
				for j, st := range []aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop} {
					rec := w.event(n, session, st, int64(10+j), carries)
					if err := l.Record(ctx, rec); err != nil {
						return err
					}
				}
				return nil
			})
		}
		busy(5, func(r *rand.Rand) error {
			var errs []error
			_, err := db.ExpireOffers(ctx, 100)
			errs = append(errs, err)
			_, err = db.EndCooling(ctx, 100)
			errs = append(errs, err)
			_, err = db.ReleaseEnded(ctx, 100)
			errs = append(errs, err)
			_, err = db.ReserveStaticIPs(ctx)
			errs = append(errs, err)
			_, err = db.DropIdlePrefixes(ctx, 0, 50)
			return errors.Join(append(errs, err)...)
		})
	}
	static := func(r *rand.Rand) (attribute, value string) {
		if r.IntN(3) == 0 {
			return "Delegated-IPv6-Prefix", fmt.Sprintf("2001:dba:0:%x::/60", r.IntN(16)<<4)
		}
		return "Framed-IP-Address", fmt.Sprintf("100.64.0.%d", 1+r.IntN(40))
	}
	for range 3 {
		busy(1, func(r *rand.Rand) error {
			return pgx.BeginFunc(ctx, w.Pool(), func(tx pgx.Tx) error {
				var values []string
				for range 1 + r.IntN(5) {
					a, v := static(r)
					values = append(values, fmt.Sprintf("('user%d', '%s', ':=', '%s')", r.IntN(300), a, v))
				}
				if _, err := tx.Exec(ctx, "INSERT INTO radreply (username, attribute, op, value) VALUES "+strings.Join(values, ", ")); err != nil {
					return err
				}
				if r.IntN(2) == 0 {
					return nil
				}
				_, err := tx.Exec(ctx, "DELETE FROM radreply WHERE id % 3 = $1 AND id IN (SELECT id FROM radreply ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 20)", r.IntN(3))
				return err
			})
		})
	}
	main, tiny := subnetNamed(t, w.DB, "100.64.0.0/24"), subnetNamed(t, w.DB, "2001:dba::/56")
	may := func(err error) error {
		if errors.Is(err, aaa.ErrConflict) || errors.Is(err, aaa.ErrNotFound) {
			return nil
		}
		return err
	}
	busy(2, func(r *rand.Rand) error {
		first := netip.AddrFrom4([4]byte{100, 64, 0, byte(1 + r.IntN(250))})
		run := ipam.Range{First: first, Last: first}
		_, err := w.SetSubnet(ctx, byTest("subnet.set"), main.ID, store.SubnetChange{Exclude: []store.Exclusion{{Range: run}}}, store.Making{})
		if may(err) != nil {
			return err
		}
		_, err = w.SetSubnet(ctx, byTest("subnet.set"), main.ID, store.SubnetChange{Include: []ipam.Range{runOf("100.64.0.0/24")}}, store.Making{})
		if err != nil && strings.Contains(err.Error(), "is not excluded") {
			return nil
		}
		return may(err)
	})
	busy(3, func(r *rand.Rand) error {
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xba, 0, 0, 0, byte(r.IntN(16) << 4)}), 60)
		_, err := w.SetSubnet(ctx, byTest("subnet.set"), tiny.ID, store.SubnetChange{Exclude: []store.Exclusion{{Range: ipam.RangeOf(p)}}}, store.Making{})
		if may(err) != nil {
			return err
		}
		_, err = w.SetSubnet(ctx, byTest("subnet.set"), tiny.ID, store.SubnetChange{Include: []ipam.Range{runOf("2001:dba::/56")}}, store.Making{})
		if err != nil && strings.Contains(err.Error(), "is not excluded") {
			return nil
		}
		return may(err)
	})
	busy(4, func(r *rand.Rand) error {
		address := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, byte(1 + r.IntN(250))}), 32)
		if r.IntN(2) == 0 {
			address = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xba, 0, 0, 0, byte(r.IntN(16) << 4)}), 60)
		}
		if _, _, err := w.ReserveAddress(ctx, byTest("ip.reserve"), store.Reservation{Address: address, Reason: "router"}); may(err) != nil {
			return err
		}
		_, _, err := w.ReleaseAddress(ctx, byTest("ip.release"), 0, address, "", false)
		return may(err)
	})
	wg.Wait()
	for i := range done {
		if done[i].Load() == 0 {
			t.Errorf("%d did nothing", i)
		}
	}
	if after := w.Rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]; after != before {
		t.Errorf("deadlocks: %s before, %s after", before, after)
	}
	if _, err := w.ReserveStaticIPs(t.Context()); err != nil {
		t.Error(err)
	}
	if free := w.Rows("SELECT address FROM radial.addresses a JOIN radial.static_addresses s USING (address) WHERE a.state = 'free'"); len(free) > 0 {
		t.Errorf("free, and static: %s", free)
	}
	if left := w.Rows("SELECT count(*) FROM radial.static_pending"); left[0][0] != "0" {
		t.Errorf("%s statements were not settled", left[0][0])
	}
}
