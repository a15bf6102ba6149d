package aaa

import (
	"context"
	"fmt"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// Due tells what a login of an open session would be given now, by the code that
// decides logins, and by rows as they are in the database: no older than a change
// that has been committed. No password is looked at, nothing is leased, counted
// or logged. An error is trouble (a port failed, ctx ended): it says nothing of
// the session.
func (e *Engine) Due(ctx context.Context, s *LiveSession) (Due, error) {
	return e.due(ctx, s, true)
}

// Glance is Due by the rows in memory, where these are served: for a look at all
// sessions. What it finds wants a second look, by Due.
func (e *Engine) Glance(ctx context.Context, s *LiveSession) (Due, error) {
	return e.due(ctx, s, false)
}

func (e *Engine) due(ctx context.Context, s *LiveSession, fresh bool) (Due, error) {
	req, err := e.requestOf(s.Login)
	if err != nil {
		return Due{Unsure: "accounting does not tell whose session it is"}, nil
	}
	if s.NAS.Is6() {
		req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: e.words.nasIPv6Address, Value: s.NAS.AsSlice()})
	}
	if e.devices != nil {
		req.Device = e.devices(s.NAS)
	}
	believed, ok := e.believe(s, req)
	if !ok {
		return Due{Device: req.Device, Unsure: "it has logged in by another name than accounting tells"}, nil
	}
	h := held{users: map[string]*userPolicy{}, groups: map[string]*groupPolicy{}, fresh: fresh}
	if h.up, h.down = s.Up, s.Down; !s.Began.IsZero() {
		h.lasted = max(int64(e.now().Sub(s.Began)/time.Second), 0)
	}
	if fresh && e.warden != nil { // he may have a quota from now on: counting along begins
		user := req.user(e)
		end := e.warden.begin(user)
		defer func() {
			if len(h.balances) > 0 {
				e.warden.expect(user, h.balances)
			}
			if end() && len(h.balances) > 0 {
				e.warden.lookSoon(req)
			}
		}()
	}
	all, err := e.cases(ctx, req, &doubt{believed: believed, assumed: map[*rule]outcome{}}, &h)
	if err != nil {
		return Due{}, err
	}
	due := oneOf(all, s.Mark())
	due.elsewhere = believed.name && !believed.device
	return due, nil
}

// maxCases bounds how many cases are gone through for one session.
const maxCases = 32

