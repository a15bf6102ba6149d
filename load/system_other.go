//go:build !linux

package load

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

const datagramMax = 4096 // RFC 2865 §3

// socket is a UDP socket; only on Linux it works in batches.
type socket struct {
	conn *net.UDPConn
	buf  [datagramMax]byte
	n    int
}

// endpoint is where a socket sends to; nil on a connected socket.
type endpoint struct{ to netip.AddrPort }

func newEndpoint(ap netip.AddrPort) *endpoint { return &endpoint{ap} }

func newSocket(conn *net.UDPConn) (*socket, error) { return &socket{conn: conn}, nil }

func (s *socket) receive() (int, error) {
	n, err := s.conn.Read(s.buf[:])
	s.n = n
	return min(n, 1), err
}

func (s *socket) datagram(int) []byte { return s.buf[:s.n] }

func (s *socket) send(packet []byte, to *endpoint) (err error) {
	if to == nil {
		_, err = s.conn.Write(packet)
	} else {
		_, err = s.conn.WriteToUDPAddrPort(packet, to.to)
	}
	if err != nil {
		return fmt.Errorf("load: send: %w", err)
	}
	return nil
}

func (s *socket) flush() error { return nil }

// cpuTime is not measured here.
func cpuTime() (time.Duration, error) { return 0, nil }
