package aaa

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var projectionNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// printRows prints rows one a line, passwords in clear: these are tests.
func printRows(rows []ProjectedRow) string {
	var b strings.Builder
	for _, r := range rows {
		if r.Table == TableUserGroup {
			fmt.Fprintf(&b, "%s %s: %s %d\n", r.Table, r.Name, r.Group, r.Priority)
			continue
		}
		fmt.Fprintf(&b, "%s %s: %s %s %s\n", r.Table, r.Name, r.Attribute, r.Op, r.Value)
	}
	return b.String()
}

func TestProjectSubscriber(t *testing.T) {
	cleartext := []Item{{"Cleartext-Password", ":=", "p w"}}
	full := Subscriber{
		Name: "bob", Status: SubscriberActive, Package: "gold", StaticIP: netip.MustParseAddr("100.64.9.7"),
		Expires: new(time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC)),
		Groups:  []GroupItem{{"vip", 200}},
		Checks:  []Item{{"Simultaneous-Use", ":=", "2"}, {"Calling-Station-Id", "==", "00:11:22:33:44:55"}},
		Replies: []Item{{"Framed-Route", "+=", "192.0.2.0/28"}, {"Reply-Message", ":=", "hello"}},
	}
	with := func(change func(*Subscriber)) Subscriber {
		s := full
		change(&s)
		return s
	}
	for _, tc := range []struct {
		name string
		sub  Subscriber
		want string
	}{
		{"the least", Subscriber{Name: "bob", Status: SubscriberActive}, "radcheck bob: Cleartext-Password := p w\n"},
		{"all there is, in order, dates in the zone", full, `
radcheck bob: Cleartext-Password := p w
radcheck bob: Expiration := Nov 30 2026 23:00:00
radcheck bob: Simultaneous-Use := 2
radcheck bob: Calling-Station-Id == 00:11:22:33:44:55
radreply bob: Framed-IP-Address := 100.64.9.7
radreply bob: Framed-Route += 192.0.2.0/28
radreply bob: Reply-Message := hello
radusergroup bob: gold 100
radusergroup bob: vip 200
`},
		{"suspended: nothing that could fail before the Reject, no group that could lift it", with(func(s *Subscriber) { s.Status = SubscriberSuspended }), `
radcheck bob: Cleartext-Password := p w
radcheck bob: Expiration := Nov 30 2026 23:00:00
radcheck bob: Auth-Type := Reject
radcheck bob: Simultaneous-Use := 2
radreply bob: Framed-IP-Address := 100.64.9.7
radreply bob: Reply-Message := Your account is suspended.
radreply bob: Fall-Through := No
radreply bob: Framed-Route += 192.0.2.0/28
radusergroup bob: gold 100
radusergroup bob: vip 200
`},
		{"past its expiry", Subscriber{Name: "bob", Status: SubscriberActive, Expires: new(projectionNow)}, `
radcheck bob: Cleartext-Password := p w
radcheck bob: Expiration := Nov 21 2026 13:00:00
radcheck bob: Auth-Type := Reject
radreply bob: Reply-Message := Your account has expired.
radreply bob: Fall-Through := No
`},
		{"a static address of IPv6", Subscriber{Name: "bob", Status: SubscriberActive, StaticIP: netip.MustParseAddr("2001:db8::7")}, `
radcheck bob: Cleartext-Password := p w
radreply bob: Framed-IPv6-Address := 2001:db8::7
`},
		{"an own Auth-Type yields to the Reject", Subscriber{Name: "bob", Status: SubscriberInactive, Checks: []Item{{"Auth-Type", ":=", "Accept"}}}, `
radcheck bob: Cleartext-Password := p w
radcheck bob: Auth-Type := Reject
radreply bob: Reply-Message := Your account is not active.
radreply bob: Fall-Through := No
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			zone := time.FixedZone("one east", 3600)
			got := printRows(ProjectSubscriber(&tc.sub, nil, cleartext, projectionNow, zone))
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProjectPackage(t *testing.T) {
	one := int64(1)
	for _, tc := range []struct {
		name string
		pkg  Package
		want string
	}{
		{"the least", Package{Name: "free"}, "radgroupreply free: Fall-Through = Yes\n"},
		{"gold: upload stands first, as the router sees it", Package{
			Name: "gold", RateDown: 100_000_000, RateUp: 20_000_000, PackagePools: PackagePools{Pool: "demo"}, SessionTimeout: 86400, IdleTimeout: 600, InterimInterval: 300,
			SimultaneousUse: &one, Checks: []Item{{"NAS-Port-Type", "==", "Ethernet"}}, Replies: []Item{{"Mikrotik-Address-List", "+=", "vip"}},
		}, `
radgroupcheck gold: Pool-Name += demo
radgroupcheck gold: Simultaneous-Use += 1
radgroupcheck gold: NAS-Port-Type == Ethernet
radgroupreply gold: Mikrotik-Rate-Limit = 20M/100M
radgroupreply gold: Session-Timeout = 86400
radgroupreply gold: Idle-Timeout = 600
radgroupreply gold: Acct-Interim-Interval = 300
radgroupreply gold: Mikrotik-Address-List += vip
radgroupreply gold: Fall-Through = Yes
`},
		{"pools", Package{Name: "six", PackagePools: PackagePools{FramedPool: "cgnat", IPv6PrefixPool: "wan", DelegatedPool: "pd", IPv6AddressPool: "na"}}, `
radgroupcheck six: Framed-IPv6-Pool += wan
radgroupcheck six: Delegated-IPv6-Prefix-Pool += pd
radgroupcheck six: Stateful-IPv6-Address-Pool += na
radgroupreply six: Framed-Pool = cgnat
radgroupreply six: Fall-Through = Yes
`},
		{"the whole service", Package{
			Name: "biz", RateDown: 50e6, RateUp: 10e6, PackageShaping: PackageShaping{BurstDown: 80e6, BurstUp: 20e6, ThresholdDown: 40e6, ThresholdUp: 8e6, BurstTime: 16, Priority: 3, MinDown: 5e6, MinUp: 1e6},
			AddressList: "customers", Filter: "biz in", VLAN: 120,
			DNS: []netip.Addr{netip.MustParseAddr("2620:fe::fe"), netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("149.112.112.112")},
		}, `
radgroupreply biz: Mikrotik-Rate-Limit = 10M/50M 20M/80M 8M/40M 16/16 3 1M/5M
radgroupreply biz: Mikrotik-Address-List = customers
radgroupreply biz: Filter-Id = biz in
radgroupreply biz: MS-Primary-DNS-Server = 9.9.9.9
radgroupreply biz: MS-Secondary-DNS-Server = 149.112.112.112
radgroupreply biz: DNS-Server-IPv6-Address += 2620:fe::fe
radgroupreply biz: Tunnel-Type = VLAN
radgroupreply biz: Tunnel-Medium-Type = IEEE-802
radgroupreply biz: Tunnel-Private-Group-Id = 120
radgroupreply biz: Fall-Through = Yes
`},
		{"a burst alone has RouterOS's own threshold and time, a priority alone stands behind none", Package{Name: "b", RateDown: 50e6, RateUp: 10e6, PackageShaping: PackageShaping{BurstDown: 80e6, BurstUp: 20e6}}, `
radgroupreply b: Mikrotik-Rate-Limit = 10M/50M 20M/80M
radgroupreply b: Fall-Through = Yes
`},
		{"a walled garden", Package{
			Name: "home", RateDown: 50e6, RateUp: 10e6, InterimInterval: 300, SimultaneousUse: &one,
			Walled: &Walled{For: WallStates, RateDown: 1e6, RateUp: 512e3, AddressList: "unpaid", Filter: "pay", SessionTimeout: 600, Replies: []Item{{"Reply-Message", ":=", "please pay"}}},
		}, `
radgroupcheck home: Simultaneous-Use += 1
radgroupreply home: Mikrotik-Rate-Limit = 10M/50M
radgroupreply home: Acct-Interim-Interval = 300
radgroupreply home: Fall-Through = Yes
radgroupcheck home:walled: Simultaneous-Use += 1
radgroupreply home:walled: Mikrotik-Rate-Limit := 512k/1M
radgroupreply home:walled: Mikrotik-Address-List := unpaid
radgroupreply home:walled: Filter-Id := pay
radgroupreply home:walled: Session-Timeout := 600
radgroupreply home:walled: Acct-Interim-Interval := 300
radgroupreply home:walled: Reply-Message := please pay
radgroupreply home:walled: Fall-Through := No
`},
		{"a walled garden with the package's addresses, of IPv4 alone", Package{
			Name: "p", PackagePools: PackagePools{Pool: "main", FramedPool: "theirs", DelegatedPool: "pd"}, Walled: &Walled{For: WallStates, AddressList: "unpaid"},
		}, `
radgroupcheck p: Pool-Name += main
radgroupcheck p: Delegated-IPv6-Prefix-Pool += pd
radgroupreply p: Framed-Pool = theirs
radgroupreply p: Fall-Through = Yes
radgroupcheck p:walled: Pool-Name += main
radgroupreply p:walled: Framed-Pool = theirs
radgroupreply p:walled: Mikrotik-Address-List := unpaid
radgroupreply p:walled: Fall-Through := No
`},
		{"a walled garden with addresses of its own", Package{Name: "p", Walled: &Walled{For: WallStates, Pool: "unpaid"}}, `
radgroupreply p: Fall-Through = Yes
radgroupcheck p:walled: Pool-Name := unpaid
radgroupreply p:walled: Framed-IP-Address !* 0.0.0.0
radgroupreply p:walled: Framed-Pool !* ANY
radgroupreply p:walled: Fall-Through := No
`},
		{"a walled garden with the device's addresses", Package{Name: "p", Walled: &Walled{For: WallStates, FramedPool: "unpaid"}}, `
radgroupreply p: Fall-Through = Yes
radgroupreply p:walled: Framed-IP-Address !* 0.0.0.0
radgroupreply p:walled: Framed-Pool := unpaid
radgroupreply p:walled: Fall-Through := No
`},
		{"kbit and a limit of none", Package{Name: "slow", RateDown: 512_000, RateUp: 1_500_000, SimultaneousUse: new(int64)}, `
radgroupcheck slow: Simultaneous-Use += 0
radgroupreply slow: Mikrotik-Rate-Limit = 1500k/512k
radgroupreply slow: Fall-Through = Yes
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), printRows(ProjectPackage(&tc.pkg))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// anySubscriber draws a subscriber with any combination of fields.
func anySubscriber(t *rapid.T) Subscriber {
	s := Subscriber{
		Name:    rapid.StringMatching(`[a-z'+@. ]{1,8}`).Draw(t, "name"),
		Status:  rapid.SampledFrom(SubscriberStatuses).Draw(t, "status"),
		Package: rapid.SampledFrom([]string{"", "gold", "silver"}).Draw(t, "package"),
		Checks:  rapid.SliceOfN(rapid.SampledFrom([]Item{{"Simultaneous-Use", ":=", "2"}, {"NAS-Port-Type", "==", "Ethernet"}, {"Auth-Type", ":=", "Accept"}}), 0, 3).Draw(t, "checks"),
		Replies: rapid.SliceOfN(rapid.SampledFrom([]Item{{"Class", ":=", "x"}, {"Framed-Route", "+=", "192.0.2.0/28"}, {"Fall-Through", "=", "Yes"}}), 0, 3).Draw(t, "replies"),
	}
	if rapid.Bool().Draw(t, "static") {
		s.StaticIP = netip.AddrFrom4([4]byte{100, 64, 0, rapid.Byte().Draw(t, "octet")})
	}
	if rapid.Bool().Draw(t, "expiring") {
		s.Expires = new(projectionNow.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "hours")) * time.Hour))
	}
	return s
}

