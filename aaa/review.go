package aaa

import (
	"context"

	"radial/nas"
)

// Standing is how a user stands with what he is held to in a time: what a login
// of his would be told now.
type Standing struct {
	// Reason is ReasonTimeUsed or ReasonDataUsed where nothing is left, else
	// ReasonNone. Detail is for a person.
	Reason Reason
	Detail string
	// Slowed tells that a step of fair use is reached; Rate is what holds then.
	Slowed   bool
	Rate     nas.RateLimit
	Balances []Balance // one for each quota and step
	// Unknown tells that the tables do not know the user at the moment, or have rows
	// that cannot be read: nothing can be told of him.
	Unknown bool
}

// Review tells how the user of a request stands, by the code that decides
// logins. It looks at usage alone: neither the password nor anything else can
// refuse here. Nothing is leased, logged or counted.
func (e *Engine) Review(ctx context.Context, req *Request) (Standing, error) {
	l := authorization{e: e, in: checkInput{req: req}, dry: true}
	l.start()
	if d, err := l.findItems(ctx); d != nil || err != nil || !l.known {
		return Standing{Unknown: true}, err // rows that cannot be read refuse the next login, and end no session
	}
	d, err := l.judgeUsage(ctx)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Balances: l.balances}
	if d != nil && d.reason != ReasonUnsupportedCheck {
		s.Reason, s.Detail = d.reason, d.detail
	}
	if rate, ok := slowest(l.balances); ok {
		s.Slowed, s.Rate = true, lower(rate, l.granted())
	}
	return s, nil
}

// granted is the rate that the reply grants; 0 is without limit.
func (l *authorization) granted() nas.RateLimit {
	g, _ := nas.ParseGrant(l.reply, l.e.dict)
	return g.Rate
}

// lower is a step's rate, or what the user has anyway where that is lower.
func lower(step, have nas.RateLimit) nas.RateLimit {
	if have.Down.Rate > 0 && have.Down.Rate < step.Down.Rate {
		step.Down.Rate = have.Down.Rate
	}
	if have.Up.Rate > 0 && have.Up.Rate < step.Up.Rate {
		step.Up.Rate = have.Up.Rate
	}
	return step
}
