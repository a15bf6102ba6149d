package routeros

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RADIUS is made of it
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// RADIUS codes and attributes that the router uses, by RFC 2865, 2866, 2869 and
// 5176.
const (
	codeAccessRequest, codeAccessAccept, codeAccessReject = 1, 2, 3
	codeAcctRequest                                       = 4
	codeDisconnect, codeDisconnectACK, codeDisconnectNAK  = 40, 41, 42
	codeCoA, codeCoAACK, codeCoANAK                       = 43, 44, 45

	attrUserName, attrUserPassword, attrCHAPPassword         = 1, 2, 3
	attrNASIPAddress, attrNASPort, attrServiceType           = 4, 5, 6
	attrFramedProtocol, attrFramedIPAddress, attrFilterID    = 7, 8, 11
	attrReplyMessage, attrState, attrClass, attrVendor       = 18, 24, 25, 26
	attrSessionTimeout, attrIdleTimeout                      = 27, 28
	attrCalledStation, attrCallingStation, attrNASIdentifier = 30, 31, 32
	attrAcctStatusType, attrAcctDelayTime                    = 40, 41
	attrAcctInputOctets, attrAcctOutputOctets                = 42, 43
	attrAcctSessionID, attrAcctAuthentic, attrAcctTime       = 44, 45, 46
	attrAcctInputPackets, attrAcctOutputPackets              = 47, 48
	attrAcctCause                                            = 49
	attrAcctInputGigawords, attrAcctOutputGigawords          = 52, 53
	attrEventTimestamp, attrNASPortType, attrPortLimit       = 55, 61, 62
	attrMessageAuthenticator, attrInterimInterval            = 80, 85
	attrNASPortID, attrErrorCause                            = 87, 101
	vendorMikrotik                                           = 14988
	mtRecvLimit, mtXmitLimit, mtGroup, mtRateLimit           = 1, 2, 3, 8
	mtRecvGigawords, mtXmitGigawords                         = 14, 15
	mtTotalLimit, mtTotalGigawords, mtAddressList            = 17, 18, 19
	acctStart, acctStop, acctInterim                         = 1, 2, 3
	causeUserRequest, causeSessionTimeout                    = 1, 5
	causeAdminReset, causeNASRequest                         = 6, 10
)

// attr is one attribute of a packet; one of MikroTik's has its number in
// vendor.
type attr struct {
	kind, vendor byte
	value        []byte
}

// packet is a RADIUS packet.
type packet struct {
	code, id byte
	auth     [16]byte
	attrs    []attr
}

var errPacket = errors.New("malformed RADIUS packet")

func (p *packet) text(kind byte, s string) {
	p.attrs = append(p.attrs, attr{kind: kind, value: []byte(s)})
}
func (p *packet) number(kind byte, n uint32) {
	p.attrs = append(p.attrs, attr{kind: kind, value: binary.BigEndian.AppendUint32(nil, n)})
}

func (p *packet) addr(kind byte, a netip.Addr) {
	p.attrs = append(p.attrs, attr{kind: kind, value: a.AsSlice()})
}

// get is the first attribute of a kind, or of MikroTik's kinds.
func (p *packet) get(kind byte) ([]byte, bool)      { return p.find(kind, 0) }
func (p *packet) mikrotik(kind byte) ([]byte, bool) { return p.find(attrVendor, kind) }

func (p *packet) find(kind, vendor byte) ([]byte, bool) {
	for _, a := range p.attrs {
		if a.kind == kind && a.vendor == vendor {
			return a.value, true
		}
	}
	return nil, false
}

func (p *packet) str(kind byte) string {
	v, _ := p.get(kind)
	return string(v)
}

