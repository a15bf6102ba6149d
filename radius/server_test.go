package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	wire "layeh.com/radius"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// withoutMA cuts the leading Message-Authenticator out of a reply.
func withoutMA(reply []byte) []byte { return append(append([]byte(nil), reply[:20]...), reply[38:]...) }

// TestVectors: the packets that RFC 2865 §7.1 and RFC 5997 §6 print.
func TestVectors(t *testing.T) {
	t.Run("RFC 2865 7.1", func(t *testing.T) {
		seen := make(chan [2]string, 1)
		var dict *dictionaries.Dictionary
		r := start(t, plan{setup: func(s *Server) { dict = s.dict }, auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
			u, _ := q.Pairs.Value(dict.Find("User-Name"))
			p, _ := q.Pairs.Value(dict.Find("User-Password"))
			seen <- [2]string{string(u), string(p)}
			return aaa.Decision{Verdict: aaa.Accept, Reply: dictionaries.Pairs{
				{Attr: dict.Find("Service-Type"), Value: []byte{0, 0, 0, 1}},
				{Attr: dict.Find("Login-Service"), Value: []byte{0, 0, 0, 0}},
				{Attr: dict.Find("Login-IP-Host"), Value: []byte{192, 168, 1, 3}},
			}}, nil
		}})
		request := unhex(t, "01000038 0f403f9473978057bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee 0406c0a80110 050600000003")
		reply := r.dial(r.authAddr()).ask(request)
		want := unhex(t, "02000026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103")
		got := withoutMA(reply)
		if got[0] != want[0] || !bytes.Equal(got[20:], want[20:]) {
			t.Errorf("reply without Message-Authenticator %x, want the attributes of %x", got, want)
		}
		if got := <-seen; got != [2]string{"nemo", "arctangent"} {
			t.Errorf("request decoded to %q", got)
		}
		// With the RFC's attributes alone, our signature is the RFC's.
		reply = append(append([]byte(nil), want[:4]...), request[4:20]...)
		reply = append(reply, want[20:]...)
		s := newSigner()
		s.md5.Write(reply)
		s.md5.Write([]byte(secret))
		if !bytes.Equal(s.md5.Sum(nil), want[4:20]) {
			t.Errorf("authenticator differs from the RFC's")
		}
	})
	t.Run("RFC 5997 6.1", func(t *testing.T) {
		r := start(t, plan{auth: noOne(t)})
		reply := r.dial(r.authAddr()).ask(unhex(t, "0cda0026 8a54f4686fb394c52866e302185d0623 5012 5a665e2e1e8411f3e243822097c84fa3"))
		if len(reply) != 38 || reply[0] != byte(wire.CodeAccessAccept) {
			t.Errorf("reply %x: want an Access-Accept with a Message-Authenticator alone", reply)
		}
	})
	t.Run("RFC 5997 6.2", func(t *testing.T) {
		r := start(t, plan{auth: noOne(t)})
		reply := r.dial(r.acctAddr()).ask(unhex(t, "0cb30026 925f6b66dd5fed571fcb1db7ad388260 5012 e8d6eabda910875cd91fdade26367858"))
		want := unhex(t, "05b30014 0f6f92145f107e2f504e860a4860669c")
		if !bytes.Equal(reply, want) {
			t.Errorf("reply %x, want %x", reply, want)
		}
	})
}

// noOne is an Authorizer that must not be asked.
func noOne(t *testing.T) authorizer {
	return func(context.Context, *aaa.Request) (aaa.Decision, error) {
		t.Error("Authorize was called")
		return aaa.Decision{}, errors.New("not expected")
	}
}

func TestAccounting(t *testing.T) {
	var away atomic.Bool
	r := start(t, plan{acct: accountant(func(context.Context, *aaa.Request) error {
		if away.Load() {
			return errors.New("database away")
		}
		return nil
	})})
	c := r.dial(r.acctAddr())
	if reply := c.ask(startPacket(1, with(attr(33, "p1")))); reply[0] != 5 || !bytes.Equal(reply[20:], attr(33, "p1")) {
		t.Errorf("reply %x, want an Accounting-Response with its Proxy-State", reply)
	}
	if reply := c.ask(startPacket(2, signedToo)); reply[0] != 5 {
		t.Errorf("reply %x to a request with Message-Authenticator", reply)
	}
	away.Store(true)
	c.send(startPacket(3))
	eventually(t, "counted as silence", func() bool { return r.count("silent_total", "account_error") == 1 })
	away.Store(false)
	c.ask(startPacket(3)) // what failed is not remembered
	if n := r.logs.FilterMessageSnippet("left without an answer").Len(); n != 1 {
		t.Errorf("%d log lines for the silence, want 1", n)
	}
}

