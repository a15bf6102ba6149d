package radius

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// shareMax is the largest reply that shares a message: with its headers it fits
	// every link of IPv6 (RFC 8200 §5), since what the kernel cuts off cannot be fragmented as well.
	shareMax = 1280 - 40 - 8
	// messageMax is how many replies a message holds at most, in all less than a datagram may have.
	messageMax = 48
	// segmentLen holds UDP_SEGMENT (18 bytes, padded).
	segmentLen = 24
)

// sender sends replies on a socket. Replies of one size to one port go to the kernel as one
// message, which it cuts up as late as it can (UDP_SEGMENT, udp(7)): the way through its
// layers costs a message as much as a datagram. What is on the wire is the same.
type sender struct {
	*batch
	first    [batchSize + 1]int // of each message, its first reply
	controls [batchSize][controlLen + segmentLen]byte
	singly   bool // is set so, or the kernel or a device does not cut up
	doubt    bool // that it does: it has refused a message of several
}

func newSender(conn *net.UDPConn, singly bool) (*sender, error) {
	b, err := newBatch(conn, unix.SYS_SENDMMSG)
	return &sender{batch: b, singly: singly}, err
}

// send sends the replies of the exchanges, of which there are at most
// batchSize, in any order, and waits for room. failed is called for each that the
// kernel refuses.
func (s *sender) send(xs []*exchange, failed func(x *exchange, err error)) {
	s.begin(xs)
	for s.from < s.to {
		if err := s.raw.Write(s.call); err != nil { // closed
			for _, x := range xs[s.first[s.from]:] {
				failed(x, err)
			}
			return
		}
		s.step(xs, failed)
	}
}

// trySend is send for one who does not wait: it returns how many are done with,
// which are the first of xs then, and for the rest there is no room now. It may run
// beside another sender of the same socket.
func (s *sender) trySend(xs []*exchange, failed func(x *exchange, err error)) (done int) {
	s.begin(xs)
	for s.from < s.to {
		if err := s.raw.Control(s.tryCall); err != nil { // closed
			for _, x := range xs[s.first[s.from]:] {
				failed(x, err)
			}
			return len(xs)
		}
		if s.err == unix.EAGAIN {
			break
		}
		s.step(xs, failed)
	}
	return s.first[s.from]
}

func (s *sender) begin(xs []*exchange) {
	s.doubt = false
	s.fill(xs, 0, s.singly)
}

// step goes past what the last call has done.
func (s *sender) step(xs []*exchange, failed func(x *exchange, err error)) {
	if s.err == 0 {
		s.singly, s.doubt = s.singly || s.doubt, false
		s.from += s.n
		return
	}
	at := s.first[s.from] // it is the first message's fault
	if s.first[s.from+1]-at > 1 {
		s.doubt = s.err == unix.EINVAL || s.err == unix.EIO
		s.fill(xs, at, true)
		return
	}
	s.doubt = false // it takes no datagram either
	failed(xs[at], os.NewSyscallError("sendmmsg", s.err))
	s.from++
}

// fill makes messages of the replies from one on.
func (s *sender) fill(xs []*exchange, from int, singly bool) {
	if !singly && len(xs) > 1 {
		slices.SortFunc(xs, byWay)
	}
	m := 0
	for i := from; i < len(xs); m++ {
		n := 1
		for !singly && i+n < len(xs) && n < messageMax && xs[i].shares(xs[i+n]) {
			n++
		}
		for k, x := range xs[i : i+n] {
			s.iovs[i+k].Base = &x.reply[0]
			s.iovs[i+k].SetLen(len(x.reply))
		}
		h, way := &s.hdrs[m].hdr, &xs[i].route
		h.Name, h.Namelen = &way.name[0], way.nameLen
		h.Iov = &s.iovs[i]
		h.SetIovlen(n)
		control := way.control[:way.ctlLen]
		if n > 1 {
			control = segmented(&s.controls[m], control, len(xs[i].reply))
		}
		h.Control = unsafe.SliceData(control)
		h.SetControllen(len(control))
		s.first[m] = i
		i += n
	}
	s.first[m] = len(xs)
	s.from, s.to = 0, m
}

// byWay puts side by side what can share a message.
func byWay(a, b *exchange) int {
	if a.source != b.source {
		return cmp.Or(cmp.Compare(a.source.Port(), b.source.Port()), a.source.Addr().Compare(b.source.Addr()))
	}
	return cmp.Compare(len(a.reply), len(b.reply))
}

// shares tells whether two replies can be one message: of one size, to one port and from one
// address of ours.
func (x *exchange) shares(y *exchange) bool {
	return len(x.reply) == len(y.reply) && len(x.reply) <= shareMax && x.source == y.source &&
		bytes.Equal(x.route.name[:x.route.nameLen], y.route.name[:y.route.nameLen]) &&
		bytes.Equal(x.route.control[:x.route.ctlLen], y.route.control[:y.route.ctlLen])
}

// segmented is a control message together with the size at which the kernel cuts.
func segmented(memory *[controlLen + segmentLen]byte, control []byte, size int) []byte {
	n := copy(memory[:], control)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&memory[n]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(memory[n+unix.CmsgLen(0):], uint16(size))
	return memory[:n+unix.CmsgSpace(2)]
}
