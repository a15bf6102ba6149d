package dictionaries

import (
	"strings"
)

// attribute reads `ATTRIBUTE name oid type [flags]`.
func (r *reader) attribute(at position, b *block, args []string) error {
	if len(args) < 3 {
		return at.errorf("ATTRIBUTE has %d words after it; name, number and type would be right", len(args))
	}
	numbers, err := oid(at, args[1])
	if err != nil {
		return err
	}
	a := &Attribute{Name: args[0], dict: r.d, ours: r.origin == embedded, Internal: b.internal}
	if err := checkName(at, a.Name); err != nil {
		return err
	}
	if err := setType(at, a, args[2]); err != nil {
		return err
	}
	vendor := b.vendor
	for _, word := range args[3:] {
		for flag := range strings.SplitSeq(word, ",") {
			if flag == "" {
				continue
			}
			known, err := setFlag(at, a, flag)
			if err != nil {
				return err
			}
			if known {
				continue
			}
			// Old files name the vendor here instead of in BEGIN-VENDOR.
			if vendor = r.d.Vendor(flag); vendor == nil {
				return at.errorf("flag %q of %s is unknown; has_tag, encrypt=1, encrypt=2, encrypt=3, concat, array, "+
					"virtual, secret or a vendor's name would be right", flag, a.Name)
			}
		}
	}
	if a.Vendor, a.Parent, a.Number, err = r.d.place(vendor, b.parent, numbers); err != nil {
		return at.errorf("%s: %w", a.Name, err)
	}
	if a.Vendor == nil && a.Parent == nil {
		a.Internal = a.Internal || a.Number > 255
	} else if err := fits(a.Vendor, a.Parent, a.Number); err != nil {
		return at.errorf("%s: %w", a.Name, err)
	}
	return r.define(at, a)
}

// oid reads an attribute's number: `5`, `0x05` or dotted.
func oid(at position, text string) ([]uint32, error) {
	var numbers []uint32
	for part := range strings.SplitSeq(text, ".") {
		n, err := parseUint(part, 1<<32-1)
		if err != nil {
			return nil, at.errorf("%q is not an attribute number; a number such as 11, 0x0b or 26.9.1 would be right", text)
		}
		numbers = append(numbers, uint32(n))
	}
	return numbers, nil
}

// checkName refuses names that could not be written in a policy row.
func checkName(at position, name string) error {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == ':' || c == '"' || c == '\'' || c == ',' || c == '=' {
			return at.errorf("name %q has the character %q; letters, digits, - and _ would be right", name, c)
		}
	}
	return nil
}

// setType reads the type, by FreeRADIUS 3's names or by the newer ones that
// 3.2 takes as well.
func setType(at position, a *Attribute, text string) error {
	name, length, sized := strings.Cut(strings.TrimSuffix(fold(text), "]"), "[")
	if sized {
		n, err := parseUint(length, 253)
		if err != nil || n == 0 || name != "octets" {
			return at.errorf("type %q of %s: only octets has a length, from 1 to 253, such as octets[16]", text, a.Name)
		}
		a.Type, a.Length = TypeOctets, int(n)
		return nil
	}
	switch name {
	case "uint8":
		name = "byte"
	case "uint16":
		name = "short"
	case "uint32":
		name = "integer"
	case "uint64":
		name = "integer64"
	case "int32":
		name = "signed"
	case "ipv4addr":
		name = "ipaddr"
	case "ethernet":
		name = "ether"
	case "combo-ipaddr", "comboip":
		name = "combo-ip"
	}
	for t, known := range typeNames {
		if known == name && known != "" {
			a.Type = Type(t)
			return nil
		}
	}
	return at.errorf("type %q of %s is unknown; one of %s would be right", text, a.Name,
		strings.Join(typeNames[TypeOctets:], ", "))
}

// setFlag sets what one flag word says; known is false for words that are no
// flag.
func setFlag(at position, a *Attribute, flag string) (known bool, err error) {
	switch name, value, _ := strings.Cut(flag, "="); name {
	case "has_tag": // has_tag=1 in old files
		if a.Type != TypeString && a.Type != TypeInteger && a.Type != TypeOctets {
			return true, at.errorf("has_tag on %s of type %s; RFC 2868 has tags on string and integer only", a.Name, a.Type)
		}
		a.HasTag = true
	case "encrypt":
		n, err := parseUint(value, 3)
		if err != nil {
			return true, at.errorf("flag %q of %s: encrypt=1, encrypt=2 or encrypt=3 would be right", flag, a.Name)
		}
		a.Encrypt = Encryption(n)
	case "concat":
		if a.Type != TypeOctets {
			return true, at.errorf("concat on %s of type %s; only octets can be joined", a.Name, a.Type)
		}
		a.Concat = true
	case "array":
		a.Array = true
	case "virtual":
		a.Virtual = true
	case "secret":
		a.Secret = true
	case "internal":
		a.Internal = true
	default:
		return false, nil
	}
	return true, nil
}

// define enters an attribute. What may be defined twice depends on where the
// definition comes from (see origin).
func (r *reader) define(at position, a *Attribute) error {
	d := r.d
	if old := d.Find(a.Name); old != nil {
		same := old.Vendor == a.Vendor && old.Parent == a.Parent && old.Number == a.Number
		alike := old.Type == a.Type && old.HasTag == a.HasTag && old.Encrypt == a.Encrypt && old.Length == a.Length
		switch {
		case same && alike && r.origin != embedded:
			return nil
		case same && r.origin == tree:
			// The pointer stays, with what is known of it: others may have it as
			// their parent.
			a.values, a.kids, a.evs = old.values, old.kids, old.evs
			*old = *a
			return nil
		case r.origin == operator && a.Internal && old.Internal && (a.Type == old.Type || a.Type.numeric() && old.Type.numeric()):
			// Guides for sqlcounter let operators define Max-Daily-Session themselves,
			// with a number of their choice, which is never sent.
			return nil
		case r.origin == operator && !same && strings.HasPrefix(old.Name, "Digest-"):
			// FreeRADIUS's main files have RFC 5090's names for a draft's numbers
			// and for server-side twins; who includes them keeps ours.
			return nil
		case same:
			return at.errorf("%s is already defined as %s; it cannot become %s", a.Name, old.Definition(), a.Definition())
		}
		return at.errorf("%s is already defined as number %s; number %s needs another name", a.Name, old.OID(), a.OID())
	}
	if sp := d.spaceOf(a.Vendor, a.Parent); !a.Internal {
		if old := sp.get(a.Number); old == nil || !old.ours || r.origin == embedded {
			sp.put(a)
		}
	}
	d.names[a.Name] = a
	d.names[fold(a.Name)] = a
	d.order = append(d.order, a)
	a.Index = len(d.order)
	return nil
}
