package radius

import (
	"encoding/binary"

	wire "layeh.com/radius"
)

// The sizes of RFC 2865 §3.
const (
	headerLen = 20
	maxPacket = wire.MaxPacketLength
)

// The attributes that the gate looks at itself.
const (
	attrUserPassword  = 2
	attrCHAPPassword  = 3
	attrState         = 24
	attrProxyState    = 33
	attrARAPPassword  = 70
	attrEAPMessage    = 79
	attrMessageAuth   = 80
	messageAuthLen    = 18 // with type and length
	chapPasswordLen   = 17
	maxUserPassword   = 128
	userPasswordBlock = 16
)

// packet is a view of a datagram that is a well-formed RADIUS packet. It
// points into the datagram and allocates nothing.
type packet struct {
	data []byte // cut to the Length field: bytes beyond are padding (RFC 2865 §3)
	ma   int    // offset of the Message-Authenticator's value in data, or 0

	eap        bool // holds EAP-Message
	proxyState bool // holds Proxy-State
}

func (p *packet) code() wire.Code             { return wire.Code(p.data[0]) }
func (p *packet) id() uint8                   { return p.data[1] }
func (p *packet) authenticator() []byte       { return p.data[4:headerLen] }
func (p *packet) attributes() []byte          { return p.data[headerLen:] }
func (p *packet) messageAuth() []byte         { return p.data[p.ma : p.ma+messageAuthLen-2] }
func (p *packet) hasMessageAuth() bool        { return p.ma != 0 }
func attribute(attrs []byte) (a, rest []byte) { n := int(attrs[1]); return attrs[:n], attrs[n:] }

// parseHeader checks lengths (RFC 2865 §3) and cuts the datagram to its Length
// field.
func parseHeader(datagram []byte) (packet, Refusal) {
	if len(datagram) < headerLen {
		return packet{}, RefusedShort
	}
	length := int(binary.BigEndian.Uint16(datagram[2:4]))
	switch {
	case length < headerLen:
		return packet{}, RefusedLengthSmall
	case length > maxPacket || len(datagram) > maxPacket:
		return packet{}, RefusedTooLong
	case length > len(datagram):
		return packet{}, RefusedLengthBeyond
	}
	return packet{data: datagram[:length]}, Admitted
}

// walk checks every attribute's framing and the rules that hold for single
// attributes whatever the source (RFC 2865 §5, RFC 3579 §3).
func (p *packet) walk(maxAttributes int) Refusal {
	rest := p.attributes()
	previous, count, password := byte(0), 0, false
	for len(rest) > 0 {
		if len(rest) == 1 {
			return RefusedAttrBeyond
		}
		kind, length := rest[0], int(rest[1])
		switch {
		case kind == 0:
			return RefusedAttrType
		case length < 2:
			return RefusedAttrLength
		case length > len(rest):
			return RefusedAttrBeyond
		}
		if count++; count > maxAttributes {
			return RefusedAttrCount
		}
		switch kind {
		case attrState:
			if length == 2 {
				return RefusedStateEmpty
			}
		case attrUserPassword:
			if n := length - 2; n < userPasswordBlock || n > maxUserPassword || n%userPasswordBlock != 0 {
				return RefusedUserPassword
			}
			password = true
		case attrCHAPPassword:
			if length-2 != chapPasswordLen {
				return RefusedCHAPPassword
			}
			password = true
		case attrARAPPassword:
			password = true
		case attrProxyState:
			p.proxyState = true
		case attrEAPMessage:
			if p.eap && previous != attrEAPMessage {
				return RefusedEAPGap
			}
			p.eap = true
		case attrMessageAuth:
			switch {
			case length != messageAuthLen:
				return RefusedMALength
			case p.ma != 0:
				return RefusedMATwice
			}
			p.ma = len(p.data) - len(rest) + 2
		}
		previous, rest = kind, rest[length:]
	}
	if p.eap && password && p.code() == wire.CodeAccessRequest {
		return RefusedEAPMixed
	}
	return Admitted
}

// appendProxyStates appends the packet's Proxy-State attributes as they stand
// and in their order (RFC 2865 §5.33).
func (p *packet) appendProxyStates(dst []byte) []byte {
	if !p.proxyState {
		return dst
	}
	for rest := p.attributes(); len(rest) > 0; {
		var a []byte
		if a, rest = attribute(rest); a[0] == attrProxyState {
			dst = append(dst, a...)
		}
	}
	return dst
}
