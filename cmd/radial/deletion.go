package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// deletion is what the del verbs of the nouns differ in.
type deletion struct {
	use, short, long string
	of               string // its argument, as an error names it
	question         string // with %s for the argument; nothing is done before it is answered
	do               func(ctx context.Context, name string, dryRun bool) error
}

// deletion makes a del verb.
func (a *app) deletion(d deletion) *cobra.Command {
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use: d.use, Short: d.short, Long: d.long, Args: named(d.of),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes || dryRun, fmt.Sprintf(d.question, printable(args[0]))); err != nil {
				return err
			}
			return d.do(cmd.Context(), args[0], dryRun)
		},
	}
	yesFlag(cmd, &yes)
	dryRunFlag(cmd, &dryRun)
	return cmd
}

// yesFlag is the flag of verbs that ask before they do something (confirm).
func yesFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "yes", false, "do not ask")
}

// dryRunFlag is the flag of verbs that change the database alone.
func dryRunFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "dry-run", false, "try everything and write nothing")
}