// What the operator wants of full pools is told, once, and no trouble.
func TestFullPools(t *testing.T) {
	var silent atomic.Bool
	r := start(t, plan{auth: func(_ context.Context, req *aaa.Request) (aaa.Decision, error) {
		if silent.Load() {
			return aaa.Decision{}, fmt.Errorf("lease: %w", aaa.ErrPoolFull)
		}
		return aaa.Decision{Verdict: aaa.Accept, Without: "no IPv4 addresses are free"}, nil
	}})
	c := r.dial(r.authAddr())
	for id := range byte(3) {
		if reply := c.ask(pap(id)); reply[0] != 2 {
			t.Errorf("reply %x, want an Access-Accept", reply)
		}
	}
	if n := r.logs.FilterMessageSnippet("accepted without an address").Len(); n != 1 {
		t.Errorf("%d log lines for three accepts without, want 1", n)
	}
	silent.Store(true)
	c.send(pap(9))
	eventually(t, "counted", func() bool { return r.count("silent_total", "pool_full") == 1 })
	if n := r.count("silent_total", "authorize_error"); n != 0 {
		t.Errorf("%v counted as errors", n)
	}
}

func TestSilenceOnTrouble(t *testing.T) {
	r := start(t, plan{auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		return aaa.Decision{}, errors.New("database away")
	}})
	c := r.dial(r.authAddr())
	for id := range byte(10) {
		c.send(pap(id))
	}
	eventually(t, "counted", func() bool { return r.count("silent_total", "authorize_error") == 10 })
	if b := c.receive(20 * time.Millisecond); b != nil {
		t.Errorf("answered %x", b)
	}
	if n := r.logs.FilterMessageSnippet("left without an answer").Len(); n != 1 {
		t.Errorf("%d log lines for ten silences, want 1", n)
	}
}

func TestRejectLineAndAttributes(t *testing.T) {
	var dict *dictionaries.Dictionary
	r := start(t, plan{level: zapcore.DebugLevel, auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonBadPassword, Detail: "Cleartext-Password", User: "nemo", Reply: dictionaries.Pairs{
			{Attr: dict.Find("Framed-IP-Address"), Value: []byte{10, 0, 0, 1}},
			{Attr: dict.Find("Reply-Message"), Value: []byte("no")},
			{Attr: dict.Find("Proxy-State"), Value: []byte("forged")},
		}}, nil
	}, setup: func(s *Server) { dict = s.dict }})
	reply := r.dial(r.authAddr()).ask(pap(1, with(attr(31, "AA-BB"), attr(33, "b"), attr(33, "a"))))
	if want := attrs(attr(18, "no"), attr(33, "b"), attr(33, "a")); reply[0] != 3 || !bytes.Equal(reply[38:], want) {
		t.Errorf("reply %x, want a reject with %x", reply, want)
	}
	lines := r.logs.FilterMessage("login refused").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines for the refused login", len(lines))
	}
	got := lines[0].ContextMap()
	for k, want := range map[string]string{"user": "nemo", "reason": "bad_password", "detail": "Cleartext-Password", "device": "127.0.0.0/8", "calling_station": "AA-BB"} {
		if got[k] != want {
			t.Errorf("line has %s %v, want %q", k, got[k], want)
		}
	}
	if r.count("rejects_total", "bad_password") != 1 {
		t.Error("reject not counted by its reason")
	}
	debug := r.logs.FilterMessage("received Access-Request").All()
	if len(debug) != 1 || !strings.Contains(strings.Join(texts(debug[0].ContextMap()["attributes"]), "\n"), "User-Password = ***") {
		t.Errorf("debug line of the request: %v", debug)
	}
}

func texts(v any) (out []string) {
	for _, e := range v.([]any) {
		out = append(out, e.(string))
	}
	return out
}

