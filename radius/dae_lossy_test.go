package radius

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// lossy is a line to a device that loses, doubles and delays datagrams, both ways.
type lossy struct {
	front  *net.UDPConn // where the requests come to
	back   *net.UDPConn // where they go on from
	device netip.AddrPort

	mu    sync.Mutex
	asker netip.AddrPort
	under sync.WaitGroup
}

// pass moves datagrams from one side to the other until it is closed.
func (l *lossy) pass(from *net.UDPConn, forth bool, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, 4096)
	for {
		n, addr, err := from.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		if forth {
			l.asker = addr
		}
		asker := l.asker
		l.mu.Unlock()
		copies := []int{0, 1, 1, 1, 1, 2}[chance.IntN(6)]
		for range copies {
			wait, b := time.Duration(chance.IntN(20))*time.Millisecond, append([]byte(nil), buf[:n]...)
			l.under.Go(func() {
				time.Sleep(wait) // the line
				if forth {
					l.back.WriteToUDPAddrPort(b, l.device)
				} else {
					l.front.WriteToUDPAddrPort(b, asker)
				}
			})
		}
	}
}

// Over a line that loses and doubles, each answer finds its request, the router
// does nothing twice, and what was acknowledged is what it does.
func TestDAELossyLine(t *testing.T) {
	const subscribers = 150
	r := newDAERig(t, DAEOptions{Timeout: 40 * time.Millisecond, Tries: 7, PerDevice: 48})
	l := &lossy{front: listenUDP(t), back: listenUDP(t), device: r.at}
	var relay sync.WaitGroup
	relay.Go(func() { l.pass(l.front, true, 1) })
	relay.Go(func() { l.pass(l.back, false, 2) })
	t.Cleanup(func() {
		l.front.Close()
		l.back.Close()
		relay.Wait()
		l.under.Wait()
	})
	var asks sync.WaitGroup
	var mu sync.Mutex
	silent := 0
	for n := range subscribers {
		s := r.local(t, fmt.Sprintf("user%d", n))
		rate := fmt.Sprintf("%dk/%dk", n+1, 2*n+2)
		change := r.ask(t, CoARequest, "User-Name="+s.Subscriber.Name, "Acct-Session-Id="+s.ID, "Mikrotik-Rate-Limit="+rate)
		change.To = addrPortOf(l.front.LocalAddr())
		asks.Go(func() {
			reply, err := r.Do(t.Context(), change)
			switch {
			case errors.Is(err, ErrNoAnswer):
				mu.Lock()
				silent++
				mu.Unlock()
			case err != nil || !reply.ACK:
				t.Errorf("%s: %+v, %v", s.Subscriber.Name, reply, err)
			case s.Rate() != rate:
				t.Errorf("%s has rate %q, though %q was acknowledged", s.Subscriber.Name, s.Rate(), rate)
			}
		})
	}
	asks.Wait()
	if silent > subscribers/10 {
		t.Errorf("%d of %d were not answered in seven tries", silent, subscribers)
	}
	if did := len(r.router.Asked()); did > subscribers || did < subscribers-silent {
		t.Errorf("the router did %d changes of %d", did, subscribers)
	}
	for _, s := range r.sockets {
		if len(s.waiting) != 0 {
			t.Errorf("%d requests are left behind", len(s.waiting))
		}
	}
}
