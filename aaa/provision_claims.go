package aaa

import (
	"slices"
	"strings"
)

// disputes tells whether somebody else's Auth-Type goes against a status that is
// set: a Reject, what was our own row, or for one who is kept out what comes after
// our own Reject.
// Another Accept stays: it may be how he logs in, and a Reject behind it counts,
// under FreeRADIUS too.
func (a *Account) disputes(status SubscriberStatus) bool {
	ours := false
	for _, r := range a.Rows {
		if r.Table != TableCheck || !strings.EqualFold(r.Attribute, "Auth-Type") {
			continue
		}
		if ours = ours || r.Ours(); r.Changed() || r.Digest == "" && (r.Value == "Reject" || ours && status != SubscriberActive) {
			return true
		}
	}
	return false
}

// claims are the keys that a change names.
func (c *SubscriberChange) claims(acc Account, before, after *Subscriber) map[rowKey]bool {
	claims := map[rowKey]bool{}
	if c.Password != nil {
		for name := range passwordAttributes {
			claims[rowKey{TableCheck, name}] = true
		}
	}
	if c.NoPassword {
		for name := range passwordAttributes {
			claims[rowKey{TableCheck, name}] = true
		}
		claims[rowKey{TableCheck, "auth-type"}] = true
	}
	if c.MACs != nil || c.NoPassword {
		claims[rowKey{TableCheck, "calling-station-id"}] = true
	}
	if c.Package != nil {
		// Whoever put him into a package of ours: he has one, the named one.
		for _, g := range append([]string{before.Package, after.Package}, acc.Packages...) {
			if !slices.ContainsFunc(after.Groups, func(o GroupItem) bool { return o.Group == g }) {
				claims[rowKey{TableUserGroup, g}] = true
			}
		}
	}
	if c.Status != nil {
		if acc.disputes(*c.Status) {
			claims[rowKey{TableCheck, "auth-type"}] = true
		}
	}
	if c.StaticIP != nil {
		claims[rowKey{TableReply, "framed-ip-address"}] = true
		claims[rowKey{TableReply, "framed-ipv6-address"}] = true
	}
	if c.Expires != nil {
		claims[rowKey{TableCheck, "expiration"}] = true
	}
	for _, g := range c.AddGroups {
		claims[rowKey{TableUserGroup, g.Group}] = true
	}
	for _, g := range c.DelGroups {
		claims[rowKey{TableUserGroup, g}] = true
	}
	claimItems(claims, TableCheck, c.AddChecks, c.DelChecks, false)
	claimItems(claims, TableReply, c.AddReplies, c.DelReplies, true)
	return claims
}

// standFirst puts the Fall-Through of one who is kept out before others': the first one
// counts, under FreeRADIUS too, and theirs may let him past what keeps him out. Ours takes
// the row of theirs, which stands anew behind it, and counts again when he is let in. named
// tells that the operator names the status: then what somebody made of our row goes.
// It returns what is left to be reconciled.
func standFirst(want []ProjectedRow, have []StoredRow, named bool) (d RowDelta, rest []ProjectedRow, others []StoredRow) {
	is := func(r ProjectedRow) bool {
		return r.Table == TableReply && strings.EqualFold(r.Attribute, "Fall-Through")
	}
	w := slices.IndexFunc(want, is)
	first := slices.IndexFunc(have, func(r StoredRow) bool { return is(r.ProjectedRow) })
	if w < 0 || first < 0 || have[first].Ours() || have[first].Changed() && !named {
		return d, want, have
	}
	if have[first].Digest == "" && strings.EqualFold(have[first].Value, want[w].Value) {
		return d, want, have // it says the same
	}
	for i, r := range have {
		if !is(r.ProjectedRow) || r.Ours() || r.Changed() && !named {
			others = append(others, r)
			continue
		}
		if i == first {
			d.Update = append(d.Update, RowUpdate{r, want[w]})
		} else {
			d.Delete = append(d.Delete, r)
		}
		if r.Digest == "" {
			d.Keep = append(d.Keep, r.ProjectedRow)
		}
	}
	return d, slices.Delete(slices.Clone(want), w, w+1), others
}
