package radius

import (
	"errors"

	"go.uber.org/zap"
	wire "layeh.com/radius"

	"radial/aaa"
)

var errTooLong = errors.New("reply exceeds 4096 bytes")

// access answers an Access-Request.
func (s *Server) access(x *exchange) todo {
	d, err := s.auth.Authorize(s.deadlines.context(x.received), &x.request)
	if err != nil {
		return s.silence(x, SilentAuthorize, err)
	}
	return s.decided(x, d)
}

// decided makes the reply that a decision asks for.
func (s *Server) decided(x *exchange, d aaa.Decision) todo {
	code := wire.CodeAccessReject
	if d.Verdict == aaa.Accept {
		code = wire.CodeAccessAccept
	}
	pairs := s.names.sendable(d.Reply, code)
	err := s.encode(x, code, pairs)
	if err != nil {
		// Cut short it would be another decision: refuse, and say why. Silence
		// would make the device take us for dead, for one row that cannot be sent.
		reason := aaa.ReasonUnparsableItem
		if errors.Is(err, errTooLong) {
			reason = aaa.ReasonReplyTooLong
		}
		d = aaa.Decision{Verdict: aaa.Reject, Reason: reason, Detail: err.Error(), User: d.User, Delay: d.Delay}
		code, pairs = wire.CodeAccessReject, nil
		err = s.encode(x, code, pairs)
	}
	if err != nil {
		return s.silence(x, SilentEncode, err)
	}
	x.due = x.received
	if d.Verdict == aaa.Reject {
		x.due = x.received.Add(d.Delay)
		s.metrics.reject(d.Reason)
		s.refusedLine(x, &d)
	}
	if d.Without != "" {
		s.notices.tell("login accepted without an address: pools are full (pool_full: accept)", x.source.Addr(), func() []zap.Field {
			return []zap.Field{zap.String("user", d.User), zap.String("detail", d.Without), zap.String("device", x.device.Name)}
		})
	}
	s.packetLine("sending", x, code, pairs)
	return s.finish(x, code)
}

// refusedLine is the one line that every refused login has.
func (s *Server) refusedLine(x *exchange, d *aaa.Decision) {
	s.log.Info("login refused",
		zap.String("user", d.User),
		zap.String("reason", string(d.Reason)),
		zap.String("detail", d.Detail),
		zap.String("device", x.device.Name),
		zap.String("calling_station", s.names.text(x.request.Pairs, s.names.callingStation)),
		zap.Stringer("source", x.source),
	)
}
