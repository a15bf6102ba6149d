package nas

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"radial/dictionaries"
)

var update = flag.Bool("update", false, "write the goldens of testdata anew")

func loadDictionary(t testing.TB) *dictionaries.Dictionary {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pairs reads lines of "Attribute = value".
func pairs(t testing.TB, d *dictionaries.Dictionary, lines string) dictionaries.Pairs {
	t.Helper()
	var ps dictionaries.Pairs
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, text, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("line %q: want Attribute = value", line)
		}
		p, err := d.Pair(name, text)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

func show(ps dictionaries.Pairs) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Attr.Name + " = " + p.Attr.Text(p.Value) + "\n")
	}
	return b.String()
}

// Each file testdata/TYPE/CASE.txt holds a merged reply, a line of dashes, and
// what a device of that type is sent at a login; after a second line of dashes,
// where there is one, what of it a CoA changes.
func TestShapeReplyGoldens(t *testing.T) {
	d := loadDictionary(t)
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	tested := map[string]bool{}
	for _, file := range files {
		kind := filepath.Base(filepath.Dir(file))
		t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			tested[kind] = true
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(text), "----\n")
			_, _, changes := strings.Cut(want, "----\n")
			reply := pairs(t, d, in)
			before := show(reply)
			shaped := ShapeReply(deviceOf(kind), reply, d)
			got := show(shaped)
			if changes {
				soft, _ := Split(deviceOf(kind), shaped)
				got += "----\n" + show(soft)
			}
			if show(reply) != before {
				t.Error("the merged reply was changed")
			}
			if again := show(ShapeReply(deviceOf(kind), shaped, d)); again != show(shaped) {
				t.Errorf("shaped again it is\n%s", again)
			}
			if *update {
				if err := os.WriteFile(file, []byte(in+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	for _, v := range vendors {
		if !tested[v.name] {
			t.Errorf("vendor %s has no golden", v.name)
		}
	}
}

// What an encoding says is what a grant of it reads back, to the unit.
func TestGrantReadsBack(t *testing.T) {
	d := loadDictionary(t)
	want := RateLimit{Up: Rates{Rate: 20_000_000}, Down: Rates{Rate: 100_000_000}}
	for _, v := range vendors {
		if v.rates == nil {
			continue
		}
		reply := v.rates.encode(nil, want, d)
		want := want
		switch v.rates.(type) {
		case slashed: // in a standard attribute, which may be anything
			continue
		case shaping:
			want.Up.Rate = 0
		}
		if g, ok := ParseGrant(reply, d); !ok || g.Rate != want {
			t.Errorf("%s: %s reads as %v, %v", v.name, show(reply), g.Rate, ok)
		}
	}
}

func TestParseGrantPrefers(t *testing.T) {
	d := loadDictionary(t)
	for _, c := range []struct{ reply, from, rate string }{
		{"Huawei-Input-Average-Rate = 1000000\nWISPr-Bandwidth-Max-Up = 2000000\nMikrotik-Rate-Limit = 3M/4M", "Mikrotik-Rate-Limit", "3M/4M"},
		{"Huawei-Input-Average-Rate = 1000000\nWISPr-Bandwidth-Max-Up = 2000000", "WISPr-Bandwidth-Max-Up", "2M/0"},
		{"Mikrotik-Rate-Limit = nonsense\nWISPr-Bandwidth-Max-Down = 2000000", "WISPr-Bandwidth-Max-Down", "0/2M"},
		{"Huawei-Input-Average-Rate = 1000000", "Huawei-Input-Average-Rate", "1M/0"},
		{"Cisco-Account-Info = AInternet\nCisco-Account-Info = QD;8000000;1500000;3000000;U;4000000;750000", "Cisco-Account-Info", "4M/8M"},
		{"Alc-Subscriber-QoS-Override = E:R:rate=8000,burst=3\nAlc-Subscriber-QoS-Override = i:q:1:pir=4000,cir=max", "Alc-Subscriber-QoS-Override", "4M/8M"},
	} {
		g, ok := ParseGrant(pairs(t, d, c.reply), d)
		if !ok || g.From != c.from || g.Rate.String() != c.rate {
			t.Errorf("%q: %s by %s, %v; want %s by %s", c.reply, g.Rate, g.From, ok, c.rate, c.from)
		}
	}
	if _, ok := ParseGrant(pairs(t, d, "Framed-IP-Address = 10.0.0.1\nCisco-Account-Info = AInternet"), d); ok {
		t.Error("a reply without rates grants one")
	}
}

func TestTypes(t *testing.T) {
	for _, name := range []string{"mikrotik", "MikroTik", "cisco", "juniper", "huawei", "zte", "nokia", "redback", "ericsson", "h3c", "ubiquiti", "cambium", "ruckus", "aruba", "canopy", "other", "accel-ppp", "Cisco+mikrotik", "accel-ppp+mikrotik+cisco"} {
		if !KnownType(name) {
			t.Errorf("type %s is not known", name)
		}
	}
	if KnownType("livingston") || KnownType("cisco+livingston") || KnownType("cisco+") || KnownType("") || len(Types()) != len(vendors) {
		t.Error("types")
	}
}

func TestShapeReplyPassesWithoutAllocating(t *testing.T) {
	d := loadDictionary(t)
	reply := pairs(t, d, "Mikrotik-Rate-Limit = 3M/4M\nFramed-IP-Address = 10.0.0.1")
	dev := &Device{Row: Row{Type: "mikrotik"}}
	if n := testing.AllocsPerRun(100, func() { ShapeReply(dev, reply, d) }); n != 0 {
		t.Errorf("%v allocations for a MikroTik", n)
	}
}

// Each type has a row of docs/devices.md, and each type that a CoA changes
// nothing of says so there.
func TestTypesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/devices.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range vendors {
		v := &vendors[i]
		row := ""
		for line := range strings.Lines(string(text)) {
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
			if strings.HasPrefix(line, "|") && strings.Contains(first, "`"+v.name+"`") {
				row = line
			}
		}
		if row == "" {
			t.Errorf("docs/devices.md has no row for the type %s", v.name)
		} else if got := strings.Contains(row, "new login"); got != (v.changes == nil) {
			t.Errorf("docs/devices.md says of %s that a change needs a new login: %v", v.name, got)
		} else if got := strings.Contains(row, "tried:"); got != (v.changes != nil && !v.certain) {
			t.Errorf("docs/devices.md says of %s that a CoA is an attempt: %v", v.name, got)
		}
	}
}
