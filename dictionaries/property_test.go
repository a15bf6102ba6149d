package dictionaries

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "layeh.com/radius"
	"pgregory.net/rapid"
)

// sendable are the attributes that can stand in a packet.
func sendable(d *Dictionary) []*Attribute {
	var all []*Attribute
	for a := range d.All() {
		// Two names of one number: what is sent under one comes back as the other.
		if !a.Internal && !a.Type.structural() && d.childAt(a.Vendor, a.Parent, a.Number) == a {
			all = append(all, a)
		}
	}
	return all
}

// values draws a value that a's type can hold, in canonical form.
func drawValue(t *rapid.T, a *Attribute) []byte {
	if a.Length > 0 {
		return rapid.SliceOfN(rapid.Byte(), a.Length, a.Length).Draw(t, "octets")
	}
	size := int(typeSizes[a.Type])
	switch {
	case a.Type == TypeIPv4Prefix || a.Type == TypeIPv6Prefix:
		v := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "prefix")
		bits := int(v[1]) % (8*(size-2) + 1)
		v[0], v[1] = 0, byte(bits)
		for i := range v[2:] {
			keep := min(8, max(0, bits-8*i))
			v[2+i] &= ^byte(0xff >> keep)
		}
		return v
	case a.HasTag && a.Type == TypeInteger:
		return append([]byte{0}, rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "integer")...)
	case size > 0:
		return rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "fixed")
	case a.Type == TypeComboIP:
		n := rapid.SampledFrom([]int{4, 16}).Draw(t, "length")
		return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address")
	}
	longest := 200
	switch {
	case a.Encrypt == EncryptAscend:
		longest = 16
	case a.Encrypt == EncryptUser:
		longest = 128
	case a.Concat:
		longest = 800
	}
	v := rapid.SliceOfN(rapid.Byte(), 1, longest).Draw(t, "text")
	if a.Encrypt == EncryptUser || a.Encrypt == EncryptAscend {
		v[len(v)-1] |= 1 // zeros at the end are padding
	}
	return v
}

// TestTextReadsBack: Parse of Text is the value, for every attribute.
func TestTextReadsBack(t *testing.T) {
	d := load(t)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	d.Location = berlin
	var all []*Attribute
	for a := range d.All() {
		if !a.Type.structural() {
			all = append(all, a)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(all).Draw(t, "attribute")
		v := drawValue(t, a)
		got, err := a.Parse(a.Text(v))
		if err != nil || !bytes.Equal(got, v) {
			t.Fatalf("%s: %x prints as %q, reads as %x, %v", a.Name, v, a.Text(v), got, err)
		}
	})
	for a := range d.All() {
		for name, n := range a.ValueNames() {
			v, err := a.Parse(name)
			if err != nil || number(v) != n {
				t.Errorf("%s %s is %d, reads as %x, %v", a.Name, name, n, v, err)
			}
		}
	}
}

// TestWireReadsBack: Decode of Append is the list, for every attribute.
func TestWireReadsBack(t *testing.T) {
	d := load(t)
	all := sendable(d)
	rapid.Check(t, func(t *rapid.T) {
		var want Pairs
		for range rapid.IntRange(1, 12).Draw(t, "count") {
			a := rapid.SampledFrom(all).Draw(t, "attribute")
			if n := len(want); a.Concat && n > 0 && want[n-1].Attr == a {
				continue // would be joined
			}
			p := Pair{Attr: a, Value: drawValue(t, a)}
			if a.HasTag {
				p.Tag = uint8(rapid.IntRange(0, 31).Draw(t, "tag"))
			}
			want = append(want, p)
		}
		wire, err := d.Append(nil, want, keys())
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Decode(nil, wire, keys())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Fatalf("%x: %s", wire, diff)
		}
		for i := range got {
			if got[i].Attr != want[i].Attr || got[i].Tag != want[i].Tag || !bytes.Equal(got[i].Value, want[i].Value) {
				t.Fatalf("pair %d: %s %x, want %s %x", i, got[i], got[i].Value, want[i], want[i].Value)
			}
		}
	})
}

