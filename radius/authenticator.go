package radius

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"hash"

	wire "layeh.com/radius"
)

// signer computes the keyed MD5 sums of RADIUS. It belongs to one goroutine at
// a time and keeps its hash and scratch memory, so that signing allocates
// nothing (crypto/hmac would, for every new key).
type signer struct {
	md5 digest
	pad [md5.BlockSize]byte
	sum [md5.Size]byte

	// secret is what inner and outer are the states for: of the hash that has
	// taken in the secret's pads (RFC 2104). Most packets have the secret of the
	// one before, and spare two blocks of hashing out of six.
	secret       []byte
	inner, outer []byte
}

// digest is a hash whose state can be kept.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newSigner() *signer { return &signer{md5: md5.New().(digest)} }

// zeroes stand where an authenticator is left out of a sum.
var zeroes = [md5.Size]byte{}

// hmac leaves in s.sum the HMAC-MD5 (RFC 2104) of a packet whose authenticator
// and Message-Authenticator (at offset ma) are taken as given here.
func (s *signer) hmac(secret, data, authenticator []byte, ma int) {
	s.key(secret)
	s.restore(s.inner)
	s.md5.Write(data[:4])
	s.md5.Write(authenticator)
	s.md5.Write(data[headerLen:ma])
	s.md5.Write(zeroes[:])
	s.md5.Write(data[ma+md5.Size:])
	s.md5.Sum(s.sum[:0])
	s.restore(s.outer)
	s.md5.Write(s.sum[:])
	s.md5.Sum(s.sum[:0])
}

// restore brings the hash into a state that padded has made.
func (s *signer) restore(state []byte) {
	if err := s.md5.UnmarshalBinary(state); err != nil {
		panic("radius: the state of a hash that crypto/md5 made: " + err.Error())
	}
}

// key makes inner and outer those of a secret.
func (s *signer) key(secret []byte) {
	if s.inner != nil && bytes.Equal(secret, s.secret) {
		return
	}
	s.secret = append(s.secret[:0], secret...)
	s.inner = s.padded(s.inner, secret, 0x36)
	s.outer = s.padded(s.outer, secret, 0x5c)
}

// padded writes into dst[:0] the state of a hash that begins with the secret,
// filled up to a block, each octet XORed with b.
func (s *signer) padded(dst, secret []byte, b byte) []byte {
	if len(secret) > len(s.pad) {
		short := md5.Sum(secret)
		secret = short[:]
	}
	n := copy(s.pad[:], secret)
	clear(s.pad[n:])
	for i := range s.pad {
		s.pad[i] ^= b
	}
	s.md5.Reset()
	s.md5.Write(s.pad[:])
	dst, err := s.md5.AppendBinary(dst[:0])
	if err != nil {
		panic("radius: keep the state of a hash: " + err.Error())
	}
	return dst
}

// messageAuthHolds tells whether a request's Message-Authenticator is right
// (RFC 3579 §3.2). For an Accounting-Request the authenticator counts as
// sixteen zeroes, since it is itself computed last (as RFC 5176 §3.5 says for
// CoA, and FreeRADIUS does).
func (s *signer) messageAuthHolds(p *packet, secret []byte) bool {
	authenticator := p.authenticator()
	if p.code() == wire.CodeAccountingRequest {
		authenticator = zeroes[:]
	}
	s.hmac(secret, p.data, authenticator, p.ma)
	return subtle.ConstantTimeCompare(s.sum[:], p.messageAuth()) == 1
}

// accountingHolds tells whether an Accounting-Request's authenticator is right:
// MD5(Code+Id+Length+16 zeroes+attributes+secret), RFC 2866 §3.
func (s *signer) accountingHolds(p *packet, secret []byte) bool {
	s.md5.Reset()
	s.md5.Write(p.data[:4])
	s.md5.Write(zeroes[:])
	s.md5.Write(p.attributes())
	s.md5.Write(secret)
	s.md5.Sum(s.sum[:0])
	return subtle.ConstantTimeCompare(s.sum[:], p.authenticator()) == 1
}

// beginReply writes a reply's header into dst[:0], and for an Access-* reply
// an empty Message-Authenticator as its first attribute (CVE-2024-3596:
// nothing that an attacker chooses may stand before it).
func beginReply(dst []byte, code wire.Code, to *packet) []byte {
	dst = append(dst[:0], byte(code), to.id(), 0, 0)
	dst = append(dst, to.authenticator()...)
	if code != wire.CodeAccountingResponse {
		dst = append(dst, attrMessageAuth, messageAuthLen)
		dst = append(dst, zeroes[:]...)
	}
	return dst
}

// sign completes a reply that beginReply began: its Length, its
// Message-Authenticator over the request's authenticator (RFC 3579 §3.2), then
// the Response Authenticator over all (RFC 2865 §3).
func (s *signer) sign(reply, secret []byte) {
	binary.BigEndian.PutUint16(reply[2:4], uint16(len(reply)))
	if wire.Code(reply[0]) != wire.CodeAccountingResponse {
		const ma = headerLen + 2
		s.hmac(secret, reply, reply[4:headerLen], ma)
		copy(reply[ma:], s.sum[:])
	}
	s.md5.Reset()
	s.md5.Write(reply)
	s.md5.Write(secret)
	s.md5.Sum(reply[4:4])
}
