package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// What BenchmarkLeases does; `make bench-leases` asks for the whole table of
// docs/performance.md.
var (
	leaseBits    = flag.Int("leases.bits", 16, "the pool's network has so many bits: 16 is 65,536 addresses, 22 are 4 million")
	leaseFills   = flag.String("leases.fills", "0,50,99", "how full the pool is, in percent")
	leaseCallers = flag.String("leases.callers", "1,16,256", "callers at once")
	leaseRounds  = flag.Int("leases.rounds", 1, "rounds of which the median counts; both sides in each")
	leaseTime    = flag.Duration("leases.time", 300*time.Millisecond, "of one side in a round")
	leaseConns   = flag.Int("leases.peer-connections", 32, "of the peer: FreeRADIUS's sql pool has 32 as shipped")
	leaseWrite   = flag.Bool("leases.write", false, "write the table into docs/performance.md")
	leasePeer    = flag.String("leases.peer", "simple", "how the peer's statement is sent: simple (as FreeRADIUS does), prepared, or none for no peer")
)

// BenchmarkLeases measures committed leases of callers that hold none, next to
// sqlippool's stored procedure (FreeRADIUS's own file) on the same cluster,
// which syncs to disk. Addresses are leased in bursts that a part of the free
// ones covers; between bursts, unmeasured, what was leased is freed again.
func BenchmarkLeases(b *testing.B) {
	before := debug.SetGCPercent(200) // a server's, garbage_percent: for both sides
	defer debug.SetGCPercent(before)
	m := newLeaseBench(b)
	for _, fill := range numbers(b, *leaseFills) {
		m.fill(fill)
		for _, callers := range numbers(b, *leaseCallers) {
			b.Run(fmt.Sprintf("bits=%d/full=%d/callers=%d", *leaseBits, fill, callers), func(b *testing.B) {
				if b.N > 1 {
					b.Skip("one run has several rounds")
				}
				var ours, theirs []measured
				for range *leaseRounds {
					m.settle()
					ours = append(ours, m.measure(b, m.radial, callers))
					if *leasePeer != "none" {
						theirs = append(theirs, m.measure(b, m.peer, callers))
					}
				}
				m.report(b, fill, callers, ours, theirs)
			})
		}
	}
	m.writeTable()
	runtime.KeepAlive(m.users)
}

// leaseBench is a database with the same pool twice: Radial's, and in the
// schema peer that of sqlippool.
type leaseBench struct {
	b          *testing.B
	db         *storetest.DB
	postmaster string
	backends   []string // the stat files of PostgreSQL's processes
	free       int      // addresses that are not held at this fill
	round      bool     // Radial has gone round them since
	conns      chan *pgx.Conn
	next       int // callers so far: none comes twice
	alloc      *ipam.Allocator
	users      map[string][]string // what a server has in memory besides
	table      []string            // rows of Markdown
}

// sharer is one of the two that lease.
type sharer struct {
	lease func(ctx context.Context, w ipam.Want) error
	reset func() // frees what was leased
	round bool   // goes round the pool
}

const benchNetwork = "10.0.0.0"

// someUsers are as much memory as a server holds that knows 100,000 users, of
// which the collector looks at every piece: with the few megabytes of a test it
// would begin anew sixty times a second.
func someUsers() map[string][]string {
	users := make(map[string][]string)
	for i := range 100_000 {
		name := fmt.Sprint("user", i)
		for n := range 8 {
			users[name] = append(users[name], fmt.Sprintf("%-32d", i+n))
		}
	}
	return users
}

