package load

import (
	"encoding/binary"
	"fmt"
)

// step is where a slot's session stands: what it sends next.
type step uint8

const (
	stepLogin step = iota
	stepStart
	stepInterim
	stepStop
)

const interimsPerSession = 3

// session is one subscriber's session as the generator plays it.
type session struct {
	number   int // counts through the run
	user     int
	step     step
	interims int
	seconds  uint32
	in, out  uint32
	address  uint32 // from the Access-Accept, or made up
}

// SessionState is what a server has acknowledged of a session.
type SessionState struct {
	User      string
	SessionID string
	NAS       string
	Started   bool
	Stopped   bool
	Seconds   uint32
	Input     uint32
	Output    uint32
}

// names holds the texts that are made once for each user.
type names struct{ user, password, mac []string }

func makeNames(o Options) names {
	n := names{make([]string, o.Users), make([]string, o.Users), make([]string, o.Users)}
	for i := range o.Users {
		n.user[i] = fmt.Sprintf(o.UserFormat, i)
		n.password[i] = fmt.Sprintf(o.PasswordFormat, i)
		n.mac[i] = fmt.Sprintf("02:00:%02X:%02X:%02X:%02X", byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
	}
	return n
}

// sessionID is unique over the run and, by the seed, over runs.
func (r *run) sessionID(s *session) string {
	return fmt.Sprintf("%08x%08x", uint32(r.opts.Seed), uint32(s.number))
}

func (r *run) nasAddress(s *session) uint32 {
	return 10<<24 | 250<<16 | uint32(s.number%r.opts.NASes)
}

func (r *run) nasText(s *session) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], r.nasAddress(s))
	return fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])
}

// build writes the request that the session's step asks for.
func (l *lane) build(b []byte, id byte, s *session) []byte {
	r := l.run
	user := r.names.user[s.user]
	if s.step == stepLogin {
		b = l.codec.beginAccess(b, id)
		b = appendString(b, attrUserName, user)
		if r.opts.Mode == CHAP {
			b = l.codec.appendCHAP(b, id, r.names.password[s.user])
		} else {
			b = l.codec.appendPassword(b, r.names.password[s.user])
		}
		b = l.appendNAS(b, s)
		b = appendString(b, attrAcctSessionID, r.sessionID(s))
		return l.codec.finishAccess(b)
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
	b = appendString(b, attrUserName, user)
	b = l.appendNAS(b, s)
	b = appendString(b, attrAcctSessionID, r.sessionID(s))
	b = appendInt(b, attrFramedIPAddress, s.address)
	if s.step != stepStart {
		b = appendInt(b, attrAcctSessionTime, s.seconds)
		b = appendInt(b, attrAcctInput, s.in)
		b = appendInt(b, attrAcctOutput, s.out)
	}
	return l.codec.finishAccounting(b)
}

func (l *lane) appendNAS(b []byte, s *session) []byte {
	b = appendInt(b, attrServiceType, 2)
	b = appendInt(b, attrFramedProtocol, 1)
	b = appendInt(b, attrNASIPAddress, l.run.nasAddress(s))
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
	switch {
	case preparing && mode == Start, preparing && s.step == stepStart, !preparing && mode != Session:
		return false
	case s.step == stepLogin:
		s.step = stepStart
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
