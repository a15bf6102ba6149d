package main

import (
	"context"
	"errors"
	"fmt"

	"radial/aaa"
	"radial/nas/routeros"
	"radial/store"
)

// wish puts a thing on a router: it is tried first, then written down as wanted,
// then done, then kept as done (store.AskRouter). No transaction is open
// meanwhile.
func (d *routerDesk) wish(ctx context.Context, router string, o routeros.Object, f *objectHow, by store.Change) (routeros.Change, error) {
	item, err := routeros.WantedOf(o, f.note)
	if err != nil {
		return routeros.Change{}, onRouter(router, err)
	}
	how := routeros.How{Note: f.note, Adopt: f.adopt, Before: f.before, DryRun: true}
	r, known, err := d.known(ctx, router, item)
	if err != nil {
		return routeros.Change{}, err
	}
	how.Known = known != nil && known.Wanted != nil
	var done routeros.Change
	put := func(c *routeros.Conn) (err error) {
		done, err = routeros.Put(ctx, c, o, how)
		return err
	}
	if err := d.read(ctx, router, put); err != nil || f.dryRun {
		return done, adoptHint(err)
	}
	if done.Action == routeros.Unchanged && how.Known && known.State == store.ObjectSynced && len(routeros.Differs(known.Wanted, item.Fields)) == 0 {
		return done, nil
	}
	w := store.RouterWish{Item: item, Place: f.before}
	if known != nil && f.before == "" {
		w.Place = known.Place
	}
	if item.Hidden != "" {
		w.Sealed = d.sealer.Seal(store.ObjectPasswordUse, item.Hidden)
	}
	how.DryRun = false
	err = d.settle(ctx, r, by, w, put, func() string { return done.ID })
	return done, err
}

// unwish takes a thing off a router, in the same way; known says that it is ours
// by our record. A dry run looks at the router alone.
func (d *routerDesk) unwish(ctx context.Context, r aaa.Router, i routeros.Item, known bool, by store.Change) (done routeros.Change, err error) {
	take := func(c *routeros.Conn) (err error) {
		done, err = routeros.Take(ctx, c, i.Kind, i.Name, i.Scope, routeros.How{Known: known, DryRun: by.DryRun})
		return err
	}
	if by.DryRun {
		err = adoptHint(d.read(ctx, r.Name, take))
		return done, err
	}
	w := store.RouterWish{Item: routeros.Item{Kind: i.Kind, Name: i.Name, Scope: i.Scope}, Remove: true}
	err = d.settle(ctx, r, by, w, take, func() string { return "" })
	return done, err
}

// known is a router, and what our record has of a thing on it: nil is nothing.
func (d *routerDesk) known(ctx context.Context, router string, i routeros.Item) (aaa.Router, *store.RouterObject, error) {
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return r, nil, err
	}
	all, err := d.db.RouterObjects(ctx, r.ID, i.Kind)
	if err != nil {
		return r, nil, err
	}
	for n := range all {
		if all[n].Name == i.Name && all[n].Scope == i.Scope {
			return r, &all[n], nil
		}
	}
	return r, nil, nil
}

// settle writes a wish down, has the router do it, and keeps what became of it.
func (d *routerDesk) settle(ctx context.Context, r aaa.Router, by store.Change, w store.RouterWish, do func(*routeros.Conn) error, id func() string) error {
	asked, err := d.db.AskRouter(ctx, by, r, w)
	if err != nil {
		return err
	}
	pool, err := d.fleet.Pool(ctx, r.Name)
	if err != nil {
		return err
	}
	began := false
	outcome := pool.Write(ctx, func(c *routeros.Conn) error {
		began = true
		return do(c)
	})
	var trap *routeros.Trap
	refused := outcome != nil && (!began || errors.As(outcome, &trap) || errors.Is(outcome, routeros.ErrForeign))
	err = d.db.SettleRouter(context.WithoutCancel(ctx), by, r, w, asked, id(), outcome, refused)
	if outcome != nil && !refused {
		outcome = fmt.Errorf("%w: whether it was done is not known; radial router sync %s looks, and finishes it", outcome, r.Name)
	}
	return errors.Join(onRouter(r.Name, adoptHint(outcome)), err)
}

// adoptHint says how to take over what is not ours.
func adoptHint(err error) error {
	if errors.Is(err, routeros.ErrForeign) {
		return fmt.Errorf("%w: leave it, or take it over with set --adopt", err)
	}
	return err
}
