package radius

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	wire "layeh.com/radius"

	"radial/dictionaries"
	"radial/test/fakes/routeros"
)

// daeRig is a client at work, and a router that it may ask.
type daeRig struct {
	*DAE
	dict   *dictionaries.Dictionary
	router *routeros.Router
	at     netip.AddrPort
	stop   func()
}

func newDAERig(t *testing.T, o DAEOptions) *daeRig {
	t.Helper()
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDAE(dict, o, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	router, err := routeros.New(routeros.Config{Address: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := router.Put("/radius", map[string]string{"service": "ppp", "address": "127.0.0.1", "secret": secret}); err != nil {
		t.Fatal(err)
	}
	if err := router.Set("/radius/incoming", "", map[string]string{"accept": "true"}); err != nil {
		t.Fatal(err)
	}
	incoming := listenUDP(t)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { d.Run(ctx) })
	group.Go(func() { router.ServeIncoming(ctx, incoming) })
	r := &daeRig{DAE: d, dict: dict, router: router, at: addrPortOf(incoming.LocalAddr()), stop: func() { cancel(); group.Wait() }}
	t.Cleanup(r.stop)
	return r
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask makes a request of attribute lines such as "User-Name=alice".
func (r *daeRig) ask(t *testing.T, code Code, lines ...string) DAERequest {
	t.Helper()
	q := DAERequest{To: r.at, Secret: secret, Code: code}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, "=")
		pair, err := r.dict.Pair(name, value)
		if err != nil {
			t.Fatal(err)
		}
		q.Pairs = append(q.Pairs, pair)
	}
	return q
}

// local logs a subscriber in by a secret of the router's own.
func (r *daeRig) local(t *testing.T, name string) *routeros.Session {
	t.Helper()
	if _, err := r.router.Put("/ppp/secret", map[string]string{"name": name, "password": "p"}); err != nil {
		t.Fatal(err)
	}
	s, err := r.router.Dial(t.Context(), routeros.Subscriber{Name: name, Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A thousand changes at once to one device: each is answered as what it was,
// over one socket, and no more than its turn allows are under way.
func TestDAEManyAtOnce(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Second, PerDevice: 16})
	const subscribers = 200
	var sessions []*routeros.Session
	for n := range subscribers {
		sessions = append(sessions, r.local(t, fmt.Sprintf("user%d", n)))
	}
	var group sync.WaitGroup
	for n, s := range sessions {
		change := r.ask(t, CoARequest, "User-Name="+s.Subscriber.Name, "Acct-Session-Id="+s.ID, fmt.Sprintf("Mikrotik-Rate-Limit=%dk/%dk", n+1, 2*n+2))
		unknown := r.ask(t, CoARequest, fmt.Sprintf("User-Name=nobody%d", n))
		group.Go(func() {
			if reply, err := r.Do(t.Context(), change); err != nil || !reply.ACK {
				t.Errorf("change of %s: %+v, %v", s.Subscriber.Name, reply, err)
			}
		})
		group.Go(func() {
			if reply, err := r.Do(t.Context(), unknown); err != nil || reply.ACK || reply.Cause != CauseSessionNotFound {
				t.Errorf("change of nobody: %+v, %v", reply, err)
			}
		})
	}
	group.Wait()
	for n, s := range sessions {
		if want := fmt.Sprintf("%dk/%dk", n+1, 2*n+2); s.Rate() != want {
			t.Errorf("%s has rate %q, want %q", s.Subscriber.Name, s.Rate(), want)
		}
	}
	if got := len(r.router.Asked()); got != 2*subscribers {
		t.Errorf("the router was asked %d times, want %d", got, 2*subscribers)
	}
	if got := len(r.sockets); got != 1 {
		t.Errorf("%d sockets", got)
	}
	for _, s := range r.sockets {
		if len(s.waiting) != 0 || len(s.devices) != 1 {
			t.Errorf("left behind: %d requests, %d devices", len(s.waiting), len(s.devices))
		}
	}
}

func TestDAERefusals(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Second})
	s := r.local(t, "alice")
	for cause, name := range errorCauses {
		r.router.Incoming(routeros.Incoming{NAK: uint32(cause)})
		reply, err := r.Do(t.Context(), r.ask(t, DisconnectRequest, "User-Name=alice"))
		if err != nil || reply.ACK || reply.Cause != cause || reply.Cause.String() != fmt.Sprintf("%s (%d)", name, cause) {
			t.Errorf("%s: %+v, %v", name, reply, err)
		}
	}
	if s.Ended() {
		t.Error("a refused Disconnect ended the session")
	}
	r.router.Incoming(routeros.Incoming{})
	if reply, err := r.Do(t.Context(), r.ask(t, DisconnectRequest, "User-Name=alice", "Acct-Session-Id="+s.ID)); err != nil || !reply.ACK {
		t.Errorf("%+v, %v", reply, err)
	}
}

