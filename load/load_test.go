package load

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
)

const testSecret = "s3cret"

// serve answers on loopback with layeh's codec, which shares nothing with the
// generator's. Once stop has returned, answer is not called any more.
func serve(t *testing.T, answer func(*wire.Packet) *wire.Packet) (addr netip.AddrPort, stop func()) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	stop = sync.OnceFunc(func() { conn.Close(); <-done })
	t.Cleanup(stop)
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			p, err := wire.Parse(slices.Clone(buf[:n]), []byte(testSecret))
			if err != nil || !wire.IsAuthenticRequest(buf[:n], []byte(testSecret)) {
				continue
			}
			if reply := answer(p); reply != nil {
				if b, err := reply.Encode(); err == nil {
					conn.WriteTo(b, from)
				}
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), stop
}

func TestSessions(t *testing.T) {
	var next byte
	started, stopped, interims := map[string]bool{}, map[string]bool{}, 0
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		if p.Code == wire.CodeAccessRequest {
			if rfc2865.UserPassword_GetString(p) != "pw"+rfc2865.UserName_GetString(p)[1:] {
				return p.Response(wire.CodeAccessReject)
			}
			reply := p.Response(wire.CodeAccessAccept)
			next++
			if err := rfc2865.FramedIPAddress_Set(reply, net.IPv4(100, 64, 0, next)); err != nil {
				t.Error(err)
			}
			return reply
		}
		id := rfc2866.AcctSessionID_GetString(p)
		switch rfc2866.AcctStatusType_Get(p) {
		case rfc2866.AcctStatusType_Value_Start:
			started[id] = true
		case rfc2866.AcctStatusType_Value_InterimUpdate:
			interims++
		case rfc2866.AcctStatusType_Value_Stop:
			stopped[id] = true
			if rfc2866.AcctSessionTime_Get(p) != 240 {
				t.Errorf("session time %v", rfc2866.AcctSessionTime_Get(p))
			}
		}
		return p.Response(wire.CodeAccountingResponse)
	})
	o := DefaultOptions()
	o.Mode, o.Auth, o.Acct, o.Secret, o.Window, o.Count, o.Users, o.KeepSessions = Session, addr, addr, testSecret, 8, 50, 20, true
	res, err := Run(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if len(started) != 50 || len(stopped) != 50 || interims != 150 {
		t.Errorf("server saw %d starts, %d stops, %d interims; want 50, 50, 150", len(started), len(stopped), interims)
	}
	if res.Accepted != 50 || res.Acknowledged != 250 || res.GivenUp+res.BadAuthenticator+res.DoubleAddress != 0 {
		t.Errorf("result %+v", res.Counts)
	}
	if len(res.Sessions) != 50 || !res.Sessions[0].Stopped || res.Sessions[0].Seconds != 240 {
		t.Errorf("sessions: %d, first %+v", len(res.Sessions), res.Sessions[0])
	}
}

func TestInterimsAreOfSessionsThatWereStarted(t *testing.T) {
	address, started, strange := map[string]string{}, map[string]bool{}, 0
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		user := rfc2865.UserName_GetString(p)
		if p.Code == wire.CodeAccessRequest {
			reply := p.Response(wire.CodeAccessAccept)
			ip := net.IPv4(100, 64, 1, byte(len(address)+1))
			address[user] = ip.String()
			if err := rfc2865.FramedIPAddress_Set(reply, ip); err != nil {
				t.Error(err)
			}
			return reply
		}
		switch rfc2866.AcctStatusType_Get(p) {
		case rfc2866.AcctStatusType_Value_Start:
			started[user] = true
		case rfc2866.AcctStatusType_Value_InterimUpdate:
			if !started[user] || rfc2866.AcctSessionTime_Get(p) == 0 {
				strange++
			}
		}
		if rfc2865.FramedIPAddress_Get(p).String() != address[user] {
			strange++
		}
		return p.Response(wire.CodeAccountingResponse)
	})
	o := DefaultOptions()
	o.Mode, o.Auth, o.Acct, o.Secret, o.Window, o.Count, o.Users = Interim, addr, addr, testSecret, 4, 100, 10
	res, err := Run(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if res.Answered != 100 || len(started) != 10 || strange > 0 {
		t.Errorf("answered %d, %d started, %d out of place", res.Answered, len(started), strange)
	}
}

