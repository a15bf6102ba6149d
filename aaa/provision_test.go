package aaa

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"radial/dictionaries"
	"radial/nas"
)

func newProvisioner(t *testing.T) *Provisioner {
	t.Helper()
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	return &Provisioner{Rows: NewCompiler(dict, time.UTC), Zone: time.UTC, Now: func() time.Time { return projectionNow }}
}

func TestParseItem(t *testing.T) {
	for text, want := range map[string]Item{
		"Session-Timeout := 3600":            {"Session-Timeout", ":=", "3600"},
		"Session-Timeout:=3600":              {"Session-Timeout", ":=", "3600"},
		"  Filter-Id  +=  a b  ":             {"Filter-Id", "+=", "a b"},
		"Framed-Route += 10.0.0.0/8 0.0.0.0": {"Framed-Route", "+=", "10.0.0.0/8 0.0.0.0"},
		"Tunnel-Type:1 := VLAN":              {"Tunnel-Type:1", ":=", "VLAN"},
		"Tunnel-Type:1:=VLAN":                {"Tunnel-Type:1", ":=", "VLAN"},
		"NAS-Port >= 10":                     {"NAS-Port", ">=", "10"},
		"NAS-Port<20":                        {"NAS-Port", "<", "20"},
		"Calling-Station-Id =~ ^00:":         {"Calling-Station-Id", "=~", "^00:"},
		"Class !* ANY":                       {"Class", "!*", "ANY"},
		"Class =*":                           {"Class", "=*", "ANY"},
		"Reply-Message = \"a := b\"":         {"Reply-Message", "=", "\"a := b\""},
		"Class -= x":                         {"Class", "-=", "x"},
		"Class-=x":                           {"Class", "-=", "x"},
		"Attr-26.9.250 := 0x01":              {"Attr-26.9.250", ":=", "0x01"},
	} {
		got, err := ParseItem(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Session-Timeout", "Session-Timeout 3600", ":= 3600", "Session-Timeout :=", "Session-Timeout ~ 5"} {
		if got, err := ParseItem(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// Whatever the password is, the row that we write is read back as it.
func TestQuoteValueIsReadBack(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, raw string) {
		text, quote, err := unquote(QuoteValue(raw))
		if err != nil || quote == '`' {
			t.Fatalf("%q is stored as %q: %v, quote %q", raw, QuoteValue(raw), err, quote)
		}
		if got, err := unescape(text); err != nil || got != raw {
			t.Fatalf("%q is stored as %q and read as %q, %v", raw, QuoteValue(raw), got, err)
		}
	}
	for _, raw := range []string{"p w", `"p1"`, `'a'b'`, "`id`", `a\nb`, `\`, `"`, `'`, `""`, `'a"b'`, `\"x\"`, "`a\"`", `"a\`, `é"`} {
		check(t, raw)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringMatching("[\"'`\\\\an0-3 ]{1,6}").Draw(t, "raw")) })
}

func TestAddSubscriber(t *testing.T) {
	p := newProvisioner(t)
	password := &Item{"Cleartext-Password", ":=", "x"}
	foreign := Account{Name: "bob", Rows: []StoredRow{{ID: 1, ProjectedRow: ProjectedRow{Table: TableCheck, Name: "bob", Item: *password}}}}
	group := Account{Name: "bob", Rows: []StoredRow{{ID: 1, ProjectedRow: ProjectedRow{Table: TableUserGroup, Name: "bob", Group: "g"}}}}
	gold := "gold"
	for _, tc := range []struct {
		name string
		acc  Account
		c    SubscriberChange
		pkg  *Package
		want error  // nil: it is added
		says string // in the error
	}{
		{"new", Account{Name: "bob"}, SubscriberChange{Password: password}, nil, nil, ""},
		{"a mere membership does not stand in the way", group, SubscriberChange{Password: password}, nil, nil, ""},
		{"there already", Account{Name: "bob", Subscriber: &Subscriber{Name: "bob"}}, SubscriberChange{Password: password}, nil, ErrConflict, "user set"},
		{"in radcheck already", foreign, SubscriberChange{Password: password}, nil, ErrConflict, "FreeRADIUS"},
		{"no password", Account{Name: "bob"}, SubscriberChange{}, nil, ErrInvalid, "no password"},
		{"no password, but an Auth-Type", Account{Name: "bob"}, SubscriberChange{AddChecks: []Item{{"Auth-Type", ":=", "Accept"}}}, nil, nil, ""},
		{"an unknown check never passes", Account{Name: "bob"}, SubscriberChange{Password: password, AddChecks: []Item{{"Simultaneous-Uses", ":=", "1"}}}, nil, ErrInvalid, "Simultaneous-Uses"},
		{"= in a check", Account{Name: "bob"}, SubscriberChange{Password: password, AddChecks: []Item{{"NAS-Port", "=", "1"}}}, nil, ErrInvalid, "== compares"},
		{"== in a reply", Account{Name: "bob"}, SubscriberChange{Password: password, AddReplies: []Item{{"Class", "==", "1"}}}, nil, ErrInvalid, "= adds"},
		{"a bad value", Account{Name: "bob"}, SubscriberChange{Password: password, AddReplies: []Item{{"Framed-IP-Address", ":=", "300.1.1.1"}}}, nil, ErrInvalid, "300.1.1.1"},
		{"a password in a reply", Account{Name: "bob"}, SubscriberChange{Password: password, AddReplies: []Item{{"Cleartext-Password", ":=", "s3"}}}, nil, ErrInvalid, "***"},
		{"a name with a line feed", Account{Name: "bo\nb"}, SubscriberChange{Password: password}, nil, ErrInvalid, "control"},
		{"an inactive package", Account{Name: "bob"}, SubscriberChange{Password: password, Package: &gold}, &Package{Name: "gold", Status: PackageInactive}, ErrConflict, "inactive"},
		{"a status that is none", Account{Name: "bob"}, SubscriberChange{Password: password, Status: new(SubscriberStatus("paused"))}, nil, ErrInvalid, "suspended"},
		{"an address of nobody", Account{Name: "bob"}, SubscriberChange{Password: password, StaticIP: new(netip.MustParseAddr("0.0.0.0"))}, nil, ErrInvalid, "0.0.0.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := p.AddSubscriber(tc.c, tc.pkg)(tc.acc)
			if !errors.Is(err, tc.want) || (tc.want == nil) != (err == nil) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the message %q lacks %q", err, tc.says)
			}
			if err == nil && (d.Save == nil || d.Audit == nil || len(d.Rows.Insert) == 0) {
				t.Errorf("nothing is written: %+v", d)
			}
		})
	}
}

