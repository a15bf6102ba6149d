package radius

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	wire "layeh.com/radius"
)

// answerStatus answers a Status-Server (RFC 5997): alive, without asking
// anyone, and never remembered.
func (s *Server) answerStatus(x *exchange) todo {
	if !s.status.allow(x.source.Addr(), x.received) {
		s.refuse(x, RefusedStatusRate)
		return toDrop
	}
	code := wire.CodeAccessAccept
	if x.socket.listener.port == acctPort {
		code = wire.CodeAccountingResponse
	}
	x.reply = beginReply(x.reply, code, &x.packet)
	x.reply = x.packet.appendProxyStates(x.reply)
	if len(x.reply) > maxPacket {
		s.refuse(x, RefusedTooLong)
		return toDrop
	}
	x.signer.sign(x.reply, x.secret)
	s.metrics.replies[code].Inc()
	return toSend
}

// limitSources bounds the sources that are counted apart. Only packets that have
// passed the gate get here, so that they are devices of ours.
const limitSources = 4096

// sourceLimit bounds what one source may ask in a second, with bursts of as
// many: Status-Server, and, where the operator wants that, requests.
type sourceLimit struct {
	perSecond int

	mu      sync.Mutex
	sources map[netip.Addr]*rate.Limiter
}

func newSourceLimit(perSecond int) *sourceLimit {
	return &sourceLimit{perSecond: perSecond, sources: make(map[netip.Addr]*rate.Limiter)}
}

func (l *sourceLimit) allow(source netip.Addr, now time.Time) bool {
	if l.perSecond == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.sources[source]
	if r == nil {
		if len(l.sources) >= limitSources {
			clear(l.sources)
		}
		r = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		l.sources[source] = r
	}
	return r.AllowN(now, 1)
}
