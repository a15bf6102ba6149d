package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

// sessionsMeant are the flags that choose open sessions to act on.
type sessionsMeant struct {
	users, ids, nas, packages    []string
	pool                         string
	rate                         int
	dryRun, yes, noWait, changes bool
}

func (m *sessionsMeant) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&m.users, "user", nil, "of the user of that `name`; may be repeated")
	fl.StringArrayVar(&m.ids, "id", nil, "the session of that `id`: acctuniqueid, radacctid or Acct-Session-Id; may be repeated")
	fl.StringArrayVar(&m.nas, "nas", nil, "of a device: its `NAME`, address or network; may be repeated")
	fl.StringArrayVar(&m.packages, "package", nil, "of the users of the package (or group) of that `name`; may be repeated")
	fl.StringVar(&m.pool, "pool", "", "with an address of the pool of that `name`")
	fl.IntVar(&m.rate, "rate", 100, "at most so many `sessions` a second")
	fl.BoolVar(&m.dryRun, "dry-run", false, "say how many sessions are meant, and do nothing")
	yesFlag(cmd, &m.yes)
	fl.BoolVar(&m.noWait, "no-wait", false, "do not wait for the outcome: radial job show tells it")
}

func newSessionDisconnectCmd(a *app) *cobra.Command {
	var m sessionsMeant
	cmd := &cobra.Command{
		Use:   "disconnect",
		Short: "Disconnect open sessions",
		Long: `Disconnects open sessions by their devices (RFC 5176), at a pace, and waits for the outcome. What is given chooses: sessions that fit all of it.
A server does it (radial serve); who may log in again does so. A session whose device acknowledges, or does not know it, is closed by its Stop, or by Radial when none comes
(control.close_after); one whose device does not answer stays open.`,
		Example: `  radial session disconnect --user alice
  radial session disconnect --package gold --rate 50 --yes
  radial session disconnect --nas bras1 --dry-run`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.run(cmd.Context(), a, store.BulkOrder{Verb: store.BulkDisconnect, Why: "session disconnect"}, "Disconnect")
		},
	}
	m.register(cmd)
	return cmd
}

func newSessionChangeCmd(a *app) *cobra.Command {
	m := sessionsMeant{changes: true}
	var down, up string
	cmd := &cobra.Command{
		Use:   "change",
		Short: "Change the rate of open sessions",
		Long: `Gives open sessions another rate by their devices (CoA, RFC 5176), until they end, or until something else of their users or packages changes: then what is due
then holds. The next login has the package's rate again. A device that cannot do that refuses, and the session goes on as it was.`,
		Example: `  radial session change --user alice --down 50M --up 10M`,
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := store.BulkOrder{Verb: store.BulkChange, Why: "session change"}
			if down == "" || up == "" {
				return usagef("--down and --up go together, as in --down 100M --up 20M")
			}
			for _, r := range []struct {
				flag, text string
				to         *int64
			}{{"down", down, &o.Limit.Down.Rate}, {"up", up, &o.Limit.Up.Rate}} {
				bits, err := nas.ParseRate(r.text)
				if err != nil || bits < 1000 {
					return usagef("--%s %q: want bits per second with k, M or G, as in 20M, and 1k at least", r.flag, r.text)
				}
				*r.to = bits
			}
			return m.run(cmd.Context(), a, o, "Change")
		},
	}
	m.register(cmd)
	cmd.Flags().StringVar(&down, "down", "", "`rate` to the subscriber in bits per second, as 100M or 512k")
	cmd.Flags().StringVar(&up, "up", "", "`rate` from the subscriber")
	return cmd
}

// check holds the flags to what can be done.
func (m *sessionsMeant) check() error {
	if len(m.users)+len(m.ids)+len(m.nas)+len(m.packages) == 0 && m.pool == "" {
		return usagef("which sessions? Give one of --user, --id, --nas, --package, --pool")
	}
	for flag, texts := range map[string][]string{"user": m.users, "id": m.ids, "nas": m.nas, "package": m.packages} {
		for _, text := range texts {
			if text == "" {
				return usagef("--%s is empty: leave it out where it does not matter", flag)
			}
		}
	}
	if m.rate < 1 || m.rate > store.MaxBulkRate {
		return usagef("--rate %d: want 1 to %d sessions a second", m.rate, store.MaxBulkRate)
	}
	return nil
}

// words are the sessions in words.
func (m *sessionsMeant) words() string {
	var parts []string
	for _, w := range []struct {
		what string
		all  []string
	}{{"user", m.users}, {"session", m.ids}, {"nas", m.nas}, {"package", m.packages}} {
		if len(w.all) > 0 {
			parts = append(parts, w.what+" "+strings.Join(w.all, ", "))
		}
	}
	if m.pool != "" {
		parts = append(parts, "pool "+m.pool)
	}
	return strings.Join(parts, " and ")
}

