package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

const (
	deedTime  = 35 * time.Second       // that a deed may take, with a second one where the first was refused
	claimTime = 50 * time.Second       // that nobody else acts on its session; longer than deedTime and what the rows take
	together  = 16                     // deeds of one job at a time
	busyWait  = 300 * time.Millisecond // between looks at sessions that another job acts on
	busyWaits = 30
)

// enforcementStore is where sessions are claimed and what came of them is
// written (store.DB).
type enforcementStore interface {
	ClaimSessions(ctx context.Context, ids []int64, who string, hold time.Duration) (store.Claimed, error)
	ReleaseSessions(ctx context.Context, ids []int64, who string) error
	SettleDeeds(ctx context.Context, who string, closeAfter time.Duration, deeds []store.Deed) error
}

// enforcer does what is wanted of sessions: claim, look, decide, act, write
// down. No transaction is open while a device is asked.
type enforcer struct {
	Control
	rows    enforcementStore
	quiet   *quietDevices
	metrics *controlMetrics
	log     *zap.Logger
	claims  atomic.Int64
}

// wish is what a job wants of its sessions.
type wish struct {
	verb    store.BulkVerb
	limit   nas.RateLimit // with BulkChange
	limits  bool          // what is left of time and volume is to be told, and nothing else
	actor   string
	why     string
	job     int64
	bulk    int64
	asked   time.Time
	changed bool      // rows of the user have just been changed: he is not unknown for another reason
	begunBy time.Time // sessions that have begun later are not meant; zero: all are
}

// verdict is what came of one session.
type verdict struct {
	session *aaa.LiveSession
	deed    *store.Deed   // nil: nothing was done
	wait    time.Duration // its device is quiet: in what time to ask
	err     error         // trouble on our side
}

// claimant is a name for the claims of one job.
func (e *enforcer) claimant() string { return fmt.Sprintf("%s#%d", e.Client, e.claims.Add(1)) }

// act looks at a claimed session and does what follows.
func (e *enforcer) act(ctx context.Context, w wish, s *aaa.LiveSession) verdict {
	v := verdict{session: s}
	if !w.begunBy.IsZero() && s.Began.After(w.begunBy) {
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, deedTime)
	defer cancel()
	d, applied, err := e.deed(ctx, w, s)
	if err != nil || d.Do == aaa.VerbNone {
		v.err = err
		return v
	}
	wait := e.quiet.ask(s.NAS)
	if wait > 0 {
		v.wait = wait
		return v
	}
	effect, err := e.do(ctx, d)
	e.quiet.heard(s.NAS, effect.Result != aaa.ResultUnknown && err == nil)
	if err == nil && d.Do == aaa.VerbChange && e.Refused != RefusedKeep && !d.gently && (effect.Result == aaa.ResultRefused && !passing(effect.Cause) || effect.Result == aaa.ResultUnsupported) {
		refused := effect
		d.Do = aaa.VerbDisconnect
		if effect, err = e.do(ctx, d); err == nil {
			effect.Detail = strings.TrimSuffix("in place of a CoA that was refused ("+refused.Detail+"); "+effect.Detail, "; ")
		}
	}
	if err != nil {
		v.err = fmt.Errorf("session %s of %q at %s: %w", s.SessionID, s.Login.User, s.NAS, err)
		return v
	}
	if effect.Result != aaa.ResultDone || d.Do != aaa.VerbChange {
		applied = nil
	}
	e.metrics.observe(d.Do, effect, w.asked)
	why := w.why
	if d.why != "" {
		why += ": " + d.why
	}
	v.deed = &store.Deed{Session: *s, Verb: d.Do, Effect: effect, Applied: applied, Actor: w.actor, Why: why, Job: w.job, Bulk: w.bulk}
	v.deed.Aside = w.limits && !v.deed.Ended()
	return v
}

// deedOf is a deed and why it is done.
type deedOf struct {
	aaa.Deed
	why    string
	gently bool // the session is to stay even if its device refuses that
}

// deed is what follows for a session, and the mark of what it has once that is
// acknowledged.
func (e *enforcer) deed(ctx context.Context, w wish, s *aaa.LiveSession) (deedOf, *aaa.Mark, error) {
	d := deedOf{Deed: aaa.Deed{Session: *s}}
	if w.verb == store.BulkDisconnect {
		d.Do, d.Device = aaa.VerbDisconnect, e.Device(s.NAS)
		return d, nil, nil
	}
	due, err := e.Due(ctx, s)
	if err != nil {
		return d, nil, fmt.Errorf("what is due to session %s of %q: %w", s.SessionID, s.Login.User, err)
	}
	if w.limits {
		d.limits(&due)
		return d, nil, nil
	}
	if w.changed {
		due.Believe()
	}
	d.Device, d.Reply = due.Device, due.Reply
	if w.verb == store.BulkChange {
		d.Do, d.gently = aaa.VerbChange, true
		if due.Device == nil {
			return d, nil, nil
		}
		d.Reply = e.Limit(due.Device, due.Reply, w.limit)
		return d, &due.Mark, nil // so that it holds until something else is due
	}
	action := e.Decide(s, &due)
	d.Do, d.why, d.gently = action.Do, action.Why, action.Gently
	return d, &due.Mark, nil
}

