package nas

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"radial/dictionaries"
)

func deviceOf(kind string) *Device { return &Device{Row: Row{Type: kind}} }

func TestSplit(t *testing.T) {
	d := loadDictionary(t)
	reply := pairs(t, d, "Service-Type = Framed-User\nFramed-IP-Address = 100.64.0.7\nFramed-Pool = p\nMikrotik-Rate-Limit = 2M/10M\nMikrotik-Address-List = gold\n"+
		"Session-Timeout = 77\nIdle-Timeout = 600\nFilter-Id = x\nMikrotik-Total-Limit = 5\nFramed-Route = 10.0.0.0/24\nClass = abc\nMS-Primary-DNS-Server = 9.9.9.9\n")
	for _, kind := range []string{"mikrotik", "other", "no such type"} {
		soft, hard := Split(deviceOf(kind), reply)
		if got, want := show(soft), "Mikrotik-Rate-Limit = 2M/10M\nMikrotik-Address-List = gold\nIdle-Timeout = 600\nFilter-Id = x\n"; got != want {
			t.Errorf("%s: soft is\n%swant\n%s", kind, got, want)
		}
		if got, want := show(hard), "Framed-Pool = p\nFramed-Route = 10.0.0.0/24\n"; got != want {
			t.Errorf("%s: hard is\n%swant\n%s", kind, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	d := loadDictionary(t)
	reply := pairs(t, d, "Mikrotik-Rate-Limit = 2M/10M\nSession-Timeout = 77\nIdle-Timeout = 600\nMikrotik-Total-Limit = 5\nMikrotik-Total-Limit-Gigawords = 1\nMikrotik-Recv-Limit = 6\nClass = abc\n")
	for kind, want := range map[string]string{
		"mikrotik":   "Session-Timeout = 77\nMikrotik-Total-Limit = 5\nMikrotik-Total-Limit-Gigawords = 1\nMikrotik-Recv-Limit = 6\n",
		"other":      "Session-Timeout = 77\n",
		"nokia":      "Session-Timeout = 77\n",
		"chillispot": "Session-Timeout = 77\nChilliSpot-Max-Total-Octets = 5\nChilliSpot-Max-Total-Gigawords = 1\nChilliSpot-Max-Input-Octets = 6\n",
		"huawei":     "",
		"accel-ppp":  "",
	} {
		dev := deviceOf(kind)
		if got := show(Limits(dev, ShapeReply(dev, slices.Clone(reply), d))); got != want {
			t.Errorf("%s: limits are\n%swant\n%s", kind, got, want)
		}
	}
	if got := Limits(deviceOf("mikrotik"), pairs(t, d, "Mikrotik-Rate-Limit = 2M/10M")); got != nil {
		t.Errorf("where there are none: %v", got)
	}
}

// Marks are in the Class of sessions that run, and in the database: these stay
// what they are in every version.
func TestMarksStay(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	for _, c := range []struct {
		kind, reply string
		soft, hard  uint64
	}{
		{"mikrotik", "", 0xcbf29ce484222300, 0xcbf29ce484222325},
		{"mikrotik", "Mikrotik-Rate-Limit = 2M/10M\nFramed-Pool = p", 0x1096a2e0baf5db01, 0xf2a805ebace6df33},
		{"other", "Filter-Id = x\nTunnel-Private-Group-Id:1 = 100\nTunnel-Type:1 = VLAN", 0xbdfca76e31390d04, 0x3213fd02c816dbd1},
	} {
		soft, hard := m.Mark(c.kind, pairs(t, d, c.reply), nil)
		if soft != c.soft || hard != c.hard {
			t.Errorf("%s %q: %#x, %#x; want %#x, %#x", c.kind, c.reply, soft, hard, c.soft, c.hard)
		}
	}
}

func TestLost(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	soft := func(lines string) uint64 {
		s, _ := m.Mark("mikrotik", pairs(t, d, lines), nil)
		return s
	}
	for _, c := range []struct {
		before, now string
		lost        bool
	}{
		{"Mikrotik-Rate-Limit = 2M/10M", "Mikrotik-Rate-Limit = 20M/100M", false},
		{"", "Mikrotik-Address-List = walled", false},
		{"Mikrotik-Rate-Limit = 1M/1M\nMikrotik-Address-List = walled", "Mikrotik-Rate-Limit = 20M/100M", true},
		{"Mikrotik-Address-List = walled", "Mikrotik-Address-List = gold", false},
		{"Mikrotik-Rate-Limit = 2M/10M", "", true},
		{"Session-Timeout = 5", "", false},
	} {
		if got := Lost(soft(c.before), soft(c.now)); got != c.lost {
			t.Errorf("%q, then %q: %v", c.before, c.now, got)
		}
	}
}

// A mark is the same for the same attributes in any order, another one when
// a value of a soft or hard attribute is another, and says nothing of others.
func TestMarkProperties(t *testing.T) {
	d := loadDictionary(t)
	m := NewMarker(d)
	line := rapid.SampledFrom([]string{
		"Mikrotik-Rate-Limit = 2M/10M", "Mikrotik-Rate-Limit = 3M/10M", "Mikrotik-Address-List = a", "Mikrotik-Address-List = b", "Filter-Id = a", "Filter-Id = b",
		"Framed-Pool = a", "Framed-Pool = b", "Framed-Route = 10.0.0.0/24", "Idle-Timeout = 5", "Session-Timeout = 5", "Framed-IP-Address = 10.0.0.1", "Class = x",
	})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 8).Draw(t, "reply")
		var reply dictionaries.Pairs
		for _, l := range lines {
			reply = append(reply, mustPair(t, d, l))
		}
		soft, hard := m.Mark("mikrotik", reply, nil)
		var other dictionaries.Pairs
		for _, i := range rapid.Permutation(indices(len(reply))).Draw(t, "order") {
			other = append(other, reply[i])
		}
		if s, h := m.Mark("mikrotik", other, nil); s != soft || h != hard {
			t.Fatal("the order makes a difference")
		}
		added := line.Draw(t, "added")
		p := mustPair(t, d, added)
		s, h := m.Mark("mikrotik", append(other, p), nil)
		nature, _ := profileOf("mikrotik").nature(p.Attr)
		if ownAddresses[p.Attr.Name] {
			nature = isHard
		}
		if (s != soft) != (nature == isSoft) || (h != hard) != (nature == isHard) {
			t.Fatalf("%s added: soft %#x, then %#x; hard %#x, then %#x", added, soft, s, hard, h)
		}
	})
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func mustPair(t *rapid.T, d *dictionaries.Dictionary, l string) dictionaries.Pair {
	for i := range l {
		if l[i:min(i+3, len(l))] == " = " {
			p, err := d.Pair(l[:i], l[i+3:])
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatalf("line %q", l)
	return dictionaries.Pair{}
}

// Every attribute that is named in a table is in the dictionary: a name that is
// written wrongly would be hard.
func TestTraitsAreKnown(t *testing.T) {
	d := loadDictionary(t)
	check := func(of string, all traits) {
		for name := range all {
			if a := d.Find(name); a == nil || a.Name != name {
				t.Errorf("%s: no attribute has the name %s", of, name)
			}
		}
	}
	check("neutral", neutral)
	check("needsLogin", needsLogin)
	for _, v := range vendors {
		check(v.name, v.changes)
	}
}
