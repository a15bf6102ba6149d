package test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
	"radial/test/harness"
	"radial/test/scenario"
)

// story is what has happened in a case that is more than logins.
type story struct {
	secret   nas.Secret       // of the case's own routers
	sessions map[string]*told // by name
}

// told is a session of a story: what its login sent and got.
type told struct {
	user, nas string
	sent, got dictionaries.Pairs
}

// addressAttributes are what a session has of pools, and reports in accounting.
var addressAttributes = []string{"Framed-IP-Address", "Framed-IPv6-Prefix", "Delegated-IPv6-Prefix", "Framed-IPv6-Address"}

// reported are the attributes of a reply that accounting repeats.
var reported = append([]string{"Class", "Framed-Interface-Id"}, addressAttributes...)

func (p *player) clientAt(server string, from netip.Addr, secret nas.Secret) *radius.Client {
	o := radius.ClientOptions{RequireMessageAuthenticator: server == p.server.Auth}
	if from.IsValid() {
		o.Local = netip.AddrPortFrom(from, 0)
	}
	return radius.NewClient(server, secret, p.dict, o)
}

// clientOf sends as a router of the case, or as one that no case has made.
func (p *player) clientOf(c scenario.Case, name string, accounting bool) *radius.Client {
	server := p.server.Auth
	if accounting {
		server = p.server.Acct
	}
	for _, n := range c.NAS {
		if n.Name == name {
			return p.clientAt(server, n.Address, p.story.secret)
		}
	}
	return p.clientAt(server, netip.Addr{}, scenarioSecret)
}

// impatient is clientOf that waits for half a second alone: long enough for an
// answer that a server of this machine gives.
func (p *player) impatient(c scenario.Case, name string) *radius.Client {
	o := radius.ClientOptions{Timeout: 500 * time.Millisecond, Tries: 1}
	for _, n := range c.NAS {
		if n.Name == name {
			o.Local = netip.AddrPortFrom(n.Address, 0)
			return radius.NewClient(p.server.Auth, p.story.secret, p.dict, o)
		}
	}
	return radius.NewClient(p.server.Auth, scenarioSecret, p.dict, o)
}

func (p *player) step(t *testing.T, c scenario.Case, s scenario.Step) {
	t.Helper()
	switch {
	case s.Command != nil:
		p.command(t, c, s)
	case s.Accounting != nil:
		p.account(t, c, s)
	case s.Expect != nil:
		p.expect(t, s)
	}
}

// command runs `radial`, and waits until the server follows.
func (p *player) command(t *testing.T, c scenario.Case, s scenario.Step) {
	t.Helper()
	args := slices.Clone(s.Command.Args)
	for i := range args {
		args[i] = p.fill(t, args[i])
	}
	if s.Command.NAS {
		p.db.Exec(`DELETE FROM nas WHERE nasname = $1`, args[2]) // of an earlier case
		args = append(args, "--secret", p.story.secret.Reveal())
	}
	out := p.server.Radial(t, args...)
	if (out.Code != 0) != s.Command.Fails || !strings.Contains(out.Stdout+out.Stderr, s.Command.Prints) {
		t.Fatalf("line %d: radial %s: exit %d, want failure %v and %q\n%s%s", s.Line, strings.Join(args, " "), out.Code,
			s.Command.Fails, s.Command.Prints, out.Stdout, out.Stderr)
	}
	if s.Command.NAS {
		from := netip.MustParseAddr(args[2])
		harness.Eventually(t, patience, "the server knows the router "+args[2], func() bool {
			o := radius.ClientOptions{Timeout: 100 * time.Millisecond, Tries: 1, Local: netip.AddrPortFrom(from, 0)}
			_, err := radius.NewClient(p.server.Auth, p.story.secret, p.dict, o).Exchange(context.Background(), radius.StatusServer, nil)
			return err == nil
		})
	}
	p.prime(t)
	p.db.Exec(`UPDATE radcheck SET value = $1 WHERE username = 'sentinel'`, p.newPassword())
	harness.Eventually(t, patience, "the server follows the command", func() bool { return p.sentinel(p.password) })
}

// fill puts what sessions have got in place of {SESSION.ATTRIBUTE}.
func (p *player) fill(t *testing.T, text string) string {
	t.Helper()
	for name, s := range p.story.sessions {
		for {
			_, rest, ok := strings.Cut(text, "{"+name+".")
			ref, _, ends := strings.Cut(rest, "}")
			if !ok || !ends {
				break
			}
			attr, _, err := p.dict.Ref(ref)
			if err != nil {
				t.Fatal(err)
			}
			v, ok := s.got.Value(attr)
			if !ok {
				t.Fatalf("%s: session %s has no %s", text, name, ref)
			}
			text = strings.ReplaceAll(text, "{"+name+"."+ref+"}", attr.Text(v))
		}
	}
	return text
}

func (p *player) filled(t *testing.T, attrs []scenario.Attr) []scenario.Attr {
	t.Helper()
	out := slices.Clone(attrs)
	for i := range out {
		out[i].Value = p.fill(t, out[i].Value)
	}
	return out
}

