package aaa

import (
	"crypto/rand"
	"fmt"

	"radial/dictionaries"
)

func (v *Verifier) carriesMSCHAP(request dictionaries.Pairs) bool {
	return has(request, v.at.msResponse) || has(request, v.at.ms2Response)
}

// verifyMSCHAP checks MS-CHAP-Response (RFC 2433, RFC 2548 §2.1.3) or
// MS-CHAP2-Response (RFC 2759, RFC 2548 §2.3.2). NT-Password serves both, and
// goes before Cleartext-Password as in FreeRADIUS. Every refusal carries
// MS-CHAP-Error.
func (v *Verifier) verifyMSCHAP(a attempt) Verification {
	const length = 50 // of both responses
	challenge, _ := value(a.req.Pairs, v.at.msChallenge)
	if response, ok := value(a.req.Pairs, v.at.ms2Response); ok {
		if len(response) != length || len(challenge) < 16 {
			return refusal(ReasonBadCredential, fmt.Sprintf(
				"MS-CHAP2-Response has %d bytes, want 50; MS-CHAP-Challenge has %d, want 16", len(response), len(challenge)))
		}
		return v.withError(v.verifyMSCHAPv2(a, challenge, response), response[0], true)
	}
	response, _ := value(a.req.Pairs, v.at.msResponse)
	if len(response) != length || len(challenge) < 8 {
		return refusal(ReasonBadCredential, fmt.Sprintf(
			"MS-CHAP-Response has %d bytes, want 50; MS-CHAP-Challenge has %d, want 8", len(response), len(challenge)))
	}
	return v.withError(v.verifyMSCHAPv1(a, challenge, response), response[0], false)
}

// verifyMSCHAPv1 reads ident, flags, LM-Response (24) and NT-Response (24); bit
// 1 of flags says that the NT-Response is the one to look at.
func (v *Verifier) verifyMSCHAPv1(a attempt, challenge, response []byte) Verification {
	if response[1]&1 == 0 {
		return v.verifyLMResponse(a, challenge, response[2:26])
	}
	hash, refused := v.ntHash(a)
	if refused != nil {
		return *refused
	}
	want := MSCHAPv1Response([8]byte(challenge[:8]), hash)
	if !equal(want[:], response[26:50]) {
		return refusal(ReasonBadPassword, "MS-CHAP-Response does not match the password")
	}
	return v.acceptMSCHAPv1(a, hash)
}

// verifyLMResponse is for clients that send the LM response alone.
func (v *Verifier) verifyLMResponse(a attempt, challenge, response []byte) Verification {
	stored, ok := v.passwordOf(a.control, "LM-Password")
	if !ok {
		return v.withoutUsable(a.control, "MS-CHAP with an LM response alone", "LM-Password")
	}
	hash, err := storedNTHash(stored)
	if err != nil {
		return badStored("LM-Password", err)
	}
	want := MSCHAPv1Response([8]byte(challenge[:8]), hash)
	if !equal(want[:], response) {
		return refusal(ReasonBadPassword, "MS-CHAP-Response does not match LM-Password")
	}
	nt, refused := v.ntHash(a)
	if refused != nil {
		return Verification{OK: true} // without NT hash there are no keys
	}
	return v.acceptMSCHAPv1(a, nt)
}

// acceptMSCHAPv1 adds MS-CHAP-MPPE-Keys (RFC 2548 §2.4.1): the first 8 bytes of
// the LM hash where it is known, else zero, and the hash of the NT hash.
func (v *Verifier) acceptMSCHAPv1(a attempt, hash [16]byte) Verification {
	var keys [24]byte
	if stored, ok := v.passwordOf(a.control, "LM-Password"); ok {
		if lm, err := storedNTHash(stored); err == nil {
			copy(keys[:8], lm[:8])
		}
	}
	hashHash := NTHashHash(hash)
	copy(keys[8:], hashHash[:])
	return Verification{OK: true, Reply: v.withMPPEPolicy(add(nil, v.at.msKeys, keys[:]))}
}

// verifyMSCHAPv2 reads ident, flags, Peer-Challenge (16), 8 zero bytes and
// NT-Response (24).
func (v *Verifier) verifyMSCHAPv2(a attempt, challenge, response []byte) Verification {
	hash, refused := v.ntHash(a)
	if refused != nil {
		return *refused
	}
	user := a.user
	if name, ok := value(a.req.Pairs, v.at.userName); ok {
		user = string(name)
	}
	user = WithoutDomain(user)
	server, peer := [16]byte(challenge[:16]), [16]byte(response[2:18])
	want := MSCHAPv2Response(server, peer, user, hash)
	if !equal(want[:], response[26:50]) {
		return refusal(ReasonBadPassword, "MS-CHAP2-Response does not match the password (the name is part of it: "+fmt.Sprintf("%q", user)+")")
	}
	hashHash := NTHashHash(hash)
	success := append([]byte{response[0]}, MSCHAPv2Success(server, peer, user, hashHash, want)...)
	send, recv := MPPEKeys(hashHash, want)
	reply := add(nil, v.at.ms2Success, success)
	reply = add(reply, v.at.mppeRecv, recv[:])
	reply = add(reply, v.at.mppeSend, send[:])
	return Verification{OK: true, Reply: v.withMPPEPolicy(reply)}
}

