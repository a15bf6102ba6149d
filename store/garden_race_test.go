package store_test

import (
	"errors"
	"testing"

	"radial/aaa"
	"radial/store"
)

// TestSuspensionBesideGardenThatGoes: somebody is kept out while the walled garden of his
// package is taken away, and each has read what stands there before the other is done. He
// ends refused, or in a group that is shut.
func TestSuspensionBesideGardenThatGoes(t *testing.T) {
	suspend := aaa.SubscriberChange{Status: new(aaa.SubscriberSuspended)}
	remove := aaa.PackageChange{Walled: aaa.WalledChange{Remove: true}}
	prepare := func(t *testing.T) *office {
		o := newOffice(t)
		o.must(o.addPackage("home", aaa.PackageChange{Walled: aaa.WalledChange{AddressList: new("unpaid")}}, false))
		home, err := o.Package(t.Context(), "home")
		o.must(err)
		c := aaa.SubscriberChange{Package: new("home"), Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "p"}}
		_, err = o.ChangeSubscriber(t.Context(), by("user.add"), "ann", o.rules.AddSubscriber(c, &home))
		o.must(err)
		return o
	}
	keptOut := func(o *office) {
		t.Helper()
		shut := o.Rows(`SELECT count(*) FROM radusergroup u JOIN radgroupcheck c ON c.groupname = u.groupname
			WHERE u.username = 'ann' AND u.groupname = 'home:walled' AND c.attribute = 'Auth-Type' AND c.value = 'Reject'`)[0][0]
		refused := o.Rows(`SELECT count(*) FROM radcheck WHERE username = 'ann' AND attribute = 'Auth-Type' AND value = 'Reject'`)[0][0]
		if shut == "0" && refused == "0" {
			t.Errorf("suspended, and let in:\n%s", o.rows())
		}
	}
	t.Run("the garden goes between look and suspension", func(t *testing.T) {
		o := prepare(t)
		looks := 0
		_, err := o.ChangeSubscriber(t.Context(), by("user.suspend"), "ann", func(acc aaa.Account) (aaa.AccountDelta, error) {
			if looks++; looks == 1 {
				_, err := o.ChangePackage(t.Context(), by("package.set"), "home", o.rules.SetPackage(remove))
				o.must(err)
			}
			return o.rules.SetSubscriber(suspend, nil)(acc)
		})
		o.must(err)
		keptOut(o)
	})
	t.Run("the suspension comes between look and the garden's end", func(t *testing.T) {
		o := prepare(t)
		done := make(chan error, 1)
		_, err := o.ChangePackage(t.Context(), by("package.set"), "home", func(s aaa.PackageState) (aaa.PackageDelta, error) {
			go func() { done <- o.setUser("ann", suspend) }()
			over := func() bool {
				return o.Rows("SELECT count(*) FROM radial.subscribers WHERE status = 'suspended'")[0][0] == "1" ||
					o.Rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")[0][0] != "0"
			}
			eventually(t, "the suspension is written, or waits for the package", over)
			return o.rules.SetPackage(remove)(s)
		})
		o.must(err)
		o.must(<-done)
		keptOut(o)
	})
	t.Run("a file of subscribers", func(t *testing.T) {
		o := prepare(t)
		rule := func(acc aaa.Account) (aaa.AccountDelta, error) {
			_, err := o.ChangePackage(t.Context(), by("package.set"), "home", o.rules.SetPackage(remove))
			o.must(err)
			return o.rules.SetSubscriber(suspend, nil)(acc)
		}
		_, _, err := o.ImportSubscribers(t.Context(), by("user.import"), []store.SubscriberLine{{Line: 2, Name: "ann", Rule: rule}}, func(string, int) {})
		if !errors.Is(err, aaa.ErrConflict) {
			t.Errorf("the import ended with %v", err)
		}
	})
}
