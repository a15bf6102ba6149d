package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

func TestPackages(t *testing.T) {
	o := newOffice(t)
	o.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Mikrotik-Rate-Limit', ':=', '1M/1M'), ('gold', 'Class', ':=', 'panel')`)
	rates := aaa.PackageChange{RateDown: new(int64(100e6)), RateUp: new(int64(20e6)), Pool: new("main"), SimultaneousUse: new(int64(1)), ValidityDays: new(int64(30))}
	if err := o.addPackage("gold", rates, false); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("someone's group: %v", err)
	}
	o.must(o.addPackage("gold", rates, true))
	o.wantRows("adopted", "gcheck gold Pool-Name += main", "gcheck gold Simultaneous-Use += 1",
		"greply gold Mikrotik-Rate-Limit = 20M/100M", "greply gold Class := panel", "greply gold Fall-Through = Yes")
	if err := o.addUser("bob", aaa.SubscriberChange{Package: new("silver")}); !errors.Is(err, aaa.ErrNotFound) || !strings.Contains(err.Error(), "silver") {
		t.Errorf("a package that is not there: %v", err)
	}
	o.must(o.addUser("bob", aaa.SubscriberChange{Package: new("gold")}))
	if _, err := o.ChangePackage(t.Context(), by("package.del"), "gold", o.rules.DeletePackage); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("deleting one in use: %v", err)
	}
	_, err := o.ChangePackage(t.Context(), by("package.set"), "gold", o.rules.SetPackage(aaa.PackageChange{
		RateDown: new(int64(0)), RateUp: new(int64(0)), Pool: new(""), SimultaneousUse: new(int64(-1)), Price: new("19.5"),
	}))
	o.must(err)
	o.wantRows("without rates, pool and limit", "check bob Cleartext-Password := p w", "member bob gold 100", "greply gold Class := panel", "greply gold Fall-Through = Yes")
	_, err = o.ChangePackage(t.Context(), by("package.set"), "gold", o.rules.SetPackage(aaa.PackageChange{
		FramedPool: new("cgnat"), IPv6PrefixPool: new("wan"), DelegatedPool: new("pd"), IPv6AddressPool: new("na"),
	}))
	o.must(err)
	o.wantRows("pools of other kinds", "check bob Cleartext-Password := p w", "member bob gold 100", "gcheck gold Framed-IPv6-Pool += wan",
		"gcheck gold Delegated-IPv6-Prefix-Pool += pd", "gcheck gold Stateful-IPv6-Address-Pool += na",
		"greply gold Class := panel", "greply gold Fall-Through = Yes", "greply gold Framed-Pool = cgnat")
	p, err := o.Package(t.Context(), "gold")
	o.must(err)
	if want := (aaa.PackagePools{FramedPool: "cgnat", IPv6PrefixPool: "wan", DelegatedPool: "pd", IPv6AddressPool: "na"}); p.PackagePools != want {
		t.Errorf("%+v", p.PackagePools)
	}
	_, err = o.ChangePackage(t.Context(), by("package.set"), "gold", o.rules.SetPackage(aaa.PackageChange{Pool: new("main")}))
	if !errors.Is(err, aaa.ErrInvalid) || !strings.Contains(err.Error(), "--framed-pool ''") {
		t.Errorf("a pool beside a framed pool: %v", err)
	}
	if p.Price != "19.50" || p.RateDown != 0 || p.Pool != "" || p.SimultaneousUse != nil || p.ValidityDays != 30 || p.BillingCycle != "monthly" {
		t.Errorf("%+v", p)
	}
	all, err := o.Packages(t.Context())
	o.must(err)
	if len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestDevicesInTheDatabase(t *testing.T) {
	o := newOffice(t)
	secret := nas.Secret("s3cret")
	change := func(verb, name string, f func(string, []aaa.Device) (aaa.DeviceDelta, error)) error {
		_, err := o.ChangeDevice(t.Context(), by("nas."+verb), name, f)
		return err
	}
	o.must(change("add", "10.1.2.3/8", aaa.DeviceChange{Secret: &secret, ShortName: new("pop")}.AddDevice))
	if err := change("add", "10.0.0.0/8", aaa.DeviceChange{Secret: &secret}.AddDevice); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("the same network again: %v", err)
	}
	o.must(change("set", "pop", aaa.DeviceChange{
		Type: new("mikrotik"), Pool: new("main"), RequireMessageAuthenticator: new(nas.Yes), SwapOctets: new(true), RejectDelay: new(1500 * time.Millisecond), CoAPort: new(uint16(1700)),
	}.SetDevice))
	if err := change("set", "pop", aaa.DeviceChange{VRF: new("red")}.SetDevice); !errors.Is(err, aaa.ErrNotFound) || !strings.Contains(err.Error(), "red") {
		t.Errorf("a vrf that is not there: %v", err)
	}
	o.Exec("INSERT INTO nas (nasname, shortname, secret) VALUES ('router.example.net', 'r1', 'panel')") // no settings of ours
	all, err := o.Devices(t.Context())
	o.must(err)
	want := []aaa.Device{
		{ID: 1, Name: "10.0.0.0/8", ShortName: "pop", Type: "mikrotik", Secret: "s3cret", RequireMessageAuthenticator: nas.Yes, CoAPort: 1700, VRF: "default", Pool: "main", SwapOctets: true, RejectDelay: new(1500 * time.Millisecond)},
		{ID: 2, Name: "router.example.net", ShortName: "r1", Type: "other", Secret: "panel", CoAPort: 3799, VRF: "default"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	o.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES ('00000000-0000-4000-8000-000000000001', 's1', 'v', now(), now())`)
	o.Exec(`INSERT INTO radial.nas_state (server_id, nas_id, require_message_authenticator, limit_proxy_state) VALUES ('00000000-0000-4000-8000-000000000001', 1, 'yes', 'unknown')`)
	states, err := o.DeviceStates(t.Context(), 1)
	o.must(err)
	if len(states) != 1 || states[0].Server != "s1" || states[0].RequireMessageAuthenticator != "yes" {
		t.Errorf("%+v", states)
	}
	o.must(change("del", "10.0.0.0/8", aaa.DeleteDevice))
	if n := o.Rows("SELECT nas_id FROM radial.nas_settings UNION ALL SELECT nas_id FROM radial.nas_state"); len(n) != 0 {
		t.Errorf("left over: %v", n)
	}
	for _, row := range o.Rows("SELECT detail::text FROM radial.audit") {
		if strings.Contains(row[0], "s3cret") {
			t.Errorf("a secret in the audit: %s", row[0])
		}
	}
}

func TestJobsGoWithTheChange(t *testing.T) {
	o := newOffice(t)
	o.session("bob")
	change := func(err error) error {
		_, got := o.ChangeSubscriber(t.Context(), by("user.add"), "bob", func(acc aaa.Account) (aaa.AccountDelta, error) {
			d, ferr := o.rules.AddSubscriber(aaa.SubscriberChange{Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "x"}, Package: new("none")}, nil)(acc)
			o.must(ferr)
			if err == nil {
				d.Save.Package = ""
				d.Rows.Insert = d.Rows.Insert[:1]
			}
			return d, nil
		})
		return got
	}
	const queued = "SELECT kind, args->>'user' FROM radial.river_job ORDER BY id"
	if err := change(aaa.ErrNotFound); !errors.Is(err, aaa.ErrNotFound) {
		t.Fatal(err)
	}
	if rows := o.Rows(queued); rows != nil {
		t.Errorf("a change that failed queued %v", rows)
	}
	o.must(change(nil))
	if diff := cmp.Diff([][]string{{"follow_user", "bob"}, {"end_user", "bob"}, {"limit_user", "bob"}}, o.Rows(queued)); diff != "" {
		t.Error(diff)
	}
}

// TestImportedPackagesEachHaveTheirError: what the database refuses of one line is told of
// that line, and the lines after it are looked at all the same.
func TestImportedPackagesEachHaveTheirError(t *testing.T) {
	o := newOffice(t)
	line := func(n int, name string, c aaa.PackageChange) store.PackageLine {
		return store.PackageLine{Line: n, Name: name, Rule: o.rules.AddPackage(c, false)}
	}
	lines := []store.PackageLine{
		line(2, "a", aaa.PackageChange{Description: new("one\x00two")}),
		line(3, "b", aaa.PackageChange{}),
		line(4, "c", aaa.PackageChange{Description: new("three\xff")}),
		line(5, "b", aaa.PackageChange{}),
	}
	_, wrong, err := o.ImportPackages(t.Context(), by("package.import"), lines, func(int) {})
	o.must(err)
	var got []string
	for _, w := range wrong {
		got = append(got, fmt.Sprintf("%d %t %t", w.Line, errors.Is(w.Err, aaa.ErrInvalid), strings.Contains(w.Err.Error(), "abort")))
	}
	if diff := cmp.Diff([]string{"2 true false", "4 true false", "5 false false"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, wrong)
	}
	if rows := o.Rows("SELECT name FROM radial.packages"); rows != nil {
		t.Errorf("written: %v", rows)
	}
	count, wrong, err := o.ImportPackages(t.Context(), by("package.import"), lines[1:2], func(int) {})
	if o.must(err); wrong != nil || count.Added != 1 {
		t.Errorf("%+v, %v", count, wrong)
	}
}

// session begins one of a user.
func (o *office) session(user string) {
	o.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ($1, $1, $1, '192.0.2.1', now())`, user)
}

