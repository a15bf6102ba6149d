package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
)

// configureView is what configure and undo did, in JSON.
type configureView struct {
	Router  string             `json:"router"`
	ID      int64              `json:"configuration"` // of the record; 0: nothing was changed
	DryRun  bool               `json:"dry_run"`
	Undoes  int64              `json:"undoes,omitempty"`
	Changes []routeros.Applied `json:"changes"`        // secrets are ***
	Left    []string           `json:"left,omitempty"` // what an undo left as it is, and why
	Proof   proof              `json:"proof,omitempty"`

	seen bool // the changes were shown when it was asked for
}

func (v configureView) text() string {
	var b strings.Builder
	if !v.seen {
		b.WriteString(v.diff())
	}
	name := printable(v.Router)
	switch {
	case len(v.Changes) == 0:
		fmt.Fprintf(&b, "router %s: nothing to change\n", name)
	case v.DryRun:
		fmt.Fprintf(&b, "router %s: changes: %d (dry run: nothing was changed)\n", name, len(v.Changes))
	case v.Undoes != 0:
		fmt.Fprintf(&b, "router %s: configuration %d taken back, changes: %d\n", name, v.Undoes, len(v.Changes))
	default:
		fmt.Fprintf(&b, "router %s configured, changes: %d; radial router undo %s --config %d takes them back\n", name, len(v.Changes), name, v.ID)
	}
	return b.String() + v.Proof.text()
}

// diff is the changes, and what stays as it is.
func (v configureView) diff() string {
	var b strings.Builder
	for _, c := range v.Changes {
		b.WriteString(printableLines(c.Text()))
	}
	for _, l := range v.Left {
		fmt.Fprintf(&b, "left as it is: %s\n", printable(l))
	}
	return b.String()
}

// agreed shows what is to be changed on a router, and asks; without a terminal
// it wants --yes.
func (d *routerDesk) agreed(v *configureView, yes bool) error {
	question := fmt.Sprintf("Change router %s, changes: %d?", printable(v.Router), len(v.Changes))
	if v.Undoes != 0 {
		question = fmt.Sprintf("Take configuration %d of router %s back, changes: %d?", v.Undoes, printable(v.Router), len(v.Changes))
	}
	switch {
	case yes:
	case d.canAsk():
		if _, err := fmt.Fprint(d.stderr, v.diff()); err != nil {
			return fmt.Errorf("show the changes: %w", err)
		}
		v.seen = true
	default:
		question += " --dry-run shows them."
	}
	return d.confirm(yes, question)
}

func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// recording is what is to be changed on a router.
type recording struct {
	action string // router.configure, router.undo
	parts  []string
	would  []routeros.Applied
	undoes int64
}

// recorded records what is to be changed, changes it, and records the outcome.
// Where an error ends it in the middle, the record keeps all that was meant: an
// undo looks at what of it was done.
func (d *routerDesk) recorded(ctx context.Context, r aaa.Router, rec recording, do func() ([]routeros.Applied, error)) (int64, error) {
	changes, err := d.sealChanges(rec.would)
	if err != nil {
		return 0, err
	}
	kind := store.ConfigureKind
	if rec.undoes != 0 {
		kind = store.UndoKind
	}
	id, err := d.db.BeginRouterConfiguration(ctx, d.by(rec.action, false), r, store.RouterConfiguration{Kind: kind, Parts: rec.parts, Changes: changes, Undoes: rec.undoes}, len(rec.would))
	if err != nil {
		return 0, err
	}
	done, failed := do()
	problem, kept := "", json.RawMessage(nil)
	if failed != nil {
		problem = errorText(failed)
		failed = fmt.Errorf("%w; changes made: %d of %d; the same command again does the rest", failed, len(done), len(rec.would))
	} else if kept, err = d.sealChanges(done); err != nil {
		return id, err
	}
	// the record is written also when the operator has ended the command
	return id, errors.Join(failed, d.db.EndRouterConfiguration(context.WithoutCancel(ctx), id, problem, kept))
}

const (
	changeUse    = "router configuration"
	sealedPrefix = "sealed:"
)

// sealChanges is changes as they are recorded: secrets are sealed.
func (d *routerDesk) sealChanges(changes []routeros.Applied) (json.RawMessage, error) {
	sealed := mapSecrets(changes, func(s string) string {
		return sealedPrefix + base64.StdEncoding.EncodeToString(d.sealer.Seal(changeUse, nas.Secret(s)))
	})
	return json.Marshal(sealed)
}

// openChanges reads what sealChanges has written.
func (d *routerDesk) openChanges(recorded json.RawMessage) ([]routeros.Applied, error) {
	var changes []routeros.Applied
	if err := json.Unmarshal(recorded, &changes); err != nil {
		return nil, fmt.Errorf("recorded changes: %w", err)
	}
	var failed error
	opened := mapSecrets(changes, func(s string) string {
		text, ok := strings.CutPrefix(s, sealedPrefix)
		sealed, err := base64.StdEncoding.DecodeString(text)
		if err == nil && ok {
			var plain nas.Secret
			if plain, err = d.sealer.Open(changeUse, sealed); err == nil {
				return plain.Reveal()
			}
		}
		failed = errors.Join(failed, err)
		return ""
	})
	return opened, failed
}

