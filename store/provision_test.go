package store_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/dictionaries"
	"radial/store"
	"radial/store/storetest"
)

// office provisions in a test's database.
type office struct {
	*storetest.DB
	t     *testing.T
	rules *aaa.Provisioner
}

func newOffice(t *testing.T, options ...storetest.Option) *office {
	t.Helper()
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	rules := &aaa.Provisioner{Rows: aaa.NewCompiler(dict, time.UTC), Zone: time.UTC, Now: time.Now}
	return &office{storetest.New(t, options...), t, rules}
}

func by(action string) store.Change { return store.Change{Actor: "cli:test", Action: action} }

func (o *office) addUser(name string, c aaa.SubscriberChange) error {
	o.t.Helper()
	if c.Password == nil {
		c.Password = &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "p w"}
	}
	_, err := o.ChangeSubscriber(o.t.Context(), by("user.add"), name, o.rules.AddSubscriber(c, nil))
	return err
}

func (o *office) setUser(name string, c aaa.SubscriberChange) error {
	o.t.Helper()
	_, err := o.ChangeSubscriber(o.t.Context(), by("user.set"), name, o.rules.SetSubscriber(c, nil))
	return err
}

func (o *office) sync(name string, force bool) aaa.RowDelta {
	o.t.Helper()
	d, err := o.ChangeSubscriber(o.t.Context(), by("user.sync"), name, o.rules.SyncSubscriber(force))
	if err != nil {
		o.t.Fatal(err)
	}
	return d.Rows
}

func (o *office) addPackage(name string, c aaa.PackageChange, adopt bool) error {
	o.t.Helper()
	_, err := o.ChangePackage(o.t.Context(), by("package.add"), name, o.rules.AddPackage(c, adopt))
	return err
}

// rows prints what FreeRADIUS's tables hold, one row a line.
func (o *office) rows() string {
	o.t.Helper()
	var lines []string
	for _, sql := range []string{
		"SELECT 'check', username, attribute, op, value FROM radcheck ORDER BY id",
		"SELECT 'reply', username, attribute, op, value FROM radreply ORDER BY id",
		"SELECT 'member', username, groupname, priority FROM radusergroup ORDER BY id",
		"SELECT 'gcheck', groupname, attribute, op, value FROM radgroupcheck ORDER BY id",
		"SELECT 'greply', groupname, attribute, op, value FROM radgroupreply ORDER BY id",
	} {
		for _, row := range o.Rows(sql) {
			lines = append(lines, strings.Join(row, " "))
		}
	}
	return strings.Join(lines, "\n")
}

func (o *office) wantRows(what string, want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), o.rows()); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func TestSubscriberLife(t *testing.T) {
	o := newOffice(t)
	gold := "gold"
	o.must(o.addPackage(gold, aaa.PackageChange{RateDown: new(int64(100e6)), RateUp: new(int64(20e6)), Price: new("29.90")}, false))
	o.must(o.addUser("o'br+ien", aaa.SubscriberChange{Package: &gold, AddReplies: []aaa.Item{{Attribute: "Reply-Message", Op: ":=", Value: "a+b=c"}}}))
	o.wantRows("added: names as FreeRADIUS looks them up, values as they are",
		"check o=27br=2Bien Cleartext-Password := p w", "reply o=27br=2Bien Reply-Message := a+b=c", "member o=27br=2Bien gold 100",
		"greply gold Mikrotik-Rate-Limit = 20M/100M", "greply gold Fall-Through = Yes")

	o.must(o.setUser("o'br+ien", aaa.SubscriberChange{Status: new(aaa.SubscriberSuspended), Package: new("")}))
	o.wantRows("suspended, without package",
		"check o=27br=2Bien Cleartext-Password := p w", "check o=27br=2Bien Auth-Type := Reject",
		"reply o=27br=2Bien Reply-Message := Your account is suspended.", "reply o=27br=2Bien Fall-Through := No",
		"greply gold Mikrotik-Rate-Limit = 20M/100M", "greply gold Fall-Through = Yes")

	acc, err := o.Account(t.Context(), "o'br+ien")
	o.must(err)
	if s := acc.Subscriber; s == nil || s.Status != aaa.SubscriberSuspended || s.Package != "" || len(s.Replies) != 1 || len(acc.Lost) != 0 {
		t.Errorf("account %+v", acc)
	}

	_, err = o.ChangeSubscriber(t.Context(), by("user.del"), "o'br+ien", o.rules.DeleteSubscriber)
	o.must(err)
	_, err = o.ChangePackage(t.Context(), by("package.del"), gold, o.rules.DeletePackage)
	o.must(err)
	o.wantRows("all deleted", "")
	if left := o.Rows("SELECT * FROM radial.projection"); left != nil {
		t.Errorf("projection keeps %v", left)
	}
	audit, err := o.Audit(t.Context(), store.AuditQuery{Limit: 10})
	o.must(err)
	var actions []string
	for _, a := range audit {
		actions = append(actions, a.Actor+" "+a.Action+" "+a.Key)
		if strings.Contains(string(a.Detail), "p w") {
			t.Errorf("a password in the audit: %s", a.Detail)
		}
	}
	want := []string{"cli:test package.del gold", "cli:test user.del o'br+ien", "cli:test user.set o'br+ien", "cli:test user.add o'br+ien", "cli:test package.add gold"}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Error(diff)
	}
}

