package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
)

// exitNoAnswer is the exit code of `radial client` when no reply came, or one
// that cannot be trusted.
const exitNoAnswer = 3

func newClientCmd(a *app) *cobra.Command {
	cmd := nounOf("client", "Send requests to a RADIUS server or a NAS, as radclient does",
		newClientAuthCmd(a), newClientAcctCmd(a), newClientStatusCmd(a), newClientCoACmd(a), newClientDisconnectCmd(a))
	cmd.Long = `Sends requests as a NAS would, or CoA and Disconnect requests to a NAS, and prints what goes out and comes back.

Exit code: 0 Access-Accept, ACK or Accounting-Response; 1 Access-Reject, Access-Challenge or NAK; 3 no answer, or one
that is forged, malformed or signed with another secret; 2 wrong use of the command.`
	return cmd
}

// clientFlags are the flags that all requests share.
type clientFlags struct {
	app         *app
	server      string
	defaultPort string
	secret      string
	attrs       []string
	folders     []string
	local       string
	count       int
	showSecrets bool
	options     radius.ClientOptions

	dict *dictionaries.Dictionary
	sent func(radius.Sent) // prints the request of the exchange under way
}

func newClientFlags(a *app, cmd *cobra.Command, server string) *clientFlags {
	f := &clientFlags{app: a, count: 1}
	_, f.defaultPort, _ = strings.Cut(server, ":")
	p := cmd.Flags()
	p.StringVar(&f.server, "server", server, "server to ask, `host[:port]`")
	p.StringVar(&f.secret, "secret", "testing123", "shared `secret`")
	p.StringArrayVar(&f.attrs, "attr", nil, "further attribute, `'Name=value'`; repeatable")
	p.StringArrayVar(&f.folders, "dictionary", nil, "`folder` with further dictionary files; repeatable")
	p.StringVar(&f.local, "local", "", "source `address`")
	p.IntVar(&f.count, "count", 1, "`times` to send the request, one after the other")
	p.DurationVar(&f.options.Timeout, "timeout", 2*time.Second, "wait for an answer before the request is sent again")
	p.IntVar(&f.options.Tries, "tries", 3, "sends of the request before it is given up")
	p.BoolVar(&f.options.RequireMessageAuthenticator, "require-message-authenticator", false, "take no answer without Message-Authenticator")
	p.BoolVar(&f.showSecrets, "show-secrets", false, "print passwords and keys instead of ***")
	return f
}

// open loads the dictionary and reads the flags that need it.
func (f *clientFlags) open() (*radius.Client, dictionaries.Pairs, error) {
	var err error
	if f.dict, err = dictionaries.Load(f.folders...); err != nil {
		return nil, nil, err
	}
	if f.local != "" {
		ip, err := netip.ParseAddr(f.local)
		if err != nil {
			return nil, nil, usagef("--local %q: want an address such as 192.0.2.1", f.local)
		}
		f.options.Local = netip.AddrPortFrom(ip, 0)
	}
	if f.count < 1 || f.options.Tries < 1 || f.options.Timeout <= 0 {
		return nil, nil, usagef("--count, --tries and --timeout must be above zero")
	}
	f.options.Sent = func(s radius.Sent) { f.sent(s) }
	var pairs dictionaries.Pairs
	for _, text := range f.attrs {
		p, err := f.pair(text)
		if err != nil {
			return nil, nil, err
		}
		pairs = append(pairs, p)
	}
	return radius.NewClient(f.address(), nas.Secret(f.secret), f.dict, f.options), pairs, nil
}

// address is --server with the port that the request has by default.
func (f *clientFlags) address() string {
	if _, _, err := net.SplitHostPort(f.server); err == nil {
		return f.server
	}
	return net.JoinHostPort(strings.Trim(f.server, "[]"), f.defaultPort)
}

// pair reads Name=value, the value with or without double quotes.
func (f *clientFlags) pair(text string) (dictionaries.Pair, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return dictionaries.Pair{}, usagef("--attr %q: want Name=value", text)
	}
	value = strings.TrimSpace(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	p, err := f.dict.Pair(strings.TrimSpace(name), value)
	if err != nil {
		return dictionaries.Pair{}, usagef("--attr %q: %w", text, err)
	}
	return p, nil
}

// must makes a pair of a name that the dictionary has.
func (f *clientFlags) must(name, value string) (dictionaries.Pair, error) {
	p, err := f.dict.Pair(name, value)
	if err != nil {
		return dictionaries.Pair{}, fmt.Errorf("make request: %w", err)
	}
	return p, nil
}

// withNAS puts a NAS-Identifier before pairs that name no NAS (RFC 2865 §4.1
// asks for one).
func (f *clientFlags) withNAS(pairs dictionaries.Pairs) (dictionaries.Pairs, error) {
	for _, name := range []string{"NAS-IP-Address", "NAS-IPv6-Address", "NAS-Identifier"} {
		if pairs.Has(f.dict.Must(name)) {
			return pairs, nil
		}
	}
	p, err := f.must("NAS-Identifier", "radial-client")
	return append(dictionaries.Pairs{p}, pairs...), err
}

