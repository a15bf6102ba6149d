package aaa

import "crypto/sha1"

// The constants of RFC 3079 §3.4.
const (
	mppeMagic1 = "This is the MPPE Master Key"
	mppeMagic2 = "On the client side, this is the send key; on the server side, it is the receive key."
	mppeMagic3 = "On the client side, this is the receive key; on the server side, it is the send key."
)

// MPPEKeys derives the 128-bit MPPE session keys of an MS-CHAPv2 login from the
// hash of the NT hash and the NT-Response (RFC 3079 §3.3, §3.4), as the
// authenticator sees them: send is what the NAS encrypts with
// (MS-MPPE-Send-Key, RFC 2548 §2.4.2), recv what it decrypts with. The peer has
// them the other way round.
func MPPEKeys(hashHash [16]byte, ntResponse [24]byte) (send, recv [16]byte) {
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(ntResponse[:])
	h.Write([]byte(mppeMagic1))
	var master [16]byte
	copy(master[:], h.Sum(nil))
	return mppeStartKey(master, mppeMagic3), mppeStartKey(master, mppeMagic2)
}

// mppeStartKey is GetAsymmetricStartKey of RFC 3079 §3.4.
func mppeStartKey(master [16]byte, magic string) (key [16]byte) {
	const padLen = 40
	h := sha1.New()
	h.Write(master[:])
	h.Write(make([]byte, padLen))
	h.Write([]byte(magic))
	pad := make([]byte, padLen)
	for i := range pad {
		pad[i] = 0xf2
	}
	h.Write(pad)
	copy(key[:], h.Sum(nil))
	return key
}
