package radius

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	wire "layeh.com/radius"

	"radial/aaa"
	"radial/dictionaries"
)

// handle answers an admitted login. It runs in a worker and may wait for the
// database.
func (s *Server) handle(x *exchange) {
	var do todo
	defer s.survive(x, &do)
	defer s.leave(x.socket.listener.port) // as it is now: by the end x may be another request
	switch do = s.answer(x); do {
	case toSend:
		s.send(x.socket, x)
	case toDrop:
		s.free(x)
	}
}

// answer decides about a login, and makes its reply.
func (s *Server) answer(x *exchange) todo {
	if !x.decoded && !s.decode(x) {
		return toDrop
	}
	return s.access(x)
}

// decode fills x.request; false: the request is refused.
func (s *Server) decode(x *exchange) bool {
	x.request = aaa.Request{
		Device:        x.device,
		Source:        x.source,
		ID:            x.packet.id(),
		Authenticator: [16]byte(x.packet.authenticator()),
		Pairs:         x.request.Pairs[:0],
		Received:      x.received,
		Room:          &x.room,
	}
	var err error
	x.request.Pairs, err = s.dict.Decode(x.request.Pairs, x.packet.attributes(), x.keys())
	if err != nil {
		s.refuse(x, RefusedUndecodable)
		x.ticket.forget()
		return false
	}
	x.decoded = true
	s.packetLine("received", x, x.packet.code(), x.request.Pairs)
	return true
}

func (x *exchange) keys() dictionaries.Keys {
	return dictionaries.Keys{Secret: x.secret, Authenticator: &x.request.Authenticator}
}

// encode writes a reply of pairs into x.reply, unsigned: for Access-* replies
// Message-Authenticator first, Proxy-State as it came last.
func (s *Server) encode(x *exchange, code wire.Code, pairs dictionaries.Pairs) error {
	var err error
	x.reply = beginReply(x.reply, code, &x.packet)
	if x.reply, err = s.dict.Append(x.reply, pairs, x.keys()); err != nil {
		return err
	}
	x.reply = x.packet.appendProxyStates(x.reply)
	if len(x.reply) > maxPacket {
		return fmt.Errorf("%w: %d bytes", errTooLong, len(x.reply))
	}
	return nil
}

// finish signs the reply in x and tells what becomes of it: when it is not due
// the delays have it (toLose), else it is kept for retransmissions and can be
// sent.
func (s *Server) finish(x *exchange, code wire.Code) todo {
	x.signer.sign(x.reply, x.secret)
	s.metrics.replies[code].Inc()
	now := s.now()
	s.took(x, now)
	if x.due.After(now) {
		s.metrics.delayed.Inc()
		if s.delays.hold(x) {
			return toLose // still in flight for retransmissions
		}
		s.metrics.delayed.Dec()
	}
	return s.keep(x, now)
}

// keep remembers a signed reply for retransmissions. It is toDrop when nobody
// waits for it any more.
func (s *Server) keep(x *exchange, now time.Time) todo {
	if !s.duplicates.finish(x.ticket, x.reply, now) {
		s.metrics.silent[SilentSuperseded].Inc()
		return toDrop
	}
	return toSend
}

// sendDelayed delivers a reject whose time has come.
func (s *Server) sendDelayed(x *exchange) {
	s.metrics.delayed.Dec()
	if s.keep(x, s.now()) == toSend {
		s.send(x.socket, x)
		return
	}
	s.free(x)
}

// silence ends a request without an answer: the device asks its next server,
// or again.
func (s *Server) silence(x *exchange, why Silence, err error) todo {
	why = silenceOf(why, err)
	s.notices.tell("RADIUS request left without an answer: "+why.String(), x.source.Addr(), func() []zap.Field {
		return []zap.Field{zap.Stringer("source", x.source), zap.String("device", x.device.Name), zap.Stringer("code", x.packet.code()), zap.Error(err)}
	})
	s.took(x, s.now())
	x.ticket.forget()
	s.metrics.silent[why].Inc()
	return toDrop
}

// packetLine logs a packet with its attributes' names, at debug only.
func (s *Server) packetLine(what string, x *exchange, code wire.Code, pairs dictionaries.Pairs) {
	if !s.log.Core().Enabled(zapcore.DebugLevel) {
		return
	}
	s.log.Debug(what+" "+code.String(), zap.Stringer("peer", x.source), zap.Uint8("id", x.packet.id()), zap.String("device", x.device.Name), zap.Strings("attributes", s.names.texts(pairs)))
}
