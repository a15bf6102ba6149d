package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
)

// objectNoun is a kind of thing on routers as a noun of the command line: list,
// add, set, del, in that order of need.
type objectNoun[T routeros.Object] struct {
	use, short string
	kind       routeros.Kind
	scope      string // the flag that tells two of one name apart, "" is none
	scopeUsage string
	scopeFresh string // what it is for a new one that says nothing
	fresh      func(name, scope string) T
	flags      []objectFlag[T]
	password   func(o *T, s nas.Secret) // nil: it has none
	titles     []string
	cells      func(o T) []string
	examples   string
	place      bool // its order counts: --before
	// check refuses what is no mistake of one field, once a flag of checked has
	// been given; nil: nothing.
	check   func(ctx context.Context, d *routerDesk, router string, o T) error
	checked string
}

// objectFlag is a flag that sets one field.
type objectFlag[T any] struct {
	name, usage string
	set         func(o *T, text string) error
	boolean     bool
}

func (n objectNoun[T]) command(a *app, more ...*cobra.Command) *cobra.Command {
	verbs := append([]*cobra.Command{n.list(a), n.put(a, true), n.put(a, false), n.del(a)}, more...)
	return nounOf(n.use, n.short, verbs...)
}

// objectView is a thing in JSON: its fields, and what is known of it.
func objectView(o routeros.Object, i routeros.Item, more map[string]any) (map[string]any, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	v := map[string]any{}
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	v["id"], v["ours"], v["comment"] = i.ID, i.Ours, i.Note
	maps.Copy(v, more)
	return v, nil
}

func (n objectNoun[T]) list(a *app) *cobra.Command {
	var stored bool
	cmd := &cobra.Command{
		Use:   "list ROUTER",
		Short: "List what the router has, others' things too",
		Long: `Asks the router what it has; what is ours carries the tag radial in its comment. With --stored it shows our record instead: what the last
import saw (radial router import), what of it has vanished since, and what is wanted and not there (radial router sync mends that).`,
		Args: named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				if stored {
					return n.showStored(cmd.Context(), d, args[0])
				}
				return n.showLive(cmd.Context(), d, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&stored, "stored", false, "show our record, without asking the router")
	return cmd
}

func (n objectNoun[T]) showLive(ctx context.Context, d *routerDesk, router string) error {
	items, err := d.items(ctx, router, n.kind)
	if err != nil {
		return err
	}
	views := []map[string]any{}
	g := grid{titles: slices.Concat([]string{"id"}, n.titles, []string{"ours", "comment"})}
	for _, i := range items {
		o, err := routeros.ObjectOf(i)
		if err != nil {
			d.note("%v", err) // one odd value hides none of the others
			continue
		}
		view, err := objectView(o, i, nil)
		if err != nil {
			return err
		}
		views = append(views, view)
		g.add(slices.Concat([]string{i.ID}, n.cells(o.(T)), []string{yesNo(i.Ours), orDash(i.Note)})...)
	}
	return d.print(views, g.String)
}

func (n objectNoun[T]) showStored(ctx context.Context, d *routerDesk, router string) error {
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return err
	}
	all, err := d.db.RouterObjects(ctx, r.ID, n.kind)
	if err != nil {
		return err
	}
	views := []map[string]any{}
	g := grid{titles: slices.Concat([]string{"state"}, n.titles, []string{"ours", "seen", "problem"})}
	for _, s := range all {
		i := s.Item
		if s.Wanted != nil && s.State != store.ObjectSynced {
			i.Fields = s.Wanted
		}
		o, err := routeros.ObjectOf(i)
		if err != nil {
			d.note("%v", err)
			continue
		}
		seen := "-"
		if s.Seen != nil {
			seen = stamp(*s.Seen, d.zone)
		}
		view, err := objectView(o, s.Item, map[string]any{"state": s.State, "problem": s.Problem, "seen_at": s.Seen, "gone_at": s.Gone})
		if err != nil {
			return err
		}
		views = append(views, view)
		g.add(slices.Concat([]string{s.State}, n.cells(o.(T)), []string{yesNo(s.Ours), seen, orDash(oneLine(s.Problem))})...)
	}
	return d.print(views, g.String)
}

