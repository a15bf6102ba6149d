package ipam

// State is the state of an address row.
type State uint8

// The states, by the texts of radial.addresses.state.
const (
	Free State = iota
	Offered
	Bound
	Reserved
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
	default:
		return "free"
	}
}

// ParseState is String's inverse; ok is false for any other text.
func ParseState(text string) (s State, ok bool) {
	for _, s := range []State{Free, Offered, Bound, Reserved} {
		if s.String() == text {
			return s, true
		}
	}
	return Free, false
}

// Holding is an address row as the rules see it. Of a free row Caller is the
// last holder.
type Holding struct {
	State     State
	RanOut    bool // an offer whose time is over by the database's clock
	Caller    Caller
	SessionID string
	RadacctID int64 // of the session that has it bound, or 0
}

// Verdict is what a row means for a caller who wants an address of its pool.
type Verdict uint8

// The verdicts, the better ones higher.
const (
	Pass     Verdict = iota // nothing: look further
	Sticky                  // free, and the caller had it last
	TakeOver                // the caller's own, of a session that is over
	Keep                    // the caller's own
)

// Judge says what a row means for a Want of the row's pool: the first table of
// the package comment.
func Judge(h Holding, w Want) Verdict {
	switch h.State {
	case Free:
		if sticks(h.Caller, w.Caller) {
			return Sticky
		}
	case Offered:
		if h.Caller == w.Caller {
			return Keep
		}
		if h.RanOut && sticks(h.Caller, w.Caller) {
			return Sticky
		}
	case Bound:
		if h.Caller != w.Caller {
			return Pass
		}
		if w.SessionID == "" || h.SessionID == "" || w.SessionID == h.SessionID {
			return Keep
		}
		if w.Caller.MAC != "" || w.Caller.Port != "" {
			return TakeOver
		}
	}
	return Pass
}

func sticks(last, now Caller) bool { return last.User == now.User && last.MAC == now.MAC }

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
}

// Settle says what an accounting event does to the row of its address: the
// second table of the package comment.
func Settle(h Holding, e Event, s Session) Outcome {
	switch {
	case h.State == Reserved:
		return Leave
	case e == EventRelease:
		return settleRelease(h, s)
	case h.State == Free || h.State == Offered && h.RanOut:
		return Bind
	case h.State == Bound && h.RadacctID == s.RadacctID:
		return Renew
	case !ours(h, s):
		return Conflict
	case h.State == Offered:
		return Bind
	case e == EventBind && s.RadacctID > h.RadacctID:
		return Replace
	default:
		return Leave
	}
}

func settleRelease(h Holding, s Session) Outcome {
	switch {
	case h.State == Bound && h.RadacctID == s.RadacctID:
		if h.SessionID != "" && s.SessionID != "" && h.SessionID != s.SessionID {
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
