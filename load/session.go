package load

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"radial/aaa"
)

// step is where a session stands: what it sends next.
type step uint8

const (
	stepLogin step = iota
	stepStart
	stepInterim
	stepStop
	steps
)

func (s step) String() string { return [...]string{"login", "start", "interim", "stop"}[s] }

const interimsPerSession = 3

// session is one subscriber's session as the generator plays it.
type session struct {
	number   int // counts through the run
	user     int
	step     step
	interims int
	seconds  uint32
	in, out  uint64
	wrong    bool   // this login's password
	leases   leases // from the Access-Accept, or made up
	dials    int    // in a storm
	tries    int
}

// SessionState is what was sent of a session, and what a server has
// acknowledged of it.
type SessionState struct {
	User      string
	SessionID string
	NAS       string
	Started   bool // a record was acknowledged
	Stopped   bool // its Stop was
	Seconds   uint32
	Input     uint64
	Output    uint64
	// SentStop and the counters of the last record that was sent: what the
	// server may have stored at most.
	SentStop              bool
	SentInput, SentOutput uint64
	SentSeconds           uint32
}

// names holds the texts that are made once for each user.
type names struct {
	user, password, mac []string
	hash                [][16]byte // NT hashes, for MS-CHAPv2 alone
}

func makeNames(o Options) (names, error) {
	n := names{user: make([]string, o.Users), password: make([]string, o.Users), mac: make([]string, o.Users)}
	if o.method() == MSCHAPv2 {
		n.hash = make([][16]byte, o.Users)
	}
	for i := range o.Users {
		n.user[i] = textOf(o.UserFormat, i)
		n.password[i] = textOf(o.PasswordFormat, i)
		n.mac[i] = fmt.Sprintf("02:00:%02X:%02X:%02X:%02X", byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
		if n.hash != nil {
			hash, err := aaa.NTHash([]byte(n.password[i]))
			if err != nil {
				return n, fmt.Errorf("load: password of %s: %w", n.user[i], err)
			}
			n.hash[i] = hash
		}
	}
	return n, nil
}

// sessionID is unique over the run and, by the seed, over runs.
func (r *run) sessionID(s *session) string {
	return fmt.Sprintf("%s%08x", r.opts.SessionPrefix(), uint32(s.number))
}

// SessionPrefix is how the Acct-Session-Id of all sessions of a run begins: 8
// hexadecimal digits of its seed. As many of the session's number follow.
func (o Options) SessionPrefix() string { return fmt.Sprintf("%08x", uint32(o.Seed)) }

// appendSessionID is sessionID as an attribute, without garbage.
func (r *run) appendSessionID(b []byte, s *session) []byte {
	const digits = "0123456789abcdef"
	b = append(b, attrAcctSessionID, 18)
	id := uint64(uint32(r.opts.Seed))<<32 | uint64(uint32(s.number))
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[id>>shift&15])
	}
	return b
}

// nasAddress is the NAS-IP-Address of a session.
func (l *lane) nasAddress(s *session) uint32 {
	if l.source.Is4() {
		a := l.source.As4()
		return binary.BigEndian.Uint32(a[:])
	}
	return 10<<24 | 250<<16 | uint32(s.number%l.run.opts.NASes)
}

func (l *lane) nasText(s *session) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], l.nasAddress(s))
	return netip.AddrFrom4(b).String()
}

// madeUp is the address of a session whose server gives none.
func madeUp(number int) (ls leases) {
	ls.n = 1
	ls.all[0] = lease{attr: attrFramedIPAddress, size: 4}
	binary.BigEndian.PutUint32(ls.all[0].value[:], (10<<24|64<<16)+uint32(number)&0xffffff)
	return ls
}

// build writes the request that the session's step asks for; delay is how long
// ago what it tells of happened.
func (l *lane) build(b []byte, id byte, s *session, delay time.Duration) []byte {
	r := l.run
	if s.step == stepLogin {
		return l.buildAccess(b, id, s)
	}
	b = l.codec.beginAccounting(b, id)
	switch s.step {
	case stepStart:
		b = appendInt(b, attrAcctStatusType, 1)
	case stepInterim:
		b = appendInt(b, attrAcctStatusType, 3)
	case stepStop:
		b = appendInt(b, attrAcctStatusType, 2)
		b = appendInt(b, attrTerminateCause, 1)
	}
	b = appendString(b, attrUserName, r.names.user[s.user])
	b = l.appendNAS(b, s)
	b = r.appendSessionID(b, s)
	b = s.leases.append(b)
	if s.step != stepStart {
		b = appendInt(b, attrAcctSessionTime, s.seconds)
		b = appendOctets(b, attrAcctInput, attrAcctInputGigawords, s.in)
		b = appendOctets(b, attrAcctOutput, attrAcctOutputGigawords, s.out)
	}
	b = appendInt(b, attrAcctDelayTime, uint32(max(delay, 0)/time.Second))
	return l.codec.finishAccounting(b)
}

func (l *lane) buildAccess(b []byte, id byte, s *session) []byte {
	r := l.run
	user, password := r.names.user[s.user], r.names.password[s.user]
	if s.wrong {
		password = "not the password"
	}
	b = l.codec.beginAccess(b, id)
	b = appendString(b, attrUserName, user)
	switch r.method {
	case CHAP:
		b = l.codec.appendCHAP(b, id, password)
	case MSCHAPv2:
		hash := r.names.hash[s.user]
		if s.wrong {
			hash[0]++
		}
		b = l.codec.appendMSCHAPv2(b, user, hash)
	default:
		b = l.codec.appendPassword(b, password)
	}
	b = l.appendNAS(b, s)
	b = r.appendSessionID(b, s)
	return l.codec.finishAccess(b)
}

func (l *lane) appendNAS(b []byte, s *session) []byte {
	b = appendInt(b, attrServiceType, 2)
	b = appendInt(b, attrFramedProtocol, 1)
	b = appendInt(b, attrNASIPAddress, l.nasAddress(s))
	b = appendInt(b, attrNASPort, uint32(s.number))
	b = appendInt(b, attrNASPortType, 15)
	b = appendString(b, attrNASPortID, "ether1")
	b = appendString(b, attrNASIdentifier, "load")
	b = appendString(b, attrCalledStationID, "pppoe")
	return appendString(b, attrCallingStationID, l.run.names.mac[s.user])
}

// advance moves a session on after its request was answered; false: it ends.
// Preparing, it goes as far as the measured part needs it.
func (s *session) advance(mode Mode, preparing bool) bool {
	whole := mode == Session || mode == Acct
	switch {
	case preparing && mode == Start, preparing && s.step == stepStart, !preparing && !whole && mode != Storm:
		return false
	case s.step == stepLogin:
		s.step = stepStart
	case mode == Storm:
		return false
	case s.step == stepStart, s.step == stepInterim && s.interims < interimsPerSession:
		s.step = stepInterim
		s.interims++
		s.grow()
	case s.step == stepInterim:
		s.step = stepStop
		s.grow()
	default:
		return false
	}
	return true
}

func (s *session) grow() {
	s.seconds += 60
	s.in += 1_000_003
	s.out += 10_000_019
}
