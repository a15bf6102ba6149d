package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"radial/store"
	"radial/store/storetest"
)

// makeSparsePool makes an IPv6 pool of one network, whose rows come when they
// are leased, and returns its id.
func makeSparsePool(db *storetest.DB, name, kind string, bits int, network, first, last string) string {
	return db.Rows(`WITH p AS (INSERT INTO radial.pools (name, kind, prefix_length) VALUES ($1, $2, $3) RETURNING id)
		INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, $4::cidr, $5::inet, $6::inet FROM p RETURNING pool_id::text`,
		name, kind, bits, network, first, last)[0][0]
}

func TestCountPools(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "v4", "192.0.2.0/24")
	makePool(t, db, "empty", "198.51.100.0/30")
	db.Exec(`UPDATE radial.addresses SET state = 'offered', until = now() + interval '1 minute' WHERE address <= '192.0.2.10'`)
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 7 WHERE address BETWEEN '192.0.2.11' AND '192.0.2.30'`)
	db.Exec(`UPDATE radial.addresses SET state = 'bound' WHERE address = '192.0.2.31'`)
	db.Exec(`UPDATE radial.addresses SET state = 'reserved' WHERE address BETWEEN '192.0.2.32' AND '192.0.2.35'`)
	db.Exec(`UPDATE radial.addresses SET state = 'cooling', until = now() + interval '1 minute' WHERE address BETWEEN '192.0.2.36' AND '192.0.2.37'`)
	pd := makeSparsePool(db, "pd", "delegated_prefix", 56, "2001:db8::/40", "2001:db8::", "2001:db8:ff:ffff:ffff:ffff:ffff:ffff")
	db.Exec(`INSERT INTO radial.exclusions (subnet_id, first, last) SELECT id, '2001:db8::', '2001:db8:0:1ff:ffff:ffff:ffff:ffff' FROM radial.subnets WHERE pool_id = $1`, pd)
	db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, radacctid)
		SELECT 1, '2001:db8:0:200::/56', pool_id, id, 'bound', 8 FROM radial.subnets WHERE pool_id = $1`, pd)
	makeSparsePool(db, "big", "ipv6_address", 128, "2001:db9::/64", "2001:db9::", "2001:db9::ffff:ffff:ffff:ffff")

	got, err := db.CountPools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, p := range got {
		texts = append(texts, fmt.Sprintf("%s %s %s: %v = %v free, %d offered, %d bound, %d reserved, %d cooling; %.3f",
			p.Name, p.VRF, p.Status, p.Capacity, p.Free, p.Offered, p.Bound, p.Reserved, p.Cooling, p.Used()))
	}
	want := []string{
		"v4 default active: 254 = 217 free, 10 offered, 21 bound, 4 reserved, 2 cooling; 0.132",
		"empty default active: 2 = 2 free, 0 offered, 0 bound, 0 reserved, 0 cooling; 0.000",
		"pd default active: 65534 = 65533 free, 0 offered, 1 bound, 0 reserved, 0 cooling; 0.000",
		"big default active: 1.8446744073709552e+19 = 1.8446744073709552e+19 free, 0 offered, 0 bound, 0 reserved, 0 cooling; 0.000",
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Counting reads no row of a free or bound address.
func TestCountPoolsReadsIndexes(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "10.0.0.0/18")
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 1000 + hashtext(host(address)) % 100 WHERE address < '10.0.4.0'`)
	db.Exec(`UPDATE radial.addresses SET state = 'reserved' WHERE address >= '10.0.63.0'`)
	eventually(t, "VACUUM sees all rows", func() bool { // commits that are not on disk yet are no base for it
		db.Exec(`VACUUM ANALYZE radial.addresses`)
		return db.Rows(`SELECT relallvisible = relpages FROM pg_class WHERE oid = 'radial.addresses'::regclass`)[0][0] == "t"
	})
	rows, err := db.Pool().Query(t.Context(), "EXPLAIN "+store.SQLPoolCounts) // planned as ours are
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	plan := strings.Join(lines, "\n")
	if strings.Contains(plan, "Seq Scan") || strings.Count(plan, "Index Only Scan") < 3 {
		t.Errorf("plan:\n%s", plan)
	}
}

func TestPoolWatch(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24") // 254 addresses
	makePool(t, db, "off", "198.51.100.0/29")
	db.Exec(`UPDATE radial.pools SET status = 'inactive' WHERE name = 'off'`)
	db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 1 WHERE address << '198.51.100.0/29'`)
	reg := prometheus.NewRegistry()
	core, logs := observer.New(zap.InfoLevel)
	clock := time.Unix(acctZero, 0)
	w, err := store.NewPoolWatch(db.DB, store.DefaultPoolWatchOptions(), store.NewPoolMetrics(reg), zap.New(core), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	threshold := func() string {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "radial_ipam_pool_threshold_ratio" && m.GetLabel()[0].GetValue() == "main" {
					return fmt.Sprint(m.GetGauge().GetValue())
				}
			}
		}
		return "none"
	}
	steps := []struct {
		bound     int
		line      string
		threshold string
	}{
		{203, "", "0"}, // 79.9 %
		{204, "warn pool fills main 80", "0.8"},
		{201, "", "0.8"}, // above the slack
		{204, "", "0.8"},
		{254, "error pool is nearly full main 95", "0.95"},
		{235, "", "0.95"}, // 92.5 %
		{225, "", "0.8"},  // below 92 %
		{242, "error pool is nearly full main 95", "0.95"},
		{10, "info pool has room again main 80", "0"},
		{254, "error pool is nearly full main 95", "0.95"},
	}
	for i, s := range steps {
		db.Exec(`UPDATE radial.addresses SET state = 'free', radacctid = NULL WHERE address << '192.0.2.0/24'`)
		db.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = 5 WHERE address IN (SELECT address FROM radial.addresses WHERE address << '192.0.2.0/24' ORDER BY 1 LIMIT $1)`, s.bound)
		w.Look(t.Context())
		var lines []string
		for _, e := range logs.TakeAll() {
			m := e.ContextMap()
			lines = append(lines, fmt.Sprint(e.Level, " ", e.Message, " ", m["pool"], " ", m["threshold_percent"]))
		}
		if got := strings.Join(lines, "; "); got != s.line {
			t.Errorf("step %d, %d bound: told %q, want %q", i, s.bound, got, s.line)
		}
		if got := threshold(); got != s.threshold {
			t.Errorf("step %d, %d bound: threshold %s, want %s", i, s.bound, got, s.threshold)
		}
	}
	const want = `
# HELP radial_ipam_addresses Addresses of a pool (IPv6: prefixes) by state: free, offered, bound, reserved, cooling.
# TYPE radial_ipam_addresses gauge
radial_ipam_addresses{pool="main",state="bound",vrf="default"} 254
radial_ipam_addresses{pool="main",state="cooling",vrf="default"} 0
radial_ipam_addresses{pool="main",state="free",vrf="default"} 0
radial_ipam_addresses{pool="main",state="offered",vrf="default"} 0
radial_ipam_addresses{pool="main",state="reserved",vrf="default"} 0
# HELP radial_ipam_pools_counted_timestamp_seconds When the addresses of the pools were last counted, each minute.
# TYPE radial_ipam_pools_counted_timestamp_seconds gauge
radial_ipam_pools_counted_timestamp_seconds 1.79e+09
`
	db.Exec(`DELETE FROM radial.pools WHERE name = 'off'`)
	db.Away(func() { w.Look(t.Context()); w.Look(t.Context()) })
	if n := logs.FilterMessage("pools could not be counted").Len(); n != 1 {
		t.Errorf("told %d times that the database is away", n)
	}
	w.Look(t.Context())
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "radial_ipam_addresses", "radial_ipam_pools_counted_timestamp_seconds"); err != nil {
		t.Error(err)
	}
}

func TestPoolWatchThresholds(t *testing.T) {
	for texts, want := range map[string]string{
		"80,95": "", "": "", "1%,100": "", "95,80": `80 percent after 95: want rising numbers, such as 80, 95`,
		"80,80": "80 percent after 80", "0": `"0": want a whole number`, "101": `"101"`, "x": `"x"`, "80.5": `"80.5"`,
	} {
		var o store.PoolWatchOptions
		if texts != "" {
			o.Thresholds = strings.Split(texts, ",")
		}
		err := o.Validate()
		if got := fmt.Sprint(err); (err == nil) != (want == "") || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", texts, got, want)
		}
	}
}
