package load

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"math/rand/v2"
)

// Codes and attribute numbers that the generator uses (RFC 2865, 2866, 2869).
const (
	codeAccessRequest      = 1
	codeAccessAccept       = 2
	codeAccessReject       = 3
	codeAccountingRequest  = 4
	codeAccountingResponse = 5

	attrUserName            = 1
	attrUserPassword        = 2
	attrCHAPPassword        = 3
	attrNASIPAddress        = 4
	attrNASPort             = 5
	attrServiceType         = 6
	attrFramedProtocol      = 7
	attrFramedIPAddress     = 8
	attrCalledStationID     = 30
	attrCallingStationID    = 31
	attrNASIdentifier       = 32
	attrAcctStatusType      = 40
	attrAcctDelayTime       = 41
	attrAcctInput           = 42
	attrAcctOutput          = 43
	attrAcctSessionID       = 44
	attrAcctSessionTime     = 46
	attrTerminateCause      = 49
	attrAcctInputGigawords  = 52
	attrAcctOutputGigawords = 53
	attrNASPortType         = 61
	attrMessageAuth         = 80
	attrNASPortID           = 87
)

// codec builds and checks packets for one shared secret; one per lane, since
// it reuses its digests.
type codec struct {
	secret  []byte
	mac     hash.Hash
	md5     hash.Hash
	random  *rand.ChaCha8
	sum     [32]byte
	scratch []byte
}

func newCodec(secret string, seed [32]byte) *codec {
	return &codec{secret: []byte(secret), mac: hmac.New(md5.New, []byte(secret)), md5: md5.New(), random: rand.NewChaCha8(seed)}
}

func appendString(b []byte, attr byte, s string) []byte {
	return append(append(b, attr, byte(2+len(s))), s...)
}

func appendInt(b []byte, attr byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, attr, 6), v)
}

// appendOctets appends a counter and, where it has more than 32 bits, how often
// it has wrapped around (RFC 2869 §5.1).
func appendOctets(b []byte, attr, gigawords byte, v uint64) []byte {
	b = appendInt(b, attr, uint32(v))
	if v>>32 > 0 {
		b = appendInt(b, gigawords, uint32(v>>32))
	}
	return b
}

// beginAccess appends the header with a random authenticator and room for the
// Message-Authenticator, which stands first.
func (c *codec) beginAccess(b []byte, id byte) []byte {
	b = append(b[:0], codeAccessRequest, id, 0, 0)
	for range 2 {
		b = binary.LittleEndian.AppendUint64(b, c.random.Uint64())
	}
	b = append(b, attrMessageAuth, 18)
	return append(b, make([]byte, 16)...)
}

// appendPassword hides a password (RFC 2865 §5.2).
func (c *codec) appendPassword(b []byte, password string) []byte {
	padded := max((len(password)+15)/16*16, 16)
	b = append(b, attrUserPassword, byte(2+padded))
	at := len(b)
	b = append(b, password...)
	b = append(b, make([]byte, padded-len(password))...)
	last := b[4:20]
	for i := at; i < at+padded; i += 16 {
		c.md5.Reset()
		c.md5.Write(c.secret)
		c.md5.Write(last)
		subtle.XORBytes(b[i:i+16], b[i:i+16], c.md5.Sum(c.sum[:0]))
		last = b[i : i+16]
	}
	return b
}

// appendCHAP answers the challenge that the authenticator is (RFC 2865 §2.2).
func (c *codec) appendCHAP(b []byte, ident byte, password string) []byte {
	c.scratch = append(append(append(c.scratch[:0], ident), password...), b[4:20]...)
	c.md5.Reset()
	c.md5.Write(c.scratch)
	b = append(b, attrCHAPPassword, 19, ident)
	return append(b, c.md5.Sum(c.sum[:0])...)
}

// finishAccess sets the length and the Message-Authenticator (RFC 3579 §3.2).
func (c *codec) finishAccess(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	c.mac.Reset()
	c.mac.Write(b)
	copy(b[22:38], c.mac.Sum(c.sum[:0]))
	return b
}

func (c *codec) beginAccounting(b []byte, id byte) []byte {
	b = append(b[:0], codeAccountingRequest, id, 0, 0)
	return append(b, make([]byte, 16)...)
}

// finishAccounting sets the length and the Request Authenticator (RFC 2866 §3).
func (c *codec) finishAccounting(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	c.md5.Reset()
	c.md5.Write(b)
	c.md5.Write(c.secret)
	copy(b[4:20], c.md5.Sum(c.sum[:0]))
	return b
}

// verify checks the Response Authenticator of a reply to a request with the
// given authenticator (RFC 2865 §3), the reply's length, and its
// Message-Authenticator if it has one (RFC 3579 §3.2).
func (c *codec) verify(reply, requestAuth []byte) bool {
	if len(reply) < 20 || int(binary.BigEndian.Uint16(reply[2:])) != len(reply) {
		return false
	}
	c.md5.Reset()
	c.md5.Write(reply[:4])
	c.md5.Write(requestAuth)
	c.md5.Write(reply[20:])
	c.md5.Write(c.secret)
	return subtle.ConstantTimeCompare(c.md5.Sum(c.sum[:0]), reply[4:20]) == 1 && c.verifyMessage(reply, requestAuth)
}

func (c *codec) verifyMessage(reply, requestAuth []byte) bool {
	for at := 20; at+2 <= len(reply) && reply[at+1] >= 2; at += int(reply[at+1]) {
		if reply[at] != attrMessageAuth {
			continue
		}
		if reply[at+1] != 18 || at+18 > len(reply) {
			return false
		}
		c.scratch = append(c.scratch[:0], reply...)
		copy(c.scratch[4:20], requestAuth)
		clear(c.scratch[at+2 : at+18])
		c.mac.Reset()
		c.mac.Write(c.scratch)
		return subtle.ConstantTimeCompare(c.mac.Sum(c.sum[:0]), reply[at+2:at+18]) == 1
	}
	return true
}
