package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize   = 64   // datagrams to a system call
	datagramMax = 4096 // RFC 2865 §3
	socketBytes = 1 << 20
	sharedMax   = 1232 // octets of a datagram that goes to the kernel with others: what fits every link of IPv6
	sharedMany  = 48   // and how many go together: in all less than 64 KiB
	cutLen      = 24   // space for UDP_SEGMENT
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// calls is the memory of recvmmsg or sendmmsg on one socket, made once: a call
// allocates nothing.
type calls struct {
	hdrs [batchSize]mmsghdr
	iovs [batchSize]unix.Iovec
}

// do makes the call for the first n headers, and never waits.
func (c *calls) do(trap uintptr, fd, n int) (int, syscall.Errno) {
	for {
		done, _, err := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&c.hdrs[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		if err != unix.EINTR {
			return int(done), err
		}
	}
}

// socket is a UDP socket that takes and sends datagrams in batches. Go's own
// poller does not know it: that wakes to the millisecond only, which is much
// for a clock of arrivals.
type socket struct {
	fd     int
	in     calls
	out    calls
	queued int
	to     [batchSize]*endpoint    // of what is queued
	cuts   [batchSize][cutLen]byte // control messages
	singly bool                    // the kernel does not cut up what this socket sends
	bufs   [batchSize][datagramMax]byte
}

// endpoint is where a socket sends to; nil on a connected socket.
type endpoint struct {
	name [unix.SizeofSockaddrInet6]byte
	len  uint32
}

func newEndpoint(ap netip.AddrPort) *endpoint {
	e := &endpoint{}
	if a := ap.Addr().Unmap(); a.Is4() {
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&e.name[0]))
		raw.Family, raw.Addr = unix.AF_INET, a.As4()
		e.len = unix.SizeofSockaddrInet4
	} else {
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&e.name[0]))
		raw.Family, raw.Addr = unix.AF_INET6, a.As16()
		e.len = unix.SizeofSockaddrInet6
	}
	e.name[2], e.name[3] = byte(ap.Port()>>8), byte(ap.Port())
	return e
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if a := ap.Addr().Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

// openSocket makes a socket of the family of an address, bound to local and
// connected to to, as far as these are valid.
func openSocket(six bool, local netip.Addr, to netip.AddrPort) (*socket, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd: fd}
	errs := []error{
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBytes)),
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBytes)),
	}
	if local.IsValid() {
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(local, 0))); err != nil {
			errs = append(errs, fmt.Errorf("bind to %s: %w", local, err))
		}
	}
	if to.IsValid() { // which spares the kernel a look-up for each datagram
		if err := unix.Connect(fd, sockaddr(to)); err != nil {
			errs = append(errs, fmt.Errorf("connect to %s: %w", to, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, s.close())
	}
	for i := range s.bufs {
		s.in.hdrs[i].hdr.Iov = &s.in.iovs[i]
		s.in.hdrs[i].hdr.SetIovlen(1)
		s.in.iovs[i].Base = &s.bufs[i][0]
		s.in.iovs[i].SetLen(datagramMax)
	}
	return s, nil
}

func (s *socket) close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

// receive takes the datagrams that are there and returns how many; datagram
// has them until the next call.
func (s *socket) receive() (int, error) {
	switch n, err := s.in.do(unix.SYS_RECVMMSG, s.fd, batchSize); err {
	case 0:
		return n, nil
	case unix.EAGAIN, unix.ECONNREFUSED: // refused: an earlier datagram met a closed port; the server is away for the moment
		return 0, nil
	default:
		return 0, os.NewSyscallError("recvmmsg", err)
	}
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
	s.to[i] = to
	s.queued++
	return nil
}

// message makes one of the datagrams from one on that follow each other to one endpoint and
// have one size, and returns how many it holds: the kernel cuts it up
// (UDP_SEGMENT), which is less work for it than to take them one by one.
func (s *socket) message(m, from int) int {
	size := s.out.iovs[from].Len
	n := 1
	for !s.singly && from+n < s.queued && n < sharedMany && size <= sharedMax && s.to[from+n] == s.to[from] && s.out.iovs[from+n].Len == size {
		n++
	}
	h := &s.out.hdrs[m].hdr
	h.Iov = &s.out.iovs[from]
	h.SetIovlen(n)
	if to := s.to[from]; to != nil {
		h.Name, h.Namelen = &to.name[0], to.len
	}
	h.Control = nil
	h.SetControllen(0)
	if n > 1 {
		cut := (*unix.Cmsghdr)(unsafe.Pointer(&s.cuts[m]))
		cut.Level, cut.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		cut.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(s.cuts[m][unix.CmsgLen(0):], uint16(size))
		h.Control = &s.cuts[m][0]
		h.SetControllen(unix.CmsgSpace(2))
	}
	return n
}

// flush sends what is queued. A datagram that the kernel refuses is lost, as
// on a network; only that the socket is gone is an error.
func (s *socket) flush() error {
	refused := false
	for done := 0; done < s.queued; {
		var held [batchSize]int // datagrams of each message
		m := 0
		for i := done; i < s.queued; i += held[m-1] {
			held[m] = s.message(m, i)
			m++
		}
		n, err := s.out.do(unix.SYS_SENDMMSG, s.fd, m)
		switch {
		case err == 0:
			for _, k := range held[:n] {
				done += k
			}
			refused = false
		case err == unix.ECONNREFUSED && !refused:
			refused = true // that was told of an earlier datagram: this one has not been tried
		case err == unix.EAGAIN:
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 100); err != nil && err != unix.EINTR {
				return os.NewSyscallError("poll", err)
			}
		case err == unix.EBADF:
			return os.NewSyscallError("sendmmsg", err)
		case held[0] > 1 && (err == unix.EINVAL || err == unix.EIO):
			s.singly = true
		default:
			done += held[0]
			refused = false
		}
	}
	s.queued = 0
	return nil
}

