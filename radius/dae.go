package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	wire "layeh.com/radius"

	"radial/dictionaries"
	"radial/nas"
)

// DAE is a dynamic authorization client (RFC 5176) for many devices at once:
// CoA and Disconnect go from one socket for each source address, and a table
// tells which reply is whose. It is safe for concurrent use; thousands may be
// under way. Run reads the replies.
type DAE struct {
	dict   *dictionaries.Dictionary
	opts   DAEOptions
	now    func() time.Time
	event  *dictionaries.Attribute // Event-Timestamp
	cause  *dictionaries.Attribute // Error-Cause
	opened chan *daeSocket         // to Run
	ended  chan struct{}           // closed as Run ends

	mu      sync.Mutex
	sockets map[netip.Addr]*daeSocket // by source address; the zero one is the system's choice
}

// DAEOptions are the settings of a DAE.
type DAEOptions struct {
	Timeout time.Duration // of the first try; each further one waits twice as long (RFC 5080 §2.2.1). Default 1 s
	Tries   int           // default 4
	// PerDevice is how many requests may be under way to one device; more wait
	// their turn. At most 256, the Identifiers that there are; default 32.
	PerDevice int
}

// DefaultDAEOptions are the values of DAEOptions that stand for 0.
func DefaultDAEOptions() DAEOptions {
	return DAEOptions{Timeout: time.Second, Tries: 4, PerDevice: 32}
}

// maxWait bounds the time from the first to the last try: a device refuses what
// its Event-Timestamp says is older than 300 s (RFC 5176 §3.3), and a request that
// is sent again must be the same to the byte.
const maxWait = 240 * time.Second

// wait is how long a request may be under way.
func (o *DAEOptions) wait() (all time.Duration) {
	for one, try := o.Timeout, 0; try < o.Tries && all <= maxWait; try++ {
		all, one = all+one, 2*one
	}
	return all
}

// DAERequest is a CoA or Disconnect for one device.
type DAERequest struct {
	To     netip.AddrPort // the device's dynamic authorization server: port 3799 or 1700, as its row says
	Secret nas.Secret
	From   netip.Addr // source address that the device takes it from; the zero one leaves it to the system
	Code   Code       // DisconnectRequest or CoARequest
	Pairs  dictionaries.Pairs
}

// DAEReply is a device's verified answer. NAKs are answers too. An ACK promises no
// Stop.
type DAEReply struct {
	ACK   bool
	Cause ErrorCause // of a NAK, sometimes of an ACK; 0 where the device does not say
	Pairs dictionaries.Pairs
	Tries int
	RTT   time.Duration // from the last send
}

// ErrDAEClosed is what Do returns once Run has ended.
var ErrDAEClosed = errors.New("the dynamic authorization client has ended")

// NewDAE makes a client. It opens no socket before the first request.
func NewDAE(dict *dictionaries.Dictionary, o DAEOptions, now func() time.Time) (*DAE, error) {
	standard := DefaultDAEOptions()
	if o.Timeout <= 0 {
		o.Timeout = standard.Timeout
	}
	if o.Tries <= 0 {
		o.Tries = standard.Tries
	}
	if o.PerDevice <= 0 {
		o.PerDevice = standard.PerDevice
	}
	d := &DAE{
		dict: dict, opts: o, now: now, event: dict.Find("Event-Timestamp"), cause: dict.Find("Error-Cause"),
		opened: make(chan *daeSocket), ended: make(chan struct{}), sockets: map[netip.Addr]*daeSocket{},
	}
	if o.PerDevice > 256 {
		return nil, fmt.Errorf("%d requests under way to a device: at most 256, one for each Identifier", o.PerDevice)
	}
	if o.wait() > maxWait {
		return nil, fmt.Errorf("%d tries, the first after %s and each after twice as long: a device refuses what is older than 300 s, so all together at most %s", o.Tries, o.Timeout, maxWait)
	}
	if d.event == nil || d.cause == nil {
		return nil, errors.New("the dictionary lacks Event-Timestamp or Error-Cause")
	}
	return d, nil
}

// Run reads replies until ctx ends; requests under way fail then.
func (d *DAE) Run(ctx context.Context) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	defer d.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-d.opened:
			readers.Go(s.read)
		}
	}
}

// close ends those who wait, for an answer or for Run, and all sockets.
func (d *DAE) close() {
	close(d.ended)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sockets {
		_ = s.conn.Close() // nothing is buffered in a UDP socket
	}
}

// Do sends a request and waits for the verified answer, sending the same bytes
// again when there is none in time. Event-Timestamp is added (a device may
// refuse what is older than 300 s), and so is Message-Authenticator. The error
// wraps ErrNoAnswer where nothing valid came: what the device did is not known
// then, and a device that has another secret is silent.
func (d *DAE) Do(ctx context.Context, r DAERequest) (*DAEReply, error) {
	s, err := d.socket(ctx, r.From.Unmap())
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", r.Code, r.To, err)
	}
	reply, err := s.do(ctx, d, r)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", r.Code, r.To, err)
	}
	return reply, nil
}

