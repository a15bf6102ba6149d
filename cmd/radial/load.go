package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/load"
	"radial/nas"
)

// loadFlags are the flags of `radial load` that are not options as they stand.
type loadFlags struct {
	o                                        load.Options
	auth, acct, secret, login, source, wrong string
	resend                                   string
	secretStdin, verify                      bool
	verifyWithin                             time.Duration
}

func newLoadCmd(a *app) *cobra.Command {
	f := &loadFlags{o: load.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "load MODE",
		Short: "Load a RADIUS server and tell its rate and latencies",
		Long: `Plays NASes against a RADIUS server, this one or another, and checks every answer's signature.

MODE is pap, chap or mschapv2 (logins); start, interim or stop (accounting; users are logged in first, and for interim and
stop their sessions started, unmeasured); acct (start, three interims and stop of many sessions, without logins); session
(login, start, three interims, stop); or storm (after a power cut: all --users dial at once, each again after --redial
when its tries are over, and start their sessions; it ends when all are in, or after --duration).

Without --rate it is a closed loop: --window requests are always outstanding, and it sends as fast as the server answers.
With --rate requests arrive at random as many a second (a Poisson stream by --seed) whether the server keeps up or not,
and latency counts from a request's arrival, so that a server that stalls cannot hide.

Users are numbers put into --user-format and --password-format. While it runs on a terminal it tells each second how far
it is. It ends with exit code 1 when requests were not answered, a signature was wrong, an address was given to two live
sessions, a wrong password was accepted, or --verify has found something acknowledged that is not stored. Only use it against a server that is yours.`,
		Example: `  radial load pap --secret s3cret --users 60000 --shuffle --duration 10s
  radial load acct --secret s3cret --rate 1000 --duration 1m
  radial load storm --secret s3cret --users 50000`,
		Args: named("MODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.options(a, cmd, args[0]); err != nil {
				return err
			}
			return a.load(cmd.Context(), f)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *loadFlags) register(cmd *cobra.Command) {
	fl, o := cmd.Flags(), &f.o
	fl.StringVar(&f.auth, "auth", o.Auth.String(), "where the server takes Access-Requests, `address:port`")
	fl.StringVar(&f.acct, "acct", o.Acct.String(), "where it takes Accounting-Requests, `address:port`")
	fl.StringVar(&f.secret, "secret", "", "shared `secret`; visible in the list of processes, see --secret-stdin")
	fl.BoolVar(&f.secretStdin, "secret-stdin", false, "read the secret from the first line of stdin")
	fl.StringVar(&f.login, "login", string(o.Login), "`method` of logins in the other modes: pap, chap or mschapv2")
	fl.IntVar(&o.Window, "window", o.Window, "requests outstanding in a closed loop")
	fl.Float64Var(&o.Rate, "rate", 0, "an open loop with so many requests a second; 0: a closed loop")
	fl.DurationVar(&o.Duration, "duration", o.Duration, "how long new requests are sent; of a storm the most (2m unless told)")
	fl.IntVar(&o.Count, "count", 0, "end after so many requests (sessions in modes session and acct); 0: --duration alone")
	fl.IntVar(&o.Users, "users", o.Users, "number of user names")
	fl.StringVar(&o.UserFormat, "user-format", o.UserFormat, "user name made of the user's number")
	fl.StringVar(&o.PasswordFormat, "password-format", o.PasswordFormat, "password made of the user's number, or one for all users")
	fl.StringVar(&f.wrong, "wrong-passwords", "0%", "`share` of logins with a wrong password, such as 2%")
	fl.BoolVar(&o.Shuffle, "shuffle", false, "users in random order")
	fl.IntVar(&o.NASes, "nases", o.NASes, "distinct NAS-IP-Address values")
	fl.StringVar(&f.source, "source", "", "`prefix` of this machine's addresses to send from in turn, a NAS each, such as 127.1.0.0/24")
	fl.IntVar(&o.Sockets, "sockets", 0, "source ports; 0: as many as the mode needs")
	fl.DurationVar(&o.Timeout, "timeout", o.Timeout, "before a request is sent again")
	fl.IntVar(&o.Tries, "tries", o.Tries, "sends of a request before it is given up")
	fl.StringVar(&f.resend, "acct-resend", "same", "accounting is sent again as the `same` bytes, or anew: with another identifier and Acct-Delay-Time")
	fl.DurationVar(&o.Redial, "redial", o.Redial, "in a storm, how long a user waits before it dials again, give or take half")
	fl.Uint64Var(&o.Seed, "seed", 0, "of user order, arrivals and session ids; 0: from the clock")
	fl.BoolVar(&f.verify, "verify", false, "at the end compare what was acknowledged with radacct, in the database of the configuration")
	fl.DurationVar(&f.verifyWithin, "verify-within", 10*time.Second, "how long rows may still be on their way at the end (from a journal)")
	choices(cmd, "login", "pap", "chap", "mschapv2")
	choices(cmd, "acct-resend", "same", "anew")
}

// options reads the flags and returns what is wrong with them.
func (f *loadFlags) options(a *app, cmd *cobra.Command, mode string) (err error) {
	o := &f.o
	o.Mode, o.Login = load.Mode(mode), load.Mode(f.login)
	secret, err := a.secretInput("secret", f.secret, f.secretStdin)
	if err != nil {
		return err
	}
	o.Secret = nas.Secret(secret)
	if o.Auth, err = addrPort("--auth", f.auth); err != nil {
		return err
	}
	if o.Acct, err = addrPort("--acct", f.acct); err != nil {
		return err
	}
	if o.WrongPasswords, err = share("--wrong-passwords", f.wrong); err != nil {
		return err
	}
	if f.source != "" {
		if o.Source, err = netip.ParsePrefix(f.source); err != nil {
			return usagef("--source %q: want a prefix such as 127.1.0.0/24", f.source)
		}
	}
	switch f.resend {
	case "same", "anew":
		o.RenewAcct = f.resend == "anew"
	default:
		return usagef("--acct-resend %q: want same or anew", f.resend)
	}
	if o.Mode == load.Storm && !cmd.Flags().Changed("duration") {
		o.Duration = 2 * time.Minute
	}
	if err := o.Validate(); err != nil {
		return usagef("load: %w", err)
	}
	o.KeepSessions = f.verify
	if o.Seed == 0 {
		o.Seed = uint64(a.now().UnixNano())
	}
	return nil
}

// loadReport is what is printed.
type loadReport struct {
	*load.Result
	Verified *loadVerified `json:"verified,omitempty"`
}

// load runs it and tells the result.
func (a *app) load(ctx context.Context, f *loadFlags) error {
	watching := &loadWatch{progress: a.progress(""), ended: make(chan struct{})}
	res, err := load.Run(ctx, f.o, func(p load.Progress) {
		a.note("measuring")
		watching.follow(p)
	})
	watching.end()
	if err != nil {
		return err
	}
	report := loadReport{Result: res}
	var verifyErr error
	if f.verify {
		report.Verified, verifyErr = a.verifyLoad(ctx, f.o, res, f.verifyWithin)
	}
	if err := a.print(report, func() string { return report.String() }); err != nil {
		return err
	}
	if verifyErr != nil {
		return fmt.Errorf("load: verify: %w", verifyErr)
	}
	return report.err()
}

// String is the report for people.
func (r loadReport) String() string {
	text := loadTable(r.Result)
	if r.Verified != nil {
		text += verifiedTable(r.Verified)
	}
	return text
}

// err tells what is wrong.
func (r loadReport) err() error {
	var errs []error
	if r.Failed() {
		errs = append(errs, loadFailure(r.Result))
	}
	if v := r.Verified; v != nil {
		for _, e := range v.examples {
			errs = append(errs, fmt.Errorf("load: %s", e))
		}
	}
	return errors.Join(errs...)
}

func loadFailure(r *load.Result) error {
	var what []string
	tell := func(n uint64, text string) {
		if n > 0 {
			what = append(what, fmt.Sprintf("%d %s", n, text))
		}
	}
	if r.Storm != nil {
		tell(uint64(r.Storm.Out), "users that are not in")
		tell(uint64(r.Storm.Refused), "users that were refused")
	} else {
		tell(r.GivenUp, "requests without an answer")
	}
	tell(r.Unsent, "requests that found no free identifier")
	tell(r.BadAuthenticator, "wrong authenticators")
	tell(r.BadProof, "Access-Accepts without a right MS-CHAP2-Success")
	tell(r.DoubleAddress, "addresses given twice")
	tell(r.WrongAccepted, "wrong passwords accepted")
	return fmt.Errorf("load: %s", strings.Join(what, ", "))
}

// share reads a percentage such as 2%, or a fraction such as 0.02.
func share(flag, text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, usagef("%s %q: want a share from 0%% to 100%%, such as 2%%", flag, text)
	}
	return v, nil
}

func addrPort(flag, text string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return ap, usagef("%s %q: want address:port such as 127.0.0.1:1812", flag, text)
	}
	return ap, nil
}
