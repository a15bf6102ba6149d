package routeros

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Subscriber is somebody who dials in by PPPoE.
type Subscriber struct {
	Name, Password string
	MAC            string // 00:00:5E:00:53:01
	Interface      string // default ether2
	CHAP           bool   // else PAP
}

// Session is a PPP session on the router.
type Session struct {
	Subscriber Subscriber
	ID         string // Acct-Session-Id
	Address    netip.Addr
	Began      time.Time

	r       *Router
	class   [][]byte
	number  uint32 // NAS-Port
	radius  bool
	interim *time.Timer
	every   time.Duration
	limit   *time.Timer

	moved    [2]atomic.Uint64 // up and down, for who has the router's lock
	mu       sync.Mutex       // guards what follows, and keeps accounting in order
	up, down uint64           // octets from and to the subscriber
	total    uint64           // Mikrotik-Total-Limit; 0 is none
	recv     uint64           // Mikrotik-Recv-Limit, of what comes from the subscriber
	xmit     uint64
	active   string // id in /ppp/active
	link     string // id in /interface
	queue    string // id in /queue/simple
	lists    []string
	rate     string
	ended    bool
}

// ErrRejected is a login that was refused.
var ErrRejected = errors.New("rejected")

// Dial logs a subscriber in: by a secret of the router, else by RADIUS where
// /ppp/aaa says so. A refusal is ErrRejected with the server's words.
func (r *Router) Dial(ctx context.Context, sub Subscriber) (*Session, error) {
	if sub.Interface == "" {
		sub.Interface = "ether2"
	}
	s := &Session{Subscriber: sub, r: r}
	r.mu.Lock()
	r.dialled++
	s.ID = fmt.Sprintf("81%X%05X", r.boots%16, r.dialled%0x100000)
	s.number = 15728640 + r.dialled
	secret := r.secretOf(sub)
	useRadius := r.items["/ppp/aaa"][0].values["use-radius"] == "true"
	r.mu.Unlock()
	if secret != nil {
		if secret["password"] != sub.Password {
			return nil, fmt.Errorf("%w: wrong password of a local secret", ErrRejected)
		}
		a, _ := netip.ParseAddr(secret["remote-address"])
		s.Address = a
		return s, s.begin(ctx, &packet{})
	}
	if !useRadius {
		return nil, fmt.Errorf("%w: no such secret, and use-radius is off", ErrRejected)
	}
	reply, err := r.ask(ctx, "ppp", false, s.accessRequest)
	if err != nil {
		return nil, err
	}
	if reply.code != codeAccessAccept {
		return nil, fmt.Errorf("%w: %s", ErrRejected, reply.str(attrReplyMessage))
	}
	s.radius = true
	if v, ok := reply.get(attrFramedIPAddress); ok {
		s.Address, _ = netip.AddrFromSlice(v)
	}
	return s, s.begin(ctx, reply)
}

// secretOf is the enabled secret of a subscriber, for PPPoE.
func (r *Router) secretOf(sub Subscriber) map[string]string {
	for _, i := range r.items["/ppp/secret"] {
		v := i.values
		if v["name"] == sub.Name && v["disabled"] != "true" && (v["service"] == "any" || v["service"] == "pppoe") {
			return v
		}
	}
	return nil
}

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

