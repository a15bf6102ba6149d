package radius

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "layeh.com/radius"

	"radial/dictionaries"
	"radial/nas"
)

const clientSecret = "xyzzy5461"

// answerer is a server of the test: it gives each datagram to answer and sends
// what that returns.
func answerer(t *testing.T, network string, answer func(n int, request []byte) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", network+":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 5000)
		for i := 1; ; i++ {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, reply := range answer(i, slices.Clone(buf[:n])) {
				if _, err := conn.WriteTo(reply, from); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

// replyTo makes a reply by layeh's codec, which we did not write; with ma it has
// a Message-Authenticator first.
func replyTo(t *testing.T, request []byte, secret string, code wire.Code, ma bool, attrs ...byte) []byte {
	t.Helper()
	p, err := wire.Parse(request, []byte(secret))
	if err != nil {
		t.Error(err)
		return nil
	}
	r := p.Response(code)
	r.Authenticator = p.Authenticator
	if ma {
		r.Add(80, make([]byte, 16))
	}
	for len(attrs) > 0 {
		r.Add(wire.Type(attrs[0]), attrs[2:attrs[1]])
		attrs = attrs[attrs[1]:]
	}
	if ma {
		plain, err := r.MarshalBinary()
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write(plain)
		r.Set(80, mac.Sum(nil))
	}
	b, err := r.Encode()
	if err != nil {
		t.Error(err)
	}
	return b
}

func testDictionary(t *testing.T) *dictionaries.Dictionary {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testClient(t *testing.T, addr string, o ClientOptions) *Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	return NewClient(addr, nas.Secret(clientSecret), testDictionary(t), o)
}

func TestClientExchange(t *testing.T) {
	for _, network := range []string{"127.0.0.1", "[::1]"} {
		t.Run(network, func(t *testing.T) {
			requests := make(chan []byte, 1)
			addr := answerer(t, network, func(_ int, request []byte) [][]byte {
				requests <- request
				return [][]byte{replyTo(t, request, clientSecret, wire.CodeAccessAccept, true, 8, 6, 100, 64, 0, 1)}
			})
			var told Sent
			c := testClient(t, addr, ClientOptions{RequireMessageAuthenticator: true, Sent: func(s Sent) { told = s }})
			pair, err := c.dict.Pair("NAS-Port", "7")
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Exchange(t.Context(), AccessRequest, dictionaries.Pairs{pair})
			if err != nil {
				t.Fatal(err)
			}
			sent := <-requests
			if r.Code != AccessAccept || r.Tries != 1 || !r.MessageAuthenticator || r.From.String() != addr || r.ID != sent[1] || r.Length != 44 {
				t.Errorf("reply %+v", r)
			}
			if got := r.Pairs.First(c.dict.Must("Framed-IP-Address")); got == nil || got.String() != "Framed-IP-Address = 100.64.0.1" {
				t.Errorf("reply has %v", r.Pairs)
			}
			if told.ID != sent[1] || told.Length != len(sent) || told.To.String() != addr || told.From != r.To || told.Code != AccessRequest {
				t.Errorf("told of %+v", told)
			}
			if sent[20] != 80 || sent[21] != 18 || !hmacHolds(sent, sent[4:20]) {
				t.Errorf("the request does not begin with a right Message-Authenticator: %x", sent)
			}
		})
	}
}

// hmacHolds checks the Message-Authenticator at the first place, by hand.
func hmacHolds(packet, authenticator []byte) bool {
	b := slices.Clone(packet)
	copy(b[4:20], authenticator)
	clear(b[22:38])
	mac := hmac.New(md5.New, []byte(clientSecret))
	mac.Write(b)
	return hmac.Equal(mac.Sum(nil), packet[22:38])
}

// Accounting, CoA and Disconnect: layeh judges the request's authenticator.
func TestClientSignsRequests(t *testing.T) {
	for request, reply := range map[Code]Code{AccountingRequest: AccountingResponse, CoARequest: CoANAK, DisconnectRequest: DisconnectACK} {
		addr := answerer(t, "127.0.0.1", func(_ int, b []byte) [][]byte {
			if !wire.IsAuthenticRequest(b, []byte(clientSecret)) {
				t.Errorf("%s: layeh says that the authenticator is wrong", request)
			}
			if b[20] != 80 || !hmacHolds(b, make([]byte, 16)) {
				t.Errorf("%s: Message-Authenticator is wrong", request)
			}
			return [][]byte{replyTo(t, b, clientSecret, reply, request != AccountingRequest)}
		})
		r, err := testClient(t, addr, ClientOptions{}).Exchange(t.Context(), request, nil)
		if err != nil || r.Code != reply {
			t.Errorf("%s: %+v, %v", request, r, err)
		}
	}
}

// RFC 5997 §6.1: the reply of the example is the reply to the example.
func TestClientVectorsRFC5997(t *testing.T) {
	for request, reply := range map[string]string{
		"0cda00268a54f4686fb394c52866e302185d062350125a665e2e1e8411f3e243822097c84fa3": "02da0014ef0d552a4bf2d693ec2b6fe8b5411d66",
		"0cb30026925f6b66dd5fed571fcb1db7ad3882605012e8d6eabda910875cd91fdade26367858": "05b300140f6f92145f107e2f504e860a4860669c",
	} {
		b, err := hex.DecodeString(request)
		if err != nil {
			t.Fatal(err)
		}
		r, err := hex.DecodeString(reply)
		if err != nil {
			t.Fatal(err)
		}
		c := testClient(t, "127.0.0.1:1", ClientOptions{})
		got, err := c.decode(r, b)
		if err != nil || got.ID != b[1] {
			t.Errorf("decode: %+v, %v", got, err)
		}
		ours, err := c.encode(StatusServer, nil, [16]byte(b[4:20]))
		if err != nil {
			t.Fatal(err)
		}
		ours[1] = b[1]
		clear(ours[22:38])
		mac := hmac.New(md5.New, []byte(clientSecret))
		mac.Write(ours)
		copy(ours[22:], mac.Sum(nil))
		if hex.EncodeToString(ours) != request {
			t.Errorf("encoded %x, want %s", ours, request)
		}
		c.opts.RequireMessageAuthenticator = true
		if _, err := c.decode(r, b); !errors.Is(err, ErrNoMessageAuthenticator) {
			t.Errorf("the reply without Message-Authenticator: %v", err)
		}
	}
}

// RFC 2865 §7.1: nemo logs in.
func TestClientVectorRFC2865(t *testing.T) {
	request, _ := hex.DecodeString("010000380f403f9473978057bd83d5cb98f4227a01066e656d6f02120dbe708d93d413ce3196e43f782a0aee0406c0a80110050600000003")
	accept, _ := hex.DecodeString("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")
	c := testClient(t, "127.0.0.1:1", ClientOptions{})
	r, err := c.decode(accept, request)
	if err != nil || r.Code != AccessAccept || len(r.Pairs) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	var pairs dictionaries.Pairs
	for _, p := range [][2]string{{"User-Name", "nemo"}, {"User-Password", "arctangent"}, {"NAS-IP-Address", "192.168.1.16"}, {"NAS-Port", "3"}} {
		pair, err := c.dict.Pair(p[0], p[1])
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
	}
	ours, err := c.encode(AccessRequest, pairs, [16]byte(request[4:20]))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(ours[38:]); got != hex.EncodeToString(request[20:]) {
		t.Errorf("attributes %s, want %x", got, request[20:])
	}
}

func TestClientBadReplies(t *testing.T) {
	flip := func(b []byte, i int) []byte { b[i] ^= 1; return b }
	// Signs b again as the reply to request, so that only what is inside is bad.
	resign := func(b, request []byte) []byte {
		copy(b[4:], request[4:20])
		sum := md5.Sum(append(slices.Clone(b), clientSecret...))
		copy(b[4:], sum[:])
		return b
	}
	for _, c := range []struct {
		name  string
		reply func(request []byte) []byte
		want  error
	}{
		{"nothing", func([]byte) []byte { return nil }, ErrNoAnswer},
		{"another id", func(q []byte) []byte { return flip(replyTo(t, q, clientSecret, AccessAccept, true), 1) }, ErrNoAnswer},
		{"short", func(q []byte) []byte { return replyTo(t, q, clientSecret, AccessAccept, false)[:19] }, ErrBadReply},
		{"length beyond", func(q []byte) []byte { return flip(replyTo(t, q, clientSecret, AccessAccept, false), 3) }, ErrBadReply},
		{"authenticator", func(q []byte) []byte { return flip(replyTo(t, q, clientSecret, AccessAccept, true), 9) }, ErrBadAuthenticator},
		{"other secret", func(q []byte) []byte { return replyTo(t, q, "other", AccessAccept, true) }, ErrBadAuthenticator},
		{"attribute changed", func(q []byte) []byte {
			return flip(replyTo(t, q, clientSecret, AccessAccept, true, 8, 6, 1, 2, 3, 4), 43)
		}, ErrBadAuthenticator},
		{"Message-Authenticator", func(q []byte) []byte { return resign(flip(replyTo(t, q, clientSecret, AccessAccept, true), 30), q) }, ErrBadMessageAuthenticator},
		{"no Message-Authenticator", func(q []byte) []byte { return replyTo(t, q, clientSecret, AccessAccept, false) }, ErrNoMessageAuthenticator},
		{"two of them", func(q []byte) []byte {
			b := append(replyTo(t, q, clientSecret, AccessAccept, true), append([]byte{80, 18}, make([]byte, 16)...)...)
			b[3] += 18
			return resign(b, q)
		}, ErrBadReply},
		{"code", func(q []byte) []byte { return replyTo(t, q, clientSecret, AccountingResponse, true) }, ErrUnexpectedCode},
		{"attribute length", func(q []byte) []byte {
			b := replyTo(t, q, clientSecret, AccessAccept, true, 8, 6, 1, 2, 3, 4)
			b[39] = 7
			return resign(b, q)
		}, ErrBadReply},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := answerer(t, "127.0.0.1", func(_ int, request []byte) [][]byte {
				if b := c.reply(request); b != nil {
					return [][]byte{b}
				}
				return nil
			})
			o := ClientOptions{Timeout: 30 * time.Millisecond, Tries: 2, RequireMessageAuthenticator: true}
			r, err := testClient(t, addr, o).Exchange(t.Context(), AccessRequest, nil)
			if r != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), "after 2 tries") {
				t.Errorf("got %v, %v, want %v", r, err, c.want)
			}
		})
	}
}

