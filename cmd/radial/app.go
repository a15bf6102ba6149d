package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"radial/aaa"
)

// app is what every command shares: streams, output format, and the lazily
// opened things (configuration, database, dictionaries). A command opens only
// what it uses, so that `radial dictionary show` works without a database.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	format         string // "table" or "json": the global flag -o
	now            func() time.Time
	settings       settingFlags
	asking         atomic.Bool // while a line is read from stdin
	remarks        []string    // on the change that is being made
}

// newApp returns an app on the process's own streams.
func newApp() *app {
	return &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, format: formatTable, now: time.Now}
}

// actor names who changes something, for the audit: cli:<unix user>. Under
// sudo it is the person, not root.
func (a *app) actor() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return "cli:" + name
	}
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("cli:%d", os.Getuid())
	}
	return "cli:" + u.Username
}

// The exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError marks an error as the caller's wrong use of flags or arguments.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codedError is an error with an exit code of its own.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// exitCode maps an error of a command to the process's exit code.
func exitCode(err error) int {
	var usage usageError
	var coded codedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage), errors.Is(err, aaa.ErrInvalid), strings.HasPrefix(err.Error(), "unknown command "):
		return exitUsage // cobra has no type for an unknown command
	default:
		return exitFailure
	}
}

// execute runs root with args, tells an error on stderr and returns the exit
// code. Wrong flags and arguments are usage errors.
func (a *app) execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s; see %s --help", plainFlagError(err), cmd.CommandPath())
	})
	err := root.ExecuteContext(ctx)
	if err != nil {
		text := errorText(err)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			text = "interrupted: " + text
		}
		if _, werr := fmt.Fprintf(a.stderr, "radial: %s\n", text); werr != nil {
			return exitFailure
		}
	}
	return exitCode(err)
}

// errorText is an error for people. A database with several addresses repeats
// its line for each try; and that a value is invalid, the message has said.
func errorText(err error) string {
	lines := slices.Compact(strings.Split(err.Error(), "\n"))
	text := strings.Join(lines, "\n")
	if strings.Contains(text, "permission denied for ") && strings.Contains(text, "(SQLSTATE 42501)") {
		text += "; radial doctor lists the rights that are missing"
	}
	invalid := aaa.ErrInvalid.Error()
	text = strings.Replace(text, ": "+invalid+": ", ": ", 1)
	return strings.TrimPrefix(strings.TrimSuffix(text, ": "+invalid), invalid+": ")
}

// oneLine is a text of several lines for a cell of a table.
func oneLine(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Compact(lines), " ")
}

// plainFlagError takes Go's own words out of what pflag says of a value.
func plainFlagError(err error) string {
	if head, _, ok := strings.Cut(err.Error(), " flag: time: "); ok {
		return head + " flag: want a number with its unit, like 90s, 10m or 2h"
	}
	head, tail, ok := strings.Cut(err.Error(), ": strconv.")
	switch {
	case !ok:
		return err.Error()
	case strings.HasSuffix(tail, "value out of range"):
		return head + ": too big or too small"
	case strings.HasPrefix(tail, "ParseBool"):
		return head + ": want true or false"
	case strings.HasPrefix(tail, "ParseFloat"):
		return head + ": want a number"
	}
	return head + ": want a whole number"
}

// named is the Args of a command with exactly these positional arguments.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if i := slices.Index(args, ""); i >= 0 && len(args) == len(names) {
			return usagef("%s: %s is empty; usage: %s", cmd.CommandPath(), names[i], cmd.UseLine())
		}
		if len(args) == len(names) {
			return nil
		}
		if len(args) > len(names) {
			return usagef("%s: unexpected argument %q; usage: %s", cmd.CommandPath(), args[len(names)], cmd.UseLine())
		}
		return usagef("%s: %s is missing; usage: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
	}
}

// atMostNamed is named for an argument that may be left out.
func atMostNamed(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return named(name)(cmd, args)
	}
}

// nounOf makes the parent command of a noun; alone or with an unknown verb it
// is a usage error that lists the verbs.
func nounOf(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	words := make([]string, len(verbs))
	for i, v := range verbs {
		words[i] = v.Name()
		if slices.Contains([]string{"list", "show", "export", "history", "conflicts", "available", "next", "whohad", "cleanup", "configurations"}, v.Name()) {
			v.PreRunE = choosesSomething
		}
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("%s: unknown verb %q; one of: %s", cmd.CommandPath(), args[0], strings.Join(words, ", "))
		}
		return usagef("%s needs a verb: %s", cmd.CommandPath(), strings.Join(words, ", "))
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// choosesSomething refuses an empty value of a flag that chooses what is read:
// in a script it is a variable that was never set, and would choose everything.
// A first page may well begin after nothing.
func choosesSomething(cmd *cobra.Command, _ []string) (err error) {
	inherited := cmd.InheritedFlags()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if v := f.Value.String(); err == nil && f.Name != "after" && inherited.Lookup(f.Name) == nil && (v == "" || v == "[]") {
			err = usagef("--%s is empty: leave it out where it does not matter; see %s --help", f.Name, cmd.CommandPath())
		}
	})
	return err
}

// choices lets the shell complete a flag's value from a closed list.
func choices(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not there: a mistake of ours, found by any run
	}
}
