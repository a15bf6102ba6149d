package routeros

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tag marks what is ours: it stands in an item's comment, alone or before a
// blank and a text for people.
const Tag = "radial"

// ErrForeign is an item that is there under the name that we want, and is not
// ours.
var ErrForeign = errors.New("an item of that name is there that is not Radial's")

// Want is an item as it should be.
type Want struct {
	Path   string // /ppp/secret
	Key    Row    // what finds it: name, or service and address
	Fields Row    // what it shall have beside the key; "" unsets nothing, it is a value
	Note   string // for people, after our tag in the comment
	Adopt  bool   // take over an item that is not ours; it gets our tag
	// NoComment is for menus whose items have no comment in all versions: what the
	// key finds is taken for ours.
	NoComment bool
}

// Action is what Ensure did, or would do.
type Action string

// What can become of an item.
const (
	Added     Action = "added"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Removed   Action = "removed"
)

// Change is what Ensure did to an item. Before has the fields that differed, as
// they were, for an undo; After as they are now. Secrets in them are theirs who
// print them to hide.
type Change struct {
	Action        Action
	Path, ID      string
	Before, After Row
}

// exact are the fields whose texts are compared as they stand; all others by
// what they mean (Same).
var exact = []string{"name", "password", "secret", "ipsec-secret", "comment", "email", "user"}

// sets are the fields whose values are lists in no order: a router prints them
// in its own.
var sets = []string{"authentication", "login-by", "service", "connection-state"}

func same(field, a, b string) bool {
	switch {
	case slices.Contains(exact, field):
		return a == b
	case slices.Contains(sets, field):
		x, y := strings.Split(a, ","), strings.Split(b, ",")
		slices.Sort(x)
		slices.Sort(y)
		return slices.Equal(x, y)
	}
	return Same(a, b)
}

// Ensure makes an item what it should be: it is added where it is not there,
// and of one that is ours only those fields are set that differ. Done again it
// changes nothing, also where the connection broke in the middle of the first
// time. With dryRun nothing is written.
func Ensure(ctx context.Context, c *Conn, w Want, dryRun bool) (Change, error) {
	found, err := find(ctx, c, w.Path, w.Key)
	if err != nil {
		return Change{}, err
	}
	fields := maps.Clone(w.Fields)
	if fields == nil {
		fields = Row{}
	}
	if !w.NoComment {
		fields["comment"] = strings.TrimSpace(Tag + " " + w.Note)
	}
	if found == nil {
		maps.Copy(fields, w.Key)
		return add(ctx, c, w.Path, fields, dryRun)
	}
	if !w.NoComment && !w.Adopt && !Ours(found) {
		return Change{}, fmt.Errorf("%s %s: %w", w.Path, keyText(w.Key), ErrForeign)
	}
	return change(ctx, c, w.Path, found, fields, dryRun)
}

// EnsureSettings makes the settings of a menu that is no list what they should
// be.
func EnsureSettings(ctx context.Context, c *Conn, path string, fields Row, dryRun bool) (Change, error) {
	have, err := settings(ctx, c, path)
	if err != nil {
		return Change{}, err
	}
	return change(ctx, c, path, have, fields, dryRun)
}

// settings are those of a menu that is no list.
func settings(ctx context.Context, c *Conn, path string) (Row, error) {
	reply, err := c.Run(ctx, path+"/print")
	if err != nil {
		return nil, err
	}
	if len(reply.Rows) != 1 {
		return nil, fmt.Errorf("%s: %d rows where settings were expected: %w", path, len(reply.Rows), ErrBroken)
	}
	return reply.Rows[0], nil
}

// Remove takes an item of ours away. One that is not there, or not ours, is
// left alone: Unchanged, and ErrForeign.
func Remove(ctx context.Context, c *Conn, path string, key Row, noComment, dryRun bool) (Change, error) {
	found, err := find(ctx, c, path, key)
	if err != nil || found == nil {
		return Change{Action: Unchanged, Path: path}, err
	}
	if !noComment && !Ours(found) {
		return Change{Action: Unchanged, Path: path}, fmt.Errorf("%s %s: %w", path, keyText(key), ErrForeign)
	}
	return remove(ctx, c, path, found, dryRun)
}

// remove takes an item away by its .id; one that has gone meanwhile is away.
func remove(ctx context.Context, c *Conn, path string, found Row, dryRun bool) (Change, error) {
	done := Change{Action: Removed, Path: path, ID: found[".id"], Before: found}
	if dryRun {
		return done, nil
	}
	if _, err := c.Run(ctx, path+"/remove", "=.id="+done.ID); err != nil && !IsMissing(err) {
		return Change{}, err
	}
	return done, nil
}

// Ours tells whether an item carries our tag.
func Ours(r Row) bool {
	first, _, _ := strings.Cut(r["comment"], " ")
	return first == Tag
}

// find is the first item that the key fits and that the router has not made by
// itself.
func find(ctx context.Context, c *Conn, path string, key Row) (Row, error) {
	words := make([]string, 0, len(key))
	for _, k := range slices.Sorted(maps.Keys(key)) {
		words = append(words, "?"+k+"="+key[k])
	}
	reply, err := c.Run(ctx, path+"/print", words...)
	if err != nil {
		return nil, err
	}
	for _, r := range reply.Rows {
		if r["dynamic"] != "true" {
			return r, nil
		}
	}
	return nil, nil
}

func add(ctx context.Context, c *Conn, path string, fields Row, dryRun bool) (Change, error) {
	done := Change{Action: Added, Path: path, After: fields}
	if dryRun {
		return done, nil
	}
	reply, err := c.Run(ctx, path+"/add", assignments(fields)...)
	if err != nil {
		return Change{}, err
	}
	done.ID = reply.Ret
	return done, nil
}

// change sets the fields that differ.
func change(ctx context.Context, c *Conn, path string, have, want Row, dryRun bool) (Change, error) {
	done := Change{Action: Unchanged, Path: path, ID: have[".id"], Before: Row{}, After: Row{}}
	for name, value := range want {
		if !same(name, have[name], value) {
			done.Action, done.Before[name], done.After[name] = Changed, have[name], value
		}
	}
	if done.Action == Unchanged || dryRun {
		return done, nil
	}
	words := assignments(done.After)
	if done.ID != "" {
		words = append(words, "=.id="+done.ID)
	}
	if _, err := c.Run(ctx, path+"/set", words...); err != nil {
		return Change{}, err
	}
	return done, nil
}

func assignments(fields Row) []string {
	words := make([]string, 0, len(fields))
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		words = append(words, "="+k+"="+fields[k])
	}
	return words
}

func keyText(key Row) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(key)) {
		parts = append(parts, fmt.Sprintf("%s=%q", k, key[k]))
	}
	return strings.Join(parts, " ")
}