func TestProjectionProperties(t *testing.T) {
	const secret = "wonderland"
	rapid.Check(t, func(t *rapid.T) {
		s := anySubscriber(t)
		rows := ProjectSubscriber(&s, nil, []Item{{"Cleartext-Password", ":=", secret}}, projectionNow, time.UTC)
		if diff := cmp.Diff(rows, ProjectSubscriber(&s, nil, []Item{{"Cleartext-Password", ":=", secret}}, projectionNow, time.UTC)); diff != "" {
			t.Fatalf("the same input gives other rows:\n%s", diff)
		}
		rejects, fallsThrough := 0, ""
		for _, r := range rows {
			if r.Table == TableReply && (strings.Contains(r.Value, secret) || IsPasswordAttribute(r.Attribute)) {
				t.Fatalf("a password in a reply row: %v", r)
			}
			if r.Name != s.Name {
				t.Fatalf("a row of %q", r.Name)
			}
			if r.Attribute == "Auth-Type" && r.Value == "Reject" {
				rejects++
			}
			if r.Table == TableReply && r.Attribute == "Fall-Through" {
				fallsThrough += r.Value
			}
		}
		kept := s.Refused(projectionNow) == ""
		if kept != (rejects == 0) {
			t.Fatalf("status %s: %d rows of Auth-Type := Reject", s.Status, rejects)
		}
		if !kept && fallsThrough != "No" {
			t.Fatalf("status %s: Fall-Through %q lets groups speak", s.Status, fallsThrough)
		}
	})
}

