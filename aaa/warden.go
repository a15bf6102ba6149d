package aaa

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// Want is what is wanted of a user's open sessions.
type Want string

// The wants.
const (
	WantNothing    Want = ""           // what was wanted is not any more
	WantDisconnect Want = "disconnect" // nothing is left for him
	WantRate       Want = "rate"       // he is beyond a step: Order.Rate holds
)

// Order is what is wanted of the open sessions of a user, until the next order.
type Order struct {
	User   string
	Want   Want
	Rate   nas.RateLimit
	Reason Reason // ReasonNone with WantRate
	Detail string // for a person
}

// Warden sees to it that quotas and steps of fair use hold for sessions that
// run: it counts along with accounting, looks at how a user stands when he has
// moved what was left at his last look, and orders what follows. What it misses
// (users who logged in elsewhere, or before a restart) the job of every minute
// looks at, by Look. Safe for concurrent use.
type Warden struct {
	engine  *Engine
	control Control
	told    func(user string, err error)

	mu     sync.Mutex
	users  aging[*watched]
	turns  int       // of users; a user's sessions follow when he is asked for
	turned time.Time // when the last of them was
	looks  map[string]*look
	due    chan *Request
}

// look is a look at a user that is under way, by one or several. What is counted
// meanwhile may have come too late for it.
type look struct {
	by      int
	counted bool
}

// maxWatched bounds the users that are counted along.
const maxWatched = 1 << 20

// wardenForgets is after what time without a word of them users and sessions are
// forgotten, twice that at most: their Stops may go to other servers. One who is heard of
// later all the same is looked at by the job.
const wardenForgets = 6 * time.Hour

// watched is what a user may move before a look is due.
type watched struct {
	total, up, down int64
	sessions        aging[[2]int64] // by acctuniqueid: what it has reported of input and output
	turns           int
	due             bool
}

// watch returns a user who is counted along, or nil; with add he is from now on. Under mu.
func (w *Warden) watch(user string, add bool) *watched {
	if now := w.engine.now(); now.Sub(w.turned) >= wardenForgets {
		// After a silence of two turns and more nothing is left that is young enough.
		if now.Sub(w.turned) >= 2*wardenForgets {
			w.users.turn()
			w.turns++
		}
		w.users.turn()
		w.turns++
		w.turned = now
	}
	u, known := w.users.get(user)
	switch {
	case !known && (!add || w.users.len() >= maxWatched):
		return nil
	case !known:
		u = &watched{turns: w.turns}
		w.users.put(user, u)
	}
	for ; u.turns < w.turns; u.turns++ { // twice at most, else he would be forgotten
		u.sessions.turn()
	}
	return u
}

// NewWarden makes a Warden of the users whom the engine accepts from now on. told
// hears of looks that failed: they are made again by the job.
func NewWarden(e *Engine, control Control, told func(user string, err error)) *Warden {
	w := &Warden{engine: e, control: control, told: told, turned: e.now(), looks: map[string]*look{}, due: make(chan *Request, 10_000)}
	e.warden = w
	return w
}

// begin says that somebody is about to look at how a user stands, and returns what
// to call when he has: it tells whether something was counted meanwhile.
func (w *Warden) begin(user string) (end func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.looks[user]
	if l == nil {
		l = &look{}
		w.looks[user] = l
	}
	l.by++
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if l.by--; l.by == 0 {
			delete(w.looks, user)
		}
		return l.counted
	}
}

// expect notes how far a user is from the next border that matters.
func (w *Warden) expect(user string, all []Balance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.watch(user, true)
	if u == nil {
		return
	}
	u.total, u.up, u.down, u.due = math.MaxInt64, math.MaxInt64, math.MaxInt64, false
	for i := range all {
		b := &all[i]
		if b.Reached() {
			continue
		}
		switch b.Counts {
		case CountsUp:
			u.up = min(u.up, b.Left)
		case CountsDown:
			u.down = min(u.down, b.Left)
		default:
			u.total = min(u.total, b.Left)
		}
	}
}

// Seen counts a record that has been stored.
func (w *Warden) Seen(r *Record) {
	if !w.count(r) {
		return
	}
	login := OpenLogin{
		User: r.Login, NAS: r.NAS.String(), PortType: r.PortType, CallingStation: r.CallingStation,
		CalledStation: r.CalledStation, ServiceType: r.ServiceType, FramedProtocol: r.FramedProtocol,
	}
	if r.PortID != nil {
		login.Port = *r.PortID
	}
	req, err := w.engine.requestOf(login)
	if err != nil {
		w.told(r.User, err)
		return
	}
	w.lookSoon(req)
}

// lookSoon has Run look at the user of a request.
func (w *Warden) lookSoon(req *Request) {
	select {
	case w.due <- req:
	default: // the job looks at him
	}
}

