package aaa

import (
	"context"
	"net/netip"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// LiveSession is an open row of radacct as control sees it, raw text
// (un-escaped).
type LiveSession struct {
	ID        int64  // radacctid
	UniqueID  string // acctuniqueid
	SessionID string // Acct-Session-Id as the NAS wrote it
	Login     OpenLogin
	NAS       netip.Addr
	Address   netip.Addr // Framed-IP-Address; the zero one where it has none
	Class     string     // as radacct has it
	Applied   Mark       // of the last CoA that was acknowledged; zero: nothing since the login
	Began     time.Time
	Up, Down  uint64 // octets from and to the subscriber, as accounting has told last
}

// Mark tells what a session was granted: Soft is a hash of what its device can
// change by CoA, Hard of what needs a new login. The zero Mark is unknown. Two
// sessions of equal marks were granted the same, on all servers and versions.
type Mark struct{ Soft, Hard uint64 }

// Due is what a login of a session would be given now.
type Due struct {
	Refused Reason // ReasonNone: it would be accepted
	Detail  string // of a refusal, for a person
	// Unsure is why it cannot be told, or why a refusal of the next login ends no
	// session; then nothing is done. For a person; "" where it is certain.
	Unsure string
	// Reply is without what is made of the request, and without leases. What limits
	// a session's time and volume counts from its beginning.
	Reply  dictionaries.Pairs
	Mark   Mark        // of Reply
	Device *nas.Device // nil: no row of nas has the session's NAS

	doubtful  *rule // what could not be told, where there are several cases
	elsewhere bool  // its login came from another row of nas than this one
}

// Verb is what is done to a session by its device.
type Verb string

// The verbs. The empty one is nothing.
const (
	VerbNone       Verb = ""
	VerbChange     Verb = "change"     // CoA (RFC 5176 §2.2)
	VerbDisconnect Verb = "disconnect" // Disconnect-Request (RFC 5176 §2.1)
)

// Action is what follows from what a session has and what is due (Decide).
type Action struct {
	Do Verb
	// Gently is set where the session is to stay even if its device refuses that.
	Gently bool
	Why    string // for a person
}

// Deed is one act on one session.
type Deed struct {
	Session LiveSession
	Do      Verb
	Reply   dictionaries.Pairs // with VerbChange: what is due; the way sends what the device can change
	Limits  dictionaries.Pairs // with VerbChange: what is sent in place of that; nil: nothing is
	Device  *nas.Device        // whom to send it to; never nil
}

// Result is how a deed went.
type Result string

// The results.
const (
	ResultDone        Result = "done"        // acknowledged
	ResultGone        Result = "gone"        // the device does not know the session (RFC 5176: 503)
	ResultRefused     Result = "refused"     // a NAK, Effect.Cause says why
	ResultUnsupported Result = "unsupported" // the device cannot do that, or no way leads to it
	ResultUnknown     Result = "unknown"     // no valid answer: whether it was done is not known
	ResultFailed      Result = "failed"      // nothing was sent
)

// Effect is what came of a deed.
type Effect struct {
	Result Result
	Cause  uint32 // Error-Cause of a NAK; 0 where the device does not say
	Detail string // for a person, in words
	Tries  int
	RTT    time.Duration // of the answered try
	Via    string        // coa, api; "" where nothing was sent
}

// Way does deeds at devices. An error is trouble on our side (Effect has
// ResultFailed then); what the device does or does not say is an Effect.
type Way interface {
	Do(ctx context.Context, d Deed) (Effect, error)
}
