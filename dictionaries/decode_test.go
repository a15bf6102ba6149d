package dictionaries

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keys hide and show in tests; the authenticator is not all zeros.
func keys() Keys {
	return Keys{Secret: []byte("testing123"), Authenticator: &[16]byte{0: 0xab, 7: 1, 15: 0xff}}
}

// lines prints pairs for comparison.
func lines(ps Pairs) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.String())
	}
	return out
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wireCases are attributes as they stand on the wire and what they say. Where
// again is empty, Append gives the same octets.
var wireCases = []struct {
	name, wire string
	want       []string
	again      string
}{
	{"string", "01 05 626f62", []string{`User-Name = "bob"`}, ""},
	{
		"order is kept", "12 03 61 01 03 62 12 03 63",
		[]string{`Reply-Message = "a"`, `User-Name = "b"`, `Reply-Message = "c"`},
		"",
	},
	{"integer with a name", "06 06 00000002", []string{`Service-Type = Framed-User`}, ""},
	{"integer without", "06 06 00000063", []string{`Service-Type = 99`}, ""},
	{"address", "08 06 0a000001", []string{`Framed-IP-Address = 10.0.0.1`}, ""},
	{"date", "37 06 70dbd880", []string{`Event-Timestamp = "Jan  1 2030 00:00:00 UTC"`}, ""},
	{"interface id", "60 0a 00000001000affff", []string{`Framed-Interface-Id = 0:1:a:ffff`}, ""},
	{"whole prefix", "7b 14 0038 20010db8000000000000000000000000", []string{`Delegated-IPv6-Prefix = 2001:db8::/56`}, ""},
	{
		"short prefix", "7b 08 0020 20010db8",
		[]string{`Delegated-IPv6-Prefix = 2001:db8::/32`},
		"7b 14 0020 20010db8000000000000000000000000",
	},
	{"IPv4 prefix", "9b 08 0018 0a010200", []string{`PMIP6-Home-IPv4-HoA = 10.1.2.0/24`}, ""},
	{"IPv6 address", "a8 12 00000000000000000000000001020304", []string{`Framed-IPv6-Address = ::1.2.3.4`}, ""},
	{"tagged integer", "40 06 0100000d", []string{`Tunnel-Type:1 = VLAN`}, ""},
	{"tagged integer, no tag", "40 06 0000000d", []string{`Tunnel-Type = VLAN`}, ""},
	{"tagged string", "51 06 01313030", []string{`Tunnel-Private-Group-Id:1 = "100"`}, ""},
	{"tagged string, no tag", "51 05 313030", []string{`Tunnel-Private-Group-Id = "100"`}, ""},
	{"tagged string, zero tag", "51 06 00313030", []string{`Tunnel-Private-Group-Id = "100"`}, "51 05 313030"},
	{"MikroTik", "1a 0d 00003a8c 0807 314d2f314d", []string{`Mikrotik-Rate-Limit = "1M/1M"`}, ""},
	{
		"two in one", "1a 12 00003a8c 0806 00000001 0206 00000002",
		[]string{`Mikrotik-Rate-Limit = "\000\000\000\001"`, `Mikrotik-Xmit-Limit = 2`},
		"1a 0c 00003a8c 0806 00000001 1a 0c 00003a8c 0206 00000002",
	},
	{"unknown attribute", "e7 05 010203", []string{`Attr-231 = 0x010203`}, ""},
	{"unknown number of a vendor", "1a 0a 00003a8c fa04 0102", []string{`Attr-26.14988.250 = 0x0102`}, ""},
	{"unknown vendor", "1a 0a 0000ffff 0104 0102", []string{`Attr-26.65535.1 = 0x0102`}, ""},
	{
		"WiMAX-like TLV of Cambium", "1a 11 00004531 9f0b 010378 0206 00000005",
		[]string{`Cambium-Acct-Class-Name = "x"`, `Cambium-Acct-Input-Octets = 5`},
		"",
	},
	{"extended", "f1 06 63 010203", []string{`Attr-241.99 = 0x010203`}, ""},
	{"long extended", "f5 07 63 00 010203", []string{`Attr-245.99 = 0x010203`}, ""},
	{"long extended in pieces", "f5 07 63 80 010203 f5 05 63 00 04", []string{`Attr-245.99 = 0x01020304`}, "f5 08 63 00 01020304"},
	{"vendor in the extended space", "f1 0a 1a 00002c50 01 0102", []string{`Attr-241.26.11344.1 = 0x0102`}, ""},
	{"EAP in two", "4f 04 0102 4f 03 03", []string{`EAP-Message = 0x010203`}, "4f 05 010203"},
	{
		"EAP with something between", "4f 03 01 01 03 62 4f 03 02",
		[]string{`EAP-Message = 0x01`, `User-Name = "b"`, `EAP-Message = 0x02`},
		"",
	},
	{"empty is passed over", "01 02 12 03 61", []string{`Reply-Message = "a"`}, "12 03 61"},
	{"empty Chargeable-User-Identity", "59 02", []string{`Chargeable-User-Identity = 0x`}, ""},

	{"integer of 3 octets", "06 05 000002", []string{`Attr-6 = 0x000002`}, ""},
	{"address of 5 octets", "08 07 0a00000102", []string{`Attr-8 = 0x0a00000102`}, ""},
	{"prefix longer than its address", "7b 08 0040 20010db8", []string{`Attr-123 = 0x004020010db8`}, ""},
	{"prefix over 128", "7b 14 0081 20010db8000000000000000000000000", []string{`Attr-123 = 0x008120010db8000000000000000000000000`}, ""},
	{"IPv4 prefix over 32", "9b 08 0021 0a010200", []string{`Attr-155 = 0x00210a010200`}, ""},
	{"vendor's integer of 1 octet", "1a 09 00003a8c 0203 01", []string{`Attr-26.14988.2 = 0x01`}, ""},
	{"Vendor-Specific of 4 octets", "1a 06 00003a8c", []string{`Attr-26 = 0x00003a8c`}, ""},
	{"Vendor-Specific with a bad inner length", "1a 0a 00003a8c 0809 0102", []string{`Attr-26 = 0x00003a8c08090102`}, ""},
	{"inner length below 2", "1a 0a 00003a8c 0801 0102", []string{`Attr-26 = 0x00003a8c08010102`}, ""},
	{"vendor id of 4 octets", "1a 0a 01003a8c 0804 0102", []string{`Attr-26 = 0x01003a8c08040102`}, ""},
	{"bad TLV", "1a 0b 00004531 9f05 010478", []string{`Attr-26.17713.159 = 0x010478`}, ""},
	{"bad member of a TLV", "1a 0b 00004531 9f05 020378", []string{`Attr-26.17713.159.2 = 0x78`}, ""},
	{"unknown member of a TLV", "1a 0b 00004531 9f05 fa0378", []string{`Attr-26.17713.159.250 = 0x78`}, ""},
	{"extended without a value", "f1 03 63", []string{`Attr-241 = 0x63`}, ""},
	{"long extended, end missing", "f5 07 63 80 010203 01 03 62", []string{`Attr-245 = 0x6380010203`, `User-Name = "b"`}, ""},
	{"User-Password of 5 octets", "02 07 0102030405", []string{`Attr-2 = 0x0102030405`}, ""},
}

