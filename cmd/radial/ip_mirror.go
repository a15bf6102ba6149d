package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"radial/store"
)

func newIPMirrorCmd(a *app) *cobra.Command {
	return nounOf("mirror", "Keep sqlippool's table radippool true, so that a FreeRADIUS put back goes on with the same leases",
		newIPMirrorOnCmd(a), newIPMirrorOffCmd(a), newIPMirrorStatusCmd(a), newIPMirrorTakeBackCmd(a))
}

func newIPMirrorOnCmd(a *app) *cobra.Command {
	var key string
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "on",
		Short: "Mirror every lease into radippool from now on, in the lease's own transaction",
		Long: `Makes the table radippool if it is not there, fills it from the IPv4 pools of the default VRF, and keeps it true from then
on, whoever changes an address. Said again, it goes on where it was cut short, and takes another --pool-key over.`,
		Example: "  radial ip mirror on --pool-key calling-station-id",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			bar := a.progress("addresses")
			m, err := db.MirrorOn(cmd.Context(), a.by("ip.mirror", false), key, overwrite, func(n uint64) { bar.set(int(n)) })
			bar.done()
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("%w; the same command again goes on", err)
			}
			if err != nil {
				return err
			}
			a.noteMirror(m)
			return a.print(m, func() string {
				return fmt.Sprintf("the mirror is on: %d rows in radippool, %d of them leased\n", m.Rows, m.Leased)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&key, "pool-key", store.PoolKeyStation, "what sqlippool's pool_key is: calling-station-id, user-name or nas-port")
	choices(cmd, "pool-key", store.PoolKeys()...)
	fl.BoolVar(&overwrite, "overwrite", false, "leases in radippool that Radial does not know of are wrong")
	return cmd
}

func newIPMirrorOffCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "off",
		Short: "Leave radippool alone from now on; its rows stay, and are soon wrong",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			before, err := db.MirrorState(cmd.Context())
			if err != nil {
				return err
			}
			if err := db.MirrorOff(cmd.Context(), a.by("ip.mirror", false)); err != nil {
				return err
			}
			m, err := db.MirrorState(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case !before.On:
				return a.say(m, "the mirror was off already: nothing has changed")
			case before.Lost:
				return a.say(m, "the mirror is off; radippool was gone already")
			}
			return a.say(m, "the mirror is off: radippool is no longer true, do not start a FreeRADIUS on it")
		},
	}
}

func newIPMirrorStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell whether radippool is kept true, and how it stands",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			m, err := db.MirrorState(cmd.Context())
			if err != nil {
				return err
			}
			a.noteMirror(m)
			return a.print(m, func() string {
				if !m.On {
					return "the mirror is off\n"
				}
				g := grid{}
				g.add("mirror", "on")
				g.add("pool key", m.PoolKey)
				g.add("time zone", m.Zone)
				g.add("addresses", fmt.Sprint(m.Total))
				g.add("rows", fmt.Sprint(m.Rows))
				g.add("leased", fmt.Sprint(m.Leased))
				g.add("not mirrored", orDash(strings.Join(m.LeftOut, ", ")))
				return g.String()
			})
		},
	}
}

// noteMirror tells what is wrong with a mirror, and what it lacks.
func (a *app) noteMirror(m store.Mirror) {
	if !m.On {
		return
	}
	if m.Lost {
		a.note("somebody has dropped radippool: nothing is mirrored; radial ip mirror on makes it again")
		return
	}
	if !m.Filled {
		a.note("radippool does not have all addresses yet: radial ip mirror on goes on with it")
	}
	if m.Zone != m.ZoneNow {
		a.note("the database's time zone is %s now, and the mirror reckons in %s: radial ip mirror on --pool-key %s takes it over", m.ZoneNow, m.Zone, m.PoolKey)
	}
	if m.Removed > 0 {
		a.note("deleted %d rows of radippool for which Radial's pools of that name have no address", m.Removed)
	}
	if len(m.LeftOut) > 0 {
		a.note("not mirrored (another VRF, or IPv6): %s", strings.Join(m.LeftOut, ", "))
	}
}

func newIPMirrorTakeBackCmd(a *app) *cobra.Command {
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "take-back",
		Short: "Take over what a FreeRADIUS has done with radippool (radial serve does it when it starts)",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			alive, err := db.OthersAlive(cmd.Context(), "")
			if err != nil {
				return err
			}
			if alive && !dryRun {
				if err := a.confirm(yes, "A Radial server is at work, which takes no notice of FreeRADIUS's leases until this has run. Go on?"); err != nil {
					return err
				}
			}
			t, err := db.TakeBack(cmd.Context(), a.by("ip.take-back", dryRun))
			if err != nil {
				return err
			}
			return a.say(t, "%s", takenText(t, dryRun))
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "tell what would change, and change nothing")
	yesFlag(cmd, &yes)
	return cmd
}

func takenText(t store.Taken, dryRun bool) string {
	if t.Changed() == 0 && t.History == 0 && t.Raced == 0 {
		return "nothing has changed"
	}
	text := fmt.Sprintf("bound to open sessions: %d; kept for their callers: %d; released: %d; other last holders: %d; rows of history: %d",
		t.Bound, t.Kept, t.Released, t.Holders, t.History)
	if t.Raced > 0 {
		text += fmt.Sprintf("; changed meanwhile and left: %d", t.Raced)
	}
	if dryRun {
		text += " (dry run: nothing was written)"
	}
	return text
}

// takeBackLeases makes ours, before this server gives its first address, what a
// FreeRADIUS has leased while no server of ours was there. Where another one is
// at work there was no such time.
func takeBackLeases(ctx context.Context, db *store.DB, id string, log *zap.Logger) error {
	others, err := db.OthersAlive(ctx, id)
	if err != nil || others {
		return err
	}
	t, err := db.TakeBack(ctx, store.Change{Actor: "serve", Action: "ip.take-back"})
	if err != nil {
		return err
	}
	if t.Changed() > 0 || t.History > 0 {
		log.Info("took back leases from radippool", zap.Int("bound", t.Bound), zap.Int("kept", t.Kept), zap.Int("released", t.Released),
			zap.Int("holders", t.Holders), zap.Int("history", t.History))
	}
	return nil
}
