package radius

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// hall is a server without sockets, in a bubble of its own time: requests are
// put in by hand, and replies taken out.
type hall struct {
	t      *testing.T
	server *Server
	socket [portCount]*socket
	asked  map[requestKey]*asking
	reg    *prometheus.Registry
}

// asking is a device that waits for an answer.
type asking struct {
	first    time.Time
	answered time.Time
}

func newHall(t *testing.T, o Options, auth authorizer, acct accountant) *hall {
	t.Helper()
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	table, _ := nas.NewTable([]*nas.Device{deviceOf("10.0.0.0/8")})
	h := &hall{t: t, asked: map[requestKey]*asking{}, reg: prometheus.NewRegistry()}
	if h.server, err = NewServer(o, dict, table, auth, acct, NewMetrics(h.reg), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	h.server.deadlines = &deadlines{base: t.Context(), timeout: h.server.opts.RequestTimeout}
	for p := range portCount {
		h.socket[p] = &socket{listener: &listener{port: p, index: uint16(p)}, outbox: newOutbox(1 << 20), work: h.server.workOf(p)}
	}
	return h
}

// source is a socket of a device, of its own for each 256 requests.
func source(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 24), byte(n >> 16)}), uint16(n>>8)+1024)
}

// ask puts the nth request in, for the first time or again.
func (h *hall) ask(p port, n int) {
	x := h.server.exchange()
	x.socket, x.source, x.received = h.socket[p], source(n), time.Now()
	b := pap(byte(n))
	if p == acctPort {
		b = startPacket(byte(n))
	}
	x.size = copy(x.datagram[:], b)
	do := h.server.admit(x)
	if do == toAnswer {
		do = h.server.promptly(x, &x.room)
	}
	if key := keyOf(x.source, x.socket.listener.index, &x.packet); h.asked[key] == nil {
		h.asked[key] = &asking{first: x.received}
	}
	switch do {
	case toAnswer:
		x.socket.work.add([]*exchange{x})
	case toSend:
		h.server.send(x.socket, x)
	default:
		h.server.free(x)
	}
}

// collect notes who has been answered.
func (h *hall) collect() {
	for _, k := range h.socket {
		k.outbox.mu.Lock()
		replies := k.outbox.queue
		k.outbox.queue = nil
		k.outbox.mu.Unlock()
		for _, x := range replies {
			if a := h.asked[keyOf(x.source, k.listener.index, &x.packet)]; a != nil && a.answered.IsZero() {
				a.answered = time.Now()
			}
			h.server.free(x)
		}
	}
}

func (h *hall) close() {
	for _, k := range h.socket {
		k.work.close()
	}
}

// one is an engine that does one thing at a time, each for as long; who comes
// first is served first.
func one(takes time.Duration) func(ctx context.Context) error {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return func(ctx context.Context) error {
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
		time.Sleep(takes)
		turn <- struct{}{}
		return nil
	}
}

// TestGoodput: five times as many logins come as can be answered, each asked
// three times in 900 ms and then given up. What is answered in time must be four
// fifths of what can be answered: a server that works off what nobody waits for
// any more answers nobody, for ever. Accounting, which comes as fast as it can
// be stored, is all answered beside it.
func TestGoodput(t *testing.T) {
	const (
		takes   = time.Millisecond
		perStep = 50 // in 10 ms: 5000 a second
		steps   = 600
		try     = 30 // steps between the tries
		tries   = 3
	)
	synctest.Test(t, func(t *testing.T) {
		login, store := one(takes), one(2*takes)
		h := newHall(t, Options{}, func(ctx context.Context, _ *aaa.Request) (aaa.Decision, error) {
			return aaa.Decision{Verdict: aaa.Accept}, login(ctx)
		}, func(ctx context.Context, _ *aaa.Request) error { return store(ctx) })
		for step := range steps {
			for again := range tries {
				for i := range perStep {
					if begun := step - again*try; begun >= 0 {
						h.ask(authPort, begun*perStep+i)
					}
				}
			}
			for i := range 4 {
				h.ask(acctPort, step*4+i)
			}
			time.Sleep(10 * time.Millisecond)
			h.collect()
		}
		time.Sleep(time.Second)
		h.collect()
		inTime, accounted := 0, 0
		for key, a := range h.asked {
			switch {
			case a.answered.IsZero() || a.answered.Sub(a.first) > tries*try*10*time.Millisecond:
			case key.code == 1:
				inTime++
			default:
				accounted++
			}
		}
		can := int(steps * 10 * time.Millisecond / takes)
		if inTime < can*8/10 {
			t.Errorf("%d of %d logins were answered in time, and %d can be", inTime, steps*perStep, can)
		}
		if accounted != 4*steps {
			t.Errorf("%d of %d accounting requests were answered in time", accounted, 4*steps)
		}
		t.Logf("%d logins in time, %d can be; %d accounting requests", inTime, can, accounted)
		h.close()
	})
}

