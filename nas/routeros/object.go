package routeros

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"radial/nas"
)

// Kind is a kind of thing that Radial keeps on routers.
type Kind string

// The kinds.
const (
	KindSecret   Kind = "secret"   // PPP secrets of PPPoE and of any service
	KindProfile  Kind = "profile"  // PPP profiles
	KindIPPool   Kind = "ippool"   // pools of addresses on the router
	KindQueue    Kind = "queue"    // simple queues
	KindHotspot  Kind = "hotspot"  // hotspot users
	KindVPN      Kind = "vpn"      // PPP secrets of L2TP, PPTP, SSTP and OVPN
	KindFirewall Kind = "firewall" // filter rules
)

// Kinds are all kinds, in the order in which one may name another: a profile
// names pools, a secret names profiles.
func Kinds() []Kind {
	return []Kind{KindIPPool, KindProfile, KindSecret, KindVPN, KindQueue, KindHotspot, KindFirewall}
}

// shape is where and how the things of a kind stand on a router.
type shape struct {
	path   string
	scope  string   // the field that tells two of one name apart: service, server; "" is none
	fields []string // what may be written of it, beside name and comment
	hidden string   // the one of fields that nobody may see
	blank  []string // those whose empty text is a value: they are set to it, the others unset
	// comments is the version from which on its items have a comment.
	comments [2]int
}

// shapes is a constant table: the menus that Radial writes to.
var shapes = map[Kind]shape{
	KindSecret: {path: "/ppp/secret", scope: "service", hidden: "password", fields: secretFields, blank: []string{"caller-id", "routes"}},
	KindVPN:    {path: "/ppp/secret", scope: "service", hidden: "password", fields: secretFields, blank: []string{"caller-id", "routes"}},
	KindProfile: {path: "/ppp/profile", blank: []string{"address-list"}, fields: []string{"local-address", "remote-address", "rate-limit", "session-timeout", "idle-timeout",
		"only-one", "dns-server", "address-list", "parent-queue"}},
	KindIPPool: {path: "/ip/pool", comments: [2]int{7, 5}, fields: []string{"ranges", "next-pool"}},
	KindQueue: {path: "/queue/simple", fields: []string{"target", "parent", "max-limit", "limit-at", "burst-limit", "burst-threshold",
		"burst-time", "priority", "disabled"}},
	KindHotspot: {path: "/ip/hotspot/user", scope: "server", hidden: "password", blank: []string{"email"}, fields: []string{"password", "profile", "mac-address", "address",
		"limit-uptime", "limit-bytes-in", "limit-bytes-out", "limit-bytes-total", "email", "disabled"}},
	KindFirewall: {path: "/ip/firewall/filter", blank: []string{"log-prefix"}, fields: ruleFields},
}

// Object is a thing as it should be on a router.
type Object interface {
	// Kind says what it is.
	Kind() Kind
	// Identity is what finds it on the router among those of its kind: its name,
	// and what tells two of that name apart (a secret's service).
	Identity() (name, scope string)
	// Row has its fields as RouterOS takes them, without name and comment; "" is
	// a field that is not set, and what is not in it stays as it is. The error
	// names all that no router would take.
	Row() (Row, error)
}

// ErrAmbiguous is a name that several things have.
var ErrAmbiguous = errors.New("say which one is meant")

// Item is a thing as a router has it, or had it.
type Item struct {
	Kind   Kind       `json:"kind"`
	Name   string     `json:"name"`
	Scope  string     `json:"scope,omitempty"`
	ID     string     `json:"id"`     // .id, as *1A
	Fields Row        `json:"fields"` // by RouterOS's names, without what is hidden
	Hidden nas.Secret `json:"-"`      // its password
	Ours   bool       `json:"ours"`   // it carries our tag
	Note   string     `json:"note,omitempty"`
}

// List is what a router has of a kind, in its order, without what the router
// has made by itself. None is no error.
func List(ctx context.Context, c *Conn, kind Kind) ([]Item, error) {
	s, ok := shapes[kind]
	if !ok {
		return nil, fmt.Errorf("kind %q is none of %v", kind, Kinds())
	}
	reply, err := c.Run(ctx, s.path+"/print")
	if err != nil {
		return nil, err
	}
	items := make([]Item, 0, len(reply.Rows))
	for _, r := range reply.Rows {
		if r["dynamic"] != "true" && belongs(kind, r) {
			items = append(items, s.item(kind, r))
		}
	}
	return items, nil
}

