package ipam

import "time"

// State is the state of an address row.
type State uint8

// The states, by the texts of radial.addresses.state.
const (
	Free State = iota
	Offered
	Bound
	Reserved
	Cooling // released, and kept for its last holder for a while
)

// String returns the text that the row has.
func (s State) String() string {
	switch s {
	case Offered:
		return "offered"
	case Bound:
		return "bound"
	case Reserved:
		return "reserved"
	case Cooling:
		return "cooling"
	default:
		return "free"
	}
}

// ParseState is String's inverse; ok is false for any other text.
func ParseState(text string) (s State, ok bool) {
	for _, s := range []State{Free, Offered, Bound, Reserved, Cooling} {
		if s.String() == text {
			return s, true
		}
	}
	return Free, false
}

// Sticky is a pool's rule for whom a free address belongs to first.
type Sticky uint8

// The rules, by the texts of radial.pools.sticky.
const (
	StickUserMAC Sticky = iota // the last holder, by user name and MAC
	StickUser                  // the last holder, by user name
	StickMAC                   // the last holder that history knows of, by MAC
	StickNone                  // nobody
)

// ParseSticky reads the text of radial.pools.sticky; ok is false for others.
func ParseSticky(text string) (s Sticky, ok bool) {
	switch text {
	case "user_mac":
		return StickUserMAC, true
	case "user":
		return StickUser, true
	case "mac":
		return StickMAC, true
	}
	return StickNone, text == "none"
}

// Holding is an address row as the rules see it. Of a free or cooling row Caller
// is the last holder.
type Holding struct {
	State     State
	RanOut    bool   // an offer, or a time of cooling, that is over by the database's clock
	Status    Status // of the row's pool; Inactive also where its subnet is
	Sticky    Sticky // of the row's pool
	Caller    Caller
	SessionID string
	RadacctID int64     // of the session that has it bound, or 0
	Answered  time.Time // when the last login was answered with it; zero: unknown
	Since     time.Time // of a bound row: when its session was alive for certain, at its beginning as far as that is known; zero: unknown
}

// Verdict is what a row means for a caller who wants an address of its pool.
type Verdict uint8

// The verdicts, the better ones higher.
const (
	Pass     Verdict = iota // nothing: look further
	Sticks                  // free, and the caller had it last
	TakeOver                // the caller's own, of a session that is over
	Keep                    // the caller's own
)

// Judge says what a row means for a Want of the row's pool: the first table of
// the package comment.
func Judge(h Holding, w Want) Verdict {
	switch {
	case h.Status == Inactive || h.State == Reserved:
		return Pass
	case h.State == Offered && h.Caller == w.Caller:
		return Keep
	case h.State == Bound:
		return judgeBound(h, w)
	case h.State == Offered && !h.RanOut:
		return Pass
	case h.Status == Active && sticks(h, w.Caller):
		return Sticks
	}
	return Pass
}

func judgeBound(h Holding, w Want) Verdict {
	switch {
	case h.Caller != w.Caller:
		return Pass
	case w.SessionID == "" || h.SessionID == "" || w.SessionID == h.SessionID:
		return Keep
	case w.Caller.MAC != "" || w.Caller.Port != "":
		return TakeOver
	}
	return Pass
}

// sticks tells whether a caller is the last holder of a row, by its pool's rule.
// Callers without a name or MAC are nobody where that is what counts.
func sticks(h Holding, now Caller) bool {
	switch h.Sticky {
	case StickUserMAC:
		return (now.User != "" || now.MAC != "") && h.Caller.User == now.User && h.Caller.MAC == now.MAC
	case StickUser:
		return now.User != "" && h.Caller.User == now.User
	case StickMAC:
		return now.MAC != "" && h.Caller.MAC == now.MAC
	}
	return false
}

// Event is what accounting tells about an address.
type Event uint8

// The events: a Start, an interim of an open session, and whatever ends one.
const (
	EventBind Event = iota
	EventRenew
	EventRelease
)

// Outcome is what an event does to a row.
type Outcome uint8

// The outcomes.
const (
	Leave    Outcome = iota // nothing
	Bind                    // the session gets the free or offered address
	Renew                   // the binding lives on
	Replace                 // the session takes the place of an older one of the same holder
	Release                 // the address becomes free
	Reoffer                 // the old session is over, the login that took over has yet to start
	Conflict                // another live session or login has it: not stolen, counted
)

