package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/nas"
	"radial/nas/routeros"
)

func addrOrDash(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// secretFlags are those of PPP secrets and VPN accounts.
func secretFlags() []objectFlag[routeros.Secret] {
	type s = routeros.Secret
	return []objectFlag[s]{
		{name: "profile", usage: "`name` of a PPP profile of the router", set: setText(func(o *s) *string { return &o.Profile })},
		{name: "local-address", usage: "the router's `address` in the session", set: setAddr(func(o *s) *netip.Addr { return &o.LocalAddress })},
		{name: "remote-address", usage: "the subscriber's `address`", set: setAddr(func(o *s) *netip.Addr { return &o.RemoteAddress })},
		{name: "remote-ipv6-prefix", usage: "the subscriber's IPv6 `prefix`", set: setText(func(o *s) *string { return &o.RemoteIPv6Prefix })},
		{name: "caller-id", usage: "from where alone he may come: a MAC or an address, as `text`", set: setText(func(o *s) *string { return &o.CallerID })},
		{name: "routes", usage: "`networks` behind him, in the router's form", set: setText(func(o *s) *string { return &o.Routes })},
		{name: "limit-bytes-in", usage: "`octets` from him until the session ends; 0 is no limit", set: setCount(func(o *s) *uint64 { return &o.LimitIn })},
		{name: "limit-bytes-out", usage: "`octets` to him", set: setCount(func(o *s) *uint64 { return &o.LimitOut })},
		{name: "disabled", usage: "`yes` or no: he cannot log in", boolean: true, set: setFlag(func(o *s) *bool { return &o.Disabled })},
	}
}

func secretNoun() objectNoun[routeros.Secret] {
	return objectNoun[routeros.Secret]{
		use: "secret", short: "PPP secrets: subscribers whom a router knows by itself", kind: routeros.KindSecret,
		scope: "service", scopeUsage: "`service`: any, async or pppoe (pppoe unless told)", scopeFresh: "pppoe",
		fresh:    func(name, scope string) routeros.Secret { return routeros.Secret{Name: name, Service: scope} },
		flags:    secretFlags(),
		password: func(o *routeros.Secret, s nas.Secret) { o.Password = s },
		titles:   []string{"secret", "service", "profile", "remote address", "caller id", "disabled"},
		cells: func(o routeros.Secret) []string {
			return []string{o.Name, o.Service, o.Profile, addrOrDash(o.RemoteAddress), orDash(o.CallerID), yesNo(o.Disabled)}
		},
		examples: `  radial router secret add pop1 alice --password-stdin --profile gold --remote-address 10.0.0.9 < password
  radial router secret set pop1 alice --disabled`,
	}
}

func vpnNoun() objectNoun[routeros.Secret] {
	n := secretNoun()
	n.use, n.short, n.kind = "vpn", "VPN accounts (L2TP, PPTP, SSTP, OpenVPN), and the servers for them", routeros.KindVPN
	n.scopeUsage, n.scopeFresh = "`service`: l2tp, ovpn, pptp or sstp (l2tp unless told)", "l2tp"
	n.titles[0] = "account"
	n.examples = `  radial router vpn add pop1 carol --service sstp --password-stdin < password
  radial router vpn server pop1 l2tp --enabled --use-ipsec required --ipsec-secret-stdin < secret`
	return n
}

func profileNoun() objectNoun[routeros.Profile] {
	type p = routeros.Profile
	return objectNoun[p]{
		use: "profile", short: "PPP profiles: what sessions of a router get", kind: routeros.KindProfile,
		fresh: func(name, _ string) p { return p{Name: name} },
		flags: []objectFlag[p]{
			{name: "local-address", usage: "the router's `address`, or the name of one of its pools", set: setText(func(o *p) *string { return &o.LocalAddress })},
			{name: "remote-address", usage: "the subscriber's `address`, or the name of a pool of the router", set: setText(func(o *p) *string { return &o.RemoteAddress })},
			{name: "rate-limit", usage: "`upload/download` and bursts in RouterOS's form: 20M/100M; \"\" is none", set: setText(func(o *p) *string { return &o.RateLimit })},
			{name: "session-timeout", usage: "`duration` of a session at most; 0 is none", set: setSpan(func(o *p) *routeros.Span { return &o.SessionTimeout })},
			{name: "idle-timeout", usage: "`duration` without traffic; 0 is none", set: setSpan(func(o *p) *routeros.Span { return &o.IdleTimeout })},
			{name: "only-one", usage: "one session for each user: `yes`, no or default", set: setText(func(o *p) *string { return &o.OnlyOne })},
			{name: "dns", usage: "name `servers`, with commas", set: setServers},
			{name: "address-list", usage: "firewall `list` that gets the address", set: setText(func(o *p) *string { return &o.AddressList })},
			{name: "parent-queue", usage: "`queue` above that of a session", set: setText(func(o *p) *string { return &o.ParentQueue })},
		},
		titles: []string{"profile", "local address", "remote address", "rate up/down", "session timeout", "idle timeout"},
		cells: func(o p) []string {
			return []string{o.Name, orDash(o.LocalAddress), orDash(o.RemoteAddress), orDash(o.RateLimit), orDash(o.SessionTimeout.String()), orDash(o.IdleTimeout.String())}
		},
		examples: `  radial router profile add pop1 gold --local-address 10.0.0.1 --remote-address clients --rate-limit 20M/100M`,
	}
}

func setServers(o *routeros.Profile, text string) error {
	o.DNS = nil
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		a, err := netip.ParseAddr(part)
		if err != nil {
			return fmt.Errorf("%q: want IP addresses with commas", text)
		}
		o.DNS = append(o.DNS, a)
	}
	return nil
}