// poller waits for several sockets.
type poller struct {
	fd     int
	events [maxSockets]unix.EpollEvent
	fds    [1]unix.PollFd
}

func newPoller(lanes []*lane) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	p := &poller{fd: fd}
	for i, l := range lanes {
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, l.socket.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return nil, errors.Join(os.NewSyscallError("epoll_ctl", err), p.close())
		}
	}
	return p, nil
}

// sleep lets a time pass.
func (p *poller) sleep(d time.Duration) error {
	timeout := unix.NsecToTimespec(int64(d))
	_, _, err := waiting()(unix.SYS_PPOLL, 0, 0, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	if err != 0 && err != unix.EINTR {
		return os.NewSyscallError("ppoll", err)
	}
	return nil
}

// waiting is how a call is made that waits.
func waiting() func(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	if runtime.GOMAXPROCS(0) == 1 {
		return unix.Syscall6 // the other goroutines have no processor else
	}
	return unix.RawSyscall6
}

// wait returns how many sockets have datagrams, at once or up to a time later;
// lane tells which. It waits by ppoll, whose time is in nanoseconds, and without
// a word to Go's scheduler: that would take the wait for a call that hangs,
// and look after it every 20 µs. Its signals still end the wait.
func (p *poller) wait(most time.Duration) (int, error) {
	if most > 0 {
		timeout := unix.NsecToTimespec(int64(most))
		p.fds[0] = unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN}
		n, _, err := waiting()(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p.fds[0])), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
		if err != 0 && err != unix.EINTR {
			return 0, os.NewSyscallError("ppoll", err)
		}
		if n == 0 || err != 0 {
			return 0, nil
		}
	}
	n, err := unix.EpollWait(p.fd, p.events[:], 0)
	if err == unix.EINTR {
		return 0, nil
	}
	return n, os.NewSyscallError("epoll_wait", err)
}

// lane is the number of the ith lane that has datagrams.
func (p *poller) lane(i int) int { return int(p.events[i].Fd) }

func (p *poller) close() error { return os.NewSyscallError("close", unix.Close(p.fd)) }

// cpuTime is the processor time of this process so far, user and system.
func cpuTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, os.NewSyscallError("getrusage", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
