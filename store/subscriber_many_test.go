package store_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"radial/aaa"
)

// TestAccountsAreAsOneByOne: many looked up together are what each is alone, with
// rows of others, rows that are gone, packages, and names that are nowhere.
func TestAccountsAreAsOneByOne(t *testing.T) {
	o := newOffice(t)
	o.must(o.addPackage("gold", aaa.PackageChange{}, false))
	o.must(o.addUser("ann", aaa.SubscriberChange{Package: new("gold"), AddGroups: []aaa.GroupItem{{Group: "vip", Priority: 50}}, StaticIP: new(netip.MustParseAddr("100.64.0.1"))}))
	o.must(o.addUser("o'br+ien", aaa.SubscriberChange{Quotas: aaa.QuotaChange{Quotas: []aaa.Quota{{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 5e9}}}}))
	o.must(o.addUser("cyd", aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Class", Op: ":=", Value: "x"}}}))
	o.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('dave', 'Cleartext-Password', ':=', 'x'), ('ann', 'NAS-Port-Type', '==', 'Ethernet')`)
	o.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ('dave', 'gold', 7), ('dave', 'other', 7)`)
	o.Exec(`DELETE FROM radreply WHERE username = 'cyd'`)
	o.Exec(`UPDATE radcheck SET value = 'changed' WHERE username = 'cyd'`)

	names := []string{"nobody", "cyd", "ann", "o'br+ien", "dave"}
	got, err := o.Accounts(t.Context(), names)
	o.must(err)
	for i, name := range names {
		want, err := o.Account(t.Context(), name)
		o.must(err)
		opts := []cmp.Option{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.SortSlices(func(a, b string) bool { return a < b })}
		if diff := cmp.Diff(want, got[i], opts...); diff != "" {
			t.Errorf("%s (-alone +among many):\n%s", name, diff)
		}
	}
}

// TestSyncAll: only those who need it are written, and drift is told.
func TestSyncAll(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		o.must(o.addUser(name, aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Class", Op: ":=", Value: "x"}}}))
	}
	o.Exec(`UPDATE radreply SET value = 'theirs' WHERE username = 'b'`)
	o.Exec(`DELETE FROM radial.projection WHERE owner = 'user:c' AND tbl = 'radreply'`)
	o.Exec(`DELETE FROM radreply WHERE username = 'c'`)
	sync := func(force bool) (changed, drifted string) {
		n, err := o.SyncSubscribers(t.Context(), by("user.sync"), 3, o.rules.SyncSubscriber(force), func(name string, d aaa.AccountDelta) {
			if d.Audit != nil {
				changed += name
			}
			if len(d.Rows.Drift) > 0 {
				drifted += name
			}
		})
		if o.must(err); n != 4 {
			t.Errorf("%d looked at", n)
		}
		return changed, drifted
	}
	if changed, drifted := sync(false); changed != "c" || drifted != "b" {
		t.Errorf("changed %q, drifted %q", changed, drifted)
	}
	if changed, drifted := sync(true); changed != "b" || drifted != "" {
		t.Errorf("by force: changed %q, drifted %q", changed, drifted)
	}
	if changed, drifted := sync(false); changed+drifted != "" {
		t.Errorf("at the end: changed %q, drifted %q", changed, drifted)
	}
	if rows := o.Rows(`SELECT count(*) FROM radreply WHERE value = 'x'`); rows[0][0] != "4" {
		t.Errorf("%s rows", rows[0][0])
	}
}

// TestSyncAllGoesOn: one who cannot be put in order, or is deleted meanwhile, keeps
// nobody after him from it.
func TestSyncAllGoesOn(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		o.must(o.addUser(name, aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Class", Op: ":=", Value: "x"}}}))
	}
	o.Exec(`DELETE FROM radial.projection WHERE tbl = 'radreply'`)
	o.Exec(`DELETE FROM radreply`)
	broken := errors.New("broken")
	rule := func(acc aaa.Account) (aaa.AccountDelta, error) {
		switch acc.Name {
		case "a":
			return aaa.AccountDelta{}, broken
		case "b":
			o.Exec(`DELETE FROM radial.subscribers WHERE username = 'b'`)
			o.Exec(`DELETE FROM radcheck WHERE username = 'b'`)
		}
		return o.rules.SyncSubscriber(false)(acc)
	}
	changed := ""
	n, err := o.SyncSubscribers(t.Context(), by("user.sync"), 3, rule, func(name string, d aaa.AccountDelta) {
		if d.Audit != nil {
			changed += name
		}
	})
	if !errors.Is(err, broken) || errors.Is(err, aaa.ErrNotFound) || n != 4 || changed != "cd" {
		t.Errorf("%d looked at, %q changed: %v", n, changed, err)
	}
}
