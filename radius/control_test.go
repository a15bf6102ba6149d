package radius

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/nas"
	"radial/test/fakes/routeros"
)

// device is the rig's router as a row of nas.
func (r *daeRig) device(kind string) *nas.Device {
	return &nas.Device{
		Row:    nas.Row{Name: "127.0.0.1", Type: kind, Secret: secret, Settings: nas.Settings{CoAPort: r.at.Port()}},
		Prefix: netip.PrefixFrom(r.at.Addr(), r.at.Addr().BitLen()),
	}
}

// deed is one on a session of the router's.
func (r *daeRig) deed(t *testing.T, s *routeros.Session, do aaa.Verb, lines ...string) aaa.Deed {
	t.Helper()
	d := aaa.Deed{Do: do, Device: r.device("mikrotik"), Session: aaa.LiveSession{
		SessionID: s.ID, Login: aaa.OpenLogin{User: s.Subscriber.Name}, Address: s.Address, NAS: r.at.Addr(),
	}}
	d.Reply = r.ask(t, CoARequest, lines...).Pairs
	return d
}

func TestControlChangesAndEnds(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Second})
	c := NewControl(r.DAE, ControlOptions{})
	s := r.local(t, "alice")
	e, err := c.Do(t.Context(), r.deed(t, s, aaa.VerbChange, "Mikrotik-Rate-Limit=2M/10M", "Framed-Pool=p", "Session-Timeout=5", "Class=x"))
	if err != nil || e.Result != aaa.ResultDone || e.Via != "coa" || e.Tries != 1 || s.Rate() != "2M/10M" {
		t.Errorf("change: %+v, %v, rate %s", e, err, s.Rate())
	}
	limits := r.deed(t, s, aaa.VerbChange, "Mikrotik-Rate-Limit=9M/9M")
	limits.Limits = r.ask(t, CoARequest, "Session-Timeout=3600", "Mikrotik-Total-Limit=5000").Pairs
	if e, err = c.Do(t.Context(), limits); err != nil || e.Result != aaa.ResultDone || s.Rate() != "2M/10M" {
		t.Errorf("limits: %+v, %v, rate %s", e, err, s.Rate())
	}
	if e, err = c.Do(t.Context(), r.deed(t, s, aaa.VerbDisconnect)); err != nil || e.Result != aaa.ResultDone {
		t.Errorf("disconnect: %+v, %v", e, err)
	}
	if e, err = c.Do(t.Context(), r.deed(t, s, aaa.VerbDisconnect)); err != nil || e.Result != aaa.ResultGone || !strings.Contains(e.Detail, "no such session") {
		t.Errorf("once more: %+v, %v", e, err)
	}
	asked := r.router.Asked()
	if !strings.HasSuffix(asked[1], "Session-Timeout=3600 Mikrotik-Total-Limit=5000") {
		t.Errorf("limits: asked %q", asked[1])
	}
	if !strings.HasPrefix(asked[0], "CoA User-Name=alice Acct-Session-Id="+s.ID) || !strings.HasSuffix(asked[0], "Mikrotik-Rate-Limit=2M/10M") {
		t.Errorf("asked %q", asked)
	}
}

// Each Error-Cause ends in one result, and says in words what it means.
func TestControlCauses(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Second})
	c := NewControl(r.DAE, ControlOptions{})
	s := r.local(t, "alice")
	for cause, want := range map[ErrorCause]struct{ change, disconnect aaa.Result }{
		202: {aaa.ResultRefused, aaa.ResultRefused},
		401: {aaa.ResultUnsupported, aaa.ResultRefused},
		402: {aaa.ResultRefused, aaa.ResultRefused},
		403: {aaa.ResultRefused, aaa.ResultRefused},
		404: {aaa.ResultRefused, aaa.ResultRefused},
		405: {aaa.ResultUnsupported, aaa.ResultUnsupported},
		406: {aaa.ResultUnsupported, aaa.ResultUnsupported},
		407: {aaa.ResultUnsupported, aaa.ResultRefused},
		501: {aaa.ResultRefused, aaa.ResultRefused},
		502: {aaa.ResultRefused, aaa.ResultRefused},
		503: {aaa.ResultGone, aaa.ResultGone},
		504: {aaa.ResultRefused, aaa.ResultRefused},
		505: {aaa.ResultRefused, aaa.ResultRefused},
		506: {aaa.ResultRefused, aaa.ResultRefused},
		507: {aaa.ResultUnsupported, aaa.ResultRefused},
		508: {aaa.ResultRefused, aaa.ResultRefused},
		999: {aaa.ResultRefused, aaa.ResultRefused},
	} {
		r.router.Incoming(routeros.Incoming{NAK: uint32(cause)})
		for do, result := range map[aaa.Verb]aaa.Result{aaa.VerbChange: want.change, aaa.VerbDisconnect: want.disconnect} {
			e, err := c.Do(t.Context(), r.deed(t, s, do, "Mikrotik-Rate-Limit=2M/10M"))
			if err != nil || e.Result != result || e.Cause != uint32(cause) || !strings.Contains(e.Detail, cause.String()) {
				t.Errorf("%s, %s: %+v, %v; want %s", do, cause, e, err, result)
			}
		}
	}
}

