package radius

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// listener is an address that is listened on.
type listener struct {
	port    port
	index   uint16 // among all; part of the key of duplicates
	addr    netip.AddrPort
	sockets []*socket
}

// socket is one of an address's sockets, with what belongs to it.
type socket struct {
	listener *listener
	conn     *net.UDPConn
	receiver *receiver
	prompt   *sender // the reader's
	sender   *sender // the writer's
	outbox   *outbox
	work     work
}

// work has what a socket's reader does not answer itself: a crew of logins, a
// desk of accounting requests.
type work interface {
	add(xs []*exchange)
	oldest() *exchange // that waits, to make room; nil: none
	close()            // does what there is, and waits for it
}

func (s *Server) workOf(p port) work {
	if p == acctPort {
		return newDesk(s.post)
	}
	c := newCrew(s.begin)
	c.turns.hands = s.loginHands
	return c
}

// listen binds an address.
func (s *Server) listen(p port, address string) (*listener, error) {
	conns, err := bind(address, s.opts.Sockets, s.opts.RecvBuffer, s.opts.SharePort)
	if err != nil {
		return nil, err
	}
	local := conns[0].LocalAddr().(*net.UDPAddr).AddrPort()
	l := &listener{port: p, index: uint16(len(s.listeners)), addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}
	for _, conn := range conns {
		k := &socket{listener: l, conn: conn, outbox: newOutbox(s.opts.MaxInFlight), work: s.workOf(p)}
		l.sockets = append(l.sockets, k)
		if k.receiver, err = newReceiver(conn); err == nil {
			k.sender, err = newSender(conn, s.opts.SendSingly)
		}
		if err == nil {
			k.prompt, err = newSender(conn, s.opts.SendSingly)
		}
		if err != nil {
			err = fmt.Errorf("radius: listen on %s: %w", address, err)
			for _, c := range conns {
				err = errors.Join(err, c.Close())
			}
			return nil, err
		}
	}
	if granted, err := recvBufferOf(conns[0]); err == nil && granted < s.opts.RecvBuffer {
		s.log.Warn("the kernel grants less receive buffer than asked for: bursts may be dropped; raise net.core.rmem_max",
			zap.Stringer("listen", l.addr), zap.Int("bytes", granted), zap.Int("asked", s.opts.RecvBuffer))
	}
	return l, nil
}

// maxReadErrors in a row, a pause between them, end the server: the socket is
// not coming back.
const (
	maxReadErrors  = 100
	readErrorPause = 10 * time.Millisecond
)

// read takes datagrams from a socket until it is told to stop. What can be
// answered from memory it answers itself; the rest is its work's.
func (s *Server) read(k *socket) error {
	h := &hand{s: s, k: k, xs: make([]*exchange, batchSize)}
	for i := range h.xs {
		h.xs[i] = s.exchange()
	}
	for errs := 0; ; {
		n, dropped, err := k.receiver.receive(h.xs)
		if err != nil {
			if stopped(err) {
				return nil
			}
			s.metrics.readErrors.Inc()
			if errs++; errs > maxReadErrors {
				return err
			}
			time.Sleep(readErrorPause)
			continue
		}
		errs = 0
		if dropped > 0 {
			s.metrics.drops[k.listener.port].Add(float64(dropped))
		}
		h.deal(n)
	}
}

// write sends a socket's replies until its outbox is closed and empty.
func (s *Server) write(k *socket) {
	var queue []*exchange
	for {
		clear(queue)
		queue = k.outbox.take(queue)
		if len(queue) == 0 {
			return
		}
		for rest := queue; len(rest) > 0; {
			part := rest[:min(len(rest), batchSize)]
			rest = rest[len(part):]
			k.sender.send(part, s.unsent)
			for _, x := range part {
				s.free(x)
			}
		}
	}
}

// unsent counts a reply that the kernel refused.
func (s *Server) unsent(x *exchange, err error) {
	s.metrics.silent[SilentSend].Inc()
	s.notices.tell("RADIUS reply could not be sent", x.source.Addr(), func() []zap.Field {
		return []zap.Field{zap.Stringer("to", x.source), zap.Stringer("listen", x.socket.listener.addr), zap.Error(err)}
	})
}

// send queues signed replies of a socket.
func (s *Server) send(k *socket, xs ...*exchange) {
	for _, x := range xs[k.outbox.put(xs):] {
		s.metrics.silent[SilentSendQueue].Inc()
		s.free(x)
	}
}
