package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	a := newApp()
	os.Exit(a.execute(context.Background(), newRoot(a), os.Args[1:]))
}

// newRoot is the command line: the global flags and every noun.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{Use: "radial", Short: "A RADIUS server for internet service providers"}
	root.PersistentFlags().VarP(formatFlag{a}, "output", "o", "output `format`: table or json")
	a.settings.register(root)
	root.AddCommand(newCheckConfigCmd(a), newVersionCmd(a), newLoadCmd(a), newMigrateCmd(a), newServeCmd(a), newDoctorCmd(a), newClientCmd(a),
		newUserCmd(a), newPackageCmd(a), newNASCmd(a), newPoolCmd(a), newDictionaryCmd(a))
	return root
}