// begin puts the session on the router and sends its Start.
func (s *Session) begin(ctx context.Context, reply *packet) error {
	r := s.r
	s.Began = r.now()
	for _, a := range reply.attrs {
		if a.kind == attrClass {
			s.class = append(s.class, a.value)
		}
	}
	r.mu.Lock()
	if !s.Address.IsValid() {
		s.Address = netip.AddrFrom4([4]byte{10, 255, byte(r.dialled >> 8), byte(r.dialled)}) // the router's own pool
	}
	active := &item{id: r.nextID(), values: map[string]string{
		"name": s.Subscriber.Name, "service": "pppoe", "caller-id": s.Subscriber.MAC, "address": s.Address.String(), "encoding": "",
		"session-id": "0x" + s.ID, "limit-bytes-in": "0", "limit-bytes-out": "0", "radius": strconv.FormatBool(s.radius),
	}, began: s.Began}
	s.active = active.id
	r.items["/ppp/active"] = append(r.items["/ppp/active"], active)
	r.sessions[s.active] = s
	r.tell("/ppp/active", active, false)
	link := r.menus["/interface"].standards()
	link["name"], link["type"], link["dynamic"] = "<pppoe-"+s.Subscriber.Name+">", "pppoe-in", "true"
	i := &item{id: r.nextID(), values: link, session: s.active}
	s.link = i.id
	r.items["/interface"] = append(r.items["/interface"], i)
	r.mu.Unlock()
	s.apply(reply)
	s.every = s.interimOf(reply)
	if r.accounting() {
		if s.every > 0 {
			s.mu.Lock()
			s.interim = time.AfterFunc(s.every, s.tick)
			s.mu.Unlock()
		}
		return s.account(ctx, acctStart, 0)
	}
	return nil
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

// apply puts what a reply or a CoA grants in force: the rate as a dynamic queue,
// address lists, limits of time and of octets.
func (s *Session) apply(p *packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := p.mikrotik(mtRateLimit); ok {
		s.rate = string(v)
		s.shape()
	}
	if _, ok := p.mikrotik(mtAddressList); ok {
		s.list(p)
	}
	if n, ok := numberOf(p.get(attrSessionTimeout)); ok {
		if s.limit != nil {
			s.limit.Stop()
		}
		left := time.Duration(n)*time.Second - s.r.now().Sub(s.Began)
		s.limit = time.AfterFunc(max(left, 0), func() { s.End(context.Background(), causeSessionTimeout) })
	}
	s.total = limitOf(p, mtTotalLimit, mtTotalGigawords, s.total)
	s.recv = limitOf(p, mtRecvLimit, mtRecvGigawords, s.recv)
	s.xmit = limitOf(p, mtXmitLimit, mtXmitGigawords, s.xmit)
}

// limitOf reads a limit of octets in its two halves; what is not given stays.
func limitOf(p *packet, low, high byte, before uint64) uint64 {
	l, hasLow := numberOf(p.mikrotik(low))
	h, hasHigh := numberOf(p.mikrotik(high))
	if !hasLow && !hasHigh {
		return before
	}
	return uint64(h)<<32 | uint64(l)
}

// shape makes or changes the session's dynamic queue, <pppoe-alice>.
func (s *Session) shape() {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	first, _, _ := strings.Cut(s.rate, " ")
	limit, err := pairText(&field{name: "max-limit", kind: "pair", arg: "rate"}, first)
	if err != nil {
		return // a rate that the router cannot read is not set
	}
	name := "<pppoe-" + s.Subscriber.Name + ">"
	if i := r.byID("/queue/simple", s.queue); i != nil {
		i.values["max-limit"] = limit
		r.tell("/queue/simple", i, false)
		return
	}
	all := r.menus["/queue/simple"].standards()
	all["name"], all["target"], all["max-limit"], all["dynamic"] = name, name, limit, "true"
	i := &item{id: r.nextID(), values: all}
	s.queue = i.id
	r.items["/queue/simple"] = append(r.items["/queue/simple"], i)
	r.tell("/queue/simple", i, false)
}

// list puts the session's address into the lists of a reply, and out of those
// that it had.
func (s *Session) list(p *packet) {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range s.lists {
		r.take("/ip/firewall/address-list", id)
	}
	s.lists = nil
	for _, a := range p.attrs {
		if a.kind != attrVendor || a.vendor != mtAddressList || len(a.value) == 0 {
			continue
		}
		i := &item{id: r.nextID(), values: map[string]string{"list": string(a.value), "address": s.Address.String(), "dynamic": "true", "disabled": "false"}}
		s.lists = append(s.lists, i.id)
		r.items["/ip/firewall/address-list"] = append(r.items["/ip/firewall/address-list"], i)
	}
}

// Rate is the Mikrotik-Rate-Limit in force.
func (s *Session) Rate() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rate
}

// Ended tells whether the session is over.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Transfer moves octets. Where a limit is reached the session stops at the very
// octet, as the router's own counters do, and its Stop is sent.
func (s *Session) Transfer(ctx context.Context, up, down uint64) error {
	s.mu.Lock()
	full := false
	cut := func(have, more, limit uint64) uint64 {
		if limit > 0 && have+more >= limit {
			full = true
			return limit - have
		}
		return more
	}
	up, down = cut(s.up, up, s.recv), cut(s.down, down, s.xmit)
	if s.total > 0 && s.up+s.down+up+down >= s.total {
		left := s.total - s.up - s.down
		up = min(up, left)
		down, full = left-up, true
	}
	s.up, s.down = s.up+up, s.down+down
	s.moved[0].Store(s.up)
	s.moved[1].Store(s.down)
	s.mu.Unlock()
	if full {
		return s.End(ctx, causeNASRequest)
	}
	return nil
}

// octets are those from and to the subscriber; it takes no lock.
func (s *Session) octets() (up, down uint64) { return s.moved[0].Load(), s.moved[1].Load() }

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

// HangUp is the subscriber's end of a session.
func (s *Session) HangUp(ctx context.Context) error { return s.End(ctx, causeUserRequest) }

// End takes the session off the router and sends its Stop with a cause by RFC
// 2866 section 5.10. A session that has ended is left alone.
func (s *Session) End(ctx context.Context, cause uint32) error {
	if !s.leave() || !s.r.accounting() {
		return nil
	}
	return s.account(ctx, acctStop, cause)
}

// leave takes the session off the router; false where it was off already.
func (s *Session) leave() bool {
	if !s.lose() {
		return false
	}
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.active)
	r.take("/ppp/active", s.active)
	r.take("/queue/simple", s.queue)
	r.take("/interface", s.link)
	for _, id := range s.lists {
		r.take("/ip/firewall/address-list", id)
	}
	return true
}

// lose ends the session, as a power cut does: nothing more is sent for it.
func (s *Session) lose() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	for _, t := range []*time.Timer{s.interim, s.limit} {
		if t != nil {
			t.Stop()
		}
	}
	return true
}

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
	_, err := s.r.ask(ctx, "ppp", true, build)
	return err
}

// Sessions are those on the router.
func (r *Router) Sessions() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Session, 0, len(r.sessions))
	for _, i := range r.items["/ppp/active"] {
		if s := r.sessions[i.id]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (r *Router) byID(path, id string) *item {
	for _, i := range r.items[path] {
		if i.id == id && id != "" {
			return i
		}
	}
	return nil
}

// errorCause is the value of an Error-Cause attribute.
func errorCause(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
