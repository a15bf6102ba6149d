package aaa

import (
	"context"
	"testing"
	"time"

	"radial/ipam"
)

// untouched are ports that must not be asked.
type untouched struct{ t *testing.T }

func (u untouched) Lease(context.Context, []ipam.Want) ([]ipam.Lease, error) {
	u.t.Error("a lease was asked for")
	return nil, nil
}

func (u untouched) Admit(context.Context, *ipam.Admission) error {
	u.t.Error("sessions were counted")
	return nil
}

func (u untouched) Sessions(context.Context, string) ([]OpenSession, []WaitingLogin, error) {
	u.t.Error("sessions were looked at")
	return nil, nil, nil
}

func (u untouched) Used(context.Context, string, []Span) ([]Usage, error) {
	u.t.Error("usage was asked for")
	return nil, nil
}

func (u untouched) FirstSession(context.Context, string) (time.Time, error) {
	u.t.Error("the first session was asked for")
	return time.Time{}, nil
}

func TestAuthorizeNow(t *testing.T) {
	crypt := "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1"
	for _, c := range []struct {
		name   string
		check  []Row
		typed  string
		ok     bool
		reason Reason
	}{
		{"from memory", rows("Cleartext-Password", ":=", "p1"), "p1", true, ReasonNone},
		{"a wrong password", rows("Cleartext-Password", ":=", "p1"), "p2", true, ReasonBadPassword},
		{"expired, before anything is asked", rows("Cleartext-Password", ":=", "p1", "Expiration", ":=", "1 Jan 2020", "Pool-Name", ":=", "main"), "p1", true, ReasonExpired},
		{"a wrong password and a pool", rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main"), "p2", true, ReasonBadPassword},
		{"a pool", rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main"), "p1", false, ReasonNone},
		{"sessions to count", rows("Cleartext-Password", ":=", "p1", "Simultaneous-Use", ":=", "1"), "p1", false, ReasonNone},
		{"both", rows("Cleartext-Password", ":=", "p1", "Simultaneous-Use", ":=", "1", "Pool-Name", ":=", "main"), "p1", false, ReasonNone},
		{"usage", rows("Cleartext-Password", ":=", "p1", "Max-Daily-Session", ":=", "3600"), "p1", false, ReasonNone},
		{"a first session", rows("Cleartext-Password", ":=", "p1", "Expire-After", ":=", "3600"), "p1", false, ReasonNone},
		{"a slow hash", rows("Crypt-Password", ":=", crypt), "p1", false, ReasonNone},
		{"a slow hash behind a header", rows("Password-With-Header", ":=", "{crypt}"+crypt), "p1", false, ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newWorkbench(t)
			b.tables.set("alice", UserRows{Check: c.check})
			b.config.Addresses, b.config.Admissions, b.config.Meter = untouched{t}, untouched{t}, untouched{t}
			e := NewEngine(b.config)
			ask := func() (Decision, bool) {
				return e.AuthorizeNow(b.request(t, "User-Name", "alice", "User-Password", c.typed))
			}
			if d, ok := ask(); ok || b.tables.reads != 0 {
				t.Fatalf("decided %v before any row was read, %d reads", d, b.tables.reads)
			}
			if _, _, err := b.cache.user(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			d, ok := ask()
			if ok != c.ok || d.Reason != c.reason || ok && (d.Verdict == Accept) != (c.reason == ReasonNone) {
				t.Errorf("got %+v, %v; want %v, reason %q", d, ok, c.ok, c.reason)
			}
			if ok { // a listening connection that says nothing: memory does not count
				b.cache.Down()
				if d, ok := ask(); ok {
					t.Errorf("decided %v from a cache that is down", d)
				}
			}
		})
	}
}
