package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/jobs"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
)

func newRouterCmd(a *app) *cobra.Command {
	return nounOf("router", "MikroTik routers: reached by RouterOS's API", append(routerThings(a),
		newRouterAddCmd(a), newRouterSetCmd(a), newRouterShowCmd(a), newRouterListCmd(a), newRouterDelCmd(a), newRouterHealthCmd(a),
		newRouterConfigureCmd(a), newRouterUndoCmd(a), newRouterConfigurationsCmd(a), newRouterProveCmd(a))...)
}

// routerDesk is what a verb works with that talks to routers.
type routerDesk struct {
	*app
	db     *store.DB
	sealer *nas.Sealer // secrets of routers in the database
	book   *store.RouterBook
	fleet  *routeros.Fleet // pools of connections, by the router's name
	zone   *time.Location
}

// routerConnections is how many connections a verb opens to one router.
const routerConnections = 2

// withRouters opens the database and the key of its secrets for f. Routers are
// dialled when f asks for their pools.
func (a *app) withRouters(ctx context.Context, f func(*routerDesk) error) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	sealer, err := a.sealer(ctx, db)
	if err != nil {
		return err
	}
	c, err := a.config()
	if err != nil {
		return err
	}
	d := &routerDesk{app: a, db: db, sealer: sealer, zone: zone, book: &store.RouterBook{DB: db, Sealer: sealer, Timeout: c.Routers.Timeout}}
	d.fleet = routeros.NewFleet(d.book, routerConnections, a.now)
	return errors.Join(f(d), d.fleet.Close())
}

// routerFlags are the flags of router add and router set.
type routerFlags struct {
	name                             string
	address, username, password, pin string
	nas, description, status         string
	port                             uint16
	tls, passwordStdin, dryRun       bool
	noCheck                          bool
}

func (f *routerFlags) register(cmd *cobra.Command, set bool) {
	fl := cmd.Flags()
	fl.StringVar(&f.username, "username", "", "`name` of the API's user on the router (policies: api, read, write, sensitive)")
	fl.StringVar(&f.password, "password", "", "its `password`; visible in the list of processes, see --password-stdin")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from the first line of stdin")
	fl.BoolVar(&f.tls, "tls", false, "by TLS (api-ssl): without it the password goes over the wire as it is")
	fl.Uint16Var(&f.port, "port", aaa.RouterPort, fmt.Sprintf("TCP `port` of the API, %d with --tls unless told", aaa.RouterPortTLS))
	fl.StringVar(&f.pin, "pin", "", "`SHA-256` of the router's certificate, which routers sign themselves; \"\" takes it away")
	fl.StringVar(&f.nas, "nas", "", "the `device` (radial nas) that it is: its secret and its CoA port; the one of the same address unless told; \"\" is none")
	fl.StringVar(&f.description, "description", "", "a `text` for people")
	fl.BoolVar(&f.noCheck, "no-check", false, "do not try to log in now")
	dryRunFlag(cmd, &f.dryRun)
	if set {
		fl.StringVar(&f.name, "name", "", "another `name`; what was configured, and what is wanted on it, stays with it")
		fl.StringVar(&f.address, "address", "", "its `address` or host name")
		fl.StringVar(&f.status, "status", "active", "active, or inactive: nobody talks to it")
		choices(cmd, "status", "active", "inactive")
	}
}

// change reads the flags that were given.
func (f *routerFlags) change(d *routerDesk, cmd *cobra.Command) (c aaa.RouterChange, err error) {
	password, err := d.secretInput("password", f.password, f.passwordStdin)
	if err != nil {
		return c, err
	}
	if f.passwordStdin || cmd.Flags().Changed("password") {
		c.Password = d.sealer.Seal(aaa.RouterPasswordUse, nas.Secret(password))
	}
	c.Name = given(cmd, "name", f.name)
	c.Address, c.Port, c.TLS, c.Username = given(cmd, "address", f.address), given(cmd, "port", f.port), given(cmd, "tls", f.tls), given(cmd, "username", f.username)
	c.Pin, c.NAS, c.Description = given(cmd, "pin", f.pin), given(cmd, "nas", f.nas), given(cmd, "description", f.description)
	if cmd.Flags().Changed("status") {
		status := aaa.RouterStatus(f.status)
		if status != aaa.RouterActive && status != aaa.RouterInactive {
			return c, usagef("--status %q: want active or inactive", f.status)
		}
		c.Status = &status
	}
	return c, nil
}