func ipPoolNoun() objectNoun[routeros.IPPool] {
	type p = routeros.IPPool
	return objectNoun[p]{
		use: "ippool", short: "Pools of addresses on a router (Radial's own are radial pool)", kind: routeros.KindIPPool,
		fresh: func(name, _ string) p { return p{Name: name} },
		check: ipPoolFree, checked: "ranges",
		flags: []objectFlag[p]{
			{name: "ranges", usage: "`ranges` with commas: 10.0.0.2-10.0.0.254,10.1.0.0/24", set: setWords(func(o *p) *[]string { return &o.Ranges })},
			{name: "next-pool", usage: "`name` of the pool to go on with when it is empty", set: setText(func(o *p) *string { return &o.NextPool })},
		},
		titles:   []string{"pool", "ranges", "next pool"},
		cells:    func(o p) []string { return []string{o.Name, strings.Join(o.Ranges, ","), orDash(o.NextPool)} },
		examples: `  radial router ippool add pop1 clients --ranges 10.0.0.2-10.0.0.254`,
	}
}

func queueNoun() objectNoun[routeros.Queue] {
	type q = routeros.Queue
	return objectNoun[q]{
		use: "queue", short: "Simple queues; pairs are upload/download", kind: routeros.KindQueue,
		fresh: func(name, _ string) q { return q{Name: name} },
		flags: []objectFlag[q]{
			{name: "target", usage: "`whose` traffic: addresses, networks, interfaces, with commas", set: setWords(func(o *q) *[]string { return &o.Target })},
			{name: "parent", usage: "`name` of the queue above it; \"\" is none", set: setText(func(o *q) *string { return &o.Parent })},
			{name: "max-limit", usage: "`upload/download`, as 20M/100M", set: setRates(func(o *q) *routeros.RatePair { return &o.MaxLimit })},
			{name: "limit-at", usage: "what is granted, `upload/download`", set: setRates(func(o *q) *routeros.RatePair { return &o.LimitAt })},
			{name: "burst-limit", usage: "`upload/download`", set: setRates(func(o *q) *routeros.RatePair { return &o.BurstLimit })},
			{name: "burst-threshold", usage: "`upload/download`", set: setRates(func(o *q) *routeros.RatePair { return &o.BurstThreshold })},
			{name: "burst-time", usage: "`upload/download`, as 10s/10s", set: setBurstTime},
			{name: "priority", usage: "1 (best) to 8, `upload/download`", set: setPriority},
			{name: "disabled", usage: "`yes` or no", boolean: true, set: setFlag(func(o *q) *bool { return &o.Disabled })},
		},
		titles: []string{"queue", "target", "max-limit up/down", "burst-limit", "priority", "parent", "disabled"},
		cells: func(o q) []string {
			return []string{
				o.Name, strings.Join(o.Target, ","), o.MaxLimit.String(), o.BurstLimit.String(), fmt.Sprintf("%d/%d", o.Priority.Up, o.Priority.Down),
				orDash(o.Parent), yesNo(o.Disabled),
			}
		},
		examples: `  radial router queue add pop1 office --target 10.0.0.0/28 --max-limit 20M/100M --burst-limit 40M/200M --burst-threshold 15M/75M --burst-time 10s`,
	}
}

