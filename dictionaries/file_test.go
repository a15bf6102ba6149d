package dictionaries

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// parseFiles reads dictionary files that stand in memory, from "main" on.
func parseFiles(d *Dictionary, o origin, files map[string]string) error {
	r := &reader{d: d, origin: o, read: func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}}
	if err := r.file("main"); err != nil {
		return err
	}
	return r.finish()
}

// parse reads definitions on top of Vendor-Specific and the extended space.
func parse(t testing.TB, text string) *Dictionary {
	t.Helper()
	d := newDictionary()
	base := "ATTRIBUTE Vendor-Specific 26 vsa\nATTRIBUTE Ext-1 241 extended\nATTRIBUTE Ext-5 245 long-extended\nATTRIBUTE EVS-5 245.26 evs\n"
	if err := parseFiles(d, tree, map[string]string{"main": base + text}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSyntax(t *testing.T) {
	d := newDictionary()
	err := parseFiles(d, tree, map[string]string{
		"main": `
# comment
VALUE	Late	Before	7
ATTRIBUTE	Plain		1	string	# a comment
ATTRIBUTE	Hex		0x02	uint32
attribute	Late		3	byte
VALUE		Late	After	7
VALUE		Late	Hex	0x08
ATTRIBUTE	Tagged	4	string	has_tag,encrypt=2
ATTRIBUTE	Fixed	5	octets[16]
ATTRIBUTE	Joined	6	octets	concat
ATTRIBUTE	Internal 1000	integer64	virtual
ATTRIBUTE	Vendor-Specific	26	vsa
ATTRIBUTE	Ext	241	extended
ATTRIBUTE	Ext-1	241.1	tlv
ATTRIBUTE	Ext-1-2	241.1.2	ipaddr
ATTRIBUTE	EVS	241.26	evs
VENDOR	Acme	60000	format=2,1
VENDOR	Other	60001
BEGIN-VENDOR	Acme
ATTRIBUTE	Acme-TLV	300	tlv
BEGIN-TLV	Acme-TLV
ATTRIBUTE	Acme-In		1	signed
ATTRIBUTE	Acme-Deep	2	tlv
BEGIN-TLV	Acme-Deep
ATTRIBUTE	Acme-Deepest	1	ether
END-TLV	Acme-Deep
END-TLV	Acme-TLV
ATTRIBUTE	Acme-Dotted	300.3	short
VALUE-ALIAS	Late	Late
END-VENDOR	Acme
BEGIN-VENDOR	Acme	format=EVS
ATTRIBUTE	Acme-EVS	9	string
END-VENDOR	Acme
BEGIN-VENDOR	Other	parent=EVS
ATTRIBUTE	Other-EVS	9	string
END-VENDOR	Other
ATTRIBUTE	Old-Style	7	string	Other
ATTRIBUTE	By-OID	26.60001.8	string
FLAGS	internal
ATTRIBUTE	Server-Side	200	string
$INCLUDE	sub/more
$INCLUDE-	sub/none
`,
		"sub/more":   "$INCLUDE deeper\n",
		"sub/deeper": "ATTRIBUTE Deeper 8 string\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Plain": "1 string", "Hex": "2 integer", "Late": "3 byte", "Tagged": "4 string has_tag,encrypt=2", "Fixed": "5 octets[16]",
		"Internal": "1000 integer64 virtual", "Ext-1-2": "241.1.2 ipaddr", "Acme-In": "26.60000.300.1 signed",
		"Acme-Deepest": "26.60000.300.2.1 ether", "Acme-Dotted": "26.60000.300.3 short", "Acme-EVS": "241.26.60000.9 string",
		"Other-EVS": "241.26.60001.9 string", "Old-Style": "26.60001.7 string", "By-OID": "26.60001.8 string",
		"Server-Side": "200 string", "Deeper": "8 string",
	} {
		a := d.Find(strings.ToUpper(name))
		if a == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := a.OID() + " " + a.Definition(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if a := d.Must("Internal"); !a.Internal || !a.Virtual || !d.Must("Server-Side").Internal || d.Must("Plain").Internal {
		t.Error("internal attributes are not told apart")
	}
	late := d.Must("Late")
	if name, _ := late.ValueName(7); name != "After" {
		t.Errorf("7 prints as %s; a VALUE before its attribute must not win", name)
	}
	if n, ok := late.ValueNumber("before"); n != 7 || !ok {
		t.Errorf("Before is %d, %v", n, ok)
	}
}

func TestSyntaxErrors(t *testing.T) {
	const vendor = "VENDOR Acme 60000\nBEGIN-VENDOR Acme\n"
	cases := []struct{ text, at, word string }{
		{"ATTRIB A 1 string", "main:1", `"ATTRIB"`},
		{"\nATTRIBUTE A 1", "main:2", "name, number and type"},
		{"ATTRIBUTE A x string", "main:1", `"x"`},
		{"ATTRIBUTE A 1.x string", "main:1", `"1.x"`},
		{"ATTRIBUTE A +1 string", "main:1", `"+1"`},
		{"ATTRIBUTE A 1 strin", "main:1", `"strin"`},
		{"ATTRIBUTE A 1 octets[0]", "main:1", `"octets[0]"`},
		{"ATTRIBUTE A 1 string[4]", "main:1", `"string[4]"`},
		{"ATTRIBUTE A:1 1 string", "main:1", `"A:1"`},
		{"ATTRIBUTE A 1 string has_tags", "main:1", `"has_tags"`},
		{"ATTRIBUTE A 1 string encrypt=4", "main:1", `"encrypt=4"`},
		{"ATTRIBUTE A 1 ipaddr has_tag", "main:1", "has_tag"},
		{"ATTRIBUTE A 1 string concat", "main:1", "concat"},
		{"ATTRIBUTE A 1.2 string", "main:1", "no members"},
		{"ATTRIBUTE A 26.9 string", "main:1", "26.9 names a vendor only"},
		{"ATTRIBUTE A 1 string\nATTRIBUTE A 2 string", "main:2", "already defined as number 1"},
		{"VALUE A B 1", "main:1", `"A"`},
		{"ATTRIBUTE A 1 integer\nVALUE A B", "main:2", "attribute, name and number"},
		{"ATTRIBUTE A 1 byte\nVALUE A B 256", "main:2", `"256"`},
		{"ATTRIBUTE A 1 string\nVALUE A B 1", "main:2", "type string"},
		{"ATTRIBUTE A 1 integer\nVALUE A B 1\nVALUE A b 2", "main:3", "already 1"},
		{"VENDOR Acme", "main:1", "name, number"},
		{"VENDOR Acme x", "main:1", `"x"`},
		{"VENDOR Acme 1 format=3,1", "main:1", `"format=3,1"`},
		{"VENDOR Acme 1\nVENDOR Acme 2", "main:2", "already defined as 1"},
		{"BEGIN-VENDOR Acme", "main:1", `"Acme"`},
		{vendor, "main:2", "END-VENDOR Acme is missing"},
		{vendor + vendor, "main:4", "END-VENDOR Acme must come first"},
		{vendor + "END-VENDOR Acm", "main:3", "END-VENDOR Acme would be right"},
		{"END-VENDOR Acme", "main:1", "without BEGIN-VENDOR"},
		{vendor + "ATTRIBUTE A 256 string", "main:3", "number 256"},
		{vendor + "BEGIN-TLV A", "main:3", "BEGIN-TLV A"},
		{vendor + "ATTRIBUTE A 1 tlv\nBEGIN-TLV A\nEND-VENDOR Acme", "main:5", "END-TLV A must come first"},
		{vendor + "ATTRIBUTE A 1 tlv\nBEGIN-TLV A\nEND-TLV B", "main:5", "END-TLV A would be right"},
		{"END-TLV A", "main:1", "without BEGIN-TLV"},
		{"VENDOR Acme 60000\nBEGIN-VENDOR Acme format=Nope", "main:2", `"format=Nope"`},
		{"FLAGS externally", "main:1", `"externally"`},
		{"$INCLUDE", "main:1", "one file name"},
		{"$INCLUDE none", "main:1", "none"},
		{"$INCLUDE main", "main:1", "includes itself"},
		{"$INCLUDE bad", "bad:2", `"X"`},
		{"\n$INCLUDE deep", "bad:2", `"X"`},
		{"$INCLUDE- hole", "hole:1", "none"}, // the file is there, what it wants is not
	}
	for _, c := range cases {
		err := parseFiles(newDictionary(), tree, map[string]string{"main": c.text, "bad": "\nX", "deep": "$INCLUDE bad", "hole": "$INCLUDE none"})
		if err == nil || !strings.HasPrefix(err.Error(), c.at) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%q: %v; want %s … %s", c.text, err, c.at, c.word)
		}
	}
}

// TestOperatorFolder checks which files are read and what they may say.
func TestOperatorFolder(t *testing.T) {
	const fine = "ATTRIBUTE Mikrotik-Rate-Limit 26.14988.8 string\nATTRIBUTE Acme-Local 3001 ipaddr\nATTRIBUTE My-Name 1 string\n" +
		"VALUE Service-Type Acme-User 77\nVENDOR MikroTik 14988\nATTRIBUTE Max-Daily-Session 3001 integer\n"
	cases := []struct {
		name  string
		files map[string]string
		want  string // part of the error, or ""
	}{
		{"one dictionary", map[string]string{"dictionary": fine, "dictionary.broken": "X"}, ""},
		{"all others", map[string]string{
			"dictionary.acme": fine, "b.dict": "ATTRIBUTE B 3002 string\n", "dictionary.acme.bak": "X",
			"dictionary.acme~": "X", "dictionary.x.dpkg-old": "X", "README": "X",
		}, ""},
		{"another number", map[string]string{"a.dict": "ATTRIBUTE User-Name 3000 string\n"}, "a.dict:1: User-Name is already defined as number 1"},
		{"another type", map[string]string{"a.dict": "\nATTRIBUTE User-Name 1 octets\n"}, "a.dict:2: User-Name is already defined as string"},
		{"another type of an internal one", map[string]string{"a.dict": "ATTRIBUTE Pool-Name 3000 ipaddr\n"}, "a.dict:1: Pool-Name is already defined"},
		{"another value", map[string]string{"a.dict": "VALUE Service-Type Framed-User 3\n"}, "a.dict:1: Service-Type Framed-User is already 2"},
		{"another format", map[string]string{"a.dict": "VENDOR Mikrotik 14988 format=2,1\n"}, "a.dict:1: vendor Mikrotik already has format=1,1"},
	}
	for _, c := range cases {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d, err := Load(dir)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v; want %s", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d.Find("Acme-Local") == nil || d.Find("B") == nil && len(c.files) > 2 {
			t.Errorf("%s: a definition is missing", c.name)
		}
		if a := d.top.get(1); a != d.Must("User-Name") {
			t.Errorf("%s: number 1 prints as %s", c.name, a.Name)
		}
		if n, _ := d.Must("Service-Type").ValueName(77); n != "Acme-User" {
			t.Errorf("%s: 77 is %q", c.name, n)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// TestLastDefinitionHolds: in a FreeRADIUS tree the later of two definitions
// replaces the earlier, and loses neither its members nor its value names.
func TestLastDefinitionHolds(t *testing.T) {
	d := parse(t, "ATTRIBUTE A 1 integer\nVALUE A One 1\nATTRIBUTE A 1 short\nATTRIBUTE T 245.1 tlv\nATTRIBUTE T-1 245.1.1 string\n"+
		"ATTRIBUTE T 245.1 tlv array\nATTRIBUTE T 245.1 tlv\n")
	if got := pair(t, d, "A", "One").Value; string(got) != "\x00\x01" {
		t.Errorf("A is %x", got)
	}
	ps, err := d.Decode(nil, []byte{245, 7, 1, 0, 1, 3, 'x'}, Keys{})
	if err != nil || len(ps) != 1 || ps[0].String() != `T-1 = "x"` {
		t.Errorf("%v, %v", ps, err)
	}
}

// TestForgottenFormats: three vendors' VENDOR lines are often written without
// their format.
func TestForgottenFormats(t *testing.T) {
	d := parse(t, "VENDOR USR 429\nVENDOR Lucent 4846\nVENDOR Starent 8164\nVENDOR Acme 60000\n")
	for name, want := range map[string][2]int{"USR": {4, 0}, "Lucent": {2, 1}, "Starent": {2, 2}, "Acme": {1, 1}} {
		if v := d.Vendor(name); [2]int{v.TypeLen, v.LengthLen} != want {
			t.Errorf("%s has format %d,%d, want %v", name, v.TypeLen, v.LengthLen, want)
		}
	}
}

// FuzzFile: any text gives a dictionary or an error with a place.
func FuzzFile(f *testing.F) {
	f.Add("ATTRIBUTE A 1 integer has_tag\nVALUE A B 0x10\n")
	f.Add("VENDOR V 9 format=4,0\nBEGIN-VENDOR V\nATTRIBUTE T 1 tlv\nBEGIN-TLV T\nATTRIBUTE U 1 string\nEND-TLV T\nEND-VENDOR V\n")
	f.Add("ATTRIBUTE E 241 extended\nATTRIBUTE V 241.26 evs\nVENDOR X 1\nBEGIN-VENDOR X format=V\nATTRIBUTE Z 1 string\nEND-VENDOR X\n")
	f.Add("$INCLUDE main\n")
	f.Add("ATTRIBUTE A 26 vsa\nATTRIBUTE B 26.1.2.3 octets[3]\nVALUE-ALIAS A B\nFLAGS internal\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := newDictionary()
		if err := parseFiles(d, operator, map[string]string{"main": text}); err != nil {
			if !strings.Contains(err.Error(), "main") {
				t.Errorf("no place in %q", err)
			}
			return
		}
		for a := range d.All() {
			if d.Find(a.Name) != a {
				t.Errorf("%s is not found", a.Name)
			}
			if _, err := d.Append(nil, Pairs{{Attr: a, Value: make([]byte, typeSizes[a.Type])}}, Keys{}); err != nil && a.Name == "" {
				t.Error(err)
			}
		}
	})
}
