package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
)

// openSessions is where radacct is looked at (store.DB).
type openSessions interface {
	Routers(ctx context.Context) ([]aaa.Router, error)
	Devices(ctx context.Context) ([]aaa.Device, error)
	OpenAtNAS(ctx context.Context, nas []netip.Prefix, users []string) ([]store.OpenAt, error)
}

// lostSessions is where radacct is mended, and who has had that done is kept
// (store.DB).
type lostSessions interface {
	CloseLost(ctx context.Context, lost []store.OpenAt) (n int, err error)
	NoteChange(ctx context.Context, c store.Change, key string, detail aaa.Audit) error
}

// RouterSessions asks routers who is logged in, and compares that with radacct.
// Safe for concurrent use.
type RouterSessions struct {
	db    openSessions
	lost  lostSessions
	fleet *routeros.Fleet
	now   func() time.Time
}

// NewRouterSessions makes a RouterSessions of the routers of a fleet.
func NewRouterSessions(db *store.DB, fleet *routeros.Fleet, now func() time.Time) *RouterSessions {
	return &RouterSessions{db, db, fleet, now}
}

// sessionGrace is how old a session must be before it is missed on either side:
// its Start is on the way, or the router was read a moment before it came.
const sessionGrace = time.Minute

// Mismatch is how a router and radacct differ.
type Mismatch struct {
	Router  string            `json:"router"`
	Matched int               `json:"matched"`
	Local   int               `json:"local"`   // logged in by secrets of the router: no business of ours
	Unknown []routeros.Active `json:"unknown"` // on the router by RADIUS, and not open in radacct
	Lost    []store.OpenAt    `json:"lost"`    // open in radacct, and not on the router
}

// Compare asks a router and looks into radacct. The router must be linked to one
// of the devices, of one address.
func (rs *RouterSessions) Compare(ctx context.Context, r aaa.Router, devices []aaa.Device) (Mismatch, error) {
	home, err := homeOf(r, devices)
	if err != nil {
		return Mismatch{}, err
	}
	at := rs.now()
	on, err := rs.active(ctx, r.Name)
	if err != nil {
		return Mismatch{}, fmt.Errorf("router %s: %w", r.Name, err)
	}
	var users []string
	for _, a := range on.active {
		users = append(users, a.User)
	}
	open, err := rs.db.OpenAtNAS(ctx, []netip.Prefix{home}, users)
	if err != nil {
		return Mismatch{}, err
	}
	m := compare(r.Name, on.active, open, at)
	for i := range m.Lost {
		m.Lost[i].Rebooted = on.rebootedSince(m.Lost[i].Heard)
	}
	return m, nil
}

// onRouter is what a router says: who is logged in, and since when it is up (zero: it
// does not say).
type onRouter struct {
	active []routeros.Active
	up     time.Time
}

// rebootedSince tells that the router has begun anew after a time: the session
// that was last heard of then is older than the router's uptime, and was over when it
// began. In between lies a boot, which no router does in a few seconds: so
// much may the clocks of the database and of this machine differ.
func (o onRouter) rebootedSince(heard time.Time) bool {
	return !o.up.IsZero() && o.up.After(heard.Add(5*time.Second))
}

func (rs *RouterSessions) active(ctx context.Context, router string) (on onRouter, err error) {
	pool, err := rs.fleet.Pool(ctx, router)
	if err != nil {
		return on, err
	}
	err = pool.Read(ctx, func(c *routeros.Conn) (err error) {
		if on.active, err = routeros.Sessions(ctx, c); err != nil {
			return err
		}
		if state, err := routeros.Look(ctx, c); err == nil && state.Uptime > 0 { // of no use to who is logged in
			on.up = rs.now().Add(-state.Uptime)
		}
		return nil
	})
	return on, err
}

