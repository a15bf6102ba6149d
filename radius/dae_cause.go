package radius

import (
	"fmt"

	"radial/aaa"
)

// ErrorCause is the value of Error-Cause (RFC 5176 §3.6).
type ErrorCause uint32

// The values of RFC 5176 §3.6.
const (
	CauseResidualContextRemoved ErrorCause = 201
	CauseInvalidEAP             ErrorCause = 202
	CauseUnsupportedAttribute   ErrorCause = 401
	CauseMissingAttribute       ErrorCause = 402
	CauseIdentification         ErrorCause = 403
	CauseInvalidRequest         ErrorCause = 404
	CauseUnsupportedService     ErrorCause = 405
	CauseUnsupportedExtension   ErrorCause = 406
	CauseInvalidValue           ErrorCause = 407
	CauseProhibited             ErrorCause = 501
	CauseNotRoutable            ErrorCause = 502
	CauseSessionNotFound        ErrorCause = 503
	CauseSessionNotRemovable    ErrorCause = 504
	CauseProxyProcessing        ErrorCause = 505
	CauseResources              ErrorCause = 506
	CauseRequestInitiated       ErrorCause = 507
	CauseMultipleNotSupported   ErrorCause = 508
)

var errorCauses = map[ErrorCause]string{
	201: "Residual-Context-Removed", 202: "Invalid-EAP-Packet", 401: "Unsupported-Attribute", 402: "Missing-Attribute", 403: "NAS-Identification-Mismatch",
	404: "Invalid-Request", 405: "Unsupported-Service", 406: "Unsupported-Extension", 407: "Invalid-Attribute-Value", 501: "Administratively-Prohibited",
	502: "Request-Not-Routable", 503: "Session-Context-Not-Found", 504: "Session-Context-Not-Removable", 505: "Other-Proxy-Processing-Error",
	506: "Resources-Unavailable", 507: "Request-Initiated", 508: "Multiple-Session-Selection-Unsupported",
}

// String is the name of RFC 5176 with the number.
func (c ErrorCause) String() string {
	if c == 0 {
		return "no Error-Cause"
	}
	if name, ok := errorCauses[c]; ok {
		return fmt.Sprintf("%s (%d)", name, uint32(c))
	}
	return fmt.Sprintf("Error-Cause %d", uint32(c))
}

// unsupported tells the causes that say that the device never does such a thing:
// asking again is of no use.
func (c ErrorCause) unsupported(do aaa.Verb) bool {
	switch c {
	case CauseUnsupportedService, CauseUnsupportedExtension:
		return true
	case CauseUnsupportedAttribute, CauseInvalidValue, CauseRequestInitiated:
		return do == aaa.VerbChange
	}
	return false
}

// explain is a cause in words, and what an operator may do about it.
func (c ErrorCause) explain() string {
	words := map[ErrorCause]string{
		0:                           "the device refused and does not say why",
		CauseUnsupportedAttribute:   "the device does not know, or does not change, an attribute of the request",
		CauseMissingAttribute:       "the device needs another attribute to find the session: see that its type is right (radial nas set)",
		CauseIdentification:         "the device says that the request is for another NAS",
		CauseInvalidRequest:         "the device takes the request for malformed or too old: compare the clocks",
		CauseUnsupportedService:     "the device does not offer that service",
		CauseUnsupportedExtension:   "the device does not do CoA and Disconnect: see that it is allowed to (RouterOS: /radius incoming set accept=yes)",
		CauseInvalidValue:           "the device refuses a value of the request",
		CauseProhibited:             "the device is told not to take such requests from this server",
		CauseNotRoutable:            "a proxy on the way does not know the way to the device",
		CauseSessionNotFound:        "the device has no such session",
		CauseSessionNotRemovable:    "the device cannot end this session",
		CauseProxyProcessing:        "a proxy on the way failed",
		CauseResources:              "the device has no resources left for it now",
		CauseRequestInitiated:       "the device asks for a new authorization instead (Authorize-Only), which is not done here",
		CauseMultipleNotSupported:   "more than one session fits, and the device acts on one only",
		CauseResidualContextRemoved: "the device had a remainder of the session, and has removed it",
	}
	if text, ok := words[c]; ok {
		return fmt.Sprintf("%s: %s", c, text)
	}
	return c.String()
}
