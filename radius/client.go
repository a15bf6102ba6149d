package radius

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	wire "layeh.com/radius"

	"radial/dictionaries"
	"radial/nas"
)

// Code is a packet's code; it prints its name.
type Code = wire.Code

// The codes of requests that a Client sends and of the replies to them.
const (
	AccessRequest      = wire.CodeAccessRequest
	AccessAccept       = wire.CodeAccessAccept
	AccessReject       = wire.CodeAccessReject
	AccessChallenge    = wire.CodeAccessChallenge
	AccountingRequest  = wire.CodeAccountingRequest
	AccountingResponse = wire.CodeAccountingResponse
	StatusServer       = wire.CodeStatusServer
	DisconnectRequest  = wire.CodeDisconnectRequest
	DisconnectACK      = wire.CodeDisconnectACK
	DisconnectNAK      = wire.CodeDisconnectNAK
	CoARequest         = wire.CodeCoARequest
	CoAACK             = wire.CodeCoAACK
	CoANAK             = wire.CodeCoANAK
)

// Why an exchange brought no reply. An error of Exchange wraps the one that the
// last packet gave rise to; ErrNoAnswer means that there was none at all.
var (
	ErrNoAnswer                = errors.New("no answer")
	ErrBadReply                = errors.New("the reply is malformed")
	ErrBadAuthenticator        = errors.New("the reply's authenticator is wrong: the secrets differ, or it is forged")
	ErrBadMessageAuthenticator = errors.New("the reply's Message-Authenticator is wrong: the secrets differ, or it is forged")
	ErrNoMessageAuthenticator  = errors.New("the reply has no Message-Authenticator")
	ErrUnexpectedCode          = errors.New("the reply's code does not answer the request")
)

// ClientOptions are the settings of a Client. The zero value is usable.
type ClientOptions struct {
	// Timeout is how long the first try waits; each further one waits twice as
	// long as the one before, all with jitter (RFC 5080 §2.2.1). Default 2 s.
	Timeout time.Duration
	// Tries is how often a request is sent before it is given up. Default 3.
	Tries int
	// Local is the source address; the zero value lets the system choose.
	Local netip.AddrPort
	// RequireMessageAuthenticator refuses replies without one. FreeRADIUS
	// before 3.2.5 sends none in answer to PAP and CHAP.
	RequireMessageAuthenticator bool
	// Sent, when set, is called with each request as it is about to leave for
	// the first time.
	Sent func(Sent)
}

// Sent describes a request.
type Sent struct {
	Code     Code
	ID       uint8
	Length   int // bytes on the wire
	From, To netip.AddrPort
	Pairs    dictionaries.Pairs
}

// Reply is a verified reply.
type Reply struct {
	Code     Code
	ID       uint8
	Length   int            // bytes on the wire
	From, To netip.AddrPort // the server; ourselves
	Pairs    dictionaries.Pairs
	// MessageAuthenticator tells whether it had one (which then was right).
	MessageAuthenticator bool
	Tries                int           // sends of the request
	RTT                  time.Duration // from the last send
}

// Client sends requests to one server: a NAS for testing, or a dynamic
// authorization client (RFC 5176). It is safe for concurrent use; each exchange
// has a socket of its own, with a port that an attacker has to guess.
type Client struct {
	addr   string
	secret []byte
	dict   *dictionaries.Dictionary
	opts   ClientOptions
	now    func() time.Time
}

// NewClient returns a client for the server at addr (host:port, IPv4 or IPv6).
func NewClient(addr string, secret nas.Secret, dict *dictionaries.Dictionary, opts ClientOptions) *Client {
	if opts.Timeout <= 0 {
		opts.Timeout = 2 * time.Second
	}
	if opts.Tries <= 0 {
		opts.Tries = 3
	}
	return &Client{addr: addr, secret: []byte(secret.Reveal()), dict: dict, opts: opts, now: time.Now}
}