func TestProxyStates(t *testing.T) {
	r := start(t, plan{})
	var states [][]byte
	for i := range 50 {
		states = append(states, attr(33, strings.Repeat(string(rune('a'+i%26)), 1+i)))
	}
	reply := r.dial(r.authAddr()).ask(pap(7, with(states...)))
	if !bytes.Equal(reply[38:], attrs(states...)) {
		t.Error("50 Proxy-State came back changed")
	}
}

func TestReplyTooLong(t *testing.T) {
	var dict *dictionaries.Dictionary
	r := start(t, plan{auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		var reply dictionaries.Pairs
		for range 17 {
			reply = append(reply, dictionaries.Pair{Attr: dict.Find("Reply-Message"), Value: bytes.Repeat([]byte("x"), 253)})
		}
		return aaa.Decision{Verdict: aaa.Accept, User: "nemo", Reply: reply}, nil
	}, setup: func(s *Server) { dict = s.dict }})
	reply := r.dial(r.authAddr()).ask(pap(1, with(attr(33, "p"))))
	if reply[0] != 3 || !bytes.Equal(reply[38:], attr(33, "p")) {
		t.Errorf("reply %x, want a bare reject", reply)
	}
	if r.count("rejects_total", "reply_too_long") != 1 || r.logs.FilterMessage("login refused").Len() != 1 {
		t.Error("not counted or logged")
	}
}

// A row that cannot be sent refuses its user, and says so: silence would make
// the device take the server for dead.
func TestReplyThatCannotBeSent(t *testing.T) {
	var dict *dictionaries.Dictionary
	r := start(t, plan{auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		if q.ID == 1 {
			return aaa.Decision{Verdict: aaa.Accept, Reply: dictionaries.Pairs{{Attr: dict.Find("Filter-Id"), Value: bytes.Repeat([]byte("x"), 254)}}}, nil
		}
		return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonExpired, Reply: dictionaries.Pairs{{Attr: dict.Find("Reply-Message"), Value: bytes.Repeat([]byte("ž"), 130)}}}, nil
	}, setup: func(s *Server) { dict = s.dict }})
	c := r.dial(r.authAddr())
	if reply := c.ask(pap(1)); reply[0] != 3 || len(reply) != 38 {
		t.Errorf("reply %x, want a bare reject", reply)
	}
	if r.count("rejects_total", "unparsable_item") != 1 || r.logs.FilterMessage("login refused").Len() != 1 {
		t.Error("not counted or logged")
	}
	want := append(attr(18, strings.Repeat("ž", 126)), attr(18, strings.Repeat("ž", 4))...)
	if reply := c.ask(pap(2)); reply[0] != 3 || !bytes.Equal(reply[38:], want) {
		t.Errorf("a long message came as %q", reply[38:])
	}
}

func TestRejectDelay(t *testing.T) {
	r := start(t, plan{auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonBadPassword, Delay: time.Duration(q.ID) * time.Hour / 2}, nil
	}})
	c := r.dial(r.authAddr())
	c.send(pap(2)) // held for an hour
	eventually(t, "held", func() bool { return r.count("delayed_rejects") == 1 })
	c.send(pap(2))
	eventually(t, "retransmission met in flight", func() bool { return r.count("duplicates_total", "in_flight") == 1 })
	if r.count("in_flight_requests") != 0 {
		t.Error("a held reject takes a place in flight")
	}
	c.ask(pap(0)) // another one's reject is not held back
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	reply := c.receive(time.Second)
	if reply == nil {
		t.Fatal("held reject was lost at shutdown")
	}
	checkReply(t, reply, pap(2), secret)
}

func TestRejectDelayIsKept(t *testing.T) {
	const delay = 50 * time.Millisecond
	r := start(t, plan{auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonBadPassword, Delay: delay}, nil
	}})
	c := r.dial(r.authAddr())
	began := time.Now()
	first := c.ask(pap(1))
	if took := time.Since(began); took < delay {
		t.Errorf("reject came after %s, want at least %s", took, delay)
	}
	if again := c.ask(pap(1)); !bytes.Equal(first, again) {
		t.Error("the reject's replay differs")
	}
}

