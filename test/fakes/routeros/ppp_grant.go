package routeros

import (
	"context"
	"strings"
	"time"
)

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