func TestPasswordsStayOutOfTheRow(t *testing.T) {
	p := newProvisioner(t)
	hash := Item{"Crypt-Password", ":=", "$6$salt$hash"}
	d, err := p.AddSubscriber(SubscriberChange{AddChecks: []Item{hash, {"Expiration", ":=", "2026-11-30"}}}, nil)(Account{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{{"Expiration", ":=", "Nov 30 2026 00:00:00"}} // ISO is taken, FreeRADIUS's form is written
	if diff := cmp.Diff(want, d.Save.Checks); diff != "" {
		t.Error(diff)
	}
	if d.Rows.Insert[0].Item != hash {
		t.Errorf("first row is %v", d.Rows.Insert[0])
	}
	for name, v := range d.Audit {
		if s, ok := v.(string); ok && strings.Contains(s, "$6$") {
			t.Errorf("audit %s: %s", name, s)
		}
	}
}

func TestValidityMakesExpiry(t *testing.T) {
	p := newProvisioner(t)
	gold := "gold"
	pkg := &Package{Name: gold, Status: PackageActive, ValidityDays: 30}
	c := SubscriberChange{Password: &Item{"Cleartext-Password", ":=", "x"}, Package: &gold}
	d, err := p.AddSubscriber(c, pkg)(Account{Name: "bob"})
	if err != nil || d.Save.Expires == nil || !d.Save.Expires.Equal(projectionNow.AddDate(0, 0, 30)) {
		t.Errorf("%v, %v", d.Save, err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p.Zone, p.Now = berlin, func() time.Time { return time.Date(2026, 10, 10, 14, 0, 0, 0, berlin) }
	if d, err = p.AddSubscriber(c, pkg)(Account{Name: "bob"}); err != nil || d.Save.Expires.Format(time.DateTime) != "2026-11-09 14:00:00" { // as after user renew
		t.Errorf("%v, %v", d.Save.Expires, err)
	}
	c.Expires = new(time.Time) // --no-expires has the last word
	if d, err = p.AddSubscriber(c, pkg)(Account{Name: "bob"}); err != nil || d.Save.Expires != nil {
		t.Errorf("%v, %v", d.Save, err)
	}
}

func TestSetSubscriber(t *testing.T) {
	p := newProvisioner(t)
	row := func(id int64, table Table, attribute, op, value string, ours bool) StoredRow {
		r := StoredRow{ID: id, ProjectedRow: ProjectedRow{Table: table, Name: "bob", Item: Item{attribute, op, value}}}
		if ours {
			r.Digest = r.ProjectedRow.Digest()
		}
		return r
	}
	member := func(id int64, group string) StoredRow {
		return StoredRow{ID: id, ProjectedRow: ProjectedRow{Table: TableUserGroup, Name: "bob", Group: group, Priority: 1}}
	}
	foreign := Account{Name: "bob", Packages: []string{"silver"}, Rows: []StoredRow{
		row(1, TableCheck, "Cleartext-Password", ":=", "old", false), row(2, TableCheck, "NT-Password", ":=", "beef", false),
		row(3, TableCheck, "Auth-Type", ":=", "Reject", false), row(4, TableReply, "Framed-IP-Address", ":=", "10.0.0.1", false),
		row(5, TableReply, "Class", ":=", "panel", false), member(6, "silver"), member(7, "staff"),
	}}
	set := func(c SubscriberChange, pkg *Package) RowDelta {
		t.Helper()
		d, err := p.SetSubscriber(c, pkg)(foreign)
		if err != nil {
			t.Fatal(err)
		}
		return d.Rows
	}
	gold := "gold"
	for _, tc := range []struct {
		name  string
		delta RowDelta
		want  string // what happens to rows, in order
	}{
		{"a comment touches no row", set(SubscriberChange{Comment: new("x")}, nil), ""},
		{"a password is the only one afterwards", set(SubscriberChange{Password: &Item{"Cleartext-Password", ":=", "new"}}, nil), "update 1, delete 2"},
		{"active takes a panel's Reject away", set(SubscriberChange{Status: new(SubscriberActive)}, nil), "delete 3"},
		{"an address is written over", set(SubscriberChange{StaticIP: new(netip.MustParseAddr("10.0.0.2"))}, nil), "update 4"},
		{"an address is taken away", set(SubscriberChange{StaticIP: new(netip.Addr)}, nil), "delete 4"},
		{"a package displaces a package, not another group", set(SubscriberChange{Package: &gold}, &Package{Name: gold, Status: PackageActive}), "delete 6, insert gold"},
		{"a reply that sets displaces", set(SubscriberChange{AddReplies: []Item{{"Class", ":=", "vip"}}}, nil), "update 5"},
		{"a reply that adds does not", set(SubscriberChange{AddReplies: []Item{{"Class", "+=", "vip"}}}, nil), "insert Class"},
		{"a reply is taken away by name, in any case", set(SubscriberChange{DelReplies: []string{"CLASS"}}, nil), "delete 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var did []string
			for _, u := range tc.delta.Update {
				did = append(did, "update "+string(rune('0'+u.From.ID)))
			}
			for _, r := range tc.delta.Delete {
				did = append(did, "delete "+string(rune('0'+r.ID)))
			}
			for _, r := range tc.delta.Insert {
				did = append(did, "insert "+r.Attribute+r.Group)
			}
			if got := strings.Join(did, ", "); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	if _, err := p.SetSubscriber(SubscriberChange{}, nil)(Account{Name: "nobody"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// TestOthersFallThroughStays: what a panel says of Fall-Through holds again when somebody
// who was kept out is let in; meanwhile ours stands before it, also after a sync.
func TestOthersFallThroughStays(t *testing.T) {
	p := newProvisioner(t)
	garden := &Package{Name: "home", Status: PackageActive, Walled: &Walled{For: WallStates, AddressList: "unpaid"}}
	reply := func(id int64, op, value string) StoredRow {
		return StoredRow{ID: id, ProjectedRow: ProjectedRow{Table: TableReply, Name: "bob", Item: Item{"Fall-Through", op, value}}}
	}
	// after writes a delta as store does.
	after := func(rows []StoredRow, d RowDelta) []StoredRow {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r StoredRow) bool {
			return slices.ContainsFunc(d.Delete, func(gone StoredRow) bool { return gone.ID == r.ID && gone.Table == r.Table })
		})
		for i := range rows {
			for _, u := range d.Update {
				if u.From.ID == rows[i].ID && u.From.Table == rows[i].Table {
					rows[i].ProjectedRow, rows[i].Digest = u.To, u.To.Digest()
				}
			}
		}
		next := int64(100 + len(rows))
		for _, r := range d.Insert {
			rows, next = append(rows, StoredRow{next, r, r.Digest()}), next+1
		}
		for _, r := range d.Keep {
			rows, next = append(rows, StoredRow{ID: next, ProjectedRow: r}), next+1
		}
		return rows
	}
	said := func(rows []StoredRow) (all []string) {
		for _, r := range rows {
			if r.Attribute == "Fall-Through" {
				all = append(all, strings.TrimSuffix(r.Op+r.Value+" "+map[bool]string{true: "ours", false: ""}[r.Ours()], " "))
			}
		}
		return all
	}
	for _, c := range []struct {
		name   string
		bought *Package
		rows   []StoredRow
		kept   string
	}{
		{"a panel's Yes", nil, []StoredRow{reply(1, "=", "Yes")}, ":=No ours, =Yes"},
		{"a panel's No", nil, []StoredRow{reply(1, "=", "No")}, "=No, :=No ours"},
		{"two of them", nil, []StoredRow{reply(1, "=", "Yes"), reply(2, ":=", "no")}, ":=No ours, =Yes, :=no"},
		{"a panel's No, and a garden", garden, []StoredRow{reply(1, "=", "No")}, ":=Yes ours, =No"},
		{"a panel's Yes, and a garden", garden, []StoredRow{reply(1, ":=", "Yes")}, ":=Yes"},
		{"nobody's", nil, nil, ":=No ours"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Subscriber{Name: "bob", Status: SubscriberActive, ServiceType: ServicePPPoE, PasswordType: "other", Expires: new(p.Now().Add(-time.Hour))}
			if c.bought != nil {
				s.Package = c.bought.Name
			}
			acc := Account{Name: "bob", Subscriber: &s, Rows: c.rows, Bought: c.bought}
			do := func(what string, d AccountDelta, err error) {
				if err != nil {
					t.Fatal(what, err)
				}
				if acc.Rows = after(acc.Rows, d.Rows); d.Save != nil {
					acc.Subscriber = d.Save
				}
			}
			want := func(what, want string) {
				t.Helper()
				if got := strings.Join(said(acc.Rows), ", "); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			d, err := p.ExpireSubscriber(acc)
			do("expire", d, err)
			want("expired", c.kept)
			d, err = p.SyncSubscriber(false)(acc)
			do("sync", d, err)
			want("synced", c.kept)
			if acc.Bought != nil { // the garden goes, and he is refused
				acc.Bought = &Package{Name: "home", Status: PackageActive}
				d, err = p.SyncSubscriber(false)(acc)
				do("sync", d, err)
				if all := said(acc.Rows); len(all) == 0 || !strings.HasPrefix(all[0], ":=No") && !strings.HasPrefix(all[0], "=No") {
					t.Errorf("without the garden: %s", all)
				}
			}
			d, err = p.SetSubscriber(SubscriberChange{Status: new(SubscriberSuspended)}, nil)(acc)
			do("suspend", d, err)
			if c.bought == nil {
				want("suspended", c.kept)
			}
			d, err = p.SetSubscriber(SubscriberChange{Status: new(SubscriberActive), Expires: new(time.Time{})}, nil)(acc)
			do("let in", d, err)
			want("let in again", strings.Join(said(c.rows), ", "))
		})
	}
}

// TestSamePasswordIsNoChange: who is given the password that he has keeps his row, and with
// it his sessions, however it is stored. Another kind of storage is a change, and so is the
// end of somebody else's password beside it.
func TestSamePasswordIsNoChange(t *testing.T) {
	p := newProvisioner(t)
	for _, kind := range PasswordKindList {
		change := func(kind, password string) SubscriberChange {
			item, err := PasswordItem(kind, password)
			if err != nil {
				t.Fatal(err)
			}
			return SubscriberChange{Password: item, PasswordType: kind, Plain: nas.Secret(password)}
		}
		d, err := p.AddSubscriber(change(kind.Name, "p w"), nil)(Account{Name: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		acc := Account{Name: "bob", Subscriber: d.Save, Rows: inserted(d)}
		if d, err := p.SetSubscriber(change(kind.Name, "p w"), nil)(acc); err != nil || d.Audit != nil {
			t.Errorf("%s, the same: %v, %v", kind.Name, d.Audit, err)
		}
		more := change(kind.Name, "p w")
		more.Comment = new("moved")
		if d, err := p.SetSubscriber(more, nil)(acc); err != nil || d.Audit["password"] != nil || d.Audit["comment"] == nil || !d.Rows.Empty() {
			t.Errorf("%s, the same with a comment: %v, %v", kind.Name, d.Audit, err)
		}
		if d, err := p.SetSubscriber(change(kind.Name, "p W"), nil)(acc); err != nil || d.Audit["password"] != "set" {
			t.Errorf("%s, another: %v, %v", kind.Name, d.Audit, err)
		}
		if kind.Name != "nt" {
			if d, err := p.SetSubscriber(change("nt", "p w"), nil)(acc); err != nil || d.Audit["password"] != "set" {
				t.Errorf("%s, the same stored as nt: %v, %v", kind.Name, d.Audit, err)
			}
		}
		acc.Rows = append(acc.Rows, StoredRow{ID: 9, ProjectedRow: ProjectedRow{Table: TableCheck, Name: "bob", Item: Item{"MD5-Password", ":=", "00"}}})
		if d, err := p.SetSubscriber(change(kind.Name, "p w"), nil)(acc); err != nil || d.Audit["password"] != "set" {
			t.Errorf("%s, the same beside another's row: %v, %v", kind.Name, d.Audit, err)
		}
	}
}

// TestOthersAcceptStays: who logs in by somebody else's Auth-Type := Accept is
// refused while he is kept out, and can log in again afterwards.
func TestOthersAcceptStays(t *testing.T) {
	p := newProvisioner(t)
	authType := func(id int64, value string, ours bool) StoredRow {
		r := StoredRow{ID: id, ProjectedRow: ProjectedRow{Table: TableCheck, Name: "bob", Item: Item{"Auth-Type", ":=", value}}}
		if ours {
			r.Digest = r.ProjectedRow.Digest()
		}
		return r
	}
	for _, c := range []struct {
		name   string
		status SubscriberStatus
		rows   []StoredRow
		want   string // what becomes of rows of Auth-Type
	}{
		{"kept out", SubscriberSuspended, []StoredRow{authType(1, "Accept", false)}, "insert Reject"},
		{"let in again", SubscriberActive, []StoredRow{authType(1, "Accept", false), authType(2, "Reject", true)}, "delete 2"},
		{"by a panel's Reject", SubscriberActive, []StoredRow{authType(1, "Reject", false)}, "delete 1"},
		{"an Accept that came after our Reject", SubscriberSuspended, []StoredRow{authType(2, "Reject", true), authType(3, "Accept", false)}, "delete 3"},
		{"an Accept that came after our Reject, for one who is let in", SubscriberActive, []StoredRow{authType(2, "Reject", true), authType(3, "Accept", false)}, "delete 2"},
		{"our Reject that a panel has made an Accept", SubscriberSuspended, []StoredRow{{ID: 4, ProjectedRow: authType(4, "Accept", false).ProjectedRow, Digest: authType(4, "Reject", true).Digest}}, "update 4"},
		{"a panel's Reject becomes ours", SubscriberSuspended, []StoredRow{authType(1, "Reject", false)}, "update 1"},
	} {
		acc := Account{Name: "bob", Subscriber: &Subscriber{Name: "bob", Status: SubscriberExpired, ServiceType: ServicePPPoE, PasswordType: "other"}, Rows: c.rows}
		d, err := p.SetSubscriber(SubscriberChange{Status: &c.status}, nil)(acc)
		if err != nil {
			t.Fatal(err)
		}
		var did []string
		for _, u := range d.Rows.Update {
			did = append(did, fmt.Sprintf("update %d", u.From.ID))
		}
		for _, r := range d.Rows.Delete {
			did = append(did, fmt.Sprintf("delete %d", r.ID))
		}
		for _, r := range d.Rows.Insert {
			if r.Attribute == "Auth-Type" {
				did = append(did, "insert "+r.Value)
			}
		}
		if got := strings.Join(did, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestPackageConflicts(t *testing.T) {
	p := newProvisioner(t)
	theirs := PackageState{Name: "gold", Rows: []StoredRow{
		{ID: 1, ProjectedRow: ProjectedRow{Table: TableGroupReply, Name: "gold", Item: Item{"Session-Timeout", ":=", "60"}}},
		{ID: 2, ProjectedRow: ProjectedRow{Table: TableGroupReply, Name: "gold", Item: Item{"Class", ":=", "panel"}}},
	}}
	c := PackageChange{SessionTimeout: new(int64(90))}
	if _, err := p.AddPackage(c, false)(theirs); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "--adopt") {
		t.Errorf("someone's group: %v", err)
	}
	if _, err := p.AddPackage(c, false)(PackageState{Name: "gold", Members: 2}); !errors.Is(err, ErrConflict) {
		t.Errorf("a group with members alone: %v", err)
	}
	d, err := p.AddPackage(c, true)(theirs)
	if err != nil || len(d.Rows.Update) != 1 || d.Rows.Update[0].From.ID != 1 || len(d.Rows.Delete) != 0 {
		t.Errorf("adopted: %+v, %v", d.Rows, err)
	}
	some := PackageState{Name: "gold", Package: &Package{Name: "gold"}, Subscribers: 3}
	if _, err := p.DeletePackage(some); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "3 subscribers") {
		t.Errorf("in use: %v", err)
	}
	for name, c := range map[string]PackageChange{
		"down alone": {RateDown: new(int64(1000))}, "interim": {InterimInterval: new(int64(59))}, "price": {Price: new("free")},
		"cycle": {BillingCycle: new(BillingCycle("weekly"))}, "pool": {Pool: new("a'b")}, "password": {AddChecks: []Item{{"Cleartext-Password", ":=", "x"}}},
	} {
		if _, err := p.AddPackage(c, false)(PackageState{Name: "new"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "a'b", "gold:walled", " gold", strings.Repeat("x", 101)} {
		if _, err := p.AddPackage(PackageChange{}, false)(PackageState{Name: name}); !errors.Is(err, ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestDevices(t *testing.T) {
	secret := nas.Secret("s3cret")
	weak := nas.Secret("testing123")
	add := func(name string, c DeviceChange) error { _, err := c.AddDevice(name, nil); return err }
	if d, err := (DeviceChange{Secret: &secret}).AddDevice("10.1.2.3/8", nil); err != nil || d.Save.Name != "10.0.0.0/8" || d.Save.CoAPort != 3799 {
		t.Errorf("%+v, %v", d.Save, err)
	} else if _, has := d.Audit["secret"]; !has || cmp.Diff(d.Audit["secret"], "set") != "" {
		t.Errorf("audit %v", d.Audit)
	}
	for name, err := range map[string]error{
		"weak": add("10.0.0.1", DeviceChange{Secret: &weak}), "none": add("10.0.0.1", DeviceChange{}), "name": add("10.0.0.300", DeviceChange{Secret: &secret}),
		"type": add("10.0.0.1", DeviceChange{Secret: &secret, Type: new("microtik")}), "delay": add("10.0.0.1", DeviceChange{Secret: &secret, RejectDelay: new(time.Minute)}),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := add("10.0.0.1", DeviceChange{Secret: &weak, AllowWeakSecret: true}); err != nil {
		t.Errorf("weak and allowed: %v", err)
	}
	two := []Device{{ID: 1, Name: "10.0.0.1"}, {ID: 2, Name: "10.0.0.1"}}
	if _, err := (DeviceChange{}).SetDevice("10.0.0.1", two); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "id:2") {
		t.Errorf("two rows: %v", err)
	}
	if _, err := DeleteDevice("10.0.0.1", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}
