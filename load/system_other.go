//go:build !linux

package load

import (
	"errors"
	"net/netip"
	"time"
)

// The load generator uses Linux's batches. Elsewhere the package builds, and
// Run says so.
var errNotLinux = errors.New("the load generator needs Linux")

const batchSize = 1

type socket struct{}

type endpoint struct{}

type poller struct{}

func newEndpoint(netip.AddrPort) *endpoint { return nil }

func openSocket(bool, netip.Addr, netip.AddrPort) (*socket, error) { return nil, errNotLinux }
func (*socket) close() error                                       { return nil }
func (*socket) receive() (int, error)                              { return 0, errNotLinux }
func (*socket) datagram(int) []byte                                { return nil }
func (*socket) send([]byte, *endpoint) error                       { return errNotLinux }
func (*socket) flush() error                                       { return nil }

func newPoller([]*lane) (*poller, error)        { return nil, errNotLinux }
func (*poller) wait(time.Duration) (int, error) { return 0, errNotLinux }
func (*poller) sleep(time.Duration) error       { return nil }
func (*poller) lane(int) int                    { return 0 }
func (*poller) close() error                    { return nil }

func cpuTime() (time.Duration, error) { return 0, errNotLinux }