// items asks a router for its things of a kind.
func (d *routerDesk) items(ctx context.Context, router string, kind routeros.Kind) ([]routeros.Item, error) {
	return asked(ctx, d, router, func(ctx context.Context, c *routeros.Conn) ([]routeros.Item, error) {
		return routeros.List(ctx, c, kind)
	})
}

// asked is what a router answers to a question that changes nothing.
func asked[T any](ctx context.Context, d *routerDesk, router string, question func(context.Context, *routeros.Conn) (T, error)) (answer T, err error) {
	err = d.read(ctx, router, func(c *routeros.Conn) (err error) {
		answer, err = question(ctx, c)
		return err
	})
	return answer, err
}

// read asks a router; an error says which one.
func (d *routerDesk) read(ctx context.Context, router string, f func(c *routeros.Conn) error) error {
	pool, err := d.fleet.Pool(ctx, router)
	if err != nil {
		return err
	}
	return onRouter(router, pool.Read(ctx, f))
}

// write changes something on a router; an error says on which one.
func (d *routerDesk) write(ctx context.Context, router string, f func(c *routeros.Conn) error) error {
	pool, err := d.fleet.Pool(ctx, router)
	if err != nil {
		return err
	}
	return onRouter(router, pool.Write(ctx, f))
}

// onRouter says on which router something failed; a value that no router takes
// is wrong usage.
func onRouter(router string, err error) error {
	var wrong *routeros.ValueError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return usageError{err}
	}
	return fmt.Errorf("router %s: %w", router, err)
}

// namedItem is the one item of a name; a scope that is "" is whichever it has. nil
// is none.
func namedItem(items []routeros.Item, name, scope, flag string) (*routeros.Item, error) {
	var found []*routeros.Item
	for i := range items {
		if items[i].Name == name && (scope == "" || items[i].Scope == scope) {
			found = append(found, &items[i])
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, usagef("the router has %d of the name %q: say --%s", len(found), name, flag)
}

// objectHow are the flags that all changes have.
type objectHow struct {
	password, scope, note, before string
	passwordStdin, adopt, dryRun  bool
	texts                         map[string]*string
}

func (n objectNoun[T]) put(a *app, add bool) *cobra.Command {
	var f objectHow
	verb, short := "set", "Change what is named of one, and nothing else"
	if add {
		verb, short = "add", "Make one on the router"
	}
	cmd := &cobra.Command{
		Use: verb + " ROUTER NAME", Short: short, Args: named("ROUTER", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return n.change(cmd, d, &f, args[0], args[1], add) })
		},
	}
	if add {
		cmd.Example = n.examples
	}
	fl := cmd.Flags()
	f.texts = map[string]*string{}
	for _, flag := range n.flags {
		f.texts[flag.name] = fl.String(flag.name, "", flag.usage)
		if flag.boolean {
			fl.Lookup(flag.name).NoOptDefVal = "yes"
		}
	}
	if n.scope != "" {
		fl.StringVar(&f.scope, n.scope, "", n.scopeUsage)
	}
	if n.password != nil {
		fl.StringVar(&f.password, "password", "", "its `password`; visible in the list of processes, see --password-stdin")
		fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from the first line of stdin")
	}
	if n.place {
		fl.StringVar(&f.before, "before", "", "where it stands: before the `rule` of that name or .id, or first; the end unless told")
	}
	fl.StringVar(&f.note, "comment", "", "a `text` for people, behind our tag in its comment")
	fl.BoolVar(&f.adopt, "adopt", false, "take over one that is there and is not ours")
	fl.BoolVar(&f.dryRun, "dry-run", false, "ask the router and change nothing")
	return cmd
}

