package aaa

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"radial/dictionaries"
	"radial/nas"
)

// ledgerFunc is a Ledger of one function.
type ledgerFunc func([]*Posting)

func (f ledgerFunc) Post(ps []*Posting) { f(ps) }

func testDict(t testing.TB) *dictionaries.Dictionary {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pairsOf reads attributes by name and text, in turn.
func pairsOf(t testing.TB, d *dictionaries.Dictionary, items ...string) dictionaries.Pairs {
	t.Helper()
	var ps dictionaries.Pairs
	for i := 0; i < len(items); i += 2 {
		p, err := d.Pair(items[i], items[i+1])
		if err != nil {
			t.Fatalf("%s = %q: %v", items[i], items[i+1], err)
		}
		ps = append(ps, p)
	}
	return ps
}

func TestAccountRecord(t *testing.T) {
	d := testDict(t)
	received := time.Unix(1_795_000_000, 5e8)
	device := &nas.Device{Row: nas.Row{ID: 7, Settings: nas.Settings{VRF: 3}}}
	swapped := &nas.Device{Row: nas.Row{ID: 8, Settings: nas.Settings{VRF: 1, SwapOctets: true}}}
	source := netip.MustParseAddrPort("[::ffff:10.9.8.7]:40000")
	base := Record{DeviceID: 7, VRF: 3, NAS: netip.MustParseAddr("10.9.8.7"), At: sec(1_795_000_000), Received: received}
	edit := func(f func(*Record)) Record { r := base; f(&r); return r }
	tests := []struct {
		name   string
		opts   AccountingOptions
		device *nas.Device
		pairs  []string
		want   Record
	}{
		{"everything", AccountingOptions{Realms: []string{"ISP.example"}}, device, []string{
			"Acct-Status-Type", "Stop", "User-Name", "bob@isp.example", "Acct-Session-Id", "81000001", "NAS-IP-Address", "10.0.0.9",
			"NAS-Identifier", "mt1", "NAS-Port-Id", "ether1", "NAS-Port", "15728640", "NAS-Port-Type", "Ethernet",
			"Event-Timestamp", "1794999000", "Acct-Delay-Time", "5", "Acct-Session-Time", "3600", "Acct-Input-Octets", "5",
			"Acct-Input-Gigawords", "2", "Acct-Output-Octets", "7", "Acct-Authentic", "RADIUS", "Connect-Info", "50000/10000",
			"Called-Station-Id", "pppoe1", "Calling-Station-Id", "AA:BB:CC:DD:EE:FF", "Acct-Terminate-Cause", "User-Request",
			"Service-Type", "Framed-User", "Framed-Protocol", "PPP", "Framed-IP-Address", "100.64.0.1", "Framed-IP-Address", "100.64.0.2",
			"Framed-IPv6-Address", "2001:db8::5", "Framed-IPv6-Prefix", "2001:db8:1::/64", "Framed-Interface-Id", "1:2:3:4",
			"Delegated-IPv6-Prefix", "2001:db8:100::/56", "Class", "0x6162",
		}, edit(func(r *Record) {
			r.Status, r.User, r.Login, r.Realm, r.SessionID = StatusStop, "bob@isp.example", "bob@isp.example", str("isp.example"), "81000001"
			r.NAS = netip.MustParseAddr("10.0.0.9")
			r.UniqueID = md5Hex([]byte("bob@isp.example,81000001,10.0.0.9,mt1,ether1,15728640"))
			r.PortID, r.PortType, r.At = str("ether1"), "Ethernet", sec(1_794_999_000)
			r.SessionTime, r.Input, r.Output = num(3600), num(8589934597), num(7)
			r.Authentic, r.ConnectInfo, r.CalledStation, r.CallingStation = "RADIUS", "50000/10000", "pppoe1", "AA:BB:CC:DD:EE:FF"
			r.TerminateCause, r.ServiceType, r.FramedProtocol = "User-Request", "Framed-User", "PPP"
			r.FramedIP, r.FramedIPv6 = netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("2001:db8::5")
			r.FramedIPv6Pfx, r.DelegatedPrefix = netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:100::/56")
			r.InterfaceID = str("1:2:3:4")
		})},
		{"nothing", AccountingOptions{}, device, nil, edit(func(r *Record) { r.UniqueID = md5Hex([]byte(",,10.9.8.7,,,")) })},
		{"status without a query", AccountingOptions{}, device, []string{"Acct-Status-Type", "15"},
			edit(func(r *Record) { r.UniqueID = md5Hex([]byte(",,10.9.8.7,,,")) })},
		{"numbers without a name, delay, port, v6", AccountingOptions{StripRealm: true}, device, []string{
			"Acct-Status-Type", "Interim-Update", "Service-Type", "99", "Acct-Delay-Time", "7", "NAS-Port", "7",
			"NAS-IP-Address", "10.0.0.9", "NAS-IPv6-Address", "2001:db8::1", "User-Name", "a@b@",
		}, edit(func(r *Record) {
			r.Status, r.User, r.Login, r.ServiceType, r.At = StatusInterim, "a@b@", "a@b@", "99", sec(1_794_999_993)
			r.PortID, r.NAS, r.UniqueID = str("7"), netip.MustParseAddr("2001:db8::1"), md5Hex([]byte("a@b@,,2001:db8::1,,,7"))
		})},
		{"realm stripped", AccountingOptions{StripRealm: true, Realms: []string{"isp"}}, device, []string{"User-Name", "a@b@ISP"}, edit(func(r *Record) {
			r.User, r.Login, r.Realm, r.UniqueID = "a@b", "a@b@ISP", str("ISP"), md5Hex([]byte("a@b@ISP,,10.9.8.7,,,"))
		})},
		{"any realm stripped", AccountingOptions{StripRealm: true}, device, []string{"User-Name", "a@b"}, edit(func(r *Record) {
			r.User, r.Login, r.Realm, r.UniqueID = "a", "a@b", str("b"), md5Hex([]byte("a@b,,10.9.8.7,,,"))
		})},
		{"any realm named", AccountingOptions{Realms: []string{"*"}}, device, []string{"User-Name", "a@b"}, edit(func(r *Record) {
			r.User, r.Login, r.Realm, r.UniqueID = "a@b", "a@b", str("b"), md5Hex([]byte("a@b,,10.9.8.7,,,"))
		})},
		{"another realm", AccountingOptions{StripRealm: true, Realms: []string{"c"}}, device, []string{"User-Name", "a@b"}, edit(func(r *Record) {
			r.User, r.Login, r.UniqueID = "a@b", "a@b", md5Hex([]byte("a@b,,10.9.8.7,,,"))
		})},
		{"no realm known", AccountingOptions{}, device, []string{"User-Name", "a@b"}, edit(func(r *Record) {
			r.User, r.Login, r.UniqueID = "a@b", "a@b", md5Hex([]byte("a@b,,10.9.8.7,,,"))
		})},
		{"swapped, clamped, class", AccountingOptions{StoreClass: true}, swapped, []string{
			"Acct-Status-Type", "Start", "Acct-Input-Octets", "1", "Acct-Output-Gigawords", "4294967295", "Acct-Session-Id", "E8",
			"Class", "0x00", "Class", "ai:0123456789abcdef0123456789abcdef",
		}, edit(func(r *Record) {
			r.Status, r.DeviceID, r.VRF, r.SessionID = StatusStart, 8, 1, "E8"
			r.Input, r.Output, r.Class = num(1<<63-1), num(1), str("0x00")
			r.UniqueID = "7969e53df6eae210449166b75ab934c0"
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAccounting(d, nil, tt.opts, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			req := &Request{Device: tt.device, Source: source, Received: received, Pairs: pairsOf(t, d, tt.pairs...)}
			got := a.Record(req)
			if d := cmp.Diff(&tt.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("record (-want +got):\n%s", d)
			}
			for i := range req.Pairs { // the packet's buffer is used again
				clear(req.Pairs[i].Value)
			}
			if d := cmp.Diff(&tt.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); d != "" {
				t.Errorf("the record aliases the packet:\n%s", d)
			}
		})
	}
}

func TestAccountPosts(t *testing.T) {
	var posted []*Posting
	a, err := NewAccounting(testDict(t), ledgerFunc(func(ps []*Posting) { posted = ps }), AccountingOptions{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := &Posting{Record: &Record{}}
	if a.Post([]*Posting{p}); len(posted) != 1 || posted[0] != p {
		t.Errorf("the ledger got %v", posted)
	}
	a.Stored(p.Record) // nobody hears of it
	var heard *Record
	if a.Tell(func(r *Record) { heard = r }); heard != nil {
		t.Error("told of a record too early")
	}
	if a.Stored(p.Record); heard != p.Record {
		t.Errorf("told of %v, want the stored record", heard)
	}
	if _, err := NewAccounting(testDict(t), nil, AccountingOptions{EventTime: "sometimes", EventPast: -1}, time.Now); err == nil {
		t.Error("bad options: no error")
	}
}

// toldOf is a Poster that counts its batches.
type toldOf struct{ batches [][]*Posting }

func (to *toldOf) Posted(ps []*Posting) { to.batches = append(to.batches, ps) }

// TestTellPosted: each is told of its own, in batches.
func TestTellPosted(t *testing.T) {
	a, b := &toldOf{}, &toldOf{}
	ps := []*Posting{{To: a}, {To: a}, {To: b}, {To: a}}
	TellPosted(ps)
	if len(a.batches) != 2 || len(a.batches[0]) != 2 || a.batches[1][0] != ps[3] || len(b.batches) != 1 || b.batches[0][0] != ps[2] {
		t.Errorf("told %v and %v", a.batches, b.batches)
	}
	TellPosted(nil)
}

func BenchmarkRecord(b *testing.B) {
	d := testDict(b)
	a, err := NewAccounting(d, nil, AccountingOptions{}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	req := &Request{Source: netip.MustParseAddrPort("10.0.0.1:1"), Received: time.Now(), Pairs: pairsOf(b, d,
		"Acct-Status-Type", "Interim-Update", "User-Name", "bob", "Acct-Session-Id", "81000001", "NAS-IP-Address", "10.0.0.9",
		"NAS-Port-Id", "ether1", "NAS-Port", "15728640", "NAS-Port-Type", "Ethernet", "Acct-Session-Time", "3600",
		"Acct-Input-Octets", "5", "Acct-Output-Octets", "7", "Calling-Station-Id", "AA:BB:CC:DD:EE:FF", "Framed-IP-Address", "100.64.0.1")}
	b.ReportAllocs()
	for b.Loop() {
		a.Record(req)
	}
}

func TestAccountNaming(t *testing.T) {
	own := AccountingOptions{Realms: []string{"a"}, EventTime: "receive"}
	if d := cmp.Diff(own, own.Naming(Options{Realms: []string{"b"}})); d != "" {
		t.Errorf("logins keep realms (-want +got):\n%s", d)
	}
	want := AccountingOptions{Realms: []string{"b"}, StripRealm: true, EventTime: "receive"}
	if d := cmp.Diff(want, own.Naming(Options{StripRealm: true, Realms: []string{"b"}})); d != "" {
		t.Errorf("logins strip realms (-want +got):\n%s", d)
	}
}
