package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
)

func newVPNServerCmd(a *app) *cobra.Command {
	var enabled, dryRun, secretStdin bool
	var profile, auth, ipsec, secret, certificate string
	cmd := &cobra.Command{
		Use:   "server ROUTER SERVICE",
		Short: "Switch a router's VPN server on or off, and set what its sessions get",
		Args:  named("ROUTER", "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				psk, err := d.secretInput("ipsec-secret", secret, secretStdin)
				if err != nil {
					return err
				}
				v := routeros.VPNServer{
					Service: args[1], Enabled: given(cmd, "enabled", enabled), Profile: profile, IPsec: ipsec, IPsecSecret: nas.Secret(psk), Certificate: certificate,
				}
				if auth != "" {
					v.Authentication = strings.Split(auth, ",")
				}
				return d.vpnServer(cmd, args[0], v, dryRun)
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&enabled, "enabled", false, "serve it; --enabled=false stops")
	fl.StringVar(&profile, "default-profile", "", "`name` of the PPP profile of its sessions")
	fl.StringVar(&auth, "authentication", "", "`methods` with commas: pap, chap, mschap1, mschap2")
	fl.StringVar(&ipsec, "use-ipsec", "", "of l2tp: `yes`, no or required")
	fl.StringVar(&secret, "ipsec-secret", "", "the `secret` of IPsec; visible in the list of processes, see --ipsec-secret-stdin")
	fl.BoolVar(&secretStdin, "ipsec-secret-stdin", false, "read the secret from the first line of stdin")
	fl.StringVar(&certificate, "certificate", "", "of sstp and ovpn: `name` of a certificate of the router")
	fl.BoolVar(&dryRun, "dry-run", false, "ask the router and change nothing")
	return cmd
}

// vpnServer sets a server. Its settings are no item that could be ours, so there
// is no record of them but the audit.
func (d *routerDesk) vpnServer(cmd *cobra.Command, router string, v routeros.VPNServer, dryRun bool) error {
	var done routeros.Change
	err := d.write(cmd.Context(), router, func(c *routeros.Conn) (err error) {
		done, err = routeros.PutVPNServer(cmd.Context(), c, v, dryRun)
		return err
	})
	if err != nil {
		return err
	}
	if done.Action == routeros.Changed && !dryRun {
		detail := aaa.Audit{"vpn server": v.Service, "changes": changesOf(done)}
		if err := d.db.NoteChange(cmd.Context(), d.by("router.vpn.server", false), router, detail); err != nil {
			return err
		}
	}
	return d.did("vpn server", v.Service, string(done.Action), dryRun, changesOf(done))
}

// vpnStatus is what status shows.
type vpnStatus struct {
	Servers  []routeros.VPNServer `json:"servers"`
	Sessions []routeros.Active    `json:"sessions"`
}

func newVPNStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status ROUTER",
		Short: "Show a router's VPN servers, and who is connected by them",
		Args:  named("ROUTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				v := vpnStatus{Sessions: []routeros.Active{}}
				err := d.read(cmd.Context(), args[0], func(c *routeros.Conn) (err error) {
					if v.Servers, err = routeros.VPNServers(cmd.Context(), c); err != nil {
						return err
					}
					all, err := routeros.Sessions(cmd.Context(), c)
					v.Sessions = slices.DeleteFunc(all, func(s routeros.Active) bool {
						return !slices.Contains(routeros.VPNServices(), s.Service) || s.Menu != "ppp"
					})
					return err
				})
				if err != nil {
					return err
				}
				return d.print(v, v.text)
			})
		},
	}
}

func (v vpnStatus) text() string {
	servers := grid{titles: []string{"server", "enabled", "profile", "authentication", "ipsec", "certificate", "sessions"}}
	for _, s := range v.Servers {
		n := 0
		for _, a := range v.Sessions {
			if a.Service == s.Service {
				n++
			}
		}
		servers.add(s.Service, yesNo(s.Enabled != nil && *s.Enabled), orDash(s.Profile), orDash(strings.Join(s.Authentication, ",")), orDash(s.IPsec), orDash(s.Certificate), count(n))
	}
	return servers.String() + "\n" + activeTable(v.Sessions)
}
