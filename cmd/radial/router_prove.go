package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/nas/routeros"
	"radial/radius"
)

// proof is what was found of the way between a router and the servers, each
// step by itself.
type proof []proofStep

// proofStep is one thing that must be so. Unknown is what nobody could see from
// here; the detail says what was seen.
type proofStep struct {
	Step   string `json:"step"`   // device, server, requests, login, coa
	Proven string `json:"proven"` // yes, no, unknown
	Detail string `json:"detail"`
}

func (p proof) text() string {
	if len(p) == 0 {
		return ""
	}
	g := grid{titles: []string{"step", "proven", "what was seen"}}
	for _, s := range p {
		g.add(s.Step, s.Proven, oneLine(s.Detail))
	}
	return "\n" + g.String()
}

// failure is an error where a step is known to fail.
func (p proof) failure(router string) error {
	var failed []string
	for _, s := range p {
		if s.Proven == disproven {
			failed = append(failed, s.Step)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("router %s: the way is not there: %s", router, strings.Join(failed, ", "))
}

func newRouterProveCmd(a *app) *cobra.Command {
	var user, password string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "prove NAME",
		Short: "Prove the way between a router and the RADIUS servers, and change nothing",
		Long: `Looks at each step of the way: whether the servers know the router by the address that it asks from, whether one is up, what the router counts of its
requests (/radius monitor), whether a server answers a login, and whether CoA and Disconnect reach the router with the right secret (a Disconnect
for a session that does not exist must come back as NAK 503). RouterOS's API has no test login: with --test-user one is sent from here,
if this host is a device of the servers. Exit code 1 when a step is known to fail.`,
		Example: `  radial router prove pop1
  radial router prove pop1 --test-user alice --test-password-stdin < password`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := a.secretInput("test-password", password, stdin)
			if err != nil {
				return err
			}
			if (user == "") != (secret == "") {
				return usagef("--test-user and --test-password (or --test-password-stdin) go together")
			}
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				return d.proveAlone(cmd.Context(), args[0], radius.Login{User: user, Password: nas.Secret(secret), Method: radius.LoginPAP})
			})
		},
	}
	cmd.Flags().StringVar(&user, "test-user", "", "log this `user` in, from here")
	cmd.Flags().StringVar(&password, "test-password", "", "his `password`; visible in the list of processes, see --test-password-stdin")
	cmd.Flags().BoolVar(&stdin, "test-password-stdin", false, "read the password from the first line of stdin")
	return cmd
}

