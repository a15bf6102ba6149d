package aaa

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"radial/nas"
)

// WalledChange is what an operator says of a walled garden. Nil fields are left
// as they are; 0 and "" take a value away.
type WalledChange struct {
	Remove         bool        // there is none any more
	For            []WallState // nil: as it is, and all of WallStates in a new one
	RateDown       *int64
	RateUp         *int64
	AddressList    *string
	Filter         *string
	Pool           *string
	FramedPool     *string
	SessionTimeout *int64
	Replies        []Item // take the place of all before; nil: as they are
}

// empty tells whether the change says nothing.
func (c *WalledChange) empty() bool {
	return !c.Remove && c.For == nil && c.RateDown == nil && c.RateUp == nil && c.AddressList == nil && c.Filter == nil &&
		c.Pool == nil && c.FramedPool == nil && c.SessionTimeout == nil && c.Replies == nil
}

// apply returns the garden that the change makes of one.
func (c *WalledChange) apply(have *Walled) *Walled {
	if c.empty() {
		return have
	}
	if c.Remove {
		return nil
	}
	w := Walled{For: WallStates}
	if have != nil {
		w = *have
	}
	if c.For != nil {
		w.For = nil
		for _, s := range WallStates { // each once, in one order
			if slices.Contains(c.For, s) {
				w.For = append(w.For, s)
			}
		}
	}
	assign(&w.RateDown, c.RateDown)
	assign(&w.RateUp, c.RateUp)
	assign(&w.AddressList, c.AddressList)
	assign(&w.Filter, c.Filter)
	assign(&w.Pool, c.Pool)
	assign(&w.FramedPool, c.FramedPool)
	assign(&w.SessionTimeout, c.SessionTimeout)
	if c.Replies != nil {
		w.Replies = c.Replies
	}
	return &w
}

// valid holds a garden to what its rows take; one that restricts nothing would
// give those who are kept out all that there is.
func (w *Walled) valid() error {
	if w == nil {
		return nil
	}
	switch {
	case len(w.For) == 0:
		return fmt.Errorf("walled garden: for nobody; say one or more of %s: %w", joined(WallStates), ErrInvalid)
	case w.RateDown < 0 || w.RateUp < 0 || (w.RateDown == 0) != (w.RateUp == 0):
		return fmt.Errorf("walled garden: down and up are set together, as in 1M and 512k: %w", ErrInvalid)
	case w.SessionTimeout < 0 || w.SessionTimeout > maxSeconds:
		return fmt.Errorf("walled garden: session timeout %d: want 1 to %d seconds: %w", w.SessionTimeout, maxSeconds, ErrInvalid)
	case w.AddressList == "" && w.Filter == "" && w.Pool == "" && w.FramedPool == "" && len(w.Replies) == 0:
		return fmt.Errorf("walled garden: nothing keeps its subscribers inside; give it an address list, a filter, a pool, or a reply item: %w", ErrInvalid)
	}
	for _, s := range w.For {
		if !slices.Contains(WallStates, s) {
			return fmt.Errorf("walled garden: %q is no state it can be for; want one of %s: %w", s, joined(WallStates), ErrInvalid)
		}
	}
	pools := PackagePools{Pool: w.Pool, FramedPool: w.FramedPool}
	return errors.Join(validDeviceName("address list", w.AddressList), validDeviceName("filter", w.Filter), pools.valid())
}

// projectWalled says which rows of the group tables a package's walled garden
// is. Its items replace what the subscriber's own rows say, so that others' rows
// open nothing, and no further group is read.
//
// Where it has a pool of its own, a static address is set aside meanwhile; where
// it has none, addresses come from the package's.
func projectWalled(p *Package) []ProjectedRow {
	w := p.Walled
	if w == nil {
		return nil
	}
	var rows []ProjectedRow
	add := func(t Table, attribute, op, value string) {
		rows = append(rows, ProjectedRow{Table: t, Name: WalledGroup(p.Name), Item: Item{attribute, op, value}})
	}
	set := func(attribute, value string) {
		if value != "" {
			add(TableGroupReply, attribute, ":=", value)
		}
	}
	if p.SimultaneousUse != nil {
		add(TableGroupCheck, "Simultaneous-Use", "+=", strconv.FormatInt(*p.SimultaneousUse, 10))
	}
	if w.Pool != "" {
		add(TableGroupCheck, "Pool-Name", ":=", w.Pool)
	}
	if w.Pool != "" || w.FramedPool != "" {
		add(TableGroupReply, "Framed-IP-Address", "!*", "0.0.0.0") // FreeRADIUS wants to read even a value that does not matter
		if w.FramedPool == "" {
			add(TableGroupReply, "Framed-Pool", "!*", "ANY")
		}
	} else {
		// The package's own, so that a session keeps its address on the way in and
		// out. Only IPv4: an address list says nothing of IPv6, which would lead out.
		if p.Pool != "" {
			add(TableGroupCheck, "Pool-Name", "+=", p.Pool)
		}
		if p.FramedPool != "" {
			add(TableGroupReply, "Framed-Pool", "=", p.FramedPool)
		}
	}
	if w.RateDown > 0 {
		set("Mikrotik-Rate-Limit", nas.RateLimit{Up: nas.Rates{Rate: w.RateUp}, Down: nas.Rates{Rate: w.RateDown}}.String())
	}
	set("Mikrotik-Address-List", w.AddressList)
	set("Filter-Id", w.Filter)
	set("Framed-Pool", w.FramedPool)
	set("Session-Timeout", positive(w.SessionTimeout))
	set("Acct-Interim-Interval", positive(p.InterimInterval))
	for _, it := range w.Replies {
		add(TableGroupReply, it.Attribute, it.Op, it.Value)
	}
	add(TableGroupReply, "Fall-Through", ":=", "No")
	return rows
}

// positive prints a number above 0, else nothing.
func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// projectShut says what stands in place of the rows of a walled garden that is
// gone while somebody is still in it: a group without any row would let him in,
// with nothing to hold him.
func projectShut(pkg string) []ProjectedRow {
	return []ProjectedRow{{Table: TableGroupCheck, Name: WalledGroup(pkg), Item: Item{"Auth-Type", ":=", "Reject"}}}
}

// walledReplies holds the garden's further replies to the dictionary.
func (p *Provisioner) walledReplies(items []Item) error {
	for _, it := range items {
		if strings.EqualFold(it.Attribute, "Fall-Through") {
			return fmt.Errorf("reply %q: a walled garden never falls through: %w", it, ErrInvalid)
		}
		if err := p.replyItem(TableGroupReply, it); err != nil {
			return err
		}
	}
	return nil
}
