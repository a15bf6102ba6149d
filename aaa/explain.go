package aaa

import (
	"context"
	"fmt"
	"strings"

	"radial/dictionaries"
)

// StepOutcome says what a step of an explanation found.
type StepOutcome string

// The outcomes of steps.
const (
	StepYes  StepOutcome = "yes"  // it matches, it is right
	StepNo   StepOutcome = "no"   // it does not match, it refuses
	StepInfo StepOutcome = "info" // what was read, or what would be done
)

// Step is one thing that the engine did, in order.
type Step struct {
	Stage   string      `json:"stage"`
	Outcome StepOutcome `json:"outcome"`
	Text    string      `json:"text"` // for a person; no secrets
}

// Explanation is the whole way to a decision.
type Explanation struct {
	Decision Decision
	Groups   []string // that applied, in order
	Steps    []Step
}

// trace collects the steps of one login.
type trace struct {
	name  string
	steps []Step
}

// Explain decides as Authorize does, through the same code, and tells how. It
// leases nothing, logs nothing and counts nothing. A request without any
// credential is explained as if its password were right.
func (e *Engine) Explain(ctx context.Context, req *Request) (Explanation, error) {
	l := authorization{e: e, in: checkInput{req: req}, dry: true, trace: &trace{}}
	d, err := l.decide(ctx)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain %q: %w", l.user, err)
	}
	l.noteOutage(&d)
	return Explanation{Decision: d, Groups: l.groups, Steps: l.trace.steps}, nil
}

// stage names what the next notes belong to.
func (l *authorization) stage(name string) {
	if l.trace != nil {
		l.trace.name = name
	}
}

// note records a step; without a trace it does nothing. Callers that have to
// make the text look at l.trace first.
func (l *authorization) note(o StepOutcome, text string) {
	if l.trace != nil {
		l.trace.steps = append(l.trace.steps, Step{Stage: l.trace.name, Outcome: o, Text: text})
	}
}

func (l *authorization) noteRules(what string, rules []rule) {
	if l.trace == nil {
		return
	}
	for i := range rules {
		l.note(StepYes, what+": "+rules[i].String())
	}
}

// inVRF names a VRF that is not the default one.
func inVRF(vrf int32) string {
	if vrf == 1 {
		return ""
	}
	return " in the device's VRF"
}

// seen tells what the request has of a rule's attribute.
func (l *authorization) seen(r *rule) string {
	if r.how != virtualNone {
		return "that is not so now"
	}
	if hiddenAttribute(r.attr) {
		return "the request has another value or none"
	}
	var have []string
	for i := range l.in.pairs {
		if p := &l.in.pairs[i]; p.Attr == r.attr {
			have = append(have, fmt.Sprintf("%q", p.Attr.Text(p.Value)))
		}
	}
	if len(have) == 0 {
		return "the request has no " + r.attr.Name
	}
	return "the request has " + strings.Join(have, ", ")
}

// Text renders the explanation for a terminal.
func (x *Explanation) Text() string {
	var b strings.Builder
	last := ""
	for _, s := range x.Steps {
		if s.Stage != last {
			fmt.Fprintf(&b, "%s\n", s.Stage)
			last = s.Stage
		}
		mark := map[StepOutcome]string{StepYes: "+", StepNo: "-", StepInfo: " "}[s.Outcome]
		fmt.Fprintf(&b, "  %s %s\n", mark, s.Text)
	}
	d := &x.Decision
	if len(x.Groups) > 0 {
		fmt.Fprintf(&b, "groups: %s\n", strings.Join(x.Groups, ", "))
	}
	if d.Verdict == Accept {
		b.WriteString("answer: Access-Accept\n")
		if d.Walled != "" {
			fmt.Fprintf(&b, "  %s\n", d.Detail)
		}
		if d.Without != "" {
			fmt.Fprintf(&b, "  without: %s\n", d.Without)
		}
	} else {
		fmt.Fprintf(&b, "answer: Access-Reject, reason %s\n", d.Reason)
		fmt.Fprintf(&b, "  %s\n", d.Detail)
		fmt.Fprintf(&b, "  look at: %s\n", d.Reason.LookAt())
	}
	for i := range d.Reply {
		fmt.Fprintf(&b, "  %s\n", pairText(&d.Reply[i]))
	}
	return b.String()
}

// pairText shows a pair as a person writes it; secrets are ***.
func pairText(p *dictionaries.Pair) string {
	name, value := p.Attr.Name, p.Attr.Text(p.Value)
	if p.Tag != 0 {
		name = fmt.Sprintf("%s:%d", name, p.Tag)
	}
	if hiddenAttribute(p.Attr) {
		value = "***"
	}
	return name + " = " + value
}
