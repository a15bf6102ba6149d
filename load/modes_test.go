package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2759"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc4818"
	"layeh.com/radius/vendors/microsoft"
	"pgregory.net/rapid"
)

// testOptions are a short run's against one port.
func testOptions(mode Mode, addr netip.AddrPort) Options {
	o := DefaultOptions()
	o.Mode, o.Auth, o.Acct, o.Secret, o.Users, o.Window, o.Seed = mode, addr, addr, testSecret, 20, 8, 7
	return o
}

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	res, err := Run(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestMSCHAPv2 lets layeh's arithmetic judge the responses; of two users the
// server's own proof is wrong.
func TestMSCHAPv2(t *testing.T) {
	refused := 0
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		user := rfc2865.UserName_Get(p)
		password := []byte("pw" + string(user[1:]))
		challenge, response := microsoft.MSCHAPChallenge_Get(p), microsoft.MSCHAP2Response_Get(p)
		if len(response) != 50 {
			t.Errorf("response of %d bytes", len(response))
			return nil
		}
		want, err := rfc2759.GenerateNTResponse(challenge, response[2:18], user, password)
		if err != nil || !bytes.Equal(want, response[26:50]) {
			refused++
			return p.Response(wire.CodeAccessReject)
		}
		if string(user) == "u000003" || string(user) == "u000004" {
			password = []byte("somebody else's")
		}
		success, err := rfc2759.GenerateAuthenticatorResponse(challenge, response[2:18], response[26:50], user, password)
		if err != nil {
			t.Error(err)
		}
		reply := p.Response(wire.CodeAccessAccept)
		if err := microsoft.MSCHAP2Success_Set(reply, append([]byte{response[0]}, success...)); err != nil {
			t.Error(err)
		}
		return reply
	})
	o := testOptions(MSCHAPv2, addr)
	o.Count = 20
	res := mustRun(t, o)
	stop()
	if refused != 0 || res.Accepted != 20 || res.BadProof != 2 || !res.Failed() {
		t.Errorf("refused %d, result %+v", refused, res.Counts)
	}
}

func TestWrongPasswords(t *testing.T) {
	for _, mode := range Methods {
		wrong := 0
		addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
			user := rfc2865.UserName_Get(p)
			password := []byte("pw" + string(user[1:]))
			right := false
			switch mode {
			case PAP:
				right = bytes.Equal(rfc2865.UserPassword_Get(p), password)
			case CHAP:
				got := rfc2865.CHAPPassword_Get(p)
				right = len(got) == 17 && bytes.Equal(got[1:], chapDigest(got[0], password, p.Authenticator[:]))
			case MSCHAPv2:
				response := microsoft.MSCHAP2Response_Get(p)
				want, err := rfc2759.GenerateNTResponse(microsoft.MSCHAPChallenge_Get(p), response[2:18], user, password)
				right = err == nil && bytes.Equal(want, response[26:50])
			}
			if !right {
				wrong++
				return p.Response(wire.CodeAccessReject)
			}
			return p.Response(wire.CodeAccessAccept)
		})
		o := testOptions(mode, addr)
		o.Count, o.WrongPasswords = 400, .25
		res := mustRun(t, o)
		stop()
		if wrong < 60 || wrong > 140 || res.Rejected != uint64(wrong) || res.WrongPasswords != uint64(wrong) || res.WrongAccepted != 0 {
			t.Errorf("%s: server refused %d; %+v", mode, wrong, res.Counts)
		}
	}
	// a server that takes everything is found out
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet { return p.Response(wire.CodeAccessAccept) })
	o := testOptions(PAP, addr)
	o.Count, o.WrongPasswords = 20, 1
	res := mustRun(t, o)
	stop()
	if res.WrongAccepted != 20 || !res.Failed() {
		t.Errorf("%+v", res.Counts)
	}
}

// TestOpenLoopCountsTheStall: a server that stands still for 300 ms of a second
// shows it in the latencies, although it answers all the rest at once.
func TestOpenLoopCountsTheStall(t *testing.T) {
	var first time.Time
	n := 0
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		if n++; n == 1 {
			first = time.Now()
		}
		if since := time.Since(first); since > 300*time.Millisecond && since < 600*time.Millisecond {
			<-time.After(600*time.Millisecond - since)
		}
		return p.Response(wire.CodeAccountingResponse)
	})
	o := testOptions(Acct, addr)
	o.Rate, o.Duration, o.Timeout, o.Tries, o.Users = 400, time.Second, 5*time.Second, 1, 1000
	res := mustRun(t, o)
	stop()
	if res.Answered < 300 || res.Answered > 500 || res.GivenUp+res.Unsent+res.BadAuthenticator > 0 {
		t.Errorf("at 400 a second: %+v", res.Counts)
	}
	if res.P90 < 100*time.Millisecond || res.P50 > 100*time.Millisecond || res.Max < 250*time.Millisecond {
		t.Errorf("latencies %+v do not show a stall of 0.3 s in 1 s", res.Latency)
	}
	kinds := map[string]uint64{}
	for _, k := range res.Kinds {
		kinds[k.Kind] = k.Answered
	}
	if kinds["login"] != 0 || kinds["start"] < 50 || kinds["stop"] < 5 || kinds["interim"] < 2*kinds["stop"] {
		t.Errorf("kinds %v: want start, interims and stop of sessions mixed", kinds)
	}
}

