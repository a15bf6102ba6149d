package radius

// Refusal says why a datagram was dropped without an answer: a closed list,
// used as it stands as a metric label and in log lines.
type Refusal uint8

// The refusals, in the order in which they are found.
const (
	Admitted Refusal = iota // not refused

	RefusedShort         // fewer than 20 bytes (RFC 2865 §3)
	RefusedTooLong       // more than 4096 bytes, told or received
	RefusedLengthSmall   // Length field under 20
	RefusedLengthBeyond  // Length field beyond the datagram
	RefusedUnknownCode   // a code that no server answers, replies included
	RefusedWrongPort     // accounting on the authentication port or the other way round
	RefusedUnknownSource // no row of nas fits the source
	RefusedNoSecret      // the row that fits has an empty secret
	RefusedAttrType      // attribute of type 0
	RefusedAttrLength    // attribute of length 0 or 1
	RefusedAttrBeyond    // attribute that goes beyond the packet, or a byte left over
	RefusedAttrCount     // more attributes than max_attributes
	RefusedStateEmpty    // State without a value (RFC 2865 §5.24)
	RefusedUserPassword  // User-Password not 16 to 128 bytes in steps of 16 (RFC 2865 §5.2)
	RefusedCHAPPassword  // CHAP-Password not 17 bytes (RFC 2865 §5.3)
	RefusedEAPMixed      // EAP-Message beside another credential (RFC 3579 §3.3)
	RefusedEAPGap        // EAP-Message fragments that do not follow each other (RFC 3579 §3.1)
	RefusedMALength      // Message-Authenticator not 16 bytes (RFC 3579 §3.2)
	RefusedMATwice       // more than one Message-Authenticator
	RefusedMAWrong       // Message-Authenticator that does not hold
	RefusedMAMissing     // Access-Request without one from a device that must send it
	RefusedMAMissingEAP  // EAP-Message without one
	RefusedMAMissingPing // Status-Server without one (RFC 5997 §3)
	RefusedProxyState    // Proxy-State without Message-Authenticator where that is limited
	RefusedAuthenticator // Accounting-Request whose authenticator does not hold (RFC 2866 §3)
	RefusedStatusRate    // Status-Server too often
	RefusedRate          // more requests from the source than source_rate
	RefusedOverload      // too many requests in flight
	RefusedUndecodable   // attributes that the dictionary's codec refuses
	refusalCount         = iota
	firstRefusal         = RefusedShort
)

// refusalNames are the labels, by Refusal.
var refusalNames = [refusalCount]string{
	Admitted:             "",
	RefusedShort:         "short_packet",
	RefusedTooLong:       "too_long",
	RefusedLengthSmall:   "length_field_small",
	RefusedLengthBeyond:  "length_field_beyond",
	RefusedUnknownCode:   "unknown_code",
	RefusedWrongPort:     "wrong_port",
	RefusedUnknownSource: "unknown_source",
	RefusedNoSecret:      "no_secret",
	RefusedAttrType:      "attribute_type",
	RefusedAttrLength:    "attribute_length",
	RefusedAttrBeyond:    "attribute_beyond",
	RefusedAttrCount:     "attribute_count",
	RefusedStateEmpty:    "state_empty",
	RefusedUserPassword:  "user_password_length",
	RefusedCHAPPassword:  "chap_password_length",
	RefusedEAPMixed:      "eap_mixed",
	RefusedEAPGap:        "eap_gap",
	RefusedMALength:      "message_authenticator_length",
	RefusedMATwice:       "message_authenticator_twice",
	RefusedMAWrong:       "message_authenticator_wrong",
	RefusedMAMissing:     "message_authenticator_missing",
	RefusedMAMissingEAP:  "message_authenticator_missing_eap",
	RefusedMAMissingPing: "message_authenticator_missing_status",
	RefusedProxyState:    "proxy_state_limited",
	RefusedAuthenticator: "authenticator_wrong",
	RefusedStatusRate:    "status_rate",
	RefusedRate:          "source_rate",
	RefusedOverload:      "overload",
	RefusedUndecodable:   "undecodable",
}

// Refusals lists every refusal, for metrics, documents and tests.
func Refusals() []Refusal {
	all := make([]Refusal, 0, refusalCount-int(firstRefusal))
	for r := firstRefusal; r < refusalCount; r++ {
		all = append(all, r)
	}
	return all
}

// String returns the refusal's label.
func (r Refusal) String() string {
	if int(r) >= len(refusalNames) {
		return "unknown_refusal"
	}
	return refusalNames[r]
}

// Silence says why a request that was admitted got no answer: a closed list,
// used as a metric label.
type Silence uint8

// The silences.
const (
	SilentAuthorize  Silence = iota // Authorize failed
	SilentAccount                   // Account failed
	SilentEncode                    // the reply could not be encoded
	SilentPanic                     // the code that answers panicked
	SilentSuperseded                // the device has used the identifier for another request
	SilentSend                      // the kernel refused to send
	SilentSendQueue                 // the socket's outbox was full
	SilentWaited                    // nobody waits for it any more: it has waited for longer than max_wait
	SilentPushedOut                 // it has waited for the longest of more than max_in_flight
	SilentPoolFull                  // the operator wants it so where pools are full (pool_full: silence)
	silenceCount     = iota
)

// silenceNames are the labels, by Silence.
var silenceNames = [silenceCount]string{
	SilentAuthorize:  "authorize_error",
	SilentAccount:    "account_error",
	SilentEncode:     "encode_error",
	SilentPanic:      "panic",
	SilentSuperseded: "superseded",
	SilentSend:       "send_error",
	SilentSendQueue:  "send_queue_full",
	SilentWaited:     "waited",
	SilentPushedOut:  "pushed_out",
	SilentPoolFull:   "pool_full",
}

// String returns the silence's label.
func (s Silence) String() string { return silenceNames[s] }
