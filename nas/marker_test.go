package nas

import (
	"testing"

	"pgregory.net/rapid"

	"radial/dictionaries"
)

// markOfSplit is a mark as it is defined: the sums of the hashes of what Split
// parts, and the kinds of what is soft.
func markOfSplit(dev *Device, reply dictionaries.Pairs) (uint64, uint64) {
	soft, hard, there := uint64(markBasis), uint64(markBasis), kind(0)
	changed, anew := Split(dev, reply)
	for i := range changed {
		_, of := vendorOf(dev).nature(changed[i].Attr)
		soft += HashOf(&changed[i])
		there |= of
	}
	for i := range anew {
		hard += HashOf(&anew[i])
	}
	return max(soft&^0xff|uint64(there), 1<<8), max(hard, 1)
}

// A Marker says of a reply that goes out as it stands what Split says.
func TestMarker(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	check := func(kind, lines string) {
		t.Helper()
		reply := pairs(t, d, lines)
		soft, hard := m.Mark(kind, reply, nil)
		if s, h := markOfSplit(deviceOf(kind), reply); s != soft || h != hard {
			t.Errorf("%s, %q: %#x %#x, of Split %#x %#x", kind, lines, soft, hard, s, h)
		}
	}
	for _, kind := range []string{"mikrotik", "other", "Mikrotik", "no such type"} {
		check(kind, "")
		check(kind, "Mikrotik-Rate-Limit = 2M/10M\nMikrotik-Address-List = gold\nFramed-Pool = p\nTunnel-Private-Group-Id:1 = 100\nMS-Primary-DNS-Server = 9.9.9.9\nSession-Timeout = 5")
		check(kind, "Cisco-AVPair = a\nCisco-AVPair = b\nAcct-Interim-Interval = 60")
	}
	reply := pairs(t, d, "Mikrotik-Rate-Limit = 2M/10M\nMikrotik-Address-List = gold\nFramed-Pool = p\nSession-Timeout = 5\nFramed-IP-Address = 10.0.0.1")
	without, _ := m.Mark("mikrotik", reply, []*dictionaries.Attribute{d.Must("Mikrotik-Rate-Limit"), d.Must("Mikrotik-Address-List")})
	if empty, _ := m.Mark("mikrotik", nil, nil); without != empty {
		t.Error("what is to be left out is in the mark")
	}
	if n := testing.AllocsPerRun(100, func() { m.Mark("mikrotik", reply, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is granted in MikroTik's words is in the mark of a device that never sees
// them, as ShapeReply gives it its own; what says nothing to it is not.
func TestMarkerReadsGrants(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	for _, c := range []struct {
		kind, a, b string
		soft, hard bool // differ
	}{
		{"cisco", "Mikrotik-Rate-Limit = 2M/10M", "Mikrotik-Rate-Limit = 3M/10M", true, false},
		{"huawei", "WISPr-Bandwidth-Max-Up = 1000", "WISPr-Bandwidth-Max-Up = 2000", true, false},
		{"cisco", "Huawei-Input-Average-Rate = 1000", "", false, false},
		{"cisco", "Cisco-AVPair = a", "Cisco-AVPair = b", false, true},
		{"mikrotik", "Cisco-AVPair = a", "Cisco-AVPair = b", false, true}, // goes out as it stands
		{"mikrotik", "Acct-Interim-Interval = 60", "Acct-Interim-Interval = 600", false, false},
		{"juniper", "ERX-Primary-Dns = 9.9.9.9", "", false, false},
	} {
		s1, h1 := m.Mark(c.kind, pairs(t, d, c.a), nil)
		s2, h2 := m.Mark(c.kind, pairs(t, d, c.b), nil)
		if (s1 != s2) != c.soft || (h1 != h2) != c.hard {
			t.Errorf("%s: %q, then %q: soft %#x %#x, hard %#x %#x", c.kind, c.a, c.b, s1, s2, h1, h2)
		}
	}
}

// A device that is said to be of another type has been granted what it was.
func TestSameGrants(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	line := rapid.SampledFrom([]string{
		"Mikrotik-Rate-Limit = 2M/10M", "Mikrotik-Group = a", "Mikrotik-Mark-Id = b", "Filter-Id = a", "Framed-Pool = a", "Port-Limit = 5", "Mikrotik-Advertise-URL = x",
	})
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (ps dictionaries.Pairs) {
			seen := map[string]bool{}
			for _, l := range rapid.SliceOfN(line, 0, 5).Draw(t, "reply") {
				if !seen[l] && l != "Port-Limit = 5" { // which is nothing to type other
					ps, seen[l] = append(ps, mustPair(t, d, l)), true
				}
			}
			return ps
		}
		a, b := draw(), draw()
		s1, h1 := m.Mark("mikrotik", a, nil)
		s2, h2 := m.Mark("other", b, nil)
		s3, h3 := m.Mark("mikrotik", b, nil)
		if got, want := SameGrants(s1, h1, s2, h2), s1 == s3 && h1 == h3; got != want {
			t.Fatalf("%v and %v: %v", a, b, got)
		}
	})
}

func BenchmarkMarker(b *testing.B) {
	d := loadDictionary(b)
	m := NewMarker(d)
	reply := pairs(b, d, "Mikrotik-Rate-Limit = 2M/10M\nMikrotik-Address-List = gold\nFramed-Pool = p\nSession-Timeout = 5\nFramed-IP-Address = 10.0.0.1")
	for b.Loop() {
		m.Mark("mikrotik", reply, nil)
	}
}
