package radius

import (
	"net/netip"
	"time"

	"radial/aaa"
	"radial/nas"
)

// exchange is a datagram on its way through the server, and the reply to it.
// Exchanges are pooled with all their memory; one belongs to the reader, then
// to a worker (or the delays) or to the ledger, then to the writer, which frees it.
type exchange struct {
	socket *socket

	datagram [maxPacket + 1]byte // one more, to see what is too long
	size     int
	route    route
	source   netip.AddrPort
	received time.Time

	packet  packet
	device  *nas.Device
	secret  []byte
	signer  *signer
	ticket  ticket
	request aaa.Request
	decoded bool // request has been filled
	room    aaa.Room
	posting aaa.Posting // of an Accounting-Request
	reply   []byte      // empty: none
	place   int         // with its reader, which sends the reply
	due     time.Time
}

func newExchange() any { return &exchange{signer: newSigner(), reply: make([]byte, 0, 512)} }

// exchange returns a fresh exchange from the pool.
func (s *Server) exchange() *exchange { return s.pool.Get().(*exchange) }

// free gives an exchange back. Nothing may point into it any more.
func (s *Server) free(x *exchange) {
	x.socket, x.device, x.ticket = nil, nil, ticket{}
	clear(x.request.Pairs)
	x.request = aaa.Request{Pairs: x.request.Pairs[:0]}
	x.packet, x.decoded, x.posting = packet{}, false, aaa.Posting{}
	x.secret = x.secret[:0]
	x.reply = x.reply[:0]
	s.pool.Put(x)
}
