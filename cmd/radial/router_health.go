package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/jobs"
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

func (d *routerDesk) health(ctx context.Context, name string, details bool) error {
	all, err := d.chosenRouters(ctx, name)
	if err != nil {
		return err
	}
	jobs.LookAtRouters(ctx, d.book, all, d.now)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	views, failed := []routerView{}, 0
	g := grid{titles: []string{"router", "address", "health"}}
	if details {
		g.titles = append(g.titles, "identity", "version", "board", "uptime", "latency")
	}
	for _, r := range all {
		if err := d.db.SaveRouterHealth(ctx, r.ID, r.RouterHealth); err != nil {
			return err
		}
		health, status := "ok", aaa.RouterActive
		if r.Failed() {
			health, status = oneLine(r.Problem), aaa.RouterError
			failed++
		}
		if r.Status != aaa.RouterInactive { // which an operator alone ends
			r.Status = status
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
	return aaa.RoutersToLookAt(all), err
}