// TestWildcard: a reply leaves from the address that was asked.
func TestWildcard(t *testing.T) {
	for _, tc := range []struct {
		listen string
		ask    []string
		deaf   string
	}{
		{"0.0.0.0:0", []string{"127.0.0.1", "127.0.0.2"}, "::1"},
		{":0", []string{"127.0.0.1", "127.0.0.2", "::1"}, ""},
		{"[::]:0", []string{"::1"}, "127.0.0.1"},
	} {
		t.Run(tc.listen, func(t *testing.T) {
			r := start(t, plan{
				options: Options{AuthListen: []string{tc.listen}},
				devices: []*nas.Device{deviceOf("127.0.0.0/8"), deviceOf("::1/128")},
			})
			for _, ip := range tc.ask {
				device := r.server.devices.Find(netip.MustParseAddr(ip))
				device.Learnt.LastSeen.Store(0) // what a device teaches is taken once a second
				to := netip.AddrPortFrom(netip.MustParseAddr(ip), r.authAddr().Port())
				conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(map[bool]string{true: "127.0.0.1", false: "::1"}[to.Addr().Is4()])})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := conn.WriteToUDPAddrPort(pap(1), to); err != nil {
					t.Fatal(err)
				}
				conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				b := make([]byte, 5000)
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if err != nil {
					t.Fatalf("asked %s: %v", to, err)
				}
				if netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != to {
					t.Errorf("asked %s, answered by %s", to, from)
				}
				checkReply(t, b[:n], pap(1), secret)
				if asked := device.Learnt.Asked.Load(); asked == nil || *asked != to.Addr() {
					t.Errorf("asked %s, learnt %v", to, asked)
				}
			}
			if tc.deaf != "" {
				conn := dial(t, netip.AddrPortFrom(netip.MustParseAddr(tc.deaf), r.authAddr().Port()))
				conn.conn.Write(pap(9))
				conn.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if n, _ := conn.conn.Read(make([]byte, 100)); n > 0 {
					t.Errorf("%s answers for %s too", tc.listen, tc.deaf)
				}
			}
		})
	}
}

// TestOneWildcardEachFamily: 0.0.0.0 and [::] stand side by side on one port.
func TestOneWildcardEachFamily(t *testing.T) {
	r := start(t, plan{options: Options{AuthListen: []string{"0.0.0.0:0"}}})
	port := r.authAddr().Port()
	addr := netip.AddrPortFrom(netip.IPv6Unspecified(), port).String()
	conns, err := bind(addr, 2, 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		c.Close()
	}
}