func newLeaseBench(b *testing.B) *leaseBench {
	m := &leaseBench{b: b, db: storetest.New(b, storetest.Durable), users: someUsers()}
	network := netip.PrefixFrom(netip.MustParseAddr(benchNetwork), 32-*leaseBits)
	m.db.Exec(`INSERT INTO radial.pools (vrf_id, name) VALUES (1, 'main')`)
	m.db.Exec(`INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last)
		SELECT id, 1, $1::cidr, host($1::cidr)::inet, host(broadcast($1::cidr))::inet FROM radial.pools`, network.String())
	own, err := statOf("/proc/" + m.db.Rows(`SELECT pg_backend_pid()`)[0][0] + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	m.postmaster = own[1]
	if *leasePeer != "none" {
		m.makePeer()
	}
	return m
}

// sqlippoolFiles is where Debian has the files that make sqlippool's table.
const sqlippoolFiles = "/etc/freeradius/3.0/mods-config/sql/ippool/postgresql/"

func (m *leaseBench) makePeer() {
	m.db.Exec(`CREATE SCHEMA peer; SET search_path = peer`)
	for _, name := range []string{"schema.sql", "procedure.sql"} {
		text, err := os.ReadFile(sqlippoolFiles + name)
		if errors.Is(err, fs.ErrNotExist) {
			m.b.Skipf("SKIPPED: needs %s of the package freeradius-postgresql (or -leases.peer none)", sqlippoolFiles+name)
		}
		if err != nil {
			m.b.Fatal(err)
		}
		m.db.Exec(string(text))
	}
	// Statistics are taken of a pool that is half used, and kept: of one that
	// was all free when it was analyzed, the procedure makes a plan that reads
	// all that is leased.
	m.db.Exec(`RESET search_path; ALTER TABLE peer.radippool SET (autovacuum_enabled = off); ALTER TABLE radial.addresses SET (autovacuum_enabled = off)`)
	m.rebuild("peer.radippool", sqlBenchPeer, 50)
	m.db.Exec(`VACUUM ANALYZE peer.radippool`)
	m.conns = make(chan *pgx.Conn, *leaseConns)
	for range *leaseConns {
		cfg, err := pgx.ParseConfig(m.db.URL())
		if err != nil {
			m.b.Fatal(err)
		}
		cfg.RuntimeParams["search_path"] = "peer"
		if *leasePeer == "simple" {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		}
		conn, err := pgx.ConnectConfig(m.b.Context(), cfg)
		if err != nil {
			m.b.Fatal(err)
		}
		m.b.Cleanup(func() { _ = conn.Close(context.Background()) }) // the database goes with it
		m.conns <- conn
	}
}

// The rows of both, made anew: $1 how many, $2 how many percent are held. Held
// ones lie among the free ones, as they do after some months.
const (
	sqlBenchRadial = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, username, mac, nas, port, session_id, radacctid, until, since)
SELECT 1, '10.0.0.0'::inet + i, p.id, s.id, CASE WHEN held THEN 'bound' ELSE 'free' END,
       CASE WHEN held THEN 'h' || i END, CASE WHEN held THEN 'aa:' || substr(md5(i::text), 1, 14) END, CASE WHEN held THEN '10.254.0.1'::inet END,
       CASE WHEN held THEN 'ether' || i % 50 END, CASE WHEN held THEN 's' || i END, CASE WHEN held THEN i END, CASE WHEN held THEN now() + interval '1 hour' END,
       CASE WHEN held THEN now() END
FROM generate_series(1, $1::int) i, LATERAL (SELECT i * 7919::bigint % 1009 < $2::int * 1009 / 100 AS held) x, radial.pools p, radial.subnets s`

	sqlBenchPeer = `
INSERT INTO peer.radippool (pool_name, framedipaddress, expiry_time, nasipaddress, pool_key, callingstationid, username)
SELECT 'main', '10.0.0.0'::inet + i,
       CASE WHEN held THEN now() + interval '7 days' + i * interval '1 second' ELSE '2020-01-01'::timestamp + i * interval '1 second' END,
       CASE WHEN held THEN '10.254.0.1' ELSE '' END, CASE WHEN held THEN 'ether' || i % 50 ELSE '' END,
       CASE WHEN held THEN 'aa:' || substr(md5(i::text), 1, 14) ELSE '' END, CASE WHEN held THEN 'h' || i ELSE '' END
FROM generate_series(1, $1::int) i, LATERAL (SELECT i * 7919::bigint % 1009 < $2::int * 1009 / 100 AS held) x`
)

// rebuild makes a table's rows anew, its indexes after them.
func (m *leaseBench) rebuild(table, rows string, fill int) {
	schema, name, _ := strings.Cut(table, ".")
	indexes := m.db.Rows(`SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename = $2 AND indexname !~ 'pkey$'`, schema, name)
	m.db.Exec("SET session_replication_role = replica; TRUNCATE " + table)
	for _, x := range indexes {
		m.db.Exec("DROP INDEX " + schema + "." + x[0])
	}
	m.db.Exec(rows, 1<<*leaseBits-2, fill)
	for _, x := range indexes {
		m.db.Exec(x[1])
	}
	m.db.Exec("RESET session_replication_role")
	m.db.Exec("VACUUM " + table)
}

func (m *leaseBench) fill(percent int) {
	m.rebuild("radial.addresses", sqlBenchRadial, percent)
	m.db.Exec(`ANALYZE radial.addresses`)
	if *leasePeer != "none" {
		m.rebuild("peer.radippool", sqlBenchPeer, percent)
	}
	m.db.Exec(`CHECKPOINT`) // none falls into a measurement
	m.free = int(m.count(`SELECT count(*) FROM radial.addresses WHERE state = 'free'`))
	leases := store.NewLeases(m.db.DB)
	m.alloc, m.round = ipam.NewAllocator(leases, ipam.AllocatorOptions{}, nil), false
	leases.TellFreed(m.alloc.Freed)
}

func (m *leaseBench) count(sql string) (n int64) {
	if _, err := fmt.Sscan(m.db.Rows(sql)[0][0], &n); err != nil {
		m.b.Fatal(err)
	}
	return n
}

// settle is what a database does in quiet hours.
func (m *leaseBench) settle() {
	m.db.Exec(`VACUUM radial.addresses`)
	if *leasePeer != "none" {
		m.db.Exec(`VACUUM peer.radippool`)
	}
}

func (m *leaseBench) radial() sharer {
	return sharer{
		lease: func(ctx context.Context, w ipam.Want) error {
			_, err := leaseOne(ctx, m.alloc, w)
			return err
		},
		reset: m.expire,
		round: true,
	}
}

// expire frees all offers as a server does when they have run out, which then
// knows them.
func (m *leaseBench) expire() {
	for {
		n, err := m.db.ExpireOffersAhead(m.b.Context(), 5000) // as the job does
		if err != nil {
			m.b.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

const sqlPeerLease = `SELECT host(fr_allocate_previous_or_new_framedipaddress('main', $1::text, $2::text, '10.0.0.1', $3::text, 3600))`

func (m *leaseBench) peer() sharer {
	return sharer{
		lease: func(ctx context.Context, w ipam.Want) error {
			conn := <-m.conns
			defer func() { m.conns <- conn }()
			var address *string
			err := conn.QueryRow(ctx, sqlPeerLease, w.Caller.User, w.Caller.MAC, w.Caller.Port).Scan(&address)
			if err == nil && address == nil {
				err = errors.New("the peer's pool is full")
			}
			return err
		},
		reset: func() {
			m.db.Exec(`UPDATE peer.radippool SET expiry_time = '2020-01-01'::timestamp + (framedipaddress - '10.0.0.0'::inet) * interval '1 second', username = '', callingstationid = '', nasipaddress = '', pool_key = ''
			WHERE pool_name = 'main' AND username >= 'b' AND username < 'c'`)
		},
	}
}

// measured is what one side did in a round.
type measured struct {
	rate float64 // leases a second
	cpu  float64 // microseconds of processors for a lease, all in all
	own  float64 // of these in this process; the others are PostgreSQL's
}

// measure leases with so many callers at once.
func (m *leaseBench) measure(b *testing.B, side func() sharer, callers int) measured {
	s := side()
	n := min(m.free*9/10, 8192)
	warm := 1 // connections, statements, plans
	if s.round && !m.round {
		// The first lease on a page after a checkpoint logs all of it. The peer takes the same addresses in each burst.
		m.round, warm = true, min((m.free+n-1)/n, 8)
	}
	crowd := gather(callers)
	defer crowd.leave()
	for range warm {
		m.burst(b, crowd, s, n)
		s.reset()
	}
	m.findBackends()
	leased, took := 0, time.Duration(0)
	var spent cpuTime
	for took < *leaseTime {
		d, c := m.burst(b, crowd, s, n)
		s.reset()
		leased, took, spent = leased+n, took+d, cpuTime{own: spent.own + c.own, postgres: spent.postgres + c.postgres}
	}
	each := 1e6 / float64(leased)
	return measured{rate: float64(leased) / took.Seconds(), cpu: (spent.own + spent.postgres).Seconds() * each, own: spent.own.Seconds() * each}
}

// crowd is callers that are there all the time, as a server's are.
type crowd struct {
	work []chan func()
	busy sync.WaitGroup
}

func gather(callers int) *crowd {
	c := &crowd{work: make([]chan func(), callers)}
	for i := range c.work {
		c.work[i] = make(chan func())
		go func() {
			for f := range c.work[i] {
				f()
				c.busy.Done()
			}
		}()
	}
	return c
}

// all has each caller run f once, and waits for them.
func (c *crowd) all(f func()) {
	c.busy.Add(len(c.work))
	for _, caller := range c.work {
		caller <- f
	}
	c.busy.Wait()
}

func (c *crowd) leave() {
	for _, caller := range c.work {
		close(caller)
	}
}

// burst leases once for each of n new callers, and says how long that took and
// how much processor time, of this process and of PostgreSQL.
func (m *leaseBench) burst(b *testing.B, c *crowd, s sharer, n int) (took time.Duration, spent cpuTime) {
	wants := make([]ipam.Want, n)
	for i := range wants {
		m.next++
		wants[i] = want(m.next, "")
		wants[i].Caller.User = fmt.Sprint("b", m.next)
	}
	var taken atomic.Int64
	postgres, own, begin := m.postgres(), ownTime(m.b), time.Now()
	c.all(func() {
		for i := taken.Add(1); i <= int64(n); i = taken.Add(1) {
			if err := s.lease(b.Context(), wants[i-1]); err != nil {
				b.Error(err)
				return
			}
		}
	})
	took = time.Since(begin)
	own = ownTime(m.b) - own
	return took, cpuTime{own: own, postgres: m.postgres() - postgres}
}
