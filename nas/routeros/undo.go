package routeros

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Undo takes back what Configure has applied, the last first: what was added is
// removed, what was removed is added, and fields get the values that they had,
// where they still have ours. What somebody has changed since is left, and
// told. It returns what it changed, also where an error ended it in the middle;
// run again it does the rest. With dryRun nothing is written.
func Undo(ctx context.Context, c *Conn, applied []Applied, dryRun bool) (done []Applied, left []string, err error) {
	u := &undoer{configurer: configurer{c: c, dryRun: dryRun}}
	for _, a := range slices.Backward(applied) {
		u.part = a.Part
		if err := u.back(ctx, a); err != nil {
			return u.changes, u.left, fmt.Errorf("%s %s: %w", a.Path, keyText(a.Key), err)
		}
	}
	return u.changes, u.left, nil
}

// undoer is a run of Undo.
type undoer struct {
	configurer
	left []string
}

func (u *undoer) leave(a Applied, format string, args ...any) {
	u.left = append(u.left, strings.TrimSpace(a.Path+" "+keyText(a.Key))+": "+fmt.Sprintf(format, args...))
}

func (u *undoer) back(ctx context.Context, a Applied) error {
	switch a.Action {
	case Added:
		return u.remove(ctx, a)
	case Removed:
		return u.again(ctx, a)
	case Changed:
		return u.restore(ctx, a)
	default:
		return nil // a place in a list is not worth taking back
	}
}

func (u *undoer) remove(ctx context.Context, a Applied) error {
	done, err := Remove(ctx, u.c, a.Path, a.Key, a.Named, u.dryRun)
	if err != nil {
		return err
	}
	done.Before = only(done.Before, slices.Collect(maps.Keys(a.After)))
	u.note(Applied{Path: a.Path, Key: a.Key, Named: a.Named}, done)
	return nil
}

// again adds what was removed, unless it is there.
func (u *undoer) again(ctx context.Context, a Applied) error {
	rows, err := u.rows(ctx, a.Path)
	if err != nil {
		return err
	}
	fields := maps.Clone(a.Before)
	for name, value := range fields {
		if hidden(name, value) {
			u.leave(a, "its %s could not be read when it was removed, and is not set", name)
			delete(fields, name)
		}
	}
	w := listed{strings.TrimPrefix(fields["comment"], Tag+" "), fields}
	if slices.ContainsFunc(rows, func(r Row) bool { return r["comment"] == w.comment() }) {
		return nil
	}
	next := a.Next
	if !slices.ContainsFunc(rows, func(r Row) bool { return r[".id"] == next }) {
		next = "" // at the end
	}
	return u.one(ctx, a.Path, w, rows, next)
}

// restore gives fields their earlier values, where they still have ours.
func (u *undoer) restore(ctx context.Context, a Applied) error {
	have, err := u.current(ctx, a)
	if err != nil || have == nil {
		return err
	}
	back, none := Row{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(a.After)) {
		before, was := a.Before[name]
		switch {
		case was && same(name, have[name], before):
		case !same(name, have[name], a.After[name]):
			u.leave(a, "%s was changed since, by somebody else", name)
		case hidden(name, before):
			u.leave(a, "the %s that it had could not be read, and is not set", name)
		case !was || before == "":
			none = append(none, name)
		default:
			back[name] = before
		}
	}
	if len(back) == 0 && len(none) == 0 {
		return nil
	}
	done, err := change(ctx, u.c, a.Path, have, back, u.dryRun)
	if err != nil {
		return err
	}
	if err := u.unset(ctx, a.Path, have, none, &done); err != nil {
		return err
	}
	u.note(Applied{Path: a.Path, Key: a.Key, Named: a.Named}, done)
	return nil
}

// current is the thing as it is: nil where it is gone, or not ours.
func (u *undoer) current(ctx context.Context, a Applied) (Row, error) {
	if a.Key != nil {
		found, err := find(ctx, u.c, a.Path, a.Key)
		if err == nil && found != nil && !a.Named && !Ours(found) {
			u.leave(a, "it is not ours any more")
			return nil, nil
		}
		return found, err
	}
	return settings(ctx, u.c, a.Path)
}

// unset takes away values of fields that had none.
func (u *undoer) unset(ctx context.Context, path string, have Row, names []string, done *Change) error {
	for _, name := range names {
		if !u.dryRun {
			if _, err := u.c.Run(ctx, path+"/unset", "=.id="+have[".id"], "=value-name="+name); err != nil {
				return err
			}
		}
		done.Action = Changed
		done.Before[name], done.After[name] = have[name], ""
	}
	return nil
}

// IsSecret tells whether a field of an item is not to be shown.
func IsSecret(field string) bool {
	return field == "secret" || field == "password" || field == "ipsec-secret"
}

// hidden tells whether the router has not told a secret: its user lacks the
// policy sensitive.
func hidden(field, value string) bool {
	return IsSecret(field) && strings.Trim(value, "*") == ""
}
