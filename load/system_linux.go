package load

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize   = 64   // datagrams to a system call
	datagramMax = 4096 // RFC 2865 §3
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// calls is the memory of recvmmsg or sendmmsg on one socket. It belongs to one
// goroutine and is made once: a call allocates nothing.
type calls struct {
	hdrs     [batchSize]mmsghdr
	iovs     [batchSize]unix.Iovec
	do       func(fd uintptr) bool // made once: a closure for each call would be garbage
	from, to int
	n        int
	err      syscall.Errno
}

func (c *calls) init(trap uintptr) {
	c.do = func(fd uintptr) bool {
		for {
			n, _, err := unix.Syscall6(trap, fd, uintptr(unsafe.Pointer(&c.hdrs[c.from])), uintptr(c.to-c.from), unix.MSG_DONTWAIT, 0, 0)
			if err != unix.EINTR {
				c.n, c.err = int(n), err
				return err != unix.EAGAIN
			}
		}
	}
	for i := range c.hdrs {
		c.hdrs[i].hdr.Iov = &c.iovs[i]
		c.hdrs[i].hdr.SetIovlen(1)
	}
}

// socket is a UDP socket that takes and sends datagrams in batches.
type socket struct {
	conn   *net.UDPConn
	raw    syscall.RawConn
	in     calls
	out    calls
	queued int
	bufs   [batchSize][datagramMax]byte
}

// endpoint is where a socket sends to; nil on a connected socket.
type endpoint struct {
	name [unix.SizeofSockaddrInet6]byte
	len  uint32
}

func newEndpoint(ap netip.AddrPort) *endpoint {
	e := &endpoint{}
	binary.BigEndian.PutUint16(e.name[2:], ap.Port())
	if a := ap.Addr().Unmap(); a.Is4() {
		binary.NativeEndian.PutUint16(e.name[:], unix.AF_INET)
		v4 := a.As4()
		copy(e.name[4:], v4[:])
		e.len = unix.SizeofSockaddrInet4
		return e
	}
	binary.NativeEndian.PutUint16(e.name[:], unix.AF_INET6)
	v6 := ap.Addr().As16()
	copy(e.name[8:], v6[:])
	e.len = unix.SizeofSockaddrInet6
	return e
}

func newSocket(conn *net.UDPConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("load: socket: %w", err)
	}
	s := &socket{conn: conn, raw: raw}
	s.in.init(unix.SYS_RECVMMSG)
	s.out.init(unix.SYS_SENDMMSG)
	for i := range s.bufs {
		s.in.iovs[i].Base = &s.bufs[i][0]
		s.in.iovs[i].SetLen(datagramMax)
	}
	return s, nil
}

// receive waits for datagrams until the socket's deadline and returns how many
// there are; datagram has them until the next call.
func (s *socket) receive() (int, error) {
	s.in.from, s.in.to = 0, batchSize
	if err := s.raw.Read(s.in.do); err != nil {
		return 0, err
	}
	if s.in.err == unix.ECONNREFUSED { // an earlier datagram met a closed port: the server is away for the moment
		return 0, nil
	}
	if s.in.err != 0 {
		return 0, os.NewSyscallError("recvmmsg", s.in.err)
	}
	return s.in.n, nil
}

func (s *socket) datagram(i int) []byte { return s.bufs[i][:s.in.hdrs[i].len] }

// send queues a datagram, whose bytes must stay until flush has returned; a
// full queue is flushed.
func (s *socket) send(packet []byte, to *endpoint) error {
	if s.queued == batchSize {
		if err := s.flush(); err != nil {
			return err
		}
	}
	i := s.queued
	s.out.iovs[i].Base = &packet[0]
	s.out.iovs[i].SetLen(len(packet))
	if to != nil {
		s.out.hdrs[i].hdr.Name, s.out.hdrs[i].hdr.Namelen = &to.name[0], to.len
	}
	s.queued++
	return nil
}

// flush sends what is queued. A datagram that the kernel refuses is lost, as
// on a network; only that the socket is gone is an error.
func (s *socket) flush() error {
	refused := false
	for s.out.from, s.out.to = 0, s.queued; s.out.from < s.out.to; {
		if err := s.raw.Write(s.out.do); err != nil {
			return fmt.Errorf("load: send: %w", err)
		}
		switch {
		case s.out.err == 0:
			s.out.from += s.out.n
			refused = false
		case s.out.err == unix.ECONNREFUSED && !refused:
			refused = true // that was told of an earlier datagram: this one has not been tried
		case s.out.err == unix.EBADF:
			return os.NewSyscallError("sendmmsg", s.out.err)
		default:
			s.out.from++
			refused = false
		}
	}
	s.queued = 0
	return nil
}

// cpuTime is the processor time of this process so far, user and system.
func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
