package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/load"
	"radial/nas"
)

func newLoadCmd(a *app) *cobra.Command {
	o := load.DefaultOptions()
	var auth, acct, secret string
	cmd := &cobra.Command{
		Use:   "load MODE",
		Short: "Load a RADIUS server and tell its rate and latencies",
		Long: `Plays NASes against a RADIUS server, this one or another, in a closed loop: --window requests are always outstanding.

MODE is pap or chap (logins), start, interim or stop (accounting; interim and stop first start their sessions,
unmeasured) or session (login, start, three interims, stop). Users are numbers put into --user-format and
--password-format. Only use it against a server that is yours: it sends as fast as the server answers.`,
		Example: "  radial load pap --secret s3cret --users 60000 --shuffle --duration 10s",
		Args:    named("MODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Mode, o.Secret = load.Mode(args[0]), nas.Secret(secret)
			var err error
			if o.Auth, err = addrPort("--auth", auth); err != nil {
				return err
			}
			if o.Acct, err = addrPort("--acct", acct); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return usagef("load: %w", err)
			}
			if o.Seed == 0 {
				o.Seed = uint64(a.now().UnixNano())
			}
			res, err := load.Run(cmd.Context(), o, func(load.Progress) {
				fmt.Fprintln(a.stderr, "radial: measuring")
			})
			if err != nil {
				return err
			}
			if err := a.print(res, func() string { return loadTable(res) }); err != nil {
				return err
			}
			if res.BadAuthenticator+res.DoubleAddress+res.GivenUp > 0 {
				return fmt.Errorf("load: %d requests without an answer, %d wrong authenticators, %d addresses given twice",
					res.GivenUp, res.BadAuthenticator, res.DoubleAddress)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&auth, "auth", o.Auth.String(), "where the server takes Access-Requests, `address:port`")
	f.StringVar(&acct, "acct", o.Acct.String(), "where it takes Accounting-Requests, `address:port`")
	f.StringVar(&secret, "secret", "", "shared `secret`")
	f.IntVar(&o.Window, "window", o.Window, "requests outstanding")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long new requests are sent")
	f.IntVar(&o.Count, "count", 0, "end after so many requests (sessions in mode session); 0: --duration alone")
	f.IntVar(&o.Users, "users", o.Users, "number of user names")
	f.StringVar(&o.UserFormat, "user-format", o.UserFormat, "user name made of the user's number")
	f.StringVar(&o.PasswordFormat, "password-format", o.PasswordFormat, "password made of the user's number")
	f.BoolVar(&o.Shuffle, "shuffle", false, "users in random order")
	f.IntVar(&o.NASes, "nases", o.NASes, "distinct NAS-IP-Address values")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "before a request is sent again")
	f.IntVar(&o.Tries, "tries", o.Tries, "sends of a request before it is given up")
	f.Uint64Var(&o.Seed, "seed", 0, "of user order and session ids; 0: from the clock")
	return cmd
}

func addrPort(flag, text string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return ap, usagef("%s %q: want address:port such as 127.0.0.1:1812", flag, text)
	}
	return ap, nil
}

func loadTable(r *load.Result) string {
	var b strings.Builder
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }
	fmt.Fprintf(&b, "%s, window %d, %.1f s: %.0f answers/s\n", r.Mode, r.Window, r.Elapsed.Seconds(), r.Rate)
	fmt.Fprintf(&b, "latency  p50 %s  p99 %s  p99.9 %s  max %s\n", ms(r.P50), ms(r.P99), ms(r.P999), ms(r.Max))
	fmt.Fprintf(&b, "accepts %d (%d without an address)  rejects %d  accounting acknowledged %d\n", r.Accepted, r.WithoutAddress, r.Rejected, r.Acknowledged)
	fmt.Fprintf(&b, "sent %d  sent again %d  given up %d  late or double answers %d\n", r.Sent, r.Retransmitted, r.GivenUp, r.Stray)
	fmt.Fprintf(&b, "wrong authenticators %d  addresses given to two live sessions %d\n", r.BadAuthenticator, r.DoubleAddress)
	return b.String()
}