// limits has the device told what is left of time and volume, where it takes
// that. It is no reason to end a session that it refuses it: that logs in again
// when what it was given at its login has passed.
func (d *deedOf) limits(due *aaa.Due) {
	if !due.Accepted() || due.Device == nil || d.Session.Began.IsZero() {
		return
	}
	if d.Limits = nas.Limits(due.Device, due.Reply); d.Limits != nil {
		d.Do, d.Device, d.gently, d.why = aaa.VerbChange, due.Device, true, "what is left of time and volume"
	}
}

// do does a deed at its device.
func (e *enforcer) do(ctx context.Context, d deedOf) (aaa.Effect, error) {
	if d.Device == nil {
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: "no row of nas has " + d.Session.NAS.String()}, nil
	}
	e.metrics.inFlight.Inc()
	defer e.metrics.inFlight.Dec()
	return e.Way.Do(ctx, d.Deed)
}

// passing tells the causes of a NAK that pass by themselves (RFC 5176 §3.6):
// 502 and 505 of a proxy, 506 Resources-Unavailable.
func passing(cause uint32) bool { return cause == 502 || cause == 505 || cause == 506 }

// sessionNote is what came of one session, for the job.
type sessionNote struct{ user, session, nas, verb, result, detail string }

// dealt is what came of the sessions of a job.
type dealt struct {
	sessions []sessionNote
	nothing  int // sessions that have what is due
	ending   int
	wait     time.Duration // some could not be seen to yet
	again    error         // some are to be tried again
	final    error         // some cannot be helped
}

// text is the outcome in words.
func (d *dealt) text() string {
	count := map[string]int{}
	var order []string
	add := func(what string, n int) {
		if n > 0 && count[what] == 0 {
			order = append(order, what)
		}
		count[what] += n
	}
	for _, s := range d.sessions {
		add(s.verb+" "+s.result, 1)
	}
	add("as it should be", d.nothing)
	add("awaits its Stop", d.ending)
	if len(order) == 0 {
		return "no open session"
	}
	parts := make([]string, len(order))
	for i, what := range order {
		parts[i] = fmt.Sprintf("%d %s", count[what], what)
	}
	return strings.Join(parts, ", ")
}

// note adds what came of a session.
func (d *dealt) note(v *verdict) {
	switch {
	case v.err != nil:
		d.again = errors.Join(d.again, v.err)
		return
	case v.wait > 0:
		d.wait = max(d.wait, v.wait)
		return
	case v.deed == nil:
		d.nothing++
		return
	}
	e, s := &v.deed.Effect, v.session
	d.sessions = append(d.sessions, sessionNote{s.Login.User, s.UniqueID, s.NAS.String(), string(v.deed.Verb), string(e.Result), e.Detail})
	switch err := fmt.Errorf("%s of session %s at %s: %s: %s", v.deed.Verb, s.SessionID, s.NAS, e.Result, e.Detail); {
	case tryAgain(e):
		d.again = errors.Join(d.again, err)
	case e.Result == aaa.ResultRefused || e.Result == aaa.ResultUnsupported:
		d.final = errors.Join(d.final, err)
	}
}

// tryAgain tells whether an effect may be another the next time.
func tryAgain(e *aaa.Effect) bool {
	return e.Result == aaa.ResultUnknown || e.Result == aaa.ResultFailed || e.Result == aaa.ResultRefused && passing(e.Cause)
}

// deal does what is wanted of sessions, some at a time. Sessions that another job
// acts on are waited for a little.
func (e *enforcer) deal(ctx context.Context, w wish, ids []int64) (dealt, error) {
	var all dealt
	for waits := 0; len(ids) > 0; {
		some := ids[:min(len(ids), together)]
		busy, err := e.dealSome(ctx, w, some, &all)
		if err != nil {
			return all, err
		}
		if ids = append(ids[len(some):], busy...); len(ids) > len(busy) || len(busy) == 0 {
			continue
		}
		if waits++; waits > busyWaits {
			all.wait = max(all.wait, busyWait)
			return all, nil
		}
		if !pause(ctx, busyWait) {
			return all, nil // the caller sees that
		}
	}
	return all, nil
}

// dealSome is deal for few sessions; those that others act on come back.
func (e *enforcer) dealSome(ctx context.Context, w wish, ids []int64, all *dealt) (busy []int64, err error) {
	who := e.claimant()
	claimed, err := e.rows.ClaimSessions(ctx, ids, who, claimTime)
	if err != nil {
		return nil, err
	}
	all.ending += len(claimed.Ending)
	verdicts := make([]verdict, len(claimed.Mine))
	var acts sync.WaitGroup
	for i := range claimed.Mine {
		acts.Go(func() { verdicts[i] = e.act(ctx, w, &claimed.Mine[i]) })
	}
	acts.Wait()
	var deeds []store.Deed
	var idle []int64
	for i := range verdicts {
		v := &verdicts[i]
		if v.deed != nil {
			deeds = append(deeds, *v.deed)
		}
		if v.deed == nil || v.deed.Aside {
			idle = append(idle, v.session.ID)
		}
		all.note(&verdicts[i])
	}
	ctx = context.WithoutCancel(ctx) // what was done is written down also while the server ends
	return claimed.Busy, errors.Join(e.rows.SettleDeeds(ctx, who, e.CloseAfter, deeds), e.rows.ReleaseSessions(ctx, idle, who))
}

// notesOf are the notes of a job, as it keeps them: the first hundred.
func notesOf(all []sessionNote) []store.JobSession {
	var out []store.JobSession
	for _, n := range all[:min(len(all), 100)] {
		out = append(out, store.JobSession{User: n.user, Session: n.session, NAS: n.nas, Do: n.verb, Result: n.result, Detail: n.detail})
	}
	return out
}
