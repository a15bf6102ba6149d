package routeros

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
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
	reply, err := r.ask(ctx, false, s.accessRequest)
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

// Ended tells whether the session is over.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

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
