package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/ipam"
	"radial/nas"
	"radial/store"
)

func newNASCmd(a *app) *cobra.Command {
	return nounOf("nas", "Devices: who may ask us, and with which secret",
		newNASAddCmd(a), newNASSetCmd(a), newNASShowCmd(a), newNASListCmd(a), newNASDelCmd(a))
}

// nasFlags are the flags of nas add and nas set.
type nasFlags struct {
	secret, name, kind, description string
	secretStdin, allowWeak          bool
	require, limit, vrf, pool       string
	delay                           string
	coaPort                         uint16
	swap, dryRun                    bool
}

func (f *nasFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.secret, "secret", "", "shared `secret`; visible in the list of processes, see --secret-stdin")
	fl.BoolVar(&f.secretStdin, "secret-stdin", false, "read the secret from the first line of stdin")
	fl.BoolVar(&f.allowWeak, "allow-weak-secret", false, "take also a secret that everybody tries first")
	fl.StringVar(&f.name, "name", "", "a short `name` for people; the address unless told")
	fl.StringVar(&f.kind, "type", "other", "vendor, a `type` of: "+strings.Join(aaa.DeviceTypes(), ", "))
	choices(cmd, "type", aaa.DeviceTypes()...)
	fl.StringVar(&f.description, "description", "", "a `text` for people")
	fl.Uint16Var(&f.coaPort, "coa-port", 3799, "UDP `port` of its CoA and Disconnect server")
	fl.StringVar(&f.require, "require-message-authenticator", "auto", "auto, yes or no (Blast-RADIUS)")
	fl.StringVar(&f.limit, "limit-proxy-state", "auto", "auto, yes or no (Blast-RADIUS)")
	fl.StringVar(&f.vrf, "vrf", "default", "`name` of the address space of its pools")
	fl.StringVar(&f.pool, "pool", "", "`name` of the pool for logins that name none; none takes it away")
	fl.BoolVar(&f.swap, "swap-octets", false, "it reports input and output the wrong way round")
	fl.StringVar(&f.delay, "reject-delay", "", "hold back an Access-Reject, a `duration` up to 10s, or default")
	dryRunFlag(cmd, &f.dryRun)
}

// change reads the flags that were given.
func (f *nasFlags) change(a *app, cmd *cobra.Command) (c aaa.DeviceChange, err error) {
	secret, err := a.secretInput("secret", f.secret, f.secretStdin)
	if err != nil {
		return c, err
	}
	if secret != "" || cmd.Flags().Changed("secret") {
		s := nas.Secret(secret)
		c.Secret = &s
	}
	c.AllowWeakSecret = f.allowWeak
	c.ShortName, c.Type, c.Description = given(cmd, "name", f.name), given(cmd, "type", f.kind), given(cmd, "description", f.description)
	c.CoAPort, c.VRF, c.SwapOctets = given(cmd, "coa-port", f.coaPort), given(cmd, "vrf", f.vrf), given(cmd, "swap-octets", f.swap)
	noneIsEmpty(&f.pool)
	c.Pool = given(cmd, "pool", f.pool)
	for _, policy := range []struct {
		flag, text string
		to         **nas.Policy
	}{
		{"require-message-authenticator", f.require, &c.RequireMessageAuthenticator},
		{"limit-proxy-state", f.limit, &c.LimitProxyState},
	} {
		p, err := aaa.ParsePolicy(policy.text)
		if err != nil {
			return c, usagef("--%s %w", policy.flag, err)
		}
		*policy.to = given(cmd, policy.flag, p)
	}
	if cmd.Flags().Changed("reject-delay") {
		delay := time.Duration(-1)
		if f.delay != "default" {
			if delay, err = time.ParseDuration(f.delay); err != nil || delay < 0 {
				return c, usagef("--reject-delay %q: want a duration like 0s or 1s, or default", f.delay)
			}
		}
		c.RejectDelay = &delay
	}
	return c, nil
}

// nasChange is the rule of a verb.
type nasChange func(c aaa.DeviceChange) func(name string, found []aaa.Device) (aaa.DeviceDelta, error)

func (f *nasFlags) command(a *app, use, short, did string, rule nasChange) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  named("ADDR|CIDR|HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.change(a, cmd)
			if err != nil {
				return err
			}
			db, closeDB, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer closeDB()
			delta, err := db.ChangeDevice(cmd.Context(), a.by("nas."+cmd.Name(), f.dryRun), args[0], rule(c))
			if err != nil {
				return err
			}
			a.noteHost(cmd.Context(), delta.Save.Name)
			if err := a.notePool(cmd.Context(), db, delta.Save.VRF, ipam.IPv4, delta.Save.Pool); err != nil {
				return err
			}
			return a.did("nas", delta.Save.Name, did, f.dryRun, delta.Audit)
		},
	}
	f.register(cmd)
	return cmd
}

// noteHost tells of a device's host name that nobody can resolve: a server
// tries again by itself, and ignores the device until then.
func (a *app) noteHost(ctx context.Context, name string) {
	n, err := nas.ParseName(name)
	if err != nil || n.Kind != nas.NameHost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.Host); err != nil {
		a.note("the host %s has no address now (%v): its packets are not answered until it has one", n.Host, err)
	}
}