// Exchange sends a request of code with pairs and waits for the reply to it,
// sending it again when there is none in time. Message-Authenticator goes first
// in every request. A packet that is not a valid reply is passed over, as RFC
// 2865 §3 says, and named in the error when no valid one follows. The error
// wraps one of the sentinels above, ctx's error, or what the network or a value
// that cannot be encoded said.
func (c *Client) Exchange(ctx context.Context, code Code, pairs dictionaries.Pairs) (*Reply, error) {
	return c.exchange(ctx, code, pairs, randomAuthenticator())
}

func (c *Client) exchange(ctx context.Context, code Code, pairs dictionaries.Pairs, authenticator [16]byte) (*Reply, error) {
	request, err := c.encode(code, pairs, authenticator)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", code, c.addr, err)
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", code, c.addr, err)
	}
	defer func() { _ = conn.Close() }() // nothing is buffered in a UDP socket
	x := &clientExchange{c: c, conn: conn, request: request, code: code}
	x.local, x.remote = addrPortOf(conn.LocalAddr()), addrPortOf(conn.RemoteAddr())
	if c.opts.Sent != nil {
		c.opts.Sent(Sent{Code: code, ID: request[1], Length: len(request), From: x.local, To: x.remote, Pairs: pairs})
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // wakes the read; fails only when closed
	defer stop()
	reply, err := x.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", code, c.addr, err)
	}
	return reply, nil
}

func (c *Client) dial(ctx context.Context) (*net.UDPConn, error) {
	var d net.Dialer
	if c.opts.Local.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(c.opts.Local)
	}
	conn, err := d.DialContext(ctx, "udp", c.addr)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// clientExchange is one request under way.
type clientExchange struct {
	c             *Client
	conn          *net.UDPConn
	request       []byte
	code          Code
	local, remote netip.AddrPort
	failure       error // of the last packet that was not a valid reply
}

func (x *clientExchange) run(ctx context.Context) (*Reply, error) {
	wait := jittered(x.c.opts.Timeout)
	begun := x.c.now()
	for try := 1; try <= x.c.opts.Tries; try++ {
		if err := x.send(); err != nil {
			return nil, err
		}
		sent := x.c.now()
		reply, err := x.await(ctx, sent.Add(wait))
		if err != nil {
			return nil, err
		}
		if reply != nil {
			reply.Tries, reply.RTT = try, x.c.now().Sub(sent)
			return reply, nil
		}
		wait = jittered(2 * wait)
	}
	if x.failure == nil {
		x.failure = ErrNoAnswer
	}
	return nil, fmt.Errorf("after %d tries in %s: %w", x.c.opts.Tries, x.c.now().Sub(begun).Round(time.Millisecond), x.failure)
}

// send writes the request. A refusal is the news of an earlier try, and nothing
// was sent with it.
func (x *clientExchange) send() error {
	_, err := x.conn.Write(x.request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		if _, err = x.conn.Write(x.request); errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
	}
	return err
}

// await reads until a valid reply or the deadline, whose passing is neither.
func (x *clientExchange) await(ctx context.Context, deadline time.Time) (*Reply, error) {
	if err := x.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	buf := make([]byte, wire.MaxPacketLength+1)
	for {
		if err := ctx.Err(); err != nil { // after the deadline was set, so that a cancellation is not overwritten
			return nil, err
		}
		n, err := x.conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, ctx.Err()
		case errors.Is(err, syscall.ECONNREFUSED):
			// Nothing listens there now; it may be starting, as a NAS would hope.
			x.failure = fmt.Errorf("%w: %w", ErrNoAnswer, syscall.ECONNREFUSED)
			continue
		case err != nil:
			return nil, err
		}
		reply, err := x.c.decode(buf[:n], x.request)
		if err == nil {
			reply.From, reply.To = x.remote, x.local
			return reply, nil
		}
		if !errors.Is(err, errNotOurs) {
			x.failure = err
		}
	}
}

// jittered returns d plus or minus up to a tenth, so that many clients that lost
// their server together do not ask again together (RFC 5080 §2.2.1).
func jittered(d time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	span := uint64(d)/5 + 1
	return d - time.Duration(span/2) + time.Duration(binary.BigEndian.Uint64(b[:])%span)
}

func randomAuthenticator() (a [16]byte) {
	rand.Read(a[:]) // never fails: crypto/rand ends the process instead
	return a
}

func addrPortOf(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
