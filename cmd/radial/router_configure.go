package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/radius"
)

// setupFlags are the flags of router configure.
type setupFlags struct {
	parts                                map[routeros.Part]*bool
	servers, pools, dns, pppoe           []string
	localAddress, maxLimit, target       string
	hotspot, hotspotAddress, hotspotPool string
	interim                              time.Duration
	dryRun, noProof, yes                 bool
}

func (f *setupFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	f.parts = map[routeros.Part]*bool{}
	for _, p := range []struct {
		part routeros.Part
		what string
	}{
		{routeros.PartPPP, "the PPP profile \"radial\": the router's own address, DNS"},
		{routeros.PartPools, "pools of addresses on the router itself: --pool"},
		{routeros.PartHotspot, "a hotspot on --hotspot-interface, which asks RADIUS"},
		{routeros.PartPPPoE, "a PPPoE server on each --pppoe-interface"},
		{routeros.PartFirewall, "rules, before all others, that let in ICMP, what belongs to connections, the API and CoA from the servers"},
		{routeros.PartQueue, "a queue type that shares fairly, and, with --max-limit, a parent queue for all"},
		{routeros.PartRADIUS, "RADIUS for PPP with accounting, interims and incoming CoA; then the way is proven"},
	} {
		f.parts[p.part] = fl.Bool(string(p.part), false, p.what)
	}
	fl.StringArrayVar(&f.servers, "server", nil, "RADIUS server as `address` or address:auth-port:acct-port, in the order of asking; may be repeated; routers.radius_servers unless told")
	fl.DurationVar(&f.interim, "interim", 5*time.Minute, "interim interval where a login's reply does not say")
	fl.StringArrayVar(&f.pools, "pool", nil, "a pool on the router, `NAME=RANGES`, its name beginning with radial-: radial-hotspot=10.5.50.2-10.5.50.254; may be repeated")
	fl.StringVar(&f.localAddress, "local-address", "", "the router's own `address` in PPP sessions")
	fl.StringSliceVar(&f.dns, "dns", nil, "`addresses` of DNS servers for PPP sessions")
	fl.StringVar(&f.maxLimit, "max-limit", "", "`UPLOAD/DOWNLOAD` of all subscribers together, as in 1G/2G")
	fl.StringVar(&f.target, "target", "", "the `networks` that --max-limit is for, with commas between")
	fl.StringArrayVar(&f.pppoe, "pppoe-interface", nil, "`interface` for a PPPoE server; may be repeated")
	fl.StringVar(&f.hotspot, "hotspot-interface", "", "`interface` of the hotspot")
	fl.StringVar(&f.hotspotAddress, "hotspot-address", "", "the router's `address` on it")
	fl.StringVar(&f.hotspotPool, "hotspot-pool", "", "`name` of the pool on the router that its clients get addresses of")
	fl.BoolVar(&f.dryRun, "dry-run", false, "show what would be changed, and change nothing")
	yesFlag(cmd, &f.yes)
	fl.BoolVar(&f.noProof, "no-proof", false, "do not prove the way after --radius")
}

func newRouterConfigureCmd(a *app) *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "configure NAME",
		Short: "Set a router up for RADIUS; shows what it would change, asks, and can take it back",
		Long: `Compares a router with what the named parts should be, shows the difference, asks, and makes it so. Done again it changes nothing, and asks nothing. What Radial makes has
its tag in the comment ("radial …"), or, where there are no comments, a name that is "radial" or begins with "radial-"; items of others are
never touched, and rules and servers of ours stand before theirs. Everything is recorded with what was there before: radial router undo.
If the connection breaks in the middle, the same command again does the rest.`,
		Example: `  radial router configure pop1 --radius --firewall --dry-run
  radial router configure pop1 --radius --ppp --local-address 100.64.0.1 --dns 192.0.2.53 --pppoe --pppoe-interface ether2
  radial router configure pop1 --pools --pool radial-hotspot=10.5.50.2-10.5.50.254 --hotspot --hotspot-interface ether4 --hotspot-pool radial-hotspot`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.setup()
			if err != nil {
				return err
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error { return d.configure(cmd.Context(), args[0], s, f) })
		},
	}
	f.register(cmd)
	return cmd
}

