package routeros

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Error-Cause values (RFC 5176 section 3.6).
const (
	causeUnsupportedAttribute = 401
	causeMissingAttribute     = 402
	causeNASMismatch          = 403
	causeNoSession            = 503
)

// Incoming is how the router treats CoA and Disconnect beside what /radius/incoming
// says: for tests of what goes wrong.
type Incoming struct {
	NAK    uint32        // refuse all with this Error-Cause
	Mute   bool          // no answer, nothing done
	NoStop bool          // a disconnected session sends no Stop
	Delay  time.Duration // before the answer
}

// Incoming sets how CoA and Disconnect are treated from now on.
func (r *Router) Incoming(i Incoming) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.incoming = i
}

// ServeIncoming answers CoA and Disconnect on a socket until ctx ends, while
// /radius/incoming accepts them. Requests of addresses that are no server of
// /radius, or that are not signed with its secret, get no answer.
func (r *Router) ServeIncoming(ctx context.Context, conn *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	answered := map[string][]byte{} // retransmissions get the same bytes
	buffer := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		request, err := parsePacket(buffer[:n])
		if err != nil || request.code != codeDisconnect && request.code != codeCoA {
			continue
		}
		secret, ok := r.trusts(from.Addr(), buffer[:n])
		if !ok {
			continue
		}
		key := from.String() + hex.EncodeToString(buffer[:20])
		b := answered[key]
		if b == nil {
			reply := r.judgeDAE(ctx, request)
			if reply == nil {
				continue
			}
			_, withMA := request.get(attrMessageAuthenticator)
			b = reply.answerBytes(request, secret, withMA)
			answered[key] = b
		}
		conn.WriteToUDPAddrPort(b, from)
	}
}

// trusts is the secret of the server that has signed a request.
func (r *Router) trusts(from netip.Addr, b []byte) (string, bool) {
	r.mu.Lock()
	accept := r.items["/radius/incoming"][0].values["accept"] == "true"
	r.mu.Unlock()
	for _, s := range r.servers() {
		if accept && s.address == from.Unmap().String() && genuineRequest(b, s.secret) {
			return s.secret, true
		}
	}
	return "", false
}

// judgeDAE does what a request wants; nil is no answer.
func (r *Router) judgeDAE(ctx context.Context, p *packet) *packet {
	r.mu.Lock()
	how := r.incoming
	r.asked = append(r.asked, describe(p))
	r.mu.Unlock()
	ack, nak := byte(codeDisconnectACK), byte(codeDisconnectNAK)
	if p.code == codeCoA {
		ack, nak = codeCoAACK, codeCoANAK
	}
	refuse := func(cause uint32) *packet {
		return &packet{code: nak, attrs: []attr{{kind: attrErrorCause, value: binary.BigEndian.AppendUint32(nil, cause)}}}
	}
	if how.Delay > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(how.Delay):
		}
	}
	switch {
	case how.Mute:
		return nil
	case how.NAK != 0:
		return refuse(how.NAK)
	}
	found, cause := r.meant(p)
	if cause != 0 {
		return refuse(cause)
	}
	for _, s := range found {
		switch {
		case p.code == codeCoA:
			s.apply(p)
		case how.NoStop:
			s.leave()
		default:
			go s.End(ctx, causeAdminReset) // the Stop comes after the ACK, or before it
		}
	}
	return &packet{code: ack}
}

// meant are the sessions that a request names: every attribute that identifies
// one must fit. A Disconnect may have nothing else (RFC 5176 section 3); a CoA
// what the manual says can be changed.
func (r *Router) meant(p *packet) ([]*Session, uint32) {
	named := false
	for _, a := range p.attrs {
		switch a.kind {
		case attrUserName, attrAcctSessionID, attrFramedIPAddress:
			named = true
		case attrNASIPAddress:
			if at, _ := netip.AddrFromSlice(a.value); at != r.config.Address {
				return nil, causeNASMismatch
			}
		case attrNASIdentifier, attrCallingStation, attrCalledStation, attrNASPort, attrNASPortID, attrMessageAuthenticator, attrEventTimestamp, attrState:
		case attrSessionTimeout, attrIdleTimeout, attrPortLimit, attrFilterID, attrVendor:
			if p.code == codeDisconnect {
				return nil, causeUnsupportedAttribute
			}
		default:
			return nil, causeUnsupportedAttribute
		}
	}
	if !named {
		return nil, causeMissingAttribute
	}
	var found []*Session
	for _, s := range r.Sessions() {
		if s.fits(p) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, causeNoSession
	}
	return found, 0
}

func (s *Session) fits(p *packet) bool {
	for _, a := range p.attrs {
		have := ""
		switch a.kind {
		case attrUserName:
			have = s.Subscriber.Name
		case attrAcctSessionID:
			have = s.ID
		case attrFramedIPAddress:
			have = string(s.Address.AsSlice())
		case attrCallingStation:
			have = s.Subscriber.MAC
		case attrNASPortID:
			have = s.Subscriber.Interface
		default:
			continue
		}
		if have != string(a.value) {
			return false
		}
	}
	return true
}

// Asked are the CoA and Disconnect requests that were signed by a server, in
// their order, as "CoA User-Name=alice Mikrotik-Rate-Limit=10M/20M".
func (r *Router) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func describe(p *packet) string {
	text := "Disconnect"
	if p.code == codeCoA {
		text = "CoA"
	}
	for _, a := range p.attrs {
		switch {
		case a.kind == attrUserName:
			text += " User-Name=" + string(a.value)
		case a.kind == attrAcctSessionID:
			text += " Acct-Session-Id=" + string(a.value)
		case a.kind == attrFramedIPAddress && len(a.value) == 4:
			text += " Framed-IP-Address=" + netip.AddrFrom4([4]byte(a.value)).String()
		case a.kind == attrSessionTimeout:
			n, _ := numberOf(a.value, true)
			text += " Session-Timeout=" + strconv.FormatUint(uint64(n), 10)
		case a.vendor == mtTotalLimit:
			n, _ := numberOf(a.value, true)
			text += " Mikrotik-Total-Limit=" + strconv.FormatUint(uint64(n), 10)
		case a.vendor == mtRateLimit:
			text += " Mikrotik-Rate-Limit=" + string(a.value)
		case a.vendor == mtAddressList:
			text += " Mikrotik-Address-List=" + string(a.value)
		case a.vendor == mtGroup:
			text += " Mikrotik-Group=" + string(a.value)
		}
	}
	return text
}