// Silence is trouble and no answer: a device that does not speak, has another
// secret, or another address in mind.
func TestDAESilence(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 20 * time.Millisecond, Tries: 3})
	r.router.Incoming(routeros.Incoming{Mute: true})
	silent := func(what string, q DAERequest, also error) {
		t.Helper()
		reply, err := r.Do(t.Context(), q)
		if !errors.Is(err, ErrNoAnswer) || also != nil && !errors.Is(err, also) {
			t.Errorf("%s: %+v, %v", what, reply, err)
		}
	}
	q := r.ask(t, DisconnectRequest, "User-Name=alice")
	silent("mute", q, nil)
	if got := r.router.Asked(); len(got) != 3 {
		t.Errorf("sent %d times, want 3: %v", len(got), got)
	}
	q.Secret = "another"
	silent("another secret", q, nil)
	if got := r.router.Asked(); len(got) != 3 {
		t.Errorf("a request with another secret was taken: %v", got)
	}

	// A forger's answer is passed over, and named where no better one comes.
	forger := listenUDP(t)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := forger.ReadFrom(buf)
			if err != nil {
				return
			}
			p, err := wire.Parse(buf[:n], []byte("another"))
			if err != nil {
				t.Error(err)
				return
			}
			b, err := p.Response(wire.CodeDisconnectACK).Encode()
			if err != nil {
				t.Error(err)
				return
			}
			forger.WriteTo(b, from)
		}
	}()
	q.Secret, q.To = secret, addrPortOf(forger.LocalAddr())
	silent("forged", q, ErrBadAuthenticator)
}

// One lost answer costs one more try, of the same bytes: the router answers
// those again, and does nothing twice.
func TestDAERetransmission(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 50 * time.Millisecond, Tries: 8})
	s := r.local(t, "alice")
	r.router.Incoming(routeros.Incoming{Delay: 120 * time.Millisecond})
	reply, err := r.Do(t.Context(), r.ask(t, DisconnectRequest, "User-Name=alice", "Acct-Session-Id="+s.ID))
	if err != nil || !reply.ACK || reply.Tries < 2 {
		t.Errorf("%+v, %v", reply, err)
	}
	if got := r.router.Asked(); len(got) != 1 {
		t.Errorf("the router did it %d times", len(got))
	}
}

// What is sent again is the same to the byte; what is asked again has another
// Identifier, as its Event-Timestamp is another (RFC 5176 §3.3, RFC 5080 §2.2.1).
// Both are signed as RFC 5176 §2.3 and §3.5 say, to another's eye.
func TestDAEOnTheWire(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Millisecond, Tries: 3})
	clock := time.Unix(1_800_000_000, 0)
	r.now = func() time.Time { return clock }
	device := listenUDP(t)
	q := r.ask(t, CoARequest, "User-Name=alice", "Acct-Session-Id=81a00001", "Mikrotik-Rate-Limit=2M/10M")
	q.To = addrPortOf(device.LocalAddr())
	var sent [][]byte
	for range 2 {
		if _, err := r.Do(t.Context(), q); !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
		for range 3 {
			buf := make([]byte, 4096)
			n, err := device.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, buf[:n])
		}
		clock = clock.Add(time.Second)
	}
	for i, b := range sent {
		if same := bytes.Equal(b, sent[i/3*3]); !same {
			t.Errorf("try %d differs from the first", i%3+1)
		}
		if !wire.IsAuthenticRequest(b, []byte(secret)) {
			t.Error("the authenticator is not right")
		}
		p, err := wire.Parse(b, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, append([]byte{80, 18}, p.Get(80)...))
		unsigned := bytes.Clone(b)
		clear(unsigned[4:20])
		clear(unsigned[at+2 : at+18])
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write(unsigned)
		if !hmac.Equal(mac.Sum(nil), p.Get(80)) {
			t.Error("the Message-Authenticator is not right")
		}
		if got, want := binary.BigEndian.Uint32(p.Get(55)), uint32(1_800_000_000+i/3); got != want {
			t.Errorf("Event-Timestamp %d, want %d", got, want)
		}
	}
	if sent[0][1] == sent[3][1] {
		t.Error("another Event-Timestamp, and the same Identifier")
	}
}

func TestDAEEnds(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 10 * time.Second})
	r.router.Incoming(routeros.Incoming{Mute: true})
	done := make(chan error, 1)
	q := r.ask(t, CoARequest, "User-Name=alice")
	go func() { _, err := r.Do(t.Context(), q); done <- err }()
	eventually(t, "the router is asked", func() bool { return len(r.router.Asked()) > 0 })
	r.stop()
	if err := <-done; !errors.Is(err, ErrDAEClosed) {
		t.Errorf("under way at the end: %v", err)
	}
	if _, err := r.Do(t.Context(), q); !errors.Is(err, ErrDAEClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := NewDAE(r.dict, DAEOptions{PerDevice: 300}, time.Now); err == nil || !strings.Contains(err.Error(), "256") {
		t.Errorf("300 requests to a device: %v", err)
	}
	if _, err := NewDAE(r.dict, DAEOptions{Timeout: 10 * time.Second, Tries: 5}, time.Now); err == nil || !strings.Contains(err.Error(), "300 s") {
		t.Errorf("under way for five minutes: %v", err)
	}
}

// TestDAEEndsAtAnyMoment: a request that has just asked for a socket does not keep
// the client from ending, nor the server with it.
func TestDAEEndsAtAnyMoment(t *testing.T) {
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // Run may take the socket, or see first that it has ended
		d, err := NewDAE(dict, DAEOptions{Tries: 1, Timeout: time.Millisecond}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		go func() {
			_, err := d.Do(t.Context(), DAERequest{To: netip.MustParseAddrPort("127.0.0.1:9"), Secret: secret, Code: DisconnectRequest})
			ended <- err
		}()
		for d.mu.TryLock() { // until it waits for Run
			d.mu.Unlock()
			runtime.Gosched()
		}
		go func() { ended <- d.Run(done) }()
		for range 2 {
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, ErrDAEClosed) && !errors.Is(err, ErrNoAnswer) {
					t.Fatal(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
		}
	}
}
