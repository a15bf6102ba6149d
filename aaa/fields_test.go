package aaa

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// anyQuotas draws quotas and steps that differ in what they are about.
func anyQuotas(t *rapid.T) (all []Quota) {
	for _, period := range Periods {
		if rapid.Bool().Draw(t, "quota") {
			q := Quota{Period: period, Counts: rapid.SampledFrom(AllCounts).Draw(t, "counts"), Octets: rapid.Int64Range(1e6, 1e15).Draw(t, "octets")}
			q.CarryOver = period != PeriodEver && rapid.Bool().Draw(t, "carry")
			if !q.CarryOver && rapid.IntRange(0, 5).Draw(t, "unlimited") == 0 {
				q.Octets = Unlimited
			}
			all = append(all, q)
		}
	}
	if rapid.Bool().Draw(t, "step") {
		all = append(all, Quota{Period: PeriodMonth, Counts: CountsTotal, Octets: 50e9, RateDown: 10e6, RateUp: 512e3})
	}
	return all
}

// byMeaning compares values of items by what a login reads of them.
var byMeaning = cmp.Comparer(func(a, b Item) bool {
	read := func(text string) string {
		text, _, err := unquote(text)
		if err == nil {
			text, err = unescape(text)
		}
		if err != nil {
			return err.Error()
		}
		return text
	}
	return a.Attribute == b.Attribute && a.Op == b.Op && read(a.Value) == read(b.Value)
})

// inserted are the rows that a change of somebody new leaves.
func inserted(d AccountDelta) (rows []StoredRow) { return storedAs(d.Rows.Insert) }

// stored are the rows of a subscriber, with his password's.
func stored(s *Subscriber, p *Provisioner, password StoredRow) []StoredRow {
	return storedAs(ProjectSubscriber(s, nil, []Item{password.Item}, p.Now(), p.Zone))
}

func storedAs(all []ProjectedRow) (rows []StoredRow) {
	for i, r := range all {
		rows = append(rows, StoredRow{int64(i + 1), r, r.Digest()})
	}
	return rows
}

// TestSubscriberFieldsRoundTrip: what an export writes of a subscriber, an import
// makes of it again, and said once more it changes nothing.
func TestSubscriberFieldsRoundTrip(t *testing.T) {
	p := newProvisioner(t)
	gold := &Package{Name: "gold", Status: PackageActive}
	rapid.Check(t, func(t *rapid.T) {
		s := anySubscriber(t)
		s.Name = rapid.StringMatching(`[a-z'+@.]{1,8}`).Draw(t, "username")
		s.ServiceType = rapid.SampledFrom(ServiceTypes).Draw(t, "service")
		s.PasswordType = rapid.SampledFrom([]string{"cleartext", "nt", "other"}).Draw(t, "type")
		s.Groups = rapid.SampledFrom([][]GroupItem{nil, {{"vip", 300}}, {{"two words", 1}, {"b", 2}}}).Draw(t, "groups")
		s.Checks = rapid.SampledFrom([][]Item{nil, {{"Simultaneous-Use", ":=", "2"}}, {{"NAS-Port-Type", "==", "Ethernet"}, {"Login-Time", ":=", "Al0900-1700"}}}).Draw(t, "checks")
		s.Replies = rapid.SampledFrom([][]Item{nil, {{"Framed-Route", "+=", "192.0.2.0/28"}, {"Framed-Route", "+=", "192.0.2.16/28"}}, {{"Reply-Message", ":=", `say "hi"`}},
			{{"Reply-Message", ":=", ` a "b" \\n `}, {"Filter-Id", ":=", "two\r\nlines"}, {"Callback-Id", ":=", `"two "`}}}).Draw(t, "replies")
		s.MACs = rapid.SampledFrom([][]string{nil, {"AA:BB:CC:DD:EE:FF", "00:11:22:33:44:55"}}).Draw(t, "macs")
		s.Email = rapid.SampledFrom([]string{"", "a.b@example.net"}).Draw(t, "email")
		s.Comment = rapid.SampledFrom([]string{"", "pays, late", " two\nlines \n"}).Draw(t, "comment")
		s.Quotas, s.BillingDay = anyQuotas(t), rapid.IntRange(0, 31).Draw(t, "day")
		s.Package = rapid.SampledFrom([]string{"", "gold"}).Draw(t, "package")
		attribute := map[string]string{"cleartext": "Cleartext-Password", "nt": "NT-Password", "other": "User-Password"}[s.PasswordType]
		password := Item{attribute, ":=", map[string]string{"cleartext": rapid.SampledFrom([]string{"p w", "p w  ", "\tp", `"p "`, ` p\\"`}).Draw(t, "password"), "nt": "8846f7eaee8fb117ad06bdd830b7586c", "other": "x"}[s.PasswordType]}
		row := StoredRow{ProjectedRow: ProjectedRow{Table: TableCheck, Name: s.Name, Item: password}}
		row.Digest = row.ProjectedRow.Digest()

		im, errs := p.ReadSubscriber(p.WriteSubscriber(&s, []StoredRow{row}), map[string]*Package{"gold": gold})
		if len(errs) > 0 {
			t.Fatalf("%v", errs)
		}
		d, err := p.ImportSubscriber(im, false)(Account{Name: im.Name})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&s, d.Save, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(time.Time.Equal), byMeaning); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		if diff := cmp.Diff(password, passwordsOf(inserted(d))[0], byMeaning); diff != "" {
			t.Fatalf("password (-written +read):\n%s", diff)
		}
		s.Checks, s.Replies = append([]Item{}, s.Checks...), append([]Item{}, s.Replies...)
		if d, err := p.ImportSubscriber(im, true)(Account{Name: im.Name, Subscriber: &s, Bought: im.Package, Rows: stored(&s, p, row)}); err != nil || d.Audit != nil {
			t.Fatalf("read where it was written: %v, %v", d.Audit, err)
		}
		again := Account{Name: im.Name, Subscriber: d.Save}
		again.Rows = inserted(d)
		if d, err := p.ImportSubscriber(im, true)(again); err != nil || d.Audit != nil {
			t.Fatalf("said again: %v, %v", d.Audit, err)
		}
	})
}

