//go:build !linux

package radius

import (
	"errors"
	"net"
	"net/netip"
)

// The server's sockets use Linux's batches, SO_REUSEPORT and packet
// information. Elsewhere the package builds (for its client), and Listen says
// so.
var errNotLinux = errors.New("radius: the server needs Linux")

const batchSize = 64

type route struct{}

func (*route) local() netip.Addr { return netip.Addr{} }

func bind(string, int, int, bool) ([]*net.UDPConn, error) { return nil, errNotLinux }
func recvBufferOf(*net.UDPConn) (int, error)              { return 0, errNotLinux }

type receiver struct{}

func newReceiver(*net.UDPConn) (*receiver, error)          { return nil, errNotLinux }
func (*receiver) receive([]*exchange) (int, uint32, error) { return 0, 0, errNotLinux }

type sender struct{}

func newSender(*net.UDPConn, bool) (*sender, error)                  { return nil, errNotLinux }
func (*sender) send(xs []*exchange, f func(*exchange, error))        {}
func (*sender) trySend(xs []*exchange, f func(*exchange, error)) int { return len(xs) }
func stopped(error) bool                                             { return true }
func addrPort([]byte) netip.AddrPort                                 { return netip.AddrPort{} }
