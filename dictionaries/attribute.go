package dictionaries

import (
	"iter"
	"strconv"
	"strings"
)

// Type is an attribute's data type, by FreeRADIUS's names (dictionary(5)).
type Type uint8

// The types of FreeRADIUS 3.2.
const (
	TypeOctets Type = iota + 1
	TypeString
	TypeInteger
	TypeByte
	TypeShort
	TypeInteger64
	TypeSigned
	TypeIPAddr
	TypeIPv6Addr
	TypeIPv4Prefix
	TypeIPv6Prefix
	TypeComboIP
	TypeIfID
	TypeEther
	TypeDate
	TypeABinary
	TypeTLV
	TypeVSA
	TypeExtended
	TypeLongExtended
	TypeEVS
)

// typeNames are the types' names in dictionary files.
var typeNames = [...]string{
	TypeOctets: "octets", TypeString: "string", TypeInteger: "integer", TypeByte: "byte", TypeShort: "short",
	TypeInteger64: "integer64", TypeSigned: "signed", TypeIPAddr: "ipaddr", TypeIPv6Addr: "ipv6addr",
	TypeIPv4Prefix: "ipv4prefix", TypeIPv6Prefix: "ipv6prefix", TypeComboIP: "combo-ip", TypeIfID: "ifid",
	TypeEther: "ether", TypeDate: "date", TypeABinary: "abinary", TypeTLV: "tlv", TypeVSA: "vsa",
	TypeExtended: "extended", TypeLongExtended: "long-extended", TypeEVS: "evs",
}

// typeSizes are the lengths of the canonical values of fixed-size types.
var typeSizes = [TypeEVS + 1]uint8{
	TypeInteger: 4, TypeByte: 1, TypeShort: 2, TypeInteger64: 8, TypeSigned: 4, TypeIPAddr: 4, TypeIPv6Addr: 16,
	TypeIPv4Prefix: 6, TypeIPv6Prefix: 18, TypeIfID: 8, TypeEther: 6, TypeDate: 4,
}

// String returns the type's name in dictionary files.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "type-" + strconv.Itoa(int(t))
}

// numeric tells the types that VALUE lines can name.
func (t Type) numeric() bool {
	switch t {
	case TypeInteger, TypeByte, TypeShort, TypeInteger64, TypeSigned:
		return true
	}
	return false
}

// structural tells the types that hold other attributes and no value of
// their own.
func (t Type) structural() bool { return t >= TypeTLV }

// Encryption is how an attribute's value is hidden on the wire
// (dictionary(5) "encrypt=").
type Encryption uint8

// The encryptions.
const (
	EncryptNone   Encryption = iota
	EncryptUser              // 1: User-Password, RFC 2865 §5.2
	EncryptTunnel            // 2: Tunnel-Password, RFC 2868 §3.5, with salt
	EncryptAscend            // 3: Ascend-Secret
)

// Attribute is one definition. There is exactly one *Attribute for each
// definition in a Dictionary, so attributes are compared by pointer (for
// unknown ones this holds as long as strangers do not fill the table of them).
type Attribute struct {
	Name    string
	Vendor  *Vendor    // nil for the standard space
	Parent  *Attribute // enclosing TLV or extended attribute, or nil
	Number  uint32     // within Parent, else within Vendor, else the standard space
	Type    Type
	Length  int // octets[n]: the fixed length, or 0
	HasTag  bool
	Encrypt Encryption
	Concat  bool // values longer than 253 bytes are split and joined (RFC 7268, EAP-Message)
	Array   bool // several values packed into one attribute
	// Internal attributes (FreeRADIUS's own, numbered from 256 on, and ours)
	// are known to policies and never sent.
	Internal bool
	Virtual  bool // FreeRADIUS computes the value from the packet
	Secret   bool // the value is a secret: never print it
	// Index numbers the attributes of a Dictionary from 1 on, so that what is known
	// of each can stand in a slice; 0 on unknown ones.
	Index int
	// Unknown attributes are made on the fly (Attr-26.9.250): raw octets of a
	// number without a definition, or of a value that its definition's type
	// cannot hold.
	Unknown bool

	dict   *Dictionary
	ours   bool // embedded: an operator's file cannot take its number away
	values *values
	kids   space             // members of a tlv, extended or long-extended
	evs    map[uint32]*space // members of an evs by vendor
}

