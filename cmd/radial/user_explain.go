package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
)

// explainFlags describe the login that is to be explained.
type explainFlags struct {
	nas, password string
	attrs         []string
	passwordStdin bool
}

func newUserExplainCmd(a *app) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Tell how a login would be decided: rows, groups, checks, and the answer",
		Long: `Tell how a login of NAME would be decided, by the code that decides logins:
which rows matched, which groups spoke, which check refused, and what would be
sent. Nothing is leased, logged or counted. Without --password the password is
taken to be right.`,
		Example: `  radial user explain bob
  radial user explain bob --nas 10.0.0.1 --attr 'Calling-Station-Id=00:11:22:33:44:55' --password 'p w'`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				req, err := f.request(cmd.Context(), d, args[0])
				if err != nil {
					return err
				}
				engine, err := explainEngine(d)
				if err != nil {
					return err
				}
				x, err := engine.Explain(cmd.Context(), req)
				if err != nil {
					return err
				}
				v := explanationOf(args[0], &x)
				vrfs, err := d.db.VRFNames(cmd.Context())
				if err != nil {
					return err
				}
				v.From = f.from(req, vrfs)
				if x.Decision.Reason == aaa.ReasonUnknownUser {
					if v.Similar, err = d.similarNames(cmd.Context(), args[0]); err != nil {
						return err
					}
				}
				return d.print(v, func() string {
					out := v.From + "\n" + x.Text()
					if len(v.Similar) > 0 {
						out += "there is: " + strings.Join(v.Similar, ", ") + "\n"
					}
					return out
				})
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.nas, "nas", "", "the `address` that the login comes from")
	fl.StringArrayVar(&f.attrs, "attr", nil, "an attribute of the request, `'A=v'`; may be repeated")
	fl.StringVar(&f.password, "password", "", "the `password` that is tried")
	fl.BoolVar(&f.passwordStdin, "password-stdin", false, "read it from the first line of stdin")
	return cmd
}

// request makes the Access-Request that the flags describe.
func (f *explainFlags) request(ctx context.Context, d *desk, name string) (*aaa.Request, error) {
	req := &aaa.Request{Received: d.now(), Source: netip.AddrPortFrom(netip.IPv6Loopback(), 0)}
	if _, err := rand.Read(req.Authenticator[:]); err != nil {
		return nil, fmt.Errorf("authenticator: %w", err)
	}
	add := func(attribute, value string) error {
		p, err := d.dict.Pair(attribute, value)
		if err != nil {
			return usagef("%w", err)
		}
		req.Pairs = append(req.Pairs, p)
		return nil
	}
	if err := add("User-Name", name); err != nil {
		return nil, err
	}
	password, err := d.secretInput("password", f.password, f.passwordStdin)
	if err != nil {
		return nil, err
	}
	if password != "" {
		// not by the dictionary, whose errors would show the password
		req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: d.dict.Must("User-Password"), Value: []byte(password)})
	}
	for _, text := range f.attrs {
		attribute, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usagef("--attr %q: want 'Attribute=value'", text)
		}
		if err := add(strings.TrimSpace(attribute), strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
	return req, f.device(ctx, d, req)
}

// from tells whose request is explained: replies and checks depend on it.
func (f *explainFlags) from(req *aaa.Request, vrfs map[int32]string) string {
	if f.nas == "" {
		return "a login from no device in particular (--nas and --attr say more)"
	}
	row := req.Device.Row
	from := fmt.Sprintf("a login from %s: %s, nas id %d, type %s", f.nas, row.Name, row.ID, row.Type)
	if name, ok := vrfs[row.Settings.VRF]; ok && name != "default" {
		from += ", vrf " + name
	}
	return from
}

// similarNames finds users whose name differs from one that nobody has in
// case, blanks or realm alone.
func (d *desk) similarNames(ctx context.Context, name string) ([]string, error) {
	bare := func(s string) string {
		s, _, _ = strings.Cut(strings.TrimSpace(s), "@")
		return strings.ToLower(s)
	}
	subs, _, err := d.db.Subscribers(ctx, store.SubscriberFilter{Search: bare(name), Limit: 1000})
	if err != nil {
		return nil, err
	}
	var similar []string
	for _, s := range subs {
		if bare(s.Name) == bare(name) && len(similar) < 5 {
			similar = append(similar, printable(s.Name))
		}
	}
	return similar, nil
}