func TestRawEscaping(t *testing.T) {
	o := newOffice(t, storetest.WithOptions(store.Options{Escaping: "raw"}))
	o.must(o.addUser("a+b", aaa.SubscriberChange{}))
	o.wantRows("raw", "check a+b Cleartext-Password := p w")
}

func TestRowsOfOthersStay(t *testing.T) {
	o := newOffice(t)
	o.Exec("INSERT INTO radusergroup (username, groupname, priority) VALUES ('bob', 'staff', 1)")
	o.must(o.addUser("bob", aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Session-Timeout", Op: ":=", Value: "60"}}}))
	o.Exec("INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Class', ':=', 'panel')")
	o.Exec("UPDATE radreply SET value = '90' WHERE attribute = 'Session-Timeout'")
	o.Exec("UPDATE radcheck SET value = 'changed'")

	if d := o.sync("bob", false); !d.Empty() && len(d.Update) != 1 || len(d.Drift) != 1 || d.Drift[0].Kind != aaa.DriftChanged {
		t.Errorf("sync: %+v", d)
	}
	o.must(o.setUser("bob", aaa.SubscriberChange{Comment: new("x"), AddReplies: []aaa.Item{{Attribute: "Filter-Id", Op: "+=", Value: "f"}}}))
	o.wantRows("sync and set leave what others wrote and changed",
		"check bob Cleartext-Password := changed", "reply bob Session-Timeout := 90", "reply bob Class := panel", "reply bob Filter-Id += f", "member bob staff 1")

	if d := o.sync("bob", true); len(d.Update) != 1 || len(d.Drift) != 0 {
		t.Errorf("forced sync: %+v", d)
	}
	o.wantRows("a forced sync takes back what is ours, not what is theirs",
		"check bob Cleartext-Password := changed", "reply bob Session-Timeout := 60", "reply bob Class := panel", "reply bob Filter-Id += f", "member bob staff 1")

	o.Exec("DELETE FROM radreply WHERE attribute = 'Session-Timeout'")
	if d := o.sync("bob", false); len(d.Drift) != 1 || d.Drift[0].Kind != aaa.DriftRemoved {
		t.Errorf("sync after a removal: %+v", d)
	}
	if d := o.sync("bob", true); len(d.Insert) != 1 {
		t.Errorf("forced sync after a removal: %+v", d)
	}
	if d := o.sync("bob", false); !d.Empty() || len(d.Drift) != 0 {
		t.Errorf("a second sync: %+v", d)
	}

	_, err := o.ChangeSubscriber(t.Context(), by("user.del"), "bob", o.rules.DeleteSubscriber)
	o.must(err)
	o.wantRows("deleted: nothing that could let him in stays", "")
	audit, err := o.Audit(t.Context(), store.AuditQuery{Key: "bob", Action: "user.del", Limit: 1})
	o.must(err)
	if len(audit) != 1 || !strings.Contains(string(audit[0].Detail), "Class := panel") {
		t.Errorf("the audit lacks the rows of others: %+v", audit)
	}
}

func TestUsersOfFreeRADIUSAlone(t *testing.T) {
	o := newOffice(t)
	o.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('dave', 'Cleartext-Password', ':=', 'old'), ('e=27f', 'Crypt-Password', ':=', 'x')`)
	o.must(o.addUser("carol", aaa.SubscriberChange{Email: new("carol@example.net")}))

	list := func(f store.SubscriberFilter) string {
		t.Helper()
		f.Limit = max(f.Limit, 1)
		subs, more, err := o.Subscribers(t.Context(), f)
		o.must(err)
		names := []string{}
		for _, s := range subs {
			names = append(names, s.Name)
		}
		if more {
			names = append(names, "…")
		}
		return strings.Join(names, " ")
	}
	for want, f := range map[string]store.SubscriberFilter{
		"carol dave e'f": {Limit: 10}, "carol dave …": {Limit: 2}, "e'f": {Limit: 2, After: "dave"}, "carol": {Limit: 10, Search: "EXAMPLE"},
		"dave": {Limit: 10, Search: "dav"}, "": {Limit: 10, Status: aaa.SubscriberSuspended},
	} {
		if got := list(f); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
	if err := o.addUser("e'f", aaa.SubscriberChange{}); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("adding one who stands in radcheck: %v", err)
	}
	o.must(o.setUser("dave", aaa.SubscriberChange{Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "new"}}))
	o.wantRows("his password is changed in place", "check dave Cleartext-Password := new", "check e=27f Crypt-Password := x", "check carol Cleartext-Password := p w")
	if got := list(store.SubscriberFilter{Limit: 10}); got != "carol dave e'f" {
		t.Errorf("after the change: %q", got)
	}
	if err := o.setUser("nobody", aaa.SubscriberChange{Comment: new("x")}); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestOneOfTwoAddsWins(t *testing.T) {
	o := newOffice(t)
	for range 5 {
		o.Exec("DELETE FROM radial.subscribers; DELETE FROM radcheck; DELETE FROM radial.projection")
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = o.addUser("bob", aaa.SubscriberChange{}) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, aaa.ErrConflict) {
				t.Errorf("a loser got %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d adds won", won)
		}
		o.wantRows("one user", "check bob Cleartext-Password := p w")
	}
}

func TestOneAddressOneSubscriber(t *testing.T) {
	o := newOffice(t)
	ip := netip.MustParseAddr("100.64.9.7")
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i, name := range []string{"a", "b", "c"} {
		wg.Go(func() { errs[i] = o.addUser(name, aaa.SubscriberChange{StaticIP: &ip}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), "100.64.9.7") {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d subscribers have the address", won)
	}
	o.Exec("INSERT INTO radreply (username, attribute, op, value) VALUES ('panel', 'Framed-IP-Address', ':=', '100.64.9.8')")
	if err := o.addUser("d", aaa.SubscriberChange{StaticIP: new(netip.MustParseAddr("100.64.9.8"))}); !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), "panel") {
		t.Errorf("an address of a row of others: %v", err)
	}
}

// Somebody who does not take our locks changes a row while we decide: we decide
// again, on what he left.
func TestRaceWithPsql(t *testing.T) {
	o := newOffice(t)
	o.must(o.addUser("bob", aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Session-Timeout", Op: ":=", Value: "60"}}}))
	set := o.rules.SetSubscriber(aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Session-Timeout", Op: ":=", Value: "70"}}}, nil)
	var seen []string
	_, err := o.ChangeSubscriber(t.Context(), by("user.set"), "bob", func(acc aaa.Account) (aaa.AccountDelta, error) {
		for _, r := range acc.Rows {
			if r.Table == aaa.TableReply {
				seen = append(seen, r.Value)
			}
		}
		if len(seen) == 1 {
			o.Exec("UPDATE radreply SET value = '65'")
		}
		return set(acc)
	})
	o.must(err)
	if diff := cmp.Diff([]string{"60", "65"}, seen); diff != "" {
		t.Error(diff)
	}
	o.wantRows("ours in the end", "check bob Cleartext-Password := p w", "reply bob Session-Timeout := 70")

	// One who changes it every time wins, and we say so.
	n := 100
	_, err = o.ChangeSubscriber(t.Context(), by("user.set"), "bob", func(acc aaa.Account) (aaa.AccountDelta, error) {
		n++
		o.Exec("UPDATE radreply SET value = $1::int", n)
		return o.rules.SetSubscriber(aaa.SubscriberChange{AddReplies: []aaa.Item{{Attribute: "Session-Timeout", Op: ":=", Value: "80"}}}, nil)(acc)
	})
	if !errors.Is(err, aaa.ErrConflict) || !strings.Contains(err.Error(), "try again") {
		t.Errorf("a race that is lost three times: %v", err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	o := newOffice(t)
	c := by("user.add")
	c.DryRun = true
	d, err := o.ChangeSubscriber(t.Context(), c, "bob", o.rules.AddSubscriber(aaa.SubscriberChange{Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "x"}}, nil))
	o.must(err)
	if len(d.Rows.Insert) != 1 {
		t.Errorf("%+v", d)
	}
	o.wantRows("nothing is kept", "")
	if n := o.Rows("SELECT FROM radial.audit UNION ALL SELECT FROM radial.subscribers"); len(n) != 0 {
		t.Errorf("%d rows are kept", len(n))
	}
}

// TestOthersFallThroughComesBack: a panel's row stands behind ours while somebody is
// suspended, nobody's from our point of view, and alone again afterwards.
func TestOthersFallThroughComesBack(t *testing.T) {
	o := newOffice(t)
	o.must(o.addUser("o'hara", aaa.SubscriberChange{}))
	o.Exec(`INSERT INTO radreply (username, attribute, op, value) SELECT username, 'Fall-Through', '=', 'Yes' FROM radcheck`)
	before := o.rows()
	o.must(o.setUser("o'hara", aaa.SubscriberChange{Status: new(aaa.SubscriberSuspended)}))
	rows := o.Rows(`SELECT r.op, r.value, p.owner IS NOT NULL FROM radreply r LEFT JOIN radial.projection p ON p.tbl = 'radreply' AND p.row_id = r.id
		WHERE r.attribute = 'Fall-Through' AND r.username = (SELECT username FROM radcheck LIMIT 1) ORDER BY r.id`)
	if diff := cmp.Diff([][]string{{":=", "No", "t"}, {"=", "Yes", "f"}}, rows); diff != "" {
		t.Errorf("suspended (-want +got):\n%s", diff)
	}
	o.must(o.setUser("o'hara", aaa.SubscriberChange{Status: new(aaa.SubscriberActive)}))
	o.wantRows("let in again", strings.Split(before, "\n")...)
}