// Where nobody answers, nothing is known: another port, another secret, a
// router that is away.
func TestControlSilence(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 10 * time.Millisecond, Tries: 2})
	c := NewControl(r.DAE, ControlOptions{})
	s := r.local(t, "alice")
	unknown := func(what string, d aaa.Deed) {
		t.Helper()
		e, err := c.Do(t.Context(), d)
		if err != nil || e.Result != aaa.ResultUnknown || e.Tries != 2 || e.Detail == "" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	port := r.deed(t, s, aaa.VerbDisconnect)
	port.Device.Settings.CoAPort = addrPortOf(listenUDP(t).LocalAddr()).Port()
	unknown("wrong port", port)
	other := r.deed(t, s, aaa.VerbDisconnect)
	other.Device.Secret = "another"
	unknown("wrong secret", other)
	r.router.Incoming(routeros.Incoming{Mute: true})
	unknown("mute", r.deed(t, s, aaa.VerbDisconnect))
	if s.Ended() {
		t.Error("the session was ended")
	}
}

// A router that reboots in the middle says nothing; asked again, it knows of no
// session.
func TestControlReboot(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 30 * time.Millisecond, Tries: 2})
	c := NewControl(r.DAE, ControlOptions{})
	s := r.local(t, "alice")
	r.router.Incoming(routeros.Incoming{Mute: true})
	deed := r.deed(t, s, aaa.VerbDisconnect)
	done := make(chan aaa.Effect, 1)
	go func() {
		e, err := c.Do(t.Context(), deed)
		if err != nil {
			t.Error(err)
		}
		done <- e
	}()
	for len(r.router.Asked()) == 0 {
		time.Sleep(time.Millisecond)
	}
	r.router.Reboot()
	if e := <-done; e.Result != aaa.ResultUnknown {
		t.Errorf("while it reboots: %+v", e)
	}
	r.router.Incoming(routeros.Incoming{})
	if e, err := c.Do(t.Context(), deed); err != nil || e.Result != aaa.ResultGone || e.Cause != 503 {
		t.Errorf("after its reboot: %+v, %v", e, err)
	}
}

// Requests leave from the address that the device sends to; from the one of the
// settings, where there is one; and from any, where that is not ours.
func TestControlSource(t *testing.T) {
	device := listenUDP(t)
	for _, tc := range []struct{ set, learnt, want string }{
		{"", "", "127.0.0.1"},
		{"", "127.0.0.7", "127.0.0.7"},
		{"127.0.0.8", "127.0.0.7", "127.0.0.8"},
		{"2001:db8::1", "", "127.0.0.1"}, // of the other family
		{"", "203.0.113.9", "127.0.0.1"}, // not ours (any more)
	} {
		var o ControlOptions
		if tc.set != "" {
			o.Source = netip.MustParseAddr(tc.set)
		}
		r := newDAERig(t, DAEOptions{Timeout: 10 * time.Millisecond, Tries: 1})
		d := r.deed(t, &routeros.Session{ID: "81"}, aaa.VerbDisconnect)
		d.Device.Settings.CoAPort = addrPortOf(device.LocalAddr()).Port()
		d.Device.Learnt = &nas.Learnt{}
		if tc.learnt != "" {
			asked := netip.MustParseAddr(tc.learnt)
			d.Device.Learnt.Asked.Store(&asked)
		}
		if e, err := NewControl(r.DAE, o).Do(t.Context(), d); err != nil || e.Result != aaa.ResultUnknown {
			t.Errorf("%+v: %+v, %v", tc, e, err)
		}
		_, from, err := device.ReadFromUDPAddrPort(make([]byte, 4096))
		if err != nil {
			t.Fatal(err)
		}
		if got := from.Addr().Unmap().String(); got != tc.want {
			t.Errorf("%+v: sent from %s", tc, got)
		}
	}
}