// setup reads the flags; what the router's rows say is still missing in it.
func (f *setupFlags) setup() (routeros.Setup, error) {
	s := routeros.Setup{
		Interim: f.interim, LocalAddress: f.localAddress, DNS: f.dns, MaxLimit: f.maxLimit, Target: f.target,
		PPPoE: f.pppoe, Hotspot: f.hotspot, HotspotAddress: f.hotspotAddress, HotspotPool: f.hotspotPool,
	}
	for _, p := range routeros.Parts() {
		if *f.parts[p] {
			s.Parts = append(s.Parts, p)
		}
	}
	has := func(p routeros.Part) bool { return slices.Contains(s.Parts, p) }
	for _, text := range f.pools {
		name, ranges, ok := strings.Cut(text, "=")
		if !ok || name != routeros.OwnName && !strings.HasPrefix(name, routeros.OwnName+"-") || !rangesOK(ranges) {
			return s, usagef("--pool %q: want NAME=RANGES, the name beginning with radial-, as in radial-hotspot=10.5.50.2-10.5.50.254", text)
		}
		s.Pools = append(s.Pools, routeros.AddressPool{Name: name, Ranges: ranges})
	}
	for flag, text := range map[string]string{"local-address": f.localAddress, "hotspot-address": f.hotspotAddress} {
		if _, err := netip.ParseAddr(text); text != "" && err != nil {
			return s, usagef("--%s %q: want an address such as 100.64.0.1", flag, text)
		}
	}
	for _, text := range f.dns {
		if _, err := netip.ParseAddr(text); err != nil {
			return s, usagef("--dns %q: want an address such as 192.0.2.53", text)
		}
	}
	if up, down, ok := strings.Cut(f.maxLimit, "/"); f.maxLimit != "" {
		_, errUp := nas.ParseRate(up)
		_, errDown := nas.ParseRate(down)
		if !ok || errUp != nil || errDown != nil {
			return s, usagef("--max-limit %q: want UPLOAD/DOWNLOAD, as in 1G/2G", f.maxLimit)
		}
	}
	switch {
	case len(s.Parts) == 0:
		return s, usagef("router configure: say what: --ppp, --pools, --hotspot, --pppoe, --firewall, --queue, --radius")
	case has(routeros.PartPools) && len(s.Pools) == 0:
		return s, usagef("--pools needs the pools: --pool NAME=RANGES")
	case has(routeros.PartPPPoE) && len(s.PPPoE) == 0:
		return s, usagef("--pppoe needs the interfaces: --pppoe-interface NAME")
	case has(routeros.PartHotspot) && s.Hotspot == "":
		return s, usagef("--hotspot needs the interface: --hotspot-interface NAME")
	case (s.MaxLimit == "") != (s.Target == ""):
		return s, usagef("--max-limit and --target go together: a limit, and the networks that it is for")
	case s.Interim < time.Minute && s.Interim != 0:
		return s, usagef("--interim %s: want 1m or more, 0 for none", s.Interim)
	}
	return s, nil
}