// TestFlood: a device asks five times as fast as anything can be answered, and
// keeps all places in flight; of what another device asks all is answered.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		login := one(time.Millisecond)
		h := newHall(t, Options{MaxInFlight: 1000}, func(ctx context.Context, _ *aaa.Request) (aaa.Decision, error) {
			return aaa.Decision{Verdict: aaa.Accept}, login(ctx)
		}, stored)
		h.socket[authPort].work.(*crew).turns.hands = func() int { return 100 }
		const other = 1 << 16
		n := 0
		for step := range 500 {
			for i := range 50 {
				h.ask(authPort, n)
				n++
				if i == 30 && step%5 == 0 {
					h.ask(authPort, other+step/5)
				}
			}
			time.Sleep(10 * time.Millisecond)
			h.collect()
		}
		time.Sleep(time.Second)
		h.collect()
		answered := 0
		for key, a := range h.asked {
			if key.source == source(other).Addr().As16() && !a.answered.IsZero() && a.answered.Sub(a.first) < 900*time.Millisecond {
				answered++
			}
		}
		if answered < 95 {
			t.Errorf("%d of 100 logins of another device were answered in time", answered)
		}
		r := &rig{t: t, registry: h.reg}
		if r.count("silent_total", "pushed_out") == 0 || r.count("in_flight_requests", "auth") != 0 {
			t.Errorf("%v pushed out, %v in flight at the end", r.count("silent_total", "pushed_out"), r.count("in_flight_requests", "auth"))
		}
		h.close()
	})
}

// TestMaxWait: what has waited for longer than max_wait is dropped and counted,
// unless its device has asked again; so is what the device has replaced, and what
// it has asked twice and not a third time.
func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began []byte
		release := make(chan struct{})
		h := newHall(t, Options{MaxWait: 350 * time.Millisecond}, func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
			began = append(began, q.ID)
			<-release
			return aaa.Decision{Verdict: aaa.Accept}, nil
		}, stored)
		h.socket[authPort].work.(*crew).turns.hands = func() int { return 1 }
		for id := range 4 {
			h.ask(authPort, id)
		}
		synctest.Wait()
		time.Sleep(50 * time.Millisecond)
		h.ask(authPort, 4)
		time.Sleep(10 * time.Millisecond)
		h.ask(authPort, 4) // and not after another 10 ms
		time.Sleep(240 * time.Millisecond)
		h.ask(authPort, 2) // still waits
		x := h.server.exchange()
		x.socket, x.source, x.received = h.socket[authPort], source(3), time.Now()
		x.size = copy(x.datagram[:], pap(3, func(m *made) { m.auth[0] = 99 }))
		if h.server.admit(x) != toAnswer {
			t.Fatal("another request of the same identifier is not taken")
		}
		h.server.leave(authPort) // of the new one nothing is wanted here
		time.Sleep(100 * time.Millisecond)
		close(release)
		h.close()
		if len(began) != 2 || began[0] != 0 || began[1] != 2 {
			t.Errorf("begun %v, want the first and the one that has asked again", began)
		}
		r := &rig{t: t, registry: h.reg}
		if n := r.count("silent_total", "waited"); n != 3 {
			t.Errorf("%v are counted, want 3", n)
		}
		if n := r.count("in_flight_requests", "auth"); n != 0 {
			t.Errorf("%v in flight at the end", n)
		}
	})
}

// TestLoginsWaitForAccounting: the slower accounting is answered, the fewer
// logins are begun at a time.
func TestLoginsWaitForAccounting(t *testing.T) {
	s := &Server{}
	for _, c := range []struct {
		lag  time.Duration
		want int
	}{{0, maxHands}, {easyLag, maxHands}, {easyLag + lagStep, maxHands / 2}, {easyLag + 3*lagStep, maxHands / 8}, {time.Hour, leastHands}} {
		s.lags[acctPort].ns.Store(int64(c.lag))
		if got := s.loginHands(); got != c.want {
			t.Errorf("accounting takes %s: %d logins at a time, want %d", c.lag, got, c.want)
		}
	}
	s.lags[acctPort].ns.Store(0)
	s.inFlight[acctPort].Store(2*maxHands + 1) // nothing has been answered yet
	if got := s.loginHands(); got != maxHands/4 {
		t.Errorf("%d logins at a time while much accounting is in flight, want %d", got, maxHands/4)
	}
	s.inFlight[acctPort].Store(0)
	for range 100 {
		s.lags[acctPort].note(time.Second)
	}
	if got := time.Duration(s.lags[acctPort].ns.Load()); got < 900*time.Millisecond || got > time.Second {
		t.Errorf("the lag of a hundred answers after a second each is %s", got)
	}
}

// TestSourceRate: a source gets so many requests a second worked on; what it
// asks again is not counted, and what is dropped may be asked again.
func TestSourceRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, Options{SourceRate: 10}, accept, stored)
		r := &rig{t: t, registry: h.reg}
		for id := range 15 {
			h.ask(authPort, id)
			h.ask(authPort, id)
		}
		synctest.Wait()
		if n := r.count("replies_total", "Access-Accept"); n != 10 {
			t.Errorf("%v of 15 requests were answered, want 10", n)
		}
		if n := r.count("refused_total", "source_rate"); n != 10 { // five, twice each
			t.Errorf("%v dropped, want 10", n)
		}
		time.Sleep(500 * time.Millisecond)
		for id := range 15 {
			h.ask(authPort, id)
		}
		synctest.Wait()
		if n := r.count("replies_total", "Access-Accept"); n != 15 {
			t.Errorf("%v requests were answered half a second later, want 15", n)
		}
		h.close()
	})
}
