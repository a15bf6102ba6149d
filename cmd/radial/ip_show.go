package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"radial/store"
)

// sessionView is an open session in JSON.
type sessionView struct {
	RadacctID int64      `json:"radacctid"`
	Session   string     `json:"session_id"`
	User      string     `json:"username"`
	MAC       string     `json:"mac"`
	NAS       string     `json:"nas"`
	Port      string     `json:"port"`
	Start     *time.Time `json:"started_at"`
	Update    *time.Time `json:"updated_at"`
	In        int64      `json:"octets_in"`  // from the subscriber
	Out       int64      `json:"octets_out"` // to the subscriber
}

// addressDetail is an address with its session in JSON.
type addressDetail struct {
	addressView
	OpenSession *sessionView `json:"session"`
}

func newIPShowCmd(a *app) *cobra.Command {
	var t ipTarget
	cmd := &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show an address: its pool, who has it, and the open session",
		Args:  named("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.at(cmd, a, args[0], func(d *ipDesk, vrf int32, address netip.Prefix) error {
				return d.show(cmd.Context(), vrf, address)
			})
		},
	}
	t.register(cmd)
	return cmd
}

func (d *ipDesk) show(ctx context.Context, vrf int32, address netip.Prefix) error {
	row, err := d.db.AddressAt(ctx, vrf, address)
	if err != nil {
		return err
	}
	s, err := d.db.SessionAt(ctx, row)
	if err != nil {
		return err
	}
	v := addressDetail{addressView: addressViewOf(row, d.vrfs), OpenSession: sessionViewOf(s)}
	return d.print(v, func() string { return d.detail(v) })
}

func sessionViewOf(s *store.OpenSession) *sessionView {
	if s == nil {
		return nil
	}
	return &sessionView{
		RadacctID: s.RadacctID, Session: s.Session, User: s.User, MAC: s.MAC, NAS: s.NAS.String(), Port: s.Port,
		Start: s.Start, Update: s.Update, In: s.In, Out: s.Out,
	}
}

func (d *ipDesk) detail(v addressDetail) string {
	g := grid{}
	g.add("address", v.Address)
	g.add("pool", v.Pool)
	g.add("subnet", orDash(v.Subnet))
	g.add("vrf", v.VRF)
	g.add("state", v.State)
	switch who := "user"; v.State {
	case "free", "cooling":
		g.add("last "+who, orDash(v.User))
		g.add("last mac", orDash(v.MAC))
	default:
		g.add(who, orDash(v.User))
		g.add("mac", orDash(v.MAC))
		g.add("nas", orDash(v.NAS))
		g.add("port", orDash(v.Port))
	}
	if v.State == "reserved" {
		g.add("reason", orDash(v.Reason))
	}
	g.add("since", d.timeOr(v.Since))
	g.add("until", d.timeOr(v.Until))
	if s := v.OpenSession; s != nil {
		g.add("session", s.Session)
		g.add("  of", fmt.Sprintf("%s %s at %s %s", s.User, orDash(s.MAC), s.NAS, orDash(s.Port)))
		g.add("  began", d.timeOr(s.Start))
		g.add("  last news", d.timeOr(s.Update))
	} else {
		g.add("session", "-")
	}
	return g.String()
}
