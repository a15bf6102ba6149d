package aaa

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"radial/dictionaries"
)

// WallState is what keeps a subscriber out of full service, where his package
// may let him into its walled garden instead of refusing him.
type WallState string

// The states for which a package may have a walled garden. One who is suspended
// or expired is told so by his row, and his rows of FreeRADIUS's tables follow;
// who has used up what he may use is found out at the login, as is one whose
// Expiration passed a moment ago.
const (
	WallSuspended WallState = "suspended"
	WallExpired   WallState = "expired"
	WallExhausted WallState = "exhausted" // a quota, or a counter of session time
)

// WallStates lists them.
var WallStates = []WallState{WallSuspended, WallExpired, WallExhausted}

// Walled is the walled garden of a package: what its subscribers get in place of
// the package's service when they are kept out of it. It is projected as the
// group WalledGroup. Zero fields are not set.
type Walled struct {
	For            []WallState `json:"for"` // in the order of WallStates
	RateDown       int64       `json:"rate_down,omitempty"`
	RateUp         int64       `json:"rate_up,omitempty"`
	AddressList    string      `json:"address_list,omitempty"`
	Filter         string      `json:"filter,omitempty"`
	Pool           string      `json:"pool,omitempty"`        // of ours: also in place of a static address
	FramedPool     string      `json:"framed_pool,omitempty"` // of the device's, likewise
	SessionTimeout int64       `json:"session_timeout,omitempty"`
	Replies        []Item      `json:"replies,omitempty"` // further ones
}

// Has tells whether there is a garden, and for this state.
func (w *Walled) Has(s WallState) bool { return w != nil && slices.Contains(w.For, s) }

// SameStates tells whether two gardens let the same people in; nil is one that lets
// in nobody.
func (w *Walled) SameStates(o *Walled) bool {
	return !slices.ContainsFunc(WallStates, func(s WallState) bool { return w.Has(s) != o.Has(s) })
}

// walledSuffix ends the names of the groups of walled gardens. No package's name
// can end so: it has a colon.
const walledSuffix = ":walled"

// WalledGroup names the group that a package's walled garden is projected as.
func WalledGroup(pkg string) string { return pkg + walledSuffix }

// enter notes what a group that applies says of walled gardens: it is one, or it
// has one.
func (l *authorization) enter(name string, g *groupPolicy) {
	switch {
	case len(g.walled) == 0:
	case strings.HasSuffix(name, walledSuffix):
		l.garden = name
	case l.wallOf == "":
		l.wallOf, l.wallFor = name, g.walled
	}
}

// wallIn lets a login that a check would refuse into the walled garden of its
// package, where that has one for the state: what it was granted so far is taken
// back, but for a static address, and the garden's rows are merged instead. What
// its own rows ask for, such as the password, holds all the same. It returns nil
// where the login goes on, else the denial.
func (l *authorization) wallIn(ctx context.Context, state WallState, d *denial) (*denial, error) {
	if !slices.Contains(l.wallFor, state) {
		return d, nil
	}
	name := WalledGroup(l.wallOf)
	g, kept, err := l.groupPolicy(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read policy of group %q: %w", name, err)
	}
	l.kept = l.kept || kept
	if g.check.bad != nil || len(g.check.rules)+len(g.reply.rules) == 0 {
		return d, nil // nothing that could be granted in place of what is taken back
	}
	w := l.e.words
	l.reply = slices.DeleteFunc(l.reply, func(p dictionaries.Pair) bool { return !w.inGarden[p.Attr] })
	l.control = slices.DeleteFunc(l.control, func(p dictionaries.Pair) bool { return w.choosesPool[p.Attr] })
	if ok, refused := l.apply(g.check, g.reply); !ok || refused != nil {
		return d, nil
	}
	l.garden, l.gardenWhy, l.balances = name, d.detail, nil
	if l.trace != nil {
		l.note(StepInfo, "into the walled garden, group "+name+": "+d.detail)
	}
	return nil, nil
}

// walledDetail tells a person why an accepted login has less than its package;
// "" for one that has all of it.
func (l *authorization) walledDetail() string {
	switch {
	case l.garden == "":
		return ""
	case l.gardenWhy == "":
		return "walled garden: member of " + l.garden
	}
	return "walled garden " + l.garden + ": " + l.gardenWhy
}