func setBurstTime(o *routeros.Queue, text string) error {
	up, down := routeros.ParsePair(text)
	for _, way := range []struct {
		text string
		into *routeros.Span
	}{{up, &o.BurstTime.Up}, {down, &o.BurstTime.Down}} {
		t, err := routeros.ParseDuration(way.text)
		if err != nil {
			return err
		}
		*way.into = routeros.Span(t)
	}
	return nil
}

func setPriority(o *routeros.Queue, text string) error {
	up, down := routeros.ParsePair(text)
	u, errUp := strconv.Atoi(up)
	d, errDown := strconv.Atoi(down)
	if errUp != nil || errDown != nil || u < 1 || u > 8 || d < 1 || d > 8 {
		return fmt.Errorf("%q: want 1 (best) to 8, or two of them as 3/5", text)
	}
	o.Priority = routeros.IntPair{Up: u, Down: d}
	return nil
}

func hotspotNoun() objectNoun[routeros.HotspotUser] {
	type u = routeros.HotspotUser
	return objectNoun[u]{
		use: "hotspot", short: "Hotspot users whom a router knows by itself", kind: routeros.KindHotspot,
		scope: "server", scopeUsage: "`name` of the hotspot (all unless told)", scopeFresh: "all",
		fresh:    func(name, scope string) u { return u{Name: name, Server: scope} },
		password: func(o *u, s nas.Secret) { o.Password = s },
		flags: []objectFlag[u]{
			{name: "profile", usage: "`name` of a hotspot user profile of the router", set: setText(func(o *u) *string { return &o.Profile })},
			{name: "mac", usage: "the `MAC` from which alone he may come", set: setText(func(o *u) *string { return &o.MAC })},
			{name: "address", usage: "his `address`", set: setAddr(func(o *u) *netip.Addr { return &o.Address })},
			{name: "limit-uptime", usage: "`duration` online in all; 0 is no limit", set: setSpan(func(o *u) *routeros.Span { return &o.LimitUptime })},
			{name: "limit-bytes-in", usage: "`octets` from him; 0 is no limit", set: setCount(func(o *u) *uint64 { return &o.LimitIn })},
			{name: "limit-bytes-out", usage: "`octets` to him", set: setCount(func(o *u) *uint64 { return &o.LimitOut })},
			{name: "limit-bytes-total", usage: "`octets` both ways", set: setCount(func(o *u) *uint64 { return &o.LimitTotal })},
			{name: "email", usage: "his `address` for mail", set: setText(func(o *u) *string { return &o.Email })},
			{name: "disabled", usage: "`yes` or no: he cannot log in", boolean: true, set: setFlag(func(o *u) *bool { return &o.Disabled })},
		},
		titles: []string{"user", "server", "profile", "mac", "address", "limit uptime", "disabled"},
		cells: func(o u) []string {
			return []string{o.Name, o.Server, o.Profile, orDash(o.MAC), addrOrDash(o.Address), orDash(o.LimitUptime.String()), yesNo(o.Disabled)}
		},
		examples: `  radial router hotspot add pop1 guest --password-stdin --limit-uptime 2h < password`,
	}
}