// device finds the row of nas that a packet from --nas would match.
func (f *explainFlags) device(ctx context.Context, d *desk, req *aaa.Request) error {
	req.Device = &nas.Device{Row: nas.Row{Name: "(any)", ShortName: "(any)", Type: "other"}, Learnt: new(nas.Learnt)}
	if f.nas == "" {
		return nil
	}
	addr, err := netip.ParseAddr(f.nas)
	if err != nil {
		return usagef("--nas %q: want an address", f.nas)
	}
	rows, err := d.db.NASRows(ctx)
	if err != nil {
		return err
	}
	var devices []*nas.Device
	for _, row := range rows {
		name, err := nas.ParseName(row.Name)
		if err != nil || !name.Prefix.IsValid() {
			continue // a host name is not resolved here: say its address
		}
		devices = append(devices, &nas.Device{Prefix: name.Prefix, Learnt: new(nas.Learnt), Row: row})
	}
	table, _ := nas.NewTable(devices)
	dev := table.Find(addr)
	if dev == nil {
		return fmt.Errorf("--nas %s: %w: no row of nas holds that address, so its packets are not answered; radial nas add %s makes it known", addr, aaa.ErrNotFound, addr)
	}
	req.Device, req.Source = dev, netip.AddrPortFrom(addr.Unmap(), 0)
	return nil
}

// explainEngine is an engine with the server's settings that reads the rows as
// they stand now: nobody tells its cache of changes, so that it keeps nothing.
func explainEngine(d *desk) (*aaa.Engine, error) {
	c, err := d.config()
	if err != nil {
		return nil, err
	}
	opts := c.Policy
	opts.Shape = func(dev *nas.Device, reply dictionaries.Pairs) dictionaries.Pairs {
		return nas.ShapeReply(dev, reply, d.dict)
	}
	policy := store.NewPolicy(d.db, store.NewMetrics(prometheus.NewRegistry()))
	return aaa.NewEngine(aaa.EngineConfig{
		Dict:       d.dict,
		Policies:   aaa.NewCache(aaa.CacheConfig{Reader: policy, Dict: d.dict, Location: d.zone, Now: d.now}),
		Verifier:   aaa.NewVerifier(d.dict),
		Pools:      d.db,
		Admissions: store.NewAdmissions(d.db),
		Meter:      store.NewMeter(d.db),
		Options:    opts,
		Now:        d.now,
		Location:   d.zone,
	}), nil
}

// explanationView is an explanation in JSON. Secrets are masked.
type explanationView struct {
	User    string      `json:"username"`
	Verdict string      `json:"verdict"` // accept or reject
	Reason  aaa.Reason  `json:"reason"`
	Detail  string      `json:"detail"`
	LookAt  string      `json:"look_at"`
	From    string      `json:"from"`
	Similar []string    `json:"similar,omitempty"` // names that an unknown user may have meant
	Groups  []string    `json:"groups"`
	Reply   []replyView `json:"reply"`
	Steps   []aaa.Step  `json:"steps"`
}

type replyView struct {
	Attribute string `json:"attribute"`
	Tag       uint8  `json:"tag,omitempty"`
	Value     string `json:"value"`
}

func explanationOf(user string, x *aaa.Explanation) explanationView {
	v := explanationView{
		User: user, Verdict: "reject", Reason: x.Decision.Reason, Detail: x.Decision.Detail, LookAt: x.Decision.Reason.LookAt(),
		Groups: orEmpty(x.Groups), Reply: []replyView{}, Steps: orEmpty(x.Steps),
	}
	if x.Decision.Verdict == aaa.Accept {
		v.Verdict = "accept"
	}
	for _, p := range x.Decision.Reply {
		value := p.Attr.Text(p.Value)
		if p.Attr.Secret || p.Attr.Encrypt != dictionaries.EncryptNone {
			value = "***"
		}
		v.Reply = append(v.Reply, replyView{p.Attr.Name, p.Tag, value})
	}
	return v
}
