package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
)

func newUserTopUpCmd(a *app) *cobra.Command {
	var expires, comment string
	var take int64
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "topup NAME [VOLUME]",
		Short: "Give a subscriber data beyond his quotas",
		Long: `Give a subscriber data beyond each of his quotas and steps of fair use. It is
used after the quota itself, and counts while the period lasts in which it was
made, or until the end of the day that --expires names, over periods. radial user
show lists top-ups by number; --take takes one back.`,
		Example: `  radial user topup bob 10G
  radial user topup bob 50G --expires 2026-12-31
  radial user topup bob --take 17`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("take") {
				return named("NAME")(cmd, args)
			}
			return named("NAME", "VOLUME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, by := args[0], a.by("user.topup", dryRun)
			return a.withDesk(cmd.Context(), func(d *desk) error {
				if cmd.Flags().Changed("take") {
					if err := d.db.TakeTopUp(cmd.Context(), by, name, take); err != nil {
						return err
					}
					return a.did("user", name, "changed", dryRun, aaa.Audit{"topup": take})
				}
				t, err := topUpOf(d, args[1], expires)
				if err != nil {
					return err
				}
				if err := d.db.TopUp(cmd.Context(), by, name, t, comment); err != nil {
					return err
				}
				d.noteWithoutQuota(cmd.Context(), name)
				return a.did("user", name, "topped up", dryRun, aaa.Audit{"octets": t.Octets})
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&expires, "expires", "", "last `day` on which it counts, as 2026-12-31, 400 days from now at most")
	fl.StringVar(&comment, "comment", "", "a `text` for people")
	fl.Int64Var(&take, "take", 0, "take the top-up of this `number` back")
	dryRunFlag(cmd, &dryRun)
	cmd.MarkFlagsMutuallyExclusive("take", "expires")
	cmd.MarkFlagsMutuallyExclusive("take", "comment")
	return cmd
}

// noteWithoutQuota tells that a top-up does nothing yet. Of a user who is not
// active, and may be behind a wall where nothing counts, it tells nothing.
func (d *desk) noteWithoutQuota(ctx context.Context, name string) {
	acc, err := d.db.Account(ctx, name)
	if err == nil && acc.Subscriber != nil && acc.Subscriber.Status != aaa.SubscriberActive {
		return
	}
	var use userUsage
	if err == nil {
		use, err = d.usageOf(ctx, name)
	}
	switch {
	case err != nil: // the top-up is made all the same
		d.note("whether %s has a quota could not be seen: %s", name, errorText(err))
	case len(use.Balances) == 0 && !use.unseen:
		d.note("%s has no quota and no step of fair use, his own or of his package: until he has one, this has no effect", name)
	}
}

// topUpOf reads a top-up that is made now.
func topUpOf(d *desk, volume, expires string) (t aaa.TopUp, err error) {
	if t.Octets, err = volumeOf("VOLUME", volume); err != nil {
		return t, err
	}
	var last time.Time
	if expires != "" {
		if last, err = time.ParseInLocation(time.DateOnly, expires, d.zone); err != nil {
			return t, usagef("--expires %q: want a day, as 2026-12-31", expires)
		}
	}
	t.From, t.Until, err = aaa.TopUpLife(d.now(), last, d.zone)
	return t, err
}
