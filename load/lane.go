package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/ipv4"
)

const slotsPerLane = 64 // each has four of the socket's 256 identifiers, used in turn

// slot is one request outstanding, or idle when session is nil.
type slot struct {
	session *session
	packet  []byte
	dest    *net.UDPAddr
	id      byte
	turn    byte
	tries   int
	first   time.Time // of the first send
	due     time.Time // of the next retransmit
	measure bool
}

// lane is one socket with its slots, worked by one goroutine.
type lane struct {
	run    *run
	codec  *codec
	conn   *net.UDPConn
	batch  batchConn
	slots  []slot
	in     []ipv4.Message
	out    []ipv4.Message
	active int

	latency histogram
	counts  Counts
}

// batchConn is what ipv4.PacketConn and ipv6.PacketConn have in common.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

func (r *run) newLane(number, slots int) (*lane, error) {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, fmt.Errorf("load: socket: %w", err)
	}
	if err := errors.Join(conn.SetReadBuffer(1<<20), conn.SetWriteBuffer(1<<20)); err != nil {
		return nil, errors.Join(fmt.Errorf("load: socket buffers: %w", err), conn.Close())
	}
	var seed [32]byte
	seed[0], seed[1] = byte(number), byte(number>>8)
	for i := range 8 {
		seed[8+i] = byte(r.opts.Seed >> (8 * i))
	}
	l := &lane{run: r, codec: newCodec(r.opts.Secret.Reveal(), seed), conn: conn, batch: ipv4.NewPacketConn(conn), slots: make([]slot, slots)}
	for range slots {
		l.in = append(l.in, ipv4.Message{Buffers: [][]byte{make([]byte, 4096)}})
	}
	for i := range l.slots {
		l.slots[i].packet = make([]byte, 0, 512)
	}
	return l, nil
}

// work runs until the run has no more sessions to give and all slots are
// idle. When ctx ends, what is outstanding is dropped.
func (l *lane) work(ctx context.Context) error {
	nextScan := time.Now().Add(l.run.scan())
	for {
		now := time.Now()
		for i := range l.slots {
			if l.slots[i].session == nil {
				if s := l.run.next(); s != nil {
					l.slots[i].session = s
					l.active++
					l.send(i, now)
				}
			}
		}
		if err := l.flush(); err != nil {
			return err
		}
		if l.active == 0 || ctx.Err() != nil {
			return nil
		}
		if err := l.conn.SetReadDeadline(now.Add(l.run.scan())); err != nil {
			return fmt.Errorf("load: deadline: %w", err)
		}
		n, err := l.batch.ReadBatch(l.in, 0)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !isRefused(err) {
			return fmt.Errorf("load: receive: %w", err)
		}
		now = time.Now()
		for i := range max(n, 0) {
			l.receive(l.in[i].Buffers[0][:l.in[i].N], now)
		}
		if now.After(nextScan) {
			l.retransmit(now)
			nextScan = now.Add(l.run.scan())
		}
	}
}

// send builds the request of slot i and queues it.
func (l *lane) send(i int, now time.Time) {
	s := &l.slots[i]
	s.turn++
	s.id = byte(i) + slotsPerLane*(s.turn%4)
	s.packet = l.build(s.packet, s.id, s.session)
	s.dest = l.run.acct
	if s.session.step == stepLogin {
		s.dest = l.run.auth
	}
	s.tries, s.first, s.due = 1, now, now.Add(l.run.opts.Timeout)
	s.measure = !l.run.preparing()
	if s.session.step == stepStop {
		l.run.release(s.session) // for its NAS the session is over, whenever the answer comes
	}
	l.counts.Sent++
	l.queue(s)
}

func (l *lane) queue(s *slot) {
	l.out = append(l.out, ipv4.Message{Buffers: [][]byte{s.packet}, Addr: s.dest})
}

func (l *lane) flush() error {
	for len(l.out) > 0 {
		n, err := l.batch.WriteBatch(l.out, 0)
		if err != nil && !isRefused(err) {
			return fmt.Errorf("load: send: %w", err)
		}
		l.out = l.out[max(n, 1):] // a refused datagram is lost, as on a network
	}
	l.out = l.out[:0]
	return nil
}

// isRefused tells that an earlier datagram met a closed port: the server is
// away for the moment.
func isRefused(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && !opErr.Timeout() && !errors.Is(err, net.ErrClosed)
}

func (l *lane) receive(reply []byte, now time.Time) {
	if len(reply) < 20 {
		l.counts.Stray++
		return
	}
	i := int(reply[1]) % slotsPerLane
	if i >= len(l.slots) || l.slots[i].session == nil || l.slots[i].id != reply[1] {
		l.counts.Stray++
		return
	}
	s := &l.slots[i]
	if !l.codec.verify(reply, s.packet[4:20]) {
		l.counts.BadAuthenticator++
		return
	}
	if s.measure {
		l.latency.add(int64(now.Sub(s.first)))
		l.counts.Answered++
	}
	alive := true
	switch reply[0] {
	case codeAccessAccept:
		l.counts.Accepted++
		if a := framedIP(reply); a != 0 || l.run.opts.Mode == Session {
			s.session.address = a
		}
		l.run.lease(s.session, &l.counts)
	case codeAccessReject:
		l.counts.Rejected++
		alive = false
	case codeAccountingResponse:
		l.counts.Acknowledged++
		l.run.acknowledged(s.session)
	default:
		l.counts.Stray++
		return
	}
	preparing := l.run.preparing()
	if alive && s.session.advance(l.run.opts.Mode, preparing) && !l.run.stopping() {
		l.send(i, now)
		return
	}
	if alive && preparing {
		l.run.prepared(s.session)
	}
	l.run.release(s.session)
	s.session = nil
	l.active--
}

// retransmit sends again what is overdue, and gives up what has had its tries.
func (l *lane) retransmit(now time.Time) {
	for i := range l.slots {
		s := &l.slots[i]
		if s.session == nil || now.Before(s.due) {
			continue
		}
		if s.tries >= l.run.opts.Tries {
			l.counts.GivenUp++
			l.run.release(s.session)
			s.session = nil
			l.active--
			continue
		}
		s.tries++
		s.due = now.Add(l.run.opts.Timeout)
		l.counts.Retransmitted++
		l.queue(s)
	}
}