// count tells whether a look is due.
func (w *Warden) count(r *Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.looks[r.User]; l != nil && (r.Status == StatusInterim || r.Status == StatusStop) {
		l.counted = true
	}
	u := w.watch(r.User, false)
	if u == nil {
		return false
	}
	last, known := u.sessions.get(r.UniqueID)
	switch {
	case r.Status == StatusStart:
		u.sessions.put(r.UniqueID, last)
		return false
	case r.Status != StatusInterim && r.Status != StatusStop:
		return false
	}
	now := last
	if r.Input != nil {
		now[0] = max(now[0], *r.Input)
	}
	if r.Output != nil {
		now[1] = max(now[1], *r.Output)
	}
	if known { // else it was open at the look, and only another tells what it has moved since
		u.up -= now[0] - last[0]
		u.down -= now[1] - last[1]
		u.total -= now[0] - last[0] + now[1] - last[1]
	}
	u.sessions.put(r.UniqueID, now)
	if r.Status == StatusStop {
		if u.sessions.del(r.UniqueID); u.sessions.len() == 0 {
			w.users.del(r.User)
			return false
		}
	}
	if u.due || known && u.total > 0 && u.up > 0 && u.down > 0 {
		return false
	}
	u.due = true
	return true
}

// Run makes the looks that are due until ctx ends, some at a time.
func (w *Warden) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	for range 8 {
		looks.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case req := <-w.due:
					if err := w.Look(ctx, req); err != nil && ctx.Err() == nil {
						w.told(req.user(w.engine), err)
					}
				}
			}
		})
	}
	looks.Wait()
	return nil
}

// Look looks at how the user of a request stands, and orders what follows. Where
// something is counted meanwhile he is looked at once more.
func (w *Warden) Look(ctx context.Context, req *Request) error {
	user := req.user(w.engine)
	end := w.begin(user)
	err := w.look(ctx, user, req)
	if end() && err == nil {
		err = w.look(ctx, user, req)
	}
	return err
}

func (w *Warden) look(ctx context.Context, user string, req *Request) error {
	s, err := w.engine.Review(ctx, req)
	if err != nil {
		return fmt.Errorf("look at %q: %w", user, err)
	}
	if s.Unknown { // somebody may be writing his rows anew: what is wanted of his sessions stands
		return nil
	}
	if len(s.Balances) > 0 {
		w.expect(user, s.Balances)
	}
	o := Order{User: user, Reason: s.Reason, Detail: s.Detail}
	switch {
	case s.Reason != ReasonNone:
		o.Want = WantDisconnect
	case s.Slowed:
		o.Want, o.Rate, o.Detail = WantRate, s.Rate, "beyond a step of fair use"
	}
	return w.control.Order(ctx, o)
}

// LookAll looks at users by their open sessions, many at a time, so that they
// share trips. One that fails does not keep the others from being looked at.
func (w *Warden) LookAll(ctx context.Context, all []OpenLogin) error {
	var looks sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	next := make(chan OpenLogin)
	for range 64 {
		looks.Go(func() {
			for one := range next {
				req, err := w.engine.requestOf(one)
				if err == nil {
					err = w.Look(ctx, req)
				}
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, one := range all {
		next <- one
	}
	close(next)
	looks.Wait()
	return errors.Join(errs...)
}

// OpenLogin is a session as its row of radacct tells of its login, raw text; ""
// where it does not.
type OpenLogin struct {
	User, NAS, Port, PortType, CallingStation, CalledStation, ServiceType, FramedProtocol string
}

// requestOf makes the request that the login of a session may have been: groups
// may be chosen by what it says.
func (e *Engine) requestOf(o OpenLogin) (*Request, error) {
	req := &Request{}
	for _, item := range []struct{ name, value string }{
		{"User-Name", o.User}, {"NAS-IP-Address", o.NAS}, {"NAS-Port-Id", o.Port}, {"NAS-Port-Type", o.PortType},
		{"Calling-Station-Id", o.CallingStation}, {"Called-Station-Id", o.CalledStation},
		{"Service-Type", o.ServiceType}, {"Framed-Protocol", o.FramedProtocol},
	} {
		p, err := e.dict.Pair(item.name, item.value)
		if a := e.dict.Find(item.name); a != nil && a.Type == dictionaries.TypeString { // not by the dictionary: any bytes
			p, err = dictionaries.Pair{Attr: a, Value: []byte(item.value)}, nil
		}
		if item.value == "" || err != nil {
			continue // an IPv6 NAS, or a name that the dictionary has not: the login is told without
		}
		req.Pairs = append(req.Pairs, p)
	}
	if _, err := strconv.ParseUint(o.Port, 10, 32); err == nil {
		if p, err := e.dict.Pair("NAS-Port", o.Port); err == nil {
			req.Pairs = append(req.Pairs, p)
		}
	}
	if len(req.Pairs) == 0 {
		return nil, fmt.Errorf("session of nobody: %w", ErrInvalid)
	}
	return req, nil
}

// user is the name that a request's rows are looked up by.
func (r *Request) user(e *Engine) string {
	l := authorization{e: e, in: checkInput{req: r}}
	l.start()
	return l.user
}