// fill puts what is meant into an order.
func (m *sessionsMeant) fill(ctx context.Context, db *store.DB, o *store.BulkOrder) error {
	o.Asked, o.Rate, o.Users, o.Pool, o.Groups = m.words(), m.rate, m.users, m.pool, m.packages
	for _, name := range m.nas {
		networks, err := networksOf(ctx, db, name)
		if err != nil {
			return err
		}
		o.NAS = append(o.NAS, networks...)
	}
	for _, id := range m.ids {
		found, err := db.FindSessions(ctx, id, "", time.Time{})
		if err != nil {
			return err
		}
		n := len(o.IDs)
		for _, s := range found {
			if s.Stop.IsZero() {
				o.IDs = append(o.IDs, s.RadacctID)
			}
		}
		if len(o.IDs) == n {
			return fmt.Errorf("session %q: %w: no open session has that acctuniqueid, radacctid or Acct-Session-Id", id, aaa.ErrNotFound)
		}
	}
	for _, name := range append(append([]string(nil), m.packages...), "") {
		if err := db.CheckSessionScope(ctx, m.pool, name); err != nil {
			return err
		}
	}
	return nil
}

// run orders, and waits for the outcome.
func (m *sessionsMeant) run(ctx context.Context, a *app, o store.BulkOrder, verb string) error {
	if err := m.check(); err != nil {
		return err
	}
	db, done, err := a.db(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := m.fill(ctx, db, &o); err != nil {
		return err
	}
	strange, err := strangeNAS(ctx, db, o.NAS)
	if err != nil {
		return err
	}
	dry, err := db.OrderBulk(ctx, a.by("session.order", true), o)
	switch {
	case errors.Is(err, aaa.ErrNotFound) && strange != "":
		return fmt.Errorf("no open session of %s, and radial nas list has no device of address %s: %w", printable(o.Asked), strange, aaa.ErrNotFound)
	case err != nil:
		return err
	case strange != "":
		a.note("radial nas list has no device of address %s: it cannot be asked for anything", strange)
	}
	if m.dryRun {
		v := orderView{Asked: o.Asked, Sessions: dry.Total, DryRun: true}
		return a.say(v, "%s of %s (dry run: nothing was done)", sessionsText(dry.Total), printable(o.Asked))
	}
	if dry.Total > 1 {
		if err := a.confirm(m.yes, fmt.Sprintf("%s %s of %s?", verb, sessionsText(dry.Total), printable(o.Asked))); err != nil {
			return err
		}
	}
	made, err := db.OrderBulk(ctx, a.by("session.order", false), o)
	if err != nil {
		return err
	}
	alive, err := a.serverAlive(ctx, db)
	if err != nil {
		return err
	}
	if m.noWait || !alive {
		v := orderView{Asked: o.Asked, Sessions: made.Total, Job: made.Job}
		err := a.say(v, "%s of %s: job %d", sessionsText(made.Total), printable(o.Asked), made.Job)
		if !alive && !m.noWait {
			err = errors.Join(err, fmt.Errorf("nothing is done yet: no server runs (radial server list)"))
		}
		return err
	}
	return a.awaitOrder(ctx, db, made)
}

// strangeNAS are those networks that no device is in, with commas; "" is none.
// Where a device's row has a host name, nobody can tell.
func strangeNAS(ctx context.Context, db *store.DB, networks []netip.Prefix) (string, error) {
	if len(networks) == 0 {
		return "", nil
	}
	devices, err := db.Devices(ctx)
	if err != nil {
		return "", err
	}
	var known []netip.Prefix
	for _, d := range devices {
		n, err := nas.ParseName(d.Name)
		if err != nil {
			continue // radial doctor tells of such a row
		}
		if n.Kind == nas.NameHost {
			return "", nil
		}
		known = append(known, n.Prefix)
	}
	var strange []string
	for _, p := range networks {
		if !slices.ContainsFunc(known, p.Overlaps) {
			strange = append(strange, strings.TrimSuffix(strings.TrimSuffix(p.String(), "/32"), "/128"))
		}
	}
	return strings.Join(strange, ", "), nil
}

// serverAlive tells whether a server is there to do jobs; else a note says so.
func (a *app) serverAlive(ctx context.Context, db *store.DB) (bool, error) {
	alive, err := aliveServers(ctx, db)
	if err == nil && len(alive) == 0 {
		a.note("no server runs: the job waits in the queue until one does")
	}
	return len(alive) > 0, err
}
