package routeros

import (
	"context"
	"time"
)

// accessRequest has the attributes of a PPPoE login, in RouterOS's order.
func (s *Session) accessRequest(server radiusServer) *packet {
	p := &packet{code: codeAccessRequest, auth: randomAuth()}
	p.number(attrServiceType, 2)
	p.number(attrFramedProtocol, 1)
	s.identify(p)
	if s.Subscriber.CHAP {
		challenge := p.auth[:] // no CHAP-Challenge: the authenticator is it
		p.attrs = append(p.attrs, attr{kind: attrCHAPPassword, value: append([]byte{1}, md5Of([]byte{1}, []byte(s.Subscriber.Password), challenge)...)})
	} else {
		p.attrs = append(p.attrs, attr{kind: attrUserPassword, value: hidePassword(s.Subscriber.Password, server.secret, p.auth)})
	}
	s.r.sign(p)
	return p
}

// identify says which session it is, in requests of both kinds.
func (s *Session) identify(p *packet) {
	p.number(attrNASPort, s.number)
	p.number(attrNASPortType, 15)
	p.text(attrUserName, s.Subscriber.Name)
	p.text(attrCallingStation, s.Subscriber.MAC)
	p.text(attrCalledStation, "service1")
	p.text(attrNASPortID, s.Subscriber.Interface)
	p.text(attrAcctSessionID, s.ID)
}

// sign says which router it is.
func (r *Router) sign(p *packet) {
	r.mu.Lock()
	name := r.items["/system/identity"][0].values["name"]
	r.mu.Unlock()
	p.text(attrNASIdentifier, name)
	if r.config.Address.IsValid() {
		p.addr(attrNASIPAddress, r.config.Address)
	}
}

// interimOf is Acct-Interim-Interval, else what /ppp/aaa says.
func (s *Session) interimOf(reply *packet) time.Duration {
	if n, ok := numberOf(reply.get(attrInterimInterval)); ok && n > 0 {
		return time.Duration(n) * time.Second
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	d, _ := parseTime(s.r.items["/ppp/aaa"][0].values["interim-update"])
	return d
}

func (r *Router) accounting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	aaa := r.items["/ppp/aaa"][0].values
	return aaa["use-radius"] == "true" && aaa["accounting"] == "true"
}

// tick sends an interim and asks for the next.
func (s *Session) tick() {
	if s.Ended() {
		return
	}
	_ = s.account(context.Background(), acctInterim, 0) // a server that does not answer gets the next one
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.interim.Reset(s.every)
	}
}

// Interim sends an interim now.
func (s *Session) Interim(ctx context.Context) error { return s.account(ctx, acctInterim, 0) }

// account sends an accounting record.
func (s *Session) account(ctx context.Context, status, cause uint32) error {
	s.mu.Lock()
	up, down := s.up, s.down
	s.mu.Unlock()
	build := func(radiusServer) *packet {
		p := &packet{code: codeAcctRequest}
		p.number(attrServiceType, 2)
		p.number(attrFramedProtocol, 1)
		s.identify(p)
		p.addr(attrFramedIPAddress, s.Address)
		for _, c := range s.class {
			p.attrs = append(p.attrs, attr{kind: attrClass, value: c})
		}
		p.number(attrAcctAuthentic, 1)
		p.number(attrAcctStatusType, status)
		if status != acctStart {
			p.number(attrAcctTime, uint32(s.r.now().Sub(s.Began)/time.Second))
			p.number(attrAcctInputOctets, uint32(up))
			p.number(attrAcctInputGigawords, uint32(up>>32))
			p.number(attrAcctInputPackets, uint32(up/1000))
			p.number(attrAcctOutputOctets, uint32(down))
			p.number(attrAcctOutputGigawords, uint32(down>>32))
			p.number(attrAcctOutputPackets, uint32(down/1000))
		}
		if status == acctStop {
			p.number(attrAcctCause, cause)
		}
		s.r.sign(p)
		p.number(attrAcctDelayTime, 0)
		return p
	}
	_, err := s.r.ask(ctx, true, build)
	return err
}
