package dictionaries

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// freeradiusFolder holds FreeRADIUS's dictionaries where Debian puts them.
const freeradiusFolder = "/usr/share/freeradius"

// needFreeRADIUS returns the path of a file of FreeRADIUS's.
func needFreeRADIUS(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(freeradiusFolder, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: FreeRADIUS's dictionaries are not installed (%v); install the package freeradius-common", err)
	}
	return path
}

// bothWays are the files of which ours must have all.
func bothWays() []string {
	rfcs := "2865 2866 2867 2868 2869 3162 3576 3580 4072 4372 4603 4675 4679 4818 4849 5090 5176 5447 5580 5607 5904 6519 6572 " +
		"6677 6911 6929 6930 7055 7155 7268 7499 7930 8045 8559"
	names := []string{"dictionary.mikrotik", "dictionary.microsoft", "dictionary.wispr", "dictionary.cisco", "dictionary.erx"}
	for _, n := range strings.Fields(rfcs) {
		names = append(names, "dictionary.rfc"+n)
	}
	return names
}

// show is all that a definition says.
func show(a *Attribute) string {
	s := fmt.Sprintf("%s %s %s internal %v", a.Name, a.OID(), a.Definition(), a.Internal)
	if v := a.Vendor; v != nil {
		s += fmt.Sprintf(" of %s %d format %d,%d,%v", v.Name, v.ID, v.TypeLen, v.LengthLen, v.Continuation)
	}
	return s
}

// TestAgainstFreeRADIUS holds our definitions against FreeRADIUS's: what we
// have must be theirs, and of the standards and the main vendors we must have
// all.
func TestAgainstFreeRADIUS(t *testing.T) {
	ours := load(t)
	theirs, err := LoadFile(needFreeRADIUS(t, "dictionary"))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := LoadFile(needFreeRADIUS(t, "dictionary.rfc5090")) // not part of FreeRADIUS's default set
	if err != nil {
		t.Fatal(err)
	}
	nothingWrong(t, ours, theirs, digest)
	for _, name := range bothWays() {
		nothingMissing(t, ours, theirs, name)
	}
}

// onlyOurs names what we define beyond FreeRADIUS's files: what its modules
// define when they are loaded (modules.dict), and what CoovaChilli has added to
// ChilliSpot's.
func onlyOurs(a *Attribute) bool {
	if strings.HasPrefix(a.Name, "ChilliSpot-") && strings.HasSuffix(a.Name, "-Gigawords") {
		return true
	}
	return a.Internal && (a.Number >= 3900 && a.Number < 4000 || a.Name == "Connect-Rate")
}

func nothingWrong(t *testing.T, ours, theirs, digest *Dictionary) {
	n := 0
	for a := range ours.All() {
		if onlyOurs(a) {
			continue
		}
		b := digest.Find(a.Name)
		if b == nil || b.Number != a.Number {
			b = theirs.Find(a.Name)
		}
		if b == nil {
			t.Errorf("%s: FreeRADIUS has no such attribute", a.Name)
			continue
		}
		n++
		if show(a) != show(b) {
			t.Errorf("ours   %s\ntheirs %s", show(a), show(b))
		}
		for name, number := range a.ValueNames() {
			if a.Name == "Auth-Type" && number >= 1000 {
				continue
			}
			if m, ok := b.ValueNumber(name); !ok || m != number {
				t.Errorf("%s %s is %d; FreeRADIUS has %d (%v)", a.Name, name, number, m, ok)
			}
			mine, _ := a.ValueName(number)
			if its, _ := b.ValueName(number); mine != its {
				t.Errorf("%s %d prints as %s; with FreeRADIUS as %s", a.Name, number, mine, its)
			}
		}
		for name := range b.ValueNames() {
			if _, ok := a.ValueNumber(name); !ok {
				t.Errorf("%s %s is missing", a.Name, name)
			}
		}
	}
	if n < 2000 {
		t.Errorf("compared %d attributes only", n)
	}
}

func nothingMissing(t *testing.T, ours, theirs *Dictionary, name string) {
	text, err := os.ReadFile(needFreeRADIUS(t, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) < 4 {
			continue
		}
		a := ours.Find(w[1])
		if a == nil {
			t.Errorf("%s: %s is missing", name, w[1])
			continue
		}
		if w[0] == "VALUE" {
			if n, ok := a.ValueNumber(w[2]); !ok || fmt.Sprint(n) != w[3] && fmt.Sprintf("0x%x", n) != strings.ToLower(w[3]) {
				t.Errorf("%s: %s %s is %d (%v), want %s", name, w[1], w[2], n, ok, w[3])
			}
		}
	}
}

// TestWireNumbers checks that a number on the wire has FreeRADIUS's name.
func TestWireNumbers(t *testing.T) {
	ours := load(t)
	theirs, err := LoadFile(needFreeRADIUS(t, "dictionary"))
	if err != nil {
		t.Fatal(err)
	}
	for a := range ours.All() {
		if a.Internal || a.Number >= 103 && a.Number <= 122 && a.Vendor == nil && a.Parent == nil {
			continue // RFC 5090, which FreeRADIUS does not load
		}
		b := theirs.Find(a.Name)
		if b == nil || b.Parent != nil {
			continue
		}
		mine, its := ours.spaceOf(a.Vendor, a.Parent).get(a.Number), theirs.spaceOf(b.Vendor, b.Parent).get(b.Number)
		if mine.Name != its.Name && ours.Find(its.Name) != nil {
			t.Errorf("%s on the wire is %s; with FreeRADIUS %s", a.OID(), mine.Name, its.Name)
		}
	}
}

// TestFreeRADIUSTreeLoads loads every file that FreeRADIUS ships, also those
// that its main file leaves out.
func TestFreeRADIUSTreeLoads(t *testing.T) {
	main := needFreeRADIUS(t, "dictionary")
	d, err := LoadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Collect(d.All())); n < 7000 {
		t.Errorf("only %d attributes", n)
	}
	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(main + ".*")
	if err != nil || len(names) < 200 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, path := range names {
		name := filepath.Base(path)
		if strings.HasPrefix(filepath.Ext(name), ".dpkg-") || strings.Contains(string(text), "\n$INCLUDE "+name+"\n") {
			continue
		}
		both := filepath.Join(t.TempDir(), "dictionary")
		if err := os.WriteFile(both, []byte("$INCLUDE "+main+"\n$INCLUDE "+path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadFile(both)
		if want := clashes[name]; want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// clashes are the files of FreeRADIUS's that cannot be loaded on top of its
// main file, by FreeRADIUS neither, and the name that says why.
var clashes = map[string]string{
	"dictionary.freedhcp":       "FreeDHCP-Opcode",
	"dictionary.openser":        "Sip-Method",
	"dictionary.rfc5090":        "Digest-Response",
	"dictionary.wimax.alvarion": "WiMAX-VLAN-ID",
}

// TestOperatorIncludesFreeRADIUS: old installations' own dictionary includes
// the whole of FreeRADIUS's.
func TestOperatorIncludesFreeRADIUS(t *testing.T) {
	dir := t.TempDir()
	text := "$INCLUDE " + needFreeRADIUS(t, "dictionary") + "\nATTRIBUTE My-Local-String 3000 string\n"
	if err := os.WriteFile(filepath.Join(dir, "dictionary"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"My-Local-String", "Extreme-CLI-Authorization", "Mikrotik-Rate-Limit"} {
		if d.Find(name) == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if a := d.top.get(241); a == nil || a.Type != TypeExtended {
		t.Errorf("number 241 became %v", a)
	}
}
