package ipam

import (
	"fmt"
	"net/netip"
	"time"
)

// Admission is a login whose user may have only so many sessions at a time
// (Simultaneous-Use). The allocator hands it on with the wants; whoever holds
// the rows judges it in the transaction of the leases, so that both stand or
// neither does.
type Admission struct {
	User      string // whose sessions are counted: the name that was looked up
	Caller    Caller
	SessionID string // Acct-Session-Id of the Access-Request, or ""
	Limit     uint32 // sessions at a time; 1 or more
	// Replace lets the caller's own sessions not count: it is back, so they are
	// dead. False: every open session counts, as in FreeRADIUS.
	Replace  bool
	Links    uint32        // Port-Limit of the reply, 0 without one: another link of a line is let in above the limit
	FramedIP netip.Addr    // of the request, or invalid; tells links of one line
	Calling  string        // Calling-Station-Id as it was sent; the same
	Life     time.Duration // how long the login counts without a Start
}

// Line is what is compared of a Calling-Station-Id to tell links of one line:
// its first 16 characters.
func Line(calling string) string {
	n := 0
	for i := range calling {
		if n++; n > 16 {
			return calling[:i]
		}
	}
	return calling
}

// LimitReached is the error of a login that would be one session too many:
// nothing is leased then.
type LimitReached struct {
	Open    int // sessions that counted
	Waiting int // logins let in that have no session yet, which counted
}

// Error tells what counted.
func (r *LimitReached) Error() string {
	s := fmt.Sprintf("%d open sessions", r.Open)
	if r.Waiting > 0 {
		s += fmt.Sprintf(" and %d logins that are about to start", r.Waiting)
	}
	return s
}

// SameCaller tells whether two callers of a user are one: the same device at the
// same place. Without a MAC and a port nobody can tell.
func SameCaller(a, b Caller) bool {
	return a.NAS == b.NAS && a.Port == b.Port && a.MAC == b.MAC && (a.MAC != "" || a.Port != "")
}

// SameDevice tells whether two callers have the same MAC address, wherever they
// are. What is no MAC address may be shared: many clients are behind one address.
func SameDevice(a, b Caller) bool {
	_, ok := parseMAC(a.MAC)
	return ok && a.MAC == b.MAC
}