// FuzzDecode: any octets decode or are refused for a length, and what was
// decoded, sent and decoded again is the same.
func FuzzDecode(f *testing.F) {
	for _, c := range wireCases {
		f.Add(unhex(f, c.wire))
	}
	f.Add(bytes.Repeat([]byte{245, 4, 1, 0x80}, 5))
	f.Add([]byte{245, 12, 26, 0x80, 0, 0, 0x2c, 0x50, 1, 1, 2, 3, 245, 5, 26, 0, 4})
	d := load(f)
	full := parse(f, "VENDOR Wi 24757 format=1,1,c\nBEGIN-VENDOR Wi\nATTRIBUTE Wi-A 1 octets\nATTRIBUTE Wi-T 2 tlv\nATTRIBUTE Wi-T-1 2.1 string\n"+
		"ATTRIBUTE Wi-P 3 ipv6prefix array\nATTRIBUTE Wi-I 4 short array\nEND-VENDOR Wi\nVENDOR USR 429 format=4,0\nVENDOR Lu 4846 format=2,1\n"+
		"BEGIN-VENDOR Lu\nATTRIBUTE Lu-S 1 string has_tag\nATTRIBUTE Lu-T 2 tlv\nATTRIBUTE Lu-T-1 2.1 octets concat\nEND-VENDOR Lu\n"+
		"ATTRIBUTE L-T 245.9 tlv\nATTRIBUTE L-T-1 245.9.1 integer\nATTRIBUTE Tag 66 string has_tag\nATTRIBUTE EAP 79 octets concat\n"+
		"BEGIN-VENDOR Lu parent=EVS-5\nATTRIBUTE E-1 1 integer\nATTRIBUTE E-T 2 tlv\nATTRIBUTE E-T-1 2.1 string\nEND-VENDOR Lu\n")
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, d := range []*Dictionary{d, full} {
			before := bytes.Clone(wire)
			first, err := d.Decode(nil, wire, keys())
			if err != nil {
				continue
			}
			again, err := d.Append(nil, first, keys())
			if err != nil {
				t.Fatalf("%x: %v", wire, err)
			}
			second, err := d.Decode(nil, again, keys())
			if err != nil {
				t.Fatalf("%x: %v", again, err)
			}
			if diff := cmp.Diff(lines(first), lines(second)); diff != "" {
				t.Fatalf("%x became %x: %s", wire, again, diff)
			}
			if !bytes.Equal(before, wire) {
				t.Fatalf("Decode changed the packet: %x to %x", before, wire)
			}
		}
	})
}

// TestAgainstLayeh: a codec that nobody here wrote reads what we send and the
// other way round.
func TestAgainstLayeh(t *testing.T) {
	d := load(t)
	standard := slices.DeleteFunc(sendable(d), func(a *Attribute) bool {
		return a.Vendor != nil || a.Parent != nil || a.HasTag || a.Encrypt != EncryptNone || a.Concat
	})
	k := keys()
	rapid.Check(t, func(t *rapid.T) {
		var ps Pairs
		packet := &wire.Packet{Code: wire.CodeAccessRequest, Secret: k.Secret, Authenticator: *k.Authenticator}
		for range rapid.IntRange(1, 10).Draw(t, "count") {
			p := Pair{Attr: rapid.SampledFrom(standard).Draw(t, "attribute")}
			p.Value = drawValue(t, p.Attr)
			ps = append(ps, p)
			packet.Add(wire.Type(p.Attr.Number), p.Value)
		}
		password := rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 128).Draw(t, "password")
		hidden, err := wire.NewUserPassword(password, k.Secret, k.Authenticator[:])
		if err != nil {
			t.Fatal(err)
		}
		packet.Add(2, hidden)
		ps = append(ps, Pair{Attr: d.Must("User-Password"), Value: password})

		theirs, err := packet.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		ours, err := d.Append(nil, ps, k)
		if err != nil || !bytes.Equal(ours, theirs[20:]) {
			t.Fatalf("ours %x, %v\ntheirs %x", ours, err, theirs[20:])
		}
		got, err := d.Decode(nil, theirs[20:], k)
		if diff := cmp.Diff(lines(ps), lines(got)); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}

		tunnel, err := d.Append(nil, Pairs{{Attr: d.Must("Tunnel-Password"), Tag: 3, Value: password}}, k)
		if err != nil {
			t.Fatal(err)
		}
		plain, _, err := wire.TunnelPassword(tunnel[3:], k.Secret, k.Authenticator[:])
		if err != nil || !bytes.Equal(plain, password) {
			t.Fatalf("Tunnel-Password %x, %v, want %x", plain, err, password)
		}
		theirTunnel, err := wire.NewTunnelPassword(password, []byte{0x81, 2}, k.Secret, k.Authenticator[:])
		if err != nil {
			t.Fatal(err)
		}
		octets := append([]byte{69, byte(3 + len(theirTunnel)), 3}, theirTunnel...)
		got, err = d.Decode(nil, octets, k)
		if err != nil || len(got) != 1 || got[0].Tag != 3 || !bytes.Equal(got[0].Value, password) {
			t.Fatalf("%v %v", got, err)
		}
	})
}

// TestUserPasswordVector is RFC 2865 §7.1's own example.
func TestUserPasswordVector(t *testing.T) {
	d := load(t)
	k := Keys{Secret: []byte("xyzzy5461"), Authenticator: (*[16]byte)(unhex(t, "0f403f9473978057bd83d5cb98f4227a"))}
	wire := unhex(t, "02 12 0dbe708d93d413ce3196e43f782a0aee")
	got, err := d.Decode(nil, wire, k)
	if err != nil || len(got) != 1 || string(got[0].Value) != "arctangent" {
		t.Fatalf("%v, %v", got, err)
	}
	if again, err := d.Append(nil, got, k); err != nil || !bytes.Equal(again, wire) {
		t.Errorf("%x, %v", again, err)
	}
}
