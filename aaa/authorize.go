package aaa

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// EngineConfig is what an Engine is made of. A nil port means that the server
// lacks it: a policy that asks for it is then refused (unsupported_check).
type EngineConfig struct {
	Dict       *dictionaries.Dictionary
	Policies   *Cache
	Verifier   *Verifier
	Addresses  Addresses
	Pools      PoolReader // for Explain; nil: pools are taken to have room
	Admissions Admissions
	Meter      Meter
	PostAuth   PostAuthLog
	// Devices finds the device of a NAS's address, for Due; nil: there are none.
	Devices  func(netip.Addr) *nas.Device
	Options  Options
	Metrics  *Metrics         // nil: not counted
	Now      func() time.Time // nil: time.Now
	Location *time.Location   // of dates and hours in rows; nil: time.Local
}

// Engine decides about Access-Requests. It holds no state of its own beyond
// the cache and is safe for concurrent use.
type Engine struct {
	dict       *dictionaries.Dictionary
	words      *vocabulary
	policies   *Cache
	verifier   *Verifier
	addresses  Addresses
	pools      PoolReader
	admissions Admissions
	meter      Meter
	postAuth   PostAuthLog
	opts       Options
	metrics    *Metrics
	now        func() time.Time
	loc        *time.Location
	ended      context.Context // see AuthorizeNow
	warden     *Warden         // nil: nobody counts along
	marker     *nas.Marker
	devices    func(netip.Addr) *nas.Device
}

// NewEngine returns an engine. It panics where the dictionary lacks names that
// every build has.
func NewEngine(c EngineConfig) *Engine {
	e := &Engine{
		dict: c.Dict, words: newVocabulary(c.Dict), policies: c.Policies, verifier: c.Verifier, addresses: c.Addresses, pools: c.Pools,
		admissions: c.Admissions, meter: c.Meter, postAuth: c.PostAuth, opts: c.Options, metrics: c.Metrics, now: c.Now, loc: c.Location,
		marker: nas.NewMarker(c.Dict), devices: c.Devices,
	}
	var end context.CancelFunc
	e.ended, end = context.WithCancel(context.Background())
	end()
	if e.now == nil {
		e.now = time.Now
	}
	if e.loc == nil {
		e.loc = time.Local
	}
	if e.opts.Shape == nil {
		e.opts.Shape = func(dev *nas.Device, reply dictionaries.Pairs) dictionaries.Pairs {
			return nas.ShapeReply(dev, reply, c.Dict)
		}
	}
	return e
}

// stages is the order in which a login is decided: FreeRADIUS's stock site
// (radius-semantics: order). The first denial or error ends it. To add a check
// is to add a function and a line.
var stages = []struct {
	name string
	run  func(*authorization, context.Context) (*denial, error)
}{
	{"name", (*authorization).checkName},
	{"policy", (*authorization).findItems},
	{"expiration", (*authorization).checkExpiration},
	{"login time", (*authorization).checkLoginTime},
	{"limits", (*authorization).checkLimits},
	{"usage", (*authorization).checkUsage},
	{"password", (*authorization).checkPassword},
	{"simultaneous use", (*authorization).checkSimultaneousUse},
	{"address", (*authorization).leaseAddresses},
}

// Authorize decides about an Access-Request. An error is trouble (a port
// failed, ctx ended): the NAS gets no answer then, since a Reject would log a
// paying customer out. The Decision keeps nothing of the request's memory but
// its Room.
func (e *Engine) Authorize(ctx context.Context, req *Request) (Decision, error) {
	l := e.begin(req)
	d, err := l.decide(ctx)
	if l.kept {
		d, err = l.fromMemory(d, err)
	}
	if err != nil {
		e.metrics.trouble(err)
		return Decision{}, err
	}
	if e.warden != nil && d.Verdict == Accept && len(l.balances) > 0 {
		e.warden.expect(l.user, l.balances)
	}
	e.metrics.decided(&d)
	e.logPostAuth(l, &d)
	return d, nil
}

// AuthorizeNow decides as Authorize does where memory alone tells: the user's
// rows are in the cache, and nothing is to be counted, leased, or computed for
// long. ok is false where that is not so: then nothing has happened, and
// Authorize has to be asked. Every stage that would ask a port looks first
// whether its context has ended; this one always has.
func (e *Engine) AuthorizeNow(req *Request) (d Decision, ok bool) {
	l := e.begin(req)
	d, err := l.decide(e.ended)
	if err != nil || l.kept {
		return Decision{}, false
	}
	e.metrics.decided(&d)
	e.logPostAuth(l, &d)
	return d, true
}

// decide walks the stages.
func (l *authorization) decide(ctx context.Context) (Decision, error) {
	l.start()
	for i := range stages {
		l.stage(stages[i].name)
		d, err := stages[i].run(l, ctx)
		if err != nil {
			return Decision{}, err
		}
		if d != nil {
			return l.reject(d), nil
		}
	}
	return Decision{Verdict: Accept, User: l.user, Reply: l.acceptReply(), Walled: l.garden, Detail: l.walledDetail(), Without: l.without}, nil
}

func (l *authorization) reject(d *denial) Decision {
	if l.trace != nil {
		l.note(StepNo, "refused: "+string(d.reason)+": "+d.detail)
	}
	return Decision{
		Verdict: Reject, Reason: d.reason, Detail: d.detail, User: l.user,
		Reply: l.rejectReply(), Delay: l.e.rejectDelay(l.in.req),
	}
}

// acceptReply is what goes out with an accept: the merged list without what is
// internal or empty, then what the credential's method adds, in the vendor's
// encoding.
func (l *authorization) acceptReply() dictionaries.Pairs {
	marked := l.setClass()
	if marked {
		l.reply = slices.Grow(l.reply, 1) // which the Room keeps
	}
	out := l.reply[:0]
	for _, p := range l.reply {
		if p.Attr.Internal || p.Attr == l.e.words.fallThrough || len(p.Value) == 0 {
			continue
		}
		out = append(out, p)
	}
	out = append(out, l.proof...)
	if marked {
		out = append(out, dictionaries.Pair{Attr: l.e.words.class, Value: l.class[:]})
	}
	if l.in.req.Device != nil {
		out = l.e.opts.Shape(l.in.req.Device, out)
	}
	return out
}

// rejectReply is what an Access-Reject may carry (RFC 2865 §5.44 and
// FreeRADIUS's attr_filter): messages merged before the refusal are kept.
func (l *authorization) rejectReply() dictionaries.Pairs {
	var out dictionaries.Pairs
	for _, list := range []dictionaries.Pairs{l.reply, l.proof} {
		for _, p := range list {
			if l.e.words.inReject[p.Attr] && len(p.Value) > 0 {
				out = append(out, p)
			}
		}
	}
	return out
}

// rejectDelay is the device's setting, else none for MikroTik, whose clients
// would ask again, else the engine's.
func (e *Engine) rejectDelay(req *Request) time.Duration {
	switch dev := req.Device; {
	case dev == nil:
	case dev.Settings.RejectDelay != nil:
		return *dev.Settings.RejectDelay
	case dev.Type == "mikrotik":
		return 0
	}
	return e.opts.RejectDelay
}