func TestDecodeAndAppend(t *testing.T) {
	d := load(t)
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(t, c.wire)
			ps, err := d.Decode(nil, wire, keys())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lines(ps)); diff != "" {
				t.Error(diff)
			}
			again := wire
			if c.again != "" {
				again = unhex(t, c.again)
			}
			got, err := d.Append([]byte("head"), ps, keys())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(hex.EncodeToString(again), hex.EncodeToString(got[4:])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	d := load(t)
	for _, wire := range []string{"01", "01 00", "01 01", "01 05 6162", "01 03 61 01 ff 00"} {
		ps, err := d.Decode(nil, unhex(t, wire), Keys{})
		if err == nil || !strings.Contains(err.Error(), "attribute 1") {
			t.Errorf("%s: %v, %v", wire, ps, err)
		}
	}
}

// TestHidden shows that hidden values need the right keys, and what becomes of
// them otherwise.
func TestHidden(t *testing.T) {
	d := load(t)
	want := []string{
		`User-Password = "p w"`, `Tunnel-Password:1 = "abc"`, `Tunnel-Password = "x"`, `MS-MPPE-Send-Key = 0x00010203`,
		`MS-CHAP-MPPE-Keys = 0x000000000000000000000000000000000000000000000000`, `Ascend-Send-Secret = "s3"`, `User-Password = ""`,
	}
	ps := Pairs{
		pair(t, d, "User-Password", "p w"), pair(t, d, "Tunnel-Password:1", "abc"), pair(t, d, "Tunnel-Password", "x"),
		pair(t, d, "MS-MPPE-Send-Key", "0x00010203"), pair(t, d, "MS-CHAP-MPPE-Keys", "0x"+strings.Repeat("00", 24)),
		pair(t, d, "Ascend-Send-Secret", "s3"), pair(t, d, "User-Password", ""),
	}
	wire, err := d.Append(nil, ps, keys())
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Decode(nil, wire, keys())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
	salts := make(map[string]bool)
	for rest := wire; len(rest) > 0; rest = rest[rest[1]:] {
		if rest[0] == 69 {
			salts[string(rest[3:5])] = true
			if rest[3]&0x80 == 0 {
				t.Errorf("salt %x lacks the high bit", rest[3:5])
			}
		}
	}
	if len(salts) != 2 {
		t.Errorf("%d different salts of 2", len(salts))
	}

	raw, err := d.Decode(nil, wire, Keys{Secret: keys().Secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range raw {
		if !p.Attr.Unknown {
			t.Errorf("without an authenticator: %s", p)
		}
	}
	if _, err := d.Append(nil, ps[:1], Keys{}); err == nil || !strings.Contains(err.Error(), "User-Password") {
		t.Errorf("Append without keys: %v", err)
	}
}

func TestAppendSplits(t *testing.T) {
	d := load(t)
	long := Pair{Attr: d.Must("EAP-Message"), Value: []byte(strings.Repeat("e", 600))}
	wire, err := d.Append(nil, Pairs{long, pair(t, d, "Attr-245.99", strings.Repeat("x", 600))}, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	ps, err := d.Decode(nil, wire, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	if len(ps) != 2 || len(ps[0].Value) != 600 || len(ps[1].Value) != 600 {
		t.Errorf("got %d pairs", len(ps))
	}
	if n := len(wire); n != 600+3*2+600+3*4 {
		t.Errorf("%d octets", n)
	}
}

func TestAppendRefuses(t *testing.T) {
	d := load(t)
	cases := []struct {
		pair Pair
		want string
	}{
		{pair(t, d, "Filter-Id", strings.Repeat("x", 254)), "append attribute Filter-Id: 254 octets; at most 253 can be sent"},
		{pair(t, d, "Mikrotik-Rate-Limit", strings.Repeat("x", 248)), "append attribute Mikrotik-Rate-Limit: 248 octets; at most 247 can be sent"},
		{pair(t, d, "User-Password", strings.Repeat("x", 129)), "append attribute User-Password: 129 octets; at most 128 can be hidden (RFC 2865 §5.2)"},
		{pair(t, d, "Cambium-Acct-Class-Name", strings.Repeat("x", 246)), "append attribute Cambium-Acct-Class-Name: 248 octets; at most 247 can be sent"},
		{Pair{Attr: d.Must("NAS-Port"), Value: []byte{1}}, "append attribute NAS-Port: 1 octets; type integer has 4"},
		{Pair{Attr: d.Must("Tunnel-Type"), Value: []byte{1, 0, 0, 0}}, "append attribute Tunnel-Type: value 16777216; a tagged integer has 24 bits (RFC 2868 §3.1)"},
		{Pair{Attr: d.Must("Cambium-Traffic-Classes-Acct"), Value: []byte{1}}, ""},
	}
	for _, c := range cases {
		got, err := d.Append([]byte("head"), Pairs{pair(t, d, "User-Name", "u"), c.pair}, keys())
		if err == nil || c.want != "" && err.Error() != c.want || string(got) != "head" {
			t.Errorf("%v; want %s; dst %q", err, c.want, got)
		}
	}
	got, err := d.Append(nil, Pairs{pair(t, d, "Auth-Type", "Accept"), pair(t, d, "Filter-Id", "")}, Keys{})
	if err != nil || len(got) != 0 {
		t.Errorf("internal and empty attributes: %x, %v", got, err)
	}
}

// TestVendorFormats checks each format of VENDOR lines in both directions.
func TestVendorFormats(t *testing.T) {
	cases := []struct{ format, wire string }{
		{"1,1", "1a 0a 0000ea60 0104 6162"},
		{"1,0", "1a 09 0000ea60 01 6162"},
		{"1,2", "1a 0b 0000ea60 01 0005 6162"},
		{"2,0", "1a 0a 0000ea60 0001 6162"},
		{"2,1", "1a 0b 0000ea60 0001 05 6162"},
		{"2,2", "1a 0c 0000ea60 0001 0006 6162"},
		{"4,0", "1a 0c 0000ea60 00000001 6162"},
		{"4,1", "1a 0d 0000ea60 00000001 07 6162"},
		{"4,2", "1a 0e 0000ea60 00000001 0008 6162"},
		{"1,1,c", "1a 0b 0000ea60 0105 00 6162"},
	}
	for _, c := range cases {
		d := parse(t, "VENDOR Acme 60000 format="+c.format+"\nBEGIN-VENDOR Acme\nATTRIBUTE Acme-A 1 string\nEND-VENDOR Acme\n")
		ps := Pairs{pair(t, d, "Acme-A", "ab")}
		wire, err := d.Append(nil, ps, Keys{})
		if err != nil || hex.EncodeToString(wire) != strings.ReplaceAll(c.wire, " ", "") {
			t.Errorf("format %s: %x, %v; want %s", c.format, wire, err, c.wire)
		}
		got, err := d.Decode(nil, wire, Keys{})
		if diff := cmp.Diff(lines(ps), lines(got)); err != nil || diff != "" {
			t.Errorf("format %s: %v %s", c.format, err, diff)
		}
		for cut := 7; cut < len(wire); cut++ { // never a panic, never an error
			short := append([]byte(nil), wire[:cut]...)
			short[1] = byte(cut)
			if _, err := d.Decode(nil, short, Keys{}); err != nil {
				t.Errorf("format %s: %v", c.format, err)
			}
		}
	}
}

// TestContinuation splits and joins a WiMAX attribute, and leaves pieces raw
// that do not belong together.
func TestContinuation(t *testing.T) {
	d := parse(t, "VENDOR Wi 24757 format=1,1,c\nBEGIN-VENDOR Wi\nATTRIBUTE Wi-A 1 octets\nATTRIBUTE Wi-T 2 tlv\n"+
		"ATTRIBUTE Wi-T-1 2.1 string\nATTRIBUTE Wi-T-2 2.2 tlv\nATTRIBUTE Wi-T-2-1 2.2.1 integer\nATTRIBUTE Wi-T-2-2 2.2.2 string\nEND-VENDOR Wi\n")
	ps := Pairs{
		pair(t, d, "Wi-A", strings.Repeat("a", 500)), pair(t, d, "Wi-T-2-1", "5"), pair(t, d, "Wi-T-2-2", "b"),
		pair(t, d, "Wi-T-1", "c"), pair(t, d, "Wi-T-2-2", strings.Repeat("d", 249)),
	}
	wire, err := d.Append(nil, ps, Keys{})
	if err != nil {
		t.Fatal(err)
	}
	if tail := hex.EncodeToString(wire[500+3*9 : 500+3*9+23]); tail != "1a17000060b5021100020b010600000005020362010363" {
		t.Errorf("the TLVs' attribute is %s", tail)
	}
	got, err := d.Decode(nil, wire, Keys{})
	if diff := cmp.Diff(lines(ps), lines(got)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	apart := unhex(t, "1a 0b 000060b5 0105 80 6162 e7 03 01 1a 0b 000060b5 0105 00 6364")
	got, err = d.Decode(nil, apart, Keys{})
	if diff := cmp.Diff([]string{"Attr-26 = 0x000060b50105806162", "Attr-231 = 0x01", "Wi-A = 0x6364"}, lines(got)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}