// socket is the one that sends from an address.
func (d *DAE) socket(ctx context.Context, from netip.Addr) (*daeSocket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ended:
		return nil, ErrDAEClosed
	default:
	}
	if s := d.sockets[from]; s != nil {
		return s, nil
	}
	var at net.UDPAddr
	if from.IsValid() {
		at.IP = from.AsSlice()
	}
	conn, err := net.ListenUDP("udp", &at)
	if err != nil {
		return nil, err
	}
	s := &daeSocket{conn: conn, waiting: map[daeKey]*daeWait{}, devices: map[netip.AddrPort]*daeDevice{}, perDevice: d.opts.PerDevice}
	select {
	case d.opened <- s:
		d.sockets[from] = s
		return s, nil
	case <-d.ended:
		return nil, errors.Join(ErrDAEClosed, conn.Close())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), conn.Close())
	}
}

// daeSocket is a socket and who waits for what on it.
type daeSocket struct {
	conn      *net.UDPConn
	perDevice int

	mu      sync.Mutex
	waiting map[daeKey]*daeWait
	devices map[netip.AddrPort]*daeDevice
}

// daeKey is what a reply is known by: who sends it, and its Identifier.
type daeKey struct {
	device netip.AddrPort
	id     byte
}

// daeDevice gives out the Identifiers of a device, one after the other, so
// that one comes back as late as can be.
type daeDevice struct {
	next  byte
	slots chan struct{}
}

// daeWait is a request under way. judge verifies a datagram that may answer it.
type daeWait struct {
	judge   func(datagram []byte) (*Reply, error)
	reply   chan *Reply
	failure error // of the last datagram that was not valid; the socket's lock
}

// read hands each datagram to the one who waits for it.
func (s *daeSocket) read() {
	buf := make([]byte, wire.MaxPacketLength+1)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < headerLen {
			continue // the news of an earlier send that was refused, or a scrap
		}
		s.take(daeKey{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[1]}, buf[:n])
	}
}

func (s *daeSocket) take(key daeKey, datagram []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[key]
	if w == nil || w.judge == nil {
		return // late, or a stranger's
	}
	reply, err := w.judge(datagram)
	if err != nil {
		w.failure = err
		return
	}
	select {
	case w.reply <- reply:
	default: // a second answer
	}
}

// do is one request, from its Identifier to its answer.
func (s *daeSocket) do(ctx context.Context, d *DAE, r DAERequest) (*DAEReply, error) {
	r.To = netip.AddrPortFrom(r.To.Addr().Unmap(), r.To.Port())
	device := s.device(r.To)
	select {
	case device.slots <- struct{}{}:
		defer func() { <-device.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.ended:
		return nil, ErrDAEClosed
	}
	c := &Client{addr: r.To.String(), secret: []byte(r.Secret.Reveal()), dict: d.dict, now: d.now}
	pairs := append(append(dictionaries.Pairs(nil), r.Pairs...), dictionaries.Pair{Attr: d.event, Value: timestamp(d.now())})
	w := &daeWait{reply: make(chan *Reply, 1)}
	key := daeKey{device: r.To}
	s.mu.Lock()
	for key.id = device.next; s.waiting[key] != nil; key.id++ { // one is free: there are at most 256 slots
	}
	device.next = key.id + 1
	s.waiting[key] = w
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, key)
	}()
	request, err := c.encodeAs(key.id, r.Code, pairs, [16]byte{})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	w.judge = func(datagram []byte) (*Reply, error) { return c.decode(datagram, request) }
	s.mu.Unlock()
	return s.await(ctx, d, w, r.To, request)
}

// await sends the request as often as need be.
func (s *daeSocket) await(ctx context.Context, d *DAE, w *daeWait, to netip.AddrPort, request []byte) (*DAEReply, error) {
	wait := jittered(d.opts.Timeout)
	for try := 1; try <= d.opts.Tries; try++ {
		sent := d.now()
		if _, err := s.conn.WriteToUDPAddrPort(request, to); errors.Is(err, net.ErrClosed) {
			return nil, ErrDAEClosed // Run has ended since the socket was looked up
		} else if err != nil {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-d.ended:
			timer.Stop()
			return nil, ErrDAEClosed
		case reply := <-w.reply:
			timer.Stop()
			return d.outcome(reply, try, d.now().Sub(sent)), nil
		case <-timer.C:
			wait = jittered(2 * wait)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.failure != nil {
		return nil, fmt.Errorf("after %d tries: %w: %w", d.opts.Tries, ErrNoAnswer, w.failure)
	}
	return nil, fmt.Errorf("after %d tries: %w", d.opts.Tries, ErrNoAnswer)
}

func (d *DAE) outcome(reply *Reply, tries int, rtt time.Duration) *DAEReply {
	out := &DAEReply{ACK: reply.Code == DisconnectACK || reply.Code == CoAACK, Pairs: reply.Pairs, Tries: tries, RTT: rtt}
	if v, ok := reply.Pairs.Value(d.cause); ok && len(v) == 4 {
		out.Cause = ErrorCause(uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3]))
	}
	return out
}

// timestamp is a time as attributes have it: seconds since 1970, four bytes.
func timestamp(t time.Time) []byte {
	n := uint32(t.Unix())
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// device is a device's place in the table. It stays, for its next Identifier: to
// begin anew at random could repeat a packet of a moment ago, to the byte, and the
// device would answer what it answered then.
func (s *daeSocket) device(at netip.AddrPort) *daeDevice {
	s.mu.Lock()
	defer s.mu.Unlock()
	device := s.devices[at]
	if device == nil {
		device = &daeDevice{slots: make(chan struct{}, s.perDevice), next: randomAuthenticator()[0]}
		s.devices[at] = device
	}
	return device
}
