package store

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// AddressChange is a row of the history: a change of holder.
type AddressChange struct {
	ID      int64
	At      time.Time
	VRF     int32
	Address netip.Prefix // IPv6: the prefix that was leased
	Pool    string       // empty if the pool is gone
	Action  string       // bound, taken_over, reserved: from now on this holder's; released, expired, unreserved: no longer
	Party
	Reason string
	Actor  string // of what no session did: cli:root, job:name
}

// Party is who holds an address, as far as it is known.
type Party struct {
	User      string
	MAC       string
	NAS       netip.Addr
	Port      string
	Session   string // Acct-Session-Id
	RadacctID int64
}

// TenureState says what was with an address at a time.
type TenureState string

// The states. Offered is a login that was accepted and whose session has not
// begun; it leaves no history, so it is told of the present alone.
const (
	TenureBound    TenureState = "bound"
	TenureReserved TenureState = "reserved"
	TenureOffered  TenureState = "offered"
	TenureFree     TenureState = "free"
	TenureUnknown  TenureState = "unknown" // it is a pool's, and what was then is not on record
)

// Tenure is one answer to who had an address at a time. Of one that was free,
// Party is the last holder.
type Tenure struct {
	VRF     int32
	Address netip.Prefix
	Pool    string
	State   TenureState
	Party
	Since   time.Time // zero: not on record
	Until   time.Time // zero: see Now
	Now     bool      // it is still so
	End     string    // what ended it: the action of the row after it
	Reason  string    // of a reserved one: static, or the operator's words
	Actor   string
	Source  string         // history, lease (the current row alone tells it) or radacct
	Traffic *SessionRecord // its accounting, if that is there
}

// The sources of a Tenure.
const (
	SourceHistory = "history"
	SourceLease   = "lease"
	SourceRadacct = "radacct"
)

// Held tells whether somebody had the address.
func (t Tenure) Held() bool {
	return t.State == TenureBound || t.State == TenureReserved || t.State == TenureOffered
}

func (t Tenure) unknown() bool  { return t.State == TenureUnknown }
func (t Tenure) reserved() bool { return t.State == TenureReserved }

func (c AddressChange) begins() bool {
	return c.Action == "bound" || c.Action == "taken_over" || c.Action == "reserved"
}

// ends tells whether c, which is no beginning, ends the tenure that s began. A
// session ends by its own release alone: that of another one, told late or by
// a clock that is ahead, is nobody else's end.
func (c AddressChange) ends(s AddressChange) bool {
	if c.begins() || (c.Action == "unreserved") != (s.Action == "reserved") {
		return false
	}
	return c.Party == (Party{}) || c.Party.same(s.Party)
}

// same is generous where one side knows less: an operator's release has no
// session, a reservation no MAC.
func (p Party) same(q Party) bool {
	switch {
	case p.RadacctID != 0 && q.RadacctID != 0:
		return p.RadacctID == q.RadacctID
	case p.Session != "" && q.Session != "":
		return p.Session == q.Session && p.NAS == q.NAS
	}
	return p.User == q.User && (p.MAC == q.MAC || p.MAC == "" || q.MAC == "")
}

// tenureAt says who had an address at a time, by the rows of its history until
// then and after it (a few of each, the nearest ones) and by its current row
// as a tenure of now, if it has one. Rows are ordered by when things happened, which is not always
// the order in which they were told.
func tenureAt(at time.Time, before, after []AddressChange, row *Tenure) Tenure {
	byTime := func(a, b AddressChange) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }
	before, after = slices.SortedFunc(slices.Values(before), byTime), slices.SortedFunc(slices.Values(after), byTime)
	slices.Reverse(before)                                         // nearest first, as the others
	twice := func(a, b AddressChange) bool { return a.ID == b.ID } // read among the months and in the default partition
	before, after = slices.CompactFunc(before, twice), slices.CompactFunc(after, twice)
	if i := slices.IndexFunc(before, AddressChange.begins); i >= 0 {
		return heldOrLeft(at, before[i], before, after, row)
	}
	if len(before) > 0 { // of whom nothing but the end is left
		return freeSince(at, before[0], after, row)
	}
	if len(after) > 0 {
		return beforeFirst(after[0])
	}
	return byRow(at, row)
}

// heldOrLeft is the tenure that s began, or what came after its end.
func heldOrLeft(at time.Time, s AddressChange, before, after []AddressChange, row *Tenure) Tenure {
	for _, e := range before {
		// An end from before the beginning counts if it was told after it: the
		// session's, whose clock went back.
		if e.ends(s) && (!e.At.Before(s.At) && e.ID != s.ID || e.ID > s.ID && e.RadacctID != 0 && e.RadacctID == s.RadacctID) {
			if e.Party == (Party{}) {
				e.Party = s.Party
			}
			e.At = later(e.At, s.At)
			return freeSince(at, e, after, row)
		}
	}
	t := s.tenure(TenureBound)
	if s.Action == "reserved" {
		t.State = TenureReserved
	}
	t.Since = s.At
	for _, c := range after {
		if c.begins() || c.ends(s) {
			t.Until, t.End = c.At, c.Action
			return t
		}
	}
	t.Now = row != nil && row.State == t.State && row.Party.same(s.Party)
	return t
}

// freeSince is the time after an end, until the next beginning.
func freeSince(at time.Time, e AddressChange, after []AddressChange, row *Tenure) Tenure {
	t := e.tenure(TenureFree)
	t.Since, t.End = e.At, e.Action
	if i := slices.IndexFunc(after, AddressChange.begins); i >= 0 {
		t.Until = after[i].At
		return t
	}
	switch {
	case row == nil || row.State == TenureFree:
		t.Now = true
	case !at.Before(row.Since): // an offer leaves no history
		t = *row
		t.Source, t.Now = SourceLease, true
	default:
		t.Until = row.Since
	}
	return t
}

// beforeFirst is the time before the first row that is left: who is told to
// have ended had it until then, since before what is left.
func beforeFirst(first AddressChange) Tenure {
	if first.begins() {
		t := first.tenure(TenureUnknown)
		t.Party, t.Until = Party{}, first.At
		return t
	}
	t := first.tenure(TenureBound)
	if first.Action == "unreserved" {
		t.State = TenureReserved
	}
	t.Until, t.End = first.At, first.Action
	return t
}

// byRow is all that is known of an address without history.
func byRow(at time.Time, row *Tenure) Tenure {
	if row == nil {
		return Tenure{State: TenureUnknown}
	}
	t := *row
	t.Source, t.Now = SourceLease, true
	if t.State == TenureFree || !t.Since.IsZero() && at.Before(t.Since) {
		until := t.Since
		t = Tenure{VRF: t.VRF, Address: t.Address, Pool: t.Pool, State: TenureUnknown, Source: SourceLease}
		if row.State != TenureFree {
			t.Until = until
		}
	}
	return t
}

func (c AddressChange) tenure(state TenureState) Tenure {
	return Tenure{VRF: c.VRF, Address: c.Address, Pool: c.Pool, State: state, Party: c.Party, Reason: c.Reason, Actor: c.Actor, Source: SourceHistory}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
