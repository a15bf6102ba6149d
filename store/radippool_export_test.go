package store

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"radial/ipam"
)

// LentCase is an address for JudgeLent, in few words: callers are names, times
// minutes from now.
type LentCase struct {
	State, Caller string
	Until         int
	Own           string // its session's row: "", open, closed
	Theirs        string
	Expiry        int      // minutes; over zero: it lives
	Open          []string // callers of open sessions, the newest first
}

// JudgeLent says what becomes of the address: "state caller: action caller, …",
// or "stays".
func JudgeLent(c LentCase) string {
	now := time.Now()
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	who := func(name string) ipam.Caller {
		if name == "" {
			return ipam.Caller{}
		}
		return ipam.Caller{User: name, MAC: "mac of " + name, NAS: netip.MustParseAddr("10.0.0.1")}
	}
	until := at(c.Until)
	l := lent{state: c.State, caller: who(c.Caller), until: &until, theirs: who(c.Theirs), live: c.Expiry > 0, expiry: at(c.Expiry)}
	if c.Own != "" {
		l.radacctid, l.ownThere = 5, true
	}
	if c.Own == "closed" {
		l.ownStop = &now
	}
	for i, name := range c.Open {
		l.open = append(l.open, openSession{radacctid: int64(9 - i), caller: who(name), start: now})
	}
	to, history, changed := l.judge(now)
	if !changed {
		return "stays"
	}
	var told []string
	for _, h := range history {
		told = append(told, h.action+" "+h.caller.User)
	}
	return fmt.Sprintf("%s %s: %s", to.state, to.caller.User, strings.Join(told, ", "))
}
