package dictionaries

import "testing"

// mikrotikRequest is the attributes of a PPPoE login as RouterOS sends it.
func mikrotikRequest(t testing.TB, d *Dictionary) Pairs {
	var ps Pairs
	for _, p := range [][2]string{
		{"Service-Type", "Framed-User"},
		{"Framed-Protocol", "PPP"},
		{"NAS-Port", "15728640"},
		{"NAS-Port-Type", "Ethernet"},
		{"User-Name", "alice"},
		{"Calling-Station-Id", "AA:BB:CC:DD:EE:FF"},
		{"Called-Station-Id", "pppoe"},
		{"NAS-Port-Id", "ether1"},
		{"Acct-Session-Id", "81000001"},
		{"Mikrotik-Realm", "isp"},
		{"NAS-Identifier", "mt1"},
		{"NAS-IP-Address", "10.0.0.9"},
	} {
		ps = append(ps, pair(t, d, p[0], p[1]))
	}
	return ps
}

// TestDecodeAllocates checks that known attributes cost nothing but the room
// for the pairs.
func TestDecodeAllocates(t *testing.T) {
	d := load(t)
	wire, err := d.Append(nil, mikrotikRequest(t, d), Keys{})
	if err != nil {
		t.Fatal(err)
	}
	room, out := make(Pairs, 0, 16), make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(room, wire, Keys{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
	ps := mikrotikRequest(t, d)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Append(out, ps, Keys{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	d := load(b)
	wire, err := d.Append(nil, mikrotikRequest(b, d), Keys{})
	if err != nil {
		b.Fatal(err)
	}
	room := make(Pairs, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(room, wire, Keys{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	d := load(b)
	ps := mikrotikRequest(b, d)
	room := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Append(room, ps, Keys{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b)
	}
}
