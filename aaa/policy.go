package aaa

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// fallThrough is what a Fall-Through item of a reply list says.
type fallThrough uint8

const (
	fallThroughUnset fallThrough = iota
	fallThroughNo
	fallThroughYes
)

// goesOn tells whether the search goes on; byDefault decides where no item
// says so (read_groups, read_profiles).
func (f fallThrough) goesOn(byDefault bool) bool {
	return f == fallThroughYes || f == fallThroughUnset && byDefault
}

// findItems reads the policy of the user into the control and reply lists, by
// the algorithm of FreeRADIUS's rlm_sql (radius-semantics: algorithm): radcheck
// and radreply, then groups by priority, then the profile's groups.
func (l *authorization) findItems(ctx context.Context) (*denial, error) {
	u, kept, err := l.userPolicy(ctx, l.user)
	if err != nil {
		return nil, fmt.Errorf("read policy of user %q: %w", l.user, err)
	}
	l.kept = kept
	l.in.groups = u.groups
	l.limits = &u.limits
	l.addQuotas(u.limits.Quotas)
	l.known = len(u.check.rules) > 0 || u.check.bad != nil || len(u.groups) > 0
	through := fallThroughUnset
	if u.check.bad != nil {
		return unparsable(u.check.bad), nil
	}
	if len(u.check.rules) == 0 {
		// without radcheck rows the user is not found yet: radreply is not read
		l.note(StepInfo, "no rows in radcheck, so radreply is not read")
	} else {
		ok, d := l.apply(u.check, u.reply)
		if d != nil {
			return d, nil
		}
		if ok {
			through = u.reply.fallThrough
		}
	}
	// groups are read even where a check row of the user's own did not match
	if !through.goesOn(l.e.opts.ReadGroups) {
		l.note(StepInfo, "no groups are read: Fall-Through = No, or read_groups is off")
	} else if d, err := l.walkGroups(ctx, u.groups, &through); d != nil || err != nil {
		return d, err
	}
	if !through.goesOn(l.e.opts.ReadProfiles) {
		return nil, nil
	}
	return l.walkProfile(ctx, &through)
}

// apply compares a list of checks and, where all match, merges checks and
// replies. ok tells whether they matched.
func (l *authorization) apply(check, reply ruleList) (ok bool, d *denial) {
	o, r := l.e.compareRules(&l.in, check.rules)
	switch o {
	case unevaluable:
		return false, &denial{ReasonUnsupportedCheck, r.attr.Name + " cannot be checked here: " + r.String()}
	case mismatched:
		if l.failed == nil {
			l.failed = r
		}
		if l.trace != nil {
			l.note(StepNo, "check does not match: "+r.String()+"; "+l.seen(r))
		}
		return false, nil
	}
	l.noteRules("matches", check.rules)
	if r := l.e.unexpandable(check.rules, l.lists()); r != nil && l.in.doubt == nil {
		return false, &denial{ReasonUnparsableItem, "its value makes no " + r.attr.Type.String() + " in this request: " + r.String()}
	}
	if l.in.doubt != nil && l.in.doubt.made == nil && len(check.made) > 0 {
		l.in.doubt.made = firstMade(check.rules)
	}
	l.limit, l.counted = cmp.Or(l.limit, check.limit), l.counted || check.counted
	l.control = l.e.mergeRules(&l.merging, l.control, check.rules, l.lists())
	if reply.bad != nil {
		return false, unparsable(reply.bad)
	}
	if len(check.made)+len(reply.made) > 0 {
		l.made = slices.Concat(l.made, check.made, reply.made)
	}
	l.noteRules("reply", reply.rules)
	l.limit = cmp.Or(l.limit, reply.limit)
	l.reply = l.e.mergeRules(&l.merging, l.reply, reply.rules, l.lists())
	return true, nil
}

// lists is what expansions see now.
func (l *authorization) lists() expandInput {
	return expandInput{request: l.in.pairs, control: l.control, reply: l.reply, now: l.in.now}
}

// walkGroups goes through groups in order. One that does not match is passed
// over, whatever its Fall-Through; one that matches (also by having no rows at
// all) ends the walk unless its reply rows say Fall-Through = Yes.
func (l *authorization) walkGroups(ctx context.Context, groups []Membership, through *fallThrough) (*denial, error) {
	for i := range groups {
		name := groups[i].Group
		g, kept, err := l.groupPolicy(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read policy of group %q: %w", name, err)
		}
		l.kept = l.kept || kept
		if l.trace != nil {
			l.note(StepInfo, fmt.Sprintf("group %s, priority %d", name, groups[i].Priority))
		}
		if g.check.bad != nil {
			return unparsable(g.check.bad), nil
		}
		ok, d := l.apply(g.check, g.reply)
		if d != nil {
			return d, nil
		}
		if !ok {
			continue
		}
		l.addQuotas(g.quotas)
		l.enter(name, g)
		if l.trace != nil {
			l.note(StepYes, "group "+name+" applies")
			l.groups = append(l.groups, name)
		}
		if *through = g.reply.fallThrough; *through != fallThroughYes {
			if l.trace != nil && i+1 < len(groups) {
				l.note(StepInfo, fmt.Sprintf("%d more groups are not read: no Fall-Through = Yes in %s", len(groups)-i-1, name))
			}
			return nil, nil
		}
	}
	return nil, nil
}

// walkProfile goes through the groups of the User-Profile item, or of the
// default profile, as if it were a user of radusergroup.
func (l *authorization) walkProfile(ctx context.Context, through *fallThrough) (*denial, error) {
	profile := l.e.opts.DefaultUserProfile
	if v, ok := l.control.Value(l.e.words.userProfile); ok {
		profile = string(v)
	}
	if profile == "" {
		return nil, nil
	}
	p, kept, err := l.userPolicy(ctx, profile)
	if err != nil {
		return nil, fmt.Errorf("read profile %q: %w", profile, err)
	}
	l.kept = l.kept || kept
	if l.trace != nil {
		l.note(StepInfo, fmt.Sprintf("profile %s: %d groups", profile, len(p.groups)))
	}
	return l.walkGroups(ctx, p.groups, through)
}

func unparsable(err *RowError) *denial { return &denial{ReasonUnparsableItem, err.Error()} }
