package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
)

const (
	poolSize  = 253 // of a /24 with a gateway
	offerTime = 8 * time.Second
)

// tenant is a caller of the storm: he logs in, starts, and stops, at whichever
// of the servers answers.
type tenant struct {
	number  int
	session int
}

// storm is what the NASes know: who was told which address, and whose session
// has been acknowledged and not yet been stopped.
type storm struct {
	t     *testing.T
	dict  *dictionaries.Dictionary
	auth  [2]*radius.Client
	acct  [2]*radius.Client
	steps atomic.Int64
	ended atomic.Bool

	interims atomic.Int64 // of those who stay

	mu   sync.Mutex
	open map[netip.Addr]string // address → its session
	seen map[string]netip.Addr // session → its address, of those acknowledged
}

// TestKill9InAPoolsStorm: one of two servers that share a pool is killed again
// and again while callers log in, start and stop at both, the last time for good.
// No address is given to a second session while one has it, and when the offers'
// time is over no address is lost: all that is not held can be leased.
func TestKill9InAPoolsStorm(t *testing.T) {
	rounds, tenants := 6, 96
	if *long {
		rounds = 20
	}
	if testing.Short() {
		rounds = 2
	}
	db := storetest.New(t)
	steady, fragile := harness.Start(t, harness.Config{DatabaseURL: db.URL()}), harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	seedPool(t, steady, db)
	restart := harness.Config{DatabaseURL: db.URL(), DataDir: fragile.DataDir, Set: map[string]string{
		"RADIAL_RADIUS_AUTH_LISTEN": fragile.Auth, "RADIAL_RADIUS_ACCT_LISTEN": fragile.Acct,
	}}
	s := newStorm(t, steady, fragile)
	var group sync.WaitGroup
	for n := range tenants {
		group.Go(func() { s.live(&tenant{number: n}) })
	}
	for round := range rounds {
		target := s.steps.Load() + 400 + rand.Int64N(200)
		harness.Eventually(t, time.Minute, fmt.Sprintf("round %d: 400 acknowledged steps", round), func() bool { return s.steps.Load() >= target })
		fragile.Kill(t)
		fragile = harness.Start(t, restart)
	}
	s.ended.Store(true)
	group.Wait()
	t.Logf("%d kills, %d steps, %d sessions acknowledged, %d open at the end", rounds, s.steps.Load(), len(s.seen), len(s.open))
	drained(t, steady, fragile)
	s.compare(db)
	present := `SELECT count(*) FROM radial.servers WHERE present_on IS NOT NULL AND journal_bytes = 0`
	harness.Eventually(t, time.Minute, "both have said that they are there", func() bool { return db.Rows(present)[0][0] == "2" })
	for n := range 10 { // offers that nobody takes up
		s.login(2*tenants+n, "late")
	}
	fragile.Kill(t)
	s.fillUp(db, 2*tenants)
}

