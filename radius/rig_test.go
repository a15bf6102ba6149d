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
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	wire "layeh.com/radius"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

const secret = "xyzzy5461" // RFC 2865 §7

// authorizer and accountant are functions as ports.
type authorizer func(context.Context, *aaa.Request) (aaa.Decision, error)

func (f authorizer) Authorize(ctx context.Context, r *aaa.Request) (aaa.Decision, error) {
	return f(ctx, r)
}

// accountant is a ledger that waits for each request by itself.
type accountant func(context.Context, *aaa.Request) error

func (accountant) Record(*aaa.Request) *aaa.Record { return &aaa.Record{} }
func (accountant) Stored(*aaa.Record)              {}

func (f accountant) Post(ps []*aaa.Posting) {
	for _, p := range ps {
		go func() {
			p.Err = f(context.Background(), &p.Owner.(*exchange).request)
			aaa.TellPosted([]*aaa.Posting{p})
		}()
	}
}

// clerk is an accountant with something to do when a request is read.
type clerk struct {
	accountant
	read func(*aaa.Request)
}

func (c clerk) Record(r *aaa.Request) *aaa.Record {
	c.read(r)
	return c.accountant.Record(r)
}

func accept(context.Context, *aaa.Request) (aaa.Decision, error) {
	return aaa.Decision{Verdict: aaa.Accept}, nil
}

func stored(context.Context, *aaa.Request) error { return nil }

// rig is a running server with everything around it.
type rig struct {
	t        testing.TB
	server   *Server
	dict     *dictionaries.Dictionary
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
	device   *nas.Device
	stop     func() error // ends Run and returns its error
}

// plan is what a rig is made of; zero fields have defaults.
type plan struct {
	options Options
	auth    authorizer
	acct    Accountant
	devices []*nas.Device
	level   zapcore.Level
	setup   func(*Server) // before Run
}

func deviceOf(prefix string, change ...func(*nas.Settings)) *nas.Device {
	d := &nas.Device{Row: nas.Row{ID: 1, Name: prefix, Secret: secret}, Prefix: netip.MustParsePrefix(prefix), Learnt: &nas.Learnt{}}
	for _, c := range change {
		c(&d.Settings)
	}
	return d
}

