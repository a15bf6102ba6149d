package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas/routeros"
	"radial/store"
)

func kindFlag(cmd *cobra.Command, kinds *[]string) {
	names := make([]string, 0, len(routeros.Kinds()))
	for _, k := range routeros.Kinds() {
		names = append(names, string(k))
	}
	cmd.Flags().StringSliceVar(kinds, "kind", nil, "only these `kinds`, with commas: "+strings.Join(names, ", "))
	choices(cmd, "kind", names...)
}

func kindsOf(names []string) ([]routeros.Kind, error) {
	if len(names) == 0 {
		return routeros.Kinds(), nil
	}
	var kinds []routeros.Kind
	for _, k := range routeros.Kinds() { // in the order in which one names another
		if slices.Contains(names, string(k)) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) < len(names) {
		return nil, usagef("--kind %s: want some of %v", strings.Join(names, ","), routeros.Kinds())
	}
	return kinds, nil
}

func newRouterImportCmd(a *app) *cobra.Command {
	var names []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import ROUTER",
		Short: "Copy what stands on a router into our record; the router is not changed",
		Long: `Reads secrets, profiles, pools, queues, hotspot users, VPN accounts and filter rules, ours and others', into our record, and marks what has
vanished since the last import. A router that has none of a kind is no error. Passwords are kept encrypted. The record is what
list --stored shows.`,
		Example: `  radial router import pop1
  radial router import pop1 --kind secret,profile -o json`,
		Args: named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds, err := kindsOf(names)
			if err != nil {
				return err
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				all, err := d.importAll(cmd.Context(), args[0], kinds, d.by("router.import", dryRun))
				if err != nil {
					return err
				}
				return d.print(all, func() string { return importTable(all) })
			})
		},
	}
	kindFlag(cmd, &names)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "read all and write nothing")
	return cmd
}

func importTable(all []store.ImportCount) string {
	g := grid{titles: []string{"kind", "on the router", "new", "changed", "vanished", "not as wanted"}}
	for _, n := range all {
		g.add(string(n.Kind), count(n.Total), count(n.New), count(n.Changed), count(n.Gone), count(n.Differing))
	}
	return g.String()
}

func (d *routerDesk) importAll(ctx context.Context, router string, kinds []routeros.Kind, by store.Change) ([]store.ImportCount, error) {
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return nil, err
	}
	var all []store.ImportCount
	for _, kind := range kinds {
		items, err := d.items(ctx, router, kind)
		if routeros.IsMissing(err) {
			items, err = nil, nil // the router has no such menu: no hotspot package
		}
		if err != nil {
			return nil, err
		}
		n, err := d.db.ImportRouter(ctx, by, r, kind, items, d.sealer)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func newRouterSyncCmd(a *app) *cobra.Command {
	var names []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "sync ROUTER",
		Short: "Bring what is ours on a router to what we want there, and look at the rest",
		Long: `Looks at the router first, as import does. Then all that is ours and differs, is missing, or was not answered for (a connection that broke in
the middle of a change) is put there again, by its .id; what was to be removed is removed. What is others' is never touched. Done twice it changes
nothing the second time. Exit code 1 when something could not be mended.`,
		Args: named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds, err := kindsOf(names)
			if err != nil {
				return err
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.sync(cmd.Context(), args[0], kinds, dryRun) })
		},
	}
	kindFlag(cmd, &names)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be mended, and change nothing")
	return cmd
}

// mended is what sync did about one thing, in JSON.
type mended struct {
	Kind    routeros.Kind `json:"kind"`
	Name    string        `json:"name"`
	Scope   string        `json:"scope"`
	State   string        `json:"state"` // before
	Action  string        `json:"action"`
	Changes any           `json:"changes,omitempty"`
	Problem string        `json:"problem"`
}

// synced is what sync did, in JSON.
type synced struct {
	Router string              `json:"router"`
	DryRun bool                `json:"dry_run"`
	Looked []store.ImportCount `json:"looked"`
	Mended []mended            `json:"mended"`
}

func (d *routerDesk) sync(ctx context.Context, router string, kinds []routeros.Kind, dryRun bool) error {
	v := synced{Router: router, DryRun: dryRun, Mended: []mended{}}
	var err error
	if v.Looked, err = d.importAll(ctx, router, kinds, d.by("router.sync", dryRun)); err != nil {
		return err
	}
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return err
	}
	failed := 0
	for _, kind := range kinds {
		known, err := d.db.RouterObjects(ctx, r.ID, kind)
		if err != nil {
			return err
		}
		for _, o := range known {
			if o.Wanted == nil && o.State != store.ObjectRemoving {
				continue
			}
			m, err := d.mend(ctx, r, o, dryRun)
			if errors.Is(err, routeros.ErrBroken) || ctx.Err() != nil {
				return err // the rest would end the same way
			}
			if err != nil {
				m.Action, m.Problem = "failed", err.Error()
				failed++
			}
			if m.Action != string(routeros.Unchanged) {
				v.Mended = append(v.Mended, m)
			}
		}
	}
	if err := d.print(v, v.text); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("router sync %s: %d things are not as wanted", router, failed)
	}
	return nil
}

// mend brings one thing of ours to what is wanted.
func (d *routerDesk) mend(ctx context.Context, r aaa.Router, o store.RouterObject, dryRun bool) (mended, error) {
	m := mended{Kind: o.Kind, Name: o.Name, Scope: o.Scope, State: o.State}
	by := d.by("router.sync", dryRun)
	if o.State == store.ObjectRemoving {
		done, err := d.unwish(ctx, r, o.Item, true, by)
		m.Action = string(done.Action)
		return m, err
	}
	item, err := o.Reopened(d.sealer)
	if err != nil {
		return m, err
	}
	want, err := routeros.ObjectOf(item)
	if err != nil {
		return m, err
	}
	how := &objectHow{note: o.Note, dryRun: dryRun}
	if o.State == store.ObjectGone || o.State == store.ObjectPending {
		how.before = o.Place // one that is there stays where it is
	}
	done, err := d.wish(ctx, r.Name, want, how, by)
	if errors.Is(err, routeros.ErrNoItem) && how.before != "" {
		m.Problem = fmt.Sprintf("rule %s, before which it stood, is no more: it stands at the end", how.before)
		how.before = ""
		done, err = d.wish(ctx, r.Name, want, how, by)
	}
	m.Action = string(done.Action)
	if changes := changesOf(done); changes != nil {
		m.Changes = changes
	}
	return m, err
}

func (v synced) text() string {
	out := importTable(v.Looked)
	if len(v.Mended) == 0 {
		return out + "\nall that is ours is as wanted\n"
	}
	title := "mended"
	if v.DryRun {
		title = "would be mended"
	}
	g := grid{titles: []string{title, "name", "was", "action", "problem"}}
	for _, m := range v.Mended {
		name := m.Name
		if m.Scope != "" {
			name += " (" + m.Scope + ")"
		}
		g.add(string(m.Kind), name, m.State, m.Action, orDash(oneLine(m.Problem)))
	}
	return out + "\n" + g.String()
}
