package aaa

import (
	"net/netip"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// Request is an Access-Request or Accounting-Request that has passed the gate:
// its source is known, its authenticator and Message-Authenticator hold, and
// its attributes are decoded (User-Password in clear). Pairs and their values
// live only as long as the call that they were handed to.
type Request struct {
	Device        *nas.Device
	Source        netip.AddrPort
	ID            uint8
	Authenticator [16]byte // Request Authenticator: the CHAP challenge where there is no CHAP-Challenge
	Pairs         dictionaries.Pairs
	Received      time.Time
	// Room is memory for the decision; nil: it makes its own.
	Room *Room
}

// Room is memory that decisions use one after the other, so that they make no
// garbage. The zero Room is ready for use, by one request at a time: a
// Decision's Reply lies in it, and is good until the Room is used again.
type Room struct{ l authorization }

// begin is the authorization of a request, in its Room.
func (e *Engine) begin(req *Request) *authorization {
	room := req.Room
	if room == nil {
		room = &Room{}
	}
	l := &room.l
	m := l.merging
	m.old = nil
	*l = authorization{e: e, in: checkInput{req: req}, control: l.control[:0], reply: l.reply[:0], merging: m}
	return l
}