// A forged packet that comes first does not keep the right one out.
func TestClientPassesOverForgeries(t *testing.T) {
	addr := answerer(t, "127.0.0.1", func(_ int, request []byte) [][]byte {
		return [][]byte{
			replyTo(t, request, "forged", AccessReject, true),
			{1, 2, 3},
			replyTo(t, request, clientSecret, AccessAccept, true),
		}
	})
	r, err := testClient(t, addr, ClientOptions{}).Exchange(t.Context(), AccessRequest, nil)
	if err != nil || r.Code != AccessAccept {
		t.Errorf("%v, %v", r, err)
	}
}

// The same bytes go out again, and padding behind the packet is ignored.
func TestClientRetries(t *testing.T) {
	var first []byte
	addr := answerer(t, "127.0.0.1", func(n int, request []byte) [][]byte {
		if n == 1 {
			first = request
			return nil
		}
		if !slices.Equal(first, request) {
			t.Errorf("the retransmission differs:\n%x\n%x", first, request)
		}
		return [][]byte{append(replyTo(t, request, clientSecret, AccessAccept, true), 1, 2, 3)}
	})
	r, err := testClient(t, addr, ClientOptions{Timeout: 30 * time.Millisecond}).Exchange(t.Context(), AccessRequest, nil)
	if err != nil || r.Tries != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestClientCancel(t *testing.T) {
	addr := answerer(t, "127.0.0.1", func(int, []byte) [][]byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	c := testClient(t, addr, ClientOptions{Timeout: time.Minute, Sent: func(Sent) { cancel() }})
	if _, err := c.Exchange(ctx, AccessRequest, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClientRefused(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	_, err = testClient(t, conn.LocalAddr().String(), ClientOptions{Timeout: 20 * time.Millisecond, Tries: 2}).Exchange(t.Context(), StatusServer, nil)
	if !errors.Is(err, ErrNoAnswer) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

func TestClientLocalAddress(t *testing.T) {
	var from netip.AddrPort
	addr := answerer(t, "127.0.0.1", func(_ int, request []byte) [][]byte {
		return [][]byte{replyTo(t, request, clientSecret, AccessAccept, true)}
	})
	c := testClient(t, addr, ClientOptions{Local: netip.MustParseAddrPort("127.0.0.9:0"), Sent: func(s Sent) { from = s.From }})
	if _, err := c.Exchange(t.Context(), StatusServer, nil); err != nil || from.Addr().String() != "127.0.0.9" {
		t.Errorf("from %v, %v", from, err)
	}
}

func TestClientTooLong(t *testing.T) {
	c := testClient(t, "127.0.0.1:1", ClientOptions{})
	pairs := slices.Repeat(dictionaries.Pairs{{Attr: c.dict.Must("Reply-Message"), Value: make([]byte, 253)}}, 17)
	if _, err := c.Exchange(t.Context(), AccessRequest, pairs); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("got %v", err)
	}
}

func TestJittered(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := jittered(time.Second)
		if d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Fatalf("got %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different waits of 100", len(seen))
	}
}

// Replies are bytes from strangers.
func FuzzClientDecode(f *testing.F) {
	d, err := dictionaries.Load()
	if err != nil {
		f.Fatal(err)
	}
	c := NewClient("127.0.0.1:1", nas.Secret(clientSecret), d, ClientOptions{})
	request, err := c.encode(AccessRequest, nil, [16]byte{})
	if err != nil {
		f.Fatal(err)
	}
	request[1] = 7
	f.Add([]byte{80, 18, 0}, false)
	f.Add([]byte{8, 6, 1, 2, 3, 4}, true)
	f.Fuzz(func(t *testing.T, attrs []byte, sign bool) {
		if len(attrs) > 4000 {
			return
		}
		b := append([]byte{2, 7, 0, 0}, request[4:20]...)
		b = append(b, attrs...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		if sign {
			sum := md5.Sum(append(slices.Clone(b), clientSecret...))
			copy(b[4:], sum[:])
		}
		r, err := c.decode(b, request)
		if (r == nil) == (err == nil) || r != nil && !sign {
			t.Errorf("%v, %v", r, err)
		}
	})
}
