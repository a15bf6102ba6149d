package test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

const raceSecret = "race-s3cret"

// raceServers are two server processes on one database, with a /22 named race
// (1,021 addresses beside its gateway) and callers c0 to c1999.
func raceServers(t *testing.T) (db *storetest.DB, servers [2]*harness.Server) {
	t.Helper()
	db = storetest.New(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/8', 'local', 'other', $1)`, raceSecret)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'c' || i, a, ':=', v
		FROM generate_series(0, 1999) i, (VALUES ('Cleartext-Password', 'p'), ('Pool-Name', 'race')) x (a, v)`)
	for i := range servers {
		servers[i] = harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	}
	must(t, servers[0].Radial(t, "pool", "add", "race", "--cidr", "10.30.0.0/22", "--gateway", "10.30.0.1", "--offer-time", "10m"))
	return db, servers
}

// knocker is one client: a socket at one server. Its methods return errors, so
// that they serve in goroutines.
type knocker struct {
	conn   *conn
	id     byte
	copies int // of each packet, sent at once: a NAS that is impatient
}

func newKnocker(t *testing.T, addr string) *knocker {
	t.Helper()
	return &knocker{conn: dial(t, "", addr, raceSecret), copies: 1}
}

// ask sends a packet, again each second, until its answer comes.
func (k *knocker) ask(packet []byte) ([]byte, error) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		for range k.copies {
			if _, err := k.conn.Write(packet); err != nil {
				return nil, err
			}
		}
		if reply, err := k.answer(packet); reply != nil || err != nil {
			return reply, err
		}
	}
	return nil, fmt.Errorf("no answer to id %d", packet[1])
}

// answer waits a second for the answer to a packet, past those to earlier ones.
func (k *knocker) answer(packet []byte) ([]byte, error) {
	if err := k.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := k.conn.Read(buf)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if buf[1] == packet[1] {
			return bytes.Clone(buf[:n]), k.conn.check(buf[:n], packet)
		}
	}
}

// login logs a numbered caller in: the address, or invalid for a Reject.
func (k *knocker) login(n int, session string) (netip.Addr, error) {
	k.id++
	more := [][]byte{av(callingStation, callerMAC(n)), av(nasPort, string([]byte{0, 0, byte(n >> 8), byte(n)}))}
	if session != "" {
		more = append(more, av(acctSessionID, session))
	}
	reply, err := k.ask(pap(raceSecret, k.id, fmt.Sprint("c", n), "p", more...))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("login of c%d: %w", n, err)
	}
	framed := values(reply, framedIP)
	switch {
	case reply[0] == accessReject:
		return netip.Addr{}, nil
	case reply[0] != accessAccept || len(framed) != 1:
		return netip.Addr{}, fmt.Errorf("login of c%d: code %d with %d addresses", n, reply[0], len(framed))
	}
	addr, _ := netip.AddrFromSlice([]byte(framed[0]))
	return addr, nil
}

func callerMAC(n int) string { return fmt.Sprintf("02:00:00:00:%02X:%02X", n>>8, n&255) }

// account sends an accounting record of a caller's session.
func (k *knocker) account(status byte, n int, session string, addr netip.Addr) error {
	k.id++
	attrs := slices.Concat(av(acctStatus, string([]byte{0, 0, 0, status})), av(userName, fmt.Sprint("c", n)), av(acctSessionID, session),
		av(callingStation, callerMAC(n)), av(nasPort, string([]byte{0, 0, byte(n >> 8), byte(n)})), av(framedIP, string(addr.AsSlice())))
	_, err := k.ask(request{code: accountingRequest, id: k.id, secret: raceSecret, attrs: attrs}.bytes())
	return err
}

// given are the addresses that callers were told.
type given struct {
	mu sync.Mutex
	by map[netip.Addr]map[int]bool
}

func (g *given) note(n int, addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[netip.Addr]map[int]bool{}
	}
	if g.by[addr] == nil {
		g.by[addr] = map[int]bool{}
	}
	g.by[addr][n] = true
}

// single wants every address to have had one caller, and none that is the
// network's, the gateway's or the broadcast's.
func (g *given) single(t *testing.T) {
	t.Helper()
	for addr, callers := range g.by {
		if len(callers) != 1 {
			t.Errorf("%s was given to %d callers: %v", addr, len(callers), callers)
		}
		if !netip.MustParsePrefix("10.30.0.0/22").Contains(addr) || slices.Contains([]string{"10.30.0.0", "10.30.0.1", "10.30.3.255"}, addr.String()) {
			t.Errorf("%s was given, which is no subscriber's", addr)
		}
	}
}

// Two servers with 64 clients each give a /22 to the last address, each once;
// the next login is refused with a reason.
func TestRaceForAPool(t *testing.T) {
	const size, clients = 1021, 64
	db, servers := raceServers(t)
	var got given
	numbers := make(chan int)
	var group sync.WaitGroup
	for i := range len(servers) * clients {
		k := newKnocker(t, servers[i%len(servers)].Auth)
		group.Go(func() {
			for n := range numbers {
				addr, err := k.login(n, "")
				if err != nil || !addr.IsValid() {
					t.Errorf("c%d at server %d: address %v, error %v", n, i%len(servers), addr, err)
					continue
				}
				got.note(n, addr)
			}
		})
	}
	for n := range size {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	got.single(t)
	if len(got.by) != size {
		t.Errorf("%d addresses were given, the pool has %d", len(got.by), size)
	}
	if rows := db.Rows(`SELECT count(*), count(DISTINCT username) FROM radial.addresses WHERE state = 'offered'`); rows[0][0] != "1021" || rows[0][1] != "1021" {
		t.Errorf("offered rows and their callers: %v", rows)
	}
	for i, s := range servers {
		n := 1500 + i
		k := newKnocker(t, s.Auth)
		if addr, err := k.login(n, ""); err != nil || addr.IsValid() {
			t.Errorf("one more at server %d: address %v, error %v; want a Reject", i, addr, err)
		}
		if addr, err := k.login(i, ""); err != nil || !got.by[addr][i] {
			t.Errorf("c%d again, in a full pool: address %v, error %v; want its own", i, addr, err)
		}
		harness.Eventually(t, patience, "the row of the refusal", func() bool {
			rows := db.Rows(`SELECT reply, reason FROM radpostauth WHERE username = $1`, fmt.Sprint("c", n))
			return len(rows) == 1 && rows[0][0] == "Access-Reject" && rows[0][1] == "pool_full"
		})
		harness.Eventually(t, patience, "the log line of the refusal", func() bool {
			return slices.ContainsFunc(s.Logs(), func(line string) bool {
				return strings.Contains(line, fmt.Sprintf(`"c%d"`, n)) && strings.Contains(line, "pool_full")
			})
		})
	}
}

// A few callers log in again and again at both servers, each packet in several
// copies, the same caller at both at once, with and without a session, and
// started in between: nobody takes a second address.
func TestStormOfTheSameCallers(t *testing.T) {
	const clients, callers, rounds = 64, 24, 10
	db, servers := raceServers(t)
	var got given
	var group sync.WaitGroup
	for i := range len(servers) * clients {
		server := servers[i%len(servers)]
		login, acct := newKnocker(t, server.Auth), newKnocker(t, server.Acct)
		login.copies, acct.copies = 1+i%3, 1+i%2
		random := rand.New(rand.NewPCG(1, uint64(i/len(servers)))) // the same at both servers
		group.Go(func() {
			for round := range rounds {
				n := random.IntN(callers)
				session := [...]string{"", fmt.Sprint("s", n), fmt.Sprint("s", n, "-", round)}[random.IntN(3)]
				addr, err := login.login(n, session)
				if err != nil || !addr.IsValid() {
					t.Errorf("c%d: address %v, error %v", n, addr, err)
					continue
				}
				got.note(n, addr)
				if session != "" && random.IntN(3) == 0 {
					if err := acct.account(1, n, session, addr); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	got.single(t)
	if len(got.by) != callers {
		t.Errorf("%d callers were given %d addresses", callers, len(got.by))
	}
	if rows := db.Rows(`SELECT count(*), count(DISTINCT username) FROM radial.addresses WHERE state <> 'free'`); rows[0][0] != fmt.Sprint(callers) || rows[0][1] != fmt.Sprint(callers) {
		t.Errorf("rows that are held, and their callers: %v, want %d", rows, callers)
	}
}

// A pool is drained while two servers give its addresses: a login that is sent
// after the command has returned gets none, at either; who has one keeps it.
func TestDrainUnderLoad(t *testing.T) {
	const clients = 16
	db, servers := raceServers(t)
	drained := make(chan struct{})
	over := sync.OnceFunc(func() { close(drained) })
	defer over()
	enough := make(chan struct{}, 1)
	var next, refused counter
	var had sync.Map // caller → address, of those before the drain
	var group sync.WaitGroup
	for i := range len(servers) * clients {
		k := newKnocker(t, servers[i%len(servers)].Auth)
		group.Go(func() {
			for after := 0; after < 5; {
				n := next.add()
				if n == 200 {
					enough <- struct{}{}
				}
				if n >= 900 { // the pool is not to be full by then
					<-drained
				}
				late := false
				select {
				case <-drained:
					late = true
					after++
				default:
				}
				addr, err := k.login(n, "")
				switch {
				case err != nil:
					t.Error(err)
				case late && addr.IsValid():
					t.Errorf("c%d was given %s after the drain", n, addr)
				case late:
					refused.add()
				case addr.IsValid():
					had.Store(n, addr)
				}
			}
		})
	}
	<-enough
	must(t, servers[0].Radial(t, "pool", "drain", "race"))
	over()
	group.Wait()
	if refused.add() == 0 {
		t.Error("nobody logged in after the drain")
	}
	harness.Eventually(t, patience, "a refusal's row with the reason", func() bool {
		return len(db.Rows(`SELECT FROM radpostauth WHERE reason = 'pool_inactive'`)) > 0
	})
	kept := 0
	k := newKnocker(t, servers[1].Auth)
	had.Range(func(n, addr any) bool {
		again, err := k.login(n.(int), "")
		if err != nil || again != addr {
			t.Errorf("c%d had %v before the drain, and has now %v, %v", n, addr, again, err)
		}
		kept++
		return kept < 50
	})
	if kept == 0 {
		t.Error("nobody had an address before the drain")
	}
}

// counter counts from 0, for many goroutines.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n - 1
}