// TestOpenLoopOfADeadServer: more is due than identifiers are; what was never
// sent is told.
func TestOpenLoopOfADeadServer(t *testing.T) {
	addr, stop := serve(t, func(*wire.Packet) *wire.Packet { return nil })
	o := testOptions(PAP, addr)
	o.Rate, o.Duration, o.Timeout, o.Tries, o.Sockets = 4000, 200*time.Millisecond, 400*time.Millisecond, 1, 1
	res := mustRun(t, o)
	stop()
	if res.Sent != res.GivenUp || res.Unsent == 0 || res.Sent+res.Unsent < 600 || res.Sent < slotsPerLane || !res.Failed() {
		t.Errorf("%+v", res.Counts)
	}
}

func TestAccountingSentAnew(t *testing.T) {
	type seen struct {
		id    byte
		delay rfc2866.AcctDelayTime
	}
	sends := map[string][]seen{}
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		id := rfc2866.AcctSessionID_GetString(p)
		sends[id] = append(sends[id], seen{p.Identifier, rfc2866.AcctDelayTime_Get(p)})
		if len(sends[id]) < 4 {
			return nil
		}
		return p.Response(wire.CodeAccountingResponse)
	})
	o := testOptions(Acct, addr)
	o.Count, o.Window, o.Timeout, o.Tries, o.RenewAcct, o.Duration = 5, 5, 400*time.Millisecond, 4, true, time.Second
	res := mustRun(t, o)
	stop()
	if len(sends) != 5 || res.Retransmitted < 15 {
		t.Fatalf("%d sessions, %+v", len(sends), res.Counts)
	}
	for id, all := range sends {
		if ids := all[:4]; ids[0].id == ids[1].id || ids[1].id == ids[2].id || ids[0].delay != 0 || ids[3].delay != 1 {
			t.Errorf("session %s was sent as %v", id, all)
		}
	}
}

// TestStorm: a server that loses three of five requests gets all users in, who
// dial again; those whose password is wrong are refused, not lost.
func TestStorm(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	starts := map[string]bool{}
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		if random.IntN(5) < 3 {
			return nil
		}
		user := rfc2865.UserName_GetString(p)
		if p.Code == wire.CodeAccountingRequest {
			starts[user] = true
			return p.Response(wire.CodeAccountingResponse)
		}
		if rfc2865.UserPassword_GetString(p) != "pw"+user[1:] {
			return p.Response(wire.CodeAccessReject)
		}
		reply := p.Response(wire.CodeAccessAccept)
		number := user[len(user)-3:]
		ip := net.IPv4(100, 64, number[0], (number[1]-'0')*10+number[2]-'0')
		if err := rfc2865.FramedIPAddress_Set(reply, ip); err != nil {
			t.Error(err)
		}
		return reply
	})
	o := testOptions(Storm, addr)
	o.Users, o.Timeout, o.Tries, o.Redial, o.Duration = 300, 20*time.Millisecond, 2, 50*time.Millisecond, time.Minute
	res := mustRun(t, o)
	stop()
	s := res.Storm
	if s.In != 300 || s.Out != 0 || s.Refused != 0 || s.DialsMean <= 1 || s.TriesMean < s.DialsMean || s.DialsMax < 2 || res.DoubleAddress > 0 || res.Failed() {
		t.Errorf("storm %+v, %+v", s, res.Counts)
	}
	if s.AllIn < s.ToIn.P50 || s.AllIn > res.Elapsed || len(starts) < 150 {
		t.Errorf("all in after %v of %v, %d starts", s.AllIn, res.Elapsed, len(starts))
	}
}

func TestPrefixGivenTwice(t *testing.T) {
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		if p.Code == wire.CodeAccountingRequest {
			if rfc4818.DelegatedIPv6Prefix_Get(p) == nil {
				t.Error("accounting without the delegated prefix")
			}
			return p.Response(wire.CodeAccountingResponse)
		}
		reply := p.Response(wire.CodeAccessAccept)
		_, prefix, _ := net.ParseCIDR("2001:db8:1::/56")
		if err := rfc4818.DelegatedIPv6Prefix_Set(reply, prefix); err != nil {
			t.Error(err)
		}
		return reply
	})
	o := testOptions(Session, addr)
	o.Count, o.Window = 10, 2
	res := mustRun(t, o)
	stop()
	if res.DoubleAddress == 0 || res.WithoutAddress != 0 || !res.Failed() {
		t.Errorf("%+v", res.Counts)
	}
}