// start runs a server on free ports of loopback until the test ends.
func start(t testing.TB, p plan) *rig {
	t.Helper()
	r := &rig{t: t, registry: prometheus.NewRegistry()}
	if p.options.AuthListen == nil && p.options.AcctListen == nil {
		p.options.AuthListen, p.options.AcctListen = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	}
	if p.options.Sockets == 0 {
		p.options.Sockets = 2
	}
	if p.auth == nil {
		p.auth = accept
	}
	if p.acct == nil {
		p.acct = accountant(stored)
	}
	if p.devices == nil {
		p.devices = []*nas.Device{deviceOf("127.0.0.0/8")}
	}
	r.device = p.devices[0]
	table, _ := nas.NewTable(p.devices)
	core, logs := observer.New(p.level)
	r.logs = logs
	var err error
	if r.dict, err = dictionaries.Load(); err != nil {
		t.Fatal(err)
	}
	r.server, err = NewServer(p.options, r.dict, table, p.auth, p.acct, NewMetrics(r.registry), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.Listen(); err != nil {
		t.Fatal(err)
	}
	if p.setup != nil {
		p.setup(r.server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.server.Run(ctx) }()
	stopped := false
	var result error
	r.stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-ended
		}
		return result
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func (r *rig) authAddr() netip.AddrPort { return r.server.AuthAddrs()[0] }
func (r *rig) acctAddr() netip.AddrPort { return r.server.AcctAddrs()[0] }

// count sums a metric over all series whose labels contain the given values.
func (r *rig) count(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != "radial_radius_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			matched := 0
			for _, l := range m.GetLabel() {
				for _, want := range labels {
					if l.GetValue() == want {
						matched++
					}
				}
			}
			if matched == len(labels) {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found {
		r.t.Fatalf("no metric %s%v", name, labels)
	}
	return sum
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// client is a UDP socket of a device.
type client struct {
	t    testing.TB
	conn *net.UDPConn
}

func (r *rig) dial(to netip.AddrPort) *client { return dial(r.t, to) }

func dial(t testing.TB, to netip.AddrPort) *client {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn}
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next datagram, or nil after the wait.
func (c *client) receive(wait time.Duration) []byte {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 5000)
	n, err := c.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return b[:n]
}

// ask sends a request and returns its reply, which must come and be signed.
func (c *client) ask(request []byte) []byte {
	c.t.Helper()
	c.send(request)
	reply := c.receive(5 * time.Second)
	if reply == nil {
		c.t.Fatal("no reply")
	}
	checkReply(c.t, reply, request, secret)
	return reply
}

// checkReply judges a reply with layeh's code and crypto/hmac.
func checkReply(t testing.TB, reply, request []byte, secret string) {
	t.Helper()
	if !wire.IsAuthenticResponse(reply, request, []byte(secret)) {
		t.Fatalf("reply %x: authenticator does not hold", reply)
	}
	if reply[1] != request[1] {
		t.Fatalf("reply has id %d, want %d", reply[1], request[1])
	}
	if reply[0] == byte(wire.CodeAccountingResponse) {
		return
	}
	if len(reply) < 38 || reply[20] != 80 || reply[21] != 18 {
		t.Fatalf("reply %x: Message-Authenticator is not its first attribute", reply)
	}
	b := append([]byte(nil), reply...)
	copy(b[4:20], request[4:20])
	clear(b[22:38])
	h := hmac.New(md5.New, []byte(secret))
	h.Write(b)
	if !hmac.Equal(h.Sum(nil), reply[22:38]) {
		t.Fatalf("reply %x: Message-Authenticator does not hold", reply)
	}
}

// made builds a request; build adds to it before it is signed.
type made struct {
	code   wire.Code
	id     byte
	attrs  []byte
	ma     bool   // add a Message-Authenticator at the end
	secret string // default: secret
	auth   [16]byte
}

func (m made) bytes() []byte {
	if m.secret == "" {
		m.secret = secret
	}
	b := append([]byte{byte(m.code), m.id, 0, 0}, m.auth[:]...)
	b = append(b, m.attrs...)
	ma := 0
	if m.ma {
		ma = len(b) + 2
		b = append(b, 80, 18)
		b = append(b, make([]byte, 16)...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if ma > 0 {
		h := hmac.New(md5.New, []byte(m.secret))
		h.Write(b)
		copy(b[ma:], h.Sum(nil))
	}
	if m.code == wire.CodeAccountingRequest {
		sum := md5.Sum(append(append([]byte(nil), b...), m.secret...))
		copy(b[4:], sum[:])
	}
	return b
}

// attr is one attribute's bytes.
func attr(kind byte, value string) []byte {
	return append([]byte{kind, byte(len(value) + 2)}, value...)
}

func attrs(list ...[]byte) (all []byte) {
	for _, a := range list {
		all = append(all, a...)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pap is an ordinary request with a password of 16 bytes.
func pap(id byte, change ...func(*made)) []byte {
	m := made{code: wire.CodeAccessRequest, id: id, auth: [16]byte{1, 2, 3, id}, attrs: attrs(attr(1, "nemo"), attr(2, "0123456789abcdef"))}
	for _, c := range change {
		c(&m)
	}
	return m.bytes()
}

func signedToo(m *made) { m.ma = true }

func with(a ...[]byte) func(*made) {
	return func(m *made) { m.attrs = append(m.attrs, attrs(a...)...) }
}

func startPacket(id byte, change ...func(*made)) []byte {
	m := made{code: wire.CodeAccountingRequest, id: id, attrs: attrs(attr(40, "\x00\x00\x00\x01"), attr(44, "81000001"), attr(1, "nemo"))}
	for _, c := range change {
		c(&m)
	}
	return m.bytes()
}

var zapPanic = zap.Any("panic", "odd")

var split = strings.Fields

func dialFrom(ip string, to netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}, net.UDPAddrFromAddrPort(to))
}