// String names the outcome, as a metric's label.
func (o Outcome) String() string {
	names := [...]string{Leave: "left", Bind: "bound", Renew: "renewed", Replace: "taken_over", Release: "released", Reoffer: "offered", Conflict: "conflict"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Session is the session that an accounting event is about.
type Session struct {
	RadacctID int64
	Caller    Caller
	SessionID string
	// Account is the name that the user's rows have, where that is not what he calls
	// himself (realms are taken off); else empty.
	Account string
	At      time.Time // when it was alive, as the event tells; zero: unknown
	// Heard is when a server heard of the event that has it told of late, out of
	// its journal. Zero: just now, as nearly always; then LoginStands never holds.
	Heard time.Time
}

// Settle says what an accounting event does to the row of its address: the
// second table of the package comment.
func Settle(h Holding, e Event, s Session) Outcome {
	switch {
	case e == EventRelease:
		return settleRelease(h, s)
	case h.State == Reserved && keptFor(h, s):
		return Leave
	case h.State == Reserved:
		return Conflict
	case h.State == Free || h.State == Cooling || h.State == Offered && h.RanOut:
		return Bind
	case h.State == Bound && h.RadacctID == s.RadacctID:
		return Renew
	case !ours(h, s):
		return Conflict
	case h.State == Offered:
		return Bind
	case e == EventBind && newer(h, s):
		return Replace
	default:
		return Leave
	}
}

// keptFor tells whether a reserved row is the session's: its user's, by the name that he
// has said or that of his rows, or its device's. Of a session without a user's name nobody can tell whose it
// is. A row that is reserved for nobody is nobody's to use.
func keptFor(h Holding, s Session) bool {
	if h.Caller.MAC != "" && h.Caller.MAC == s.Caller.MAC {
		return true
	}
	return h.Caller.User != "" && (s.Caller.User == "" || h.Caller.User == s.Caller.User || h.Caller.User == s.Account)
}

// newer tells whether a session has come after the one that holds the row: by
// when they lived; by when the ledger heard of them where that does not tell; and of a
// row that a login of just this session has taken over, whatever the clocks say.
func newer(h Holding, s Session) bool {
	heard := s.RadacctID > h.RadacctID
	taken := s.SessionID != "" && s.SessionID == h.SessionID && s.Caller == h.Caller
	if taken && heard || s.At.IsZero() || h.Since.IsZero() || s.At.Equal(h.Since) {
		return heard
	}
	return s.At.After(h.Since)
}

// LoginStands tells of a row that a session is about to get (Bind, Replace) that a login of the same
// holder has been answered with it since the session was heard of: that one is told of
// late, and over by now or soon. The row stays the login's then, by Caller and SessionID, as if the login had taken
// over the bound row, so that the session's end leaves it on offer (Reoffer).
//
// It goes by when we heard and answered, by the clocks of server and database, never by what the device says
// of the time: of a device whose clock is behind, every session began before its login.
func LoginStands(h Holding, s Session) bool {
	return (h.State == Offered || h.State == Bound) && !s.Heard.IsZero() && s.Heard.Before(h.Answered) && ours(h, s) &&
		(h.SessionID == "" || h.SessionID != s.SessionID || h.Caller.NAS != s.Caller.NAS)
}

func settleRelease(h Holding, s Session) Outcome {
	switch {
	case h.State == Bound && h.RadacctID == s.RadacctID:
		if s.SessionID != "" && h.SessionID != s.SessionID { // "": a login that named no session
			return Reoffer
		}
		return Release
	case h.State == Offered && s.SessionID != "" && h.SessionID == s.SessionID && ours(h, s):
		return Release
	default:
		return Leave
	}
}

// ours is meant to be generous: devices change ports, MAC forms and even user
// names between a login and its accounting, and the address itself already
// matches. Acct-Session-Ids repeat among devices, so they count at one NAS only.
func ours(h Holding, s Session) bool {
	return h.SessionID != "" && h.SessionID == s.SessionID && h.Caller.NAS == s.Caller.NAS ||
		h.Caller.User != "" && h.Caller.User == s.Caller.User && (h.Caller.MAC == s.Caller.MAC || h.Caller.MAC == "" || s.Caller.MAC == "") ||
		h.Caller.MAC != "" && h.Caller.MAC == s.Caller.MAC && h.Caller.NAS == s.Caller.NAS
}
