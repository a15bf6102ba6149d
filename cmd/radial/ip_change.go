package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// ipTarget is the address that a verb is about.
type ipTarget struct {
	vrf    string
	dryRun bool
}

func (t *ipTarget) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.vrf, "vrf", "", "the `name` of its address space, where several have it")
}

func (t *ipTarget) registerChange(cmd *cobra.Command) {
	t.register(cmd)
	dryRunFlag(cmd, &t.dryRun)
}

// at runs f with the address of the command line and its VRF, 0 for the one
// that has it.
func (t *ipTarget) at(cmd *cobra.Command, a *app, text string, f func(d *ipDesk, vrf int32, address netip.Prefix) error) error {
	address, err := parseWhere(text)
	if err != nil {
		return usagef("ADDRESS %w", err)
	}
	return a.withAddresses(cmd.Context(), func(d *ipDesk) error {
		vrf, err := d.vrfNamed(cmd.Context(), t.vrf)
		if err != nil {
			return err
		}
		return f(d, vrf, address)
	})
}

// vrfNamed is the id of a VRF, or 0 for none.
func (d *ipDesk) vrfNamed(ctx context.Context, name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	return d.db.VRF(ctx, name)
}

func newIPReserveCmd(a *app) *cobra.Command {
	var t ipTarget
	var r store.Reservation
	cmd := &cobra.Command{
		Use:   "reserve ADDRESS",
		Short: "Keep an address (or an IPv6 prefix) out of its pool",
		Long: "Keep an address, or an IPv6 prefix, out of its pool: one that is free or cooling, or the lease of the user for whom it is kept.\n" +
			"No login gets it from the pool then; a user gets it by radial user set NAME --ip ADDRESS, which reserves it by itself.",
		Example: "  radial ip reserve 100.64.0.20 --reason \"camera at the mast\"\n  radial ip reserve 2001:db8:f000:100::/56 --for alice",
		Args:    named("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.at(cmd, a, args[0], func(d *ipDesk, vrf int32, address netip.Prefix) error {
				r.VRF, r.Address = vrf, address
				row, changed, err := d.db.ReserveAddress(cmd.Context(), a.by("ip.reserve", t.dryRun), r)
				if err != nil {
					return err
				}
				if err := d.noteStranger(cmd.Context(), r.User); err != nil {
					return err
				}
				return d.tell(row, changed, "reserved", t.dryRun)
			})
		},
	}
	cmd.Flags().StringVar(&r.User, "for", "", "the `user` for whom it is kept")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "a `text` for people")
	t.registerChange(cmd)
	return cmd
}

// noteStranger tells of a user of whom there is nothing: he may come later, or
// is misspelt.
func (d *ipDesk) noteStranger(ctx context.Context, user string) error {
	if user == "" {
		return nil
	}
	err := d.db.CheckUser(ctx, user)
	if errors.Is(err, aaa.ErrNotFound) {
		d.note("there is no user %q yet: the address is kept for that name all the same", user)
		return nil
	}
	return err
}

func newIPReleaseCmd(a *app) *cobra.Command {
	var t ipTarget
	var reason string
	var force bool
	cmd := &cobra.Command{
		Use:   "release ADDRESS",
		Short: "Give a reserved or cooling address back to its pool; with --force a leased one",
		Args:  named("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.at(cmd, a, args[0], func(d *ipDesk, vrf int32, address netip.Prefix) error {
				row, changed, err := d.db.ReleaseAddress(cmd.Context(), a.by("ip.release", t.dryRun), vrf, address, reason, force)
				if err != nil {
					return err
				}
				return d.tell(row, changed, "released", t.dryRun)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "a `text` for the history")
	cmd.Flags().BoolVar(&force, "force", false, "also an offered or bound one, whose session may be alive")
	t.registerChange(cmd)
	return cmd
}

// tell tells what became of an address.
func (d *ipDesk) tell(row store.Address, changed bool, action string, dryRun bool) error {
	if !changed {
		action = "unchanged"
	}
	v := struct {
		addressView
		Action string `json:"action"` // reserved, released, unchanged
		DryRun bool   `json:"dry_run"`
	}{addressViewOf(row, d.vrfs), action, dryRun}
	note := ""
	if dryRun {
		note = " (dry run: nothing was written)"
	}
	if !changed {
		note += fmt.Sprintf(": it is %s", row.State)
	}
	return d.say(v, "address %s of pool %s %s%s", addressText(row.Address), printable(row.Pool), action, note)
}
