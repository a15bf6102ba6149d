package main

import (
	"strconv"

	"github.com/spf13/cobra"
)

// vrfView is an address space in JSON.
type vrfView struct {
	Name    string `json:"name"`
	Pools   int    `json:"pools"`
	Subnets int    `json:"subnets"`
	Devices int    `json:"nas"`
}

func newVRFCmd(a *app) *cobra.Command {
	return nounOf("vrf", "Address spaces: in each an address may be given once", newVRFListCmd(a))
}

func newVRFListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List address spaces, and what is in them",
		Long: `Lists the address spaces (VRFs) by name, with how many pools and subnets each has, and how many devices lease from them. One is made by the first
radial pool add --vrf that names it; "default" is always there.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := db.VRFs(cmd.Context())
			if err != nil {
				return err
			}
			views := make([]vrfView, len(all))
			for i, v := range all {
				views[i] = vrfView(v)
			}
			return a.print(views, func() string {
				g := grid{titles: []string{"vrf", "pools", "subnets", "nas"}}
				for _, v := range views {
					g.add(v.Name, strconv.Itoa(v.Pools), strconv.Itoa(v.Subnets), strconv.Itoa(v.Devices))
				}
				return g.String()
			})
		},
	}
}
