package radius

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	wire "layeh.com/radius"

	"radial/aaa"
	"radial/nas"
)

// TestNothingUncounted: good packets, bad packets, retransmissions, errors,
// panics, delays and a shutdown in the middle of it all; afterwards every
// request that the server took has exactly one fate in the metrics.
func TestNothingUncounted(t *testing.T) {
	fate := func(q *aaa.Request) (aaa.Decision, error) {
		switch q.ID % 8 {
		case 0:
			return aaa.Decision{}, errors.New("database away")
		case 1:
			panic("odd")
		case 2:
			return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonBadPassword, Delay: 10 * time.Millisecond}, nil
		case 3:
			<-time.After(time.Millisecond) // a trip to a database
		}
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}
	r := start(t, plan{
		options: Options{AuthListen: []string{"127.0.0.1:0", "[::1]:0"}, AcctListen: []string{"127.0.0.1:0"}, MaxInFlight: 64, MaxDelayed: 16, DuplicateEntries: 100},
		devices: []*nas.Device{deviceOf("127.0.0.0/8"), deviceOf("::1/128")},
		auth:    func(_ context.Context, q *aaa.Request) (aaa.Decision, error) { return fate(q) },
		acct: clerk{func(_ context.Context, q *aaa.Request) error { _, err := fate(q); return err }, func(q *aaa.Request) {
			if q.ID%8 == 1 {
				panic("odd")
			}
		}},
	})
	targets := []struct {
		addr netip.AddrPort
		acct bool
	}{{r.server.AuthAddrs()[0], false}, {r.server.AuthAddrs()[1], false}, {r.acctAddr(), true}}
	var clients sync.WaitGroup
	var over atomic.Bool
	for i := range 9 {
		target := targets[i%3]
		c := r.dial(target.addr)
		random := rand.New(rand.NewPCG(uint64(i), 7))
		clients.Go(func() {
			for !over.Load() {
				id := byte(random.IntN(32))
				b := pap(id, func(m *made) { m.auth[0] = byte(random.IntN(3)) })
				if target.acct {
					b = startPacket(id, with(attr(33, string(rune('a'+random.IntN(3))))))
				}
				switch random.IntN(6) {
				case 0:
					b = malformed[random.IntN(len(malformed))].packet
				case 1:
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
				case 2:
					b = made{code: wire.CodeStatusServer, id: id, ma: true}.bytes()
				}
				if _, err := c.conn.Write(b); errors.Is(err, syscall.ECONNREFUSED) {
					return // the server has closed its sockets
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	eventually(t, "a storm", func() bool { return r.count("requests_total") > 8000 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	over.Store(true)
	clients.Wait()

	early := 0.0 // refused before they counted as requests
	for _, refusal := range []Refusal{RefusedShort, RefusedTooLong, RefusedLengthSmall, RefusedLengthBeyond, RefusedUnknownCode, RefusedWrongPort} {
		early += r.count("refused_total", refusal.String())
	}
	requests := r.count("requests_total")
	refused := r.count("refused_total") - early
	again := r.count("duplicates_total", "in_flight") + r.count("duplicates_total", "replayed")
	replies := r.count("replies_total")
	silent := r.count("silent_total", "authorize_error") + r.count("silent_total", "account_error") + r.count("silent_total", "panic") + r.count("silent_total", "encode_error") + r.count("silent_total", "waited") + r.count("silent_total", "pushed_out")
	if requests < 1000 || refused == 0 || again == 0 || replies == 0 || silent == 0 {
		t.Errorf("%v requests: %v refused, %v duplicates, %v answered, %v silent: too little happened", requests, refused, again, replies, silent)
	}
	if requests != refused+again+replies+silent {
		t.Errorf("%v requests, but %v refused + %v duplicates + %v answered + %v silent = %v", requests, refused, again, replies, silent, refused+again+replies+silent)
	}
	if r.count("in_flight_requests") != 0 || r.count("delayed_rejects") != 0 || r.server.inFlight[authPort].Load()+r.server.inFlight[acctPort].Load() != 0 {
		t.Error("requests left in flight or delayed")
	}
	if p := r.count("panics_total"); p != r.count("silent_total", "panic") {
		t.Errorf("%v panics: some are the server's own", p)
	}
	for i := range r.server.duplicates.shards {
		s := &r.server.duplicates.shards[i]
		if len(s.index) != s.kept {
			t.Errorf("%d requests left in flight in the table of duplicates", len(s.index)-s.kept)
		}
	}
}
