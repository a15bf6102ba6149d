package aaa

import (
	"time"

	"radial/dictionaries"
)

// Verdict is the answer to an Access-Request.
type Verdict uint8

// The verdicts. Trouble is not a verdict: it is an error, and silence.
const (
	Reject Verdict = iota
	Accept
)

// Reason says why a login was refused: a closed list, used as it stands in log
// lines, as a metric label, in radpostauth.reason and in the API.
type Reason string

// The reasons. ReasonNone stands on accepts.
const (
	ReasonNone             Reason = ""
	ReasonUnknownUser      Reason = "unknown_user"
	ReasonBadPassword      Reason = "bad_password"
	ReasonNoPassword       Reason = "no_password"       // the user has no password attribute that could be checked
	ReasonNoCredential     Reason = "no_credential"     // the request carries none
	ReasonMethodImpossible Reason = "method_impossible" // e.g. CHAP against a one-way hash
	ReasonAuthType         Reason = "auth_type"         // Auth-Type names a method that does not fit or that we lack
	ReasonAuthTypeReject   Reason = "auth_type_reject"  // Auth-Type := Reject
	ReasonCheckFailed      Reason = "check_failed"      // a check row did not match, and nothing else gave a password
	ReasonUnparsableItem   Reason = "unparsable_item"   // a row that cannot be read: attribute, operator or value
	ReasonUnsupportedCheck Reason = "unsupported_check" // a check item whose engine is not there
	ReasonExpired          Reason = "expired"           // Expiration
	ReasonOutsideHours     Reason = "outside_hours"     // Login-Time
	ReasonTimeUsed         Reason = "time_used_up"      // Max-Daily-Session and the like
	ReasonDataUsed         Reason = "data_used_up"      // a quota
	ReasonSimultaneousUse  Reason = "simultaneous_use"  // Simultaneous-Use
	ReasonBadUsername      Reason = "bad_username"      // filter_username
	ReasonPoolUnknown      Reason = "pool_unknown"
	ReasonPoolFull         Reason = "pool_full"
	ReasonPoolInactive     Reason = "pool_inactive"  // draining or inactive: it gives nothing new
	ReasonReplyTooLong     Reason = "reply_too_long" // the reply does not fit into 4096 bytes
	ReasonBadCredential    Reason = "bad_credential" // a malformed CHAP, MS-CHAP or password attribute
	ReasonEAPUnsupported   Reason = "eap_unsupported"
)

// Reasons lists every reason, for metrics, documents and tests.
var Reasons = []Reason{
	ReasonUnknownUser, ReasonBadPassword, ReasonNoPassword, ReasonNoCredential, ReasonMethodImpossible,
	ReasonAuthType, ReasonAuthTypeReject, ReasonCheckFailed, ReasonUnparsableItem, ReasonUnsupportedCheck,
	ReasonExpired, ReasonOutsideHours, ReasonTimeUsed, ReasonDataUsed, ReasonSimultaneousUse, ReasonBadUsername, ReasonPoolUnknown,
	ReasonPoolFull, ReasonPoolInactive, ReasonReplyTooLong, ReasonBadCredential, ReasonEAPUnsupported,
}

// Decision is what Authorize found.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Detail  string // for a person: the row, attribute or value that decided; no secrets
	Walled  string // the group of the walled garden that an accept leads into; "": full service
	Without string // the pools that had nothing for a login that is accepted all the same (pool_full: accept); "": it has all
	User    string // the name that was looked up (after realm stripping)
	Reply   dictionaries.Pairs
	// Delay holds an Access-Reject back (reject_delay); zero for MikroTik.
	Delay time.Duration
}
