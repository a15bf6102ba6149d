package dictionaries

import (
	"strconv"
	"strings"
)

// vendor reads `VENDOR name number [format=t,l[,c]]`.
func (r *reader) vendor(at position, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return at.errorf("VENDOR has %d words after it; name, number and perhaps format=t,l would be right", len(args))
	}
	id, err := parseUint(args[1], 1<<32-1)
	if err != nil {
		return at.errorf("vendor number %q of %s is not a number; an IANA enterprise number such as 14988 would be right", args[1], args[0])
	}
	v := &Vendor{Name: args[0], ID: uint32(id), TypeLen: 1, LengthLen: 1}
	format := ""
	switch {
	case len(args) == 3:
		format = args[2]
	case id == 429: // these three are never 1,1, whatever a file forgets to say
		format = "format=4,0" // USR
	case id == 4846:
		format = "format=2,1" // Lucent
	case id == 8164:
		format = "format=2,2" // Starent
	}
	if format != "" {
		if err := setFormat(at, v, format); err != nil {
			return err
		}
	}
	return r.defineVendor(at, v, len(args) == 3)
}

// setFormat reads format=t,l[,c]: t is 1, 2 or 4, l is 0, 1 or 2.
func setFormat(at position, v *Vendor, text string) error {
	format, ok := strings.CutPrefix(fold(text), "format=")
	p := strings.Split(format, ",")
	if !ok || len(p) < 2 || len(p) > 3 ||
		p[0] != "1" && p[0] != "2" && p[0] != "4" || p[1] != "0" && p[1] != "1" && p[1] != "2" ||
		len(p) == 3 && (p[2] != "c" || p[0] != "1" || p[1] != "1") {
		return at.errorf("%q of vendor %s: format=t,l with t of 1, 2 or 4 and l of 0, 1 or 2, or format=1,1,c would be right", text, v.Name)
	}
	v.TypeLen, v.LengthLen, v.Continuation = int(p[0][0]-'0'), int(p[1][0]-'0'), len(p) == 3
	return nil
}

// defineVendor enters a vendor. A second name for an id is one more name of
// the same vendor, as in FreeRADIUS.
func (r *reader) defineVendor(at position, v *Vendor, formatted bool) error {
	d := r.d
	if old := d.Vendor(v.Name); old != nil {
		if old.ID != v.ID {
			return at.errorf("vendor %s is already defined as %d; %d needs another name", v.Name, old.ID, v.ID)
		}
		return r.reformat(at, old, v, formatted)
	}
	if old := d.vendors[v.ID]; old != nil {
		d.vnames[fold(v.Name)] = old
		return r.reformat(at, old, v, formatted)
	}
	d.vendors[v.ID] = v
	d.vnames[fold(v.Name)] = v
	d.vorder = append(d.vorder, v)
	return nil
}

// reformat handles a vendor's second VENDOR line.
func (r *reader) reformat(at position, old, v *Vendor, formatted bool) error {
	if !formatted || old.TypeLen == v.TypeLen && old.LengthLen == v.LengthLen && old.Continuation == v.Continuation {
		return nil
	}
	if r.origin == tree {
		old.TypeLen, old.LengthLen, old.Continuation = v.TypeLen, v.LengthLen, v.Continuation
		return nil
	}
	return at.errorf("vendor %s already has format=%d,%d; another format would change what is sent", old.Name, old.TypeLen, old.LengthLen)
}

// beginVendor reads `BEGIN-VENDOR name [format=EVS-NAME | parent=EVS-NAME]`.
func (r *reader) beginVendor(at position, b *block, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return at.errorf("BEGIN-VENDOR has %d words after it; a vendor's name would be right", len(args))
	}
	if b.vendor != nil {
		return at.errorf("BEGIN-VENDOR %s inside BEGIN-VENDOR %s; END-VENDOR %[2]s must come first", args[0], b.vendor.Name)
	}
	v := r.d.Vendor(args[0])
	if v == nil {
		return at.errorf("vendor %q is unknown; a line VENDOR %[1]s NUMBER must come first", args[0])
	}
	var evs *Attribute
	if len(args) == 2 {
		name, ok := strings.CutPrefix(args[1], "format=")
		if !ok {
			name, ok = strings.CutPrefix(args[1], "parent=")
		}
		evs = r.d.Find(name)
		if !ok || evs == nil || evs.Type != TypeEVS {
			return at.errorf("%q after BEGIN-VENDOR %s; format=NAME with an attribute of type evs, such as "+
				"Extended-Vendor-Specific-1, would be right", args[1], v.Name)
		}
	}
	*b = block{vendor: v, vendorAt: at.line, parent: evs, evs: evs, internal: b.internal}
	return nil
}

func (r *reader) endVendor(at position, b *block, args []string) error {
	if b.vendor == nil {
		return at.errorf("END-VENDOR without BEGIN-VENDOR")
	}
	if len(args) != 1 || r.d.Vendor(args[0]) != b.vendor {
		return at.errorf("END-VENDOR %s; END-VENDOR %s would be right (opened on line %d)", strings.Join(args, " "), b.vendor.Name, b.vendorAt)
	}
	if n := len(b.tlvs); n > 0 {
		return at.errorf("END-VENDOR %s inside BEGIN-TLV %s; END-TLV %[2]s must come first", b.vendor.Name, b.tlvs[n-1].Name)
	}
	*b = block{internal: b.internal}
	return nil
}

// beginTLV reads `BEGIN-TLV name`: what follows are members of that attribute.
func (r *reader) beginTLV(at position, b *block, args []string) error {
	if len(args) != 1 {
		return at.errorf("BEGIN-TLV has %d words after it; an attribute's name would be right", len(args))
	}
	a := r.d.Find(args[0])
	if a == nil || a.Type != TypeTLV || a.Vendor != b.vendor {
		return at.errorf("BEGIN-TLV %s: an attribute of type tlv that is defined above, of the same vendor, would be right", args[0])
	}
	b.tlvs = append(b.tlvs, a)
	b.parent = a
	return nil
}

func (r *reader) endTLV(at position, b *block, args []string) error {
	n := len(b.tlvs)
	if n == 0 {
		return at.errorf("END-TLV without BEGIN-TLV")
	}
	if len(args) != 1 || r.d.Find(args[0]) != b.tlvs[n-1] {
		return at.errorf("END-TLV %s; END-TLV %s would be right", strings.Join(args, " "), b.tlvs[n-1].Name)
	}
	b.tlvs = b.tlvs[:n-1]
	if b.parent = b.evs; n > 1 {
		b.parent = b.tlvs[n-2]
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
