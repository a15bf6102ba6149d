package routeros

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"radial/nas"
)

// Part is one of the things that Configure sets up.
type Part string

// The parts.
const (
	PartPools    Part = "pools"    // /ip/pool
	PartQueue    Part = "queue"    // a queue type that shares fairly, and a parent queue for all
	PartPPP      Part = "ppp"      // the profile of PPP sessions
	PartPPPoE    Part = "pppoe"    // PPPoE servers
	PartHotspot  Part = "hotspot"  // a hotspot, its profile, RADIUS for it
	PartRADIUS   Part = "radius"   // RADIUS for PPP, accounting, incoming CoA
	PartFirewall Part = "firewall" // what the router itself must take
)

// Parts lists all parts in the order in which they are set up: what others refer
// to first.
func Parts() []Part {
	return []Part{PartPools, PartQueue, PartPPP, PartPPPoE, PartHotspot, PartRADIUS, PartFirewall}
}

// OwnName is what items are called that have no comment to carry our tag: they
// are ours by their name, OwnName or what begins with it and a dash.
const OwnName = Tag

// Setup is what a router is to be set up for.
type Setup struct {
	Parts   []Part
	Servers []Server   // RADIUS servers in the order in which they are asked
	Secret  nas.Secret // between the router and all of them
	CoAPort uint16     // where the router takes CoA and Disconnect
	APIPort uint16     // that the firewall keeps open for the servers
	Interim time.Duration
	// Source is the address that the router is known by; it asks from there, if
	// the address is its own. Zero leaves it to the router.
	Source netip.Addr

	Pools        []AddressPool
	LocalAddress string   // of the router's side of PPP; "" leaves what is there
	DNS          []string // for PPP sessions; none leaves what is there
	MaxLimit     string   // of all subscribers together, upload/download; "" makes no parent queue
	Target       string   // the networks that MaxLimit is for

	PPPoE          []string // interfaces
	Hotspot        string   // interface
	HotspotAddress string   // of the router on it; "" leaves what is there
	HotspotPool    string   // name of an address pool on the router; "" leaves what is there
}

// Server is a RADIUS server as the router reaches it.
type Server struct {
	Address            netip.Addr
	AuthPort, AcctPort uint16
}

// AddressPool is a pool of addresses on the router.
type AddressPool struct {
	Name   string // OwnName, or beginning with it and a dash
	Ranges string // 10.0.0.2-10.0.0.9, several with commas between
}

func (s Setup) has(p Part) bool { return slices.Contains(s.Parts, p) }

// Check tells what a part lacks.
func (s Setup) Check() error {
	switch {
	case len(s.Parts) == 0:
		return errors.New("nothing to configure")
	case s.has(PartPools) && len(s.Pools) == 0:
		return errors.New("pools: no pool is named")
	case s.has(PartPPPoE) && len(s.PPPoE) == 0:
		return errors.New("pppoe: no interface is named")
	case s.has(PartHotspot) && s.Hotspot == "":
		return errors.New("hotspot: no interface is named")
	case (s.has(PartRADIUS) || s.has(PartHotspot)) && (s.Secret == "" || len(s.Servers) == 0):
		return errors.New("radius: no server, or no secret")
	case s.has(PartFirewall) && (len(s.Servers) == 0 || s.APIPort == 0):
		return errors.New("firewall: no server whose packets are to be taken")
	case (s.has(PartRADIUS) || s.has(PartFirewall)) && s.CoAPort == 0:
		return errors.New("radius: no port for CoA")
	case s.MaxLimit != "" && s.Target == "":
		return errors.New("queue: a limit without the networks that it is for")
	}
	for _, p := range s.Pools {
		if !ownName(p.Name) {
			return fmt.Errorf("pool %q: want a name that begins with %s-, which is how it is known as ours", p.Name, OwnName)
		}
	}
	return nil
}

func ownName(name string) bool { return name == OwnName || strings.HasPrefix(name, OwnName+"-") }

// Applied is a change that Configure made, or would make, with what finds the
// thing again.
type Applied struct {
	Part   Part   `json:"part"`
	Action Action `json:"action"`
	Path   string `json:"path"`
	Key    Row    `json:"key,omitempty"`   // nil: settings
	Named  bool   `json:"named,omitempty"` // ours by its name, as it has no comment
	Before Row    `json:"before,omitempty"`
	After  Row    `json:"after,omitempty"`
	Next   string `json:"next,omitempty"` // .id of what stood behind an item that was removed
}

// Configure makes a router what s says, part by part, and returns what it
// changed, also where an error ended it in the middle: run again it does the
// rest. Items that are not ours are left as they are. With dryRun nothing is
// written, and what is returned is what would be.
func Configure(ctx context.Context, c *Conn, s Setup, dryRun bool) ([]Applied, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	k := &configurer{c: c, s: s, dryRun: dryRun}
	for _, p := range Parts() {
		if !s.has(p) {
			continue
		}
		k.part = p
		if err := k.set(ctx); err != nil {
			return k.changes, fmt.Errorf("%s: %w", p, err)
		}
	}
	return k.changes, nil
}

// configurer is a run of Configure.
type configurer struct {
	c       *Conn
	s       Setup
	dryRun  bool
	part    Part
	changes []Applied
}

