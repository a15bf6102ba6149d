package test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// device is one of the two routers that share the account of c<n>.
func (k *knocker) device(n, which int) (accepted bool, addr netip.Addr, err error) {
	k.id++
	reply, err := k.ask(pap(raceSecret, k.id, fmt.Sprint("c", n), "p", deviceAttrs(n, which)))
	if err != nil {
		return false, netip.Addr{}, fmt.Errorf("login of c%d: %w", n, err)
	}
	if framed := values(reply, framedIP); len(framed) == 1 {
		addr, _ = netip.AddrFromSlice([]byte(framed[0]))
	}
	return reply[0] == accessAccept, addr, nil
}

// deviceAttrs are what tells a device: its MAC, its port, its session.
func deviceAttrs(n, which int) []byte {
	return slices.Concat(av(callingStation, callerMAC(n+which*0x4000)), av(nasPort, string([]byte{0, byte(which), byte(n >> 8), byte(n)})),
		av(acctSessionID, fmt.Sprint("s", n, "-", which)))
}

func (k *knocker) deviceAccounts(status byte, n, which int) error {
	k.id++
	attrs := slices.Concat(av(acctStatus, string([]byte{0, 0, 0, status})), av(userName, fmt.Sprint("c", n)), deviceAttrs(n, which))
	_, err := k.ask(request{code: accountingRequest, id: k.id, secret: raceSecret, attrs: attrs}.bytes())
	return err
}

// pair is a client of each of two servers.
type pair struct{ auth, acct [2]*knocker }

// both log in at once, each at its server: how many are in, who was, and with
// what address.
func (p *pair) both(n int) (in, winner int, addr netip.Addr, err error) {
	var accepted [2]bool
	var addrs [2]netip.Addr
	var errs [2]error
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() { accepted[i], addrs[i], errs[i] = p.auth[i].device(n, i) })
	}
	group.Wait()
	for i := range 2 {
		if errs[i] != nil {
			return 0, 0, addr, errs[i]
		}
		if accepted[i] {
			in, winner, addr = in+1, i, addrs[i]
		}
	}
	return in, winner, addr, nil
}

// after follows a round to its end: the Start at the other server takes the
// login's place, the loser stays out until the Stop, and is in then.
func (p *pair) after(n, winner int) error {
	loser := 1 - winner
	if err := p.acct[loser].deviceAccounts(1, n, winner); err != nil {
		return err
	}
	if in, _, err := p.auth[loser].device(n, loser); in || err != nil {
		return fmt.Errorf("c%d: the loser beside the winner's session: in %v, %w", n, in, err)
	}
	if err := p.acct[winner].deviceAccounts(2, n, winner); err != nil {
		return err
	}
	if in, _, err := p.auth[loser].device(n, loser); !in || err != nil {
		return fmt.Errorf("c%d: the loser after the winner's Stop: in %v, %w", n, in, err)
	}
	return nil
}

// Two devices log in with one account at the same moment, each at its server, a
// thousand times, half of them with an address of a pool: one is let in, and one
// is not.
func TestRaceForASession(t *testing.T) {
	const rounds, workers, followed = 1000, 8, 100
	db, servers := raceServers(t)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'c' || i, 'Simultaneous-Use', ':=', '1' FROM generate_series(0, 1999) i`)
	db.Exec(`DELETE FROM radcheck WHERE attribute = 'Pool-Name' AND right(username, 1) IN ('1', '3', '5', '7', '9')`)
	before := db.Rows(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)[0][0]
	numbers := make(chan int)
	var mu sync.Mutex
	addresses := map[netip.Addr]bool{}
	won := [2]int{}
	var group sync.WaitGroup
	for range workers {
		var p pair
		for i := range servers {
			p.auth[i], p.acct[i] = newKnocker(t, servers[i].Auth), newKnocker(t, servers[i].Acct)
		}
		group.Go(func() {
			for n := range numbers {
				in, winner, addr, err := p.both(n)
				if err != nil || in != 1 || addr.IsValid() != (n%2 == 0) {
					t.Errorf("c%d: %d let in, address %v, %v; want one", n, in, addr, err)
					continue
				}
				mu.Lock()
				won[winner]++
				if addr.IsValid() {
					addresses[addr] = true
				}
				mu.Unlock()
				if n < followed {
					if err := p.after(n, winner); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for n := range rounds {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	t.Logf("won at each server: %v", won)
	if len(addresses) < rounds/2-followed {
		t.Errorf("%d addresses were given", len(addresses))
	}
	if n := db.Rows(`SELECT count(*) FROM radial.addresses WHERE state = 'offered'`)[0][0]; n != strconv.Itoa(rounds/2) {
		t.Errorf("%s addresses are offered, want %d: those who are in", n, rounds/2)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.admissions`)[0][0]; n != strconv.Itoa(rounds) {
		t.Errorf("%s logins wait for their Start, want %d", n, rounds)
	}
	if n := db.Rows(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)[0][0]; n != before {
		t.Errorf("deadlocks: %s, and %s before", n, before)
	}
}
