package aaa

import "radial/dictionaries"

func (v *Verifier) carriesPAP(request dictionaries.Pairs) bool {
	return has(request, v.at.userPassword)
}

// verifyPAP compares the password that was typed (RFC 2865 §5.2) with the first
// password item. An empty password is never accepted.
func (v *Verifier) verifyPAP(a attempt) Verification {
	kind, stored := v.password(a.control)
	if kind == nil {
		return noPassword()
	}
	typed, _ := value(a.req.Pairs, v.at.userPassword)
	if len(typed) == 0 {
		return refusal(ReasonBadPassword, "the password in the request is empty")
	}
	ok, err := kind.check(stored, typed)
	switch {
	case err != nil:
		return badStored(kind.attribute, err)
	case !ok:
		return refusal(ReasonBadPassword, kind.attribute+" does not match")
	}
	return Verification{OK: true}
}
