package radius

import (
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	wire "layeh.com/radius"
)

// todo is what a reader does with a datagram after the gate.
type todo uint8

const (
	toDrop   todo = iota
	toAnswer      // a worker must
	toSend        // the reply is there
	toLose        // like toDrop, but something may still hold its memory
)

// admit is the gate: it judges a datagram, and answers itself what needs no
// decision.
func (s *Server) admit(x *exchange) (do todo) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked(x, p)
			do = toLose
		}
	}()
	if r := s.judge(x); r != Admitted {
		s.refuse(x, r)
		return toDrop
	}
	if now := x.received.Unix(); x.device.Learnt.LastSeen.Load() != now {
		x.device.Learnt.LastSeen.Store(now)
		x.learnAsked()
	}
	if x.packet.code() == wire.CodeStatusServer {
		return s.answerStatus(x)
	}
	key := keyOf(x.source, x.socket.listener.index, &x.packet)
	var seen sighting
	seen, x.ticket, x.reply = s.duplicates.begin(key, x.packet.authenticator(), x.received, x.reply)
	if c := s.metrics.duplicates[seen]; c != nil {
		c.Inc()
	}
	switch seen {
	case seenAnswered:
		return toSend
	case seenInFlight:
		return toDrop
	}
	if !s.rate.allow(x.source.Addr(), x.received) {
		x.ticket.forget()
		s.refuse(x, RefusedRate)
		return toDrop
	}
	if !s.enter(x) {
		x.ticket.forget()
		s.refuse(x, RefusedOverload)
		return toDrop
	}
	return toAnswer
}

// learnAsked notes which address of ours the device has sent to.
func (x *exchange) learnAsked() {
	asked := x.route.local()
	if last := x.device.Learnt.Asked.Load(); asked.IsValid() && (last == nil || *last != asked) {
		x.device.Learnt.Asked.Store(&asked)
	}
}

// judge asks everything that can refuse a datagram, the cheap questions first.
// It fills x.packet, x.device and x.secret.
func (s *Server) judge(x *exchange) Refusal {
	x.device, x.packet, x.decoded, x.reply = nil, packet{}, false, x.reply[:0]
	p, r := parseHeader(x.datagram[:x.size])
	if r != Admitted {
		return r
	}
	x.packet = p
	requests := s.metrics.requests[x.socket.listener.port][p.code()]
	switch {
	case requests != nil:
	case p.code() == wire.CodeAccessRequest || p.code() == wire.CodeAccountingRequest:
		return RefusedWrongPort
	default:
		return RefusedUnknownCode
	}
	device := s.devices.Find(x.source.Addr())
	switch {
	case device == nil:
		return RefusedUnknownSource
	case device.Secret == "":
		return RefusedNoSecret
	}
	x.device = device
	x.secret = append(x.secret[:0], device.Secret.Reveal()...)
	requests.Inc()
	if r := x.packet.walk(s.opts.MaxAttributes); r != Admitted {
		return r
	}
	return x.signed()
}

// signed judges a request's authenticator and Message-Authenticator. Nothing
// is learnt or remembered of a packet before this.
func (x *exchange) signed() Refusal {
	p := &x.packet
	switch code := p.code(); {
	case code == wire.CodeAccountingRequest && !x.signer.accountingHolds(p, x.secret):
		return RefusedAuthenticator
	case p.hasMessageAuth():
		if !x.signer.messageAuthHolds(p, x.secret) {
			return RefusedMAWrong
		}
	case code == wire.CodeStatusServer:
		return RefusedMAMissingPing
	case code == wire.CodeAccessRequest && p.eap:
		return RefusedMAMissingEAP
	}
	if p.code() == wire.CodeAccessRequest {
		return signaturePolicy(x.device, p)
	}
	return Admitted
}

// refuse counts a datagram that gets no answer, and tells of it where the
// sender is known or ought to be.
func (s *Server) refuse(x *exchange, r Refusal) {
	switch {
	case r == RefusedUnknownSource:
		s.notices.tell("RADIUS packet from an unknown source dropped: no row of nas fits it", x.source.Addr(), func() []zap.Field {
			return []zap.Field{zap.Stringer("source", x.source), zap.Stringer("listen", x.socket.listener.addr), zap.Stringer("code", x.packet.code()),
				zap.String("hint", "radial nas add "+x.source.Addr().String()+" --secret S")}
		})
	case x.device != nil:
		s.notices.tell("RADIUS packet dropped: "+r.String(), x.source.Addr(), func() []zap.Field {
			fields := []zap.Field{zap.Stringer("source", x.source), zap.String("device", x.device.Name),
				zap.Stringer("code", x.packet.code()), zap.Uint8("id", x.packet.id())}
			if hint := hints[r]; hint != "" {
				fields = append(fields, zap.String("hint", hint))
			}
			return fields
		})
	}
	s.metrics.refused[x.socket.listener.port][r].Inc()
}

// hints say what an operator can do about a refusal.
var hints = [refusalCount]string{
	RefusedNoSecret:      "give the row of nas a secret",
	RefusedAuthenticator: "the shared secret of the device is probably another",
	RefusedMAWrong:       "the shared secret of the device is probably another",
	RefusedMAMissing:     "the device must send Message-Authenticator, or its require_message_authenticator must be no (CVE-2024-3596)",
	RefusedProxyState:    "the proxy must send Message-Authenticator, or limit_proxy_state must be no for it (CVE-2024-3596)",
	RefusedRate:          "more than radius.source_rate from this source: a device that asks in a loop, or a limit that is too small for it",
	RefusedOverload:      "the database is too slow for the load, or radius.max_in_flight too small",
}

// panicked ends a request whose handling panicked, and nothing else. Its
// memory is left to the collector, since the panic may have left it anywhere.
func (s *Server) panicked(x *exchange, p any) {
	s.log.Error("panic while a RADIUS packet was handled", zap.Any("panic", p), zap.Stringer("source", x.source), zap.ByteString("stack", debug.Stack()))
	if x.ticket.shard != nil {
		x.ticket.forget()
	}
	s.metrics.panics.Inc()
}

// survive is deferred by what works on an admitted request: a panic ends that one
// alone, without an answer.
func (s *Server) survive(x *exchange, do *todo) {
	if p := recover(); p != nil {
		s.panicked(x, p)
		s.metrics.silent[SilentPanic].Inc()
		*do = toLose
	}
}

// took observes how long a request took.
func (s *Server) took(x *exchange, now time.Time) {
	p, took := x.socket.listener.port, now.Sub(x.received)
	s.lags[p].note(took)
	s.metrics.seconds[p].Observe(took.Seconds())
}
