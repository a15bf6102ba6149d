package dictionaries

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
// definition in a Dictionary, so attributes are compared by pointer.
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
	// Internal attributes (FreeRADIUS's own, numbered from 1000 on, and ours)
	// are known to policies and never sent.
	Internal bool

	values *values // names of enumerated values, or nil
}

// Vendor is a vendor of the dictionary (VENDOR lines).
type Vendor struct {
	Name string
	ID   uint32 // IANA private enterprise number
	// Octets of a vendor attribute's type and length fields
	// (format=t,l[,c] in dictionary(5)): 1,1 unless told; 4,0 for USR, …
	TypeLen, LengthLen int
	Continuation       bool // format=1,1,c: WiMAX
}
