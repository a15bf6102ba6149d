package dictionaries

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func TestParseAndText(t *testing.T) {
	d := load(t)
	d.Location = time.UTC
	cases := []struct{ name, text, value, again string }{
		{"User-Name", "bob", "626f62", ""},
		{"User-Name", ` a"b\n `, "206122625c6e20", ""},
		{"User-Name", "0x01", "30783031", ""},
		{"Class", "0x0aFF", "0aff", "0x0aff"},
		{"Class", "abc", "616263", "0x616263"},
		{"NT-Password", "0x8846F7EAEE8FB117AD06BDD830B7586C", "8846f7eaee8fb117ad06bdd830b7586c", "0x8846f7eaee8fb117ad06bdd830b7586c"},
		{"NAS-Port", "4294967295", "ffffffff", ""},
		{"Session-Timeout", "0x10", "00000010", "16"},
		{"Session-Timeout", " 60 ", "0000003c", "60"},
		{"Service-Type", "framed-USER", "00000002", "Framed-User"},
		{"Service-Type", "Framed", "00000002", "Framed-User"},
		{"Service-Type", "99", "00000063", ""},
		{"NAS-Port-Type", "5", "00000005", "Virtual"},
		{"Acct-Input-Octets64", "18446744073709551615", "ffffffffffffffff", ""},
		{"Cache-TTL", "-5", "fffffffb", ""},
		{"Max-Daily-Session", "3600", "0000000000000e10", ""},
		{"Framed-IP-Address", "100.64.0.1", "64400001", ""},
		{"Framed-IP-Address", "100.64.0.1/32", "64400001", "100.64.0.1"},
		{"Framed-IPv6-Address", "2001:DB8:0:0::1", "20010db8000000000000000000000001", "2001:db8::1"},
		{"Framed-IPv6-Address", "::ffff:1.2.3.4", "00000000000000000000ffff01020304", ""},
		{"Framed-IPv6-Address", "::1.2.3.4", "00000000000000000000000001020304", ""},
		{"Framed-IPv6-Address", "::1", "00000000000000000000000000000001", ""},
		{"Delegated-IPv6-Prefix", "2001:db8::1/56", "003820010db8000000000000000000000000", "2001:db8::/56"},
		{"Delegated-IPv6-Prefix", "2001:db8::1", "008020010db8000000000000000000000001", "2001:db8::1/128"},
		{"PMIP6-Home-IPv4-HoA", "10.1.2.3/24", "00180a010200", "10.1.2.0/24"},
		{"Framed-Interface-Id", "0:1:A:ffff", "00000001000affff", "0:1:a:ffff"},
		{"Expiration", "1 Jan 2030", "70dbd880", "Jan  1 2030 00:00:00 UTC"},
		{"Attr-26.9.199", "0x01", "01", ""},
		{"Attr-26.9.250", "0x61", "61", "a"}, // Cisco-Account-Info
		{"Attr-6", "0x00000002", "00000002", "Framed-User"},
		{"Attr-6", "0x0002", "0002", "0x0002"},
	}
	for _, c := range cases {
		p, err := d.Pair(c.name, c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := hex.EncodeToString(p.Value); got != c.value {
			t.Errorf("%s %q is %s, want %s", c.name, c.text, got, c.value)
		}
		want := c.again
		if want == "" {
			want = c.text
		}
		if got := p.Attr.Text(p.Value); got != want {
			t.Errorf("%s %q prints as %q, want %q", c.name, c.text, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	d := load(t)
	cases := []struct{ name, text, want string }{
		{"NAS-Port", "x", `value "x" of NAS-Port: a number from 0 to 4294967295 would be right`},
		{"NAS-Port", "4294967296", "a number from 0 to 4294967295"},
		{"NAS-Port", "", "a number"},
		{"NAS-Port", "+1", "a number"},
		{"NAS-Port", "-1", "a number"},
		{"Service-Type", "Framd-User", "no value name of this attribute, and a number"},
		{"Framed-IP-Address", "10.0.0", "an IPv4 address such as 100.64.0.1"},
		{"Framed-IP-Address", "2001:db8::1", "an IPv4 address"},
		{"Framed-IP-Address", "10.0.0.0/24", "an IPv4 address"},
		{"Framed-IPv6-Address", "10.0.0.1", "an IPv6 address"},
		{"Framed-IPv6-Address", "fe80::1%eth0", "an IPv6 address"},
		{"Delegated-IPv6-Prefix", "10.0.0.0/8", "an IPv6 prefix"},
		{"Delegated-IPv6-Prefix", "2001:db8::/129", "an IPv6 prefix"},
		{"PMIP6-Home-IPv4-HoA", "2001:db8::/48", "an IPv4 prefix"},
		{"Framed-Interface-Id", "0:1:2", "four groups"},
		{"Framed-Interface-Id", "0:1:2:10000", "four groups"},
		{"NT-Password", "0x123", "value *** of NT-Password"},
		{"Class", "0x0", "an even number of hex digits"},
		{"MS-CHAP-MPPE-Keys", "0x00", "value *** of MS-CHAP-MPPE-Keys: 1 octets; 24 would be right"},
		{"Expiration", "2026-11-30", "1 Jan 2030"},
		{"Expiration", "2026-11-30T10:00:00", "ISO 8601"},
		{"Vendor-Specific", "x", "name one of its members"},
	}
	for _, c := range cases {
		if p, err := d.Pair(c.name, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, %v; want %s", c.name, c.text, p, err, c.want)
		}
	}
}

func TestDates(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		text string
		loc  *time.Location
		want string // RFC 3339, or "" for an error
	}{
		{"1 Jan 2030", time.UTC, "2030-01-01T00:00:00Z"},
		{"01 Jan 2030", time.UTC, "2030-01-01T00:00:00Z"},
		{"Jan 01 2030 00:00:00", time.UTC, "2030-01-01T00:00:00Z"},
		{"Jan  1 2030 00:00:00 UTC", time.UTC, "2030-01-01T00:00:00Z"},
		{"21 Nov 2026 23:00", time.UTC, "2026-11-21T23:00:00Z"},
		{"21 November 2026", time.UTC, "2026-11-21T00:00:00Z"},
		{"2026 nov 21", time.UTC, "2026-11-21T00:00:00Z"},
		{"23:00 21 Nov 2026", time.UTC, "2026-11-21T23:00:00Z"},
		{"1893456000", berlin, "2030-01-01T00:00:00Z"},
		{"1 Jan 2030", berlin, "2029-12-31T23:00:00Z"},
		{"1 Jul 2030 12:30", berlin, "2030-07-01T10:30:00Z"},
		{"Oct 27 2030 02:30:00 CEST", berlin, "2030-10-27T00:30:00Z"},
		{"Oct 27 2030 02:30:00 CET", berlin, "2030-10-27T01:30:00Z"},
		{"31 Feb 2030", time.UTC, "2030-03-03T00:00:00Z"}, // as mktime does
		{"2026-11-30", time.UTC, ""},
		{"2026-11-30 10:00:00", time.UTC, ""},
		{"30 11 2026", time.UTC, ""},
		{"1 Jan 30", time.UTC, ""},
		{"31 Dec 2029 24:00", time.UTC, "2030-01-01T00:00:00Z"},
		{"1 Jan 2030 25:00", time.UTC, ""},
		{"1 Jan 2030 10", time.UTC, ""},
		{"1 Jan 2030 UTC", time.UTC, ""},
		{"Jan 2030", time.UTC, ""},
		{"32 Jan 2030", time.UTC, ""},
		{"1 Jan 1960", time.UTC, ""},
		{"1 Jan 2107", time.UTC, ""},
		{"10:00 Jan 2030", time.UTC, ""},
		{"never", time.UTC, ""},
		{"", time.UTC, ""},
	}
	for _, c := range cases {
		got, err := parseDate(c.text, c.loc)
		if c.want == "" {
			if err == nil {
				t.Errorf("%q is %d, want an error", c.text, got)
			}
			continue
		}
		if text := time.Unix(int64(got), 0).UTC().Format(time.RFC3339); err != nil || text != c.want {
			t.Errorf("%q is %s, %v; want %s", c.text, text, err, c.want)
		}
	}
}

func TestRef(t *testing.T) {
	d := load(t)
	good := []struct {
		text, name string
		tag        uint8
	}{
		{"user-name", "User-Name", 0},
		{"Tunnel-Type:1", "Tunnel-Type", 1},
		{"tunnel-private-group-id:31", "Tunnel-Private-Group-Id", 31},
		{"Tunnel-Type:0", "Tunnel-Type", 0},
		{"Attr-231", "Attr-231", 0},
		{"attr-26.9.250", "Attr-26.9.250", 0},
		{"Vendor-9-Attr-250", "Attr-26.9.250", 0},
		{"Attr-26.60001.1", "Attr-26.60001.1", 0},
		{"Attr-241.9", "Attr-241.9", 0},
		{"Attr-245.26.9.1", "Attr-245.26.9.1", 0},
	}
	for _, c := range good {
		a, tag, err := d.Ref(c.text)
		if err != nil || a.Name != c.name || tag != c.tag {
			t.Errorf("%s: %v %d, %v", c.text, a, tag, err)
		}
		if b, _, _ := d.Ref(c.text); b != a {
			t.Errorf("%s: two pointers", c.text)
		}
	}
	for text, want := range map[string]string{
		"No-Such-Attr": `attribute "No-Such-Attr": not in the dictionary`, "User-Name:1": "has no tags", "Tunnel-Type:32": `tag "32"`,
		"Tunnel-Type:": `tag ""`, "Attr-256": "1 to 255", "Attr-0": "1 to 255", "Attr-x": `"x"`, "Attr-26.9": "names a vendor only",
		"Attr-1.2": "no members", "Attr-26.9.256": "at most 255", "Vendor-9": "not in the dictionary", "Attr-241.26.9": "names a vendor only", "": "not in",
	} {
		if a, _, err := d.Ref(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %s", text, a, err, want)
		}
	}
}

func TestUnknownIsBounded(t *testing.T) {
	d := load(t)
	for n := range uint32(2 * maxUnknown) {
		if a := d.rawAt(unknownKey{vendor: 70000 + n, number: 1, inside: true}); a.Vendor.ID != 70000+n {
			t.Fatalf("vendor %d became %d", 70000+n, a.Vendor.ID)
		}
	}
	if n := len(d.unknown.known); n != maxUnknown {
		t.Errorf("%d attributes are remembered, want %d", n, maxUnknown)
	}
}

// TestUnknownIsShared: many packets at once get one pointer for one number.
func TestUnknownIsShared(t *testing.T) {
	d := load(t)
	got := make(chan *Attribute)
	for range 8 {
		go func() {
			ps, _ := d.Decode(nil, []byte{26, 10, 0, 0, 0xff, 0xff, 1, 4, 1, 2}, Keys{})
			got <- ps[0].Attr
		}()
	}
	first := <-got
	for range 7 {
		if a := <-got; a != first {
			t.Errorf("%p and %p", a, first)
		}
	}
}

func TestCompare(t *testing.T) {
	d := load(t)
	for _, c := range []struct{ name, less, more string }{
		{"NAS-Port", "9", "10"},
		{"NAS-Port", "127", "4294967295"},
		{"Cache-TTL", "-2", "1"},
		{"Framed-IP-Address", "9.0.0.1", "10.0.0.1"},
		{"User-Name", "10", "9"},
		{"User-Name", "B", "a"},
		{"Expiration", "1 Jan 2020", "1 Feb 2020"},
		{"Delegated-IPv6-Prefix", "2001:db8::/48", "2001:db8::/56"},
		{"Delegated-IPv6-Prefix", "2001:db8::/64", "2001:db9::/48"},
	} {
		a, b := pair(t, d, c.name, c.less), pair(t, d, c.name, c.more)
		if a.Attr.Compare(a.Value, b.Value) >= 0 || a.Attr.Compare(b.Value, a.Value) <= 0 || a.Attr.Compare(a.Value, a.Value) != 0 {
			t.Errorf("%s: %s is not below %s", c.name, c.less, c.more)
		}
	}
}

func TestPairString(t *testing.T) {
	d := load(t)
	d.Location = time.UTC
	for _, c := range []struct{ ref, text, want string }{
		{"User-Name", "a\"b\\c\td\x01é\x80x\nz\r\x7f", `User-Name = "a\"b\\c\td\001é\200x\nz\r\177"`},
		{"Tunnel-Private-Group-Id:3", "100", `Tunnel-Private-Group-Id:3 = "100"`},
		{"Service-Type", "2", `Service-Type = Framed-User`},
		{"Expiration", "0", `Expiration = "Jan  1 1970 00:00:00 UTC"`},
		{"Class", "ab", `Class = 0x6162`},
	} {
		if got := pair(t, d, c.ref, c.text).String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if got := (Pair{}).String(); got != "(no attribute)" {
		t.Error(got)
	}
}

func TestIteration(t *testing.T) {
	d := load(t)
	v := d.Vendor("mikrotik")
	if v == nil || v.ID != 14988 {
		t.Fatalf("vendor %v", v)
	}
	n := 0
	for a := range d.OfVendor(v) {
		if a.Vendor != v || !strings.HasPrefix(a.OID(), "26.14988.") {
			t.Errorf("%s of %v", a.Name, a.Vendor)
		}
		n++
	}
	if n < 20 || len(d.Vendors()) < 20 {
		t.Errorf("%d attributes, %d vendors", n, len(d.Vendors()))
	}
}
