package jobs_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/jobs"
	"radial/nas"
	"radial/nas/routeros"
	fake "radial/test/fakes/routeros"
)

// oneRouter is a book of one router, linked to device 7.
type oneRouter struct{ login routeros.Login }

func (b oneRouter) Login(context.Context, string) (routeros.Login, error) { return b.login, nil }

func (b oneRouter) OfNAS(_ context.Context, id int64) (string, error) {
	if id != 7 {
		return "", fmt.Errorf("router of nas id:%d: %w", id, aaa.ErrNotFound)
	}
	return "pop1", nil
}

func playRouter(t *testing.T, version string) (*fake.Router, *routeros.Fleet) {
	t.Helper()
	r, api := fake.Play(t, fake.Config{Version: version, Password: "geheim"}, nil)
	f := routeros.NewFleet(oneRouter{routeros.Login{Address: api, User: "admin", Password: "geheim", Timeout: 2 * time.Second}}, 2, time.Now)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, f
}

func TestRouterWay(t *testing.T) {
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"6.49.17 (long-term)", "7.18.2 (stable)"} {
		r, fleet := playRouter(t, version)
		sit := func(name string) *fake.Session {
			t.Helper()
			if _, err := r.Put("/ppp/secret", map[string]string{"name": name, "password": "x", "remote-address": "10.0.0.9"}); err != nil {
				t.Fatal(err)
			}
			s, err := r.Dial(t.Context(), fake.Subscriber{Name: name, Password: "x"})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		var way aaa.Way = jobs.NewRouterWay(fleet, dict)
		do := func(s *fake.Session, verb aaa.Verb, device int64, want aaa.Result, detail string, reply ...string) {
			t.Helper()
			d := aaa.Deed{Do: verb, Device: &nas.Device{Row: nas.Row{ID: device, Name: "10.0.0.1", Type: "mikrotik"}, Prefix: netip.MustParsePrefix("10.0.0.1/32")}}
			d.Session = aaa.LiveSession{SessionID: s.ID, Login: aaa.OpenLogin{User: s.Subscriber.Name}, Address: s.Address}
			for _, line := range reply {
				name, value, _ := strings.Cut(line, "=")
				p, err := dict.Pair(name, value)
				if err != nil {
					t.Fatal(err)
				}
				d.Reply = append(d.Reply, p)
			}
			got, err := way.Do(t.Context(), d)
			if err != nil || got.Result != want || !strings.Contains(got.Detail, detail) {
				t.Errorf("%s: %s %s %v: %+v, %v, want %s %q", version, verb, s.Subscriber.Name, reply, got, err, want, detail)
			}
			if want == aaa.ResultDone && got.Via != "api" {
				t.Errorf("%+v", got)
			}
		}
		alice, bob := sit("alice"), sit("bob")
		if _, err := r.Put("/queue/simple", map[string]string{"name": "q", "target": "<pppoe-alice>"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Put("/queue/simple", map[string]string{"name": "<pppoe-bob>", "target": "<pppoe-bob>", "dynamic": "true"}); err != nil {
			t.Fatal(err)
		}
		do(alice, aaa.VerbChange, 7, aaa.ResultDone, "", "Mikrotik-Rate-Limit=5M/10M", "Session-Timeout=600")
		if got := r.Items("/queue/simple")[0]["max-limit"]; got != "5000000/10000000" {
			t.Errorf("max-limit %s", got)
		}
		do(alice, aaa.VerbChange, 7, aaa.ResultUnsupported, "Mikrotik-Address-List is due as well", "Mikrotik-Rate-Limit=5M/10M", "Mikrotik-Address-List=walled")
		do(alice, aaa.VerbChange, 7, aaa.ResultUnsupported, "none is due")
		do(alice, aaa.VerbNone, 7, aaa.ResultUnsupported, "neither change nor disconnect")
		do(alice, aaa.VerbDisconnect, 8, aaa.ResultUnsupported, "no router of radial router list is linked to nas 10.0.0.1")
		do(bob, aaa.VerbChange, 7, aaa.ResultUnsupported, "made the session's queue by itself", "Mikrotik-Rate-Limit=5M/10M")

		r.Break(fake.Fault{On: "/ppp/active/remove", How: fake.Refuse, Message: "not enough permissions (9)"})
		do(bob, aaa.VerbDisconnect, 7, aaa.ResultRefused, "router pop1: end session")
		r.Break(fake.Fault{On: "/ppp/active/remove", How: fake.Lose})
		do(bob, aaa.VerbDisconnect, 7, aaa.ResultUnknown, "connection to the router is broken")
		do(bob, aaa.VerbDisconnect, 7, aaa.ResultGone, "does not have the session")
		do(alice, aaa.VerbDisconnect, 7, aaa.ResultDone, "")
		r.Break(fake.Fault{On: "/login", How: fake.Drop, Times: 9})
		r.Reboot()
		do(alice, aaa.VerbDisconnect, 7, aaa.ResultFailed, "router pop1")
	}
}