// packetView is a packet as it is printed.
type packetView struct {
	Code       string            `json:"code"`
	ID         uint8             `json:"id"`
	Length     int               `json:"length"`
	From       string            `json:"from"`
	To         string            `json:"to"`
	Attributes []packetAttribute `json:"attributes"`
	line       string            // of the table form
}

type packetAttribute struct {
	Name  string `json:"name"`
	Tag   uint8  `json:"tag,omitempty"`
	Value string `json:"value"`
	line  string
}

// exchangeView is a request with what came of it.
type exchangeView struct {
	Sent                 *packetView `json:"sent,omitempty"`
	Received             *packetView `json:"received,omitempty"`
	Tries                int         `json:"tries,omitempty"`
	Milliseconds         float64     `json:"milliseconds,omitempty"`
	MessageAuthenticator bool        `json:"message_authenticator"`
	Error                string      `json:"error,omitempty"`
}

func (f *clientFlags) view(verb string, code radius.Code, id uint8, length int, from, to netip.AddrPort, pairs dictionaries.Pairs) *packetView {
	v := &packetView{
		Code: code.String(), ID: id, Length: length, From: from.String(), To: to.String(), Attributes: []packetAttribute{},
		line: fmt.Sprintf("%s %s Id %d from %s to %s length %d", verb, code, id, from, to, length),
	}
	for _, p := range pairs {
		value, line := p.Attr.Text(p.Value), p.String()
		if !f.showSecrets && (p.Attr.Secret || p.Attr.Encrypt != dictionaries.EncryptNone) {
			value, line = "***", p.Attr.Name+" = ***"
		}
		v.Attributes = append(v.Attributes, packetAttribute{Name: p.Attr.Name, Tag: p.Tag, Value: value, line: line})
	}
	return v
}

func (p *packetView) String() string {
	var b strings.Builder
	b.WriteString(p.line + "\n")
	for _, a := range p.Attributes {
		b.WriteString("\t" + printable(a.line) + "\n")
	}
	return b.String()
}

// run sends the request --count times and prints each exchange. The error is
// that of the worst one.
func (f *clientFlags) run(ctx context.Context, exchange func(context.Context) (*radius.Reply, error)) error {
	var worst error
	views := make([]*exchangeView, 0, f.count)
	for range f.count {
		v, err := f.once(ctx, exchange)
		views = append(views, v)
		if exitCode(err) > exitCode(worst) {
			worst = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	show := func() string {
		var b strings.Builder
		for _, v := range views {
			b.WriteString(v.String())
		}
		return b.String()
	}
	if err := f.app.print(views, show); err != nil {
		return err
	}
	return worst
}

func (f *clientFlags) once(ctx context.Context, exchange func(context.Context) (*radius.Reply, error)) (*exchangeView, error) {
	v := &exchangeView{}
	f.sent = func(s radius.Sent) {
		v.Sent = f.view("Sent", s.Code, s.ID, s.Length, s.From, s.To, s.Pairs)
	}
	reply, err := exchange(ctx)
	if reply != nil {
		v.Received = f.view("Received", reply.Code, reply.ID, reply.Length, reply.From, reply.To, reply.Pairs)
		v.Tries, v.Milliseconds, v.MessageAuthenticator = reply.Tries, float64(reply.RTT.Microseconds())/1000, reply.MessageAuthenticator
	}
	if err != nil {
		v.Error = err.Error()
		return v, f.failed(err)
	}
	switch reply.Code {
	case radius.AccessAccept, radius.AccountingResponse, radius.CoAACK, radius.DisconnectACK:
		return v, nil
	}
	return v, errors.New(reply.Code.String())
}

// failed gives an exchange without a reply to trust its exit code. What could
// not even be sent keeps the usual one.
func (f *clientFlags) failed(err error) error {
	for _, e := range []error{
		radius.ErrNoAnswer, radius.ErrBadReply, radius.ErrBadAuthenticator, radius.ErrBadMessageAuthenticator,
		radius.ErrNoMessageAuthenticator, radius.ErrUnexpectedCode, radius.ErrServerProof, radius.ErrMPPEKeys,
	} {
		if errors.Is(err, e) {
			return codedError{err, exitNoAnswer}
		}
	}
	return err
}

func (v *exchangeView) String() string {
	var b strings.Builder
	if v.Sent != nil {
		b.WriteString(v.Sent.String())
	}
	if v.Received != nil {
		b.WriteString(v.Received.String())
		if !v.MessageAuthenticator {
			b.WriteString("\t# without Message-Authenticator\n")
		}
	}
	return b.String()
}
