package aaa

import (
	"context"
	"errors"
	"strings"
	"testing"

	"radial/ipam"
)

// doorman is Admissions and Addresses that answer as they are told.
type doorman struct {
	open         []OpenSession
	waiting      []WaitingLogin
	admit, lease error
	admitted     []*ipam.Admission // by Admit
	leased       []*ipam.Admission // by Lease
}

func (d *doorman) Admit(_ context.Context, a *ipam.Admission) error {
	d.admitted = append(d.admitted, a)
	return d.admit
}

func (d *doorman) Sessions(context.Context, string) ([]OpenSession, []WaitingLogin, error) {
	return d.open, d.waiting, d.admit
}

func (d *doorman) Lease(_ context.Context, wants []ipam.Want) ([]ipam.Lease, error) {
	d.leased = append(d.leased, wants[0].Admission)
	return nil, d.lease
}

func TestSimultaneousUseIsJudgedOnce(t *testing.T) {
	away := errors.New("away")
	full := &ipam.Refusal{Kind: ipam.IPv4, Pool: "main", Err: ipam.ErrPoolFull}
	reached := &ipam.LimitReached{Open: 2, Waiting: 1}
	for _, c := range []struct {
		what         string
		rows         []string
		accept       bool // pool_full
		admit, lease error

		admitted, leased int
		reason           Reason
		trouble          error
	}{
		{what: "no item", leased: 1, rows: []string{"Pool-Name", ":=", "main"}},
		{what: "no item, no pool"},
		{what: "no pool", rows: []string{"Simultaneous-Use", ":=", "3"}, admitted: 1},
		{what: "with the lease", rows: []string{"Simultaneous-Use", ":=", "3", "Pool-Name", ":=", "main"}, leased: 1},
		{what: "over the limit", rows: []string{"Simultaneous-Use", ":=", "3"}, admit: reached, admitted: 1, reason: ReasonSimultaneousUse},
		{what: "over the limit at the lease", rows: []string{"Simultaneous-Use", ":=", "3", "Pool-Name", ":=", "main"}, lease: reached, leased: 1, reason: ReasonSimultaneousUse},
		{what: "the pool is full", rows: []string{"Simultaneous-Use", ":=", "3", "Pool-Name", ":=", "main"}, lease: full, leased: 1, reason: ReasonPoolFull},
		{what: "the pool is full, and accept", rows: []string{"Simultaneous-Use", ":=", "3", "Pool-Name", ":=", "main"}, accept: true, lease: full, leased: 1, admitted: 1},
		{what: "trouble", rows: []string{"Simultaneous-Use", ":=", "3"}, admit: away, admitted: 1, trouble: away},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := newWorkbench(t)
			d := &doorman{admit: c.admit, lease: c.lease}
			b.config.Admissions, b.config.Addresses = d, d
			if c.accept {
				b.config.Options.PoolFull = PoolFullAccept
			}
			b.tables.set("alice", UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p1"}, c.rows...)...), Reply: rows("Filter-Id", "=", "x")})
			got, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1",
				"Calling-Station-Id", "AA:BB:CC:DD:EE:FF", "NAS-Port-Id", "ether1", "Acct-Session-Id", "s1"))
			if !errors.Is(err, c.trouble) || got.Reason != c.reason || len(d.admitted) != c.admitted || len(d.leased) != c.leased {
				t.Errorf("%v, %q (%s); %d admitted, %d leased", err, got.Reason, got.Detail, len(d.admitted), len(d.leased))
			}
			for _, a := range append(d.admitted, d.leased...) {
				if c.rows == nil || c.rows[0] != "Simultaneous-Use" {
					if a != nil {
						t.Errorf("held to %+v", a)
					}
				} else if a.Limit != 3 || a.User != "alice" || a.SessionID != "s1" || a.Caller.Port != "ether1" || a.Caller.MAC != "aa:bb:cc:dd:ee:ff" || !a.Replace || a.Life != b.config.Options.StartWithin {
					t.Errorf("held to %+v", a)
				}
			}
			if c.reason == ReasonSimultaneousUse {
				message, _ := got.Reply.Value(b.dict.Must("Reply-Message"))
				if len(got.Reply) != 1 || string(message) != "You are already logged in - access denied (3)" || !strings.Contains(got.Detail, "2 open sessions and 1 logins that are about to start") {
					t.Errorf("%v: %s", got.Reply, got.Detail)
				}
			}
		})
	}
}

// Explain tells what is there, what counts and what would be replaced, and asks
// nobody to let anyone in.
func TestExplainSimultaneousUse(t *testing.T) {
	own, other := callerAt(1, "ether1", router), callerAt(1, "ether2", phone)
	b := newWorkbench(t)
	d := &doorman{
		open:    []OpenSession{{ID: 1, Caller: own, SessionID: "81a", Start: b.clock}},
		waiting: []WaitingLogin{{ID: 1, Caller: other, SessionID: "81b", Made: b.clock}},
	}
	b.config.Admissions, b.config.Addresses = d, d
	for limit, want := range map[string][]string{
		"1": {"counted: 0 open sessions and 1 logins that are about to start, 1 allowed", "reason simultaneous_use"},
		"2": {"open session: NAS 10.0.0.1, port ether1, caller aa:aa:aa:00:00:02, id 81a, since 2026-11-21 10:00:00",
			"let in, and not started yet: NAS 10.0.0.1, port ether2, caller aa:aa:aa:00:00:01, id 81b, at 2026-11-21 10:00:00",
			"does not count, and ends when the new one starts: session 81a", "2 allowed", "answer: Access-Accept"},
	} {
		b.tables.set("alice"+limit, UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Simultaneous-Use", ":=", limit)})
		x, err := NewEngine(b.config).Explain(t.Context(), b.request(t, "User-Name", "alice"+limit, "Calling-Station-Id", router, "NAS-Port-Id", "ether1", "NAS-IP-Address", "10.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(x.Text(), w) {
				t.Errorf("lacks %q:\n%s", w, x.Text())
			}
		}
	}
	if len(d.admitted)+len(d.leased) > 0 {
		t.Error("Explain let somebody in")
	}
}
