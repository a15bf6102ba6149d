package aaa

import (
	"crypto/md5"
	"fmt"

	"radial/dictionaries"
)

func (v *Verifier) carriesCHAP(request dictionaries.Pairs) bool {
	return has(request, v.at.chapPassword)
}

// verifyCHAP checks CHAP-Password (RFC 2865 §5.3, RFC 1994 §4.1): an ident byte
// and MD5 over ident, password and challenge. The challenge is CHAP-Challenge,
// or the Request Authenticator where there is none.
func (v *Verifier) verifyCHAP(a attempt) Verification {
	response, _ := value(a.req.Pairs, v.at.chapPassword)
	if len(response) != 1+md5.Size {
		return refusal(ReasonBadCredential, fmt.Sprintf("CHAP-Password has %d bytes, want 17", len(response)))
	}
	clear, ok := v.passwordOf(a.control, "Cleartext-Password")
	if !ok {
		return v.withoutUsable(a.control, "CHAP", "Cleartext-Password")
	}
	challenge, ok := value(a.req.Pairs, v.at.chapChallenge)
	if !ok || len(challenge) == 0 {
		challenge = a.req.Authenticator[:]
	}
	want := CHAPResponse(response[0], clear, challenge)
	if len(clear) == 0 || !equal(want[:], response[1:]) {
		return refusal(ReasonBadPassword, "CHAP-Password does not match Cleartext-Password")
	}
	return Verification{OK: true}
}

// CHAPResponse is the response of RFC 1994 §4.1 to a challenge.
func CHAPResponse(ident byte, password, challenge []byte) [16]byte {
	var buf [256]byte
	b := append(buf[:0], ident)
	b = append(b, password...)
	return md5.Sum(append(b, challenge...))
}