func newRouterAddCmd(a *app) *cobra.Command {
	var f routerFlags
	cmd := &cobra.Command{
		Use:   "add NAME ADDRESS",
		Short: "Make a router known, and log in to see that it works",
		Long: `Makes a router known and logs in. By TLS, the first contact shows the router's certificate and ends: compare it with what the router itself
shows (/certificate print detail), and say it with --pin. Where an authority of this system vouches for the certificate, no pin is needed.
Its password is kept encrypted, and never shown.`,
		Example: `  radial router add pop1 10.0.0.1 --username radial --password-stdin --tls < password
  radial router add pop1 10.0.0.1 --username radial --password-stdin --tls --pin 9F:86:D0:… --nas pop1 < password`,
		Args: named("NAME", "ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				c, err := f.change(d, cmd)
				if err != nil {
					return err
				}
				c.Address = &args[1]
				return f.save(d, cmd, args[0], "added", c, c.AddRouter)
			})
		},
	}
	f.register(cmd, false)
	return cmd
}

func newRouterSetCmd(a *app) *cobra.Command {
	var f routerFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change what is named of a router, and nothing else",
		Example: `  radial router set pop1 --pin 9F:86:D0:…
  radial router set pop1 --status inactive
  radial router set pop1 --name core1`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRouters(cmd.Context(), func(d *routerDesk) error {
				c, err := f.change(d, cmd)
				if err != nil {
					return err
				}
				return f.save(d, cmd, args[0], "changed", c, c.SetRouter)
			})
		},
	}
	f.register(cmd, true)
	return cmd
}

// save is what add and set have in common: the change is tried, the router is
// looked at as it would be reached then, and only then is it written.
func (f *routerFlags) save(d *routerDesk, cmd *cobra.Command, name, did string, c aaa.RouterChange,
	rule func(string, *aaa.Router, []aaa.Device) (aaa.RouterDelta, error),
) error {
	ctx := cmd.Context()
	by := d.by("router."+cmd.Name(), f.dryRun)
	try := by
	try.DryRun = true
	delta, err := d.db.ChangeRouter(ctx, try, name, c.LooksFor, rule)
	if err != nil {
		return err
	}
	var health *aaa.RouterHealth
	touched := delta.Audit["address"] != nil || delta.Audit["api_port"] != nil || delta.Audit["tls"] != nil || delta.Audit["pin"] != nil ||
		delta.Audit["username"] != nil || delta.Audit["password"] != nil
	if touched && !f.noCheck && delta.Save.Status != aaa.RouterInactive {
		if health, err = d.firstLook(ctx, *delta.Save); err != nil {
			return err
		}
	}
	if delta, err = d.db.ChangeRouter(ctx, by, name, c.LooksFor, rule); err != nil {
		return err
	}
	if health != nil && !f.dryRun {
		if err := d.db.SaveRouterHealth(ctx, delta.Save.ID, *health); err != nil {
			return err
		}
	}
	d.noteRouter(delta.Save)
	return d.did("router", delta.Save.Name, did, f.dryRun, delta.Audit)
}

// noteRouter tells what a router lacks.
func (d *routerDesk) noteRouter(r *aaa.Router) {
	if !r.TLS {
		d.note("router %s: without --tls its password, and all that is configured, goes over the wire as it is", printable(r.Name))
	}
	if r.NASID == 0 {
		d.note("router %s is linked to no device: --nas NAME links it, and configure --radius needs the device's secret", printable(r.Name))
	}
}

// firstLook logs in to a router that is to be written; an error says what keeps
// us out, and how to write it all the same.
func (d *routerDesk) firstLook(ctx context.Context, r aaa.Router) (*aaa.RouterHealth, error) {
	login, err := d.book.LoginOf(r)
	if err != nil {
		return nil, err
	}
	if err := resolves(ctx, r.Address, login.Timeout); err != nil {
		return nil, err
	}
	if r.TLS && r.Pin == "" {
		shown, err := routeros.Show(ctx, login.Address, login.Timeout)
		if err != nil {
			return nil, fmt.Errorf("%w (--no-check writes it all the same)", err)
		}
		if shown.Distrust != nil {
			return nil, usagef(`router %s shows a certificate that no authority of this system vouches for (%v):
  subject  %s
  valid    %s to %s
  SHA-256  %s
Compare it with what the router itself shows (/certificate print detail), then say --pin %s`,
				r.Name, shown.Distrust, printable(shown.Subject), shown.NotBefore.In(d.zone).Format(time.DateOnly), shown.Until.In(d.zone).Format(time.DateOnly),
				routeros.Colons(shown.SHA256), shown.SHA256)
		}
	}
	h := jobs.LookAtRouter(ctx, d.book, r, d.now)
	if h.Failed() {
		return nil, fmt.Errorf("%s (--no-check writes it all the same)", h.Problem)
	}
	return &h, nil
}