// proveAlone proves the way by what the router has now.
func (d *routerDesk) proveAlone(ctx context.Context, name string, login radius.Login) error {
	r, err := d.db.Router(ctx, name)
	if err != nil {
		return err
	}
	device, err := d.deviceOf(ctx, r, []routeros.Part{routeros.PartRADIUS})
	if err != nil {
		return err
	}
	c, err := d.dial(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // it has only been read from
	s := routeros.Setup{}
	if err := d.fill(&s, r, device, c, nil); err != nil {
		return err
	}
	found, err := d.prove(ctx, r, device, c, s.Servers, login)
	if err != nil {
		return err
	}
	view := struct {
		Router string `json:"router"`
		Proof  proof  `json:"proof"`
	}{name, found}
	return errors.Join(d.print(view, func() string { return strings.TrimPrefix(found.text(), "\n") }), found.failure(name))
}

// prover proves the way of one router.
type prover struct {
	*routerDesk
	router  aaa.Router
	device  *aaa.Device
	conn    *routeros.Conn
	servers []routeros.Server
	devices *nas.Table // as the servers have it
	dict    *dictionaries.Dictionary
	steps   proof
}

func (p *prover) found(step, proven, format string, args ...any) {
	p.steps = append(p.steps, proofStep{step, proven, fmt.Sprintf(format, args...)})
}

// The words of a step.
const (
	proven    = "yes"
	disproven = "no"
	unseen    = "unknown"
)

// prove proves the way, with a login where it has a user.
func (d *routerDesk) prove(ctx context.Context, r aaa.Router, device *aaa.Device, c *routeros.Conn, servers []routeros.Server, login radius.Login) (proof, error) {
	rows, err := d.db.NASRows(ctx)
	if err != nil {
		return nil, err
	}
	directory := nas.NewDirectory(nas.DirectoryOptions{Resolver: net.DefaultResolver})
	if _, err := directory.Load(ctx, rows); err != nil {
		return nil, err
	}
	dict, err := d.dictionary()
	if err != nil {
		return nil, err
	}
	p := &prover{routerDesk: d, router: r, device: device, conn: c, servers: servers, devices: directory.Table(), dict: dict}
	p.known()
	for _, step := range []func(context.Context) error{p.up, p.requests} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, s := range servers {
		p.login(ctx, s, login)
	}
	return p.steps, errors.Join(p.coa(ctx), ctx.Err())
}

// at is the address that the servers know the router by: its device's, else the
// one that we have reached it at.
func (p *prover) at() netip.Addr {
	if own := addressOfDevice(p.device); own.IsValid() {
		return own
	}
	return p.conn.Remote()
}

// known: the servers find a device by the longest prefix; it must be ours.
func (p *prover) known() {
	at := p.at()
	switch found := p.devices.Find(at); {
	case found == nil:
		p.found("device", disproven, "the servers know no device %s: its packets would get no answer", at)
	case found.ID != p.device.ID:
		p.found("device", disproven, "packets of %s are taken for those of nas id:%d, not of %s (id:%d)", at, found.ID, p.device.Name, p.device.ID)
	default:
		p.found("device", proven, "packets of %s are those of nas %s", at, p.device.Name)
	}
}

// up: a server has told of itself, and has heard of the device.
func (p *prover) up(ctx context.Context) error {
	alive, err := aliveServers(ctx, p.db)
	if err != nil {
		return err
	}
	if len(alive) == 0 {
		p.found("server", disproven, "no server of this database is up: radial serve")
		return nil
	}
	states, err := p.db.DeviceStates(ctx, p.device.ID)
	if err != nil {
		return err
	}
	heard := ", which has heard nothing of it yet"
	var last time.Time
	for _, s := range states {
		if s.LastPacket != nil && s.LastPacket.After(last) {
			last = *s.LastPacket
			heard = fmt.Sprintf("; its last packet came to %s at %s", s.Server, stamp(last, p.zone))
		}
	}
	p.found("server", proven, "up: %s%s", strings.Join(alive, ", "), heard)
	return nil
}

// requests: what the router itself counts.
func (p *prover) requests(ctx context.Context) error {
	all, err := routeros.RADIUSMonitor(ctx, p.conn)
	if err != nil {
		return err
	}
	none := true
	for _, a := range all {
		if !a.Ours || a.Disabled {
			continue
		}
		none = false
		counts := fmt.Sprintf("of %s for %s the router counts %d requests, %d accepts, %d rejects, %d timeouts, %d bad replies", a.Address, a.Service, a.Requests, a.Accepts, a.Rejects, a.Timeouts, a.BadReplies)
		switch {
		case a.Accepts+a.Rejects > 0:
			p.found("requests", proven, "%s", counts)
		case a.BadReplies > 0:
			p.found("requests", disproven, "%s: the secrets differ", counts)
		case a.Timeouts > 0:
			p.found("requests", disproven, "%s: no answer has reached it", counts)
		default:
			p.found("requests", unseen, "the router has asked %s for %s nothing yet, and its API has no test login: the first subscriber will show", a.Address, a.Service)
		}
	}
	if none {
		p.found("requests", disproven, "the router has no RADIUS server of ours: radial router configure %s --radius", p.router.Name)
	}
	return nil
}

// login: the server answers; from here, which is not from the router.
func (p *prover) login(ctx context.Context, s routeros.Server, login radius.Login) {
	to := net.JoinHostPort(s.Address.String(), strconv.Itoa(int(s.AuthPort)))
	own := localTowards(s.Address)
	from := p.devices.Find(own)
	if from == nil {
		p.found("login", unseen, "%s answers its devices alone, and this host (%s) is none", to, own)
		return
	}
	client := radius.NewClient(to, from.Secret, p.dict, radius.ClientOptions{Timeout: time.Second, Tries: 2})
	if login.User == "" {
		if _, err := client.Exchange(ctx, radius.StatusServer, nil); err != nil {
			p.found("login", disproven, "%s does not answer Status-Server from this host: %v", to, err)
			return
		}
		p.found("login", proven, "%s answers Status-Server from this host (%s); with --test-user a login is tried", to, own)
		return
	}
	id, err := p.dict.Pair("NAS-Identifier", "radial-prove")
	if err != nil {
		p.found("login", disproven, "%v", err)
		return
	}
	login.Pairs = dictionaries.Pairs{id}
	reply, err := client.Login(ctx, login)
	switch {
	case err != nil:
		p.found("login", disproven, "%s: login of %s from this host (%s): %v", to, login.User, own, err)
	case reply.Code != radius.AccessAccept:
		p.found("login", disproven, "%s: login of %s from this host (%s): %s", to, login.User, own, reply.Code)
	default:
		p.found("login", proven, "%s has accepted %s, asked from this host (%s), not by the router", to, login.User, own)
	}
}

// coa: a Disconnect for a session that does not exist. Only a router that takes
// our packets, and has our secret, says so; with another secret it is silent.
func (p *prover) coa(ctx context.Context) error {
	pairs := dictionaries.Pairs{}
	for _, v := range [][2]string{
		{"User-Name", "radial-prove"}, {"Acct-Session-Id", fmt.Sprintf("radial-%x", p.now().UnixNano())}, {"Event-Timestamp", strconv.FormatInt(p.now().Unix(), 10)},
	} {
		pair, err := p.dict.Pair(v[0], v[1])
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		pairs = append(pairs, pair)
	}
	to := netip.AddrPortFrom(p.at(), p.device.CoAPort).String()
	from, isServer := p.source()
	client := radius.NewClient(to, p.device.Secret, p.dict, radius.ClientOptions{Timeout: time.Second, Tries: 2, Local: netip.AddrPortFrom(from, 0)})
	reply, err := client.Exchange(ctx, radius.DisconnectRequest, pairs)
	switch {
	case err == nil:
		p.found("coa", proven, "%s has answered a Disconnect for a session that does not exist: %s", to, p.answer(reply))
	case errors.Is(err, radius.ErrNoAnswer) && !isServer:
		p.found("coa", unseen, "%s does not answer a Disconnect from here, and takes one from its RADIUS servers alone: try it on one of them", to)
	default:
		p.found("coa", disproven, "%s: %v: another secret, another port (/radius incoming), or a firewall on the way", to, err)
	}
	return nil
}

func (p *prover) answer(reply *radius.Reply) string {
	text := reply.Code.String()
	if v, ok := reply.Pairs.Value(p.dict.Must("Error-Cause")); ok && len(v) == 4 {
		text += ", " + radius.ErrorCause(binary.BigEndian.Uint32(v)).String()
	}
	return text
}

// source is the address from which the router takes CoA: a server's that is
// this host's own. Without one, the system's choice, and false.
func (p *prover) source() (netip.Addr, bool) {
	for _, s := range p.servers {
		probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Address, 0)))
		if err == nil {
			_ = probe.Close() // nothing is buffered in a UDP socket
			return s.Address, true
		}
	}
	return netip.Addr{}, false
}

// localTowards is this host's own address on the way to another.
func localTowards(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	a, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}