// configure sets a router up, and proves the way where it is about RADIUS.
func (d *routerDesk) configure(ctx context.Context, name string, s routeros.Setup, f setupFlags) error {
	r, err := d.db.Router(ctx, name)
	if err != nil {
		return err
	}
	device, err := d.deviceOf(ctx, r, s.Parts)
	if err != nil {
		return err
	}
	for _, p := range s.Pools {
		if err := d.freeOfPools(ctx, device, p.Name, strings.Split(p.Ranges, ",")); err != nil {
			return err
		}
	}
	c, err := d.dial(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // what it was opened for has been done, or has told its own error
	if err := d.fill(&s, r, device, c, f.servers); err != nil {
		return err
	}
	would, err := routeros.Configure(ctx, c, s, true)
	if err != nil {
		return err
	}
	view := configureView{Router: name, DryRun: f.dryRun, Changes: maskedChanges(would)}
	if len(would) > 0 && !f.dryRun {
		if err := d.agreed(&view, f.yes); err != nil {
			return err
		}
		parts := make([]string, len(s.Parts))
		for i, p := range s.Parts {
			parts[i] = string(p)
		}
		view.ID, err = d.recorded(ctx, r, recording{action: "router.configure", parts: parts, would: would}, func() ([]routeros.Applied, error) {
			return routeros.Configure(ctx, c, s, false)
		})
		if err != nil {
			return errors.Join(d.print(view, view.text), err)
		}
	}
	var unproven error
	if slices.Contains(s.Parts, routeros.PartRADIUS) && !f.dryRun && !f.noProof {
		if view.Proof, err = d.prove(ctx, r, device, c, s.Servers, radius.Login{}); err != nil {
			return errors.Join(d.print(view, view.text), err)
		}
		unproven = view.Proof.failure(name)
	}
	return errors.Join(d.print(view, view.text), unproven)
}

// dial connects to a router by its own name's login.
func (d *routerDesk) dial(ctx context.Context, name string) (*routeros.Conn, error) {
	login, err := d.book.Login(ctx, name)
	if err != nil {
		return nil, err
	}
	return routeros.Dial(ctx, login)
}

// deviceOf is the row of nas that a router is linked to; nil where there is
// none and none of the parts needs it.
func (d *routerDesk) deviceOf(ctx context.Context, r aaa.Router, parts []routeros.Part) (*aaa.Device, error) {
	if r.NASID != 0 {
		found, err := d.db.DevicesNamed(ctx, fmt.Sprintf("id:%d", r.NASID))
		if err != nil {
			return nil, err
		}
		if len(found) == 1 {
			return &found[0], nil
		}
	}
	if slices.Contains(parts, routeros.PartRADIUS) || slices.Contains(parts, routeros.PartHotspot) || slices.Contains(parts, routeros.PartFirewall) {
		return nil, fmt.Errorf("router %q is linked to no device: its RADIUS secret and CoA port are those of a row of nas; radial router set %s --nas DEVICE links it: %w", r.Name, r.Name, aaa.ErrInvalid)
	}
	return nil, nil
}

// fill puts into a set-up what the rows and the configuration say.
func (d *routerDesk) fill(s *routeros.Setup, r aaa.Router, device *aaa.Device, c *routeros.Conn, servers []string) error {
	conf, err := d.config()
	if err != nil {
		return err
	}
	if len(servers) == 0 {
		servers = conf.Routers.Servers
	}
	auth, acct := portOf(conf.Radius.AuthListen, 1812), portOf(conf.Radius.AcctListen, 1813)
	for _, text := range servers {
		server, err := routeros.ParseServer(text, auth, acct)
		if err != nil {
			return usageError{err}
		}
		s.Servers = append(s.Servers, server)
	}
	if len(s.Servers) == 0 {
		if !c.Local().IsValid() {
			return usagef("--server ADDRESS: the RADIUS server as the router reaches it")
		}
		s.Servers = []routeros.Server{{Address: c.Local(), AuthPort: auth, AcctPort: acct}}
	}
	s.APIPort = r.Port
	if device != nil {
		s.Secret, s.CoAPort, s.Source = device.Secret, device.CoAPort, addressOfDevice(device)
	}
	return nil
}

// addressOfDevice is the one address of a device; a network and a host name have
// none.
func addressOfDevice(d *aaa.Device) netip.Addr {
	if n, err := nas.ParseName(d.Name); err == nil && n.Kind == nas.NameAddress {
		return n.Prefix.Addr()
	}
	return netip.Addr{}
}

// portOf is the port of the first address that is listened on.
func portOf(listen []string, otherwise uint16) uint16 {
	for _, l := range listen {
		if a, err := netip.ParseAddrPort("0.0.0.0" + l[max(strings.LastIndexByte(l, ':'), 0):]); err == nil && a.Port() != 0 {
			return a.Port()
		}
	}
	return otherwise
}
