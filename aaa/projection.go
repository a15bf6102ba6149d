package aaa

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Table is one of the FreeRADIUS tables that provisioning writes to.
type Table string

// The tables of a projection.
const (
	TableCheck      Table = "radcheck"
	TableReply      Table = "radreply"
	TableUserGroup  Table = "radusergroup"
	TableGroupCheck Table = "radgroupcheck"
	TableGroupReply Table = "radgroupreply"
)

// ProjectedRow is one row as provisioning wants it. Name is the username, or
// the groupname in the group tables, raw. A row of radusergroup has Group and
// Priority, every other an Item.
type ProjectedRow struct {
	Table Table
	Name  string
	Item
	Group    string
	Priority int32
}

// Digest identifies the row's content in radial.projection: a row whose
// content has another digest was changed by somebody else.
func (r ProjectedRow) Digest() string {
	h := sha256.New()
	for _, s := range []string{string(r.Table), r.Name, r.Attribute, r.Op, r.Value, r.Group, strconv.Itoa(int(r.Priority))} {
		fmt.Fprintf(h, "%d:%s", len(s), s) // hash.Hash never fails
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// key is what a row is about: one attribute of a table, or one group of a
// user. A change claims keys, and replaces what stands under them.
func (r ProjectedRow) key() rowKey {
	switch {
	case r.Table == TableUserGroup:
		return rowKey{r.Table, r.Group}
	case (r.Table == TableGroupCheck || r.Table == TableGroupReply) && strings.HasSuffix(r.Name, walledSuffix):
		return rowKey{r.Table, walledSuffix + " " + strings.ToLower(r.Attribute)} // beside the package's own group
	}
	return rowKey{r.Table, strings.ToLower(r.Attribute)}
}

type rowKey struct {
	table Table
	about string
}

// refusals are the Reply-Messages of subscribers who are kept out.
var refusals = map[SubscriberStatus]string{
	SubscriberInactive:  "Your account is not active.",
	SubscriberSuspended: "Your account is suspended.",
	SubscriberExpired:   "Your account has expired.",
}

// ProjectSubscriber says which rows of FreeRADIUS's tables a subscriber is, in
// the order in which they are to stand. The passwords are handed in, since
// radcheck alone keeps them. zone is the one that dates are written in.
//
// One who is kept out has Auth-Type := Reject, no check that could fail before
// it counts, and Fall-Through = No, so that no group, not even somebody else's
// with Auth-Type := Accept, lets him in: under FreeRADIUS as under Radial. Where
// wall, the walled garden of his package, is for his state, he is in its group
// before all others instead, and has nothing of his own but what he is checked
// with and his static address.
func ProjectSubscriber(s *Subscriber, wall *Walled, passwords []Item, now time.Time, zone *time.Location) []ProjectedRow {
	if refused := s.Refused(now); refused != "" && s.Package != "" && wall.Has(WallState(refused)) {
		return projectInGarden(s, passwords)
	}
	var rows []ProjectedRow
	check := func(it Item) { rows = append(rows, ProjectedRow{Table: TableCheck, Name: s.Name, Item: it}) }
	reply := func(it Item) { rows = append(rows, ProjectedRow{Table: TableReply, Name: s.Name, Item: it}) }
	refused := s.Refused(now)

	for _, p := range passwords {
		check(p)
	}
	if refused == "" {
		rows = append(rows, macRows(s)...)
	}
	if s.Expires != nil {
		check(Item{"Expiration", ":=", FormatExpiration(*s.Expires, zone)})
	}
	if refused != "" {
		check(Item{"Auth-Type", ":=", "Reject"})
	}
	for _, it := range s.Checks {
		if refused == "" || sets(it.Op) && !strings.EqualFold(it.Attribute, "Auth-Type") {
			check(it)
		}
	}
	rows = append(rows, staticRows(s)...)
	if refused != "" {
		reply(Item{"Reply-Message", ":=", refusals[refused]})
		reply(Item{"Fall-Through", ":=", "No"})
	}
	for _, it := range s.Replies {
		if refused == "" || !strings.EqualFold(it.Attribute, "Reply-Message") && !strings.EqualFold(it.Attribute, "Fall-Through") {
			reply(it)
		}
	}
	return append(rows, memberRows(s)...)
}

// projectInGarden says the rows of one who is in the walled garden of his
// package.
func projectInGarden(s *Subscriber, passwords []Item) []ProjectedRow {
	var rows []ProjectedRow
	for _, it := range passwords {
		rows = append(rows, ProjectedRow{Table: TableCheck, Name: s.Name, Item: it})
	}
	rows = append(rows, macRows(s)...)
	for _, it := range s.Checks {
		rows = append(rows, ProjectedRow{Table: TableCheck, Name: s.Name, Item: it})
	}
	rows = append(rows, staticRows(s)...)
	rows = append(rows,
		ProjectedRow{Table: TableReply, Name: s.Name, Item: Item{"Fall-Through", ":=", "Yes"}},
		ProjectedRow{Table: TableUserGroup, Name: s.Name, Group: WalledGroup(s.Package), Priority: GardenPriority})
	return append(rows, memberRows(s)...)
}

// staticRows gives the subscriber his own address.
func staticRows(s *Subscriber) []ProjectedRow {
	row := ProjectedRow{Table: TableReply, Name: s.Name}
	switch {
	case s.StaticIP.Is4():
		row.Item = Item{"Framed-IP-Address", ":=", s.StaticIP.String()}
	case s.StaticIP.Is6():
		row.Item = Item{"Framed-IPv6-Address", ":=", s.StaticIP.String()}
	default:
		return nil
	}
	return []ProjectedRow{row}
}

// memberRows are the subscriber's groups: the package's, and further ones.
func memberRows(s *Subscriber) []ProjectedRow {
	var rows []ProjectedRow
	if s.Package != "" {
		rows = append(rows, ProjectedRow{Table: TableUserGroup, Name: s.Name, Group: s.Package, Priority: PackagePriority})
	}
	for _, g := range s.Groups {
		rows = append(rows, ProjectedRow{Table: TableUserGroup, Name: s.Name, Group: g.Group, Priority: g.Priority})
	}
	return rows
}

// sets tells whether a check item is merged and never compared.
func sets(op string) bool { return op == ":=" || op == "+=" }

// ProjectPackage says which rows of the group tables a package is, and its walled
// garden with it.
//
// Its items yield to the subscriber's own: replies are added only where there
// is none yet ("="), checks behind those that stand there ("+=", the first one
// counts). Fall-Through lets the subscriber's further groups speak.
func ProjectPackage(p *Package) []ProjectedRow {
	var rows []ProjectedRow
	add := func(t Table, it Item) { rows = append(rows, ProjectedRow{Table: t, Name: p.Name, Item: it}) }

	for _, it := range p.PackagePools.checks() {
		if it.Value != "" {
			add(TableGroupCheck, it)
		}
	}
	if p.SimultaneousUse != nil {
		add(TableGroupCheck, Item{"Simultaneous-Use", "+=", strconv.FormatInt(*p.SimultaneousUse, 10)})
	}
	for _, it := range p.Checks {
		add(TableGroupCheck, it)
	}
	projectService(p, func(it Item) { add(TableGroupReply, it) })
	if p.FramedPool != "" {
		add(TableGroupReply, Item{"Framed-Pool", "=", p.FramedPool})
	}
	for _, timeout := range []struct {
		attribute string
		seconds   int64
	}{{"Session-Timeout", p.SessionTimeout}, {"Idle-Timeout", p.IdleTimeout}, {"Acct-Interim-Interval", p.InterimInterval}} {
		if timeout.seconds > 0 {
			add(TableGroupReply, Item{timeout.attribute, "=", strconv.FormatInt(timeout.seconds, 10)})
		}
	}
	for _, it := range p.Replies {
		add(TableGroupReply, it)
	}
	add(TableGroupReply, Item{"Fall-Through", "=", "Yes"})
	return append(rows, projectWalled(p)...)
}