// change is add and set: what is there, with the flags put over it, is wished
// for, done, and kept.
func (n objectNoun[T]) change(cmd *cobra.Command, d *routerDesk, f *objectHow, router, name string, add bool) error {
	ctx := cmd.Context()
	password, err := d.secretInput("password", f.password, f.passwordStdin)
	if err != nil {
		return err
	}
	items, err := d.items(ctx, router, n.kind)
	if err != nil {
		return err
	}
	scope := f.scope
	if add && scope == "" {
		scope = n.scopeFresh
	}
	found, err := namedItem(items, name, scope, n.scope)
	if err != nil {
		return err
	}
	o := n.fresh(name, scope)
	if o.Kind() != n.kind {
		return usagef("--%s %s: that is radial router %s", n.scope, scope, o.Kind())
	}
	switch {
	case found == nil && !add:
		return fmt.Errorf("%s %q on router %s: %w", n.use, name, router, aaa.ErrNotFound)
	case found != nil && add && !f.adopt:
		return fmt.Errorf("%s %q is on router %s already; change it with %s set: %w", n.use, name, router, n.use, aaa.ErrConflict)
	case found != nil:
		have, err := routeros.ObjectOf(*found)
		if err != nil {
			return err
		}
		o = have.(T)
	}
	for _, flag := range n.flags {
		if cmd.Flags().Changed(flag.name) {
			if err := flag.set(&o, *f.texts[flag.name]); err != nil {
				return usagef("--%s %w", flag.name, err)
			}
		}
	}
	if n.check != nil && cmd.Flags().Changed(n.checked) {
		if err := n.check(ctx, d, router, o); err != nil {
			return err
		}
	}
	if n.password != nil {
		n.password(&o, nas.Secret(password)) // "" is: leave it
	}
	done, err := d.wish(ctx, router, o, f, d.by("router."+n.use+"."+cmd.Name(), f.dryRun))
	if err != nil {
		return err
	}
	return d.didOnRouter(n.use, name, done, f.dryRun)
}

// didOnRouter tells what a change did.
func (d *routerDesk) didOnRouter(noun, name string, done routeros.Change, dryRun bool) error {
	if done.Action == routeros.Removed {
		return d.did(noun, name, "deleted", dryRun, aaa.Audit{"id": done.ID})
	}
	return d.did(noun, name, string(done.Action), dryRun, changesOf(done))
}

// changesOf are the fields that a change touched, as [old, new]; nil for none.
func changesOf(c routeros.Change) aaa.Audit {
	if c.Action == routeros.Unchanged {
		return nil
	}
	c = c.Masked()
	out := aaa.Audit{}
	for f, v := range c.After {
		out[f] = []string{c.Before[f], v}
	}
	return out
}

func (n objectNoun[T]) del(a *app) *cobra.Command {
	var yes bool
	var f objectHow
	cmd := &cobra.Command{
		Use: "del ROUTER NAME", Short: "Remove one of ours from the router", Args: named("ROUTER", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes || f.dryRun, fmt.Sprintf("Remove %s %s from router %s?", n.use, printable(args[1]), printable(args[0]))); err != nil {
				return err
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return n.remove(cmd.Context(), d, &f, args[0], args[1]) })
		},
	}
	if n.scope != "" {
		cmd.Flags().StringVar(&f.scope, n.scope, "", n.scopeUsage)
	}
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "ask the router and change nothing")
	return cmd
}

func (n objectNoun[T]) remove(ctx context.Context, d *routerDesk, f *objectHow, router, name string) error {
	items, err := d.items(ctx, router, n.kind)
	if err != nil {
		return err
	}
	found, err := namedItem(items, name, f.scope, n.scope)
	if err != nil {
		return err
	}
	if found == nil {
		return fmt.Errorf("%s %q on router %s: %w", n.use, name, router, aaa.ErrNotFound)
	}
	r, known, err := d.known(ctx, router, *found)
	if err != nil {
		return err
	}
	ours := known != nil && known.Wanted != nil
	done, err := d.unwish(ctx, r, *found, ours, d.by("router."+n.use+".del", true))
	if err == nil && !f.dryRun {
		done, err = d.unwish(ctx, r, *found, ours, d.by("router."+n.use+".del", false))
	}
	if err != nil {
		return err
	}
	return d.didOnRouter(n.use, name, done, f.dryRun)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