// belongs tells the two kinds of PPP secrets apart.
func belongs(kind Kind, r Row) bool {
	switch kind {
	case KindVPN:
		return slices.Contains(vpnServices, r["service"])
	case KindSecret:
		return !slices.Contains(vpnServices, r["service"])
	}
	return true
}

func (s shape) item(kind Kind, r Row) Item {
	i := Item{Kind: kind, Name: r["name"], ID: r[".id"], Fields: Row{}, Ours: Ours(r)}
	_, i.Note, _ = strings.Cut(r["comment"], " ")
	if !i.Ours {
		i.Note = r["comment"]
	}
	if kind == KindFirewall {
		i.Name, i.Note = ruleName(r)
	}
	if s.scope != "" {
		i.Scope = r[s.scope]
	}
	for _, f := range s.fields {
		if v, has := r[f]; has && f != s.hidden {
			i.Fields[f] = v
		}
	}
	if s.hidden != "" {
		i.Hidden = nas.Secret(r[s.hidden])
	}
	return i
}

// How says how Put and Take treat what they find.
type How struct {
	Note   string // for people, behind our tag in the comment
	Adopt  bool   // take over a thing that is not ours; it gets our tag
	Known  bool   // it is ours by what we remember, where the menu has no comments
	DryRun bool   // look, and write nothing
	Before string // where a firewall rule stands: before that .id; "first"; "" is where it is, or the end
}

// Put makes a thing what it should be. It is found by its identity and changed
// by its .id; only fields that differ are written, so that a password goes over
// the wire when it changes and no sooner. Done again it changes nothing. A thing
// of that name that is not ours is ErrForeign, unless how says to adopt it.
func Put(ctx context.Context, c *Conn, o Object, how How) (Change, error) {
	want, err := o.Row()
	if err != nil {
		return Change{}, err
	}
	s := shapes[o.Kind()]
	name, scope := o.Identity()
	found, err := s.find(ctx, c, o.Kind(), name, scope)
	if err != nil {
		return Change{}, err
	}
	commented, err := s.commented(ctx, c)
	if err != nil {
		return Change{}, err
	}
	if found != nil && !how.Adopt && !Ours(found) && (commented || !how.Known) {
		return Change{}, fmt.Errorf("%s %q: %w", o.Kind(), name, ErrForeign)
	}
	if commented {
		want["comment"] = s.comment(o.Kind(), name, how.Note, found)
	}
	if found != nil {
		return s.mend(ctx, c, o.Kind(), found, want, how)
	}
	if o.Kind() != KindFirewall {
		want["name"] = name
	}
	if s.scope != "" {
		want[s.scope] = scope
	}
	maps.DeleteFunc(want, func(_, v string) bool { return v == "" })
	if how.Before != "" {
		if want["place-before"], err = placeBefore(ctx, c, how.Before, ""); err != nil {
			return Change{}, err
		}
	}
	return add(ctx, c, s.path, want, how.DryRun)
}

// comment keeps the note that an item of ours has, where none is given.
func (s shape) comment(kind Kind, name, note string, found Row) string {
	if note == "" && found != nil && Ours(found) {
		return found["comment"]
	}
	if kind == KindFirewall {
		return strings.TrimSpace(Tag + " " + ruleMark + name + " " + note)
	}
	return strings.TrimSpace(Tag + " " + note)
}

// mend changes what differs: fields that should have no value are unset, the
// others set, and a rule is moved where it should stand.
func (s shape) mend(ctx context.Context, c *Conn, kind Kind, found, want Row, how How) (Change, error) {
	var unset []string
	for f, v := range want {
		if v != "" || slices.Contains(s.blank, f) {
			continue
		}
		delete(want, f)
		if !empty(found[f]) && f != "comment" {
			unset = append(unset, f)
		}
	}
	slices.Sort(unset)
	done, err := change(ctx, c, s.path, found, want, how.DryRun)
	if err != nil {
		return Change{}, err
	}
	for _, f := range unset {
		done.Action, done.Before[f], done.After[f] = Changed, found[f], ""
		if how.DryRun {
			continue
		}
		if _, err := c.Run(ctx, s.path+"/unset", "=.id="+done.ID, "=value-name="+f); err != nil {
			return Change{}, err
		}
	}
	if kind == KindFirewall && how.Before != "" {
		return moveBefore(ctx, c, done, how)
	}
	return done, nil
}

// empty tells whether a router's text says that a field has no value.
func empty(v string) bool { return v == "" || v == "none" || v == "0s" }