// ntHash returns the user's NT hash, stored or computed from the clear
// password, or the refusal when neither is there.
func (v *Verifier) ntHash(a attempt) (hash [16]byte, refused *Verification) {
	var no Verification
	if stored, ok := v.passwordOf(a.control, "NT-Password"); ok {
		hash, err := storedNTHash(stored)
		if err == nil {
			return hash, nil
		}
		no = badStored("NT-Password", err)
		return hash, &no
	}
	clear, ok := v.passwordOf(a.control, "Cleartext-Password")
	switch {
	case !ok:
		no = v.withoutUsable(a.control, "MS-CHAP", "Cleartext-Password or NT-Password")
		return hash, &no
	case len(clear) == 0:
		no = refusal(ReasonBadPassword, "Cleartext-Password is empty, which never matches")
		return hash, &no
	}
	hash, err := NTHash(clear)
	if err != nil {
		no = badStored("Cleartext-Password", err)
		return hash, &no
	}
	return hash, nil
}

// withMPPEPolicy adds what FreeRADIUS adds by default: encryption allowed, with
// 40 or 128 bit keys (RFC 2548 §2.4.4, §2.4.5).
func (v *Verifier) withMPPEPolicy(reply dictionaries.Pairs) dictionaries.Pairs {
	const allowed, rc4of40or128 = 1, 6
	reply = add(reply, v.at.mppePolicy, []byte{0, 0, 0, allowed})
	return add(reply, v.at.mppeTypes, []byte{0, 0, 0, rc4of40or128})
}

func (v *Verifier) withError(result Verification, ident byte, v2 bool) Verification {
	if !result.OK {
		result.Reply = v.mschapError(ident, v2, result.Reason)
	}
	return result
}

// MSCHAPError returns the MS-CHAP-Error that tells an MS-CHAP client why it is
// refused for a reason other than its password; nothing for other requests.
// FreeRADIUS sends none in these cases.
func (v *Verifier) MSCHAPError(request dictionaries.Pairs, reason Reason) dictionaries.Pairs {
	if response, ok := value(request, v.at.ms2Response); ok && len(response) > 0 {
		return v.mschapError(response[0], true, reason)
	}
	if response, ok := value(request, v.at.msResponse); ok && len(response) > 0 {
		return v.mschapError(response[0], false, reason)
	}
	return nil
}

// mschapError writes MS-CHAP-Error (RFC 2548 §2.1.5, RFC 2433 §9, RFC 2759 §6):
// ident, then "E=691 R=1 C=<new challenge> V=2", and for v2 "V=3 M=<text>".
func (v *Verifier) mschapError(ident byte, v2 bool, reason Reason) dictionaries.Pairs {
	code, retry, message := mschapCode(reason)
	challenge := make([]byte, 8, 16)
	tail := "V=2"
	if v2 {
		challenge, tail = challenge[:16], "V=3 M="+message
	}
	rand.Read(challenge) // never fails: crypto/rand ends the process instead
	text := fmt.Sprintf("%cE=%d R=%d C=%x %s", 0, code, retry, challenge, tail)
	b := []byte(text)
	b[0] = ident
	return add(nil, v.at.msError, b)
}

// mschapCode gives the error codes of RFC 2759 §6: 646 restricted logon hours,
// 647 account disabled, 648 password expired, 649 no dial-in permission, 691
// authentication failure. An account that has run out is a disabled one: 648
// would make the client ask for a new password.
func mschapCode(reason Reason) (code, retry int, message string) {
	switch reason {
	case ReasonOutsideHours:
		return 646, 0, "Restricted logon hours"
	case ReasonExpired, ReasonAuthTypeReject:
		return 647, 0, "Account disabled"
	case ReasonSimultaneousUse, ReasonCheckFailed, ReasonPoolFull, ReasonPoolUnknown, ReasonPoolInactive:
		return 649, 0, "No dialin permission"
	}
	return 691, 1, "Authentication rejected"
}

// add appends an attribute that the dictionary may lack.
func add(ps dictionaries.Pairs, a *dictionaries.Attribute, value []byte) dictionaries.Pairs {
	if a == nil {
		return ps
	}
	return append(ps, dictionaries.Pair{Attr: a, Value: value})
}