func (k *configurer) set(ctx context.Context) error {
	switch k.part {
	case PartPools:
		return k.pools(ctx)
	case PartQueue:
		return k.queues(ctx)
	case PartPPP:
		return k.profile(ctx)
	case PartPPPoE:
		return k.pppoe(ctx)
	case PartHotspot:
		return k.hotspot(ctx)
	case PartRADIUS:
		return k.radius(ctx)
	case PartFirewall:
		return k.firewall(ctx)
	}
	return fmt.Errorf("no such part: one of %v", Parts())
}

// named ensures an item that is ours by its name.
func (k *configurer) named(ctx context.Context, path string, key, fields Row) error {
	done, err := Ensure(ctx, k.c, Want{Path: path, Key: key, Fields: fields, NoComment: true}, k.dryRun)
	if err != nil {
		return err
	}
	k.note(Applied{Path: path, Key: key, Named: true}, done)
	return nil
}

func (k *configurer) settings(ctx context.Context, path string, fields Row) error {
	done, err := EnsureSettings(ctx, k.c, path, fields, k.dryRun)
	if err != nil {
		return err
	}
	k.note(Applied{Path: path}, done)
	return nil
}

func (k *configurer) note(a Applied, done Change) {
	if done.Action == Unchanged {
		return
	}
	a.Part, a.Action, a.Before, a.After = k.part, done.Action, done.Before, done.After
	k.changes = append(k.changes, a)
}

func (k *configurer) pools(ctx context.Context) error {
	for _, p := range k.s.Pools {
		if err := k.named(ctx, "/ip/pool", Row{"name": p.Name}, Row{"ranges": p.Ranges}); err != nil {
			return err
		}
	}
	return nil
}

// queues makes a queue type that shares a subscriber's rate fairly among his
// flows, and a parent for all subscribers' queues where a limit for all is said.
// The profile takes them up.
func (k *configurer) queues(ctx context.Context) error {
	codel, err := atLeast(ctx, k.c, 7, 1)
	if err != nil {
		return err
	}
	kind := "sfq"
	if codel {
		kind = "fq-codel"
	}
	if err := k.named(ctx, "/queue/type", Row{"name": OwnName}, Row{"kind": kind}); err != nil {
		return err
	}
	if k.s.MaxLimit != "" {
		fields := Row{"target": k.s.Target, "max-limit": k.s.MaxLimit, "queue": OwnName + "/" + OwnName, "disabled": "no"}
		if err := k.named(ctx, "/queue/simple", Row{"name": OwnName}, fields); err != nil {
			return err
		}
	}
	if k.s.has(PartPPP) {
		return nil // comes with it
	}
	return k.profile(ctx)
}

// profile is the PPP profile of all sessions: what a login's reply does not
// say.
func (k *configurer) profile(ctx context.Context) error {
	fields := Row{"change-tcp-mss": "yes"}
	if k.s.LocalAddress != "" {
		fields["local-address"] = k.s.LocalAddress
	}
	if len(k.s.DNS) > 0 {
		fields["dns-server"] = strings.Join(k.s.DNS, ",")
	}
	if k.s.has(PartQueue) {
		fields["queue-type"] = OwnName + "/" + OwnName
		if k.s.MaxLimit != "" {
			fields["parent-queue"] = OwnName
		}
	}
	return k.named(ctx, "/ppp/profile", Row{"name": OwnName}, fields)
}

// pppoe makes a PPPoE server on each interface: 1480 fits what access networks
// carry, 10 s find a subscriber's device that has gone.
func (k *configurer) pppoe(ctx context.Context) error {
	if !k.s.has(PartPPP) && !k.s.has(PartQueue) {
		if err := k.profile(ctx); err != nil {
			return err
		}
	}
	for _, name := range k.s.PPPoE {
		err := k.named(ctx, "/interface/pppoe-server/server", Row{"service-name": OwnName, "interface": name}, Row{
			"authentication": "pap,chap,mschap1,mschap2", "max-mtu": "1480", "max-mru": "1480", "keepalive-timeout": "10",
			"one-session-per-host": "yes", "default-profile": OwnName, "disabled": "no",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *configurer) hotspot(ctx context.Context) error {
	profile := Row{"use-radius": "yes", "radius-accounting": "yes", "radius-interim-update": "received", "login-by": "cookie,http-chap"}
	if k.s.HotspotAddress != "" {
		profile["hotspot-address"] = k.s.HotspotAddress
	}
	if err := k.named(ctx, "/ip/hotspot/profile", Row{"name": OwnName}, profile); err != nil {
		return err
	}
	server := Row{"interface": k.s.Hotspot, "profile": OwnName, "disabled": "no"}
	if k.s.HotspotPool != "" {
		server["address-pool"] = k.s.HotspotPool
	}
	if err := k.named(ctx, "/ip/hotspot", Row{"name": OwnName}, server); err != nil {
		return err
	}
	return k.servers(ctx, "hotspot")
}

// radius makes the router ask, tell and obey: RADIUS servers for PPP, accounting
// with interims, CoA and Disconnect, and the door for them.
func (k *configurer) radius(ctx context.Context) error {
	if err := k.servers(ctx, "ppp"); err != nil {
		return err
	}
	err := k.settings(ctx, "/ppp/aaa", Row{"use-radius": "yes", "accounting": "yes", "interim-update": FormatDuration(k.s.Interim)})
	if err != nil {
		return err
	}
	if err := k.settings(ctx, "/radius/incoming", Row{"accept": "yes", "port": strconv.Itoa(int(k.s.CoAPort))}); err != nil {
		return err
	}
	if k.s.has(PartFirewall) {
		return nil // comes with it
	}
	return k.doors(ctx, []string{"coa"}, k.coaDoors())
}