// Vendor is a vendor of the dictionary (VENDOR lines).
type Vendor struct {
	Name string
	ID   uint32 // IANA private enterprise number
	// Octets of a vendor attribute's type and length fields
	// (format=t,l[,c] in dictionary(5)): 1,1 unless told; 4,0 for USR, …
	TypeLen, LengthLen int
	Continuation       bool // format=1,1,c: WiMAX

	attrs space
}

// OID returns the dotted numbers from the standard space down: "1",
// "26.14988.8", "241.5", "245.26.11344.1".
func (a *Attribute) OID() string { return string(a.appendOID(nil)) }

func (a *Attribute) appendOID(b []byte) []byte {
	switch {
	case a.Parent != nil:
		b = append(a.Parent.appendOID(b), '.')
		if a.Parent.Type == TypeEVS {
			b = append(strconv.AppendUint(b, uint64(a.Vendor.ID), 10), '.')
		}
	case a.Vendor != nil:
		b = append(strconv.AppendUint(append(b, "26."...), uint64(a.Vendor.ID), 10), '.')
	}
	return strconv.AppendUint(b, uint64(a.Number), 10)
}

// Definition returns type and flags as a dictionary file writes them:
// "octets[16]", "string has_tag,encrypt=2".
func (a *Attribute) Definition() string {
	s := a.Type.String()
	if a.Length > 0 {
		s += "[" + itoa(a.Length) + "]"
	}
	var flags []string
	if a.HasTag {
		flags = append(flags, "has_tag")
	}
	if a.Encrypt != EncryptNone {
		flags = append(flags, "encrypt="+itoa(int(a.Encrypt)))
	}
	for _, f := range [...]struct {
		on   bool
		name string
	}{{a.Concat, "concat"}, {a.Array, "array"}, {a.Virtual, "virtual"}, {a.Secret, "secret"}} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	if len(flags) > 0 {
		s += " " + strings.Join(flags, ",")
	}
	return s
}

// Sensitive tells the attributes whose values must not show in logs, tables or
// errors: hidden ones, secrets, and passwords in any form.
func (a *Attribute) Sensitive() bool {
	return a.Secret || a.Encrypt != EncryptNone || strings.Contains(a.Name, "Password")
}

// values names the numbers of an enumerated attribute.
type values struct {
	byName   map[string]uint64 // keys in lower case
	byNumber map[uint64]string // the name that was defined last, as FreeRADIUS does
	order    []valueName
}

type valueName struct {
	name   string
	number uint64
}

// ValueName returns the name of an enumerated value. Where several names stand
// for one number, it is the one defined last, as in FreeRADIUS.
func (a *Attribute) ValueName(number uint64) (name string, ok bool) {
	if a.values == nil {
		return "", false
	}
	name, ok = a.values.byNumber[number]
	return name, ok
}

// ValueNumber returns the number of a value name; case does not matter. A
// signed attribute's negative numbers are in two's complement of 32 bits.
func (a *Attribute) ValueNumber(name string) (number uint64, ok bool) {
	if a.values == nil {
		return 0, false
	}
	if number, ok = a.values.byName[name]; !ok {
		number, ok = a.values.byName[fold(name)]
	}
	return number, ok
}

// ValueNames yields every value name with its number, in the order of
// definition.
func (a *Attribute) ValueNames() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		if a.values == nil {
			return
		}
		for _, v := range a.values.order {
			if !yield(v.name, v.number) {
				return
			}
		}
	}
}

// space maps numbers to attributes: one look-up in a slice for what a one-octet
// type field can say, a map for the rest.
type space struct {
	low  []*Attribute
	high map[uint32]*Attribute
}

func (s *space) get(n uint32) *Attribute {
	if s == nil {
		return nil
	}
	if n < uint32(len(s.low)) {
		return s.low[n]
	}
	return s.high[n]
}

func (s *space) put(a *Attribute) {
	if a.Number > 255 {
		if s.high == nil {
			s.high = make(map[uint32]*Attribute)
		}
		s.high[a.Number] = a
		return
	}
	for uint32(len(s.low)) <= a.Number {
		s.low = append(s.low, nil)
	}
	s.low[a.Number] = a
}