func TestControlSendsNothing(t *testing.T) {
	r := newDAERig(t, DAEOptions{})
	c := NewControl(r.DAE, ControlOptions{})
	s := r.local(t, "alice")
	for what, change := range map[string]func(*aaa.Deed){
		"nothing to change":  func(d *aaa.Deed) { d.Do = aaa.VerbChange; d.Reply = r.ask(t, CoARequest, "Framed-Pool=p").Pairs },
		"port 0":             func(d *aaa.Deed) { d.Device.Settings.CoAPort = 0 },
		"a network":          func(d *aaa.Deed) { d.Device.Prefix = netip.MustParsePrefix("10.0.0.0/8") },
		"nothing to find by": func(d *aaa.Deed) { d.Session = aaa.LiveSession{NAS: d.Session.NAS} },
		"no verb":            func(d *aaa.Deed) { d.Do = "" },
	} {
		d := r.deed(t, s, aaa.VerbDisconnect)
		change(&d)
		if e, err := c.Do(t.Context(), d); err != nil || e.Result != aaa.ResultUnsupported || e.Detail == "" || e.Via != "" {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	if got := r.router.Asked(); len(got) != 0 {
		t.Errorf("asked %v", got)
	}
	r.stop()
	if e, err := c.Do(t.Context(), r.deed(t, s, aaa.VerbDisconnect)); !errors.Is(err, ErrDAEClosed) || e.Result != aaa.ResultFailed {
		t.Errorf("after the end: %+v, %v", e, err)
	}
}

// another is a fallback.
type another struct {
	effect aaa.Effect
	err    error
	asked  int
}

func (a *another) Do(context.Context, aaa.Deed) (aaa.Effect, error) {
	a.asked++
	return a.effect, a.err
}

func TestControlFallback(t *testing.T) {
	r := newDAERig(t, DAEOptions{Timeout: 5 * time.Second})
	s := r.local(t, "alice")
	done := aaa.Effect{Result: aaa.ResultDone, Via: "api", Detail: "removed by the API"}
	for _, c := range []struct {
		nak   uint32
		other another
		want  aaa.Result
		asked int
	}{
		{406, another{effect: done}, aaa.ResultDone, 1},
		{406, another{effect: aaa.Effect{Result: aaa.ResultDone, Via: "api"}}, aaa.ResultDone, 1},
		{406, another{effect: aaa.Effect{Result: aaa.ResultUnsupported, Detail: "no login to its API is known"}}, aaa.ResultUnsupported, 1},
		{406, another{effect: aaa.Effect{Result: aaa.ResultFailed}, err: errors.New("no route")}, aaa.ResultUnsupported, 1},
		{503, another{effect: done}, aaa.ResultGone, 0},
		{504, another{effect: done}, aaa.ResultDone, 1},
		{501, another{effect: aaa.Effect{Result: aaa.ResultUnsupported, Detail: "no login to its API is known"}}, aaa.ResultRefused, 1},
	} {
		r.router.Incoming(routeros.Incoming{NAK: c.nak})
		control := NewControl(r.DAE, ControlOptions{Fallback: &c.other})
		e, err := control.Do(t.Context(), r.deed(t, s, aaa.VerbDisconnect))
		if !errors.Is(err, c.other.err) || e.Result != c.want || c.other.asked != c.asked || !strings.Contains(e.Detail, ErrorCause(c.nak).String()) || !strings.Contains(e.Detail, c.other.effect.Detail) && c.asked > 0 {
			t.Errorf("%d: %+v, %v, asked %d", c.nak, e, err, c.other.asked)
		}
		if strings.HasSuffix(e.Detail, "then ") {
			t.Errorf("%d: %q says nothing of the other way", c.nak, e.Detail)
		}
	}
}

var _ aaa.Way = (*Control)(nil)