// Take removes a thing of ours. One that is not there is Unchanged; one that is
// not ours stays, and is ErrForeign.
func Take(ctx context.Context, c *Conn, kind Kind, name, scope string, how How) (Change, error) {
	s := shapes[kind]
	found, err := s.find(ctx, c, kind, name, scope)
	if err != nil || found == nil {
		return Change{Action: Unchanged, Path: s.path}, err
	}
	commented, err := s.commented(ctx, c)
	if err != nil {
		return Change{}, err
	}
	if !how.Adopt && !Ours(found) && (commented || !how.Known) {
		return Change{Action: Unchanged, Path: s.path}, fmt.Errorf("%s %q: %w", kind, name, ErrForeign)
	}
	return remove(ctx, c, s.path, found, how.DryRun)
}

// find is the item of an identity; nil is none. Without a scope, two of one
// name are an error.
func (s shape) find(ctx context.Context, c *Conn, kind Kind, name, scope string) (Row, error) {
	var words []string
	if kind != KindFirewall {
		words = append(words, "?name="+name)
	}
	if s.scope != "" && scope != "" {
		words = append(words, "?"+s.scope+"="+scope)
	}
	reply, err := c.Run(ctx, s.path+"/print", words...)
	if err != nil {
		return nil, err
	}
	var found []Row
	for _, r := range reply.Rows {
		if kind == KindFirewall {
			if n, _ := ruleName(r); n != name || n == "" {
				continue
			}
		}
		if r["dynamic"] != "true" && belongs(kind, r) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%s %q: the router has %d of that name: %w", kind, name, len(found), ErrAmbiguous)
}

// commented tells whether the router's items of the menu have comments.
func (s shape) commented(ctx context.Context, c *Conn) (bool, error) {
	if s.comments == [2]int{} {
		return true, nil
	}
	return atLeast(ctx, c, s.comments[0], s.comments[1])
}

// atLeast tells whether a router has that version of RouterOS, as 7.15, or a
// later one.
func atLeast(ctx context.Context, c *Conn, major, minor int) (bool, error) {
	resource, err := settings(ctx, c, "/system/resource")
	if err != nil {
		return false, err
	}
	var a, b int
	if _, err := fmt.Sscanf(resource["version"], "%d.%d", &a, &b); err != nil { // 7.15.3 (stable)
		return false, fmt.Errorf("version %q of the router cannot be read", resource["version"])
	}
	return a > major || a == major && b >= minor, nil
}

// Masked is the change without what nobody may see.
func (ch Change) Masked() Change {
	hide := func(r Row) Row {
		out := maps.Clone(r)
		for f, v := range out {
			if IsSecret(f) && v != "" {
				out[f] = "***"
			}
		}
		return out
	}
	ch.Before, ch.After = hide(ch.Before), hide(ch.After)
	return ch
}

// wrongKind is a row that was asked for as something else.
func wrongKind(i Item, want ...Kind) error {
	if !slices.Contains(want, i.Kind) {
		return fmt.Errorf("%s %q is no %v", i.Kind, i.Name, want)
	}
	return nil
}

// ErrNoItem is a thing that a router does not have.
var ErrNoItem = errors.New("the router has no such item")

// ObjectOf is the typed thing of an item: a Secret, a Profile, ….
func ObjectOf(i Item) (Object, error) {
	switch i.Kind {
	case KindSecret, KindVPN:
		return SecretOf(i)
	case KindProfile:
		return ProfileOf(i)
	case KindIPPool:
		return IPPoolOf(i)
	case KindQueue:
		return QueueOf(i)
	case KindHotspot:
		return HotspotUserOf(i)
	case KindFirewall:
		return RuleOf(i)
	}
	return nil, fmt.Errorf("kind %q is none of %v", i.Kind, Kinds())
}

// WantedOf is an object as an item, with its fields as RouterOS takes them; its
// password stands in Hidden alone. The error names all that no router would take.
func WantedOf(o Object, note string) (Item, error) {
	row, err := o.Row()
	if err != nil {
		return Item{}, err
	}
	i := Item{Kind: o.Kind(), Fields: row, Ours: true, Note: note}
	i.Name, i.Scope = o.Identity()
	if h := shapes[i.Kind].hidden; h != "" {
		i.Hidden = nas.Secret(row[h])
		delete(row, h)
	}
	return i, nil
}

// Differs are the fields in which an item on a router is not as wanted, by what
// they mean: 5m is 300s.
func Differs(have, want Row) []string {
	var fields []string
	for f, w := range want {
		if !same(f, have[f], w) && !(empty(w) && empty(have[f])) {
			fields = append(fields, f)
		}
	}
	slices.Sort(fields)
	return fields
}
