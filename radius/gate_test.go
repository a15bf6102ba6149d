package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	wire "layeh.com/radius"
	"pgregory.net/rapid"

	"radial/dictionaries"
	"radial/nas"
)

// TestSigner compares with crypto/hmac and with layeh's code, for secrets
// short and long.
func TestSigner(t *testing.T) {
	s := newSigner()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "secret")
		body := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "value")
		accounting := rapid.Bool().Draw(t, "accounting")
		m := made{code: wire.CodeAccessRequest, id: rapid.Byte().Draw(t, "id"), auth: [16]byte{1, 2, 3}, attrs: attr(25, string(body)), ma: true, secret: string(secret)}
		if accounting {
			m.code, m.auth = wire.CodeAccountingRequest, [16]byte{}
		}
		request := m.bytes()
		p, r := parseHeader(request)
		if r == Admitted {
			r = p.walk(200)
		}
		if r != Admitted || !s.messageAuthHolds(&p, secret) {
			t.Fatalf("%x: refused %q, or Message-Authenticator does not hold", request, r)
		}
		if accounting && !s.accountingHolds(&p, secret) {
			t.Fatalf("%x: authenticator does not hold", request)
		}
		code := rapid.SampledFrom([]wire.Code{wire.CodeAccessAccept, wire.CodeAccessReject, wire.CodeAccessChallenge, wire.CodeAccountingResponse}).Draw(t, "code")
		reply := append(beginReply(nil, code, &p), attr(18, string(body))...)
		s.sign(reply, secret)
		if !wire.IsAuthenticResponse(reply, request, secret) {
			t.Fatalf("%x: response authenticator does not hold", reply)
		}
		if code != wire.CodeAccountingResponse {
			b := bytes.Clone(reply)
			copy(b[4:20], request[4:20])
			clear(b[22:38])
			h := hmac.New(md5.New, secret)
			h.Write(b)
			if !hmac.Equal(h.Sum(nil), reply[22:38]) {
				t.Fatalf("%x: Message-Authenticator does not hold", reply)
			}
		}
		at := rapid.IntRange(0, len(request)-1).Draw(t, "broken byte")
		request[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if p, r := parseHeader(request); r == Admitted && p.walk(200) == Admitted && p.hasMessageAuth() && p.code() == m.code {
			covered := !accounting || at < 4 || at >= 20 // it leaves out an authenticator that comes after it
			if covered && s.messageAuthHolds(&p, secret) {
				t.Fatalf("%x holds with byte %d broken", request, at)
			}
			if accounting && s.accountingHolds(&p, secret) {
				t.Fatalf("%x: authenticator holds with byte %d broken", request, at)
			}
		}
	})
}

// FuzzGate puts datagrams through the whole gate of both ports and compares
// with layeh's parser: what we let in it can parse, and what we refuse for its
// framing it refuses too. No bytes may panic, be answered without a right
// signature, or get a refusal without a name.
func FuzzGate(f *testing.F) {
	for _, tc := range malformed {
		f.Add(tc.packet, tc.acct)
	}
	f.Add(pap(1, signedToo), false)
	f.Add(startPacket(1, signedToo, with(attr(33, "p"))), true)
	f.Add(made{code: wire.CodeStatusServer, ma: true}.bytes(), true)
	f.Add(append(startPacket(2), "padding"...), true)

	dict, err := dictionaries.Load()
	if err != nil {
		f.Fatal(err)
	}
	table, _ := nas.NewTable([]*nas.Device{deviceOf("192.0.2.0/24")})
	s, err := NewServer(Options{}, dict, table, authorizer(accept), accountant(stored), NewMetrics(prometheus.NewRegistry()), zap.NewNop())
	if err != nil {
		f.Fatal(err)
	}
	sockets := [portCount]*socket{{listener: &listener{port: authPort}}, {listener: &listener{port: acctPort, index: 1}}}
	f.Fuzz(func(t *testing.T, datagram []byte, acct bool) {
		x := newExchange().(*exchange)
		x.size = copy(x.datagram[:], datagram)
		x.source = netip.MustParseAddrPort("192.0.2.7:1645")
		x.received = s.now()
		x.socket = sockets[authPort]
		if acct {
			x.socket = sockets[acctPort]
		}
		refusal := s.judge(x)
		parsed, err := wire.Parse(x.datagram[:x.size], []byte(secret))
		switch refusal {
		case RefusedShort, RefusedLengthSmall, RefusedLengthBeyond, RefusedAttrLength, RefusedAttrBeyond:
			if err == nil {
				t.Fatalf("refused as %s, layeh parses it", refusal)
			}
		case Admitted:
			if err != nil {
				t.Fatalf("admitted, layeh says %v", err)
			}
			compareAttributes(t, parsed, &x.packet)
			if !wire.IsAuthenticRequest(x.packet.data, []byte(secret)) {
				t.Fatal("admitted, layeh says it is not authentic")
			}
			if _, err := dict.Decode(nil, x.packet.attributes(), dictionaries.Keys{Secret: []byte(secret), Authenticator: new([16]byte)}); err != nil {
				t.Fatalf("admitted, not decoded: %v", err)
			}
		default:
			if refusal.String() == "" || refusal >= refusalCount {
				t.Fatalf("refusal %d has no name", refusal)
			}
		}
		switch s.admit(x) {
		case toSend:
			checkReply(t, x.reply, x.packet.data, secret)
		case toAnswer:
			x.ticket.forget()
			s.leave(x.socket.listener.port)
		case toLose:
			t.Fatal("panic")
		}
	})
}

// compareAttributes: both see the same attributes in the same order.
func compareAttributes(t *testing.T, want *wire.Packet, p *packet) {
	t.Helper()
	rest := p.attributes()
	for _, w := range want.Attributes {
		if len(rest) == 0 {
			t.Fatal("layeh sees more attributes")
		}
		var a []byte
		a, rest = attribute(rest)
		if wire.Type(a[0]) != w.Type || !bytes.Equal(a[2:], w.Attribute) {
			t.Fatalf("attribute %x, layeh sees %d %x", a, w.Type, []byte(w.Attribute))
		}
	}
	if len(rest) > 0 {
		t.Fatalf("layeh sees fewer attributes: %x", rest)
	}
}