func firewallNoun() objectNoun[routeros.Rule] {
	type r = routeros.Rule
	text := func(name, usage string, field func(o *r) *string) objectFlag[r] {
		return objectFlag[r]{name: name, usage: usage, set: setText(field)}
	}
	return objectNoun[r]{
		use: "firewall", short: "Filter rules; ours have a name in their comment", kind: routeros.KindFirewall, place: true,
		fresh: func(name, _ string) r { return r{Name: name, Action: "accept"} },
		flags: []objectFlag[r]{
			text("chain", "`chain`: input, forward, output, or one of the router's own", func(o *r) *string { return &o.Chain }),
			text("action", "`action`: "+strings.Join(routeros.RuleActions(), ", "), func(o *r) *string { return &o.Action }),
			text("protocol", "`protocol`: tcp, udp, icmp, a number", func(o *r) *string { return &o.Protocol }),
			text("src-address", "`address`, network or range; ! before it for all others", func(o *r) *string { return &o.SrcAddress }),
			text("dst-address", "`address`, network or range", func(o *r) *string { return &o.DstAddress }),
			text("src-port", "`ports`: 53, 80,443, 1000-2000", func(o *r) *string { return &o.SrcPort }),
			text("dst-port", "`ports`", func(o *r) *string { return &o.DstPort }),
			text("in-interface", "`interface`", func(o *r) *string { return &o.InInterface }),
			text("out-interface", "`interface`", func(o *r) *string { return &o.OutInterface }),
			text("in-interface-list", "`list` of interfaces", func(o *r) *string { return &o.InInterfaceList }),
			text("out-interface-list", "`list` of interfaces", func(o *r) *string { return &o.OutInterfaceList }),
			text("src-address-list", "`list` of addresses", func(o *r) *string { return &o.SrcAddressList }),
			text("dst-address-list", "`list` of addresses", func(o *r) *string { return &o.DstAddressList }),
			text("address-list", "`list` to which an action adds", func(o *r) *string { return &o.AddressList }),
			{name: "address-list-timeout", usage: "`duration` for which it adds; 0 is for ever", set: setSpan(func(o *r) *routeros.Span { return &o.AddressListTimeout })},
			{name: "connection-state", usage: "`states` with commas: established, invalid, new, related, untracked", set: setWords(func(o *r) *[]string { return &o.ConnectionState })},
			text("jump-target", "`chain` to jump to", func(o *r) *string { return &o.JumpTarget }),
			text("reject-with", "what a rejected packet's sender is `told`", func(o *r) *string { return &o.RejectWith }),
			{name: "log", usage: "`yes` or no", boolean: true, set: setFlag(func(o *r) *bool { return &o.Log })},
			text("log-prefix", "`text` before its lines in the log", func(o *r) *string { return &o.LogPrefix }),
			{name: "disabled", usage: "`yes` or no", boolean: true, set: setFlag(func(o *r) *bool { return &o.Disabled })},
		},
		titles: []string{"rule", "chain", "action", "protocol", "src", "dst", "disabled"},
		cells: func(o r) []string {
			side := func(address, list, port string) string {
				if address == "" {
					address = list
				}
				if port != "" {
					port = ":" + port
				}
				return orDash(address + port)
			}
			return []string{
				orDash(o.Name), o.Chain, o.Action, orDash(o.Protocol), side(o.SrcAddress, o.SrcAddressList, o.SrcPort),
				side(o.DstAddress, o.DstAddressList, o.DstPort), yesNo(o.Disabled),
			}
		},
		examples: `  radial router firewall add pop1 no-mail --chain forward --action drop --protocol tcp --dst-port 25 --src-address-list clients --before first
  radial router firewall set pop1 no-mail --before '*5'`,
	}
}

// routerThings are the nouns and verbs for what stands on a router.
func routerThings(a *app) []*cobra.Command {
	return []*cobra.Command{
		secretNoun().command(a), profileNoun().command(a), ipPoolNoun().command(a), queueNoun().command(a), hotspotNoun().command(a),
		vpnNoun().command(a, newVPNServerCmd(a), newVPNStatusCmd(a)), firewallNoun().command(a),
		newRouterActiveCmd(a), newRouterInterfacesCmd(a), newRouterMapCmd(a), newRouterSpeedCmd(a), newRouterImportCmd(a), newRouterSyncCmd(a),
	}
}
