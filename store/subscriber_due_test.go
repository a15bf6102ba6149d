package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"radial/aaa"
)

// TestExpiry: the state follows the end date once it has passed, and only then;
// one who cannot be changed keeps nobody else.
func TestExpiry(t *testing.T) {
	o := newOffice(t)
	clock := time.Now()
	o.rules.Now = func() time.Time { return clock }
	soon := clock.Add(50 * time.Millisecond).Truncate(time.Millisecond)
	o.must(o.addPackage("home", aaa.PackageChange{Walled: aaa.WalledChange{For: []aaa.WallState{aaa.WallExpired}, AddressList: new("unpaid")}}, false))
	home, err := o.Package(t.Context(), "home")
	o.must(err)
	for _, name := range []string{"a", "b", "later", "suspended"} {
		c := aaa.SubscriberChange{Expires: &soon, Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "p"}}
		switch name {
		case "b":
			c.Package = new("home")
		case "later":
			c.Expires = new(clock.Add(time.Hour))
		case "suspended":
			c.Status = new(aaa.SubscriberSuspended)
		}
		_, err := o.ChangeSubscriber(t.Context(), by("user.add"), name, o.rules.AddSubscriber(c, &home))
		o.must(err)
	}
	broken := errors.New("broken")
	clock = clock.Add(time.Minute)
	rule := func(acc aaa.Account) (aaa.AccountDelta, error) {
		if acc.Name == "a" {
			return aaa.AccountDelta{}, broken
		}
		return o.rules.ExpireSubscriber(acc)
	}
	for deadline := time.Now().Add(10 * time.Second); ; { // the database's clock says who is due
		n, err := o.ExpireSubscribers(t.Context(), 1, rule)
		if n == 1 && errors.Is(err, broken) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d changed: %v", n, err)
		}
	}
	n, err := o.ExpireSubscribers(t.Context(), 1, o.rules.ExpireSubscriber)
	if o.must(err); n != 1 {
		t.Errorf("%d changed", n)
	}
	if n, err := o.ExpireSubscribers(t.Context(), 1, o.rules.ExpireSubscriber); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	for name, want := range map[string]aaa.SubscriberStatus{"a": aaa.SubscriberExpired, "b": aaa.SubscriberExpired, "later": aaa.SubscriberActive, "suspended": aaa.SubscriberSuspended} {
		acc, err := o.Account(t.Context(), name)
		if o.must(err); acc.Subscriber.Status != want {
			t.Errorf("%s is %s", name, acc.Subscriber.Status)
		}
	}
	if rows := o.Rows(`SELECT actor, key FROM radial.audit WHERE action = 'user.expire' ORDER BY key`); len(rows) != 2 || rows[0][0] != "job:expire_subscribers" {
		t.Errorf("audit: %v", rows)
	}
	if rows := o.Rows(`SELECT groupname FROM radusergroup WHERE username = 'b' ORDER BY priority`); len(rows) != 2 || rows[0][0] != "home:walled" {
		t.Errorf("groups of b: %v", rows)
	}
}

// TestGardensAreTended: those who are kept out follow a garden that is opened,
// narrowed or torn down, and in between nobody gets more than he should.
func TestGardensAreTended(t *testing.T) {
	o := newOffice(t)
	o.must(o.addPackage("home", aaa.PackageChange{}, false))
	home, err := o.Package(t.Context(), "home")
	o.must(err)
	for name, status := range map[string]aaa.SubscriberStatus{"act": aaa.SubscriberActive, "exp": aaa.SubscriberExpired, "off": aaa.SubscriberInactive, "sus": aaa.SubscriberSuspended} {
		_, err := o.ChangeSubscriber(t.Context(), by("user.add"), name, o.rules.AddSubscriber(aaa.SubscriberChange{
			Package: new("home"), Status: &status, Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "p"},
		}, &home))
		o.must(err)
	}
	set := func(c aaa.WalledChange) {
		t.Helper()
		_, err := o.ChangePackage(t.Context(), by("package.set"), "home", o.rules.SetPackage(aaa.PackageChange{Walled: c}))
		o.must(err)
	}
	tend := func(want int) {
		t.Helper()
		if n, err := o.TendGardens(t.Context(), 1, o.rules.SyncSubscriber(false), o.rules.SyncPackage(false)); n != want || err != nil {
			t.Errorf("%d followed, want %d: %v", n, want, err)
		}
	}
	inside := func(want ...string) {
		t.Helper()
		var have []string
		for _, row := range o.Rows(`SELECT username FROM radusergroup WHERE groupname = 'home:walled' ORDER BY 1`) {
			have = append(have, row[0])
		}
		if len(have) != len(want) {
			t.Fatalf("inside: %v, want %v", have, want)
		}
		for i := range want {
			if have[i] != want[i] {
				t.Fatalf("inside: %v, want %v", have, want)
			}
		}
	}
	tend(0)
	set(aaa.WalledChange{AddressList: new("unpaid")})
	tend(2)
	inside("exp", "sus")
	tend(0)
	set(aaa.WalledChange{For: []aaa.WallState{aaa.WallSuspended}})
	tend(1)
	inside("sus")
	set(aaa.WalledChange{Remove: true})
	if rows := o.Rows(`SELECT attribute, value FROM radgroupcheck WHERE groupname = 'home:walled'`); len(rows) != 1 || rows[0][1] != "Reject" {
		t.Errorf("while somebody is inside the group says %v", rows)
	}
	tend(1)
	inside()
	if rows := o.Rows(`SELECT groupname FROM radgroupcheck UNION ALL SELECT groupname FROM radgroupreply WHERE groupname <> 'home'`); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
	tend(0)
}

// TestGardenIsTold: whoever holds the group's rows in memory hears of a change of
// its walled garden, also where no row of FreeRADIUS's tables changes.
func TestGardenIsTold(t *testing.T) {
	o := newOffice(t)
	o.must(o.addPackage("home", aaa.PackageChange{Walled: aaa.WalledChange{AddressList: new("unpaid")}}, false))
	got := hear(t, o.DB, "radial_policy", func() {
		_, err := o.ChangePackage(t.Context(), by("package.set"), "home", o.rules.SetPackage(aaa.PackageChange{Walled: aaa.WalledChange{For: []aaa.WallState{aaa.WallExpired}}}))
		o.must(err)
	})
	if want := `G["home","home:walled"]`; !slices.Contains(got, want) {
		t.Errorf("heard %q, want %s", got, want)
	}
}