// tables is what a reconciliation works on, in memory.
type tables struct {
	next int64
	rows []StoredRow
	lost []LostRow
}

// apply writes a delta as store does.
func (w *tables) apply(d RowDelta) {
	for _, del := range d.Delete {
		for i, r := range w.rows {
			if r.ID == del.ID {
				w.rows = append(w.rows[:i:i], w.rows[i+1:]...)
				break
			}
		}
	}
	for _, u := range d.Update {
		for i := range w.rows {
			if w.rows[i].ID == u.From.ID {
				w.rows[i].ProjectedRow, w.rows[i].Digest = u.To, u.To.Digest()
			}
		}
	}
	for _, f := range d.Forget {
		for i, l := range w.lost {
			if l == f {
				w.lost = append(w.lost[:i:i], w.lost[i+1:]...)
				break
			}
		}
	}
	for _, r := range d.Insert {
		w.next++
		w.rows = append(w.rows, StoredRow{ID: w.next, ProjectedRow: r, Digest: r.Digest()})
	}
}

func TestReconcileProperties(t *testing.T) {
	item := rapid.SampledFrom([]Item{{"Class", "+=", "a"}, {"Class", "+=", "b"}, {"Session-Timeout", ":=", "60"}, {"Session-Timeout", ":=", "90"}, {"Idle-Timeout", ":=", "5"}})
	draw := func(t *rapid.T, label string) []ProjectedRow {
		var rows []ProjectedRow
		for _, it := range rapid.SliceOfNDistinct(item, 0, 4, func(it Item) Item { return it }).Draw(t, label) {
			rows = append(rows, ProjectedRow{Table: TableReply, Name: "bob", Item: it})
		}
		return rows
	}
	rapid.Check(t, func(t *rapid.T) {
		w := &tables{}
		w.apply(reconcile(draw(t, "projected before"), nil, nil, overwrite{}))
		for _, r := range draw(t, "of others") {
			w.next++
			w.rows = append(w.rows, StoredRow{ID: w.next, ProjectedRow: r})
		}
		for i := len(w.rows) - 1; i >= 0; i-- { // psql
			switch r := w.rows[i]; rapid.SampledFrom([]string{"leave", "leave", "change", "remove"}).Draw(t, "psql") {
			case "change":
				w.rows[i].Item = item.Draw(t, "to")
			case "remove":
				if r.Digest != "" {
					w.lost = append(w.lost, LostRow{r.Table, r.ID, r.Digest})
				}
				w.rows = append(w.rows[:i:i], w.rows[i+1:]...)
			}
		}
		others := map[int64]ProjectedRow{}
		for _, r := range w.rows {
			if !r.Ours() {
				others[r.ID] = r.ProjectedRow
			}
		}
		foreign := map[int64]ProjectedRow{}
		for _, r := range w.rows {
			if r.Digest == "" {
				foreign[r.ID] = r.ProjectedRow
			}
		}
		want := draw(t, "wanted")

		d := reconcile(want, w.rows, w.lost, overwrite{})
		w.apply(d)
		mustKeep(t, w, others)
		if again := reconcile(want, w.rows, w.lost, overwrite{}); !again.Empty() {
			t.Fatalf("a second sync writes: %+v", again)
		}

		w.apply(reconcile(want, w.rows, w.lost, overwrite{force: true}))
		mustKeep(t, w, foreign)
		forced := reconcile(want, w.rows, w.lost, overwrite{force: true})
		if !forced.Empty() || len(forced.Drift) > 0 {
			t.Fatalf("after a forced sync there is still: %+v", forced)
		}
		for _, one := range want {
			if n := countRows(w.rows, one); n == 0 {
				t.Fatalf("a forced sync lacks %v", one)
			}
		}

		claims := map[rowKey]bool{}
		for _, one := range want {
			claims[one.key()] = true
		}
		w.apply(reconcile(want, w.rows, w.lost, overwrite{claims: claims}))
		for _, r := range w.rows {
			if claims[r.key()] && countRows(rowsAsStored(want), r.ProjectedRow) == 0 {
				t.Fatalf("claimed, but there is still %v", r)
			}
		}
	})
}