// TestImportLeavesThePassword: a file that tells a password in clear is said again,
// day after day, and nobody's password is another for that, however it is stored:
// whose password is set anew loses his sessions.
func TestImportLeavesThePassword(t *testing.T) {
	p := newProvisioner(t)
	for _, kind := range PasswordKindList {
		read := func(password string) SubscriberImport {
			im, errs := p.ReadSubscriber(Fields{"username": "bob", "password": password, "password_type": kind.Name}, nil)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			return im
		}
		d, err := p.ImportSubscriber(read(`p w\"`), false)(Account{Name: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		acc := Account{Name: "bob", Subscriber: d.Save}
		for i, r := range d.Rows.Insert {
			acc.Rows = append(acc.Rows, StoredRow{int64(i + 1), r, r.Digest()})
		}
		if d, err := p.ImportSubscriber(read(`p w\"`), true)(acc); err != nil || d.Audit != nil {
			t.Errorf("%s, the same again: %v, %v", kind.Name, d.Audit, err)
		}
		if d, err := p.ImportSubscriber(read("another"), true)(acc); err != nil || d.Audit["password"] != "set" {
			t.Errorf("%s, another one: %v, %v", kind.Name, d.Audit, err)
		}
	}
}

// TestNoPasswordInErrors: what is wrong with an item is told without the password
// that it may hold, however it is written.
func TestNoPasswordInErrors(t *testing.T) {
	p := newProvisioner(t)
	const secret = "hunter2"
	for _, f := range []Fields{
		{"credential": secret}, {"credential": "NT-Password " + secret}, {"credential": "NT-Password == " + secret}, {"credential": "NT-Pasword := " + secret},
		{"credential": "Class := x", "password": secret}, {"password": secret, "password_type": "rot13"},
		{"checks": "Cleartext-Password " + secret}, {"checks": "Cleartext-Pasword=" + secret}, {"replies": "Cleartext-Password\t" + secret}, {"replies": "Cleartext-Password := " + secret},
	} {
		f["username"] = "bob"
		_, errs := p.ReadSubscriber(f, nil)
		if len(errs) == 0 {
			t.Errorf("%v: nothing wrong", f)
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v: %v", f, err)
			}
		}
	}
}

func TestQuotaText(t *testing.T) {
	for text, want := range map[string]string{
		"100G": "100G:month:total", "5G:day:down": "5G:day:down", "unlimited": "unlimited", "unlimited+carry": "unlimited", "unlimited:month": "unlimited:month:total", "1.5G:ever": "1500M:ever:total",
		"100G:month=10M/2M": "100G:month:total=10M/2M", "7G:week:up+carry": "7G:week:up+carry", "123456789:day": "123456789:day:total",
	} {
		q, err := ParseQuota(text)
		if err != nil || q.Text() != want {
			t.Errorf("%q: %q, %v", text, q.Text(), err)
		}
	}
	for _, bad := range []string{"", "x", "5G:year", "5G:day:both", "5G=10M", "5G=10M/0x", "0", "unlimited=1M/1M", "5G=0/0", "5G=5/5"} {
		if q, err := ParseQuota(bad); err == nil || !strings.Contains(err.Error(), "want VOLUME") {
			t.Errorf("%q: %v, %v", bad, q, err)
		}
	}
}

// TestPackageFieldsRoundTrip does the same with packages.
func TestPackageFieldsRoundTrip(t *testing.T) {
	p := newProvisioner(t)
	rapid.Check(t, func(t *rapid.T) {
		some := func(what string) bool { return rapid.Bool().Draw(t, what) }
		k := Package{Name: "gold", BillingCycle: rapid.SampledFrom(BillingCycles).Draw(t, "cycle"), Status: PackageActive, Quotas: anyQuotas(t)}
		if some("rates") {
			k.RateDown, k.RateUp = rapid.Int64Range(1000, 1e9).Draw(t, "down"), 1e6
			if some("bursts") {
				k.PackageShaping = PackageShaping{BurstDown: 2 * k.RateDown, BurstUp: 2e6, ThresholdDown: k.RateDown / 2 * 2, BurstTime: 16, MinUp: 5000, Priority: 2}
			}
		}
		if some("service") {
			k.AddressList, k.Filter, k.VLAN, k.DNS = "vip", "in out", 12, []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")}
			k.Price, k.Currency, k.ValidityDays, k.Description = "19.90", "EUR", 30, " best,\nby far "
			k.SimultaneousUse, k.SessionTimeout, k.InterimInterval = new(int64(rapid.IntRange(0, 3).Draw(t, "sessions"))), 86400, 300
			k.Pool, k.DelegatedPool = "main", "pd"
		}
		if some("walled") {
			k.Walled = &Walled{For: []WallState{WallSuspended, WallExhausted}, AddressList: "unpaid"}
			if some("slow") {
				k.Walled.RateDown, k.Walled.RateUp, k.Walled.SessionTimeout = 1e6, 512e3, 600
				k.Walled.Replies = []Item{{"Reply-Message", ":=", "pay "}}
			}
		}
		if some("items") {
			k.Checks, k.Replies = []Item{{"NAS-Port-Type", "==", "Ethernet"}}, []Item{{"Class", "+=", "0x01"}, {"Class", "+=", "0x02"}}
		}
		im, errs := p.ReadPackage(WritePackage(&k))
		if len(errs) > 0 {
			t.Fatalf("%v", errs)
		}
		d, err := p.ImportPackage(im, false)(PackageState{Name: im.Name})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&k, d.Save, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), byMeaning); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		k.Checks, k.Replies = append([]Item{}, k.Checks...), append([]Item{}, k.Replies...)
		was := PackageState{Name: im.Name, Package: &k, Rows: storedAs(ProjectPackage(&k))}
		if d, err := p.ImportPackage(im, true)(was); err != nil || d.Audit != nil {
			t.Fatalf("read where it was written: %v, %v", d.Audit, err)
		}
		again := PackageState{Name: im.Name, Package: d.Save}
		for i, r := range d.Rows.Insert {
			again.Rows = append(again.Rows, StoredRow{int64(i + 1), r, r.Digest()})
		}
		if d, err := p.ImportPackage(im, true)(again); err != nil || d.Audit != nil {
			t.Fatalf("said again: %v, %v", d.Audit, err)
		}
	})
}
