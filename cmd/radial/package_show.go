package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newPackageListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List packages",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				all, err := d.db.Packages(cmd.Context())
				if err != nil {
					return err
				}
				return d.print(orEmpty(all), func() string {
					g := grid{titles: []string{"package", "status", "down", "up", "pool", "price", "cycle", "valid days", "description"}}
					for _, p := range all {
						g.add(p.Name, string(p.Status), rateOr(p.RateDown), rateOr(p.RateUp), orDash(p.Pool), priceText(&p),
							string(p.BillingCycle), numberOr(p.ValidityDays), p.Description)
					}
					return g.String()
				})
			})
		},
	}
}

func newPackageShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a package, who has it, and the rows of its group",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				s, err := d.db.PackageState(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if s.Package == nil {
					return fmt.Errorf("package %q: %w", args[0], aaa.ErrNotFound)
				}
				return showPackage(d, s)
			})
		},
	}
}

func showPackage(d *desk, s aaa.PackageState) error {
	p := *s.Package
	p.Checks, p.Replies, p.Quotas = orEmpty(p.Checks), orEmpty(p.Replies), orEmpty(p.Quotas)
	v := struct {
		aaa.Package
		Subscribers int       `json:"subscribers"`
		Rows        []rowView `json:"rows"`
	}{p, s.Subscribers, viewRows(s.Rows)}
	return d.print(v, func() string {
		g := grid{}
		g.add("package", p.Name)
		g.add("status", string(p.Status))
		g.add("down", rateOr(p.RateDown))
		g.add("up", rateOr(p.RateUp))
		serviceText(&g, &p)
		g.add("pool", orDash(p.Pool))
		g.add("framed pool", orDash(p.FramedPool))
		g.add("ipv6 pool", orDash(p.IPv6PrefixPool))
		g.add("delegated pool", orDash(p.DelegatedPool))
		g.add("ipv6 address pool", orDash(p.IPv6AddressPool))
		g.add("session timeout", numberOr(p.SessionTimeout))
		g.add("idle timeout", numberOr(p.IdleTimeout))
		g.add("interim interval", numberOr(p.InterimInterval))
		limit := "-"
		if p.SimultaneousUse != nil {
			limit = strconv.FormatInt(*p.SimultaneousUse, 10)
		}
		g.add("simultaneous use", limit)
		g.add("quota", quotaText(p.Quotas, false))
		g.add("fair use", quotaText(p.Quotas, true))
		g.add("price", priceText(&p))
		g.add("cycle", string(p.BillingCycle))
		g.add("validity days", numberOr(p.ValidityDays))
		g.add("walled garden", walledText(p.Walled))
		g.add("description", orDash(p.Description))
		g.add("subscribers", strconv.Itoa(s.Subscribers))
		g.add("created", d.timeOr(&p.Created))
		g.add("changed", d.timeOr(&p.Updated))
		out := g.String()
		if len(v.Rows) > 0 {
			out += "\n" + rowGrid(v.Rows)
		}
		return out
	})
}

// serviceText adds what of the service is set beyond the rates.
func serviceText(g *grid, p *aaa.Package) {
	dns := make([]string, len(p.DNS))
	for i, server := range p.DNS {
		dns[i] = server.String()
	}
	for _, line := range []struct{ title, text string }{
		{"burst", pairText(p.BurstDown, p.BurstUp)},
		{"burst threshold", pairText(p.ThresholdDown, p.ThresholdUp)},
		{"burst time", numberOr(p.BurstTime)},
		{"minimum", pairText(p.MinDown, p.MinUp)},
		{"priority", numberOr(p.Priority)},
		{"address list", orDash(p.AddressList)},
		{"filter", orDash(p.Filter)},
		{"name servers", orDash(strings.Join(dns, ", "))},
		{"vlan", numberOr(p.VLAN)},
	} {
		if line.text != "-" {
			g.add(line.title, line.text)
		}
	}
}

// pairText prints two rates, down first.
func pairText(down, up int64) string {
	if down == 0 && up == 0 {
		return "-"
	}
	return rateOr(down) + " down, " + rateOr(up) + " up"
}

// walledText prints a walled garden on one line.
func walledText(w *aaa.Walled) string {
	if w == nil {
		return "-"
	}
	parts := []string{"for " + strings.Join(wordsOf(w.For), ", ")}
	for _, one := range []struct{ title, text string }{
		{"", pairText(w.RateDown, w.RateUp)}, {"address list ", orDash(w.AddressList)}, {"filter ", orDash(w.Filter)},
		{"pool ", orDash(w.Pool)}, {"framed pool ", orDash(w.FramedPool)}, {"session timeout ", numberOr(w.SessionTimeout)},
	} {
		if one.text != "-" {
			parts = append(parts, one.title+one.text)
		}
	}
	for _, it := range masked(w.Replies) {
		parts = append(parts, it.String())
	}
	return strings.Join(parts, "; ")
}

// priceText prints the price with its currency.
func priceText(p *aaa.Package) string {
	if p.Price == "" {
		return "-"
	}
	return strings.TrimSpace(p.Price + " " + p.Currency)
}
