package radius

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	wire "layeh.com/radius"

	"radial/aaa"
)

// halfPrompt decides at once about users whose name begins so, and counts whom
// it was asked for.
type halfPrompt struct {
	now         func(user string) (aaa.Decision, bool)
	asked, slow atomic.Int32
}

func (p *halfPrompt) AuthorizeNow(r *aaa.Request) (aaa.Decision, bool) {
	p.asked.Add(1)
	for _, pair := range r.Pairs {
		if pair.Attr.Name == "User-Name" {
			return p.now(string(pair.Value))
		}
	}
	return aaa.Decision{}, false
}

func (p *halfPrompt) Authorize(ctx context.Context, r *aaa.Request) (aaa.Decision, error) {
	p.slow.Add(1)
	return accept(ctx, r)
}

func TestPrompt(t *testing.T) {
	var panicked atomic.Bool
	for _, c := range []struct {
		name string
		now  func(string) (aaa.Decision, bool)
		slow int32
		want wire.Code // 0: silence
		held bool
	}{
		{"accepts", func(string) (aaa.Decision, bool) { return aaa.Decision{Verdict: aaa.Accept}, true }, 0, wire.CodeAccessAccept, false},
		{"rejects", func(string) (aaa.Decision, bool) { return aaa.Decision{Reason: aaa.ReasonBadPassword}, true }, 0, wire.CodeAccessReject, false},
		{"holds a reject back", func(string) (aaa.Decision, bool) {
			return aaa.Decision{Reason: aaa.ReasonBadPassword, Delay: 50 * time.Millisecond}, true
		}, 0, wire.CodeAccessReject, true},
		{"leaves it to a worker", func(string) (aaa.Decision, bool) { return aaa.Decision{}, false }, 1, wire.CodeAccessAccept, false},
		{"panics once", func(string) (aaa.Decision, bool) {
			if !panicked.Swap(true) {
				panic("on purpose")
			}
			return aaa.Decision{Verdict: aaa.Accept}, true
		}, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &halfPrompt{now: c.now}
			r := start(t, plan{setup: func(s *Server) { s.auth, s.prompt = p, p }})
			k := r.dial(r.authAddr())
			began := time.Now()
			packet := pap(7, signedToo)
			k.send(packet)
			if c.want == 0 {
				if b := k.receive(100 * time.Millisecond); b != nil {
					t.Errorf("got %x", b)
				}
				if r.count("silent_total", "panic") != 1 || r.count("panics_total") != 1 {
					t.Error("the panic was not counted")
				}
				c.want, packet, began = wire.CodeAccessAccept, pap(8, signedToo), time.Now()
				k.send(packet) // the reader lives on
			}
			reply := k.receive(2 * time.Second)
			if got := wire.Code(reply[0]); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			checkReply(t, reply, packet, secret)
			if c.held != (time.Since(began) >= 50*time.Millisecond) {
				t.Errorf("answered after %v", time.Since(began))
			}
			k.send(packet) // again: the same bytes, and nobody is asked
			if again := k.receive(2 * time.Second); string(again) != string(reply) {
				t.Errorf("a retransmission got %x, not %x", again, reply)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if p.slow.Load() != c.slow || r.count("in_flight_requests") != 0 || r.server.inFlight[authPort].Load() != 0 {
				t.Errorf("Authorize was asked %d times, want %d; in flight %v", p.slow.Load(), c.slow, r.count("in_flight_requests"))
			}
		})
	}
}

// A burst: one batch, of which some are answered at once and some by workers,
// and for some the kernel has no room at once.
func TestPromptBurst(t *testing.T) {
	p := &halfPrompt{}
	var n atomic.Int32
	p.now = func(string) (aaa.Decision, bool) { return aaa.Decision{Verdict: aaa.Accept}, n.Add(1)%3 != 0 }
	r := start(t, plan{setup: func(s *Server) {
		s.auth, s.prompt = p, p
		for _, k := range s.listeners[0].sockets {
			var calls int
			call := k.prompt.tryCall
			k.prompt.tryCall = func(fd uintptr) {
				if calls++; calls%2 == 0 {
					k.prompt.err = unix.EAGAIN
					return
				}
				call(fd)
			}
		}
	}})
	k := r.dial(r.authAddr())
	const total = 200
	packets := make(map[byte][]byte, total)
	for id := range total {
		packets[byte(id)] = pap(byte(id), signedToo)
		k.send(packets[byte(id)])
	}
	for range total {
		reply := k.receive(2 * time.Second)
		if packets[reply[1]] == nil {
			t.Fatalf("two replies to %d", reply[1])
		}
		checkReply(t, reply, packets[reply[1]], secret)
		delete(packets, reply[1])
	}
	if p.slow.Load() == 0 || p.slow.Load() == total {
		t.Errorf("%d of %d were left to workers", p.slow.Load(), total)
	}
}
