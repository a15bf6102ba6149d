package radius

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"radial/nas"
)

// promptBench is a reader at work on one datagram after the other, without a
// socket: the gate, the duplicates, the decision, the signed reply.
func promptBench(tb testing.TB) (one func() todo) {
	r := start(tb, plan{level: 1, devices: []*nas.Device{deviceOf("127.0.0.1/32", func(s *nas.Settings) { s.RequireMessageAuthenticator = nas.No })}})
	s, x := r.server, newExchange().(*exchange)
	s.prompt = acceptor{}
	x.size = copy(x.datagram[:], papPackets()[0])
	x.source, x.socket = netip.MustParseAddrPort("127.0.0.1:1645"), s.listeners[0].sockets[0]
	n := uint32(0)
	h := &hand{s: s}
	return func() todo {
		n++
		binary.BigEndian.PutUint32(x.datagram[4:], n) // another authenticator: another request
		x.received = s.now()
		if do := s.admit(x); do != toAnswer {
			return do
		}
		return s.promptly(x, &h.room)
	}
}

// What a reader answers itself makes one piece of garbage, the password in
// clear; the engine adds the user's name (aaa: TestAuthorizeAllocations).
func TestPromptAllocations(t *testing.T) {
	one := promptBench(t)
	bad := 0
	if n := testing.AllocsPerRun(1000, func() {
		if one() != toSend {
			bad++
		}
	}); n > 1 || bad > 0 {
		t.Errorf("%v allocations for a login, at most 1 is allowed; %d were not answered", n, bad)
	}
}

// BenchmarkPrompt is a login without sockets and without an engine.
func BenchmarkPrompt(b *testing.B) {
	one := promptBench(b)
	b.ReportAllocs()
	for b.Loop() {
		if do := one(); do != toSend {
			b.Fatal(do)
		}
	}
}