// account sends an Accounting-Request, which must be answered.
func (p *player) account(t *testing.T, c scenario.Case, s scenario.Step) {
	t.Helper()
	a := s.Accounting
	session := p.story.sessions[a.Session]
	if session == nil {
		session = &told{user: a.User, nas: a.NAS}
		if a.Session != "" {
			p.story.sessions[a.Session] = session
		}
	}
	own := scenario.Login{Line: s.Line, Attrs: p.filled(t, a.Attrs)}
	given, err := own.Pairs(p.dict)
	if err != nil {
		t.Fatal(err)
	}
	pairs := p.record(t, a, session)
	pairs = slices.DeleteFunc(pairs, func(have dictionaries.Pair) bool { return given.Has(have.Attr) })
	for _, pair := range given {
		if len(pair.Value) > 0 { // an empty one takes away
			pairs = append(pairs, pair)
		}
	}
	for _, name := range addressAttributes { // what the session has now
		if v, ok := given.Value(p.dict.Must(name)); ok {
			session.got = append(slices.DeleteFunc(session.got, func(have dictionaries.Pair) bool { return have.Attr == p.dict.Must(name) }),
				dictionaries.Pair{Attr: p.dict.Must(name), Value: v})
		}
	}
	router := session.nas
	if a.NAS != "" {
		router = a.NAS
	}
	if _, err := p.clientOf(c, router, true).Exchange(context.Background(), radius.AccountingRequest, pairs); err != nil {
		t.Errorf("line %d: %s: %v", s.Line, a.Status, err)
	}
}

// record is what a router reports of a session.
func (p *player) record(t *testing.T, a *scenario.Accounting, session *told) dictionaries.Pairs {
	t.Helper()
	status := map[string]string{"start": "Start", "interim": "Interim-Update", "stop": "Stop", "on": "Accounting-On", "off": "Accounting-Off"}[a.Status]
	var pairs dictionaries.Pairs
	add := func(name, value string) {
		pair, err := p.dict.Pair(name, value)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
	}
	add("Acct-Status-Type", status)
	if a.Session == "" {
		return pairs
	}
	add("User-Name", session.user)
	add("Acct-Session-Id", a.Session)
	for _, pair := range session.sent {
		if pair.Attr.Name != "Acct-Session-Id" {
			pairs = append(pairs, pair)
		}
	}
	for _, pair := range session.got {
		if slices.Contains(reported, pair.Attr.Name) && !chosenElsewhere(pair) {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// chosenElsewhere tells the addresses that stand for the router's or the user's
// choice (RFC 2865 section 5.8).
func chosenElsewhere(p dictionaries.Pair) bool {
	return p.Attr.Name == "Framed-IP-Address" && strings.HasPrefix(p.Attr.Text(p.Value), "255.255.255.25")
}

// compare holds a reply against those of earlier logins.
func (p *player) compare(t *testing.T, l scenario.Login, reply dictionaries.Pairs) {
	t.Helper()
	for _, like := range l.Want.Likes {
		attr, _, err := p.dict.Ref(like.Ref)
		if err != nil {
			t.Fatalf("line %d: %v", like.Line, err)
		}
		before, had := p.story.sessions[like.Session].got.Value(attr)
		now, has := reply.Value(attr)
		if !had || !has || (string(before) == string(now)) == like.Other {
			t.Errorf("line %d: %s is %s, and of session %s it is %s", like.Line, like.Ref, attr.Text(now), like.Session, attr.Text(before))
		}
	}
}

// expect looks into the tables.
func (p *player) expect(t *testing.T, s scenario.Step) {
	t.Helper()
	session := p.story.sessions[s.Expect.Session]
	var addresses []string
	for _, pair := range session.got {
		if slices.Contains(addressAttributes, pair.Attr.Name) {
			addresses = append(addresses, pair.Attr.Text(pair.Value))
		}
	}
	for _, want := range s.Expect.States {
		switch want {
		case "open", "closed":
			rows := p.db.Rows(`SELECT CASE WHEN acctstoptime IS NULL THEN 'open' ELSE 'closed' END FROM radacct WHERE acctsessionid = $1
				ORDER BY radacctid DESC LIMIT 1`, s.Expect.Session)
			if len(rows) == 0 || rows[0][0] != want {
				t.Errorf("line %d: radacct says %v, want %s", s.Line, rows, want)
			}
		default:
			if len(addresses) == 0 {
				t.Errorf("line %d: session %s has no address", s.Line, s.Expect.Session)
			}
			for _, a := range addresses {
				if got := p.addressState(a); got != want {
					t.Errorf("line %d: %s is %s, want %s", s.Line, a, got, want)
				}
			}
		}
	}
	if s.Expect.History == nil {
		return
	}
	for _, a := range addresses {
		var got []string
		for _, row := range p.db.Rows(`SELECT action FROM radial.address_history WHERE address = $1::inet ORDER BY at, id`, a) {
			got = append(got, row[0])
		}
		if !slices.Equal(got, s.Expect.History) {
			t.Errorf("line %d: the history of %s is %v, want %v", s.Line, a, got, s.Expect.History)
		}
	}
}

// addressState is the state of an address's row; a prefix without one is free.
func (p *player) addressState(address string) string {
	rows := p.db.Rows(`SELECT state FROM radial.addresses WHERE address = $1::inet`, address)
	switch {
	case len(rows) > 0:
		return rows[0][0]
	case strings.Contains(address, ":"):
		return "free"
	}
	return "in no pool"
}
