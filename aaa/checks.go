package aaa

import (
	"bytes"
	"context"
	"fmt"

	"radial/dictionaries"
)

// unsupportedItems limit a login, or hand it to something else, and their
// engine is not there yet. A login that has one is refused rather than let in
// without. All internal attributes that begin with Max- belong to them, but for
// those of counters: that is how counters and quotas are named, also in
// operators' own dictionaries.
var unsupportedItems = []string{
	"Proxy-To-Realm", "Replicate-To-Realm", "Home-Server-Pool", "Home-Server-Name", "Exec-Program-Wait",
}

// checkName needs a User-Name, and by filter_username a sane one.
func (l *authorization) checkName(context.Context) (*denial, error) {
	name, _ := l.in.req.Pairs.Value(l.e.words.userName)
	if len(name) == 0 {
		return &denial{ReasonNoCredential, "the request carries no User-Name"}, nil
	}
	if l.e.opts.FilterUsername {
		if odd := oddUsername(string(name)); odd != "" {
			return &denial{ReasonBadUsername, fmt.Sprintf("User-Name %q %s (filter_username)", name, odd)}, nil
		}
	}
	if l.trace != nil {
		l.note(StepInfo, fmt.Sprintf("the tables are asked for %q", l.user))
	}
	return nil, nil
}

// checkExpiration refuses from the date on, or lets in behind a wall, and ends
// the session then.
func (l *authorization) checkExpiration(ctx context.Context) (*denial, error) {
	v, ok := l.control.Value(l.e.words.expiration)
	if !ok {
		return nil, nil
	}
	left := int64(uint32Value(v)) - l.in.now.Unix()
	when := l.e.words.expiration.Text(v)
	if left <= 0 {
		return l.wallIn(ctx, WallExpired, &denial{ReasonExpired, "expired at " + when})
	}
	if l.trace != nil {
		l.note(StepYes, fmt.Sprintf("expires at %s, in %d s", when, left))
	}
	l.limitSession(left)
	return nil, nil
}

// checkLoginTime refuses outside the allowed hours, and ends the session with
// them.
func (l *authorization) checkLoginTime(context.Context) (*denial, error) {
	v, ok := l.control.Value(l.e.words.loginTime)
	if !ok {
		return nil, nil
	}
	hours, err := ParseLoginTime(string(v)) // only an expanded value can fail here
	if err != nil {
		return &denial{ReasonUnparsableItem, "Login-Time: " + err.Error()}, nil
	}
	secs, limited, inside := hours.Left(l.in.now)
	switch {
	case !inside:
		return &denial{ReasonOutsideHours, fmt.Sprintf("Login-Time %s does not allow %s", v, l.in.now.Format("Mon 15:04"))}, nil
	case !limited:
		return nil, nil
	case secs < int64(l.e.opts.MinimumTimeout.Seconds()) && l.in.doubt == nil: // who is in may stay so long
		return &denial{ReasonOutsideHours, fmt.Sprintf("Login-Time %s leaves only %d s", v, secs)}, nil
	}
	if l.trace != nil {
		l.note(StepYes, fmt.Sprintf("Login-Time %s leaves %d s", v, secs))
	}
	l.limitSession(secs)
	return nil, nil
}

// checkLimits refuses what no engine here can hold a login to.
func (l *authorization) checkLimits(context.Context) (*denial, error) {
	if l.limit == nil {
		return nil, nil
	}
	return &denial{ReasonUnsupportedCheck, l.limit.attr.Name + " cannot be enforced yet: " + l.limit.String()}, nil
}

// checkPassword acts on Auth-Type Accept and Reject, and leaves all else to
// the credential methods. Any Reject wins; of several others the last counts.
func (l *authorization) checkPassword(ctx context.Context) (*denial, error) {
	accept, reject := l.authType()
	if reject {
		return &denial{ReasonAuthTypeReject, "Auth-Type is Reject"}, nil
	}
	if accept {
		l.note(StepYes, "Auth-Type is Accept: no password is asked for")
		return nil, nil
	}
	if err := ctx.Err(); err != nil && l.e.verifier.takesLong(l.control) {
		return nil, err
	}
	v := l.e.verifier.Verify(l.in.req, l.control, l.user, l.in.now)
	l.proof = v.Reply
	switch {
	case v.OK:
		l.note(StepYes, "the password is right")
		return nil, nil
	case l.dry && v.Reason == ReasonNoCredential:
		return l.withoutCredential(), nil
	case v.Reason != ReasonNoPassword:
		return &denial{v.Reason, v.Detail}, nil
	}
	return l.withoutPassword(v.Detail), nil
}

// authType tells whether Auth-Type lets in or refuses whatever the credential.
func (l *authorization) authType() (accept, reject bool) {
	w := l.e.words
	for i := range l.control {
		p := &l.control[i]
		if p.Attr != w.authType {
			continue
		}
		if bytes.Equal(p.Value, w.authTypeReject) {
			return false, true
		}
		accept = bytes.Equal(p.Value, w.authTypeAccept)
	}
	return accept, false
}

// withoutPassword says why there is no password to check against.
func (l *authorization) withoutPassword(detail string) *denial {
	switch {
	case l.failed != nil:
		return &denial{ReasonCheckFailed, "does not match: " + l.failed.String() + "; " + l.seen(l.failed)}
	case !l.known:
		return &denial{ReasonUnknownUser, fmt.Sprintf("no rows for %q in radcheck and radusergroup", l.user)}
	}
	return &denial{ReasonNoPassword, detail}
}

// withoutCredential lets Explain go on where it was given no password to try.
func (l *authorization) withoutCredential() *denial {
	for i := range l.control {
		if hiddenAttribute(l.control[i].Attr) {
			l.note(StepInfo, "no password was given to try; what follows holds for the right one ("+l.control[i].Attr.Name+methodsOf(l.control[i].Attr)+")")
			return nil
		}
	}
	return l.withoutPassword("no password attribute to check against")
}

// methodsOf tells which methods cannot be judged by a stored password.
func methodsOf(a *dictionaries.Attribute) string {
	switch a.Name {
	case "Cleartext-Password", "User-Password", "Password-With-Header", "LM-Password":
		return ""
	case "NT-Password":
		return ": PAP and MS-CHAP; CHAP would be refused"
	}
	return ": PAP; CHAP and MS-CHAP would be refused"
}
