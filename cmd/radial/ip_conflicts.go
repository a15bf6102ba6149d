package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/store"
)

// claimantView is a side of a conflict in JSON.
type claimantView struct {
	User      string `json:"username"`
	MAC       string `json:"mac"`
	NAS       string `json:"nas"`
	Session   string `json:"session_id"`
	RadacctID int64  `json:"radacctid,omitempty"`
}

func claimantOf(c store.Claimant) claimantView {
	v := claimantView{User: c.User, MAC: c.MAC, Session: c.Session, RadacctID: c.RadacctID}
	if c.NAS.IsValid() {
		v.NAS = c.NAS.String()
	}
	return v
}

func (v claimantView) String() string {
	var words []string
	for _, w := range []string{v.User, v.MAC, v.Session} {
		if w != "" {
			words = append(words, w)
		}
	}
	text := strings.Join(words, " ")
	if v.NAS != "" {
		text += " at " + v.NAS
	}
	return orDash(text)
}

// conflictView is a conflict in JSON.
type conflictView struct {
	Kind    string       `json:"kind"` // lease, double, static, twice, prefix
	Open    bool         `json:"open"`
	Address string       `json:"address"`
	VRF     string       `json:"vrf"`
	By      claimantView `json:"by"`
	State   string       `json:"state"`
	Holder  claimantView `json:"holder"`
	First   *time.Time   `json:"first_at"`
	Last    time.Time    `json:"last_at"`
	Times   int64        `json:"times"`
}

const conflictsHelp = `Addresses that two have, or claim:
  lease   a session reports an address that another session holds
  double  two open sessions have one address, by radacct
  static  a user's static address is leased to, or reserved for, somebody else; it becomes his when it is given back
  twice   two users have the same static address
  prefix  a user's static prefix holds many leases of a pool: exclude it from the pool's subnet`

func newIPConflictsCmd(a *app) *cobra.Command {
	var all bool
	var limit int
	var vrf string
	cmd := &cobra.Command{
		Use:   "conflicts",
		Short: "List addresses that two sessions or users have",
		Long:  conflictsHelp,
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPage(limit, 0); err != nil {
				return err
			}
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error { return d.conflicts(cmd.Context(), vrf, all, limit) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those of the past too")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many of each kind at most")
	cmd.Flags().StringVar(&vrf, "vrf", "", "in the address space of that `name`")
	return cmd
}

func (d *ipDesk) conflicts(ctx context.Context, vrf string, all bool, limit int) error {
	id, err := d.vrfNamed(ctx, vrf)
	if err != nil {
		return err
	}
	found, err := d.db.AddressConflicts(ctx, id, all, limit)
	if err != nil {
		return err
	}
	views := make([]conflictView, len(found))
	for i, c := range found {
		views[i] = conflictView{
			Kind: c.Kind, Open: c.Open, Address: addressText(c.Address), VRF: d.vrfs[c.VRF], By: claimantOf(c.By),
			State: c.State, Holder: claimantOf(c.Holder), First: c.First, Last: c.Last, Times: c.Times,
		}
	}
	return d.print(views, func() string {
		g := grid{titles: []string{"kind", "address", "vrf", "claimed by", "state", "holder", "first", "last", "times"}}
		for _, v := range views {
			kind := v.Kind
			if !v.Open {
				kind += " (over)"
			}
			g.add(kind, v.Address, orDash(v.VRF), v.By.String(), v.State, v.Holder.String(), d.timeOr(v.First), d.timeOr(&v.Last), fmt.Sprint(v.Times))
		}
		return g.String()
	})
}