func TestSources(t *testing.T) {
	from := map[string]bool{}
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		from[rfc2865.NASIPAddress_Get(p).String()] = true
		return p.Response(wire.CodeAccessAccept)
	})
	o := testOptions(PAP, addr)
	o.Source, o.Sockets, o.Count = netip.MustParsePrefix("127.9.0.0/30"), 4, 40
	mustRun(t, o)
	stop()
	var got []string
	for a := range from {
		got = append(got, a)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"127.9.0.1", "127.9.0.2", "127.9.0.3"}) {
		t.Errorf("sent from %v", got)
	}
}

// TestLateAnswer: the answer to the request that had the identifier before is
// late, not forged.
func TestLateAnswer(t *testing.T) {
	l := &lane{codec: newCodec(testSecret, [32]byte{1}), window: newWindow(1), run: &run{}}
	id := l.window.take(&session{})
	q := &l.window.requests[id]
	q.packet = l.codec.finishAccess(l.codec.beginAccess(nil, id))
	old, err := wire.Parse(q.packet, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	late, err := old.Response(wire.CodeAccessAccept).Encode()
	if err != nil {
		t.Fatal(err)
	}
	l.window.last(id, 1)
	l.window.free(id)
	for range 256 {
		next := l.window.take(&session{})
		n := &l.window.requests[next]
		n.packet = l.codec.finishAccess(l.codec.beginAccess(n.packet, next))
		if next == id {
			break
		}
		l.window.last(next, 1)
		l.window.free(next)
	}
	if err := l.receive(late, 2); err != nil {
		t.Fatal(err)
	}
	late[5]++
	if err := l.receive(late, 2); err != nil {
		t.Fatal(err)
	}
	if l.counts.Stray != 1 || l.counts.BadAuthenticator != 1 {
		t.Errorf("%+v", l.counts)
	}
}

// TestWindow holds the window against a map: an identifier is never given out
// while it is in use, and requests come due in the order of their last send.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow(rapid.IntRange(1, slotsPerLane).Draw(t, "size"))
		var order []byte
		clock := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				if w.full() {
					t.Skip()
				}
				id := w.take(&session{})
				if slices.Contains(order, id) {
					t.Fatalf("id %d is in use", id)
				}
				clock++
				w.last(id, clock)
				order = append(order, id)
			},
			"free": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(order)-1).Draw(t, "i")
				w.free(order[i])
				order = slices.Delete(order, i, i+1)
			},
			"renew": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(order)-1).Draw(t, "i")
				s := w.requests[order[i]].session
				id := w.renew(order[i])
				if slices.Contains(order, id) || w.requests[id].session != s {
					t.Fatalf("id %d", id)
				}
				clock++
				w.unlink(id)
				w.last(id, clock)
				order = append(slices.Delete(order, i, i+1), id)
			},
			"": func(t *rapid.T) {
				var got []byte
				for at := w.head; at != none; at = w.requests[at].next {
					got = append(got, byte(at))
				}
				if !bytes.Equal(got, order) || w.active != len(order) {
					t.Fatalf("due %v, want %v; active %d", got, order, w.active)
				}
			},
		})
	})
}

func FuzzReply(f *testing.F) {
	c := newCodec(testSecret, [32]byte{})
	f.Add([]byte{2, 0, 0, 20})
	f.Add([]byte("\x02\x00\x00\x260123456789abcdef\x50\x12456789abcdef4567"))
	f.Add([]byte("\x02\x00\x00\x200123456789abcdef\x1a\x0c\x00\x00\x01\x37\x1a\x06S=AB"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 20 {
			return
		}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		if c.verify(b, make([]byte, 16)) {
			t.Error("a reply that nobody has signed")
		}
		c.verifyMessage(b, make([]byte, 16))
		leasesOf(b)
		proven(b, b, "u", [16]byte{})
	})
}

func chapDigest(id byte, password, challenge []byte) []byte {
	c := newCodec(testSecret, [32]byte{})
	b := append(make([]byte, 4), challenge...)
	return c.appendCHAP(b, id, string(password))[23:]
}

// TestBuildMakesNoGarbage: what is done for each packet allocates nothing.
func TestBuildMakesNoGarbage(t *testing.T) {
	for _, mode := range []Mode{PAP, CHAP, Acct} {
		o := testOptions(mode, netip.MustParseAddrPort("127.0.0.1:1"))
		n, err := makeNames(o)
		if err != nil {
			t.Fatal(err)
		}
		l := &lane{run: &run{opts: o, method: o.method(), names: n}, codec: newCodec(testSecret, [32]byte{}), window: newWindow(1)}
		s := &session{step: firstStep(mode), leases: madeUp(1)}
		packet, reply := make([]byte, 0, 512), make([]byte, 26)
		if allocs := testing.AllocsPerRun(100, func() {
			packet = l.build(packet, 1, s, 0)
			l.codec.verify(reply, packet[4:20])
		}); allocs > 0 {
			t.Errorf("%s: %v allocations for a packet", mode, allocs)
		}
	}
}