// maskedChanges is changes as they are shown.
func maskedChanges(changes []routeros.Applied) []routeros.Applied {
	return mapSecrets(changes, func(string) string { return "***" })
}

// mapSecrets is a copy of changes with f applied to every secret that is not
// empty.
func mapSecrets(changes []routeros.Applied, f func(string) string) []routeros.Applied {
	out := make([]routeros.Applied, len(changes))
	for i, c := range changes {
		for _, row := range []*routeros.Row{&c.Before, &c.After} {
			*row = maps.Clone(*row)
			for name, value := range *row {
				if routeros.IsSecret(name) && value != "" {
					(*row)[name] = f(value)
				}
			}
		}
		out[i] = c
	}
	return out
}

func newRouterUndoCmd(a *app) *cobra.Command {
	var id int64
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "undo NAME",
		Short: "Take a configuration back: what was added is removed, what was changed gets its earlier values",
		Long: `Takes back what router configure did, the last first, after it has shown what that is and asked. What somebody else has changed since stays as it is, and is told. Also a configuration
that broke off in the middle can be taken back.`,
		Example: `  radial router undo pop1 --dry-run
  radial router undo pop1 --config 12`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("config") && id < 1 {
				return usagef("--config %d: want the id of a configuration; radial router configurations %s lists them", id, args[0])
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.undo(cmd.Context(), args[0], id, yes, dryRun) })
		},
	}
	cmd.Flags().Int64Var(&id, "config", 0, "the `id` of the configuration; the newest that is not taken back unless told")
	yesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be changed, and change nothing")
	return cmd
}

func (d *routerDesk) undo(ctx context.Context, name string, id int64, yes, dryRun bool) error {
	r, err := d.db.Router(ctx, name)
	if err != nil {
		return err
	}
	conf, err := d.db.RouterConfiguration(ctx, r, id)
	switch {
	case err != nil:
		return err
	case conf.Kind == store.UndoKind:
		return fmt.Errorf("configuration %d is itself an undo: configure again what it took back: %w", conf.ID, aaa.ErrInvalid)
	}
	changes, err := d.openChanges(conf.Changes)
	if err != nil {
		return err
	}
	c, err := d.dial(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // as in configure
	would, left, err := routeros.Undo(ctx, c, changes, true)
	if err != nil {
		return err
	}
	view := configureView{Router: name, DryRun: dryRun, Undoes: conf.ID, Changes: maskedChanges(would), Left: left}
	if len(would) > 0 && !dryRun {
		if err := d.agreed(&view, yes); err != nil {
			return err
		}
	}
	if !dryRun && (len(would) > 0 || conf.Status != "undone") {
		view.ID, err = d.recorded(ctx, r, recording{action: "router.undo", parts: conf.Parts, would: would, undoes: conf.ID}, func() ([]routeros.Applied, error) {
			done, _, err := routeros.Undo(ctx, c, changes, false)
			return done, err
		})
	}
	return errors.Join(d.print(view, view.text), err)
}

func newRouterConfigurationsCmd(a *app) *cobra.Command {
	var limit int
	var after int64
	cmd := &cobra.Command{
		Use:   "configurations NAME",
		Short: "List what was configured on a router, the newest first",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPage(limit, after); err != nil {
				return err
			}
			return a.aboutRouter(cmd.Context(), args[0], func(db *store.DB, r aaa.Router, zone *time.Location) error {
				all, err := db.RouterConfigurations(cmd.Context(), r, limit, after)
				if err != nil {
					return err
				}
				return a.printConfigurations(all, zone)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 15, "at most so many")
	cmd.Flags().Int64Var(&after, "after", 0, "those that come after the one with that `id` in the list")
	return cmd
}

// printConfigurations shows what was configured, without secrets.
func (a *app) printConfigurations(all []store.RouterConfiguration, zone *time.Location) error {
	g := grid{titles: []string{"id", "at", "what", "parts", "changes", "status", "by", "problem"}}
	for i, c := range all {
		var changes []routeros.Applied
		if err := json.Unmarshal(c.Changes, &changes); err != nil {
			return fmt.Errorf("configuration %d: %w", c.ID, err)
		}
		var err error
		if all[i].Changes, err = json.Marshal(maskedChanges(changes)); err != nil {
			return err
		}
		what := c.Kind
		if c.Undoes != 0 {
			what = fmt.Sprintf("undo of %d", c.Undoes)
		}
		g.add(strconv.FormatInt(c.ID, 10), stamp(c.Created, zone), what, strings.Join(c.Parts, " "), strconv.Itoa(len(changes)), c.Status, c.Actor, orDash(oneLine(c.Problem)))
	}
	return a.print(orEmpty(all), g.String)
}
