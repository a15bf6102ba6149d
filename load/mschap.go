package load

import (
	"bytes"
	"encoding/binary"

	"radial/aaa"
)

// Microsoft's attributes (RFC 2548 §2).
const (
	vendorMicrosoft  = 311
	msCHAPChallenge  = 11
	msCHAP2Response  = 25
	msCHAP2Success   = 26
	attrVendor       = 26
	successTextBytes = 42 // "S=" and 40 digits
)

// appendVendor begins a Vendor-Specific attribute with one of Microsoft's
// attributes, whose value of size bytes follows.
func appendVendor(b []byte, attr byte, size int) []byte {
	b = append(b, attrVendor, byte(8+size))
	b = binary.BigEndian.AppendUint32(b, vendorMicrosoft)
	return append(b, attr, byte(2+size))
}

// appendMSCHAPv2 answers a challenge that the generator, as NAS and peer, has
// made itself. The arithmetic is the engine's, which RFC 2759's vectors judge.
func (c *codec) appendMSCHAPv2(b []byte, user string, hash [16]byte) []byte {
	var authenticator, peer [16]byte
	c.fill(authenticator[:])
	c.fill(peer[:])
	response := aaa.MSCHAPv2Response(authenticator, peer, aaa.WithoutDomain(user), hash)
	b = append(appendVendor(b, msCHAPChallenge, 16), authenticator[:]...)
	b = append(appendVendor(b, msCHAP2Response, 50), 0, 0)
	b = append(append(b, peer[:]...), make([]byte, 8)...)
	return append(b, response[:]...)
}

// fill writes random bytes; their number is a multiple of 8.
func (c *codec) fill(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, c.random.Uint64())
	}
}

// microsoftAttr finds one of Microsoft's attributes, or nil.
func microsoftAttr(packet []byte, attr byte) []byte {
	for b := packet[20:]; len(b) >= 2 && int(b[1]) >= 2 && int(b[1]) <= len(b); b = b[b[1]:] {
		if b[0] != attrVendor || b[1] < 8 || binary.BigEndian.Uint32(b[2:]) != vendorMicrosoft {
			continue
		}
		for v := b[6:b[1]]; len(v) >= 2 && int(v[1]) >= 2 && int(v[1]) <= len(v); v = v[v[1]:] {
			if v[0] == attr {
				return v[2:v[1]]
			}
		}
	}
	return nil
}

// proven tells whether an Access-Accept proves, as a subscriber's router will
// demand, that the server knows the password too (RFC 2759 §8.8).
func proven(request, reply []byte, user string, hash [16]byte) bool {
	challenge, response, success := microsoftAttr(request, msCHAPChallenge), microsoftAttr(request, msCHAP2Response), microsoftAttr(reply, msCHAP2Success)
	if len(challenge) != 16 || len(response) != 50 || len(success) < 1+successTextBytes {
		return false
	}
	want := aaa.MSCHAPv2Success([16]byte(challenge), [16]byte(response[2:18]), aaa.WithoutDomain(user), aaa.NTHashHash(hash), [24]byte(response[26:50]))
	return bytes.HasPrefix(success[1:], []byte(want))
}
