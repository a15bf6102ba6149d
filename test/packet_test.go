package test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"radial/test/harness"
)

// The packets here are made byte by byte, by no codec of ours: what they test
// is how a server takes bytes of strangers.

// Codes and attributes of RFC 2865, 2866, 2869, 5997.
const (
	accessRequest, accessAccept, accessReject, accessChallenge = 1, 2, 3, 11
	accountingRequest, accountingResponse                      = 4, 5
	statusServer, disconnectRequest                            = 12, 40

	userName, userPassword, chapPassword, nasPort   = 1, 2, 3, 5
	replyMessage, state, callingStation, proxyState = 18, 24, 31, 33
	acctStatus                                      = 40
	acctSessionID, eapMessage, messageAuth          = 44, 79, 80
)

// request says how a packet is made.
type request struct {
	code, id byte
	secret   string
	attrs    []byte
	ma       bool // a Message-Authenticator that holds is put last
}

// serial makes authenticators that never repeat.
var serial = new(atomic.Uint64)

// av is an attribute.
func av(kind byte, value string) []byte {
	return append([]byte{kind, byte(len(value) + 2)}, value...)
}

// bytes makes the packet: signed as its code asks for.
func (r request) bytes() []byte {
	b := append([]byte{r.code, r.id, 0, 0}, make([]byte, 16)...)
	binary.BigEndian.PutUint64(b[4:], serial.Add(1))
	copy(b[12:], "authntcr")
	if r.code == accountingRequest {
		clear(b[4:20])
	}
	b = append(b, r.attrs...)
	if r.ma {
		b = append(b, av(messageAuth, strings.Repeat("\x00", 16))...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if r.ma {
		mac := hmac.New(md5.New, []byte(r.secret))
		mac.Write(b)
		copy(b[len(b)-16:], mac.Sum(nil))
	}
	if r.code == accountingRequest {
		sum := md5.Sum(append(slices.Clone(b), r.secret...))
		copy(b[4:], sum[:])
	}
	return b
}

// pap is an Access-Request with a hidden password (RFC 2865 section 5.2), of at
// most 16 bytes.
func pap(secret string, id byte, user, password string, more ...[]byte) []byte {
	r := request{code: accessRequest, id: id, secret: secret, attrs: slices.Concat(av(userName, user), av(userPassword, strings.Repeat("\x00", 16)), slices.Concat(more...))}
	b := r.bytes()
	hidden := md5.Sum(append([]byte(secret), b[4:20]...))
	at := 20 + len(user) + 2 + 2
	for i := range hidden {
		if i < len(password) {
			hidden[i] ^= password[i]
		}
	}
	copy(b[at:], hidden[:])
	return b
}

// withLength sets a packet's Length field.
func withLength(b []byte, n int) []byte {
	b = slices.Clone(b)
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return b
}

// conn is a UDP client: connected, so that it hears only the address it asked.
type conn struct {
	t *testing.T
	net.Conn
	secret string
}

func dial(t *testing.T, from, to, secret string) *conn {
	t.Helper()
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &conn{t, c, secret}
}

func (c *conn) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next datagram, or nil after d.
func (c *conn) receive(d time.Duration) []byte {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 5000)
	n, err := c.Read(b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// patience is how long an answer may take on a busy machine.
const patience = 20 * time.Second

// ask sends a packet and returns its answer, which must be the first thing
// that comes back, and be signed.
func (c *conn) ask(b []byte) []byte {
	c.t.Helper()
	c.send(b)
	reply := c.receive(patience)
	if reply == nil {
		c.t.Fatalf("no answer to code %d, id %d", b[0], b[1])
	}
	if err := c.check(reply, b); err != nil {
		c.t.Fatal(err)
	}
	return reply
}

// check tells whether a reply is well-formed and signed for the request, with
// Message-Authenticator as the first attribute of Access-* replies.
func (c *conn) check(reply, asked []byte) error {
	if len(reply) < 20 || int(binary.BigEndian.Uint16(reply[2:])) != len(reply) {
		return fmt.Errorf("reply of %d bytes with another Length: % x", len(reply), reply)
	}
	if reply[1] != asked[1] {
		return fmt.Errorf("reply to id %d, asked with %d", reply[1], asked[1])
	}
	unsigned := slices.Clone(reply)
	copy(unsigned[4:20], asked[4:20])
	if sum := md5.Sum(append(slices.Clone(unsigned), c.secret...)); !bytes.Equal(sum[:], reply[4:20]) {
		return fmt.Errorf("reply's authenticator does not hold: % x", reply)
	}
	if reply[0] == accountingResponse {
		return nil
	}
	if len(reply) < 38 || reply[20] != messageAuth {
		return fmt.Errorf("Message-Authenticator is not the first attribute: % x", reply)
	}
	if asked[0] == accessRequest || asked[0] == statusServer {
		mac := hmac.New(md5.New, []byte(c.secret))
		clear(unsigned[22:38])
		mac.Write(unsigned)
		if !hmac.Equal(mac.Sum(nil), reply[22:38]) {
			return fmt.Errorf("reply's Message-Authenticator does not hold: % x", reply)
		}
	}
	return nil
}

// values are the values of all attributes of that type, in order.
func values(packet []byte, kind byte) (all []string) {
	for rest := packet[20:]; len(rest) >= 2; rest = rest[rest[1]:] {
		if rest[0] == kind {
			all = append(all, string(rest[2:rest[1]]))
		}
	}
	return all
}

// radclient sends one packet of the given lines and returns what came back:
// "Access-Accept" and the like, or "" for silence, with the whole output.
func radclient(t *testing.T, server, kind, secret string, lines ...string) (code, output string) {
	t.Helper()
	return radclientFor(t, "20", server, kind, secret, lines...)
}

// radclientFor waits that many seconds for the answer.
func radclientFor(t *testing.T, seconds, server, kind, secret string, lines ...string) (code, output string) {
	t.Helper()
	out := harness.Tool(t, strings.Join(lines, "\n")+"\n", "radclient", "-x", "-r", "1", "-t", seconds, server, kind, secret)
	for line := range strings.Lines(out.Stdout) {
		if rest, ok := strings.CutPrefix(line, "Received "); ok {
			code, _, _ = strings.Cut(rest, " ")
		}
	}
	return code, out.Stdout + out.Stderr
}