func numberOf(v []byte, ok bool) (uint32, bool) {
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// bytes writes a packet with the authenticator that it has; a
// Message-Authenticator stands first and is still zero.
func (p *packet) bytes(withMA bool) []byte {
	b := append([]byte{p.code, p.id, 0, 0}, p.auth[:]...)
	if withMA {
		b = append(b, attrMessageAuthenticator, 18)
		b = append(b, make([]byte, 16)...)
	}
	for _, a := range p.attrs {
		if a.vendor != 0 {
			b = append(b, attrVendor, byte(len(a.value)+8))
			b = binary.BigEndian.AppendUint32(b, vendorMikrotik)
			b = append(b, a.vendor, byte(len(a.value)+2))
		} else {
			b = append(b, a.kind, byte(len(a.value)+2))
		}
		b = append(b, a.value...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

func md5Of(parts ...[]byte) []byte {
	sum := md5.Sum(slices.Concat(parts...)) //nolint:gosec // as above
	return sum[:]
}

func hmacOf(b []byte, secret string) []byte {
	h := hmac.New(md5.New, []byte(secret))
	h.Write(b)
	return h.Sum(nil)
}

// accessBytes writes an Access-Request; the password is hidden by its
// authenticator already. Since RouterOS 7.15 it has a Message-Authenticator.
func (p *packet) accessBytes(secret string, withMA bool) []byte {
	b := p.bytes(withMA)
	if withMA {
		copy(b[22:38], hmacOf(b, secret))
	}
	return b
}

// acctBytes writes an Accounting-Request, whose authenticator signs it (RFC
// 2866 section 3).
func (p *packet) acctBytes(secret string) []byte {
	p.auth = [16]byte{}
	b := p.bytes(false)
	copy(b[4:20], md5Of(b, []byte(secret)))
	copy(p.auth[:], b[4:20])
	return b
}

// answerBytes writes a reply to a request: a Message-Authenticator over the
// request's authenticator, then the response authenticator.
func (p *packet) answerBytes(request *packet, secret string, withMA bool) []byte {
	p.id, p.auth = request.id, request.auth
	b := p.bytes(withMA)
	if withMA {
		copy(b[22:38], hmacOf(b, secret))
	}
	copy(b[4:20], md5Of(b, []byte(secret)))
	return b
}

// parsePacket reads a packet; attributes of other vendors are passed over.
func parsePacket(b []byte) (*packet, error) {
	if len(b) < 20 || int(binary.BigEndian.Uint16(b[2:])) > len(b) || binary.BigEndian.Uint16(b[2:]) < 20 {
		return nil, errPacket
	}
	p := &packet{code: b[0], id: b[1]}
	copy(p.auth[:], b[4:20])
	rest := b[20:binary.BigEndian.Uint16(b[2:])]
	for len(rest) > 0 {
		if len(rest) < 2 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return nil, errPacket
		}
		kind, value := rest[0], rest[2:rest[1]]
		rest = rest[rest[1]:]
		if kind != attrVendor {
			p.attrs = append(p.attrs, attr{kind: kind, value: value})
			continue
		}
		if len(value) < 4 || binary.BigEndian.Uint32(value) != vendorMikrotik {
			continue
		}
		for sub := value[4:]; len(sub) > 0; sub = sub[sub[1]:] {
			if len(sub) < 2 || sub[1] < 2 || int(sub[1]) > len(sub) {
				return nil, errPacket
			}
			p.attrs = append(p.attrs, attr{kind: attrVendor, vendor: sub[0], value: sub[2:sub[1]]})
		}
	}
	return p, nil
}

// genuineReply tells whether a reply is of the server that has the secret: its
// authenticator, and its Message-Authenticator where it has one.
func genuineReply(b []byte, request [16]byte, secret string) bool {
	work := bytes.Clone(b[:binary.BigEndian.Uint16(b[2:])])
	copy(work[4:20], request[:])
	if !bytes.Equal(b[4:20], md5Of(work, []byte(secret))) {
		return false
	}
	return genuineMA(work, secret)
}

// genuineMA checks the Message-Authenticator, if there is one, of a packet
// whose authenticator field is already what the sum is made over.
func genuineMA(b []byte, secret string) bool {
	for at := 20; at+2 <= len(b) && b[at+1] >= 2; at += int(b[at+1]) {
		if b[at] != attrMessageAuthenticator {
			continue
		}
		if b[at+1] != 18 || at+18 > len(b) {
			return false
		}
		work := bytes.Clone(b)
		clear(work[at+2 : at+18])
		return hmac.Equal(hmacOf(work, secret), b[at+2:at+18])
	}
	return true
}

// genuineRequest tells whether a CoA or Disconnect request was signed with the
// secret (RFC 5176 section 2.3): the authenticator over zeros, and before it the
// Message-Authenticator, also over zeros.
func genuineRequest(b []byte, secret string) bool {
	work := bytes.Clone(b[:binary.BigEndian.Uint16(b[2:])])
	clear(work[4:20])
	return bytes.Equal(b[4:20], md5Of(work, []byte(secret))) && genuineMA(work, secret)
}

// hidePassword is User-Password (RFC 2865 section 5.2).
func hidePassword(password, secret string, auth [16]byte) []byte {
	plain := []byte(password)
	for len(plain) == 0 || len(plain)%16 != 0 {
		plain = append(plain, 0)
	}
	out, last := make([]byte, 0, len(plain)), auth[:]
	for i := 0; i < len(plain); i += 16 {
		key := md5Of([]byte(secret), last)
		for j := range 16 {
			out = append(out, plain[i+j]^key[j])
		}
		last = out[i:]
	}
	return out
}
