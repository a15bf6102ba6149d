package routeros_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play runs a fake router and returns how it is reached.
func play(t *testing.T, c fake.Config, certificate *tls.Certificate) (*fake.Router, routeros.Login) {
	t.Helper()
	c.Password = "geheim"
	r, api := fake.Play(t, c, certificate)
	return r, routeros.Login{Address: api, User: "admin", Password: "geheim", Timeout: 5 * time.Second}
}

func connect(t *testing.T, l routeros.Login) *routeros.Conn {
	t.Helper()
	c, err := routeros.Dial(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var versions = []string{"6.42.12", "6.49.17 (long-term)", "7.15.3 (stable)", "7.18.2 (stable)"}

func TestVersions(t *testing.T) {
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			_, login := play(t, fake.Config{Version: v}, nil)
			c := connect(t, login)
			reply, err := c.Run(t.Context(), "/system/resource/print", "=.proplist=version")
			if err != nil || len(reply.Rows) != 1 || reply.Rows[0]["version"] != v {
				t.Fatalf("%v, %v", reply, err)
			}
			if reply, err = c.Run(t.Context(), "/ppp/secret/print"); err != nil || len(reply.Rows) != 0 {
				t.Errorf("no secrets: %v, %v", reply, err)
			}
			for command, is := range map[string]func(error) bool{
				"/ppp/secret/remove =.id=*99":                routeros.IsMissing,
				"/no/such/print":                             routeros.IsMissing,
				"/ppp/profile/add =name=default":             isTrap(4, "already exists"),
				"/ppp/secret/add =name=x =profile=nope":      isTrap(1, "profile"),
				"/ppp/secret/add =name=grüße =service=pppoe": func(err error) bool { return err == nil },
			} {
				words := strings.Fields(command)
				if _, err := c.Run(t.Context(), words[0], words[1:]...); !is(err) {
					t.Errorf("%s: %v", command, err)
				}
			}
			login.Password = "falsch"
			if _, err := routeros.Dial(t.Context(), login); !errors.Is(err, routeros.ErrLogin) || strings.Contains(err.Error(), "falsch") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
	_, login := play(t, fake.Config{ReadOnly: true}, nil)
	if _, err := connect(t, login).Run(t.Context(), "/ip/pool/add", "=name=p", "=ranges=10.0.0.2"); !isTrap(4, "not enough permissions")(err) {
		t.Errorf("a user who may only read: %v", err)
	}
}

func isTrap(category int, text string) func(error) bool {
	return func(err error) bool {
		var trap *routeros.Trap
		return errors.As(err, &trap) && trap.Category == category && strings.Contains(trap.Message, text)
	}
}

func TestCertificates(t *testing.T) {
	cert, pin, err := fake.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	_, login := play(t, fake.Config{}, cert)
	otherName := strings.Replace(login.Address, "127.0.0.1", "localhost", 1)
	var wrongPin *routeros.PinError
	for name, c := range map[string]struct {
		policy *routeros.TLSPolicy
		ok     func(error) bool
	}{
		"system's roots":  {&routeros.TLSPolicy{}, func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		"own root":        {&routeros.TLSPolicy{Roots: trusted}, func(err error) bool { return err == nil }},
		otherName:         {&routeros.TLSPolicy{Roots: trusted}, func(err error) bool { return errors.As(err, new(x509.HostnameError)) }},
		"pin":             {&routeros.TLSPolicy{Pin: pin}, func(err error) bool { return err == nil }},
		"pin with colons": {&routeros.TLSPolicy{Pin: colons(pin)}, func(err error) bool { return err == nil }},
		"other pin":       {&routeros.TLSPolicy{Pin: strings.Repeat("ab", 32)}, func(err error) bool { return errors.As(err, &wrongPin) && wrongPin.Got == pin }},
	} {
		login := login
		if login.TLS = c.policy; name == otherName {
			login.Address = otherName
		}
		conn, err := routeros.Dial(t.Context(), login)
		if !c.ok(err) {
			t.Errorf("%s: %v", name, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

func colons(hex string) string {
	var b strings.Builder
	for i := 0; i < len(hex); i += 2 {
		b.WriteString(":" + strings.ToUpper(hex[i:i+2]))
	}
	return b.String()[1:]
}

// A router that does not answer, or breaks off, ends the command in time, and
// the connection is not used again.
func TestBroken(t *testing.T) {
	for name, f := range map[string]fake.Fault{
		"mute": {How: fake.Mute}, "drop": {How: fake.Drop}, "cut": {How: fake.Cut}, "fatal": {How: fake.Fatal, Message: "out of memory"}, "slow": {How: fake.Slow, Delay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r, login := play(t, fake.Config{}, nil)
			login.Timeout = time.Second // for connecting too, on a busy machine
			c := connect(t, login)
			f.On = "/ip/pool/print"
			r.Break(f)
			if _, err := c.Run(t.Context(), "/ip/pool/print"); !errors.Is(err, routeros.ErrBroken) {
				t.Errorf("%v", err)
			}
			if _, err := c.Run(t.Context(), "/system/identity/print"); !errors.Is(err, routeros.ErrBroken) {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestPool(t *testing.T) {
	r, login := play(t, fake.Config{}, nil)
	p := routeros.NewPool(login, 3, time.Now)
	defer p.Close()
	read := func(c *routeros.Conn) error { _, err := c.Run(t.Context(), "/ip/pool/print"); return err }
	write := func(c *routeros.Conn) error {
		_, err := c.Run(t.Context(), "/ip/pool/add", "=name=p", "=ranges=10.0.0.2")
		return err
	}
	r.Break(fake.Fault{On: "/ip/pool/print", How: fake.Drop, Times: 2})
	if err := p.Read(t.Context(), read); err != nil {
		t.Errorf("a read that breaks twice: %v", err)
	}
	r.Break(fake.Fault{On: "/ip/pool/print", How: fake.Drop, Times: 3})
	if err := p.Read(t.Context(), read); !errors.Is(err, routeros.ErrBroken) {
		t.Errorf("a read that breaks three times: %v", err)
	}
	r.Break(fake.Fault{On: "/ip/pool/add", How: fake.Lose})
	if err := p.Write(t.Context(), write); !errors.Is(err, routeros.ErrBroken) {
		t.Errorf("a write that breaks: %v", err)
	}
	if got := len(r.Items("/ip/pool")); got != 1 {
		t.Errorf("the write was done %d times", got)
	}
	if err := p.Read(t.Context(), read); err != nil {
		t.Error(err)
	}
	r.Reboot() // the idle connection is dead, and nobody has told us
	if err := p.Write(t.Context(), write); !isTrap(4, "already have")(err) {
		t.Errorf("a write after a reboot: %v", err)
	}
	var many sync.WaitGroup
	for range 20 {
		many.Go(func() {
			if err := p.Read(t.Context(), read); err != nil {
				t.Error(err)
			}
		})
	}
	many.Wait()
}

func TestEnsure(t *testing.T) {
	for _, v := range versions {
		r, login := play(t, fake.Config{Version: v}, nil)
		c := connect(t, login)
		want := routeros.Want{Path: "/ppp/secret", Key: routeros.Row{"name": "alice", "service": "pppoe"},
			Fields: routeros.Row{"password": "10M", "limit-bytes-in": "1000", "disabled": "no"}, Note: "gold"}
		ensure := func(w routeros.Want, dryRun bool, action routeros.Action) routeros.Change {
			t.Helper()
			got, err := routeros.Ensure(t.Context(), c, w, dryRun)
			if err != nil || got.Action != action {
				t.Fatalf("%s: %+v, %v, want %s", v, got, err, action)
			}
			return got
		}
		ensure(want, true, routeros.Added)
		if len(r.Items("/ppp/secret")) != 0 {
			t.Error("a dry run added")
		}
		added := ensure(want, false, routeros.Added)
		ensure(want, false, routeros.Unchanged)
		want.Fields["password"], want.Fields["limit-bytes-in"] = "10000000", "1k" // a password is no rate
		change := ensure(want, true, routeros.Changed)
		if diff := cmp.Diff(routeros.Change{Action: routeros.Changed, Path: "/ppp/secret", ID: added.ID, Before: routeros.Row{"password": "10M"}, After: routeros.Row{"password": "10000000"}}, change); diff != "" {
			t.Error(diff)
		}
		want.Fields["limit-bytes-in"] = "1000"
		ensure(want, false, routeros.Changed)
		if got := r.Items("/ppp/secret")[0]; got["password"] != "10000000" || got["comment"] != "radial gold" {
			t.Errorf("%v", got)
		}

		id, err := r.Put("/ppp/secret", map[string]string{"name": "bob", "service": "pppoe", "comment": "radially yours"})
		if err != nil {
			t.Fatal(err)
		}
		foreign := routeros.Want{Path: "/ppp/secret", Key: routeros.Row{"name": "bob", "service": "pppoe"}, Fields: routeros.Row{"profile": "default-encryption"}}
		if _, err := routeros.Ensure(t.Context(), c, foreign, false); !errors.Is(err, routeros.ErrForeign) {
			t.Errorf("a foreign item: %v", err)
		}
		if _, err := routeros.Remove(t.Context(), c, "/ppp/secret", foreign.Key, false, false); !errors.Is(err, routeros.ErrForeign) {
			t.Errorf("a foreign item to remove: %v", err)
		}
		foreign.Adopt = true
		if got := ensure(foreign, false, routeros.Changed); got.ID != id {
			t.Errorf("adopted %s, want %s", got.ID, id)
		}
		for _, action := range []routeros.Action{routeros.Removed, routeros.Unchanged} {
			if got, err := routeros.Remove(t.Context(), c, "/ppp/secret", foreign.Key, false, false); err != nil || got.Action != action {
				t.Errorf("remove: %+v, %v, want %s", got, err, action)
			}
		}

		settings := routeros.Row{"use-radius": "yes", "interim-update": "00:05:00"}
		for _, action := range []routeros.Action{routeros.Changed, routeros.Unchanged} {
			if got, err := routeros.EnsureSettings(t.Context(), c, "/ppp/aaa", settings, false); err != nil || got.Action != action {
				t.Errorf("settings: %+v, %v, want %s", got, err, action)
			}
		}
	}
}

// Wherever the connection breaks, before or after the router acted, the next
// run ends in the same router, with no item twice.
func TestEnsureAfterEveryBreak(t *testing.T) {
	wants := []routeros.Want{
		{Path: "/ip/pool", Key: routeros.Row{"name": "p"}, Fields: routeros.Row{"ranges": "10.0.0.2-10.0.0.9"}, NoComment: true},
		{Path: "/ppp/profile", Key: routeros.Row{"name": "gold"}, Fields: routeros.Row{"remote-address": "p", "rate-limit": "20M/100M"}},
		{Path: "/radius", Key: routeros.Row{"service": "ppp", "address": "192.0.2.1"}, Fields: routeros.Row{"secret": "s3cret", "timeout": "3s"}},
	}
	apply := func(login routeros.Login) error {
		c, err := routeros.Dial(t.Context(), login)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, w := range wants {
			if _, err := routeros.Ensure(t.Context(), c, w, false); err != nil {
				return err
			}
		}
		return nil
	}
	state := func(r *fake.Router) string {
		return fmt.Sprint(strip(r.Items("/ip/pool")), strip(r.Items("/ppp/profile")), strip(r.Items("/radius")))
	}
	whole, login := play(t, fake.Config{}, nil)
	if err := apply(login); err != nil {
		t.Fatal(err)
	}
	for _, how := range []fake.Breaking{fake.Drop, fake.Lose, fake.Cut} {
		for n := range whole.Sentences() {
			r, login := play(t, fake.Config{}, nil)
			r.Break(fake.Fault{Skip: n, How: how})
			if err := apply(login); err == nil {
				t.Errorf("break %d at sentence %d was not told", how, n)
			}
			if err := apply(login); err != nil {
				t.Errorf("after break %d at sentence %d: %v", how, n, err)
			}
			if diff := cmp.Diff(state(whole), state(r)); diff != "" {
				t.Errorf("after break %d at sentence %d: %s", how, n, diff)
			}
		}
	}
}

func strip(items []map[string]string) []map[string]string {
	for _, i := range items {
		delete(i, ".id")
	}
	return items
}