// homeOf is the address that a router's accounting comes from: its device's, or,
// where that is a network, the router's own in it.
func homeOf(r aaa.Router, devices []aaa.Device) (netip.Prefix, error) {
	i := slices.IndexFunc(devices, func(d aaa.Device) bool { return d.ID == r.NASID })
	if r.NASID == 0 || i < 0 {
		return netip.Prefix{}, fmt.Errorf("router %q is linked to no device: radial router set %s --nas NAME links it: %w", r.Name, r.Name, aaa.ErrInvalid)
	}
	own, ownErr := netip.ParseAddr(r.Address)
	name, err := nas.ParseName(devices[i].Name)
	switch {
	case err == nil && name.Kind != nas.NameHost && name.Prefix.IsSingleIP():
		return name.Prefix, nil
	case ownErr == nil && (err != nil || name.Kind == nas.NameHost || name.Prefix.Contains(own)):
		return netip.PrefixFrom(own, own.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("router %q: which address its accounting comes from is not known: its device is %s, and its own address %s is not in there: %w",
		r.Name, devices[i].Name, r.Address, aaa.ErrInvalid)
}

// compare finds each session of the router in radacct: by its Acct-Session-Id
// and user, and what is left by user and address, since not all menus tell the
// id. What is young is missed on neither side.
func compare(router string, active []routeros.Active, open []store.OpenAt, at time.Time) Mismatch {
	m := Mismatch{Router: router, Unknown: []routeros.Active{}, Lost: []store.OpenAt{}}
	taken := make([]bool, len(open))
	find := func(is func(*store.OpenAt) bool) bool {
		for i := range open {
			if !taken[i] && is(&open[i]) {
				taken[i] = true
				return true
			}
		}
		return false
	}
	var left []routeros.Active
	for _, a := range active {
		switch {
		case !a.Radius:
			m.Local++
		case a.SessionID != "" && find(func(o *store.OpenAt) bool { return o.User == a.User && strings.EqualFold(o.SessionID, a.SessionID) }):
			m.Matched++
		default:
			left = append(left, a)
		}
	}
	for _, a := range left {
		switch {
		case find(func(o *store.OpenAt) bool { return o.User == a.User && o.Address.IsValid() && o.Address == a.Address }):
			m.Matched++
		case time.Duration(a.Uptime) >= sessionGrace:
			m.Unknown = append(m.Unknown, a)
		}
	}
	for i, o := range open {
		if !taken[i] && o.Here && at.Sub(o.Began) >= sessionGrace {
			m.Lost = append(m.Lost, o)
		}
	}
	return m
}

// Mended is what Mend did.
type Mended struct {
	Ended  int `json:"ended"`  // on the router: they log in again, and are accounted for
	Closed int `json:"closed"` // in radacct
}

// Mend ends what is unknown to us on the router, and closes in radacct what the
// router does not have, for who wants that. A router all of whose sessions are
// unknown is not touched: it sends its accounting elsewhere, or under another
// address.
func (rs *RouterSessions) Mend(ctx context.Context, by store.Change, m Mismatch) (Mended, error) {
	if len(m.Unknown)+len(m.Lost) == 0 {
		return Mended{}, nil
	}
	done, err := rs.mend(ctx, m)
	detail := aaa.Audit{"ended": done.Ended, "closed": done.Closed}
	if err != nil {
		detail["failed"] = err.Error()
	}
	return done, errors.Join(err, rs.lost.NoteChange(ctx, by, m.Router, detail))
}

func (rs *RouterSessions) mend(ctx context.Context, m Mismatch) (done Mended, err error) {
	if done.Closed, err = rs.lost.CloseLost(ctx, m.Lost); err != nil || len(m.Unknown) == 0 {
		return done, err
	}
	if m.Matched == 0 && len(m.Unknown) > 1 {
		return done, fmt.Errorf("router %s: none of its %d sessions by RADIUS is in radacct: its accounting goes elsewhere, or comes from another address than its device's; nobody was thrown out", m.Router, len(m.Unknown))
	}
	pool, err := rs.fleet.Pool(ctx, m.Router)
	if err != nil {
		return done, err
	}
	err = pool.Write(ctx, func(c *routeros.Conn) error {
		for _, a := range m.Unknown {
			if err := routeros.EndOne(ctx, c, a); err != nil {
				return err
			}
			done.Ended++
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("router %s: %w", m.Router, err)
	}
	return done, err
}

// Live are those of silent sessions that their routers have, and those whose
// router has begun anew since. A session whose NAS is no router that answers is
// in neither: nobody speaks for it.
func (rs *RouterSessions) Live(ctx context.Context, silent []store.OpenAt) (known testimony, err error) {
	routers, err := rs.db.Routers(ctx)
	if err != nil {
		return known, err
	}
	devices, err := rs.db.Devices(ctx)
	if err != nil {
		return known, err
	}
	for _, r := range aaa.RoutersToLookAt(routers) {
		home, err := homeOf(r, devices)
		if err != nil {
			continue // linked to nothing: it speaks for nobody
		}
		var here []store.OpenAt
		for _, s := range silent {
			if home.Contains(s.NAS) {
				here = append(here, s)
			}
		}
		if len(here) == 0 {
			continue
		}
		on, err := rs.active(ctx, r.Name)
		if ctx.Err() != nil {
			return testimony{}, errors.Join(err, context.Cause(ctx))
		}
		if err != nil {
			continue // a router that does not answer is as silent as its sessions; its health says so
		}
		known.live = append(known.live, found(on.active, here)...)
		for _, s := range here {
			if on.rebootedSince(s.Heard) {
				known.rebooted = append(known.rebooted, s.ID)
			}
		}
	}
	return known, nil
}

// found are the ids of those of some sessions that are active.
func found(active []routeros.Active, some []store.OpenAt) (ids []int64) {
	lost := compare("", active, some, time.Unix(1<<40, 0)).Lost
	for _, s := range some {
		if !slices.ContainsFunc(lost, func(o store.OpenAt) bool { return o.ID == s.ID }) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// witness is who is asked about silent sessions; nil is nobody.
func (o Options) witness(db *store.DB) witness {
	var all witnesses
	if o.Fleet != nil && o.AskRouters {
		all = append(all, NewRouterSessions(db, o.Fleet, time.Now))
	}
	if o.Control != nil && o.Control.Way != nil && o.ProbeSilent {
		all = append(all, &probe{db, o.Control})
	}
	if all == nil {
		return nil
	}
	return all
}

// reconciler compares routers with radacct; nil: nobody does.
func (o Options) reconciler(db *store.DB) *RouterSessions {
	if o.Fleet == nil || !o.ReconcileRouters {
		return nil
	}
	return NewRouterSessions(db, o.Fleet, time.Now)
}

// reconcileSessions compares all routers with radacct, and mends what differs.
// A router that does not answer is left for the next time.
func reconcileSessions(db *store.DB, rs *RouterSessions) func(context.Context, aaa.ReconcileRouters) error {
	return func(ctx context.Context, _ aaa.ReconcileRouters) error {
		if rs == nil {
			return nil
		}
		all, err := db.Routers(ctx)
		if err != nil {
			return err
		}
		devices, err := db.Devices(ctx)
		if err != nil {
			return err
		}
		by := store.Change{Actor: "job:reconcile_routers", Action: "session.reconcile"}
		var errs []error
		for _, r := range aaa.RoutersToLookAt(all) {
			m, err := rs.Compare(ctx, r, devices)
			if errors.Is(err, aaa.ErrInvalid) {
				continue // linked to no device
			}
			if err == nil {
				_, err = rs.Mend(ctx, by, m)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}