func TestRetransmitsAndGivesUp(t *testing.T) {
	sends := map[byte]int{}
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		sends[p.Identifier]++
		if _, err := rfc2869.MessageAuthenticator_Lookup(p); err != nil {
			t.Error("no Message-Authenticator")
		}
		if sends[p.Identifier] < 3 || p.Identifier == 1 {
			return nil
		}
		return p.Response(wire.CodeAccessAccept)
	})
	defer stop()
	o := DefaultOptions()
	o.Auth, o.Acct, o.Secret, o.Window, o.Count, o.Timeout, o.Tries = addr, addr, testSecret, 2, 2, 20*time.Millisecond, 4
	o.Users = 2
	res, err := Run(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Accepted+res.GivenUp != 2 || res.Retransmitted < 4 {
		t.Errorf("accepted %d, given up %d, retransmitted %d", res.Accepted, res.GivenUp, res.Retransmitted)
	}
}

func TestBadAuthenticatorIsNoAnswer(t *testing.T) {
	addr, stop := serve(t, func(p *wire.Packet) *wire.Packet {
		reply := p.Response(wire.CodeAccessAccept)
		reply.Secret = []byte("other")
		return reply
	})
	defer stop()
	o := DefaultOptions()
	o.Auth, o.Acct, o.Secret, o.Window, o.Count, o.Timeout, o.Tries, o.Mode = addr, addr, testSecret, 1, 1, 20*time.Millisecond, 2, CHAP
	res, err := Run(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.BadAuthenticator != 2 || res.Answered != 0 || res.GivenUp != 1 {
		t.Errorf("%+v", res.Counts)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	var all []int64
	for range 10_000 {
		v := rand.Int64N(1 << rand.IntN(36))
		all = append(all, v)
		h.add(v)
	}
	slices.Sort(all)
	for _, q := range []float64{0, .5, .9, .99, .999} {
		want := all[int(q*float64(len(all)))]
		got := int64(h.quantile(q))
		if got < want || float64(got) > float64(want)*1.04+1 {
			t.Errorf("quantile %v = %d, sorted says %d", q, got, want)
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	o := DefaultOptions()
	o.Mode, o.Window, o.Users, o.Sockets = "x", 1000, 0, 2
	err := o.Validate()
	if err == nil || len(err.(interface{ Unwrap() []error }).Unwrap()) != 4 {
		t.Errorf("want 4 problems (mode, users, sockets, secret), got: %v", err)
	}
}

// A format that does not make a name of each number is refused, and nothing is
// sent with what fmt says of it.
func TestFormatsOfUsers(t *testing.T) {
	for _, c := range []struct {
		user, password string
		users          int
		ok             bool
	}{
		{"u%06d", "pw%06d", 2, true}, {"u%x", "same", 2, true}, {"alice", "secret", 1, true}, {"%[1]d-%[1]d", "p", 2, true},
		{"alice", "p", 2, false}, {"%s", "p", 2, false}, {"u%d%d", "p", 2, false}, {"u%", "p", 1, false}, {"", "p", 1, false},
		{"u%d", "", 2, false}, {"u%d", "%s", 2, false}, {"u%0129d", "p", 2, false},
	} {
		o := DefaultOptions()
		o.Secret, o.UserFormat, o.PasswordFormat, o.Users = "s", c.user, c.password, c.users
		if err := o.Validate(); (err == nil) != c.ok {
			t.Errorf("%q, %q for %d users: %v", c.user, c.password, c.users, err)
		}
	}
	if got := textOf("alice", 7) + textOf(" u%03d", 7); got != "alice u007" {
		t.Error(got)
	}
}
