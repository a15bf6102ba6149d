package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	a := newApp()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // a second Ctrl-C ends what does not end by itself
		if a.asking.Load() {
			os.Exit(exitFailure) // a read from a terminal cannot be called off
		}
	})
	os.Exit(a.execute(ctx, newRoot(a), os.Args[1:]))
}

// newRoot is the command line: the global flags and every noun.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{Use: "radial", Short: "A RADIUS server for internet service providers"}
	root.PersistentFlags().VarP(formatFlag{a}, "output", "o", "output `format`: table or json")
	choices(root, "output", formatTable, formatJSON)
	a.settings.register(root)
	choices(root, "log-level", "debug", "info", "warn", "error")
	root.AddCommand(newCheckConfigCmd(a), newVersionCmd(a), newLoadCmd(a), newMigrateCmd(a), newServeCmd(a), newDoctorCmd(a), newClientCmd(a),
		newUserCmd(a), newPackageCmd(a), newSeedCmd(a), newNASCmd(a), newRouterCmd(a), newPoolCmd(a), newSubnetCmd(a), newVRFCmd(a), newIPCmd(a), newSessionCmd(a), newUsageCmd(a), newJournalCmd(a), newJobCmd(a), newServerCmd(a), newAuditCmd(a), newDictionaryCmd(a))
	return root
}