// cases is what is due in each case of what check items say that nobody can
// judge.
func (e *Engine) cases(ctx context.Context, req *Request, d *doubt, h *held) ([]Due, error) {
	d.unknown, d.made = nil, nil
	l := authorization{e: e, in: checkInput{req: req, doubt: d}, dry: true, held: h}
	due, err := l.due(ctx)
	h.balances = l.balances
	if err == nil && l.kept {
		err = errFromMemory // such rows refuse nobody, and change nothing
	}
	if err != nil {
		return nil, fmt.Errorf("what is due to a session of %q: %w", l.user, err)
	}
	r := d.unknown
	switch {
	case r == nil:
		return []Due{due}, nil
	case 2<<len(d.assumed) > maxCases:
		return []Due{{Device: req.Device, Unsure: cannotTell(r)}}, nil
	}
	var all []Due
	for _, assumed := range []outcome{matched, mismatched} {
		d.assumed[r] = assumed
		some, err := e.cases(ctx, req, d, h)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	delete(d.assumed, r)
	for i := range all {
		if all[i].doubtful == nil {
			all[i].doubtful = r
		}
	}
	return all, nil
}

func cannotTell(r *rule) string {
	return "only the packets of its login could tell whether this matches: " + r.String()
}

// oneOf is what is due, of several cases. The session was let in, so that it is
// no case that would refuse it, unless all do; and where it has what is due in
// one of them, that is the one.
func oneOf(all []Due, have Mark) Due {
	var found, refused, unsure *Due
	for i := range all {
		d := &all[i]
		switch {
		case d.Unsure != "":
			unsure = d
		case d.Refused != ReasonNone && refused == nil:
			refused = d
		case d.Refused != ReasonNone:
		case d.Mark == have:
			return *d
		case found != nil && found.Mark != d.Mark:
			unsure = &Due{Device: d.Device, Unsure: cannotTell(d.doubtful)}
		default:
			found = d
		}
	}
	for _, d := range []*Due{unsure, found, refused} {
		if d != nil {
			return *d
		}
	}
	return Due{Unsure: "nothing can be told"}
}

// held are rows as they were read once: all cases go by the same.
type held struct {
	users  map[string]*userPolicy
	groups map[string]*groupPolicy
	fresh  bool // read anew, whatever memory holds

	balances []Balance // of quotas, as the last case has them

	lasted   int64  // seconds since the session began
	up, down uint64 // octets that it has transferred
}

// sinceBegin makes limits of what is left from now on limits of a session from
// its beginning on, as devices count. A login has none behind it.
func (h *held) sinceBegin(secs int64, v nas.Volume) (int64, nas.Volume) {
	if h == nil {
		return secs, v
	}
	for _, one := range []struct {
		left *uint64
		used uint64
	}{{&v.Total, h.up + h.down}, {&v.Up, h.up}, {&v.Down, h.down}} {
		if *one.left > 0 {
			*one.left += one.used
		}
	}
	return secs + h.lasted, v
}

// userPolicy is what the tables say of a user: by memory where that is served.
func (l *authorization) userPolicy(ctx context.Context, name string) (u *userPolicy, kept bool, err error) {
	h := l.held
	if h == nil {
		return l.e.policies.user(ctx, name)
	}
	if u = h.users[name]; u != nil {
		return u, false, nil
	}
	if h.fresh {
		var read cached[*userPolicy]
		read, err = l.e.policies.readUser(ctx, name)
		u = read.value
	} else {
		u, kept, err = l.e.policies.user(ctx, name)
	}
	if err == nil {
		h.users[name] = u
	}
	return u, kept, err
}

// groupPolicy is that of a group.
func (l *authorization) groupPolicy(ctx context.Context, name string) (g *groupPolicy, kept bool, err error) {
	h := l.held
	if h == nil {
		return l.e.policies.group(ctx, name)
	}
	if g = h.groups[name]; g != nil {
		return g, false, nil
	}
	if h.fresh {
		var read cached[*groupPolicy]
		read, err = l.e.policies.readGroup(ctx, name)
		g = read.value
	} else {
		g, kept, err = l.e.policies.group(ctx, name)
	}
	if err == nil {
		h.groups[name] = g
	}
	return g, kept, err
}

// Accepted tells whether a login would be let in.
func (d *Due) Accepted() bool { return d.Unsure == "" && d.Refused == ReasonNone }

// Believe takes it that the user's rows are gone where they are not found: a
// change of ours has just said so.
func (d *Due) Believe() {
	if d.Refused == ReasonUnknownUser {
		d.Unsure = ""
	}
}

// Mark is what the session has: what was changed since its login, else what that
// gave it. The zero Mark: nobody knows.
func (s *LiveSession) Mark() Mark {
	if s.Applied != (Mark{}) {
		return s.Applied
	}
	return MarkOfClass(s.Class)
}

// believed says what of a session's row stood in its login too.
type believed struct {
	name    bool // the name under which rows were looked up
	device  bool // the device; what is granted is marked by its type
	request bool // all that check items can be about and radacct tells
}

// believe compares the witness in the session's Class with its row; ok is false
// where the name is another one: nothing can be told then.
func (e *Engine) believe(s *LiveSession, req *Request) (b believed, ok bool) {
	c, marked := readClass(s.Class)
	if !marked {
		return b, true
	}
	l := authorization{e: e, in: checkInput{req: req}}
	l.start()
	if req.Device == nil {
		b.name = c.witness.name == l.nameWitness()
		return b, b.name
	}
	w := l.witness()
	return believed{name: w.name == c.witness.name, device: w.device == c.witness.device, request: w.request == c.witness.request}, w.name == c.witness.name
}

// due walks those stages of a login that say something of a session that runs.
func (l *authorization) due(ctx context.Context) (Due, error) {
	l.start()
	due := Due{Device: l.in.req.Device}
	for _, stage := range []func(*authorization, context.Context) (*denial, error){
		(*authorization).findItems, (*authorization).checkExpiration, (*authorization).checkLoginTime, (*authorization).checkLimits,
		(*authorization).checkUsage, (*authorization).checkStanding,
	} {
		d, err := stage(l, ctx)
		if err != nil {
			return Due{}, err
		}
		if d != nil {
			due.Refused, due.Detail = d.reason, d.detail
			if !l.in.doubt.ends(d.reason) {
				due.Unsure = fmt.Sprintf("the next login would be refused (%s: %s), which ends no session", d.reason, d.detail)
			}
			return due, nil
		}
	}
	if r := l.in.doubt.made; r != nil {
		due.Unsure = "only the packets of its login could tell the value of " + r.String()
		return due, nil
	}
	l.own = len(l.reply)
	for i := range l.reply {
		p := &l.reply[i]
		if !p.Attr.Internal && p.Attr != l.e.words.fallThrough && len(p.Value) > 0 && !l.isMade(p.Attr) {
			due.Reply = append(due.Reply, *p)
		}
	}
	if due.Device != nil {
		due.Mark = l.mark()
		due.Reply = l.e.opts.Shape(due.Device, due.Reply)
	}
	return due, nil
}

// checkStanding refuses whom no credential would help: Auth-Type Reject, no
// password to check against, no session allowed at all. How many sessions there
// are is of no account: this one is among them.
func (l *authorization) checkStanding(context.Context) (*denial, error) {
	accept, reject := l.authType()
	if reject {
		return &denial{ReasonAuthTypeReject, "Auth-Type is Reject"}, nil
	}
	if !accept {
		if d := l.withoutCredential(); d != nil {
			return d, nil
		}
	}
	if v, ok := l.control.Value(l.e.words.simultaneousUse); ok && uint32Value(v) == 0 {
		return &denial{ReasonSimultaneousUse, "Simultaneous-Use := 0 allows no session"}, nil
	}
	return nil, nil
}
