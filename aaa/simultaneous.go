package aaa

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"radial/dictionaries"
	"radial/ipam"
)

// checkSimultaneousUse holds the login to its user's number of sessions
// (radius-semantics: Simultaneous-Use). None at all is refused here; else the
// sessions are counted where the login is made known to the other servers: with
// its leases, or in admit. Explain only looks, here.
func (l *authorization) checkSimultaneousUse(ctx context.Context) (*denial, error) {
	v, ok := l.control.Value(l.e.words.simultaneousUse)
	if !ok {
		return nil, nil
	}
	limit := uint32Value(v)
	switch {
	case limit == 0:
		l.admission = &ipam.Admission{}
		return l.overLimit("Simultaneous-Use := 0 allows no session"), nil
	case l.e.admissions == nil:
		return &denial{ReasonUnsupportedCheck, "Simultaneous-Use: nothing counts sessions here"}, nil
	}
	if err := l.needsDatabase("a count of sessions (Simultaneous-Use)"); err != nil {
		return nil, err
	}
	l.admission = l.newAdmission(limit)
	if l.dry {
		return l.wouldAdmit(ctx)
	}
	return nil, nil
}

func (l *authorization) newAdmission(limit uint32) *ipam.Admission {
	w := l.e.words
	who := l.caller()
	a := &ipam.Admission{
		User: l.user, Caller: who.Caller, SessionID: who.SessionID, Limit: limit,
		Replace: l.e.opts.SimultaneousUseReplace != ReplaceNever, Life: l.e.opts.StartWithin, Calling: l.text(w.callingStation),
	}
	if v, ok := l.reply.Value(w.portLimit); ok {
		a.Links = uint32Value(v)
	}
	if v, ok := l.in.pairs.Value(w.framedIPAddress); ok {
		a.FramedIP, _ = netip.AddrFromSlice(v)
	}
	return a
}

// admit counts a login that leases nothing.
func (l *authorization) admit(ctx context.Context) (*denial, error) {
	if l.admission == nil || l.dry {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := l.e.admissions.Admit(ctx, l.admission)
	var reached *ipam.LimitReached
	switch {
	case errors.As(err, &reached):
		return l.limitReached(reached), nil
	case err != nil:
		return nil, fmt.Errorf("count sessions of %q: %w", l.user, err)
	}
	return nil, nil
}

func (l *authorization) limitReached(r *ipam.LimitReached) *denial {
	return l.overLimit(fmt.Sprintf("%v, Simultaneous-Use := %d", r, l.admission.Limit))
}

// overLimit refuses with FreeRADIUS's text, and keeps nothing else of the reply.
func (l *authorization) overLimit(detail string) *denial {
	text := l.e.opts.SimultaneousUseMessage
	if l.admission.Limit > 1 {
		text = fmt.Sprintf("%s (%d)", text, l.admission.Limit)
	}
	l.reply, l.proof = nil, nil
	if text != "" {
		l.reply = dictionaries.Pairs{{Attr: l.e.words.replyMessage, Value: []byte(text)}}
	}
	return &denial{ReasonSimultaneousUse, detail}
}

// wouldAdmit looks at what counts, by the same rule, and writes nothing.
func (l *authorization) wouldAdmit(ctx context.Context) (*denial, error) {
	open, waiting, err := l.e.admissions.Sessions(ctx, l.user)
	if err != nil {
		return nil, fmt.Errorf("count sessions of %q: %w", l.user, err)
	}
	r := Admit(l.admission, open, waiting)
	for i := range open {
		l.note(StepInfo, "open session: "+sessionText(open[i].Caller, open[i].SessionID)+", since "+l.clock(open[i].Start))
	}
	for i := range waiting {
		l.note(StepInfo, "let in, and not started yet: "+sessionText(waiting[i].Caller, waiting[i].SessionID)+", at "+l.clock(waiting[i].Made))
	}
	for i := range r.Replaces {
		l.note(StepInfo, "the caller's own, so it does not count, and ends when the new one starts: session "+r.Replaces[i].SessionID+
			" (simultaneous_use.replace)")
	}
	counted := &ipam.LimitReached{Open: r.Open, Waiting: r.Waiting}
	l.note(StepInfo, fmt.Sprintf("counted: %v, %d allowed", counted, l.admission.Limit))
	if r.Line {
		l.note(StepYes, fmt.Sprintf("another link of the line, and Port-Limit is %d", l.admission.Links))
	}
	if !r.OK {
		return l.limitReached(counted), nil
	}
	return nil, nil
}

func (l *authorization) clock(t time.Time) string { return t.In(l.e.loc).Format(time.DateTime) }

// sessionText tells a session by what the operator knows of it.
func sessionText(c ipam.Caller, id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAS %s", c.NAS)
	for _, part := range []struct{ name, value string }{{"port", c.Port}, {"caller", c.MAC}, {"id", id}} {
		if part.value != "" {
			fmt.Fprintf(&b, ", %s %s", part.name, part.value)
		}
	}
	return b.String()
}
