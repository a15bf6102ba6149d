package radius

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many datagrams one system call takes or sends.
	batchSize = 64
	// controlLen holds IPV6_PKTINFO (40 bytes) and SO_RXQ_OVFL (24).
	controlLen = 80
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// The calls never wait (MSG_DONTWAIT) and go by without a word to Go's
// scheduler: it would take a long batch for a call that hangs, and give the
// processor away in the middle of it.

// batch is the memory of recvmmsg or sendmmsg calls on one socket. It belongs
// to one goroutine and is made once: a call allocates nothing. golang.org/x/net
// has the same calls, but makes an address for every datagram.
type batch struct {
	raw  syscall.RawConn
	hdrs [batchSize]mmsghdr
	iovs [batchSize]unix.Iovec

	call    func(fd uintptr) bool // made once: a closure for each call would be garbage
	tryCall func(fd uintptr)
	trap    uintptr
	from    int // first header of the call
	to      int
	n       int
	err     syscall.Errno
}

func newBatch(conn *net.UDPConn, trap uintptr) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{raw: raw, trap: trap}
	b.call = func(fd uintptr) bool {
		for {
			n, _, err := unix.RawSyscall6(b.trap, fd, uintptr(unsafe.Pointer(&b.hdrs[b.from])), uintptr(b.to-b.from), unix.MSG_DONTWAIT, 0, 0)
			if err == unix.EINTR {
				continue
			}
			b.n, b.err = int(n), err
			return err != unix.EAGAIN
		}
	}
	b.tryCall = func(fd uintptr) { b.call(fd) }
	return b, nil
}

// receiver takes datagrams from a socket.
type receiver struct {
	*batch
	drops uint32 // the kernel's count at the last datagram
}

func newReceiver(conn *net.UDPConn) (*receiver, error) {
	b, err := newBatch(conn, unix.SYS_RECVMMSG)
	return &receiver{batch: b}, err
}

// receive waits for datagrams and fills the exchanges, of which there are at
// most batchSize, from the first on; it returns how many. dropped is how many
// datagrams the kernel has dropped since the last call for want of buffer.
func (r *receiver) receive(xs []*exchange) (n int, dropped uint32, err error) {
	for i, x := range xs {
		r.iovs[i].Base = &x.datagram[0]
		r.iovs[i].SetLen(len(x.datagram))
		h := &r.hdrs[i].hdr
		h.Name, h.Namelen = &x.route.name[0], uint32(len(x.route.name))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &x.route.control[0]
		h.SetControllen(controlLen)
	}
	r.from, r.to = 0, len(xs)
	if err := r.raw.Read(r.call); err != nil {
		return 0, 0, err
	}
	if r.err != 0 {
		return 0, 0, os.NewSyscallError("recvmmsg", r.err)
	}
	for i, x := range xs[:r.n] {
		h := &r.hdrs[i]
		x.size = int(h.len)
		x.route.nameLen = h.hdr.Namelen
		x.source = addrPort(x.route.name[:h.hdr.Namelen])
		count, ok := x.route.takeControl(int(h.hdr.Controllen))
		if ok && count != r.drops {
			dropped += count - r.drops
			r.drops = count
		}
	}
	return r.n, dropped, nil
}

// takeControl reads a datagram's control messages: it returns the socket's
// count of drops, if there is one, and leaves in control what the reply needs.
func (rt *route) takeControl(n int) (drops uint32, ok bool) {
	var local unix.Inet6Pktinfo
	level := int32(-1)
	for rest := rt.control[:n]; len(rest) >= unix.SizeofCmsghdr; {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		length := int(h.Len)
		if length < unix.SizeofCmsghdr || length > len(rest) {
			break
		}
		data := rest[unix.CmsgLen(0):length]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			drops, ok = binary.NativeEndian.Uint32(data), true
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			level = h.Level
			copy(local.Addr[:4], data[4:8]) // ipi_spec_dst: ours, also for a broadcast
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			level = h.Level
			copy(local.Addr[:], data[:16])
			if netip.AddrFrom16(local.Addr).IsLinkLocalUnicast() {
				local.Ifindex = binary.NativeEndian.Uint32(data[16:20])
			}
		}
		rest = rest[min(unix.CmsgSpace(length-unix.CmsgLen(0)), len(rest)):]
	}
	rt.putControl(level, &local)
	return drops, ok
}

// putControl writes the control message for a reply from the local address; a
// level of -1 is none.
func (rt *route) putControl(level int32, local *unix.Inet6Pktinfo) {
	rt.ctlLen = 0
	if level < 0 {
		return
	}
	clear(rt.control[:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&rt.control[0]))
	h.Level = level
	data := rt.control[unix.CmsgLen(0):]
	size := unix.SizeofInet4Pktinfo
	if level == unix.IPPROTO_IP {
		h.Type = unix.IP_PKTINFO
		copy(data[4:8], local.Addr[:4])
	} else {
		size = unix.SizeofInet6Pktinfo
		h.Type = unix.IPV6_PKTINFO
		copy(data[:16], local.Addr[:])
		binary.NativeEndian.PutUint32(data[16:20], local.Ifindex)
	}
	h.SetLen(unix.CmsgLen(size))
	rt.ctlLen = unix.CmsgSpace(size)
}

// local is the address of ours that a datagram came to; the zero one where it is
// not known, or belongs to an interface (IPv6 link-local).
func (rt *route) local() netip.Addr {
	if rt.ctlLen == 0 {
		return netip.Addr{}
	}
	data := rt.control[unix.CmsgLen(0):]
	if (*unix.Cmsghdr)(unsafe.Pointer(&rt.control[0])).Level == unix.IPPROTO_IP {
		return netip.AddrFrom4([4]byte(data[4:8]))
	}
	addr := netip.AddrFrom16([16]byte(data[:16])).Unmap()
	if addr.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	return addr
}

// addrPort reads a sockaddr; IPv4 in IPv6 comes out as IPv4.
func addrPort(name []byte) netip.AddrPort {
	if len(name) < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(name[2:4])
	if binary.NativeEndian.Uint16(name) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), port)
	}
	if len(name) < unix.SizeofSockaddrInet6 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:24])).Unmap(), port)
}

// stopped tells whether a socket's error means that its reader was asked to
// stop.
func stopped(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed)
}
