package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newRouterHealthCmd(a *app) *cobra.Command {
	var details bool
	cmd := &cobra.Command{
		Use:   "health [NAME]",
		Short: "Log in to a router, or to all that are not inactive, and keep what it says",
		Long: `Logs in, asks the router what it is, and keeps the answer: router list and router show have it. A server does the same every quarter of an
hour. Exit code 1 when a router does not answer.`,
		Args: atMostNamed("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				name := ""
				if len(args) == 1 {
					name = args[0]
				}
				return d.health(cmd.Context(), name, details)
			})
		},
	}
	cmd.Flags().BoolVar(&details, "details", false, "show also version, board, uptime and latency")
	return cmd
}

// routersAtOnce is how many routers are looked at at the same time.
const routersAtOnce = 16

func (d *routerDesk) health(ctx context.Context, name string, details bool) error {
	all, err := d.chosenRouters(ctx, name)
	if err != nil {
		return err
	}
	d.lookAtAll(ctx, all)
	views, failed := []routerView{}, 0
	g := grid{titles: []string{"router", "address", "health"}}
	if details {
		g.titles = append(g.titles, "identity", "version", "board", "uptime", "latency")
	}
	for _, r := range all {
		if err := d.db.SaveRouterHealth(ctx, r.ID, r.RouterHealth); err != nil {
			return err
		}
		health := "ok"
		if r.Failed() {
			health, r.Status = oneLine(r.Problem), aaa.RouterError
			failed++
		} else {
			r.Status = aaa.RouterActive
		}
		views = append(views, routerViewOf(r))
		row := []string{r.Name, routerAddress(r), health}
		if details {
			row = append(row, orDash(r.Identity), orDash(r.Version), orDash(r.Board), r.Uptime.String(), r.Latency.Round(time.Millisecond).String())
		}
		g.add(row...)
	}
	if err := d.print(views, g.String); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("router health: %d of %d do not answer", failed, len(all))
	}
	return nil
}

// chosenRouters is the router of a name, or all that are not inactive.
func (d *routerDesk) chosenRouters(ctx context.Context, name string) ([]aaa.Router, error) {
	if name != "" {
		r, err := d.db.Router(ctx, name)
		return []aaa.Router{r}, err
	}
	all, err := d.db.Routers(ctx)
	var live []aaa.Router
	for _, r := range all {
		if r.Status != aaa.RouterInactive {
			live = append(live, r)
		}
	}
	return live, err
}

// lookAtAll looks at routers, some at a time, and puts what it finds into them.
func (d *routerDesk) lookAtAll(ctx context.Context, all []aaa.Router) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, routersAtOnce)
	for i := range all {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			login, err := d.book.LoginOf(all[i])
			if err != nil {
				at := d.now()
				all[i].RouterHealth = aaa.RouterHealth{Checked: &at, Problem: err.Error()}
				return
			}
			all[i].RouterHealth = lookAt(ctx, login, d.now)
		})
	}
	wait.Wait()
}