func mustKeep(t *rapid.T, w *tables, rows map[int64]ProjectedRow) {
	for id, before := range rows {
		found := false
		for _, r := range w.rows {
			found = found || r.ID == id && r.ProjectedRow == before
		}
		if !found {
			t.Fatalf("row %d of others is gone or changed: %v", id, before)
		}
	}
}

func countRows(rows []StoredRow, one ProjectedRow) (n int) {
	for _, r := range rows {
		if r.ProjectedRow == one {
			n++
		}
	}
	return n
}

func rowsAsStored(rows []ProjectedRow) []StoredRow {
	out := make([]StoredRow, len(rows))
	for i, r := range rows {
		out[i].ProjectedRow = r
	}
	return out
}

func TestDriftIsTold(t *testing.T) {
	row := func(value string) ProjectedRow {
		return ProjectedRow{Table: TableReply, Name: "bob", Item: Item{"Session-Timeout", ":=", value}}
	}
	changed := StoredRow{ID: 1, ProjectedRow: row("90"), Digest: row("60").Digest()}
	d := reconcile([]ProjectedRow{row("60")}, []StoredRow{changed}, nil, overwrite{})
	if !d.Empty() || len(d.Drift) != 1 || d.Drift[0].Kind != DriftChanged || d.Drift[0].Want.Value != "60" || d.Drift[0].Have.Value != "90" {
		t.Errorf("a changed row: %+v", d)
	}
	d = reconcile([]ProjectedRow{row("60")}, nil, []LostRow{{TableReply, 1, row("60").Digest()}}, overwrite{})
	if !d.Empty() || len(d.Drift) != 1 || d.Drift[0].Kind != DriftRemoved {
		t.Errorf("a removed row: %+v", d)
	}
}
