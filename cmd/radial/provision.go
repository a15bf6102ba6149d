package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
)

// desk is what a provisioning command works with: the database, what names and
// values mean, and the zone of dates.
type desk struct {
	*app
	db    *store.DB
	dict  *dictionaries.Dictionary
	rules *aaa.Provisioner
	zone  *time.Location
}

// withDesk opens the database and the dictionaries for f.
func (a *app) withDesk(ctx context.Context, f func(*desk) error) error {
	dict, err := a.dictionary()
	if err != nil {
		return err
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	rules := &aaa.Provisioner{Rows: aaa.NewCompiler(dict, zone), Zone: zone, Now: a.now}
	return f(&desk{a, db, dict, rules, zone})
}

// by describes a change for the audit.
func (a *app) by(action string, dryRun bool) store.Change {
	return store.Change{Actor: a.actor(), Action: action, DryRun: dryRun}
}

// say tells people what was done; with -o json it prints v instead.
func (a *app) say(v any, format string, args ...any) error {
	return a.print(v, func() string { return fmt.Sprintf(format, args...) + "\n" })
}

// done is the JSON of a change that has nothing else to show.
type done struct {
	Name    string   `json:"name"`
	Action  string   `json:"action"` // added, changed, deleted, unchanged
	DryRun  bool     `json:"dry_run"`
	Changes any      `json:"changes,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// did tells the outcome of a change.
func (a *app) did(noun, name, action string, dryRun bool, changes aaa.Audit) error {
	if changes == nil && action == "changed" {
		action = "unchanged"
	}
	v := done{Name: name, Action: action, DryRun: dryRun, Notes: a.remarks}
	if changes != nil {
		v.Changes = changes
	}
	note := ""
	if dryRun {
		note = " (dry run: nothing was written)"
	}
	return a.say(v, "%s %s %s%s", noun, printable(name), action, note)
}

// note tells something on stderr that is neither result nor error.
func (a *app) note(format string, args ...any) {
	// A note that cannot be written changes nothing of what was done.
	_, _ = fmt.Fprintf(a.stderr, "radial: "+format+"\n", args...)
}

// remark is note for what belongs to the outcome of a change: did has it in JSON too.
func (a *app) remark(format string, args ...any) {
	a.remarks = append(a.remarks, fmt.Sprintf(format, args...))
	a.note(format, args...)
}

// noteDrift tells what a change left alone in FreeRADIUS's tables.
func (a *app) noteDrift(noun, name string, drift []aaa.Drift) {
	for _, d := range drift {
		if d.Kind == aaa.DriftRemoved {
			a.note("%s %s: %s: somebody removed \"%s\"; it is left so (sync --force puts it back)", noun, name, d.Want.Table, rowText(*d.Want))
			continue
		}
		a.note("%s %s: %s id %d: somebody changed it to \"%s\"; it is left so (sync --force takes it back)", noun, name, d.Have.Table, d.Have.ID, rowText(d.Have.ProjectedRow))
	}
}

// rowText prints a row's content; secrets are masked.
func rowText(r aaa.ProjectedRow) string {
	if r.Table == aaa.TableUserGroup {
		return fmt.Sprintf("%s priority %d", r.Group, r.Priority)
	}
	return r.String()
}

// confirm asks before something that cannot be undone; without a terminal it
// wants --yes.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return usagef("%s Say --yes", question)
	}
	if _, err := fmt.Fprintf(a.stderr, "%s [y/N] ", question); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	line, err := a.readLine()
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("ask: %w", err)
	}
	if l := strings.ToLower(strings.TrimSpace(line)); l != "y" && l != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// canAsk tells whether stdin is a terminal.
func (a *app) canAsk() bool {
	f, ok := a.stdin.(*os.File)
	return ok && isTerminal(f)
}

// readLine reads the first line of stdin; Ctrl-C ends the program meanwhile.
func (a *app) readLine() (string, error) {
	a.asking.Store(true)
	defer a.asking.Store(false)
	return bufio.NewReader(a.stdin).ReadString('\n')
}

// secretInput is the text of a flag, or the first line of stdin when fromStdin
// is set (so that it does not show in the list of processes).
func (a *app) secretInput(flag, text string, fromStdin bool) (string, error) {
	if !fromStdin {
		return text, nil
	}
	if text != "" {
		return "", usagef("--%s and --%s-stdin exclude each other", flag, flag)
	}
	line, err := a.readLine()
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("--%s-stdin: %w", flag, err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", usagef("--%s-stdin: the first line is empty", flag)
	}
	return line, nil
}

// given returns a pointer to the value of a flag that was said, else nil.
func given[T any](cmd *cobra.Command, flag string, value T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return &value
}

// noneIsEmpty takes the word none for no name.
func noneIsEmpty(names ...*string) {
	for _, name := range names {
		if *name == "none" {
			*name = ""
		}
	}
}

// seconds reads a flag that is a number of seconds or a duration such as 1h30m.
func seconds(flag, text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 {
		return n, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && d%time.Second == 0 {
		return int64(d / time.Second), nil
	}
	return 0, usagef("--%s %q: want seconds, or a duration like 90s or 12h", flag, text)
}

// givenSeconds is given for a flag that is a number of seconds or a duration.
func givenSeconds(cmd *cobra.Command, flag, text string) (*int64, error) {
	if !cmd.Flags().Changed(flag) {
		return nil, nil
	}
	n, err := seconds(flag, text)
	return &n, err
}

// items reads the values of --check or --reply.
func items(flag string, texts []string) ([]aaa.Item, error) {
	var all []aaa.Item
	for _, text := range texts {
		it, err := aaa.ParseItem(text)
		if err != nil {
			return nil, usagef("--%s: %w", flag, err)
		}
		all = append(all, it)
	}
	return all, nil
}

// orDash prints an empty text as a dash, so that columns can be counted.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// rateOr prints a rate, or a dash for none.
func rateOr(bits int64) string {
	if bits == 0 {
		return "-"
	}
	return nas.FormatRate(bits)
}

// numberOr prints a number, or a dash for 0.
func numberOr(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// timeOr prints a time in the database's zone, or a dash.
func (d *desk) timeOr(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.In(d.zone).Format("2006-01-02 15:04:05")
}
