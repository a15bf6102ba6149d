package store

import (
	"net/netip"
	"sync"
	"time"

	"radial/aaa"
)

// knownMax bounds the sessions that a ledger remembers; about 200 bytes each.
const knownMax = 1 << 18

// known is what a ledger remembers of the open sessions that it has written,
// so that their next records need no look at the rows first. It is a hint: each row
// tells by its xmin, the transaction that wrote it, whether it is still as it is
// remembered (docs/decisions/0009-accounting-batches.md).
type known struct {
	parts [16]knownPart
}

type knownPart struct {
	mu       sync.Mutex
	sessions map[knownKey]knownSession
}

// knownKey is an acctuniqueid: all that Radial and FreeRADIUS make have 32
// characters, and others are not remembered.
type knownKey [32]byte

func keyOfUnique(id string) (k knownKey, ok bool) {
	return k, copy(k[:], id) == len(id) && len(id) == len(k)
}

// part is where a session is kept.
func (k *known) part(key *knownKey) *knownPart { return &k.parts[key[len(key)-1]%byte(len(k.parts))] }

// knownSession is an open row of radacct, as the transaction xid has left it.
type knownSession struct {
	id     int64
	xid    uint32
	has    knownColumns
	start  int64 // seconds since 1970, as update and quiet
	update int64
	quiet  int64 // until when its addresses need no look

	interval, lived, input, output int64

	info string
	ip   netip.Addr
	more *knownMore
}

// knownMore is what few sessions have.
type knownMore struct {
	ipv6              netip.Addr
	prefix, delegated netip.Prefix
	interfaceID       *string
}

// knownColumns are the columns that are not NULL.
type knownColumns uint8

const (
	knownStart knownColumns = 1 << iota
	knownUpdate
	knownInterval
	knownLived
	knownInput
	knownOutput
	knownInfo
)

// recall makes the row of a session that is remembered; false: it is not.
func (k *known) recall(id string, row *acctRow) bool {
	key, ok := keyOfUnique(id)
	if !ok {
		return false
	}
	p := k.part(&key)
	p.mu.Lock()
	s, ok := p.sessions[key]
	p.mu.Unlock()
	if !ok {
		return false
	}
	row.xid, row.quiet = s.xid, s.quiet
	b := &row.before
	b.ID, b.UniqueID, b.FramedIP = s.id, id, s.ip
	if s.has&knownStart != 0 {
		b.Start = time.Unix(s.start, 0).UTC()
	}
	if s.has&knownUpdate != 0 {
		b.Update = time.Unix(s.update, 0).UTC()
	}
	row.numbers = [4]int64{s.interval, s.lived, s.input, s.output}
	for i, to := range []**int64{&b.Interval, &b.SessionTime, &b.Input, &b.Output} {
		if s.has&(knownInterval<<i) != 0 {
			*to = &row.numbers[i]
		}
	}
	if s.has&knownInfo != 0 {
		row.info = s.info
		b.ConnectInfoStart = &row.info
	}
	if m := s.more; m != nil {
		b.FramedIPv6, b.FramedIPv6Pfx, b.DelegatedPrefix, b.InterfaceID = m.ipv6, m.prefix, m.delegated, m.interfaceID
	}
	row.Session = *b
	return true
}

// learn remembers an open row that the transaction xid has committed, or
// forgets one that is closed, or has what is not remembered.
func (k *known) learn(s *aaa.Session, xid uint32, quiet int64) {
	key, ok := keyOfUnique(s.UniqueID)
	if !ok {
		return
	}
	if !s.Open() || s.TerminateCause != nil || s.ConnectInfoStop != nil || s.Start.Nanosecond() != 0 || s.Update.Nanosecond() != 0 {
		k.forget(s.UniqueID)
		return
	}
	n := knownSession{id: s.ID, xid: xid, quiet: quiet, ip: s.FramedIP}
	if !s.Start.IsZero() {
		n.start, n.has = s.Start.Unix(), n.has|knownStart
	}
	if !s.Update.IsZero() {
		n.update, n.has = s.Update.Unix(), n.has|knownUpdate
	}
	for i, f := range [4]struct {
		to   *int64
		from *int64
	}{{&n.interval, s.Interval}, {&n.lived, s.SessionTime}, {&n.input, s.Input}, {&n.output, s.Output}} {
		if f.from != nil {
			*f.to, n.has = *f.from, n.has|knownInterval<<i
		}
	}
	if s.ConnectInfoStart != nil {
		n.info, n.has = *s.ConnectInfoStart, n.has|knownInfo
	}
	if s.FramedIPv6.IsValid() || s.FramedIPv6Pfx.IsValid() || s.DelegatedPrefix.IsValid() || s.InterfaceID != nil {
		n.more = &knownMore{s.FramedIPv6, s.FramedIPv6Pfx, s.DelegatedPrefix, s.InterfaceID}
	}
	p := k.part(&key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions == nil {
		p.sessions = map[knownKey]knownSession{}
	}
	if len(p.sessions) >= knownMax/len(k.parts) {
		if _, there := p.sessions[key]; !there {
			for any := range p.sessions { // whichever comes
				delete(p.sessions, any)
				break
			}
		}
	}
	p.sessions[key] = n
}

func (k *known) forget(id string) {
	key, ok := keyOfUnique(id)
	if !ok {
		return
	}
	p := k.part(&key)
	p.mu.Lock()
	delete(p.sessions, key)
	p.mu.Unlock()
}

// clear forgets all, for a database that may have lost what it had committed.
func (k *known) clear() {
	for i := range k.parts {
		p := &k.parts[i]
		p.mu.Lock()
		p.sessions = nil
		p.mu.Unlock()
	}
}