func TestListenErrors(t *testing.T) {
	r := start(t, plan{})
	taken := r.authAddr().String()
	table, _ := nas.NewTable(nil)
	for name, o := range map[string]Options{
		"address already in use": {AuthListen: []string{"127.0.0.1:0", taken}},
		"want host:port":         {AuthListen: []string{"1812"}},
	} {
		s, err := NewServer(o, r.dict, table, authorizer(accept), accountant(stored), r.server.metrics, r.server.log)
		if err == nil {
			err = s.Listen()
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("options %+v: error %v, want %q", o, err, name)
		}
		if s != nil && len(s.AuthAddrs()) != 0 {
			t.Error("sockets left open")
		}
	}
	// Sharing has to be asked for by both.
	one, err := bind("127.0.0.1:0", 2, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	two, err := bind(one[0].LocalAddr().String(), 2, 1<<20, true)
	if err != nil {
		t.Errorf("shared port: %v", err)
	}
	for _, c := range slices.Concat(one, two) {
		c.Close()
	}
}

// TestKernelDrops: what the kernel drops for want of buffer is counted.
func TestKernelDrops(t *testing.T) {
	r := start(t, plan{options: Options{AuthListen: []string{"127.0.0.1:0"}, RecvBuffer: 4096, Sockets: 1}, setup: func(s *Server) {
		c := dial(t, s.AuthAddrs()[0])
		for id := range byte(200) {
			c.send(pap(id))
		}
	}})
	eventually(t, "room in the buffer", func() bool { return r.count("requests_total", "auth", "Access-Request") > 0 })
	r.dial(r.authAddr()).ask(pap(1)) // the count comes with the next datagram
	answered, dropped := r.count("requests_total", "auth", "Access-Request"), r.count("kernel_drops_total", "auth")
	if dropped == 0 || answered+dropped != 201 {
		t.Errorf("%v answered and %v dropped of 201", answered, dropped)
	}
	if r.logs.FilterMessageSnippet("receive buffer").Len() > 1 {
		t.Error("more than one line on the buffer")
	}
}

// TestManyDevices: with several sockets, every source is answered, whichever
// socket the kernel deals it to.
func TestManyDevices(t *testing.T) {
	r := start(t, plan{options: Options{AuthListen: []string{"127.0.0.1:0", "127.0.0.2:0"}, AcctListen: []string{"[::1]:0"}, Sockets: 4}, devices: []*nas.Device{deviceOf("127.0.0.0/8"), deviceOf("::/0")}})
	for i := range 64 {
		r.dial(r.server.AuthAddrs()[i%2]).ask(pap(byte(i)))
	}
	r.dial(r.acctAddr()).ask(startPacket(1))
	busy := 0
	for _, l := range r.server.listeners {
		for _, k := range l.sockets {
			if c, ok := k.work.(*crew); ok {
				c.mu.Lock()
				if c.parked > 0 {
					busy++
				}
				c.mu.Unlock()
			}
		}
	}
	if busy < 4 {
		t.Errorf("only %d of 8 sockets saw logins: the kernel does not deal", busy)
	}
}

// TestDrain: what is in flight when the server ends is answered.
func TestDrain(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	r := start(t, plan{auth: func(ctx context.Context, q *aaa.Request) (aaa.Decision, error) {
		entered <- struct{}{}
		select {
		case <-release:
			return aaa.Decision{Verdict: aaa.Accept}, nil
		case <-ctx.Done():
			return aaa.Decision{}, ctx.Err()
		}
	}})
	c := r.dial(r.authAddr())
	for id := range byte(100) {
		c.send(pap(id))
	}
	for range 100 {
		<-entered
	}
	ended := make(chan error)
	go func() { ended <- r.stop() }()
	select {
	case err := <-ended:
		t.Fatalf("Run ended with requests in flight: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if c.receive(time.Second) == nil {
			t.Fatalf("%d of 100 answered", i)
		}
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, plan{options: Options{AuthListen: []string{"127.0.0.1:0"}, DrainTimeout: 20 * time.Millisecond, RequestTimeout: time.Hour},
		auth: func(ctx context.Context, q *aaa.Request) (aaa.Decision, error) {
			close(entered)
			<-ctx.Done()
			return aaa.Decision{}, ctx.Err()
		}})
	r.dial(r.authAddr()).send(pap(1))
	<-entered
	stop := r.stop
	err := stop()
	r.stop = func() error { return nil }
	if err == nil || !strings.Contains(err.Error(), "1 requests unanswered") {
		t.Errorf("Run: %v, want one request unanswered", err)
	}
}

// TestPanics: a panic costs its own request and no other.
func TestPanics(t *testing.T) {
	r := start(t, plan{auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		if q.ID%2 == 1 {
			panic("odd")
		}
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}})
	c := r.dial(r.authAddr())
	for id := range byte(100) {
		c.send(pap(id))
	}
	for range 50 {
		if b := c.receive(5 * time.Second); b == nil || b[1]%2 == 1 {
			t.Fatalf("reply %x", b)
		}
	}
	eventually(t, "counted", func() bool { return r.count("panics_total") == 50 && r.count("silent_total", "panic") == 50 })
	eventually(t, "out of flight", func() bool { return r.count("in_flight_requests") == 0 })
	if r.logs.FilterMessageSnippet("panic").FilterField(zapPanic).Len() != 50 {
		t.Error("panics without a log line")
	}
}

// TestOverload: what is above the bound is dropped and counted, and room is
// made again.
func TestOverload(t *testing.T) {
	release := make(chan struct{})
	r := start(t, plan{options: Options{AuthListen: []string{"127.0.0.1:0"}, MaxInFlight: 3}, auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		<-release
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}})
	c := r.dial(r.authAddr())
	for id := range byte(10) {
		c.send(pap(id))
	}
	eventually(t, "seven dropped", func() bool { return r.count("refused_total", "auth", "overload") == 7 })
	close(release)
	for range 3 {
		if c.receive(5*time.Second) == nil {
			t.Fatal("an admitted request was not answered")
		}
	}
	eventually(t, "room again", func() bool { return r.count("in_flight_requests") == 0 })
	c.ask(pap(9)) // what was dropped is no duplicate
}