func seedPool(t *testing.T, server *harness.Server, db *storetest.DB) {
	t.Helper()
	for _, args := range [][]string{
		{"nas", "add", "127.0.0.0/8", "--secret", "kill-s3cret", "--type", "mikrotik"},
		{"pool", "add", "kill", "--cidr", "100.80.0.0/24", "--gateway", "100.80.0.1", "--offer-time", offerTime.String()},
	} {
		if out := server.Radial(t, args...); out.Code != 0 {
			t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
		}
	}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'k' || i, a, ':=', v
		FROM generate_series(0, 999) i, (VALUES ('Cleartext-Password', 'p'), ('Pool-Name', 'kill')) x (a, v)`)
}

func newStorm(t *testing.T, servers ...*harness.Server) *storm {
	t.Helper()
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{t: t, dict: dict, open: map[netip.Addr]string{}, seen: map[string]netip.Addr{}}
	for i, server := range servers {
		// a NAS gives up on a server soon and asks its next one
		o := radius.ClientOptions{Timeout: 500 * time.Millisecond, Tries: 2}
		s.auth[i], s.acct[i] = radius.NewClient(server.Auth, "kill-s3cret", dict, o), radius.NewClient(server.Acct, "kill-s3cret", dict, o)
	}
	return s
}

// live is a tenant's: session after session, until the storm is over.
func (s *storm) live(c *tenant) {
	for !s.ended.Load() {
		c.session++
		id := fmt.Sprintf("k%d-%d", c.number, c.session)
		begin := time.Now()
		addr, ok := s.login(c.number, id)
		if !ok {
			s.t.Errorf("k%d was refused", c.number)
			return
		}
		s.mu.Lock()
		if holder, held := s.open[addr]; held {
			s.t.Errorf("%s was given to %s while %s has it", addr, id, holder)
		}
		s.mu.Unlock()
		if rand.IntN(4) == 0 || time.Since(begin) > offerTime/4 {
			continue // never comes up, or too late: asks again, for the same offer or another when that has run out
		}
		s.account("Start", c.number, id, addr)
		s.mu.Lock()
		if holder, held := s.open[addr]; held {
			s.t.Errorf("%s was started by %s while %s has it", addr, id, holder)
		}
		s.open[addr], s.seen[id] = id, addr
		s.mu.Unlock()
		if s.ended.Load() {
			return // stays open
		}
		if rand.IntN(2) == 0 {
			s.account("Interim-Update", c.number, id, addr)
		}
		s.mu.Lock()
		delete(s.open, addr) // from when its Stop is sent
		s.mu.Unlock()
		s.account("Stop", c.number, id, addr)
	}
}

// stay is a tenant's whose session goes on to the end, with an interim each
// moment.
func (s *storm) stay(n int) {
	id := fmt.Sprintf("stay%d", n)
	addr, ok := s.login(n, id)
	if !ok {
		s.t.Errorf("k%d was refused", n)
		return
	}
	s.account("Start", n, id, addr)
	s.mu.Lock()
	if holder, held := s.open[addr]; held {
		s.t.Errorf("%s was started by %s while %s has it", addr, id, holder)
	}
	s.open[addr], s.seen[id] = id, addr
	s.mu.Unlock()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for !s.ended.Load() {
		s.ask(s.acct, radius.AccountingRequest, s.pairs(n, id, [2]string{"Acct-Status-Type", "Interim-Update"}, [2]string{"Framed-IP-Address", addr.String()}))
		s.interims.Add(1)
		<-pause.C
	}
}

func (s *storm) pairs(n int, id string, more ...[2]string) dictionaries.Pairs {
	lines := append([][2]string{{"User-Name", fmt.Sprint("k", n)}, {"NAS-IP-Address", "127.0.0.1"}, {"NAS-Port", fmt.Sprint(n)},
		{"Calling-Station-Id", fmt.Sprintf("02:00:00:00:%02X:%02X", n>>8, n&255)}, {"Acct-Session-Id", id}}, more...)
	var pairs dictionaries.Pairs
	for _, l := range lines {
		p, err := s.dict.Pair(l[0], l[1])
		if err != nil {
			s.t.Errorf("%v: %v", l, err)
			continue
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// ask tries one server after the other until one answers.
func (s *storm) ask(servers [2]*radius.Client, code radius.Code, pairs dictionaries.Pairs) *radius.Reply {
	for try := rand.IntN(2); ; try++ {
		reply, err := servers[try%2].Exchange(context.Background(), code, pairs)
		if err == nil {
			return reply
		}
	}
}

// login returns the address, or false when it was refused.
func (s *storm) login(n int, id string) (netip.Addr, bool) {
	reply := s.ask(s.auth, radius.AccessRequest, s.pairs(n, id, [2]string{"User-Password", "p"}))
	s.steps.Add(1)
	if reply.Code != radius.AccessAccept {
		return netip.Addr{}, false
	}
	for _, p := range reply.Pairs {
		if p.Attr.Name == "Framed-IP-Address" {
			addr, ok := netip.AddrFromSlice(p.Value)
			return addr, ok
		}
	}
	s.t.Errorf("k%d was accepted without an address", n)
	return netip.Addr{}, false
}

func (s *storm) account(status string, n int, id string, addr netip.Addr) {
	s.ask(s.acct, radius.AccountingRequest, s.pairs(n, id, [2]string{"Acct-Status-Type", status}, [2]string{"Framed-IP-Address", addr.String()}))
	s.steps.Add(1)
}

// compare holds what was acknowledged against the rows: each session has its
// row, open ones have their address, and nothing else is bound.
func (s *storm) compare(db *storetest.DB) {
	s.t.Helper()
	rows := map[string]string{}
	for _, r := range db.Rows(`SELECT acctsessionid, host(framedipaddress), acctstoptime IS NULL FROM radacct`) {
		if rows[r[0]] != "" {
			s.t.Errorf("session %s has two rows", r[0])
		}
		rows[r[0]] = r[1] + " " + r[2]
	}
	bound := map[string]string{}
	for _, r := range db.Rows(`SELECT host(a.address), r.acctsessionid FROM radial.addresses a JOIN radacct r ON r.radacctid = a.radacctid WHERE a.state = 'bound'`) {
		bound[r[0]] = r[1]
	}
	for id, addr := range s.seen {
		open := s.open[addr] == id
		if want := fmt.Sprintf("%s %s", addr, map[bool]string{true: "t", false: "f"}[open]); rows[id] != want {
			s.t.Errorf("session %s: row %q, want %q", id, rows[id], want)
		}
	}
	for addr, id := range s.open {
		if bound[addr.String()] != id {
			s.t.Errorf("%s is bound to %q, its session is %s", addr, bound[addr.String()], id)
		}
		delete(bound, addr.String())
	}
	if len(bound) > 0 {
		s.t.Errorf("bound without an open session: %v", bound)
	}
}

// fillUp waits until every offer of the storm is over, and leases all that is
// free: nothing may be missing, and nothing may be there twice.
func (s *storm) fillUp(db *storetest.DB, tenants int) {
	s.t.Helper()
	harness.Eventually(s.t, offerTime+time.Second, "the end of the storm's offers", func() bool {
		return db.Rows(`SELECT count(*) FROM radial.addresses WHERE state = 'offered' AND until > now()`)[0][0] == "0"
	})
	free := poolSize - len(s.open)
	var group sync.WaitGroup
	var mu sync.Mutex
	got := map[netip.Addr]int{}
	for i := range free {
		group.Go(func() {
			n := tenants + i
			addr, ok := s.login(n, fmt.Sprint("fill", n))
			if !ok {
				s.t.Errorf("k%d was refused: an address is lost", n)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other, twice := got[addr]; twice {
				s.t.Errorf("%s was given to k%d and k%d", addr, other, n)
			}
			got[addr] = n
			if s.open[addr] != "" {
				s.t.Errorf("%s was given to k%d while %s has it", addr, n, s.open[addr])
			}
		})
	}
	group.Wait()
}
