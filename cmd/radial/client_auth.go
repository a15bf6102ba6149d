package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
)

func newClientAuthCmd(a *app) *cobra.Command {
	var password, method string
	var f *clientFlags
	cmd := &cobra.Command{
		Use:   "auth NAME --password P",
		Short: "Log a user in",
		Long: `Sends an Access-Request as a NAS would. After an accepted MS-CHAPv2 login the server's proof that it knows the
password is checked, and with both MS-CHAPs the MPPE keys; --show-secrets prints them.`,
		Example: "  radial client auth alice --password wonderland --attr NAS-Port-Id=ether1",
		Args:    named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("password") {
				return usagef("client auth: --password is missing")
			}
			m := radius.LoginMethod(method)
			if !slices.Contains(radius.LoginMethods, m) {
				return usagef("--method %q: one of %v", method, radius.LoginMethods)
			}
			client, pairs, err := f.open()
			if err != nil {
				return err
			}
			if pairs, err = f.withNAS(pairs); err != nil {
				return err
			}
			login := radius.Login{User: args[0], Password: nas.Secret(password), Method: m, Pairs: pairs}
			return f.run(cmd.Context(), func(ctx context.Context) (*radius.Reply, error) { return client.Login(ctx, login) })
		},
	}
	f = newClientFlags(a, cmd, "127.0.0.1:1812")
	cmd.Flags().StringVar(&password, "password", "", "the user's `password`")
	cmd.Flags().StringVar(&method, "method", string(radius.LoginPAP), "`pap|chap|mschapv1|mschapv2`")
	return cmd
}

func newClientStatusCmd(a *app) *cobra.Command {
	var f *clientFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask a server whether it serves (Status-Server)",
		Args:  named(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.send(cmd.Context(), radius.StatusServer, nil) },
	}
	f = newClientFlags(a, cmd, "127.0.0.1:1812")
	return cmd
}

func newClientCoACmd(a *app) *cobra.Command {
	return newDynamicCmd(a, radius.CoARequest, "coa [NAME]", "Change a session on a NAS (CoA-Request)",
		"  radial client coa alice --server 192.0.2.1 --secret S --attr Mikrotik-Rate-Limit=5M/20M")
}

func newClientDisconnectCmd(a *app) *cobra.Command {
	return newDynamicCmd(a, radius.DisconnectRequest, "disconnect [NAME]", "End a session on a NAS (Disconnect-Request)",
		"  radial client disconnect --server 192.0.2.1 --secret S --attr Acct-Session-Id=8a0000f1")
}

// newDynamicCmd makes a request of dynamic authorization (RFC 5176). It carries
// Event-Timestamp, against replays, and names the session by what is given.
func newDynamicCmd(a *app, code radius.Code, use, short, example string) *cobra.Command {
	var f *clientFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s: unexpected argument %q", cmd.CommandPath(), args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.send(cmd.Context(), code, func(pairs dictionaries.Pairs) (dictionaries.Pairs, error) {
				if len(args) > 0 {
					p, err := f.must("User-Name", args[0])
					if err != nil {
						return nil, err
					}
					pairs = append(dictionaries.Pairs{p}, pairs...)
				}
				if len(pairs) == 0 {
					return nil, usagef("%s: nothing says which session: give NAME or --attr", cmd.CommandPath())
				}
				if pairs.Has(f.dict.Must("Event-Timestamp")) {
					return pairs, nil
				}
				p, err := f.must("Event-Timestamp", fmt.Sprint(a.now().Unix()))
				return append(pairs, p), err
			})
		},
	}
	f = newClientFlags(a, cmd, "127.0.0.1:3799")
	return cmd
}

// send sends a request of the --attr pairs as complete returns them.
func (f *clientFlags) send(ctx context.Context, code radius.Code, complete func(dictionaries.Pairs) (dictionaries.Pairs, error)) error {
	client, pairs, err := f.open()
	if err != nil {
		return err
	}
	if complete != nil {
		if pairs, err = complete(pairs); err != nil {
			return err
		}
	}
	return f.run(ctx, func(ctx context.Context) (*radius.Reply, error) { return client.Exchange(ctx, code, pairs) })
}

