package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"radial/aaa"
	"radial/nas/routeros"
	"radial/store"
)

// routersAtOnce is how many routers are looked at at the same time.
const routersAtOnce = 16

// LookAtRouters logs in to routers, some at a time, asks each what it is, and
// puts what it finds into them. Nothing is stored.
func LookAtRouters(ctx context.Context, book *store.RouterBook, all []aaa.Router, now func() time.Time) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, routersAtOnce)
	for i := range all {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			all[i].RouterHealth = LookAtRouter(ctx, book, all[i], now)
		})
	}
	wait.Wait()
}

// LookAtRouter logs in to a router and asks what it is. What fails is the
// health's problem.
func LookAtRouter(ctx context.Context, book *store.RouterBook, r aaa.Router, now func() time.Time) aaa.RouterHealth {
	at := now()
	h := aaa.RouterHealth{Checked: &at}
	state, err := look(ctx, book, r)
	if err != nil {
		h.Problem = err.Error()
		return h
	}
	h.Identity, h.Version, h.Board, h.Uptime, h.Latency = state.Identity, state.Version, state.Board, state.Uptime, state.Latency
	return h
}

func look(ctx context.Context, book *store.RouterBook, r aaa.Router) (routeros.State, error) {
	login, err := book.LoginOf(r)
	if err != nil {
		return routeros.State{}, err
	}
	c, err := routeros.Dial(ctx, login)
	if err != nil {
		return routeros.State{}, err
	}
	state, err := routeros.Look(ctx, c)
	return state, errors.Join(err, c.Close())
}

// checkRouters looks at all routers that are not inactive, and keeps what it
// finds. A router that does not answer is no failure of the job.
func checkRouters(db *store.DB, book *store.RouterBook, now func() time.Time) func(context.Context, aaa.CheckRouters) error {
	return func(ctx context.Context, _ aaa.CheckRouters) error {
		if book == nil {
			return nil
		}
		all, err := db.Routers(ctx)
		if err != nil {
			return err
		}
		all = aaa.RoutersToLookAt(all)
		LookAtRouters(ctx, book, all, now)
		if ctx.Err() != nil {
			return fmt.Errorf("looking at %d routers: %w", len(all), context.Cause(ctx)) // what was broken off says nothing of a router
		}
		var errs []error
		for _, r := range all {
			errs = append(errs, db.SaveRouterHealth(ctx, r.ID, r.RouterHealth))
		}
		return errors.Join(errs...)
	}
}