// resolves refuses a host name that nobody knows; trouble with asking is told by
// who dials.
func resolves(ctx context.Context, address string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := net.DefaultResolver.LookupHost(ctx, address)
	return unknownHost(address, err)
}

// unknownHost is what a resolver's answer says of an address: an error where it
// knows that there is no such host.
func unknownHost(address string, err error) error {
	var said *net.DNSError
	if errors.As(err, &said) && said.IsNotFound {
		return fmt.Errorf("address %q: is neither an IP address nor a host name that resolves (--no-check writes it all the same): %w", address, aaa.ErrInvalid)
	}
	return nil
}

func newRouterDelCmd(a *app) *cobra.Command {
	return a.deletion(deletion{
		use: "del NAME", of: "NAME",
		short:    "Forget a router, and what was configured on it; the router itself stays as it is",
		question: "Forget router %s and the record of its configurations? They cannot be undone from here then.",
		do: func(ctx context.Context, name string, dryRun bool) error {
			db, done, err := a.db(ctx)
			if err != nil {
				return err
			}
			defer done()
			none := func(*aaa.Router) string { return "" }
			delta, err := db.ChangeRouter(ctx, a.by("router.del", dryRun), name, none, aaa.DeleteRouter)
			if err != nil {
				return err
			}
			return a.did("router", name, "deleted", dryRun, delta.Audit)
		},
	})
}

// routerView is a router in JSON.
type routerView struct {
	aaa.Router
	Uptime  int64 `json:"uptime_seconds"`
	Latency int64 `json:"latency_ms"`
}

func routerViewOf(r aaa.Router) routerView {
	return routerView{r, int64(r.Uptime / time.Second), r.Latency.Milliseconds()}
}

func newRouterListCmd(a *app) *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List routers",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status != "" && status != string(aaa.RouterActive) && status != string(aaa.RouterInactive) && status != string(aaa.RouterError) {
				return usagef("--status %q: want active, inactive or error", status)
			}
			db, zone, done, err := a.dbInZone(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			all, err := db.Routers(cmd.Context())
			if err != nil {
				return err
			}
			views := []routerView{}
			g := grid{titles: []string{"router", "address", "status", "nas", "identity", "version", "checked", "problem"}}
			for _, r := range all {
				if status != "" && string(r.Status) != status {
					continue
				}
				views = append(views, routerViewOf(r))
				g.add(r.Name, routerAddress(r), string(r.Status), orDash(r.NAS), orDash(r.Identity), orDash(r.Version), checkedAt(r, zone), orDash(oneLine(r.Problem)))
			}
			return a.print(views, g.String)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only those with this `status`: active, inactive or error")
	return cmd
}

func routerAddress(r aaa.Router) string {
	kind := "api"
	if r.TLS {
		kind = "api-ssl"
	}
	return fmt.Sprintf("%s:%d (%s)", r.Address, r.Port, kind)
}

func checkedAt(r aaa.Router, zone *time.Location) string {
	if r.Checked == nil {
		return "-"
	}
	return stamp(*r.Checked, zone)
}

func newRouterShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a router, and what the last look at it found",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.aboutRouter(cmd.Context(), args[0], func(_ *store.DB, r aaa.Router, zone *time.Location) error {
				return a.print(routerViewOf(r), func() string { return routerText(r, zone) })
			})
		},
	}
}

// aboutRouter reads a router's row for a verb that does not talk to it.
func (a *app) aboutRouter(ctx context.Context, name string, f func(*store.DB, aaa.Router, *time.Location) error) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	r, err := db.Router(ctx, name)
	if err != nil {
		return err
	}
	return f(db, r, zone)
}

func routerText(r aaa.Router, zone *time.Location) string {
	g := grid{}
	g.add("router", r.Name)
	g.add("id", strconv.FormatInt(r.ID, 10))
	g.add("address", routerAddress(r))
	g.add("certificate", orDash(routeros.Colons(r.Pin)))
	g.add("username", r.Username)
	g.add("password", "***")
	g.add("nas", orDash(r.NAS))
	g.add("description", orDash(r.Description))
	g.add("status", string(r.Status))
	g.add("checked", checkedAt(r, zone))
	g.add("problem", orDash(oneLine(r.Problem)))
	g.add("identity", orDash(r.Identity))
	g.add("version", orDash(r.Version))
	g.add("board", orDash(r.Board))
	up := "-"
	if r.Uptime > 0 {
		up = routeros.FormatDuration(r.Uptime)
	}
	g.add("uptime", up)
	return strings.TrimRight(g.String(), "\n") + "\n"
}