func newClientAcctCmd(a *app) *cobra.Command {
	var verbs []*cobra.Command
	for _, v := range []struct{ word, status, short string }{
		{"start", "Start", "A session begins"},
		{"interim", "Interim-Update", "A session goes on"},
		{"stop", "Stop", "A session ends"},
		{"on", "Accounting-On", "A NAS has started: all its sessions are over"},
		{"off", "Accounting-Off", "A NAS stops: all its sessions are over"},
	} {
		verbs = append(verbs, newAcctCmd(a, v.word, v.status, v.short))
	}
	return nounOf("acct", "Send accounting", verbs...)
}

// acctFlags are the counters of an Accounting-Request.
type acctFlags struct {
	session, ip, cause string
	seconds            uint32
	input, output      uint64
}

func newAcctCmd(a *app, word, status, short string) *cobra.Command {
	var f *clientFlags
	var c acctFlags
	ofSession := word != "on" && word != "off"
	cmd := &cobra.Command{Use: word, Short: short, Args: named()}
	if ofSession {
		cmd.Use, cmd.Args = word+" NAME --session-id S", named("NAME")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.send(cmd.Context(), radius.AccountingRequest, func(pairs dictionaries.Pairs) (dictionaries.Pairs, error) {
			pairs, err := f.withNAS(pairs)
			if err != nil {
				return nil, err
			}
			texts := [][2]string{{"Acct-Status-Type", status}}
			if ofSession {
				if c.session == "" && !pairs.Has(f.dict.Must("Acct-Session-Id")) {
					return nil, usagef("%s: --session-id is missing", cmd.CommandPath())
				}
				texts = append(texts, c.pairs(cmd, args[0])...)
			}
			var made dictionaries.Pairs
			for _, t := range texts {
				p, err := f.must(t[0], t[1])
				if err != nil {
					return nil, usageError{err}
				}
				made = append(made, p)
			}
			return append(made, pairs...), nil
		})
	}
	f = newClientFlags(a, cmd, "127.0.0.1:1813")
	if ofSession {
		p := cmd.Flags()
		p.StringVar(&c.session, "session-id", "", "Acct-Session-Id")
		p.StringVar(&c.ip, "ip", "", "Framed-IP-Address")
	}
	if word == "interim" || word == "stop" {
		p := cmd.Flags()
		p.Uint32Var(&c.seconds, "session-time", 0, "Acct-Session-Time, `seconds`")
		p.Uint64Var(&c.input, "input", 0, "`octets` from the user; gigawords are made of it")
		p.Uint64Var(&c.output, "output", 0, "`octets` to the user")
	}
	if word == "stop" {
		cmd.Flags().StringVar(&c.cause, "cause", "User-Request", "Acct-Terminate-Cause")
	}
	return cmd
}

// pairs writes what the flags of a session say, counters only where the command
// has them.
func (c *acctFlags) pairs(cmd *cobra.Command, user string) [][2]string {
	texts := [][2]string{{"User-Name", user}}
	add := func(name, value string) { texts = append(texts, [2]string{name, value}) }
	if c.session != "" {
		add("Acct-Session-Id", c.session)
	}
	if c.ip != "" {
		add("Framed-IP-Address", c.ip)
	}
	if !strings.HasPrefix(cmd.Use, "start") {
		add("Acct-Session-Time", fmt.Sprint(c.seconds))
		add("Acct-Input-Octets", fmt.Sprint(uint32(c.input)))
		add("Acct-Output-Octets", fmt.Sprint(uint32(c.output)))
		add("Acct-Input-Gigawords", fmt.Sprint(c.input>>32))
		add("Acct-Output-Gigawords", fmt.Sprint(c.output>>32))
	}
	if c.cause != "" {
		add("Acct-Terminate-Cause", c.cause)
	}
	return texts
}