// TestSessionsFollowWhatPackagesGrant: what stands on paper alone walks through nobody's
// session, one by one or in a file.
func TestSessionsFollowWhatPackagesGrant(t *testing.T) {
	o := newOffice(t)
	o.must(o.addPackage("home", aaa.PackageChange{Quotas: aaa.QuotaChange{Quotas: []aaa.Quota{{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 5e9}}}}, false))
	o.must(o.addUser("ann", aaa.SubscriberChange{Package: new("home")}))
	o.session("ann")
	followed := func(c aaa.PackageChange, file bool) bool {
		o.Exec("DELETE FROM radial.bulk")
		if file {
			_, wrong, err := o.ImportPackages(t.Context(), by("package.import"), []store.PackageLine{{Line: 2, Name: "home", Rule: o.rules.SetPackage(c)}}, func(int) {})
			if o.must(err); wrong != nil {
				t.Error(wrong)
			}
		} else {
			_, err := o.ChangePackage(t.Context(), by("package.set"), "home", o.rules.SetPackage(c))
			o.must(err)
		}
		return o.Rows("SELECT count(*) FROM radial.bulk")[0][0] == "1"
	}
	for i, c := range []aaa.PackageChange{
		{Description: new("a")}, {Price: new("19.90"), Currency: new("EUR")}, {ValidityDays: new(int64(30))},
		{BillingCycle: new(aaa.BillingCycle("yearly"))}, {Status: new(aaa.PackageInactive)},
	} {
		if followed(c, i%2 == 1) {
			t.Errorf("change %d: sessions are walked through", i)
		}
	}
	for i, c := range []aaa.PackageChange{
		{SessionTimeout: new(int64(3600))}, {RateDown: new(int64(10e6)), RateUp: new(int64(1e6)), Price: new("9.90")},
		{Quotas: aaa.QuotaChange{Quotas: []aaa.Quota{{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 6e9}}}},
		{Walled: aaa.WalledChange{AddressList: new("unpaid")}},
	} {
		if !followed(c, i%2 == 1) {
			t.Errorf("change %d: sessions stay as they are", i)
		}
	}
	o.Exec("UPDATE radial.projection SET row_id = -row_id WHERE owner = 'package:home' AND tbl = 'radgroupreply'")
	o.Exec("DELETE FROM radgroupreply")
	if !followed(aaa.PackageChange{Description: new("b"), SessionTimeout: new(int64(3600))}, false) {
		t.Error("rows that come back with a change that is on paper alone: sessions stay as they are")
	}
}
