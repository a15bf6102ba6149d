package aaa

import (
	"slices"

	"radial/dictionaries"
)

// doubt is what check items meet that are compared with a session's row instead
// of with its login: they match, or do not, or nobody can tell. A session that
// runs must not end because accounting tells less than the login did.
type doubt struct {
	believed
	assumed map[*rule]outcome // of what nobody can tell, in this case
	unknown *rule             // the first of which nothing is assumed
	made    *rule             // the first control item whose value is made of the request
}

// ends tells whether a refusal of the next login ends the session that runs.
// Those do that the operator's rows say. That the user, his password or what he
// has to match is not found says so only where it is known that the login was by
// the same name: a session may have been let in by another server's rows. What
// is trouble of ours, or a matter of the next login alone, never does.
func (d *doubt) ends(r Reason) bool {
	switch r {
	case ReasonAuthTypeReject, ReasonExpired, ReasonOutsideHours, ReasonTimeUsed, ReasonDataUsed, ReasonSimultaneousUse:
		return true
	case ReasonUnknownUser, ReasonNoPassword, ReasonCheckFailed:
		return d.name
	}
	return false
}

// cannotTell is the outcome of a rule that nobody can judge.
func (d *doubt) cannotTell(r *rule) outcome {
	if o, ok := d.assumed[r]; ok {
		return o
	}
	if d.unknown == nil {
		d.unknown = r
	}
	return matched
}

// compareInDoubt is compareRule for a session's row.
func (e *Engine) compareInDoubt(in *checkInput, r *rule) outcome {
	d, w := in.doubt, e.words
	strips := e.opts.StripRealm
	switch {
	case r.op == opSet || r.op == opAdd || w.neverCompared[r.attr]:
		return matched
	case r.late != nil && r.late.expand != nil:
		return d.cannotTell(r)
	case r.how != virtualNone:
		if !d.knowsVirtual(r.how, strips) {
			return d.cannotTell(r)
		}
		return e.compareVirtual(in, r)
	case strips && (r.attr == w.userName || r.attr == w.realm || r.attr == w.strippedUserName):
		return d.cannotTell(r)
	case r.attr.Internal || r.attr == w.userName || d.request && e.told(in, r.attr):
		return e.compareKnown(in, r)
	case !d.name && in.pairs.Has(r.attr) && r.op.wantsOne() && e.compareKnown(in, r) == matched:
		return matched
	}
	return d.cannotTell(r)
}

// told tells whether radacct has the attribute, if the login had it.
func (e *Engine) told(in *checkInput, a *dictionaries.Attribute) bool {
	w := e.words
	if a == w.nasIPAddress || a == w.nasIPv6Address {
		return in.pairs.Has(a) // it has one of them
	}
	return slices.Contains([]*dictionaries.Attribute{
		w.nasPortID, w.nasPortType, w.callingStation, w.calledStation, w.serviceType, w.framedProtocol,
	}, a)
}

// knowsVirtual tells whether a virtual item can be compared.
func (d *doubt) knowsVirtual(how virtual, strips bool) bool {
	switch how {
	case virtualSource, virtualSourcePort:
		return false
	case virtualServer, virtualShortName:
		return d.request // which is of the device too
	case virtualPrefix, virtualSuffix:
		return !strips
	}
	return true
}

// wantsOne tells the operators that a value satisfies, rather than its absence.
func (o op) wantsOne() bool { return o != opNotEqual && o != opNoMatch && o != opAbsent }