func newNASAddCmd(a *app) *cobra.Command {
	cmd := new(nasFlags).command(a, "add ADDR|CIDR|HOST", "Make a device known; running servers take it at once", "added",
		func(c aaa.DeviceChange) func(string, []aaa.Device) (aaa.DeviceDelta, error) { return c.AddDevice })
	cmd.Example = `  radial nas add 10.0.0.1 --secret-stdin --name pop1 --type mikrotik < secret
  radial nas add 10.20.0.0/16 --secret 'k9…' --require-message-authenticator yes`
	return cmd
}

func newNASSetCmd(a *app) *cobra.Command {
	cmd := new(nasFlags).command(a, "set ADDR|CIDR|HOST|NAME|id:N", "Change what is named of a device, and nothing else", "changed",
		func(c aaa.DeviceChange) func(string, []aaa.Device) (aaa.DeviceDelta, error) { return c.SetDevice })
	return cmd
}

func newNASDelCmd(a *app) *cobra.Command {
	return a.deletion(deletion{
		use: "del ADDR|CIDR|HOST|NAME|id:N", of: "ADDR|CIDR|HOST",
		short:    "Delete a device; its packets are not answered any more",
		question: "Delete nas %s? Nobody behind it can log in then.",
		do: func(ctx context.Context, name string, dryRun bool) error {
			db, closeDB, err := a.db(ctx)
			if err != nil {
				return err
			}
			defer closeDB()
			delta, err := db.ChangeDevice(ctx, a.by("nas.del", dryRun), name, aaa.DeleteDevice)
			if err != nil {
				return err
			}
			return a.did("nas", delta.Save.Name, "deleted", dryRun, delta.Audit)
		},
	})
}

func newNASListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List devices",
		Args:  named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, closeDB, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer closeDB()
			all, err := db.Devices(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(orEmpty(all), func() string {
				g := grid{titles: []string{"id", "nas", "name", "type", "msg-auth", "proxy-state", "coa port", "vrf", "pool", "description"}}
				for _, d := range all {
					g.add(strconv.FormatInt(d.ID, 10), d.Name, d.ShortName, d.Type, aaa.PolicyName(d.RequireMessageAuthenticator),
						aaa.PolicyName(d.LimitProxyState), strconv.Itoa(int(d.CoAPort)), d.VRF, orDash(d.Pool), d.Description)
				}
				return g.String()
			})
		},
	}
}

// nasView is a device in JSON: the row, and what servers have learnt of it.
type nasView struct {
	Device  aaa.Device          `json:"nas"`
	Learnt  []store.DeviceState `json:"learnt"`
	Problem string              `json:"problem"` // why no packet can match it, or ""
}

func newNASShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ADDR|CIDR|HOST|NAME|id:N",
		Short: "Show a device, and what the servers have learnt from its packets",
		Args:  named("ADDR|CIDR|HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, closeDB, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer closeDB()
			found, err := db.DevicesNamed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return fmt.Errorf("nas %q: %w", args[0], aaa.ErrNotFound)
			}
			views := make([]nasView, len(found))
			for i, d := range found {
				states, err := db.DeviceStates(cmd.Context(), d.ID)
				if err != nil {
					return err
				}
				views[i] = nasView{Device: d, Learnt: orEmpty(states)}
				if _, err := nas.ParseName(d.Name); err != nil {
					views[i].Problem = err.Error()
				}
			}
			return a.print(views, func() string {
				texts := make([]string, len(views))
				for i, v := range views {
					texts[i] = v.text()
				}
				return strings.Join(texts, "\n")
			})
		},
	}
}

func (v nasView) text() string {
	d := v.Device
	g := grid{}
	g.add("nas", d.Name)
	g.add("id", strconv.FormatInt(d.ID, 10))
	g.add("name", d.ShortName)
	g.add("type", d.Type)
	g.add("secret", d.Secret.String())
	g.add("require message authenticator", aaa.PolicyName(d.RequireMessageAuthenticator))
	g.add("limit proxy state", aaa.PolicyName(d.LimitProxyState))
	g.add("coa port", strconv.Itoa(int(d.CoAPort)))
	g.add("vrf", d.VRF)
	g.add("pool", orDash(d.Pool))
	g.add("swap octets", strconv.FormatBool(d.SwapOctets))
	delay := "default"
	if d.RejectDelay != nil {
		delay = d.RejectDelay.String()
	}
	g.add("reject delay", delay)
	g.add("description", orDash(d.Description))
	if v.Problem != "" {
		g.add("problem", v.Problem)
	}
	out := g.String()
	if len(v.Learnt) == 0 {
		return out + "\nno server has seen a packet of it yet\n"
	}
	learnt := grid{titles: []string{"learnt by", "requires msg-auth", "limits proxy-state", "last packet"}}
	for _, s := range v.Learnt {
		last := "-"
		if s.LastPacket != nil {
			last = s.LastPacket.Local().Format(time.DateTime)
		}
		learnt.add(s.Server, s.RequireMessageAuthenticator, s.LimitProxyState, last)
	}
	return out + "\n" + learnt.String()
}
